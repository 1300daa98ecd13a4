"""Numbers that stand for "missing" though the file does not say so, found by their values.

    |x| >= 1e30                                  no physical quantity
    -9999, -999, 1e20 and their like             one constant, apart from all other values by more than these span
    one constant in every cell that never changes    land as 0: cells that change never hold it, and no cell is always NaN

A constant that other cells take now and then is a value: no ice, no rain. What is found is missing, and a line says so.
"""

__all__ = ["Constant", "find_constants", "still_cells", "without_constants", "without_still_land"]

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import dask
import numpy as np
import xarray as xr

from driftfield.conventions import state_variables
from driftfield.gridded.removal import remove

log = logging.getLogger(__name__)

_HUGE = 1e30
_USUAL = tuple(
    sign * number
    for number in (99.0, 99.99, 999.0, 999.9, 999.99, 9999.0, 9999.9, 9999.99, 99999.0, 999999.0, 32766.0, 32767.0, 32768.0,
                   65535.0, 2147483647.0, 2147483648.0, 1e10, 1e15, 1e20)
    for sign in (-1.0, 1.0)
)  # fmt: skip
_SAMPLE = 2**22
"""Values of a variable that are looked at, about."""


@dataclass(frozen=True)
class Constant:
    """A number that stands for missing.

    Arguments:
        value: The number; infinite for everything that no quantity can be.
    """

    value: float

    def where(self, array: xr.DataArray) -> xr.DataArray:
        """Where it stands, with room for the last digits of a float32."""
        if np.isinf(self.value):
            return (abs(array) >= _HUGE) & ~np.isinf(array)
        return abs(array - self.value) <= 1e-6 * max(abs(self.value), 1e-30)

    def __str__(self) -> str:
        return "1e30 and beyond" if np.isinf(self.value) else f"{self.value:.6g}"


def find_constants(parts: Sequence[xr.Dataset]) -> dict[str, list[Constant]]:
    """Sentinels by variable, of those that have any; looks at a few dates of a few files.

    Arguments:
        parts: The files of a data set: canonical axes, in the units of the files.
    """
    some = [parts[i] for i in np.unique(np.linspace(0, len(parts) - 1, 8).astype(int))]
    values: dict[str, list[np.ndarray]] = {}
    for part in some:
        for name in (n for n in state_variables(part) if part[n].dtype.kind in "fiu"):
            values.setdefault(name, []).append(_looked_at(part[name]))
    return {name: found for name, seen in values.items() if (found := _constants_of(np.concatenate(seen)))}


def without_constants(dataset: xr.Dataset, found: dict[str, list[Constant]]) -> xr.Dataset:
    """NaN and a mark where the constants stand."""
    for name, constants in found.items():
        if name not in dataset:
            continue
        wrong = constants[0].where(dataset[name])
        for constant in constants[1:]:
            wrong = wrong | constant.where(dataset[name])
        dataset = remove(dataset, name, wrong, 3, f"({', '.join(map(str, constants))})")
    return dataset


def still_cells(field: xr.DataArray) -> tuple[float, xr.DataArray] | None:
    """The constant that all cells hold which never change, and where: land that is 0 at all times. None if there is no such.

    Arguments:
        field: (time, [depth,] lat, lon), three dates or more; twelve are looked at.
    """
    times = field.sizes["time"]
    if times < 3:
        return None
    some = field.isel(time=np.unique(np.linspace(0, times - 1, 12).astype(int)))
    high, low, seen = (
        part.rename(field.name) for part in dask.compute(some.max("time"), some.min("time"), some.notnull().sum("time"))
    )
    still, moves = (high == low) & (seen >= 3), (high > low) & (seen >= 3)
    constants = high.values[still.values]
    if constants.size < 4 or constants.size < 0.01 * int((seen > 0).sum()) or int(moves.sum()) < 4:
        return None
    values, numbers = np.unique(constants, return_counts=True)
    constant = float(values[numbers.argmax()])
    # several constants are no mask: the depth of the sea, or a variable that hardly changes
    if numbers.max() < 0.95 * constants.size:
        return None
    taken = int(((some == constant) & moves).sum().compute())
    if taken > 0.002 * int(seen.where(moves).sum()):
        return None
    # a file with cells that are always missing marks its land by them: what is still is water of 0 degC
    if bool((seen == 0).any()) and not bool(field.notnull().any("time").all().compute()):
        return None
    return constant, still & (high == constant)


def without_still_land(field: xr.DataArray, source: str) -> xr.DataArray:
    """NaN in the cells that hold one and the same constant at all times (`still_cells`), and a line that says so.

    Arguments:
        field: Of which nobody says where it exists.
        source: What messages call the file.
    """
    still = still_cells(field) if "time" in field.dims and field.dtype.kind == "f" else None
    if still is None:
        return field
    constant, where = still
    log.info(
        "%s: %r is %.6g at all times in %d of %d cells, and nowhere else: taken for land (missing). Name a domain "
        "(--domain, data.domain, or the variable 'domain' of the file) if these are values",
        source, field.name, constant, int(where.sum()), where.size,
    )  # fmt: skip
    return field.where(~where).transpose(*field.dims).assign_attrs(field.attrs)


def _looked_at(array: xr.DataArray) -> np.ndarray:
    """Finite values of a few dates and levels, flat."""
    if "time" in array.dims and array.sizes["time"] > 3:
        array = array.isel(time=sorted({0, array.sizes["time"] // 2, array.sizes["time"] - 1}))
    if "depth" in array.dims and array.size > _SAMPLE:
        array = array.isel(depth=sorted({0, array.sizes["depth"] - 1}))
    every = max(1, array.size // _SAMPLE)
    values = np.asarray((array.isel(lat=slice(None, None, every)) if "lat" in array.dims else array).values)
    values = values.reshape(-1)[:: max(1, values.size // _SAMPLE)]
    return values[np.isfinite(values)].astype(np.float64)


def _constants_of(values: np.ndarray) -> list[Constant]:
    constants = []
    if (np.abs(values) >= _HUGE).any():
        constants.append(Constant(np.inf))
        values = values[np.abs(values) < _HUGE]
    for _ in range(3):  # a file has at most a few of them
        constant = _apart(values)
        if constant is None:
            break
        constants.append(Constant(constant))
        values = values[values != constant]
    return constants


def _apart(values: np.ndarray) -> float | None:
    """The least or greatest value, if it is a sentinel: apart from the others by more than they span."""
    distinct, numbers = np.unique(values, return_counts=True)
    if distinct.size < 8:
        return None
    for constant, nearest, others, number in (
        (distinct[0], distinct[1], distinct[1:], numbers[0]),
        (distinct[-1], distinct[-2], distinct[:-1], numbers[-1]),
    ):
        gap, span = abs(nearest - constant), others[-1] - others[0]
        usual = bool(np.isclose(constant, _USUAL, rtol=2e-6, atol=0.0).any())
        often = number >= max(3, 0.001 * values.size)
        if gap > span and (usual or (often and gap > 10 * span)):
            return float(constant)
    return None
