"""Real gaps: those of another file, or those of another time of the same record."""

__all__ = ["Borrowed", "Own"]

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt

from driftfield.data.masks.pattern import Lender, Pattern
from driftfield.errors import ConfigurationError, DataError
from driftfield.gridded.gridded_files import open_fields
from driftfield.registry import register


@dataclass(frozen=True)
class Borrowed(Pattern):
    """Takes the gaps of a real file: a random time, a random place; a smaller donor is continued by reflection.

    A gap is NaN in a cell that is finite at another time; over the donor's land the nearest sea cell decides.

    Arguments:
        path: A gridded file with gaps.
        variable: Its variable; the first one with a time axis if not given.
    """

    path: str
    variable: str | None = None

    @cached_property
    def gaps(self) -> np.ndarray:
        """Gaps of the donor: boolean (time, lat, lon)."""
        fields = open_fields(self.path, variables=None if self.variable is None else [self.variable])
        dated = [n for n in fields.data_vars if "time" in fields[n].dims]
        if not dated:
            raise DataError(f"No variable with a time axis in {self.path}. Gaps are borrowed from single times.")
        donor = fields[self.variable or dated[0]]
        donor = donor.isel(depth=0) if "depth" in donor.dims else donor
        finite = np.isfinite(donor.transpose("time", "lat", "lon").values)
        sea = finite.any(axis=0)
        if not sea.any():
            raise DataError(f"{donor.name!r} in {self.path} is NaN everywhere. Borrow the gaps of another file.")
        nearest = distance_transform_edt(~sea, return_distances=False, return_indices=True)
        return ~finite[:, nearest[0], nearest[1]]

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        gaps = self.gaps[int(rng.integers(self.gaps.shape[0]))]
        short = [(0, max(0, size - have)) for size, have in zip(domain.shape[-2:], gaps.shape, strict=True)]
        gaps = np.pad(gaps, short, mode="symmetric")
        row, col = (int(rng.integers(h - s + 1)) for h, s in zip(gaps.shape, domain.shape[-2:], strict=True))
        return domain & ~gaps[row : row + domain.shape[-2], col : col + domain.shape[-1]]


@dataclass(frozen=True)
class Own(Pattern):
    """Takes the gaps of another time of the record that is observed, at the same place: real clouds over their own sea.

    Arguments:
        lag: How many times later the gaps are taken from, around the end of the record; a random other time if not given.
        record: Where they are taken from; filled in by `among`.
    """

    lag: int | None = None
    record: Lender | None = None

    def among(self, record: Lender) -> Pattern:
        if record.count < 2 or (self.lag is not None and self.lag % record.count == 0):
            raise ConfigurationError(
                f"'own{'' if self.lag is None else f':{self.lag}'}' borrows the gaps of another time, but the record has "
                f"{record.count}. Choose another lag, or a pattern such as clouds:0.5."
            )
        return Own(self.lag, record)

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        if self.record is None:
            raise ConfigurationError("'own' borrows the gaps of other times, and here are none. Use from:FILE.")
        lag = int(rng.integers(1, self.record.count)) if self.lag is None else self.lag
        return domain & self.record.seen((self.record.time + lag) % self.record.count)


@register("pattern", "from")
def _read_borrowed(value: str) -> Pattern:
    """FILE[:variable]."""
    path, _, variable = value.rpartition(":") if "." not in value.rpartition(":")[2] else (value, "", "")
    if not value:
        raise ConfigurationError("'from' names no file: expected from:FILE or from:FILE:variable.")
    return Borrowed(path or value, variable if path and variable else None)


@register("pattern", "own")
def _read_own(value: str) -> Pattern:
    """Nothing, or a number of times."""
    try:
        return Own(int(value) if value else None)
    except ValueError as error:
        raise ConfigurationError(
            f"Cannot read {f'own:{value}'!r}: expected a whole number of times, such as own:5."
        ) from error
