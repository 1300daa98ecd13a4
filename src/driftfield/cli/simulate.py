"""`driftfield simulate`."""

__all__ = ["simulate_ocean_command"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Overwrite, check_output, simulate_app


@simulate_app.command("ocean")
def simulate_ocean_command(
    out: Annotated[Path, typer.Argument(help="OUT.zarr or OUT.nc")],
    years: Annotated[float, typer.Option(help="Length of the record.")] = 2.0,
    every_days: Annotated[float, typer.Option(help="Days between snapshots.")] = 5.0,
    start: Annotated[str, typer.Option(help="First date.")] = "2000-01-01",
    seed: Annotated[int, typer.Option(help="Of eddies and weather; the basin is always the same.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """A regional ocean: temperature, sea surface temperature and height, with a front, eddies, a coast and a sea floor.

    Example: driftfield simulate ocean truth.nc --years 0.25 --seed 1
    """
    from driftfield.gridded.gridded_files import write_dataset
    from driftfield.worlds.ocean import simulate_ocean

    check_output(out, overwrite=overwrite)
    dataset = simulate_ocean(years=years, every_days=every_days, start=start, seed=seed)
    write_dataset(dataset, out, overwrite=overwrite)
    print(f"{out}: {dict(dataset.sizes)}")
