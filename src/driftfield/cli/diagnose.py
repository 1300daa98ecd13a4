"""`driftfield diagnose`."""

__all__ = ["diagnose"]

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.options import OutFolder, Seed
from driftfield.cli.shared import Job, Overwrite, SamplerName, app, check_counts, check_output, use_sampler


@app.command(rich_help_panel=Job.JUDGE)
def diagnose(
    run: Annotated[Path, typer.Argument(help="Run folder of a diffusion model, or shipped:NAME, or hub:REPO.")],
    obs: Annotated[Path, typer.Argument(help="Observation file that `driftfield mask` wrote.")],
    truth: Annotated[Path, typer.Option("--truth", help="The complete fields.")],
    out: OutFolder,
    members: Annotated[int, typer.Option(help="Size of the ensemble, drawn at once.")] = 8,
    time: Annotated[int, typer.Option(help="Which time of OBS, counted from 0.")] = 0,
    seed: Seed = 0,
    variable: Annotated[str | None, typer.Option(help="What the maps show; the first target by default.")] = None,
    depth: Annotated[float | None, typer.Option(help="Level of the maps, metres.")] = None,
    sampler: SamplerName = None,
    overwrite: Overwrite = False,
) -> None:
    """Look inside a diffusion run: schedule, training, error and fields as the noise falls; figures and diagnostics.json.

    Example: driftfield diagnose runs/mine seen.nc --truth truth.nc --out diagnosis
    """
    from driftfield.data.observation_files import open_observations
    from driftfield.gridded.gridded_files import open_fields
    from driftfield.models.diagnostics import check_diagnosable
    from driftfield.models.diagnostics import diagnose as look
    from driftfield.runs import find_run, load_reconstructor

    check_output(out, overwrite=overwrite, suffixes=())
    check_counts({"--members": members}, least=2)
    check_counts({"--seed": seed}, least=0)
    folder = find_run(run)
    method = load_reconstructor(folder)
    check_diagnosable(method)
    use_sampler(method, sampler)
    seen, fields = open_observations(obs), open_fields(truth)
    drawn = partial(look, method, seen, fields, out, members=members, seed=seed)
    files = drawn(run=folder, overwrite=overwrite, time=time, variable=variable, depth=depth)
    print(f"wrote {out}: {', '.join(files)}")
