"""`driftfield coarsen`."""

__all__ = ["coarsen"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.options import Out
from driftfield.cli.shared import Job, Overwrite, app, check_output, read_number
from driftfield.errors import ConfigurationError


@app.command(rich_help_panel=Job.GET)
def coarsen(
    fine: Annotated[Path, typer.Argument(help="Fine fields: NetCDF, GRIB or Zarr, on any grid.")],
    out: Out,
    factor: Annotated[
        str | None, typer.Option(help="Cells per block: NUMBER, or ROWSxCOLUMNS; 2.5 is possible.")
    ] = None,
    like: Annotated[Path | None, typer.Option(help="A gridded file whose (coarser) cells are filled.")] = None,
    variable: Annotated[list[str] | None, typer.Option(help="NAME (repeat); all gridded ones by default.")] = None,
    least: Annotated[
        float, typer.Option(help="Least known share of a coarse cell; below it the cell is missing.")
    ] = 0.5,
    by: Annotated[
        str,
        typer.Option(
            help="mean over blocks; on a torus also truncation (of waves, anti-aliased) and points (every n-th)."
        ),
    ] = "mean",
    overwrite: Overwrite = False,
) -> None:
    """Area-weighted means of fine fields over blocks of cells, or over the cells of another grid; waves or points of a torus.

    Example: driftfield coarsen fine.nc --factor 4 --out coarse.nc
    """
    from driftfield.data.coarsening import coarsened, regridding_by_factor, regridding_onto
    from driftfield.data.torus_coarsening import coarsened_torus
    from driftfield.gridded.gridded_files import open_fields, write_dataset

    check_output(out, overwrite=overwrite)
    if (factor is None) == (like is None):
        raise ConfigurationError("Found both or none of --factor and --like: expected one of them, such as --factor 4.")
    if not 0 < least <= 1:
        raise ConfigurationError(f"Found --least {least:g}: expected a share above 0, at most 1.")
    fields = open_fields(fine, variables=variable)
    if by != "mean":
        if factor is None or least != 0.5:
            raise ConfigurationError(f"Found --by {by}: it needs --factor, and takes neither --like nor --least.")
        coarse = coarsened_torus(fields, _factors(factor), by)
        write_dataset(coarse.assign_attrs(coarsened_from=fine.name, coarsened_by=by), out, overwrite=overwrite)
        print(
            f"wrote {out}: {coarse.sizes['lat']} x {coarse.sizes['lon']} points; {', '.join(map(str, coarse.data_vars))}"
        )
        return
    target = None if like is None else open_fields(like)
    regridding = (
        regridding_by_factor(fields, _factors(factor or "")) if target is None else regridding_onto(fields, target)
    )
    coarse = coarsened(fields, regridding, like=target, least=least)
    write_dataset(coarse.assign_attrs(coarsened_from=fine.name), out, overwrite=overwrite)
    ratio = (regridding.coarse.area.mean() / regridding.fine.area.mean()) ** 0.5
    rows, columns = regridding.coarse.shape
    print(f"wrote {out}: {rows} x {columns} cells, {ratio:.2f} times as wide; {', '.join(map(str, coarse.data_vars))}")


def _factors(text: str) -> float | tuple[float, float]:
    parts = [read_number(part, "--factor") for part in text.lower().split("x")]
    if len(parts) > 2:
        raise ConfigurationError(f"Cannot read --factor {text!r}: expected NUMBER or ROWSxCOLUMNS, such as 4 or 4x2.")
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])
