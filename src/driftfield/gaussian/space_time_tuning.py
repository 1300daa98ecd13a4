"""How space-time interpolation learns its constants: by what it makes of cells hidden from the training fields.

    score      geometric mean over the patterns of the CRPS on hidden cells of the middle time, spread calibrated
    coarse     a grid of lengths and time scales, then one constant after the other, by factors of two

The cases are those of `space_time_cases.py`; `space_time_search.py` goes on from the coarse constants.
"""

__all__ = ["SearchReport", "SpaceTimeCase", "SpaceTimeConstants", "coarse", "evaluate"]

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Self

import numpy as np
from scipy.spatial import KDTree

from driftfield.gaussian.local_kriging import Scattered, solve_leaves
from driftfield.gaussian.space_time_covariance import SHAPES, Component, Places, SpaceTimeCovariance
from driftfield.gaussian.tuning import Fit, fit_spread

log = logging.getLogger(__name__)

_SECONDS = 10.0


@dataclass(frozen=True)
class SpaceTimeConstants:
    """What is tuned.

    Arguments:
        length: Geometric mean of zonal and meridional length of the first component, km.
        aspect: Zonal over meridional length.
        days: Its scale in time.
        vertical: Scale in log(1 + depth / 100 m), of both.
        likeness: Scale in the log of the standard deviation, of both.
        shape: Its smoothness nu.
        second: Share of the second component.
        second_length: Its length as a part of the first one's.
        second_days: Its scale in time as a part of the first one's.
        second_shape: Its smoothness.
        nugget: Variance of the white part.
        middle: Latitude of the middle of the grid, not tuned.
    """

    length: float
    days: float
    aspect: float = 1.0
    vertical: float = 0.5
    likeness: float = 16.0
    shape: float = 0.5
    second: float = 0.0
    second_length: float = 0.3
    second_days: float = 0.5
    second_shape: float = 0.5
    nugget: float = 0.01
    middle: float = 0.0

    @property
    def covariance(self) -> SpaceTimeCovariance:
        """Of unit variance."""
        smooth = 1.0 - self.nugget
        first = self._component(smooth * (1 - self.second), 1.0, self.days, self.shape)
        if self.second == 0.0:
            return SpaceTimeCovariance((first,), self.nugget)
        days = self.days * self.second_days
        second = self._component(smooth * self.second, self.second_length, days, self.second_shape)
        return SpaceTimeCovariance((first, second), self.nugget)

    def to_json(self) -> dict[str, float]:
        """Plain numbers; JSON has no infinity, so a shape is kept as its inverse."""
        return asdict(self) | {"shape": 1.0 / self.shape, "second_shape": 1.0 / self.second_shape}

    @classmethod
    def from_json(cls, values: Mapping[str, float]) -> Self:
        """The inverse of `to_json`."""
        shapes = {key: 1.0 / values[key] if values[key] else np.inf for key in ("shape", "second_shape")}
        return cls(**(dict(values) | shapes))

    def _component(self, share: float, part: float, days: float, shape: float) -> Component:
        across, along = (part * self.length * self.aspect**power for power in (0.5, -0.5))
        return Component(share, across, along, days, self.vertical, self.likeness, shape, self.middle)


@dataclass(frozen=True)
class SpaceTimeCase:
    """One time under one pattern of gaps, with the times around it.

    Arguments:
        pattern: Which; scores are averaged per pattern.
        places: Cells of the case.
        level: Level of every cell.
        seen: Standardised observations, relative to the middle time (time 0, day 0).
        groups: Hidden cells to score.
        truth: Standardised (cell,), of the middle time.
        sd: Standard deviation (cell,), physical.
    """

    pattern: str
    places: Places
    level: np.ndarray
    seen: Scattered
    groups: list[np.ndarray]
    truth: np.ndarray
    sd: np.ndarray


def evaluate(covariance: SpaceTimeCovariance, cases: Sequence[SpaceTimeCase], *, levels: int, most: int) -> Fit:
    """Reconstructs the hidden cells of all cases and calibrates the spread on them."""
    prior = np.sqrt(covariance.variance)
    parts: dict[str, list[np.ndarray]] = {}
    for case in cases:
        increments, variance = solve_leaves(covariance, case.seen, case.places, case.groups, time=0, day=0.0, most=most)
        cell = np.concatenate(case.groups)
        error = (increments[cell, 0] - case.truth[cell]) * case.sd[cell]
        rows = [case.level[cell], error, np.sqrt(variance[cell]) * case.sd[cell], prior * case.sd[cell]]
        parts.setdefault(case.pattern, []).append(np.stack(rows))
    return fit_spread({pattern: np.concatenate(blocks, axis=1) for pattern, blocks in parts.items()}, levels)


