"""What is known of every window without being seen: fields that do not change, and classes that its date belongs to.

    static   (z - mean) / sd over the cells where any target exists, 0 elsewhere                         (static, lat, lon)
    label    month 0 ... 11, season 0 ... 3 (from December), hour 0 ... 23, day_of_year 0 ... 365        (label,)

A network that takes them gets static fields as channels of its condition and learns a vector for each class of a label.
"""

__all__ = ["LABELS", "Conditions", "Label", "check_labels"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from driftfield.data.varying import z_score
from driftfield.errors import ConfigurationError, DataError, suggest


@dataclass(frozen=True)
class Label:
    """A class that every date belongs to.

    Arguments:
        classes: How many there are.
        of: (time,) dates -> (time,) numbers from 0.
    """

    classes: int
    of: Callable[[xr.DataArray], xr.DataArray]


LABELS: dict[str, Label] = {
    "month": Label(12, lambda times: times.dt.month - 1),
    "season": Label(4, lambda times: times.dt.month % 12 // 3),
    "hour": Label(24, lambda times: times.dt.hour),
    "day_of_year": Label(366, lambda times: times.dt.dayofyear - 1),
}
"""By the name that a recipe uses."""


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels of a recipe.

    Raises:
        ConfigurationError: no list of names, one that does not exist, or the same twice.
    """
    if isinstance(labels, str) or not all(isinstance(name, str) for name in labels):
        raise ConfigurationError(f"labels is {labels!r}: expected a list such as [month].")
    for name in labels:
        if name not in LABELS:
            raise ConfigurationError(f"Unknown label {name!r}: {suggest(name, LABELS)}")
    if len(set(labels)) < len(labels):
        raise ConfigurationError(f"labels is {list(labels)}: expected every name once.")
    return tuple(labels)


@dataclass(frozen=True)
class Conditions:
    """Static fields on the grid of a run, and the names of its labels.

    Arguments:
        statics: (lat, lon) by name, as z-scores.
        labels: Names of `LABELS`.
    """

    statics: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls, statics: Mapping[str, np.ndarray], labels: Sequence[str], *, exists: np.ndarray, train: xr.DataArray
    ) -> "Conditions":
        """From fields as they are.

        Arguments:
            statics: (lat, lon) by name, in their units.
            labels: Names.
            exists: Where any target exists: (lat, lon).
            train: Dates of the training.

        Raises:
            DataError: a static field that is unknown where a target exists or the same everywhere, or a label that is the same at
                all dates.
        """
        for name, values in statics.items():
            if unknown := int(np.count_nonzero(exists & ~np.isfinite(values))):
                raise DataError(
                    f"The static field {name!r} is missing in {unknown} of {np.count_nonzero(exists)} cells where a target "
                    "exists: expected all. Fill them, or leave it out."
                )
        conditions = cls({name: z_score(values, exists, name) for name, values in statics.items()}, tuple(labels))
        for name, classes in zip(labels, conditions.classes_at(train).T, strict=True):
            if np.unique(classes).size == 1:
                raise DataError(
                    f"The label {name!r} is {classes[0]} at all {classes.size} dates of the training: it says nothing. "
                    "Leave it out."
                )
        return conditions

    @property
    def classes(self) -> list[int]:
        """How many classes each label has."""
        return [LABELS[name].classes for name in self.labels]

    def classes_at(self, times: xr.DataArray) -> np.ndarray:
        """The class of every label at some dates (datetime64 or cftime): (time, label) whole numbers from 0."""
        columns = [np.asarray(LABELS[name].of(times)) for name in self.labels]
        return np.stack(columns, axis=1).astype(np.int64) if columns else np.zeros((times.size, 0), np.int64)

    def window(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The static fields of some rows and columns of the grid: (static, lat, lon)."""
        parts = [values[np.ix_(rows, columns)] for values in self.statics.values()]
        return np.stack(parts) if parts else np.zeros((0, rows.size, columns.size))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The static fields, for a run."""
        return {f"static.{name}": values for name, values in self.statics.items()}

    @classmethod
    def from_arrays(cls, labels: Sequence[str], arrays: Mapping[str, np.ndarray]) -> "Conditions":
        """What a run kept: the names of its labels, and `to_arrays` among other arrays."""
        kept = {name: array for name, array in arrays.items() if name.startswith("static.")}
        return cls({name.removeprefix("static."): array for name, array in kept.items()}, tuple(labels))
