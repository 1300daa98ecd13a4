r"""What was seen: patterns of gaps.

    observed = domain, minus a random hidden set of a given share

    random     #.##.#  cells, each level for itself      blocks     #..###  rectangles, which may cross the border
    clouds     ##..##  smooth noise below its quantile   tracks     ./..\.  straight lines, ascending and descending
    profiles   .|..|.  columns down to a random depth    swaths     .//.//  the same, several cells wide
    columns    |..|.   columns down to the floor          surface    the first level, whole
    from:FILE  the gaps of a real file, at a random time and place
    own        the gaps of another time of the same record, at the same place ("own:5": of five times later)
    a+b        what either of them sees: "columns:n=3-5+surface"

The number is the hidden share of the *domain* cells ("clouds:0.8" hides 80 %), met to one cell in a horizontal field; a
range ("profiles:0.9-0.99") draws it anew for every mask. On several levels the footprint of blocks, clouds, tracks and
swaths is the same at every level, and the share is met to one column. All are drawn as pieces of something larger, so
that a cell at the border is seen as often as one in the middle (to 3 %).
"""

__all__ = [
    "Blocks",
    "Borrowed",
    "Clouds",
    "Everything",
    "Nothing",
    "Own",
    "Pattern",
    "Profiles",
    "RandomCells",
    "Record",
    "Together",
    "TopLevel",
    "Tracks",
    "parse_pattern",
    "reference_mask",
]

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, gaussian_filter1d

from driftfield.data.sources import open_fields
from driftfield.errors import ConfigurationError, DataError, suggest

Share = float | tuple[float, float]
"""A hidden share, or a range from which it is drawn."""


@dataclass(frozen=True)
class Record:
    """A record with gaps, as seen from one of its times.

    Arguments:
        seen: Time index -> where the record knows the field: boolean, of the shape of the domain.
        time: The time that is to be observed.
        count: Number of times.
    """

    seen: Callable[[int], np.ndarray]
    time: int
    count: int


class Pattern(ABC):
    """Draws which cells of a domain were seen."""

    def among(self, record: Record) -> "Pattern":
        """The pattern for one time of a record with gaps; only one that borrows from the record looks at it."""
        return self

    @abstractmethod
    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        """Observed cells: boolean, a subset of `domain`.

        Arguments:
            domain: Where the field exists: boolean (level, lat, lon), or (lat, lon).
            rng: The only source of chance.
            periodic: Whether longitude wraps.
        """


class Everything(Pattern):
    """Every cell is seen."""

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        return domain.copy()


class Nothing(Pattern):
    """No cell is seen."""

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        return np.zeros_like(domain)


class TopLevel(Pattern):
    """The first level is seen, nothing below it."""

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        observed = np.zeros_like(domain)
        top = observed.reshape(-1, *domain.shape[-2:])  # a view
        top[0] = domain.reshape(-1, *domain.shape[-2:])[0]
        return observed


@dataclass(frozen=True)
class Together(Pattern):
    """Sees what any of several observing systems sees; they are drawn one after the other.

    Arguments:
        parts: The systems.
    """

    parts: tuple[Pattern, ...]

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        return np.logical_or.reduce([part.draw(domain, rng, periodic=periodic) for part in self.parts])

    def among(self, record: Record) -> Pattern:
        return Together(tuple(part.among(record) for part in self.parts))


@dataclass(frozen=True)
class RandomCells(Pattern):
    """Hides cells one by one, each level for itself."""

    hidden: Share

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        cells = np.flatnonzero(domain)
        return _hide(domain, rng.choice(cells, round(_share(self.hidden, rng) * cells.size), replace=False))


