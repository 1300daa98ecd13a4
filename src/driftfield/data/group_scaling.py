"""Scales of what a network learns: mean and standard deviation of each cell, of all, or of land and sea, by groups of dates.

    z = (x - mean) / sd            per: cell | domain | land            by: none | hour | month | season

Fitted on training dates alone. A group of dates that training did not have is an error that says which, not a guess.
"""

__all__ = ["Scaling"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from driftfield.data.date_groups import check_by, groups_of, refuse_untrained
from driftfield.errors import ConfigurationError, DataError, suggest

PER = ("cell", "domain", "land")
_LEAST = 1e-6
"""A standard deviation below this part of the largest one is none: such cells are not blown up."""


@dataclass(frozen=True)
class Scaling:
    """How values are scaled; the numbers are kept by whoever fits it.

    Arguments:
        per: Cells that share their numbers: cell, domain or land (land and sea; needs a static field with the share of land).
        by: Dates that have numbers of their own: none, hour, month or season.
    """

    per: str = "cell"
    by: str = "none"

    @classmethod
    def of(cls, spec: Mapping[str, Any] | None) -> "Scaling":
        """From a recipe.

        Raises:
            ConfigurationError: a key or a word that does not exist.
        """
        spec = dict(spec or {})
        for key in spec:
            if key not in ("per", "by"):
                raise ConfigurationError(f"Unknown key {key!r} in scaling: {suggest(str(key), ('per', 'by'))}")
        scaling = cls(**spec)
        if scaling.per not in PER:
            raise ConfigurationError(f"Found scaling per {scaling.per!r}: {suggest(str(scaling.per), PER)}")
        check_by(scaling.by)
        return scaling

    def fit(self, values: np.ndarray, dates: xr.DataArray, land: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Numbers by group: mean and sd (group, row, column), and the groups.

        Arguments:
            values: (time, row, column), NaN where unknown.
            dates: Of the training.
            land: Boolean (row, column), for per: land.
        """
        classes = self._classes(values.shape[1:], land)
        group = groups_of(dates, self.by)
        trained = np.unique(group)
        means, sds = zip(*(_moments(values[group == g], classes) for g in trained), strict=True)
        sd = np.stack(sds)
        return {"groups": trained, "mean": np.stack(means), "sd": np.maximum(sd, _LEAST * max(float(sd.max()), 1e-30))}

    def _classes(self, shape: tuple[int, ...], land: np.ndarray | None) -> np.ndarray:
        """Number of the class of every cell."""
        if self.per == "cell":
            return np.arange(int(np.prod(shape))).reshape(shape)
        if self.per == "domain":
            return np.zeros(shape, dtype=int)
        if land is None:
            raise DataError(
                "Scaling per land needs the share of land: found no static field sftlf or lsm. Add it to data.statics."
            )
        return land.astype(int)

    def places(self, dates: xr.DataArray, fitted: Mapping[str, np.ndarray], method: str) -> np.ndarray:
        """Which of the fitted groups every date is in.

        Raises:
            DataError: none of them; says which were trained.
        """
        return np.array(
            [refuse_untrained(int(g), fitted["groups"], self.by, method) for g in groups_of(dates, self.by)]
        )


def _moments(values: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every class, in every cell; 0 and 0 where a class has no value."""
    known = np.isfinite(values)
    count = np.bincount(classes.ravel(), known.sum(axis=0).ravel())
    total = np.bincount(classes.ravel(), np.where(known, values, 0.0).sum(axis=0).ravel())
    mean = (total / np.maximum(count, 1))[classes]
    square = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
    variance = (np.bincount(classes.ravel(), square.ravel()) / np.maximum(count, 1))[classes]
    return mean, np.sqrt(variance)
