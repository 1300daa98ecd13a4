"""Regression on season and position: few numbers for the whole field, shrunk, the mean that a sparse archive can support.

    f(t, x) = H(t, x) beta + e      H: harmonics of the year, place, depth, their products and a trend
    sd^2    = noise of the level + H cov(beta) H'           members = mean + sd eps

(`gaussian/seasonal_regression.py`.) Like the climatology it looks at no observation of the file; it knows no cell by itself, so a
cell that was never seen is as good as any. Beyond the years of the archive the trend stays where it ended.
"""

__all__ = ["SeasonAndPosition"]

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import geometry_of
from driftfield.errors import DataError
from driftfield.gaussian.seasonal_regression import SeasonalBasis, SeasonalRegression
from driftfield.gridded.encodings import time_days
from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background, canonical, part
from driftfield.peers.base import Peer, Remembered, fitting_times, time_blocks, white_members
from driftfield.plain import JSONObject
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

_MOST_ROWS, _BLOCK = 100_000, 64


@register("reconstructor")
class SeasonAndPosition(Peer):
    """A regression of all values of a variable on date, place and depth.

    Arguments:
        refit: Whether the validation split is used as well; there is no constant to choose on it.
    """

    method = "season_and_position"
    regression: dict[str, SeasonalRegression]
    sd: dict[str, np.ndarray]

    def __init__(self, refit: bool = True) -> None:
        self.refit = refit

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns the coefficients.

        Raises:
            DataError: the archive lacks a target or a time axis, or nothing of it was seen.
        """
        self.seed = seed
        times = fitting_times(data, refit=self.refit)
        self.background = Background.fit(data, times)
        self.regression, self.sd = {}, {}
        for name in data.targets:
            self._fit(data, name, times, seed)

    def _fit(self, data: TrainingData, name: str, times: np.ndarray, seed: int) -> None:
        y, x, z, when, value, level = self._rows(data, name, times, np.random.default_rng(seed))
        if not value.size:
            raise DataError(f"Nothing of {name!r} was seen in the training split: no regression can be fitted.")
        basis = SeasonalBasis.covering(y, x, z, when)
        columns, names = basis.columns(y, x, z, when)
        # neighbours and days of one month are not independent
        count = np.minimum(np.unique(np.floor(when / 30.0), return_counts=True)[1], 64).sum()
        fitted = SeasonalRegression.fit(basis, columns, names, value, effective=float(count))
        self.regression[name] = fitted
        square, of = (value - fitted.at(columns)) ** 2, level.astype(np.int64)
        seen = np.bincount(of, minlength=self._levels(name).max() + 1)
        # a level that was hardly seen has the variance of all
        self.sd[name] = np.sqrt((np.bincount(of, square, minlength=seen.size) + 10 * square.mean()) / (seen + 10))

    def _rows(self, data: TrainingData, name: str, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Latitude, longitude, depth, day, value and level of what was seen: (6, row); a part where that is very much."""
        field = canonical(data.archive.dataset[name])
        lat, lon, depth = self._cells(name)
        inside, level = self.background.domains[name].values.ravel(), self._levels(name)
        days, rows = time_days(field["time"]), []
        most = int(_MOST_ROWS / max(1, len(times) / _BLOCK))
        for block in time_blocks(times, _BLOCK):
            values = np.asarray(field.isel(time=block).values, dtype=np.float64).reshape(len(block), -1)
            t, cell = np.nonzero(np.isfinite(values) & inside)
            if t.size > most:
                chosen = np.sort(rng.choice(t.size, most, replace=False))
                t, cell = t[chosen], cell[chosen]
            rows.append(np.stack([lat[cell], lon[cell], depth[cell], days[block][t], values[t, cell], level[cell]]))
        return np.concatenate(rows, axis=1)

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """The regression on every date; the observations only say when and where."""
        return {name: self._estimate(observations[name], name, members, seed) for name in self.background.targets}

    def _estimate(self, field: xr.DataArray, name: str, members: int, seed: int) -> Estimate:
        regression = self.regression[name]
        lat, lon, depth = self._cells(name)
        noise = self.sd[name][self._levels(name)] ** 2
        shape = self.background.domains[name].shape
        mean, sd = np.empty((2, field.sizes["time"], *shape), dtype=np.float32)
        for t, day in enumerate(time_days(field["time"])):
            columns, _ = regression.basis.columns(lat, lon, depth, np.full(lat.size, day))
            mean[t] = regression.at(columns).reshape(shape)
            sd[t] = np.sqrt(regression.variance(columns) + noise).reshape(shape)
        return Estimate(mean, sd, white_members(mean, sd, field["time"], name, members, seed))

    def _cells(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Latitude, longitude without a jump, and depth of every cell of a variable, flat."""
        domain = self.background.domains[name]
        cells = geometry_of(domain)
        lon = np.unwrap(np.unwrap(cells.longitude, period=360.0, axis=1), period=360.0, axis=0)
        depth = domain["depth"].values.astype(np.float64) if "depth" in domain.dims else np.zeros(1)
        lat, lon, depth = np.broadcast_arrays(cells.latitude[None], lon[None], depth[:, None, None])
        return lat.ravel(), lon.ravel(), depth.ravel()

    def _levels(self, name: str) -> np.ndarray:
        shape = self.background.domains[name].shape
        return np.repeat(np.arange(int(np.prod(shape[:-2], dtype=int))), shape[-2] * shape[-1])

    def _remember(self) -> Remembered:
        arrays: dict[str, np.ndarray] = {}
        extra: JSONObject = {}
        for name, fitted in self.regression.items():
            arrays |= {
                f"beta.{name}": fitted.beta,
                f"covariance.{name}": fitted.covariance,
                f"sd.{name}": self.sd[name],
            }
            extra[name] = {"basis": asdict(fitted.basis), "variances": dict(fitted.variances), "noise": fitted.noise}
        return arrays, {"regression": extra}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.sd = part(arrays, "sd.")
        self.regression = {}
        for name, values in extra["regression"].items():
            basis: Mapping[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["basis"].items()}
            self.regression[name] = SeasonalRegression(
                SeasonalBasis(**basis),
                arrays[f"beta.{name}"],
                arrays[f"covariance.{name}"],
                values["variances"],
                float(values["noise"]),
            )
