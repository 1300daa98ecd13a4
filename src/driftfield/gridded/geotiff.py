"""Fields as a GeoTIFF: one georeferenced plane, north up, a band for every date, level and quantity.

    columns x of cell edges    x = west + column dx          EPSG:4326, degrees; row 0 is the northernmost
    rows                       y = north - row dy

    band 1   sst 2015-06-01T00:00:00 [degC]          value                     float32, NaN where there is none
    band 2   sst sd 2015-06-01T00:00:00 [degC]       value = offset + scale n  packed: int16, -32768 where there is none

A format without axes for time, depth and members: they stand in the description and in the tags of each band. Bands are written
one by one, so that no file is ever in memory as a whole. What is no even grid of latitudes and longitudes is refused.
"""

__all__ = ["Band", "Bands", "EvenGrid", "bands_of", "write_geotiff"]

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield import __version__
from driftfield.conventions import positions_of, require, state_variables
from driftfield.errors import ConfigurationError, DataError, need, suggest
from driftfield.files import replacing
from driftfield.gridded.cf import as_cf
from driftfield.gridded.encodings import date_text
from driftfield.gridded.region import is_periodic

log = logging.getLogger(__name__)

MOST_BANDS = 65535
"""Of the format."""
MISSING = -32768
QUANTITIES = {
    "value": "",
    "spread": "_sd",
    "quantiles": "_quantile",
    "members": "_member",
    "lower": "_lower",
    "upper": "_upper",
}
"""What of a variable becomes bands, and how the variable of the file is called."""


@dataclass(frozen=True)
class EvenGrid:
    """Cells of one size, from the north-west.

    Arguments:
        west, north: Edges, degrees.
        dx, dy: Size of a cell, degrees.
        columns: Of the field, in the order of the raster.
    """

    west: float
    north: float
    dx: float
    dy: float
    columns: np.ndarray

    @classmethod
    def of(cls, fields: xr.Dataset, source: str) -> "EvenGrid":
        """The grid of fields with canonical axes: the globe from -180 to 180, regions where GIS look for them.

        Raises:
            DataError: positions of two dimensions, uneven steps, or a single row or column.
        """
        if positions_of(fields) is not None:
            raise DataError(
                f"The rows and columns of {source} are no latitudes and longitudes (curvilinear, rotated or projected grid), and "
                "a GeoTIFF has one step along each. Regrid it to even latitudes and longitudes, or write .nc."
            )
        lat, lon = (_even(fields[name].values, name, source) for name in ("lat", "lon"))
        values = np.asarray(fields["lon"].values, dtype=np.float64)
        columns = np.arange(values.size)
        if is_periodic(fields["lon"]):
            turned = (values + 180.0) % 360.0 - 180.0
            columns = np.argsort(turned, kind="stable")
            values = turned[columns]
        else:
            values = values - 360.0 * np.floor((values[0] + 180.0) / 360.0)
            if values[-1] > 180.0 + lon / 2:
                log.info(
                    "longitudes run across the dateline, to %g: a GIS shows that part beyond 180 degrees", values[-1]
                )
        north = float(np.max(fields["lat"].values)) + lat / 2
        return cls(float(values[0]) - lon / 2, north, lon, lat, columns)


@dataclass(frozen=True)
class Band:
    """One plane.

    Arguments:
        variable: Of the file.
        place: Index of it, by dimension.
        description: What a GIS shows.
        tags: The same in parts.
        units: Of its values.
    """

    variable: str
    place: Mapping[str, int]
    description: str
    tags: Mapping[str, str]
    units: str


@dataclass(frozen=True)
class Bands:
    """All planes of a file, and what of it becomes none.

    Arguments:
        planes: In their order.
        left_out: Variables of the file.
    """

    planes: tuple[Band, ...]
    left_out: tuple[str, ...] = field(default=())


