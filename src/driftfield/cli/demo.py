"""`driftfield demo`."""

__all__ = ["demo"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, app


@app.command(rich_help_panel=Job.FILL)
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("demo"),
    cases: Annotated[int, typer.Option(help="Dates to reconstruct.")] = 12,
    members: Annotated[int, typer.Option(help="Size of the ensemble.")] = 48,
    seed: Annotated[int, typer.Option(help="Of the simulated ocean; the shipped model was trained on seed 0.")] = 1,
    downscale: Annotated[
        bool, typer.Option("--downscale", help="Fine fields from coarse ones instead, by methods that learn at once.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """The main job on a simulated ocean that the shipped model has never seen, beside all peers; no network needed.

    Example: driftfield demo --out demo
    """
    from driftfield.demo import run_demo, run_downscaling_demo

    (run_downscaling_demo if downscale else run_demo)(out, cases=cases, members=members, seed=seed, overwrite=overwrite)
