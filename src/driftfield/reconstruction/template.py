"""Fields in the layout of a template: its dimensions, coordinates, attributes and types, our values and dates.

    template   pr (time, y, x), lat, lon (y, x), x, y, time of one placeholder date
    written    pr (member, time, y, x), the same coordinates, and the dates in the units, calendar and type of its time axis

Made for submissions to CORDEX ML-Bench: one file with `pr` and `tasmax`, ten members of a method that draws. Each cell of the
template is the cell of the file that lies in its place, so that rows may run either way; what has no such cell is refused.
"""

__all__ = ["in_layout", "write_in_layout"]

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from driftfield.data.coarsening import cell_grid_of
from driftfield.errors import DataError, suggest
from driftfield.files import replacing
from driftfield.gridded.encodings import as_dates, unit_sphere
from driftfield.gridded.gridded_files import open_raw
from driftfield.gridded.units import convert

log = logging.getLogger(__name__)

ON = 0.05
"""Share of a cell within which two centres are one place."""
MEMBERS = 10
"""Of a submission."""


def in_layout(fields: xr.Dataset, templates: Sequence[Path], attributes: Mapping[str, str] | None = None) -> xr.Dataset:
    """The variables that the templates name.

    Arguments:
        fields: A reconstruction: members of each variable, or one field of it.
        templates: Files with placeholder values; the coordinates of all are those of the first.
        attributes: Global attributes beside those of the template.

    Raises:
        DataError: a variable that the fields lack, cells without a partner, other units, or a calendar without such dates.
    """
    opened = [_Template(path) for path in templates]
    first = opened[0]
    places = first.places(fields)
    made: dict[str, Any] = {}
    counts = set()
    for template in opened:
        if template.dims != first.dims or not np.array_equal(template.centres, first.centres):
            raise DataError(f"{template.path} has other cells than {first.path}: expected templates of one grid.")
        for name in template.variables:
            values = _values(fields, name, template)
            counts.add(values.sizes.get("member", 0))
            dims = ("member", "time", *template.dims) if "member" in values.dims else ("time", *template.dims)
            flat = values.values.reshape(*values.shape[:-2], -1)[..., places]
            shape = (*values.shape[:-2], *first.centres.shape[:-1])
            made[name] = (dims, flat.reshape(shape).astype(template.raw[name].dtype), template.attrs(name))
    if len(counts) > 1:
        raise DataError(f"Found {sorted(counts)} members of the variables: expected as many of each.")
    if counts != {MEMBERS}:
        log.warning("the file has %s members: CORDEX ML-Bench asks %d of a method that draws", *counts, MEMBERS)
    dataset = xr.Dataset(made, coords=first.coordinates(), attrs=first.raw.attrs | dict(attributes or {}))
    return dataset.assign_coords(time=first.dates(fields["time"]))


def write_in_layout(dataset: xr.Dataset, templates: Sequence[Path], path: Path, *, overwrite: bool = False) -> None:
    """Writes what `in_layout` gave, with the missing values of the templates."""
    missing: dict[str, Any] = {}
    for template in map(_Template, templates):
        missing |= {str(n): template.raw[n].attrs.get("_FillValue") for n in template.raw.variables}
    encoding = {str(name): {"_FillValue": missing.get(str(name))} for name in dataset.variables}
    with replacing(path, overwrite=overwrite) as temporary:
        dataset.to_netcdf(temporary, encoding=encoding, engine="netcdf4")


class _Template:
    """One file, as it is written.

    Arguments:
        path: Of it.
    """

    def __init__(self, path: Path) -> None:
        open_raw(path).close()  # says in one line what is no file of fields
        with xr.open_dataset(path, decode_cf=False) as found:
            self.path, self.raw = path, found.load()
        axes = {"lat", "lon", "time"}
        if not axes <= set(map(str, self.raw.variables)):
            raise DataError(
                f"{path} is no template: expected lat, lon and time, found {', '.join(map(str, self.raw.variables))}."
            )
        lat = self.raw["lat"]
        self.dims = tuple(map(str, lat.dims)) if lat.ndim == 2 else (str(lat.dims[0]), str(self.raw["lon"].dims[0]))
        self.variables = [
            str(n) for n in self.raw.data_vars if set(self.dims) < set(self.raw[n].dims) and str(n) not in axes
        ]
        if not self.variables:
            raise DataError(f"{path} is no template: no variable has the dimensions time, {', '.join(self.dims)}.")

    @property
    def centres(self) -> np.ndarray:
        """Unit vectors (row, column, 3)."""
        lat, lon = (self.raw[n].values.astype(np.float64) for n in ("lat", "lon"))
        if lat.ndim == 1:
            lat, lon = np.meshgrid(lat, lon, indexing="ij")
        return unit_sphere(lat, lon)

    def places(self, fields: xr.Dataset) -> np.ndarray:
        """The number of the file's cell for every cell of the template."""
        grid = cell_grid_of(fields)
        width = np.sqrt(grid.area.ravel())
        distance, nearest = cKDTree(grid.centres.reshape(-1, 3)).query(self.centres.reshape(-1, 3))
        off = distance / width[nearest]
        if (off > ON).any():
            raise DataError(
                f"{int((off > ON).sum())} of {off.size} cells of {self.path} have no cell of the fields in their place, the "
                f"farthest is off by {off.max():.2g} cells: expected fields on its grid. Train on it, or regrid them."
            )
        return np.asarray(nearest)

    def attrs(self, name: str) -> dict[str, Any]:
        """Of a variable, without what says how it is stored."""
        return {str(k): v for k, v in self.raw[name].attrs.items() if k not in ("_FillValue", "missing_value")}

    def coordinates(self) -> dict[str, Any]:
        """All but time."""
        others = [
            str(n)
            for n in self.raw.variables
            if str(n) not in (*self.variables, "time") and "time" not in self.raw[n].dims
        ]
        return {name: (self.raw[name].dims, self.raw[name].values, self.attrs(name)) for name in others}

    def dates(self, times: xr.DataArray) -> tuple[str, np.ndarray, dict[str, Any]]:
        """Our dates as numbers on its axis.

        Raises:
            DataError: its calendar lacks one of them.
        """
        attrs, dtype = self.attrs("time"), self.raw["time"].dtype
        units, calendar = str(attrs.get("units")), str(attrs.get("calendar", "standard"))
        numbers = []
        for date in as_dates(times):
            parts = (int(getattr(date.dt, part)) for part in ("year", "month", "day", "hour", "minute", "second"))
            try:
                numbers.append(cftime.date2num(cftime.datetime(*parts, calendar=calendar), units, calendar))
            except ValueError as error:
                raise DataError(f"The calendar {calendar!r} of {self.path} has no {date.values}: {error}.") from error
        exact = np.asarray(numbers, dtype=np.float64)
        if dtype.kind in "iu" and not np.array_equal(exact, np.floor(exact)):
            log.warning("dates are rounded down to whole %s, as the template has them", units.split(" since")[0])
            exact = np.floor(exact)
        return "time", exact.astype(dtype), attrs


def _values(fields: xr.Dataset, name: str, template: _Template) -> xr.DataArray:
    """([member,] time, row, column) in the units of the template."""
    names = [n for n in (f"{name}_member", name) if n in fields]
    if not names:
        there = [str(n) for n in fields.data_vars]
        raise DataError(f"The fields lack {name!r}, which {template.path} asks for: {suggest(name, there)}")
    values = fields[names[0]]
    if units := template.raw[name].attrs.get("units"):
        values = convert(values, str(units))
    return values.transpose("member", "time", "lat", "lon", missing_dims="ignore")
