"""Training, validation and test data that never touch.

    time split     |-- train --|buffer|-- validation --|buffer|-- test --|       all windows in each
    space split    blocks of cells; a window belongs to a part if all its cells do, one across a border to none; all times in each
    random blocks  blocks of time, drawn at random, with buffers around what is held out

`Splits` holds what was decided and is what training uses; `check_disjoint` proves it, whoever made it.
"""

__all__ = ["Part", "RandomBlocks", "SpaceSplit", "Split", "Splits", "TimeSplit", "check_disjoint", "spread_over"]

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.data.patches import Window
from driftfield.errors import ConfigurationError, DataError, OverlapError
from driftfield.gridded.encodings import as_dates
from driftfield.registry import register

Period = Sequence[Any] | float | None
"""[first, last] dates (both included; "2015" is the whole year), a share of the times, or nothing."""


@dataclass(frozen=True)
class Part:
    """Times and windows of one part: its samples are all pairs of them.

    Arguments:
        times: Time indices, ascending.
        windows: Windows; empty for the whole grid.
        cells: The part's own cells of the grid, boolean (lat, lon); None where all parts share them.
    """

    times: np.ndarray
    windows: tuple[Window, ...] = ()
    cells: np.ndarray | None = None


@dataclass(frozen=True)
class Splits:
    """The three parts.

    Arguments:
        train: To learn from.
        validation: To choose with.
        test: To report on; may be empty.
    """

    train: Part
    validation: Part
    test: Part

    def held_out(self, part: str, like: xr.DataArray) -> xr.DataArray:
        """Where a part lies in an archive: boolean (time, lat, lon), as the `held_out` of an observation file.

        Arguments:
            part: "train", "validation" or "test".
            like: A field of the archive; its time, lat and lon are taken.

        Raises:
            DataError: the split has no such part.
        """
        chosen: Part = getattr(self, part)
        if not chosen.times.size:
            raise DataError(f"The split has no {part} part: give it a share or a period, such as {part}: 0.2.")
        mask = np.zeros([like.sizes[axis] for axis in ("time", "lat", "lon")], dtype=bool)
        mask[chosen.times] = True if chosen.cells is None else chosen.cells
        coords = {axis: like[axis] for axis in ("time", "lat", "lon")}
        return xr.DataArray(mask, coords, ("time", "lat", "lon"), name="held_out")


class Split(ABC):
    """Decides which samples train, validate and test."""

    validates: ClassVar[bool] = True
    """Whether there is a validation part; a method that is fitted without one chooses its constants by itself."""

    @abstractmethod
    def divide(self, times: Any, windows: Sequence[Window] = (), grid: tuple[int, int] | None = None) -> Splits:
        """Divides the samples.

        Arguments:
            times: Dates (time,) of the archive, ascending.
            windows: Windows of the archive; none for the whole grid.
            grid: (lat, lon) cells, for splits in space.

        Raises:
            ConfigurationError: a period that cannot be read.
            DataError: a part that was asked for is empty.
            OverlapError: parts that were asked for overlap.
        """


@register("split")
class TimeSplit(Split):
    """Blocks of time with buffers between them.

    With shares, the blocks follow each other: train, validation, test. Times within `buffer` of a later part are left
    out of an earlier one: out of training near validation and test, out of validation near test.

    Arguments:
        train: Period; everything that is not validation or test if not given.
        validation: Period.
        test: Period, or nothing.
        buffer: Least distance between the parts, such as "30D" or "12h".
    """

    def __init__(self, train: Period = None, validation: Period = 0.1, test: Period = None, buffer: str = "0D") -> None:
        self.train, self.validation, self.test = train, validation, test
        self.buffer = _seconds(buffer)

    def divide(self, times: Any, windows: Sequence[Window] = (), grid: tuple[int, int] | None = None) -> Splits:
        dates = as_dates(times)
        count = dates.size
        test = _period(self.test, dates, end=count)
        validation = _period(self.validation, dates, end=count - (test.size if _is_share(self.test) else 0))
        if self.train is None:
            train = np.setdiff1d(np.arange(count), np.concatenate([validation, test]))
        elif _is_share(self.train):
            train = np.arange(round(float(self.train) * count))  # type: ignore[arg-type]
        else:
            train = _period(self.train, dates, end=count)
        for a, b, names in ((train, validation, "train and validation"), (train, test, "train and test"),
                            (validation, test, "validation and test")):  # fmt: skip
            if (both := np.intersect1d(a, b)).size:
                raise OverlapError(
                    f"{names} share {both.size} times, the first is {dates.values[both[0]]}. Choose periods that do "
                    "not overlap."
                )
        seconds = _as_seconds(dates)
        validation = _away(validation, test, seconds, self.buffer)
        train = _away(_away(train, validation, seconds, self.buffer), test, seconds, self.buffer)
        return _finish(train, validation, test, windows, asked_test=self.test is not None)


