"""`driftfield train`."""

__all__ = ["train"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.options import OutRun
from driftfield.cli.shared import Job, Overwrite, app, check_run


@app.command(rich_help_panel=Job.TRAIN)
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    out: OutRun,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.of.the.recipe=value (repeat).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Leave the spread of a network as it is: no calibration on the validation split."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fit a reconstructor (the diffusion model or a peer) to an archive; what a network draws is calibrated.

    Example: driftfield train recipes/ocean_oi.yaml --out runs/oi --set data.archive=archive.zarr
    """
    from driftfield.processes import is_helper
    from driftfield.recipe import read_recipe
    from driftfield.reconstruction.fitting import fit_recipe
    from driftfield.runs import calibrate_run

    read = read_recipe(recipe, set_ or [])
    helps = is_helper(read.trainer)
    if not helps:
        check_run(out, resume=resume, overwrite=overwrite)
    data = fit_recipe(read, out, source=str(recipe), resume=resume)
    if helps:
        return
    if not raw and read.learner[0] == "reconstructor":
        lines = calibrate_run(out, data)
        print("\n".join(lines), end="\n" if lines else "")
        if lines:
            print("reconstruct --raw leaves the calibration out, train --raw does not make it")
    print(f"wrote {out}")
