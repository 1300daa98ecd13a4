"""Inverse distance weighting: the nearest observations of a level, weighed by a power of their distance.

    f'(x) = sum_i w_i y_i / sum_i w_i,        w_i = |p(x) - p_i|^-power,    i among the nearest `neighbours`

The power and the number of neighbours are those with the least geometric mean RMSE over the patterns of gaps, on hidden cells
of validation times (Shepard 1968, doi:10.1145/800186.810616).
"""

__all__ = ["InverseDistance"]

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from driftfield.data.masks import parse_pattern
from driftfield.data.splits import spread_over
from driftfield.errors import ConfigurationError
from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background
from driftfield.peers.base import Patterns, Remembered
from driftfield.peers.gaps import Gappy, draw_gaps, tuning_split, usual_patterns
from driftfield.peers.levels import LevelInterpolation
from driftfield.registry import register

POWERS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
NEIGHBOURS = (4, 8, 16, 32, 64)


@register("reconstructor")
class InverseDistance(LevelInterpolation):
    """Weighted mean of the nearest observations of the same level and time; deterministic, one member, no spread.

    Arguments:
        power: Of the distance; chosen on validation times if not given.
        neighbours: How many observations have a say; chosen on validation times if not given.
        patterns: Gaps that the two are chosen for (`driftfield.data.masks.parse_pattern`); if not given, profiles for fields
            with depth, random cells and clouds for surfaces.
        refit: Whether the seasonal cycle is learnt from the validation split as well.

    Raises:
        ConfigurationError: a power that is not positive, fewer than one neighbour, or an unknown pattern.
    """

    method = "inverse_distance"

    def __init__(
        self, power: float | None = None, neighbours: int | None = None, patterns: Patterns = None, refit: bool = True
    ) -> None:
        super().__init__(refit)
        if power is not None and not 0 < power < np.inf:
            raise ConfigurationError(f"Cannot weigh by the power {power} of the distance: expected more than 0.")
        if neighbours is not None and neighbours < 1:
            raise ConfigurationError(f"{neighbours} neighbours were asked for: expected 1 or more.")
        for pattern in patterns or ():
            parse_pattern(pattern)
        self.power, self.neighbours = power, neighbours
        self.patterns = None if patterns is None else tuple(patterns)

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Chooses power and neighbours on validation times, then learns the seasonal cycle.

        Raises:
            DataError: the archive lacks a target or a time axis.
        """
        self.chosen = self._choose(data, seed)
        super().fit(data, seed=seed)

    def interpolate(self, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The weighted mean."""
        power, neighbours = self.chosen
        distance, near = _nearest(self.points, values, observed, wanted, neighbours)
        return _weighted(distance, near, power)

    def _choose(self, data: TrainingData, seed: int) -> tuple[float, int]:
        """The pair with the least score among the candidates, of which a given value leaves one."""
        powers = POWERS if self.power is None else (self.power,)
        counts = NEIGHBOURS if self.neighbours is None else (self.neighbours,)
        train, validation = tuning_split(data)
        if len(powers) * len(counts) == 1 or not validation.size:
            return float(powers[0]), int(counts[0])
        self.background = Background.fit(data, train)
        patterns = self.patterns or usual_patterns(self.background.target_domains)
        squares: dict[tuple[str, str], list[np.ndarray]] = {}
        for case in draw_gaps(self.background, data, spread_over(validation, 4), patterns, seed=seed):
            for part in self._errors(case, powers, counts):
                squares.setdefault((case.pattern, case.name), []).append(part)
        if not squares:
            return float(powers[0]), int(counts[0])
        score = sum(np.log(np.mean(np.concatenate(parts), axis=0) + 1e-30) for parts in squares.values())
        p, k = np.unravel_index(int(np.argmin(score)), (len(powers), len(counts)))
        return float(powers[p]), int(counts[k])

    def _errors(self, case: Gappy, powers: Sequence[float], counts: Sequence[int]) -> Iterator[np.ndarray]:
        """Squared errors (cell, power, count) of every level in which something is seen and something hidden."""
        for level in np.ndindex(case.seen.shape[:-2]):
            observed, hidden = np.isfinite(case.seen[level]), case.hidden[level]
            if not observed.any() or not hidden.any():
                continue
            distance, near = _nearest(self.points, case.seen[level][observed], observed, hidden, max(counts))
            truth = case.truth[level][hidden]
            yield np.stack(
                [
                    np.stack([(_weighted(distance[:, :k], near[:, :k], p) - truth) ** 2 for k in counts], axis=-1)
                    for p in powers
                ],
                axis=1,
            )

    def _remember(self) -> Remembered:
        return {}, {"chosen": list(self.chosen)}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.chosen = float(extra["chosen"][0]), int(extra["chosen"][1])


def _nearest(
    points: np.ndarray, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distances in km and values of the nearest observations, nearest first: (wanted, at most count)."""
    neighbours = np.arange(1, min(count, len(values)) + 1)
    distance, index = KDTree(points[observed]).query(points[wanted], k=neighbours)
    return distance, values[index]


def _weighted(distance: np.ndarray, values: np.ndarray, power: float) -> np.ndarray:
    """Weighted mean along the last axis; relative to the nearest one, no weight is too large for a number."""
    # two cells of a pole are one place
    distance = np.maximum(distance, 1e-6)
    weight = (distance[:, :1] / distance) ** power
    return (weight * values).sum(axis=1) / weight.sum(axis=1)