@dataclass(frozen=True)
class Clouds(Pattern):
    """Hides where smooth noise is low.

    Arguments:
        hidden: Share of the domain.
        scale: Standard deviation of the smoothing kernel in cells; by default max(2, shorter edge / 12).
    """

    hidden: Share
    scale: float | None = None

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        share = _share(self.hidden, rng)
        rows, cols = domain.shape[-2:]
        sigma = self.scale or max(2.0, min(rows, cols) / 12.0)
        # a margin as wide as the kernel: reflected noise would vary more at the border, and hide less of it
        margin = int(np.ceil(3.0 * sigma))
        noise = rng.standard_normal((rows + 2 * margin, cols + (0 if periodic else 2 * margin)), dtype=np.float32)
        noise = gaussian_filter1d(noise, sigma, axis=0, truncate=3.0)[margin : margin + rows]
        noise = gaussian_filter1d(noise, sigma, axis=1, truncate=3.0, mode="wrap")
        return _hide_lowest(domain, noise if periodic else noise[:, margin : margin + cols], share)


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
        share = _share(self.hidden, rng)
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
        return _hide_lowest(domain, arrival + 0.5 * (tie - tie.min()) / span, share)

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
        if not (self.width >= 1 and 45.0 <= self.inclination <= 90.0):
            raise ConfigurationError(
                f"Tracks of width {self.width} and inclination {self.inclination}: expected a width of at least 1 cell "
                "and 45 to 90 degrees."
            )

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        share = _share(self.hidden, rng)
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
        return domain & ~_hide_lowest(domain, arrival.reshape(surface.shape), 1.0 - share)

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


@dataclass(frozen=True)
class Profiles(Pattern):
    """Sees whole columns from the top down, like Argo floats.

    Most profiles reach the sea floor; the others end at a random level. Profiles are added until the share of seen
    *cells* is met, the last one being cut, or until there are `count` of them.

    Arguments:
        hidden: Share of the domain, if not `count`.
        count: Number of profiles, or a range.
        full: Share of profiles that reach the deepest level.
    """

    hidden: Share | None = None
    count: int | tuple[int, int] | None = None
    full: float = 0.8

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        levels = domain.reshape(-1, domain.shape[-2] * domain.shape[-1])
        columns = rng.permutation(np.flatnonzero(levels.any(axis=0)))
        deepest = rng.integers(1, levels.shape[0] + 1, size=columns.size)
        deepest = np.where(rng.random(columns.size) < self.full, levels.shape[0], deepest)
        seen = levels[:, columns] & (np.arange(levels.shape[0])[:, None] < deepest)
        if self.count is not None:
            low, high = self.count if isinstance(self.count, tuple) else (self.count, self.count)
            seen[:, int(rng.integers(low, high + 1)) :] = False
        else:
            share = _share(0.95 if self.hidden is None else self.hidden, rng)
            wanted = round((1.0 - share) * int(levels.sum()))
            # shortened profiles may leave too little: then all go down to the floor
            seen = levels[:, columns] if wanted > seen.sum() else seen
            # cells in the order of measurement: profile by profile, from the top down
            count = np.cumsum(seen.T).reshape(seen.T.shape).T
            seen &= count <= wanted
        observed = np.zeros_like(levels)
        observed[:, columns] = seen
        return observed.reshape(domain.shape)


@dataclass(frozen=True)
class Borrowed(Pattern):
    """Takes the gaps of a real file: a random time, a random place; a smaller donor is continued by reflection.

    A gap is NaN in a cell that is finite at another time; over the donor's land the nearest sea cell decides.

    Arguments:
        path: A gridded file with gaps.
        variable: Its variable; the first one with a time axis if not given.
    """

    path: str
    variable: str | None = None

    @cached_property
    def gaps(self) -> np.ndarray:
        """Gaps of the donor: boolean (time, lat, lon)."""
        fields = open_fields(self.path, variables=None if self.variable is None else [self.variable])
        dated = [n for n in fields.data_vars if "time" in fields[n].dims]
        if not dated:
            raise DataError(f"No variable with a time axis in {self.path}. Gaps are borrowed from single times.")
        donor = fields[self.variable or dated[0]]
        donor = donor.isel(depth=0) if "depth" in donor.dims else donor
        finite = np.isfinite(donor.transpose("time", "lat", "lon").values)
        sea = finite.any(axis=0)
        if not sea.any():
            raise DataError(f"{donor.name!r} in {self.path} is NaN everywhere. Borrow the gaps of another file.")
        nearest = distance_transform_edt(~sea, return_distances=False, return_indices=True)
        return ~finite[:, nearest[0], nearest[1]]

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        gaps = self.gaps[int(rng.integers(self.gaps.shape[0]))]
        short = [(0, max(0, size - have)) for size, have in zip(domain.shape[-2:], gaps.shape, strict=True)]
        gaps = np.pad(gaps, short, mode="symmetric")
        row, col = (int(rng.integers(h - s + 1)) for h, s in zip(gaps.shape, domain.shape[-2:], strict=True))
        return domain & ~gaps[row : row + domain.shape[-2], col : col + domain.shape[-1]]