def coarse(
    cases: Sequence[SpaceTimeCase], *, levels: int, periodic: bool, most: int, report: "SearchReport"
) -> SpaceTimeConstants:
    """Constants by factors of two, on a third of the cells of every case with half the observations."""
    few = [replace(case, groups=case.groups[: max(1, len(case.groups) // 3)]) for case in cases]
    report.stage = "1 of 3: lengths and scales in time"
    score = _Score(few, levels=levels, most=max(4, most // 2), report=report)
    best = _walk(_grid(cases), score, levels=levels, periodic=periodic)
    # one component is a valley that single steps do not leave
    report.stage = "2 of 3: a second component"
    return _walk([best, *_doubled(best)], score, levels=levels, periodic=periodic)


class SearchReport:
    """Says every ten seconds how far the search is; a short one says nothing."""

    def __init__(self) -> None:
        self.stage, self.count = "", 0
        self.began = self.said = time.monotonic()

    def __call__(self, best: float) -> None:
        self.count += 1
        now = time.monotonic()
        if now - self.said >= _SECONDS:
            self.said = now
            log.info(
                "space-time covariance, %s: %d tried, CRPS %.4g (%.0f s)",
                *(self.stage, self.count, np.exp(best), now - self.began),
            )


class _Score:
    """Score of some constants on some cases; each is worked out once."""

    def __init__(
        self, cases: Sequence[SpaceTimeCase], *, levels: int, most: int, report: Callable[[float], None]
    ) -> None:
        self.cases, self.levels, self.most, self.report = cases, levels, most, report
        self.fits: dict[SpaceTimeConstants, Fit] = {}
        self.best = np.inf

    def __call__(self, constants: SpaceTimeConstants) -> float:
        if constants not in self.fits:
            fit = evaluate(constants.covariance, self.cases, levels=self.levels, most=self.most)
            self.fits[constants] = fit
            self.best = min(self.best, fit.score)
            self.report(self.best)
        return self.fits[constants].score


def _walk(
    start: Sequence[SpaceTimeConstants], score: _Score, *, levels: int, periodic: bool, rounds: int = 2
) -> SpaceTimeConstants:
    """From the best of some constants, one coordinate after the other, some rounds."""
    best = min(start, key=score)
    for _ in range(rounds):
        before = best
        for name in _order(levels):
            best = _climb(best, name, score, periodic=periodic)
        if best == before:
            break
    return best


def _grid(cases: Sequence[SpaceTimeCase]) -> list[SpaceTimeConstants]:
    """Where the search begins: lengths from some cells to the whole field, scales from some steps to the whole run."""
    places = max((case.places for case in cases), key=len)
    middle = float(0.5 * (places.lat.min() + places.lat.max()))
    sphere = Component(1.0, 1.0, 1.0, 1.0, 1e12).embed(places)[:, :3]
    surface = np.unique(np.round(sphere, 3), axis=0)
    spacing = float(np.median(KDTree(surface).query(surface, k=2)[0][:, 1])) if len(surface) > 1 else 100.0
    extent = float(np.linalg.norm(np.ptp(surface, axis=0)))
    days = np.unique(np.concatenate([np.abs(case.seen.day) for case in cases]))
    step = float(days[days > 0].min()) if (days > 0).any() else 1.0
    lengths = np.geomspace(3 * spacing, max(0.6 * extent, 6 * spacing), 4)
    scales = step * np.array([1.0, 4.0, 16.0])
    return [SpaceTimeConstants(float(a), float(b), middle=middle) for a in lengths for b in scales]


def _doubled(constants: SpaceTimeConstants) -> list[SpaceTimeConstants]:
    """A second component beside the first: as a part of it, or with the first made wider and slower."""
    if constants.second > 0:
        return []
    return [
        replace(
            constants,
            length=wider * constants.length,
            days=wider * constants.days,
            second=0.25 if wider == 1.0 else 0.45,
            second_length=0.5 / wider,
            second_days=days / wider,
            second_shape=constants.shape,
        )
        for wider in (1.0, 2.0)
        for days in (0.25, 1.0)
    ]


def _order(levels: int) -> tuple[str, ...]:
    names = [name for name in asdict(SpaceTimeConstants(1.0, 1.0)) if name != "middle"]
    return tuple(name for name in names if name != "vertical" or levels > 1)


def _climb(
    best: SpaceTimeConstants, name: str, score: Callable[[SpaceTimeConstants], float], *, periodic: bool
) -> SpaceTimeConstants:
    """Walks along one constant while the score falls."""
    if name.startswith("second_") and best.second == 0.0:
        return best
    for direction in (1, -1):
        moved = False
        while (trial := _moved(best, name, direction, periodic=periodic)) is not None:
            # less than a thousandth is not worth a step
            if score(trial) >= score(best) - 1e-3:
                break
            best, moved = trial, True
        if moved:
            break
    return best


def _moved(constants: SpaceTimeConstants, name: str, direction: int, *, periodic: bool) -> SpaceTimeConstants | None:
    """The next value of one constant, twice or half as much, or nothing where its range ends."""
    value = getattr(constants, name)
    if name.endswith("shape"):
        place = SHAPES.index(value) + direction
        return replace(constants, **{name: SHAPES[place]}) if 0 <= place < len(SHAPES) else None
    if name == "second":
        shares = (0.0, 0.1, 0.25, 0.45, 0.65, 0.85)
        place = shares.index(value) + direction
        return replace(constants, second=shares[place]) if 0 <= place < len(shares) else None
    low, high = _RANGES[name]
    if name == "aspect" and periodic:
        low = 1.0
    value = value * 2.0 ** (direction * (2 if name == "nugget" else 1))
    return replace(constants, **{name: value}) if low <= value <= high else None


_RANGES = {
    "length": (1e-3, 2e4),
    "days": (1e-4, 1e5),
    "aspect": (0.2, 6.0),
    "vertical": (0.01, 20.0),
    "likeness": (0.1, 64.0),
    "second_length": (0.02, 1.0),
    "second_days": (0.02, 8.0),
    "nugget": (1e-6, 0.6),
}
