"""The content of an archive in sixteen letters, so that a file that grew or was corrected under its name is noticed.

    names, dimensions, units, axes, domains, and values: all of what is in memory, else those of up to 32 dates

It is the content that counts: a file that was moved, copied or packed otherwise keeps its fingerprint.
"""

__all__ = ["ARCHIVE", "fingerprint"]

import hashlib

import numpy as np
import xarray as xr

from driftfield.gridded.encodings import date_text
from driftfield.interfaces import Archive

_DATES = 32

ARCHIVE = "content of data.archive"
"""Under which name a run keeps the fingerprint of what it was fitted to."""


def fingerprint(archive: Archive) -> str:
    """Of everything that can be learnt from an archive; a large one is not read whole.

    Arguments:
        archive: As `data.sources.open_archive` opens it.
    """
    digest = hashlib.sha256()
    fields: xr.Dataset = archive.dataset
    for axis in ("depth", "lat", "lon"):
        if axis in fields.coords:
            digest.update(f"{axis} {np.asarray(fields[axis].values, dtype=np.float64).round(6).tolist()}".encode())
    digest.update(" ".join(date_text(date) for date in fields["time"].values).encode())
    for name in sorted(map(str, fields.data_vars)):
        array = fields[name]
        digest.update(f"{name} {array.dims} {array.shape} {array.attrs.get('units', '')}".encode())
        # the errors of a variable exist where it does
        of = name.removesuffix("_error")
        digest.update(np.ascontiguousarray(archive.domain(of if of in fields else name).values.astype(bool)).tobytes())
        for index in _looked_at(array):
            digest.update(_bytes(array.isel(time=index).values if "time" in array.dims else array.values))
    return digest.hexdigest()[:16]


def _looked_at(array: xr.DataArray) -> np.ndarray:
    times = array.sizes.get("time", 1)
    if array.chunks is None or times <= _DATES:
        return np.arange(times)
    return np.unique(np.linspace(0, times - 1, _DATES).astype(int))


def _bytes(values: np.ndarray) -> bytes:
    numbers = np.ascontiguousarray(values, dtype="<f4")
    return np.where(np.isnan(numbers), np.float32(np.nan), numbers).tobytes()
