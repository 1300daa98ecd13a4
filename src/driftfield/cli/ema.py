"""`driftfield ema`."""

__all__ = ["ema"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.options import OutRun
from driftfield.cli.shared import Job, Overwrite, app, check_output
from driftfield.errors import ConfigurationError


@app.command(rich_help_panel=Job.TRAIN)
def ema(
    run: Annotated[Path, typer.Argument(help="Run folder, trained with ema: {class: PowerEMA}.")],
    width: Annotated[float, typer.Option(help="Width of the average, as a share of the training: 0.01 to 0.28.")],
    out: OutRun,
    step: Annotated[int | None, typer.Option(help="Step at which to take it; the last one by default.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Choose, after the training, over how much of it the weights of a run are averaged.

    Example: driftfield ema runs/mine --width 0.08 --out runs/mine_08
    """
    if out.absolute() == run.absolute():
        raise ConfigurationError(f"--out is {run} itself. Name another folder: its weights would be lost.")
    check_output(out / "run.json", overwrite=overwrite, suffixes=())
    from driftfield.training.post_hoc import choose_width

    made = choose_width(run, out, width, step)
    print(
        f"wrote {out}: width {width:g} at step {made.step}, from {made.snapshots} snapshots, "
        f"profile within {made.error:.1%} of the one asked for"
    )
