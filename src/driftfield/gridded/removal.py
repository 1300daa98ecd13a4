"""What reading removed: every rule that turns a number of a file into "missing" leaves its mark, and the marks are counted.

    values = left + missing in the file + outside valid_range + default fill + rejected by flags + sentinels

    <variable>_removed    (as the variable) 0 where nothing was removed, else the number of the cause (`CAUSES`)

The marks are as lazy as the variable, follow it through renaming, sorting and selection, and are dropped once they are counted.
"""

__all__ = ["CAUSES", "count_removed", "remove"]

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import dask
import numpy as np
import xarray as xr

from driftfield.errors import DataError

log = logging.getLogger(__name__)

CAUSES = (
    "outside valid_range",
    "the default fill of netCDF, which the file does not declare",
    "rejected by flags",
    "a sentinel that the file does not declare",
)
"""Why a value was removed; a mark is a place in this list, from 1 on."""

_DETAIL = "cause_{}"


@dataclass(frozen=True)
class Removed:
    """What was removed of one variable.

    Arguments:
        values: How many there were, missing ones included.
        missing: Missing in the file itself (NaN, or the fill value that it declares).
        causes: Number by cause, with what it was; causes that removed nothing are left out.
        sampled: Dates that were looked at, if not all of them were.
    """

    values: int
    missing: int
    causes: dict[str, int] = field(default_factory=dict)
    sampled: int = 0

    @property
    def left(self) -> int:
        """How many values there are to work with."""
        return self.values - self.missing - sum(self.causes.values())

    def __str__(self) -> str:
        parts = [f"{number} {cause}" for cause, number in self.causes.items()]
        parts += [f"{self.missing} missing in the file"] if self.missing else []
        looked = f" (on {self.sampled} dates that were looked at)" if self.sampled else ""
        return f"{self.left} of {self.values} values are left{looked}: removed {', '.join(parts) or 'nothing'}"


def remove(dataset: xr.Dataset, name: str, wrong: xr.DataArray, cause: int, detail: str = "") -> xr.Dataset:
    """NaN where a variable is `wrong`, and the mark of the cause beside it; lazily where the variable is lazy.

    Arguments:
        dataset: Holds the variable.
        name: The variable; whole numbers become floats.
        wrong: Boolean, dimensions of the variable or fewer.
        cause: Place in `CAUSES`, from 0 on.
        detail: What exactly: the range, the constant, the flag.
    """
    array = dataset[name]
    wrong = (wrong & array.notnull()).transpose(*array.dims)
    marks = dataset.get(f"{name}_removed")
    attrs = {} if marks is None else dict(marks.attrs)
    before = xr.zeros_like(array, dtype=np.uint8) if marks is None else marks
    found = xr.where(wrong, np.uint8(cause + 1), before).astype(np.uint8)
    if detail:
        attrs[_DETAIL.format(cause)] = detail
    left = array.where(~wrong).assign_attrs(array.attrs)
    if array.dtype.kind in "iu" and array.dtype.itemsize <= 2:
        left = left.astype(np.float32)
    left.encoding = dict(array.encoding)
    return dataset.assign({name: left, f"{name}_removed": found.assign_attrs(attrs)})


def count_removed(
    dataset: xr.Dataset, names: Sequence[str], source: str, *, most: int = 2**29
) -> tuple[xr.Dataset, dict[str, Removed]]:
    """Counts what was removed of these variables, one line each, and drops the marks.

    Arguments:
        dataset: With the marks of `remove`, after every selection.
        names: Variables that are to be used.
        source: What messages call the file.
        most: Bytes of a variable that are looked at as a whole; of a larger one its first, middle and last date are.

    Returns:
        The data set without marks, and what was removed by variable, of those that have marks.

    Raises:
        DataError: nothing is left of a variable of which something was removed.
    """
    counted = {}
    for name in names:
        marks = dataset.get(f"{name}_removed")
        if marks is None:
            continue
        removed = _count(dataset[name], marks, most)
        if not removed.causes:
            continue
        counted[name] = removed
        if not removed.left and not removed.sampled:
            raise DataError(
                f"Nothing of {name!r} in {source} can be used: {removed}. Correct what the file declares (valid_range, "
                "_FillValue, flags), or remove the attribute that is wrong."
            )
        log.info("%s: %r: %s", source, name, removed)
    return dataset.drop_vars([str(n) for n in dataset.data_vars if str(n).endswith("_removed")]), counted


def _count(array: xr.DataArray, marks: xr.DataArray, most: int) -> Removed:
    sampled = 0
    if array.nbytes > most and array.chunks is not None and "time" in array.dims:
        dates = sorted({0, array.sizes["time"] // 2, array.sizes["time"] - 1})
        array, marks, sampled = array.isel(time=dates), marks.isel(time=dates), len(dates)
    tallies = [(marks == cause + 1).sum() for cause in range(len(CAUSES))]
    left, *numbers = dask.compute(array.notnull().sum(), *tallies)
    causes = {
        f"{text} {detail}".strip() if (detail := marks.attrs.get(_DETAIL.format(i), "")) else text: int(number)
        for i, (text, number) in enumerate(zip(CAUSES, numbers, strict=True))
        if int(number)
    }
    return Removed(array.size, array.size - int(left) - sum(causes.values()), causes, sampled)
