"""`driftfield export`."""

__all__ = ["export"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, Region, app, check_output, read_region
from driftfield.errors import ConfigurationError

SHOWN = "value,spread"
"""Bands of a variable, where none are asked for."""


@app.command(rich_help_panel=Job.LOOK)
def export(
    file: Annotated[str, typer.Argument(help="A reconstruction, a map, a forecast, an archive: any gridded file.")],
    out: Annotated[Path, typer.Option("--out", help="OUT.tif; OUT.nc with --like")],
    variable: Annotated[list[str] | None, typer.Option(help="Variable of the file (repeat); all by default.")] = None,
    show: Annotated[
        str, typer.Option(help="By commas: value, spread, quantiles, members, lower, upper; those that the file has.")
    ] = SHOWN,
    time: Annotated[str | None, typer.Option(help="Beginning of the dates, such as 2015-06; all by default.")] = None,
    depth: Annotated[float | None, typer.Option(help="Metres, the nearest level; all by default.")] = None,
    region: Region = None,
    packed: Annotated[
        bool, typer.Option("--packed", help="Whole numbers of 16 bits with a scale, in place of 32-bit floats.")
    ] = False,
    like: Annotated[
        list[Path] | None,
        typer.Option(
            help="A NetCDF file whose layout is taken (repeat: one per variable), such as a template of CORDEX ML-Bench."
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="With --like: KEY=VALUE, a global attribute (repeat).")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write fields as a GeoTIFF for QGIS and the like: EPSG:4326, north up, a band for every date, level and quantity.

    With --like, as a NetCDF file in the layout of another: its dimensions, coordinates, attributes and calendar.

    Example: driftfield export filled.nc --out filled.tif --time 2015-06
    """
    if like:
        apart = {
            "--variable": variable,
            "--show": None if show == SHOWN else show,
            "--time": time,
            "--depth": depth,
            "--region": region,
            "--packed": packed or None,
        }
        _export_like(
            file, out, like, attribute, [name for name, value in apart.items() if value is not None], overwrite
        )
        return
    if attribute:
        raise ConfigurationError(
            "Found --attribute without --like: a GeoTIFF has its own tags. Leave it out, or name a template."
        )
    from driftfield.gridded.geotiff import bands_of, write_geotiff
    from driftfield.gridded.gridded_files import open_fields
    from driftfield.gridded.region import select_region

    check_output(out, overwrite=overwrite, suffixes=(".tif", ".tiff"))
    fields = select_region(open_fields(file), read_region(region))
    quantities = [part.strip() for part in show.split(",")]
    bands = bands_of(fields, variable, quantities, time=time, depth=depth)
    rounding = write_geotiff(fields, bands, out, packed=packed, source=file, overwrite=overwrite)
    first, last = bands.planes[0], bands.planes[-1]
    print(f"wrote {out}: {len(bands.planes)} bands, from {first.description!r} to {last.description!r}")
    if packed:
        print(f"rounded to whole steps of each variable: by {rounding:.2g} of its units at most")
    print("a GeoTIFF has no axes of time, depth or members: they stand in the description and the tags of each band")
    if bands.left_out:
        print(f"left out: {', '.join(bands.left_out)} (--variable, --show)")


def _export_like(
    file: str, out: Path, like: list[Path], attribute: list[str] | None, refused: list[str], overwrite: bool
) -> None:
    """In the layout of templates."""
    from driftfield.gridded.gridded_files import open_fields
    from driftfield.reconstruction.template import in_layout, write_in_layout

    if refused:
        raise ConfigurationError(f"Found {refused[0]} with --like, which writes all of the file. Leave it out.")
    check_output(out, overwrite=overwrite, suffixes=(".nc",))
    pairs = [text.partition("=") for text in attribute or ()]
    for text, (key, equals, _) in zip(attribute or (), pairs, strict=True):
        if not key or not equals:
            raise ConfigurationError(f"Found --attribute {text!r}: expected KEY=VALUE.")
    dataset = in_layout(open_fields(file), like, {key: value for key, _, value in pairs})
    write_in_layout(dataset, like, out, overwrite=overwrite)
    names, members = ", ".join(map(str, dataset.data_vars)), dataset.sizes.get("member")
    print(
        f"wrote {out}: {names}, {dataset.sizes['time']} dates, {'one field' if members is None else f'{members} members'}"
    )