def bands_of(
    fields: xr.Dataset,
    variables: Sequence[str] | None = None,
    show: Sequence[str] = ("value", "spread"),
    *,
    time: str | None = None,
    depth: float | None = None,
) -> Bands:
    """Which bands a file becomes.

    Arguments:
        fields: With canonical axes.
        variables: Some of them; all by default.
        show: Quantities, see `QUANTITIES`; those that the file does not have are left out.
        time: Beginning of the dates that are taken, such as 2015-06; all by default.
        depth: Metres, the nearest level; all by default.

    Raises:
        ConfigurationError: an unknown quantity, a date that is not there, or more bands than the format has.
        DataError: an unknown variable.
    """
    if wrong := [name for name in show if name not in QUANTITIES]:
        raise ConfigurationError(f"Unknown quantity {wrong[0]!r}: {suggest(wrong[0], QUANTITIES)}")
    names = list(variables or state_variables(fields))
    require(fields, names, "the file")
    planes = [
        band
        for name in names
        for quantity in QUANTITIES
        if quantity in show and name + QUANTITIES[quantity] in fields
        for band in _planes(fields, name, quantity, time, depth)
    ]
    if not planes:
        raise ConfigurationError(
            f"Nothing to write: no {', '.join(show)} of {', '.join(names)} in the file. Ask for others."
        )
    if len(planes) > MOST_BANDS:
        raise ConfigurationError(
            f"That would be {len(planes)} bands, and a GeoTIFF has {MOST_BANDS} at most. Take a part with --time, --depth or "
            "--variable."
        )
    taken = {band.variable for band in planes}
    return Bands(tuple(planes), tuple(str(name) for name in fields.data_vars if str(name) not in taken))


