"""What every pattern of gaps is, and those that need no geometry.

share    exact to one cell                  `hide`
         exact to one column of levels      `hide_lowest`
"""

__all__ = [
    "Everything",
    "Nothing",
    "Pattern",
    "RandomCells",
    "Lender",
    "Share",
    "Together",
    "TopLevel",
    "draw_share",
    "hide",
    "hide_lowest",
    "lone_word",
    "read_range",
    "read_shape",
    "read_share",
    "share_word",
]

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from driftfield.errors import ConfigurationError, suggest
from driftfield.registry import register

Share = float | tuple[float, float]
"""A hidden share, or a range from which it is drawn."""


@dataclass(frozen=True)
class Lender:
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

    def among(self, record: Lender) -> "Pattern":
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

    def among(self, record: Lender) -> Pattern:
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


def read_range(value: str, word: str) -> tuple[float, float]:
    """ "0.9" -> (0.9, 0.9), "0.9-0.99" -> (0.9, 0.99).

    Raises:
        ConfigurationError: no number, or no rising range.
    """
    text = f"{word}:{value}" if value else word
    low, dash, high = value.partition("-")
    try:
        pair = float(low), float(high) if dash else float(low)
    except ValueError as error:
        raise ConfigurationError(f"Cannot read {text!r}: expected a number or a range, such as clouds:0.8.") from error
    if not 0.0 <= pair[0] <= pair[1]:
        raise ConfigurationError(f"Cannot read the range in {text!r}: expected low-high, such as clouds:0.6-0.9.")
    return pair


def read_share(value: str, word: str) -> Share:
    """What `word:0.8` or `word:0.6-0.9` hides.

    Raises:
        ConfigurationError: no share from 0 to 1.
    """
    low, high = read_range(value, word)
    if high > 1.0:
        raise ConfigurationError(
            f"Cannot hide {f'{word}:{value}'!r}: expected a share from 0 to 1, such as {word}:0.8."
        )
    return low if low == high else (low, high)


def read_shape(value: str, word: str, allowed: Sequence[str]) -> tuple[str, dict[str, float]]:
    """ "0.5,smallest=0.1" -> ("0.5", {"smallest": 0.1}).

    Raises:
        ConfigurationError: an argument that the pattern does not have, twice the same, or no number.
    """
    share, *parts = (part.strip() for part in value.split(","))
    shape: dict[str, float] = {}
    for part in parts:
        name, _, text = part.partition("=")
        if name not in allowed:
            takes = suggest(name, allowed) if allowed else "it takes none. Leave it out."
            raise ConfigurationError(f"Found {part!r} in {f'{word}:{value}'!r}: {takes}")
        try:
            number = float(text)
        except ValueError as error:
            raise ConfigurationError(f"Cannot read {part!r} in {f'{word}:{value}'!r}: expected a number.") from error
        if name in shape or not math.isfinite(number):
            raise ConfigurationError(f"Found {part!r} in {f'{word}:{value}'!r}: expected one number, once.")
        shape[name] = number
    return share, shape


def share_word(word: str, make: Callable[..., Pattern], shape: Sequence[str] = ()) -> None:
    """Registers the word of a pattern that hides a share: `word:0.8`, `word:0.6-0.9` for one that is drawn, `word:0.8,scale=4`.

    Arguments:
        word: In recipes and commands.
        make: From the share and the arguments of the shape.
        shape: Names of these.
    """

    def read(value: str) -> Pattern:
        share, found = read_shape(value, word, shape)
        return make(read_share(share, word), **found)

    register("pattern", word)(read)


def lone_word(word: str, make: Callable[[], Pattern]) -> None:
    """Registers a word that stands alone, without a number behind it."""

    def read(value: str) -> Pattern:
        if value:
            raise ConfigurationError(f"Found {f'{word}:{value}'!r}: {word!r} stands alone. Leave out ':{value}'.")
        return make()

    register("pattern", word)(read)


share_word("random", RandomCells)
lone_word("all", Everything)
lone_word("none", Nothing)
lone_word("surface", TopLevel)
