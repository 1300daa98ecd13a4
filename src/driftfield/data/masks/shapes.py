"""Gaps with a shape: clouds, rectangles, and what lies between the tracks of satellites.

Every shape is drawn as a piece of something larger, so that a cell at the border is seen as often as one in the middle.
"""

__all__ = ["Blocks", "Clouds", "Tracks"]

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from driftfield.data.masks.pattern import Pattern, Share, draw_share, hide_lowest, share_word
from driftfield.errors import ConfigurationError


@dataclass(frozen=True)
class Clouds(Pattern):
    """Hides where smooth noise is low.

    Arguments:
        hidden: Share of the domain.
        scale: Standard deviation of the smoothing kernel in cells; by default max(2, shorter edge / 12).
    """

    hidden: Share
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not 0.0 < self.scale < np.inf:
            raise ConfigurationError(f"Clouds of scale {self.scale:g}: expected cells, more than 0.")

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        share = draw_share(self.hidden, rng)
        rows, cols = domain.shape[-2:]
        sigma = self.scale or max(2.0, min(rows, cols) / 12.0)
        # a margin as wide as the kernel: reflected noise would vary more at the border, and hide less of it
        margin = int(np.ceil(3.0 * sigma))
        noise = rng.standard_normal((rows + 2 * margin, cols + (0 if periodic else 2 * margin)), dtype=np.float32)
        noise = gaussian_filter1d(noise, sigma, axis=0, truncate=3.0)[margin : margin + rows]
        noise = gaussian_filter1d(noise, sigma, axis=1, truncate=3.0, mode="wrap")
        return hide_lowest(domain, noise if periodic else noise[:, margin : margin + cols], share)


@dataclass(frozen=True)
class Blocks(Pattern):
    """Hides rectangles of random size, one after the other until the share is met; the last one is cut.

    Arguments:
        hidden: Share of the domain.
        smallest: Shortest edge, as a part of the edge of the field.
        largest: Longest edge, as a part of the edge of the field.
    """

    hidden: Share
    smallest: float = 1 / 16
    largest: float = 1 / 3

    def __post_init__(self) -> None:
        if not 0.0 < self.smallest <= self.largest <= 1.0:
            raise ConfigurationError(
                f"Blocks from {self.smallest} to {self.largest}: expected 0 < smallest <= largest <= 1."
            )

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        share = draw_share(self.hidden, rng)
        surface = domain.reshape(-1, *domain.shape[-2:]).sum(axis=0)
        wanted = share * surface.sum()
        # arrival: number of the first rectangle that covers a cell; later ones hide nothing new
        arrival = np.full(surface.shape, np.inf)
        drawn = 0
        while surface[np.isfinite(arrival)].sum() < wanted:
            for r0, r1, c0, c1 in self._rectangles(surface.shape, 64, rng, periodic):
                for columns in _columns(c0, c1, surface.shape[1], periodic):
                    patch = arrival[max(r0, 0) : max(r1, 0), columns]
                    np.minimum(patch, drawn, out=patch)
                drawn += 1
        # ties (cells of one rectangle) are cut along a random direction
        slope = rng.standard_normal(2)
        rows, cols = np.ogrid[: surface.shape[0], : surface.shape[1]]
        tie = slope[0] * rows + slope[1] * cols
        span = float(np.ptp(tie)) + 1e-9
        return hide_lowest(domain, arrival + 0.5 * (tie - tie.min()) / span, share)

    def _rectangles(self, shape: tuple[int, ...], count: int, rng: np.random.Generator, periodic: bool) -> np.ndarray:
        """(count, 4): first and last row, first and last column (exclusive), anywhere that touches the field."""
        edges = []
        for size, wraps in zip(shape, (False, periodic), strict=True):
            low, high = max(1, round(self.smallest * size)), max(1, round(self.largest * size))
            length = rng.integers(low, high + 1, size=count)
            # as many positions for every length, so that every cell is met equally often
            first, last = (0, size) if wraps else (1 - high, size + high)
            start = rng.integers(first, last, size=count) - (length - 1) // 2
            edges += [start, start + length]
        return np.stack(edges, axis=1)


