"""Argo profiles from the ERDDAP server of the Coriolis data centre: all flags and modes, a table for `gather` and `map`.

A box of thirty days is a request; of a box across the dateline both sides are.
"""

__all__ = ["ArgoSource"]

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import xarray as xr

from driftfield.errors import DataError
from driftfield.sources.asked import AskedBox, Piece, spans
from driftfield.sources.fetching import EMPTY

DAYS = 30
MEASURED = ("pres", "temp", "psal")
PLACED = (
    "platform_number", "cycle_number", "direction", "data_mode", "time", "time_qc", "latitude", "longitude", "position_qc",
)  # fmt: skip


class ArgoSource:
    """Rows of the table ArgoFloats; variables are temp and psal, or more of its columns."""

    server = "https://erddap.ifremer.fr/erddap/tabledap/ArgoFloats.nc"
    terms = "Argo data are free; cite doi:10.17882/42182"
    account = "no account"
    takes: tuple[str, ...] = ("depth",)

    def carrier(self, server: str) -> None:
        """Plain HTTPS."""

    def pieces(self, asked: AskedBox, server: str) -> list[Piece]:
        """A request for each thirty days and side of the dateline."""
        measured = ("pres", *asked.variables) if asked.variables else MEASURED
        columns = [
            *PLACED,
            *(f"{name}{part}" for name in measured for part in ("", "_qc", "_adjusted", "_adjusted_qc")),
        ]
        shallow, deep = asked.depth or (0.0, 2000.0)
        pieces = []
        for first, last in spans(asked.first, asked.last, DAYS):
            for west, east in _sides(*asked.lon):
                # a decibar is a little less than a metre: the deepest level is not lost
                constraints = [
                    f"time>={first}T00:00:00Z", f"time<={last}T23:59:59Z",
                    f"latitude>={asked.lat[0]:g}", f"latitude<={asked.lat[1]:g}",
                    f"longitude>={west:g}", f"longitude<={east:g}",
                    f"pres>={max(0.0, shallow - 5):g}", f"pres<={1.03 * deep + 5:g}",
                ]  # fmt: skip
                query = "&".join([",".join(columns), *(quote(text, safe="=:") for text in constraints)])
                pieces.append(Piece(f"{server}?{query}", f"argo_{first}_{west:g}.nc", may_be_empty=True))
        return pieces

    def joined(self, files: Sequence[Path], asked: AskedBox) -> xr.Dataset:
        """All rows, in the order of their dates.

        Raises:
            DataError: there is no row in the box.
        """
        full = [path for path in files if path.read_bytes()[: len(EMPTY)] != EMPTY]
        if not full:
            raise DataError("No Argo profile in this box and time. Ask for a wider one.")
        parts = []
        for path in full:
            with xr.open_dataset(path, decode_times=False, engine="netcdf4") as part:
                parts.append(part.load())
        table = xr.concat(parts, dim="row", data_vars="all", combine_attrs="override") if len(parts) > 1 else parts[0]
        return table.isel(row=table["time"].argsort(kind="stable").values)


def _sides(west: float, east: float) -> list[tuple[float, float]]:
    """Longitudes -180 to 180, one range or the two sides of the dateline."""
    if east - west >= 360:
        return [(-180.0, 180.0)]
    low, high = ((x + 180) % 360 - 180 for x in (west, east))
    return [(low, high)] if low < high else [(low, 180.0), *([(-180.0, high)] if high > -180 else [])]