@dataclass(frozen=True)
class Own(Pattern):
    """Takes the gaps of another time of the record that is observed, at the same place: real clouds over their own sea.

    Arguments:
        lag: How many times later the gaps are taken from, around the end of the record; a random other time if not given.
        record: Where they are taken from; filled in by `among`.
    """

    lag: int | None = None
    record: Record | None = None

    def among(self, record: Record) -> Pattern:
        if record.count < 2 or (self.lag is not None and self.lag % record.count == 0):
            raise ConfigurationError(
                f"'own{'' if self.lag is None else f':{self.lag}'}' borrows the gaps of another time, but the record has "
                f"{record.count}. Choose another lag, or a pattern such as clouds:0.5."
            )
        return Own(self.lag, record)

    def draw(self, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool = False) -> np.ndarray:
        if self.record is None:
            raise ConfigurationError("'own' borrows the gaps of other times, and here are none. Use from:FILE.")
        lag = int(rng.integers(1, self.record.count)) if self.lag is None else self.lag
        return domain & self.record.seen((self.record.time + lag) % self.record.count)


_SHARED: dict[str, Callable[[Share], Pattern]] = {
    "random": RandomCells,
    "blocks": Blocks,
    "clouds": Clouds,
    "tracks": Tracks,
    "swaths": lambda hidden: Tracks(hidden, width=8),
    "profiles": Profiles,
    "columns": lambda hidden: Profiles(hidden, full=1.0),
}
_ALONE: dict[str, Callable[[], Pattern]] = {"all": Everything, "none": Nothing, "surface": TopLevel}


def parse_pattern(text: str) -> Pattern:
    """The pattern of a text: `clouds:0.8`, `profiles:0.9-0.99`, `profiles:n=40`, `from:FILE[:variable]`, `own`,
    `own:LAG`, `all`, `none`, `surface`, or several of them joined by +.

    Raises:
        ConfigurationError: an unknown name, or a share that is no number from 0 to 1.
    """
    if "+" in str(text) and not str(text).strip().startswith("from:"):
        return Together(tuple(parse_pattern(part) for part in str(text).split("+")))
    name, _, value = str(text).strip().partition(":")
    if name in _ALONE and not value:
        return _ALONE[name]()
    if name == "own":
        return Own(_lag(value, text) if value else None)
    if name == "from" and value:
        path, _, variable = value.rpartition(":") if "." not in value.rpartition(":")[2] else (value, "", "")
        return Borrowed(path or value, variable if path and variable else None)
    if name not in _SHARED:
        raise ConfigurationError(f"Unknown pattern {text!r}: {suggest(name, [*_SHARED, *_ALONE, 'from', 'own'])}")
    if name in ("profiles", "columns") and value.startswith("n="):
        low, high = _range(value[2:], text)
        if low < 1 or low != int(low) or high != int(high):
            raise ConfigurationError(
                f"Cannot draw {text!r}: expected a whole number of profiles, such as profiles:n=40."
            )
        return Profiles(count=(int(low), int(high)), full=0.8 if name == "profiles" else 1.0)
    low, high = _range(value, text)
    if high > 1.0:
        raise ConfigurationError(f"Cannot hide {text!r}: expected a share from 0 to 1, such as {name}:0.8.")
    return _SHARED[name](low if low == high else (low, high))