def write_geotiff(
    fields: xr.Dataset,
    bands: Bands,
    out: Path,
    *,
    packed: bool = False,
    source: str = "the file",
    overwrite: bool = False,
) -> float:
    """Writes the bands under a temporary name and renames it at the end.

    Arguments:
        fields: With canonical axes, lazy or not.
        bands: Of `bands_of`.
        out: .tif or .tiff.
        packed: Sixteen bits a value instead of 32, with a scale and an offset for each variable.
        source: What messages call the file.
        overwrite: Whether `out` may be replaced.

    Returns:
        The largest rounding of a value, in its units; 0 if nothing is packed.

    Raises:
        DataError: see `EvenGrid.of`.
        MissingExtraError: rasterio is not installed.
    """
    rasterio = need("rasterio", "geotiff", "A GeoTIFF")
    grid = EvenGrid.of(fields, source)
    scales = {name: _scale(fields[name]) for name in {b.variable for b in bands.planes}} if packed else {}
    profile = {
        "driver": "GTiff", "height": fields.sizes["lat"], "width": fields.sizes["lon"], "count": len(bands.planes),
        "dtype": "int16" if packed else "float32", "nodata": MISSING if packed else np.nan, "crs": "EPSG:4326",
        "transform": rasterio.transform.from_origin(grid.west, grid.north, grid.dx, grid.dy),
        "compress": "deflate", "predictor": 2 if packed else 3, "interleave": "band", "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    tags = {name: str(as_cf(fields).attrs.get(name, "")) for name in ("title", "history")}
    with replacing(out, overwrite=overwrite) as temporary, rasterio.open(temporary, "w", **profile) as raster:
        raster.update_tags(**{k: v for k, v in tags.items() if v}, TIFFTAG_SOFTWARE=f"driftfield {__version__}")
        for number, (band, plane) in enumerate(_read(fields, bands, grid), start=1):
            scale, offset = scales.get(band.variable, (1.0, 0.0))
            raster.write(_coded(plane, scale, offset) if packed else plane.astype(np.float32), number)
            raster.set_band_description(number, band.description)
            raster.update_tags(number, **band.tags)
        raster.units = [band.units for band in bands.planes]
        if packed:
            raster.scales, raster.offsets = zip(*(scales[band.variable] for band in bands.planes), strict=True)
    return max((scale / 2 for scale, _ in scales.values()), default=0.0)


def _even(values: np.ndarray, name: str, source: str) -> float:
    """The step of an axis."""
    values = np.asarray(values, dtype=np.float64)
    if values.size < 2:
        raise DataError(f"{source} has a single {name}: a GeoTIFF needs two or more, to know how large a cell is.")
    step = (values[-1] - values[0]) / (values.size - 1)
    if np.abs(values - (values[0] + step * np.arange(values.size))).max() > 0.02 * abs(step):
        steps = np.abs(np.diff(values))
        raise DataError(
            f"The {name} of {source} is unevenly spaced (steps {steps.min():.4g} to {steps.max():.4g} degrees), and a GeoTIFF "
            "has one step. Regrid it, or write .nc."
        )
    return abs(float(step))


def _planes(fields: xr.Dataset, name: str, quantity: str, time: str | None, depth: float | None) -> Iterator[Band]:
    array = fields[name + QUANTITIES[quantity]]
    units = str(fields[name].attrs.get("units", ""))
    others: list[str] = [dim for dim in ("time", "depth", "quantile", "member") if dim in array.dims]
    if odd := [str(dim) for dim in array.dims if dim not in (*others, "lat", "lon")]:
        raise DataError(
            f"{array.name!r} has the dimension {odd[0]!r}, which becomes no band. Choose one element of it first."
        )
    chosen = [_chosen(fields, dim, time, depth) for dim in others]
    for place in np.ndindex(*map(len, chosen)):
        at: dict[str, int] = {dim: int(indices[i]) for dim, indices, i in zip(others, chosen, place, strict=True)}
        tags = {"variable": name, "quantity": quantity, "units": units}
        words = [
            name,
            *([{"spread": "sd"}.get(quantity, quantity)] if quantity in ("spread", "lower", "upper") else []),
        ]
        for dim, index in at.items():
            said = _said(fields[dim], dim, index)
            tags[dim] = said
            words.append(
                {"depth": f"at {said} m", "quantile": f"quantile {said}", "member": f"member {said}"}.get(dim, said)
            )
        yield Band(str(array.name), at, " ".join(words) + (f" [{units}]" if units else ""), tags, units)


def _said(axis: xr.DataArray, dim: str, index: int) -> str:
    value = axis.values[index]
    return date_text(value) if dim == "time" else f"{value:g}"


def _chosen(fields: xr.Dataset, dim: str, time: str | None, depth: float | None) -> np.ndarray:
    if dim == "time" and time is not None:
        dates = [date_text(date) for date in fields["time"].values]
        hits = np.array([i for i, date in enumerate(dates) if date.startswith(time)], dtype=int)
        if not hits.size:
            raise ConfigurationError(f"No date begins with {time!r}: found {dates[0]} to {dates[-1]}.")
        return hits
    if dim == "depth" and depth is not None:
        return np.array([int(np.abs(fields["depth"].values - depth).argmin())])
    return np.arange(fields.sizes[dim])


def _read(fields: xr.Dataset, bands: Bands, grid: EvenGrid) -> Iterator[tuple[Band, np.ndarray]]:
    """The planes, north up."""
    southward = fields["lat"].values[0] > fields["lat"].values[-1]
    for band in bands.planes:
        plane = fields[band.variable].isel(dict(band.place)).transpose("lat", "lon").values
        plane = plane if southward else plane[::-1]
        yield band, np.ascontiguousarray(plane[:, grid.columns])


def _scale(array: xr.DataArray) -> tuple[float, float]:
    """Scale and offset that put all values of a variable into -32767 ... 32767."""
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        return 1.0, 0.0  # nothing has a value
    return max((high - low) / 65534.0, float(np.finfo(np.float32).tiny)), (low + high) / 2.0


def _coded(plane: np.ndarray, scale: float, offset: float) -> np.ndarray:
    coded = np.rint((plane.astype(np.float64) - offset) / scale)
    return np.where(np.isfinite(plane), np.clip(coded, -32767, 32767), MISSING).astype(np.int16)
