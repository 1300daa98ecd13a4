"""`driftfield inspect`."""

__all__ = ["inspect"]

from typing import Annotated

import typer

from driftfield.cli.shared import Job, app


@app.command(rich_help_panel=Job.LOOK)
def inspect(
    file: Annotated[str, typer.Argument(help="Any file: gridded (NetCDF, GRIB, Zarr, a glob), points, or a table.")],
) -> None:
    """Say what a file is taken for: axes, grid, dates, variables, what is missing, what would be refused, what comes next."""
    from driftfield.observations.inspection import inspect_file

    print(inspect_file(file))
