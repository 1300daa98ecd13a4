"""`driftfield downscale`."""

__all__ = ["downscale"]

from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.options import Dates, Out, Resume, Seed
from driftfield.cli.shared import Job, Overwrite, app, check_output, read_period, whole, write_with_bar
from driftfield.errors import visible

MEMBERS = 10
"""Unless another number is asked for."""


@app.command(rich_help_panel=Job.FILL)
def downscale(
    run: Annotated[Path, typer.Argument(help="Run folder of a downscaler that `driftfield train` wrote.")],
    coarse: Annotated[Path, typer.Argument(help="Coarse fields on the coarse grid of the run, or on more of it.")],
    out: Out,
    members: Annotated[
        int | None, typer.Option(help="Size of the ensemble; 10 by default, 1 of a method that gives one field.")
    ] = None,
    seed: Seed = 0,
    time: Dates = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Make fine fields from coarse ones: an ensemble, its mean and its standard deviation, date by date.

    Example: driftfield downscale runs/bars coarse.nc --members 10 --out fine.nc
    """
    from driftfield import __version__
    from driftfield.checkpoint import hash_run
    from driftfield.data.sources import select_time
    from driftfield.gridded.gridded_files import open_fields
    from driftfield.reconstruction.draws import Draws
    from driftfield.reconstruction.settings import check_ability
    from driftfield.reconstruction.writer import Work
    from driftfield.runs import called, find_run, load_downscaler

    check_output(out, overwrite=overwrite or resume)
    whole(1 if members is None else members, "--members", least=1)
    whole(seed, "--seed", least=0)
    folder = find_run(run)
    method = load_downscaler(folder)
    if members is not None and members > 1:
        check_ability(method, "spreads", asked="--members")
    count = members or (MEMBERS if method.abilities.spreads else 1)
    fields = open_fields(coarse)
    fields = fields if time is None else select_time(fields, read_period(time))
    method.check(fields, str(coarse))
    attrs = {"run": called(run, folder), "coarse": coarse.name}

    def finish(part: Any) -> Any:
        return part.assign_attrs(attrs)

    depends_on = {"run": hash_run(folder), "version of driftfield": __version__}
    work = Work(method, fields, Draws(count, seed), finish, depends_on)
    write_with_bar(work, out, label="downscale", resume=resume, overwrite=overwrite)
    print(visible(f"wrote {out}: {work.dates} dates of {count} member(s), {method.method}"))
