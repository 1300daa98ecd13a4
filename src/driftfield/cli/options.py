"""Arguments and options that several commands have, each in the same words."""

__all__ = ["BatchSize", "Members", "Out", "OutFolder", "Resume", "RunFolder", "Seed"]

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path, typer.Argument(help="Run folder that `driftfield train` wrote, or shipped:NAME.")]
Out = Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write.")]
Members = Annotated[int, typer.Option(help="Size of the ensemble.")]
Seed = Annotated[int, typer.Option(help="Of the members.")]
BatchSize = Annotated[int, typer.Option(help="Members at a time; does not change them.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with OUT.partial, which a killed one left.")]
