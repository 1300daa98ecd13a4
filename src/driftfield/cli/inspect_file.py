"""`driftfield inspect`."""

__all__ = ["inspect"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, app


@app.command(rich_help_panel=Job.LOOK)
def inspect(
    file: Annotated[
        str, typer.Argument(help="Any file: gridded (NetCDF, GRIB, Zarr, a glob), points, a table; or a run.")
    ],
) -> None:
    """Say what a file is taken for: axes, grid, dates, variables, what is missing, what would be refused, what comes next.

    Example: driftfield inspect sst.nc
    """
    from driftfield.observations.inspection import inspect_file
    from driftfield.runs import find_run, is_borrowed

    if is_borrowed(file) or (Path(file) / "run.json").is_file():
        from driftfield.checkpoint import read_run
        from driftfield.reconstruction.description import describe

        print(describe(read_run(find_run(file)), file))
        return
    print(inspect_file(file))
