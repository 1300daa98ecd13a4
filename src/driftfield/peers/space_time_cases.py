"""Gaps drawn over the fields that are known, with the times around them, to tune an interpolation in space and time.

    case       a run of times around one of them, each under its own draw of a pattern of gaps
    scored     cells of the middle time that are known and hidden
    mean, sd   of a long record: of its training times;   of a short one: of all its times, less what the case hides

Gappy truth is scored where it was measured. The pattern `own` lays the gaps of another time of the archive over a field; of an
archive so sparse that two times hardly share a cell, half of what the middle time saw is hidden instead, and the other times are
shown as they are.
"""

__all__ = ["OWN_GAPS", "CaseDrawer", "places_of", "usual_gaps"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.conventions import geometry_of, positions_of
from driftfield.data.masks import parse_pattern
from driftfield.data.splits import spread_over
from driftfield.gaussian.gappy_mean import RunningSums, smooth_mean_and_sd
from driftfield.gaussian.local_kriging import Scattered
from driftfield.gaussian.neighbours import leaves
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.space_time_tuning import SpaceTimeCase
from driftfield.peers.gaps import usual_patterns

OWN_GAPS = "own"
"""The pattern of gaps that is taken from the archive itself."""


def usual_gaps(sums: RunningSums, domain: xr.DataArray, times: int) -> tuple[str, ...]:
    """Patterns for a recipe that names none."""
    # a share of gaps that is no accident; cells that were never seen are another part's
    count = sums.count[domain.values]
    if count.any() and count[count > 0].mean() < 0.95 * times:
        return (OWN_GAPS,)
    return usual_patterns([domain])


_MOST_DRAWS = 12
_SPARSE = 0.05
"""Share of the cells that a time sees, below which its gaps are no pattern for another time."""


def _part_of(field: np.ndarray, rng: np.random.Generator, share: float = 0.5) -> np.ndarray:
    """The field ([depth,] lat, lon) without some of its columns, at least one and about a share of them."""
    columns = np.flatnonzero(np.isfinite(field).reshape(-1, field.shape[-2] * field.shape[-1]).any(axis=0))
    hidden = np.zeros(field.shape[-2] * field.shape[-1], dtype=bool)
    hidden[rng.permutation(columns)[: max(1, round(share * columns.size))]] = True
    return np.where(hidden.reshape(field.shape[-2:]), np.nan, field)


@dataclass(frozen=True)
class CaseDrawer:
    """Draws the cases of one target.

    Arguments:
        fields: Gives (time, [depth,] lat, lon) at some indices, NaN where not known: values of a short record, anomalies
            of a long one.
        sums: Of the fields that mean and spread are learnt from.
        domain: Boolean ([depth,] lat, lon).
        periodic: Whether longitude wraps.
        days: Dates of the archive.
        times: Indices that may be shown.
        scored: Indices that may be scored.
        short: Whether the mean is part of the estimate, not taken from the fields beforehand.
        learnt: Whether `sums` hold the fields of a case, and have to be without what it hides.
        context: Times shown before and after the one that is scored.
    """

    fields: Callable[[np.ndarray], np.ndarray]
    sums: RunningSums
    domain: xr.DataArray
    periodic: bool
    days: np.ndarray
    times: np.ndarray
    scored: np.ndarray
    short: bool
    learnt: bool
    context: int

    def draw(self, patterns: Sequence[str], seed: int, *, count: int = 18, least: int = 300) -> list[SpaceTimeCase]:
        """About `count` cases, as many of every pattern; more where each hides a cell or two, until `least` are scored."""
        draws = max(4, count // len(patterns))
        cases = []
        for p, pattern in enumerate(patterns):
            scored = 0
            for i, middle in enumerate(self._middles(draws, seed)):
                if i >= draws and scored >= least:
                    break
                rng = np.random.default_rng(np.random.SeedSequence([seed, p, i]))
                case = self._case(pattern, int(middle), rng)
                if case is not None:
                    cases.append(case)
                    scored += sum(group.size for group in case.groups)
        return cases

    def _middles(self, draws: int, seed: int) -> np.ndarray:
        """Times to score: some that are spread over all, then others in any order."""
        spread = np.resize(spread_over(self.scored, draws), draws)
        others = np.random.default_rng(seed).permutation(self.scored)[: _MOST_DRAWS * draws]
        return np.concatenate([spread, np.resize(others, _MOST_DRAWS * draws)])

    def _case(self, pattern: str, middle: int, rng: np.random.Generator) -> SpaceTimeCase | None:
        at = int(np.flatnonzero(self.times == middle)[0])
        around = self.times[max(0, at - self.context) : at + self.context + 1]
        fields = self.fields(around)
        centre = int(np.flatnonzero(around == middle)[0])
        shown = self._shown(pattern, fields, around, centre, rng)
        known = self.sums
        if self.learnt:
            known = known - RunningSums.of([np.where(np.isfinite(shown), np.nan, fields)])
        mean, sd = smooth_mean_and_sd(known, self.domain.values, periodic=self.periodic)
        if not self.short:
            mean = np.zeros_like(mean)
        inside = np.flatnonzero(self.domain.values)
        truth, seen = (((f - mean) / sd).reshape(len(f), -1)[:, inside] for f in (fields, shown))
        spread = sd.ravel()[inside]
        places, level = places_of(self.domain, inside, spread)
        days = self.days[around]
        return _cut(
            pattern, places, level, truth=truth[centre], seen=seen, middle=centre, days=days, sd=spread, rng=rng
        )

    def _shown(
        self, pattern: str, fields: np.ndarray, times: np.ndarray, centre: int, rng: np.random.Generator
    ) -> np.ndarray:
        """The fields with gaps: NaN where hidden."""
        if pattern == OWN_GAPS:
            if self.sums.count[self.domain.values].mean() < _SPARSE * self.times.size:
                # two times hardly share a cell; the task shows what was seen at the other times
                shown = fields.copy()
                shown[centre] = _part_of(fields[centre], rng)
                return shown
            lent = [rng.choice(self.times[self.times != t]) if self.times.size > 1 else t for t in times]
            return np.where(np.isfinite(self.fields(np.array(lent))), fields, np.nan)
        drawn = parse_pattern(pattern)
        kept = np.stack([drawn.draw(self.domain.values, rng, periodic=self.periodic) for _ in times])
        return np.where(kept, fields, np.nan)


def places_of(domain: xr.DataArray, inside: np.ndarray, sd: np.ndarray) -> tuple[Places, np.ndarray]:
    """The places of some flat indices of a grid, where the field has a spread, and their levels."""
    depth = domain["depth"].values.astype(np.float64) if "depth" in domain.dims else np.zeros(1)
    level, row, column = np.unravel_index(inside, (depth.size, *domain.shape[-2:]))
    # relative to the level's, which has a coordinate of its own
    likeness = np.log(np.maximum(sd.astype(np.float64), 1e-12))
    count = np.maximum(np.bincount(level, minlength=depth.size), 1)
    likeness = likeness - (np.bincount(level, weights=likeness, minlength=depth.size) / count)[level]
    positions = positions_of(domain)
    cells = geometry_of(domain) if positions is None else positions.one_turn
    return Places(cells.latitude[row, column], cells.longitude[row, column], depth[level], likeness), level


def _cut(
    pattern: str,
    places: Places,
    level: np.ndarray,
    *,
    truth: np.ndarray,
    seen: np.ndarray,
    middle: int,
    days: np.ndarray,
    sd: np.ndarray,
    rng: np.random.Generator,
    most: int = 30_000,
    groups: int = 24,
    size: int = 16,
) -> SpaceTimeCase | None:
    """A case that is small enough to be solved some hundred times: the neighbourhood of a random hidden cell.

    Arguments:
        pattern: Name of the pattern.
        places: All cells.
        level: Level of every cell.
        truth: Standardised field (cell,) of the middle time, NaN where not known.
        seen: Standardised (time, cell), NaN where hidden or not known.
        middle: Which time is scored.
        days: Dates (time,).
        sd: Standard deviation (cell,).
        rng: Chooses where.
        most: Observations that the case may have.
        groups: Leaves that are scored.
        size: Cells of a leaf.

    Returns:
        None if nothing is hidden.
    """
    hidden = np.isfinite(truth) & ~np.isfinite(seen[middle])
    if not hidden.any():
        return None
    # a metric only for cutting: degrees, and a level as far as a degree
    flat = np.stack([places.lat, np.cos(np.radians(places.lat)) * places.lon, level], axis=1)
    centre = flat[rng.choice(np.flatnonzero(hidden))]
    order = np.argsort(((flat - centre) ** 2)[:, :2].sum(axis=1), kind="stable")
    observations = np.cumsum(np.isfinite(seen).sum(axis=0)[order])
    nearest = order[: max(1, int(np.searchsorted(observations, most)))]
    # the outer half of a cut-out would miss its neighbours: it is not scored
    inner = nearest if nearest.size == len(places) else nearest[: max(1, nearest.size // 2)]
    scored = np.flatnonzero(hidden[inner])
    if not scored.size:
        return None
    all_groups = [scored[g] for g in leaves(flat[inner][scored], size)]
    chosen = rng.choice(len(all_groups), min(groups, len(all_groups)), replace=False)
    values = seen[:, nearest]
    t, c = np.nonzero(np.isfinite(values))
    scattered = Scattered(t - middle, c, (days - days[middle])[t], values[t, c][:, None], np.zeros(t.size))
    return SpaceTimeCase(
        pattern,
        places[nearest],
        level[nearest],
        scattered,
        [all_groups[g] for g in chosen],
        truth[nearest],
        sd[nearest],
    )
