"""Gaps to validate with, as wide as those of a record: what is hidden lies as far from what is seen as what is missing.

    d(cell)    distance to the nearest seen cell of the same date and level, in cells
    pattern s  hides the cells where white noise, smoothed over s cells, is lowest; s = 0 hides single cells
    mixture    w_s >= 0 with  sum_s w_s histogram(d | hidden by s)  ~  histogram(d | missing)          (least squares)
    in time    n(t) = r n(t - 1) + sqrt(1 - r^2) new,   r = sin(pi / 2 * correlation of the gaps of successive dates)

A method that is chosen, and a spread that is calibrated, on cells beside observations says nothing of the middle of a gap.
"""

__all__ = ["AlikeGaps", "deep_gap", "distance_to_seen"]

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.optimize import nnls

EDGES = np.array([0.0, 1.2, 2.3, 4.0, 7.0, 12.0, 20.0, 35.0, 60.0, 100.0, np.inf])
"""Classes of distance, in cells."""

SCALES = (0.0, 0.7, 1.5, 3.0, 6.0, 12.0, 24.0, 48.0)


@dataclass(frozen=True)
class AlikeGaps:
    """Draws cells to hide.

    Arguments:
        domain: Where the field exists: boolean ([depth,] lat, lon).
        periodic: Whether longitude wraps.
        scales: Widths of the blobs, in cells.
        weights: How often each is drawn.
        persistence: Correlation of the noise of successive dates.
        share: Of the seen cells of a date that is hidden.
    """

    domain: np.ndarray
    periodic: bool
    scales: tuple[float, ...]
    weights: np.ndarray
    persistence: float
    share: float

    @classmethod
    def of(
        cls, seen: np.ndarray, domain: np.ndarray, *, periodic: bool, share: float = 0.2, seed: int = 0, most: int = 8
    ) -> Self:
        """Measures the gaps of a record; one without gaps is given blobs of all widths.

        Arguments:
            seen: Boolean (time, [depth,] lat, lon).
            domain: Boolean ([depth,] lat, lon).
            periodic: Whether longitude wraps.
            share: Of the seen cells of a date that is hidden.
            seed: Of the blobs that are tried.
            most: Dates that are looked at.
        """
        missing = domain & ~seen
        gappy = np.flatnonzero(missing.reshape(len(seen), -1).any(axis=1) & seen.reshape(len(seen), -1).any(axis=1))
        longest = (
            max(2.0, min(side for side in domain.shape[-2:] if side > 1) / 4) if max(domain.shape[-2:]) > 1 else 2.0
        )
        scales = tuple(s for s in SCALES if s <= longest)
        even = cls(
            domain, periodic, scales, np.full(len(scales), 1 / len(scales)), _persistence(missing, domain), share
        )
        if not gappy.size:
            return even
        rng = np.random.default_rng(np.random.SeedSequence([seed, 811]))
        some = rng.choice(gappy, min(most, gappy.size), replace=False)
        wanted = _histogram([distance_to_seen(seen[t], periodic=periodic)[missing[t]] for t in some])
        columns = []
        for scale in scales:
            distances = []
            for t in np.resize(some, most):
                hidden = even._blobs(seen[t], even._noise(scale, rng), share / _pieces(len(seen)))
                distances.append(distance_to_seen(seen[t] & ~hidden, periodic=periodic)[hidden])
            columns.append(_histogram(distances))
        # a faint wish for an even mixture decides between widths that hide alike
        faint = 0.05 * np.eye(len(scales))
        matrix = np.concatenate([np.stack(columns, axis=1), faint])
        weights = nnls(matrix, np.concatenate([wanted, np.full(len(scales), 0.05 / len(scales))]))[0]
        total = weights.sum()
        weights = weights / total if total > 0 else even.weights
        return cls(domain, periodic, scales, weights, even.persistence, share)

    def hide(self, seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Cells to hide at successive dates: boolean, of the shape of `seen` (time, [depth,] lat, lon), a part of it."""
        hidden = np.zeros(seen.shape, dtype=bool)
        pieces = _pieces(len(seen))
        for _ in range(pieces):
            noise: np.ndarray | None = None
            for t, shown in enumerate(seen):
                new = self._noise(float(rng.choice(self.scales, p=self.weights)), rng)
                noise = new if noise is None else self.persistence * noise + np.sqrt(1 - self.persistence**2) * new
                hidden[t] |= self._blobs(shown, noise, self.share / pieces)
        return hidden

    def _noise(self, scale: float, rng: np.random.Generator) -> np.ndarray:
        """Unit noise (lat, lon), smooth over `scale` cells."""
        white = rng.standard_normal(self.domain.shape[-2:])
        if scale == 0:
            return white
        smooth = gaussian_filter(white, scale, mode=["reflect", "wrap" if self.periodic else "reflect"])
        return smooth / max(float(smooth.std()), 1e-12)

    def _blobs(self, shown: np.ndarray, noise: np.ndarray, share: float) -> np.ndarray:
        """A share of the shown columns, where the noise is lowest."""
        columns = shown if shown.ndim == 2 else shown.any(axis=0)
        count = int(columns.sum())
        if count < 2:
            return np.zeros_like(shown)
        hide = min(max(1, round(share * count)), count - 1)
        values = noise[columns]
        limit = np.partition(values, hide - 1)[hide - 1]
        return shown & (noise <= limit)


def distance_to_seen(seen: np.ndarray, *, periodic: bool) -> np.ndarray:
    """Distance in cells to the nearest seen cell of the same level, 0 where seen: ([depth,] lat, lon).

    Where nothing is seen at a level it is the diagonal of the grid.
    """
    height, width = seen.shape[-2:]
    distance = np.full(seen.shape, float(np.hypot(height, width)))
    pad = width // 2 if periodic else 0
    for level in np.ndindex(seen.shape[:-2]):
        if not seen[level].any():
            continue
        around = np.pad(seen[level], ((0, 0), (pad, pad)), mode="wrap") if pad else seen[level]
        found = distance_transform_edt(~around)
        distance[level] = found[:, pad : pad + width]
    return distance


def deep_gap(seen: np.ndarray, depth: float, rng: np.random.Generator, *, most: float = 0.5) -> np.ndarray:
    """A disc of seen cells, about a random one of them: boolean, of the shape of `seen` ([depth,] lat, lon).

    Arguments:
        seen: Boolean.
        depth: Radius in cells.
        rng: Chooses where.
        most: Share of the seen columns that it may hold; the radius is less where it would hold more.
    """
    columns = np.argwhere(seen if seen.ndim == 2 else seen.any(axis=0))
    if len(columns) < 2:
        return np.zeros_like(seen)
    apart = np.hypot(*(columns - columns[rng.integers(len(columns))]).T)
    limit = min(depth, np.sort(apart)[int(most * (len(columns) - 1))])
    disc = np.zeros(seen.shape[-2:], dtype=bool)
    disc[tuple(columns[apart <= limit].T)] = True
    return seen & disc


def _pieces(dates: int) -> int:
    """Draws that are laid over each other on a date: a single image must show the whole mixture."""
    return 4 if dates < 4 else 2 if dates < 12 else 1


def _histogram(distances: list[np.ndarray]) -> np.ndarray:
    """Shares of the classes of distance."""
    count = np.histogram(np.concatenate(distances), EDGES)[0].astype(float)
    return count / max(count.sum(), 1.0)


def _persistence(missing: np.ndarray, domain: np.ndarray) -> float:
    """Correlation of the noise that would make the gaps of successive dates as alike as they are; from at most 60 pairs."""
    if len(missing) < 2:
        return 0.0
    values = []
    for t in np.unique(np.linspace(0, len(missing) - 2, 60).astype(int)):
        a, b = missing[t][domain].astype(float), missing[t + 1][domain].astype(float)
        if 0 < a.mean() < 1 and 0 < b.mean() < 1:
            values.append(np.corrcoef(a, b)[0, 1])
    alike = float(np.clip(np.mean(values), 0.0, 0.98)) if values else 0.0
    return float(np.sin(np.pi / 2 * alike))
