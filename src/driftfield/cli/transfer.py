"""`driftfield transfer`."""

__all__ = ["transfer"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.options import Dates, MaskFile
from driftfield.cli.shared import Job, Overwrite, Region, app, check_output, read_period, read_region
from driftfield.errors import ConfigurationError


@app.command(rich_help_panel=Job.FILL)
def transfer(
    run: Annotated[str, typer.Argument(help="Folder of a trained network, or shipped:NAME, or hub:REPO.")],
    fields: Annotated[
        str, typer.Argument(help="Fields of the new place, gaps allowed, or a climatology of twelve months.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new run.")],
    region: Region = None,
    time: Dates = None,
    domain: MaskFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Move a trained network to another grid of the same spacing, with the mean and the spread of what was seen there.

    Example: driftfield transfer runs/bonavista whitebay.nc --out runs/whitebay
    """
    check_output(out, overwrite=overwrite, suffixes=())
    from driftfield.data.sources import open_archive
    from driftfield.models.learner import Trained
    from driftfield.models.transfer import transferred
    from driftfield.runs import find_run, load_reconstructor

    method = load_reconstructor(find_run(run))
    if not isinstance(method, Trained):
        raise ConfigurationError(
            f"{run} is a run of {type(method).__name__}, which is fitted to its place: expected a trained network. Fit it there "
            "with `driftfield train`."
        )
    names = [*method.codec.targets, *method.codec.covariates]
    period = read_period(time) if time else None
    archive = open_archive(fields, names, region=read_region(region), time=period, domain=domain)
    moved = transferred(method, archive)
    moved.learner.extra["moved_from"] = str(run)
    moved.save(out)
    print(
        f"wrote {out}: {type(method).__name__} of {run} for {archive.dataset.sizes['lat']} x {archive.dataset.sizes['lon']} cells"
    )
    print(f"  driftfield reconstruct {out} {fields} --out fields.nc --members 16")
