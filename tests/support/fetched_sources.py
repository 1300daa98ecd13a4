"""What a source fetches from a server of the tests, without waiting."""

__all__ = ["BOX", "fetched"]

from datetime import date
from pathlib import Path
from typing import Any

import xarray as xr

from driftfield.sources.asked import AskedBox, Source
from driftfield.sources.downloading import download
from driftfield.sources.fetching import Fetcher

BOX = AskedBox((30.0, 40.0), (-70.0, -60.0), date(2015, 1, 30), date(2015, 2, 2), variables=("2m_temperature",))


def fetched(source: Source, asked: AskedBox, server: str, out: Path, **how: Any) -> tuple[xr.Dataset, list[float]]:
    """The joined file, and how long was waited for."""
    waits: list[float] = []
    fetcher = Fetcher(source.carrier(server), sleep=waits.append, **how)
    download(source, source.pieces(asked, server), asked, out, fetcher=fetcher)
    return xr.open_dataset(out), waits