@register("split")
class RandomBlocks(Split):
    """Blocks of consecutive times drawn at random.

    Arguments:
        validation: Share of the blocks.
        test: Share of the blocks.
        length: Length of a block, such as "90D".
        buffer: Least distance between the parts.
        seed: Of the draw.
    """

    def __init__(
        self, validation: float = 0.1, test: float = 0.0, length: str = "90D", buffer: str = "0D", seed: int = 0
    ) -> None:
        _check_shares(validation, test)
        self.validation, self.test, self.seed = float(validation), float(test), int(seed)
        self.length, self.buffer = _seconds(length), _seconds(buffer)
        if self.length <= 0:
            raise ConfigurationError("Blocks of no length: expected something like length='90D'.")

    def divide(self, times: Any, windows: Sequence[Window] = (), grid: tuple[int, int] | None = None) -> Splits:
        seconds = _as_seconds(as_dates(times))
        block = ((seconds - seconds[0]) // self.length).astype(int)
        label = _draw_labels(int(block[-1]) + 1, self.validation, self.test, self.seed)[block]
        train, validation, test = (np.flatnonzero(label == part) for part in range(3))
        validation = _away(validation, test, seconds, self.buffer)
        train = _away(_away(train, validation, seconds, self.buffer), test, seconds, self.buffer)
        return _finish(train, validation, test, windows, asked_test=self.test > 0)


@register("split")
class SpaceSplit(Split):
    """Blocks of cells drawn at random; a window that crosses from one part into another is left out.

    Arguments:
        validation: Share of the blocks.
        test: Share of the blocks.
        block: Edge of a block in cells; twice the window if not given.
        seed: Of the draw.
    """

    def __init__(self, validation: float = 0.2, test: float = 0.0, block: int | None = None, seed: int = 0) -> None:
        _check_shares(validation, test)
        self.validation, self.test, self.block, self.seed = float(validation), float(test), block, int(seed)

    def divide(self, times: Any, windows: Sequence[Window] = (), grid: tuple[int, int] | None = None) -> Splits:
        if not windows:
            raise ConfigurationError("A split in space needs windows. Set a patch size, or use TimeSplit.")
        if grid is None:
            grid = max(w.row + w.height for w in windows), max(w.col + w.width for w in windows)
        block = self.block or 2 * max(max(w.height, w.width) for w in windows)
        tiles = -(-grid[0] // block), -(-grid[1] // block)
        drawn = _draw_labels(tiles[0] * tiles[1], self.validation, self.test, self.seed).reshape(tiles)
        label = np.kron(drawn, np.ones((block, block), dtype=int))[: grid[0], : grid[1]]
        parts: tuple[list[Window], ...] = ([], [], [])
        for window in windows:
            cells = label[window.rows][:, window.columns(grid[1])]
            if cells.min() == cells.max():
                parts[int(cells.flat[0])].append(window)
        every = np.arange(as_dates(times).size)
        for name, part, asked in zip(("train", "validation", "test"), parts, (True, True, self.test > 0), strict=True):
            if asked and not part:
                raise DataError(
                    f"No window lies wholly in the {name} blocks of {block} cells. Choose smaller windows or strides, "
                    "or another block size or seed."
                )
        nothing = np.arange(0)
        found = (Part(every if part else nothing, tuple(part), label == i) for i, part in enumerate(parts))
        return Splits(*found)


def check_disjoint(splits: Splits, *, times: Any, buffer: str = "0D", grid: tuple[int, int] | None = None) -> None:
    """Proves that no two parts share a cell at times closer than `buffer` (or equal).

    Arguments:
        splits: What training uses.
        times: Dates of the archive.
        buffer: Least distance that was promised.
        grid: (lat, lon) cells, needed where windows wrap.

    Raises:
        OverlapError: names the parts, the window and the times that overlap.
    """
    seconds, dates, least = _as_seconds(as_dates(times)), as_dates(times).values, _seconds(buffer)
    named = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    for (name_a, a), (name_b, b) in combinations(named.items(), 2):
        pair = _closest(a.times, b.times, seconds)
        if pair is None or (gap := abs(seconds[pair[0]] - seconds[pair[1]])) > least:
            continue
        if gap == least and least > 0:
            continue
        where = _shared_cell(a.cells, b.cells) or _shared_window(a.windows, b.windows, grid)
        if where is not None:
            raise OverlapError(
                f"{name_a} and {name_b} overlap: {where} at {dates[pair[0]]} and {dates[pair[1]]}, closer than "
                f"the buffer of {buffer}. Move the periods apart, or widen the split."
            )


def spread_over(times: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the times, evenly spread, the first and the last among them."""
    return times[np.unique(np.linspace(0, len(times) - 1, min(count, len(times))).round().astype(int))]


def _shared_cell(a: np.ndarray | None, b: np.ndarray | None) -> str | None:
    if a is None or b is None or not (a & b).any():
        return None
    row, col = np.argwhere(a & b)[0]
    return f"the cell at row {row}, column {col}"


def _shared_window(a: Sequence[Window], b: Sequence[Window], grid: tuple[int, int] | None) -> str | None:
    if not a or not b:
        return "the whole grid"
    rows = max(w.row + w.height for w in (*a, *b))
    cols = grid[1] if grid is not None else max(w.col + w.width for w in (*a, *b))
    covered = np.zeros((rows, cols), dtype=bool)
    for window in a:
        covered[window.row : window.row + window.height, window.columns(cols)] = True
    for window in b:
        if covered[window.row : window.row + window.height, window.columns(cols)].any():
            return f"the window at row {window.row}, column {window.col}"
    return None


def _closest(a: np.ndarray, b: np.ndarray, seconds: np.ndarray) -> tuple[int, int] | None:
    """The pair of time indices that lie nearest to each other."""
    if a.size == 0 or b.size == 0:
        return None
    b = b[np.argsort(seconds[b])]
    place = np.searchsorted(seconds[b], seconds[a])
    left, right = b[np.clip(place - 1, 0, b.size - 1)], b[np.clip(place, 0, b.size - 1)]
    nearest = np.where(np.abs(seconds[left] - seconds[a]) < np.abs(seconds[right] - seconds[a]), left, right)
    best = int(np.argmin(np.abs(seconds[nearest] - seconds[a])))
    return int(a[best]), int(nearest[best])


def _away(part: np.ndarray, other: np.ndarray, seconds: np.ndarray, buffer: float) -> np.ndarray:
    """The times of `part` that are `buffer` or more away from every time of `other`."""
    if part.size == 0 or other.size == 0 or buffer <= 0:
        return part
    ordered = np.sort(seconds[other])
    place = np.searchsorted(ordered, seconds[part])
    before = np.abs(seconds[part] - ordered[np.clip(place - 1, 0, ordered.size - 1)])
    after = np.abs(seconds[part] - ordered[np.clip(place, 0, ordered.size - 1)])
    return part[np.minimum(before, after) >= buffer]


def _finish(
    train: np.ndarray, validation: np.ndarray, test: np.ndarray, windows: Sequence[Window], *, asked_test: bool
) -> Splits:
    for name, part, asked in (("train", train, True), ("validation", validation, True), ("test", test, asked_test)):
        if asked and part.size == 0:
            raise DataError(
                f"The {name} part holds no time. Check the periods of the split against the file, or its buffer."
            )
    return Splits(*(Part(part, tuple(windows)) for part in (train, validation, test)))


def _is_share(period: Period) -> bool:
    return isinstance(period, int | float) and not isinstance(period, bool)


def _period(period: Period, dates: xr.DataArray, *, end: int) -> np.ndarray:
    """Time indices of [first, last], or of a share that ends at index `end`."""
    if period is None:
        return np.arange(0)
    if _is_share(period):
        share = float(period)  # type: ignore[arg-type]
        if not 0.0 <= share < 1.0:
            raise ConfigurationError(f"A share of {share} of the times: expected 0 to 1, or [first, last] dates.")
        return np.arange(end - round(share * dates.size), end)
    if isinstance(period, str) or len(period) != 2:  # type: ignore[arg-type]
        raise ConfigurationError(f"Cannot read the period {period!r}: expected [first, last] dates, or a share.")
    index = xr.DataArray(np.arange(dates.size), dims="time", coords={"time": dates.values})
    first, last = (None if date is None else str(date) for date in period)  # type: ignore[union-attr]
    try:
        return index.sel(time=slice(first, last)).values
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"Cannot read the period {list(period)}: {error}.") from error  # type: ignore[arg-type]


def _draw_labels(count: int, validation: float, test: float, seed: int) -> np.ndarray:
    """0 train, 1 validation, 2 test for each block; a part that was asked for gets a block at least."""
    order = np.random.default_rng(seed).permutation(count)
    n_validation = max(1, round(validation * count)) if validation > 0 else 0
    n_test = max(1, round(test * count)) if test > 0 else 0
    label = np.zeros(count, dtype=int)
    label[order[:n_validation]] = 1
    label[order[n_validation : n_validation + n_test]] = 2
    return label


def _check_shares(validation: float, test: float) -> None:
    if not (0.0 < validation < 1.0 and 0.0 <= test < 1.0 and validation + test < 1.0):
        raise ConfigurationError(
            f"Shares of {validation} for validation and {test} for test: expected 0 to 1, together below 1."
        )


def _seconds(duration: str | int | float) -> float:
    try:
        return float(pd.Timedelta(duration if isinstance(duration, str) else f"{duration}D").total_seconds())
    except ValueError as error:
        raise ConfigurationError(f"Cannot read the duration {duration!r}: expected something like '30D'.") from error


def _as_seconds(dates: xr.DataArray) -> np.ndarray:
    """Seconds since the first date, for any calendar."""
    values = dates.values
    if values.dtype.kind == "M":
        return (values - values[0]) / np.timedelta64(1, "s")
    return np.array([(value - values[0]).total_seconds() for value in values])