def reference_mask(kind: str, fraction: float, t: int, domain: np.ndarray, *, north_first: bool = False) -> np.ndarray:
    """The masks of the reference benchmark: observed cells at the absolute time index `t`.

    Arguments:
        kind: `random` or `clouds`.
        fraction: Hidden share of the domain.
        domain: Boolean (lat, lon), latitude ascending.
        north_first: The masks were defined on the file's own rows, and these run from north to south (ERSSTv5).

    Raises:
        ConfigurationError: another kind.
    """
    if north_first:
        return reference_mask(kind, fraction, t, domain[::-1])[::-1]
    if kind not in ("random", "clouds"):
        raise ConfigurationError(f"Unknown reference mask {kind!r}: {suggest(kind, ('random', 'clouds'))}")
    rng = np.random.default_rng(100_000 * round(100 * fraction) + t + (7_000_000 if kind == "clouds" else 0))
    cells = np.flatnonzero(domain)
    if kind == "random":
        return _hide(domain, rng.choice(cells, round(fraction * cells.size), replace=False))
    noise = rng.standard_normal(domain.shape)
    noise = gaussian_filter(noise, sigma=max(2, min(domain.shape) / 12), mode="wrap")
    return domain & (noise >= np.quantile(noise[domain], fraction))


def _share(hidden: Share, rng: np.random.Generator) -> float:
    return float(rng.uniform(*hidden)) if isinstance(hidden, tuple) else float(hidden)


def _hide(domain: np.ndarray, cells: np.ndarray) -> np.ndarray:
    observed = domain.copy()
    observed.flat[cells] = False
    return observed


def _hide_lowest(domain: np.ndarray, field: np.ndarray, share: float) -> np.ndarray:
    """Hides the columns where `field` (lat, lon) is lowest, until `share` of the domain cells is hidden."""
    weight = domain.reshape(-1, field.size).sum(axis=0)
    columns = np.flatnonzero(weight)
    ranked = columns[np.argsort(field.ravel()[columns], kind="stable")]
    hidden_cells = np.cumsum(weight[ranked])
    wanted = round(share * int(weight.sum()))
    number = int(np.searchsorted(hidden_cells, wanted, side="left")) + 1 if wanted > 0 else 0
    if number and number <= ranked.size:
        # the nearer of one column too many and one too few
        over, under = hidden_cells[number - 1], hidden_cells[number - 2] if number > 1 else 0
        number -= int(over - wanted > wanted - under)
    hidden = np.zeros(field.size, dtype=bool)
    hidden[ranked[:number]] = True
    return domain & ~hidden.reshape(field.shape)


def _columns(first: int, last: int, width: int, periodic: bool) -> list[slice]:
    """Columns first..last of a field, cut at the border or wrapped around it."""
    if not periodic:
        return [slice(max(first, 0), max(min(last, width), 0))]
    if last - first >= width:
        return [slice(0, width)]
    first, last = first % width, first % width + (last - first)
    return [slice(first, min(last, width)), slice(0, max(last - width, 0))]


def _lag(value: str, text: str) -> int:
    """A number of times."""
    try:
        return int(value)
    except ValueError as error:
        raise ConfigurationError(f"Cannot read {text!r}: expected a whole number of times, such as own:5.") from error


def _range(value: str, text: str) -> tuple[float, float]:
    """ "0.9" -> (0.9, 0.9), "0.9-0.99" -> (0.9, 0.99)."""
    low, dash, high = value.partition("-")
    try:
        pair = float(low), float(high) if dash else float(low)
    except ValueError as error:
        raise ConfigurationError(f"Cannot read {text!r}: expected a number or a range, such as clouds:0.8.") from error
    if not 0.0 <= pair[0] <= pair[1]:
        raise ConfigurationError(f"Cannot read the range in {text!r}: expected low-high, such as clouds:0.6-0.9.")
    return pair
