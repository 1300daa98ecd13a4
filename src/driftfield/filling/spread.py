"""From what a method states to a spread that holds, by how far a cell lies from what was seen.

    d          distance of a cell to the nearest one that was seen on its date, in cells
    factor(d)  what makes 92 % of the hidden errors at d lie within 1.645 of the stated spread; classes with equally many cells,
               each drawn to the factor of all cells by as many cells as `FEW`
    spread(d)  root mean square error at d, for methods that state none

One factor for all distances is too wide beside observations and too narrow in the middle of a gap. 92 and not 90: what is hidden
are some forty blocks, and the quantile of n that nine in ten others do not exceed is that of a share of 0.9 (n + 1) / n
(conformal prediction; Vovk et al. 2005, "Algorithmic learning in a random world").
"""

__all__ = ["AIM", "BAND", "Distances", "Factors", "Spread", "classes_of", "quantile"]

from dataclasses import dataclass
from typing import Self

import numpy as np

BAND = 1.645
"""Half the width of the interval that holds 90 % of a normal distribution, in standard deviations."""

AIM = 0.92
"""Share of the hidden errors that lie within the interval of 90 %."""

FEW = 300
"""Hidden cells of a class that have half the say in its factor: they lie side by side and err together."""


def quantile(values: np.ndarray, share: float, weights: np.ndarray) -> float:
    """The value that a share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weights[order])
    return float(values[order][min(int(np.searchsorted(mass, share * mass[-1])), values.size - 1)])


def classes_of(distance: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Upper ends of classes with equally many cells, as far as equal distances allow, and the class of every cell."""
    edges = np.unique(np.quantile(distance, np.linspace(0, 1, classes + 1)[1:], method="higher"))
    return edges, np.searchsorted(edges, distance)


@dataclass(frozen=True)
class Distances:
    """Spread as a function of the distance to what was seen, for methods that state none.

    Arguments:
        edges: Upper ends of classes of distance, in cells.
        spread: Root mean square error in them, rising.
    """

    edges: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, error: np.ndarray, distance: np.ndarray, *, classes: int = 8) -> Self:
        """Every class has some cells."""
        edges, label = classes_of(distance, classes)
        spread = [np.sqrt(np.mean(error[label == k] ** 2)) for k in range(edges.size)]
        return cls(edges, np.maximum.accumulate(np.maximum(spread, 1e-9)))

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """At some distances; beyond the last class as in it."""
        middle = np.concatenate([[0.0], self.edges])
        return np.interp(distance, 0.5 * (middle[1:] + middle[:-1]), self.spread)


@dataclass(frozen=True)
class Factors:
    """A positive factor by distance.

    Arguments:
        distance: Rising, in cells.
        factor: There; linear in between, constant beyond.
    """

    distance: np.ndarray
    factor: np.ndarray

    @classmethod
    def fit(cls, ratio: np.ndarray, distance: np.ndarray, weights: np.ndarray, *, classes: int = 6) -> Self:
        """What makes 92 % of some errors lie within the interval of 90 %.

        Arguments:
            ratio: |error| / stated spread (cell,).
            distance: Of the cells.
            weights: Of the cells, in the share over all of them.
            classes: Of distance.
        """
        overall = max(quantile(ratio, AIM, weights), 1e-9)
        _, label = classes_of(distance, classes)
        middle, logarithm = [], []
        for k in np.unique(label):
            part = label == k
            count = int(part.sum())
            alone = np.log(max(quantile(ratio[part], AIM, weights[part]), 1e-9))
            middle.append(float(distance[part].mean()))
            logarithm.append((count * alone + FEW * np.log(overall)) / (count + FEW))
        fitted = cls(np.array(middle), np.exp(logarithm))
        # exactly that share of all of them
        rest = quantile(ratio / fitted(distance), AIM, weights) / BAND
        return cls(fitted.distance, fitted.factor * max(rest, 1e-12))

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """At some distances."""
        return np.interp(distance, self.distance, self.factor)


@dataclass(frozen=True)
class Spread:
    """From what a method states to a spread that holds.

    Arguments:
        factors: On a stated standard deviation.
        distances: In place of one; None for a method that states its own.
    """

    factors: Factors
    distances: Distances | None = None

    def __call__(self, sd: np.ndarray | None, distance: np.ndarray) -> np.ndarray:
        """Standard deviation at some cells."""
        factor = self.factors(distance)
        if self.distances is not None:
            return factor * self.distances(distance)
        assert sd is not None  # a method without a spread has distances
        return factor * sd
