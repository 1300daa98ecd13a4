"""NOAA's daily optimum interpolation of sea surface temperature (OISST 2.1, 1/4 degree): a file a day, cut to the region here."""

__all__ = ["OISSTSource"]

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import xarray as xr

from driftfield.conventions import require
from driftfield.gridded.gridded_files import open_fields
from driftfield.gridded.region import select_region
from driftfield.sources.asked import AskedBox, Piece

FILE_BYTES = 1_700_000
"""Of one day, about."""


class OISSTSource:
    """Daily files; variables are sst, or more of anom, err and ice."""

    server = "https://www.ncei.noaa.gov/data/sea-surface-temperature-optimum-interpolation/v2.1/access/avhrr"
    terms = "NOAA OISST is in the public domain; cite doi:10.25921/RE9P-PT57"
    account = "no account"
    takes: tuple[str, ...] = ()

    def carrier(self, server: str) -> None:
        """Plain HTTPS."""

    def pieces(self, asked: AskedBox, server: str) -> list[Piece]:
        """A request a day."""
        days = [asked.first + timedelta(days=n) for n in range((asked.last - asked.first).days + 1)]
        names = [f"oisst-avhrr-v02r01.{day:%Y%m%d}.nc" for day in days]
        return [Piece(f"{server}/{day:%Y%m}/{name}", name, FILE_BYTES) for day, name in zip(days, names, strict=True)]

    def joined(self, files: Sequence[Path], asked: AskedBox) -> xr.Dataset:
        """The region on all days."""
        fields = open_fields(list(files))
        names = list(asked.variables or ("sst",))
        require(fields, names, "the files of the service")
        return select_region(fields[names], {"lat": list(asked.lat), "lon": list(asked.lon)}).load()
