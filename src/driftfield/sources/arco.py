"""ERA5 from the analysis-ready store ARCO-ERA5, a Zarr of hourly fields on public cloud storage: no account.

A chunk of the store is a whole globe (and all 37 levels of a variable that has levels) at one hour: that is what is fetched for
however small a region, and what `--dry-run` counts. A piece is some days, at most a gigabyte of chunks.
"""

__all__ = ["ERA5Source"]

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.errors import DataError, suggest
from driftfield.gridded.gridded_files import open_fields
from driftfield.gridded.region import select_region
from driftfield.gridded.remote import open_remote
from driftfield.sources.asked import AskedBox, Piece, spans, write_piece
from driftfield.sources.climate_store import LEVEL_NAMES, USUAL_HOURS, on_levels
from driftfield.sources.fetching import Carrier, client_errors, public_fsspec

FIELD_BYTES = 4 * 721 * 1440
LEVELS = 37
PIECE_BYTES = 1_000_000_000


class ERA5Source:
    """Hourly fields at 1/4 degree; variables by long names such as 2m_temperature; with levels, those on pressure levels."""

    server = "gs://gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3"
    terms = "free under the licence of Copernicus; cite doi:10.24381/cds.adbb2d47 and ARCO-ERA5"
    account = "no account"
    takes: tuple[str, ...] = ("levels", "hours")

    def carrier(self, server: str) -> Carrier:
        """Reads the store."""
        return _cut

    def pieces(self, asked: AskedBox, server: str) -> list[Piece]:
        """Some days each; their size is that of the chunks."""
        names, hours = list(asked.variables or ("2m_temperature",)), list(asked.hours or USUAL_HOURS)
        daily = FIELD_BYTES * len(hours) * len(names) * (LEVELS if asked.levels else 1)
        pieces = []
        for first, last in spans(asked.first, asked.last, max(1, PIECE_BYTES // daily)):
            request: dict[str, Any] = {
                "variables": names, "levels": list(asked.levels), "hours": hours, "first": str(first), "last": str(last),
                "lat": list(asked.lat), "lon": list(asked.lon),
            }  # fmt: skip
            size = daily * ((last - first).days + 1)
            call = request | {"store": server}
            pieces.append(Piece(f"{server} {json.dumps(request)}", f"era5_{first}.nc", size, request=call))
        return pieces

    def joined(self, files: Sequence[Path], asked: AskedBox) -> xr.Dataset:
        """The region at all times."""
        return open_fields(list(files))


def _cut(piece: Piece, part: Path) -> None:
    asked = piece.request
    public_fsspec("ERA5 from a store")

    def unreadable(error: Exception) -> str:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        return f"{asked['store']} could not be read: {said}. Check its address."

    with client_errors(unreadable):
        fields = _selected(open_remote(asked["store"]), asked)
        write_piece(fields, part, [str(name) for name in fields.data_vars])


def _selected(store: xr.Dataset, asked: Any) -> xr.Dataset:
    """The part of the store that a piece is: decoded, with latitudes from south to north."""
    for name in asked["variables"]:
        if name not in store.data_vars:
            raise DataError(f"The store has no variable {name!r}: {suggest(name, map(str, store.data_vars))}")
    fields = xr.decode_cf(store[asked["variables"]])
    first, last = np.datetime64(asked["first"]), np.datetime64(asked["last"])
    days = np.arange(first, last + np.timedelta64(1, "D"), dtype="datetime64[D]").astype("datetime64[ns]")
    wanted = (days[:, None] + np.array(asked["hours"], dtype="timedelta64[h]").astype("timedelta64[ns]")).ravel()
    known = np.isin(wanted, fields["time"].values)
    if not known.all():
        raise DataError(f"The store has no field of {wanted[~known][0]}: it has {_ends(fields)}. Ask for those.")
    axis = next((name for name in LEVEL_NAMES if name in fields.dims), None)
    if asked["levels"]:
        fields = _on_asked_levels(fields, axis, asked["levels"])
    elif axis is not None:
        raise DataError(f"{asked['variables'][0]!r} has levels of pressure: expected --level, such as --level 500.")
    fields = fields.sel(time=wanted).rename(latitude="lat", longitude="lon").sortby("lat")
    return select_region(fields, {"lat": asked["lat"], "lon": asked["lon"]}).load()


def _on_asked_levels(fields: xr.Dataset, axis: str | None, levels: Sequence[int]) -> xr.Dataset:
    if axis is None:
        raise DataError("These variables have no levels of pressure: leave --level out.")
    present = [int(level) for level in fields[axis].values]
    if wrong := [level for level in levels if level not in present]:
        raise DataError(f"The store has no level of {wrong[0]} hPa: expected some of {present}.")
    return on_levels(fields, axis, levels)


def _ends(fields: xr.Dataset) -> str:
    return " to ".join(str(end)[:13] for end in fields["time"].values[[0, -1]])
