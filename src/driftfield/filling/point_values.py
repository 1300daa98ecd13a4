"""The values that a map is made of, of one variable, and how they are left out together.

A profile is left out whole, since its values say much of each other; where there are few profiles (one pass of a satellite),
pieces of what was seen are left out instead.
"""

__all__ = ["PointValues", "folds_of", "month_of"]

from dataclasses import dataclass, field

import numpy as np

from driftfield.gaussian.neighbours import leaves
from driftfield.gaussian.point_likelihood import PointSample
from driftfield.gaussian.space_time_covariance import Places

_LEAST_GROUPS = 12
_PIECES = 15


@dataclass(frozen=True)
class PointValues:
    """Values of one variable, each (n,).

    Arguments:
        name: Of the variable.
        lat, lon: Degrees; longitudes unwrapped, so that they do not jump in the box.
        depth: Metres, 0 for surface fields.
        days: Since 1970.
        value: In the units of `attrs`.
        error: Stated standard deviation, 0 where none is stated.
        group: Number of the profile or pass.
        attrs: `units`, `standard_name` and `long_name`.
    """

    name: str
    lat: np.ndarray
    lon: np.ndarray
    depth: np.ndarray
    days: np.ndarray
    value: np.ndarray
    error: np.ndarray
    group: np.ndarray
    attrs: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.value.size

    def __getitem__(self, index: np.ndarray) -> "PointValues":
        columns = {key: getattr(self, key)[index] for key in ("lat", "lon", "depth", "days", "value", "error", "group")}
        return PointValues(self.name, **columns, attrs=self.attrs)

    @property
    def places(self) -> Places:
        return Places(self.lat, self.lon, self.depth, np.zeros(len(self)))

    @property
    def sample(self) -> PointSample:
        """Places, days and error variances."""
        return PointSample(self.places, self.days, self.error**2)

    @property
    def months(self) -> np.ndarray:
        """Calendar months since January 1970."""
        return month_of(self.days)


def month_of(days: np.ndarray) -> np.ndarray:
    """Calendar months since January 1970, of days since 1970."""
    return np.floor(days).astype("timedelta64[D]").astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def folds_of(values: PointValues, *, folds: int = 5, seed: int = 0) -> tuple[np.ndarray, str]:
    """Which fold each value belongs to, and in words what is left out together."""
    rng = np.random.default_rng(seed)
    group = np.unique(values.group, return_inverse=True)[1]
    count = int(group.max()) + 1
    unit = "profile"
    if count < _LEAST_GROUPS:
        flat = np.stack([values.lat, values.lon * np.cos(np.radians(values.lat.mean())), values.days / 10.0], axis=1)
        pieces = leaves(flat, max(1, len(values) // _PIECES))
        for number, piece in enumerate(pieces):
            group[piece] = number
        count, unit = len(pieces), "piece of the tracks"
    order = rng.permutation(count)
    fold = np.empty(count, dtype=np.int64)
    fold[order] = np.arange(count) % min(folds, count)
    return fold[group], unit
