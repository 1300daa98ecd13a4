"""ERA5 and CERRA from the Climate Data Store, through its client cdsapi.

A request is one variable in some days of one month, at most 1000 fields: its answer is one file, and it waits less in the queue.
Credentials and address are those of the client: `~/.cdsapirc`, or CDSAPI_URL and CDSAPI_KEY. Levels of pressure become variables
of their own, `t_500`: a pressure is no depth.
"""

__all__ = ["CERRA", "ERA5_STORE", "LEVEL_NAMES", "ClimateStoreSource", "on_levels"]

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.errors import ConfigurationError, DataError, need
from driftfield.gridded.gridded_files import open_fields
from driftfield.gridded.region import select_region
from driftfield.sources.asked import AskedBox, Piece, cells_in, eastward, spans, write_piece
from driftfield.sources.fetching import Carrier, client_errors

log = logging.getLogger(__name__)

FIELDS = 1000
"""Of one request, at most."""
USUAL_HOURS = (0, 6, 12, 18)
LEVEL_NAMES = ("pressure_level", "level", "isobaricInhPa", "plev")


@dataclass(frozen=True)
class ClimateStoreSource:
    """A reanalysis of the store; variables by their long names, such as 2m_temperature; with levels those on pressure levels.

    Arguments:
        terms: Under which it may be used.
        at_surface, on_pressure: Names of its data sets.
        says: What every request says besides.
        says_at_surface: What one without levels does.
        spacing: Degrees of its grid, if the store cuts the region out; one of no latitudes is sent whole, and cut here.
        whole: Cells of the whole grid.
        every: Hours between fields.
    """

    terms: str
    at_surface: str
    on_pressure: str
    says: Mapping[str, Any]
    says_at_surface: Mapping[str, Any] = field(default_factory=dict)
    spacing: float | None = None
    whole: int = 0
    every: int = 1
    server: str = "cds"
    account: str = "a free account of the Climate Data Store (~/.cdsapirc), and its licence accepted once on its page"
    takes: tuple[str, ...] = ("levels", "hours")

    def carrier(self, server: str) -> Carrier:
        """The client."""
        return _retrieve

    def pieces(self, asked: AskedBox, server: str) -> list[Piece]:
        """Requests that stay below `FIELDS`, each of one variable and one month.

        Raises:
            ConfigurationError: hours that it has no fields of.
        """
        hours = asked.hours or USUAL_HOURS
        if wrong := [hour for hour in hours if hour % self.every]:
            raise ConfigurationError(
                f"Found --hours {wrong[0]}: expected hours of a field, every {self.every} from 0 on."
            )
        dataset, together = (
            self.on_pressure if asked.levels else self.at_surface,
            len(hours) * max(1, len(asked.levels)),
        )
        cells = self.whole if self.spacing is None else cells_in(asked, self.spacing)
        pieces = []
        for name in asked.variables or ("2m_temperature",):
            for first, last in spans(asked.first, asked.last, max(1, FIELDS // together), within_months=True):
                request = self._request(name, first, last, hours, asked)
                size = 4 * cells * together * ((last - first).days + 1)
                url = f"cdsapi retrieve {dataset} {json.dumps(request)}"
                call = {"dataset": dataset, "request": request}
                pieces.append(Piece(url, f"{dataset}_{name}_{first}.nc", size, request=call))
        return pieces

    def joined(self, files: Sequence[Path], asked: AskedBox) -> xr.Dataset:
        """The region at all times."""
        return select_region(open_fields(list(files)), {"lat": list(asked.lat), "lon": list(asked.lon)})

    def _request(self, name: str, first: date, last: date, hours: Sequence[int], asked: AskedBox) -> Mapping[str, Any]:
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        west, east = eastward(*asked.lon)
        return {
            "variable": [name],
            "year": [f"{first.year}"],
            "month": [f"{first.month:02d}"],
            "day": [f"{day.day:02d}" for day in days],
            "time": [f"{hour:02d}:00" for hour in hours],
            **self.says,
            **({"pressure_level": [str(level) for level in asked.levels]} if asked.levels else self.says_at_surface),
            **({} if self.spacing is None else {"area": [asked.lat[1], west, asked.lat[0], east]}),
        }


ERA5_STORE = ClimateStoreSource(
    terms="free under the licence of Copernicus; cite doi:10.24381/cds.adbb2d47",
    at_surface="reanalysis-era5-single-levels",
    on_pressure="reanalysis-era5-pressure-levels",
    says={"product_type": ["reanalysis"], "data_format": "netcdf", "download_format": "unarchived"},
    spacing=0.25,
)
"""Hourly, the globe at 1/4 degree."""

CERRA = ClimateStoreSource(
    terms="free under the licence of Copernicus; cite doi:10.24381/cds.622a565a",
    at_surface="reanalysis-cerra-single-levels",
    on_pressure="reanalysis-cerra-pressure-levels",
    says={"data_type": ["reanalysis"], "product_type": "analysis", "data_format": "netcdf"},
    says_at_surface={"level_type": "surface_or_atmosphere"},
    whole=1069 * 1069,
    every=3,
)
"""Three-hourly analyses of Europe at 5.5 km, on a cone."""


def _retrieve(piece: Piece, part: Path) -> None:
    cdsapi = need("cdsapi", "cds", "The Climate Data Store")
    answer = part.with_name(f"{piece.name}.answer")
    try:
        with client_errors(_refused):
            # one try: waiting and asking again are the fetcher's
            client = cdsapi.Client(quiet=True, progress=False, retry_max=1)
            client.retrieve(piece.request["dataset"], dict(piece.request["request"]), str(answer))
            with answer.open("rb") as file:
                begin = file.read(4)
            if not begin.startswith((b"CDF", b"\x89HDF")):
                raise DataError(f"The answer to {piece.url} is no single NetCDF file: it begins with {begin!r}.")
            with xr.open_dataset(answer, engine="netcdf4") as fields:
                write_piece(_plain(fields), part, ())
    finally:
        answer.unlink(missing_ok=True)


def _refused(error: Exception) -> str:
    said = " ".join(str(error).split())[:500]
    if "configuration file" in said or "401" in said:
        return f"The Climate Data Store knows no such account: {said}. Put url and key of your profile there into ~/.cdsapirc."
    return f"The Climate Data Store refused the request: {said}. Check variables, levels, dates and the licence on its page."


def _plain(fields: xr.Dataset) -> xr.Dataset:
    """Time is called time; members and versions are no coordinates; each level is a variable."""
    if "expver" in fields.variables and fields["expver"].ndim == 1:
        preliminary = int((fields["expver"].astype(str) == "0005").sum())
        if preliminary:
            log.warning("%d of %d dates are preliminary (ERA5T)", preliminary, fields["expver"].size)
    fields = fields.drop_vars([name for name in ("expver", "number", "step", "surface") if name in fields.variables])
    if "valid_time" in fields.dims:
        fields = fields.drop_vars("time", errors="ignore").rename(valid_time="time")
    fields = fields.drop_vars("valid_time", errors="ignore")
    axis = next((name for name in LEVEL_NAMES if name in fields.dims), None)
    if axis is None:
        return fields.drop_vars([name for name in LEVEL_NAMES if name in fields.variables])
    return on_levels(fields, axis, [int(level) for level in np.asarray(fields[axis].values)])


def on_levels(fields: xr.Dataset, axis: str, levels: Sequence[int]) -> xr.Dataset:
    """The variables on an axis of pressure, in hPa, by name and level: t_500; others as they are."""
    parts: dict[str, xr.DataArray] = {}
    for name, array in fields.data_vars.items():
        if axis not in array.dims:
            parts[str(name)] = array
            continue
        for level in levels:
            described = str(array.attrs.get("long_name", name))
            chosen = array.sel({axis: level}).drop_vars(axis)
            parts[f"{name}_{level}"] = chosen.assign_attrs(long_name=f"{described} at {level} hPa")
    return xr.Dataset(
        parts, coords={n: c for n, c in fields.coords.items() if axis not in c.dims and n != axis}, attrs=fields.attrs
    )
