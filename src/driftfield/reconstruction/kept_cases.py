"""Reconstructions of the cases of a calibration, kept until it is written, so that none is drawn twice.

RUN/calibration.partial/journal.json      what it is made of
RUN/calibration.partial/cases/SEED-TIME   a case, a Zarr store that appears whole
"""

__all__ = ["KeptCases"]

from collections.abc import Callable
from pathlib import Path

import xarray as xr

from driftfield.files import replacing


class KeptCases:
    """Remembers cases in a folder.

    Arguments:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, seed: int, time: int) -> bool:
        """Whether a case is there."""
        return self._path(seed, time).exists()

    def result(self, seed: int, time: int, case: xr.Dataset, make: Callable[[], xr.Dataset]) -> xr.Dataset:
        """The reconstruction of a case, made where it is not there.

        Arguments:
            seed: Of its members.
            time: Its number in the archive.
            case: What was seen of it; gives the dates.
            make: Makes it.
        """
        path = self._path(seed, time)
        if not path.exists():
            made = make()
            with replacing(path, overwrite=True) as temporary:
                made.drop_vars("time").drop_encoding().drop_attrs().to_zarr(temporary, consolidated=False)
        with xr.open_zarr(path, consolidated=False) as opened:
            return opened.load().assign_coords(time=case["time"])

    def _path(self, seed: int, time: int) -> Path:
        return self.folder / f"{seed}-{time}"
