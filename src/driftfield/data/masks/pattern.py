"""What every pattern of gaps is, and those that need no geometry.

share    exact to one cell                  `hide`
         exact to one column of levels      `hide_lowest`
"""

__all__ = [
    "Everything",
    "Nothing",
    "Pattern",
    "RandomCells",
    "Record",
    "Share",
    "Together",
    "TopLevel",
    "draw_share",
    "hide",
    "hide_lowest",
]

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

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
        return hide(domain, rng.choice(cells, round(draw_share(self.hidden, rng) * cells.size), replace=False))


def draw_share(hidden: Share, rng: np.random.Generator) -> float:
    """The share itself, or one of the range."""
    return float(rng.uniform(*hidden)) if isinstance(hidden, tuple) else float(hidden)


def hide(domain: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The domain without some flat indices."""
    observed = domain.copy()
    observed.flat[cells] = False
    return observed


def hide_lowest(domain: np.ndarray, field: np.ndarray, share: float) -> np.ndarray:
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