@dataclass(frozen=True)
class Tracks(Pattern):
    """Sees straight ascending and descending lines, one after the other until the share is met; the last one is cut.

    Arguments:
        hidden: Share of the domain.
        width: Cells across; 1 is an altimeter or a glider, more a swath.
        inclination: Angle between track and equator in grid cells, degrees.
        jitter: Standard deviation of that angle, degrees.
    """

    hidden: Share
    width: int = 1
    inclination: float = 65.0
    jitter: float = 3.0

    def __post_init__(self) -> None:
        if not (self.width >= 1 and self.width == int(self.width) and 45.0 <= self.inclination <= 90.0):
            raise ConfigurationError(
                f"Tracks of width {self.width:g} and inclination {self.inclination:g}: expected a whole number of cells, 1 or "
                "more, and 45 to 90 degrees."
            )
        if not 0.0 <= self.jitter < np.inf:
            raise ConfigurationError(f"Tracks with a jitter of {self.jitter:g}: expected degrees, 0 or more.")
        object.__setattr__(self, "width", int(self.width))

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        share = draw_share(self.hidden, rng)
        surface = domain.reshape(-1, *domain.shape[-2:]).sum(axis=0)
        wanted = (1.0 - share) * surface.sum()
        # arrival: when a cell is first visited; where only a few cells are hidden, chance decides on the last gaps
        arrival = 1e12 + rng.random(surface.size)
        clock = 0
        for _ in range(1000):
            if surface.ravel()[arrival < 1e12].sum() >= wanted:
                break
            cells = self._passes(surface.shape, 1 + surface.shape[1] // (16 * self.width), rng, periodic)
            fresh = np.full(surface.size, np.inf)
            # of several visits the first stays
            fresh[cells[::-1]] = np.arange(clock, clock + cells.size)[::-1].astype(np.float64)
            arrival = np.minimum(arrival, fresh)
            clock += cells.size
        return domain & ~hide_lowest(domain, arrival.reshape(surface.shape), 1.0 - share)

    def _passes(self, shape: tuple[int, ...], count: int, rng: np.random.Generator, periodic: bool) -> np.ndarray:
        """Cells of `count` passes in the order of the flight, as flat indices."""
        rows, cols = shape
        angle = np.radians(np.clip(self.inclination + self.jitter * rng.standard_normal(count), 45.0, 90.0))
        ascending = rng.random(count) < 0.5
        slope = np.where(ascending, 1.0, -1.0) / np.tan(angle)
        # where the pass crosses the middle row: far enough outside that every cell is met equally often
        beyond = 0.0 if periodic else 0.5 * rows + self.width
        middle = rng.uniform(-beyond, cols + beyond, size=count)
        # begins at a random row, so that the cut of the last pass favours no row
        y = (rng.integers(rows, size=count)[:, None] + np.arange(rows)) % rows
        path = middle[:, None] + slope[:, None] * (y - 0.5 * (rows - 1))
        x = np.floor(path).astype(np.int64)[..., None] + np.arange(self.width) - self.width // 2
        if periodic:
            x %= cols
        inside = (x >= 0) & (x < cols)
        return (y[..., None] * cols + x)[inside]


def _columns(first: int, last: int, width: int, periodic: bool) -> list[slice]:
    """Columns first..last of a field, cut at the border or wrapped around it."""
    if not periodic:
        return [slice(max(first, 0), max(min(last, width), 0))]
    if last - first >= width:
        return [slice(0, width)]
    first, last = first % width, first % width + (last - first)
    return [slice(first, min(last, width)), slice(0, max(last - width, 0))]


share_word("blocks", Blocks, ("smallest", "largest"))
share_word("clouds", Clouds, ("scale",))
share_word("tracks", Tracks, ("width", "inclination", "jitter"))
share_word(
    "swaths", lambda hidden, width=8, **shape: Tracks(hidden, width, **shape), ("width", "inclination", "jitter")
)
