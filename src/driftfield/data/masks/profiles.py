"""Columns of levels, as floats and ships see them.

.|..|.    from the top down: most to the sea floor, the others to a random level
"""

__all__ = ["Profiles"]

from dataclasses import dataclass

import numpy as np

from driftfield.data.masks.pattern import Pattern, Share, draw_share, read_range, read_shape, read_share
from driftfield.errors import ConfigurationError
from driftfield.registry import register


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

    def __post_init__(self) -> None:
        if not 0.0 <= self.full <= 1.0:
            raise ConfigurationError(f"Profiles of which {self.full:g} are full: expected a share from 0 to 1.")

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
            share = draw_share(0.95 if self.hidden is None else self.hidden, rng)
            wanted = round((1.0 - share) * int(levels.sum()))
            # shortened profiles may leave too little: then all go down to the floor
            seen = levels[:, columns] if wanted > seen.sum() else seen
            # cells in the order of measurement: profile by profile, from the top down
            count = np.cumsum(seen.T).reshape(seen.T.shape).T
            seen &= count <= wanted
        observed = np.zeros_like(levels)
        observed[:, columns] = seen
        return observed.reshape(domain.shape)


def _read(value: str, word: str, full: float) -> Profiles:
    """A share, or a number of profiles as n=LOW-HIGH, and the share of them that is full."""
    value, shape = read_shape(value, word, ("full",) if word == "profiles" else ())
    full = shape.get("full", full)
    if not value.startswith("n="):
        return Profiles(read_share(value, word), full=full)
    low, high = read_range(value.removeprefix("n="), word)
    if low < 1 or low != int(low) or high != int(high):
        raise ConfigurationError(
            f"Cannot draw {f'{word}:{value}'!r}: expected a whole number of profiles, such as profiles:n=40."
        )
    return Profiles(count=(int(low), int(high)), full=full)


register("pattern", "profiles")(lambda value: _read(value, "profiles", 0.8))
register("pattern", "columns")(lambda value: _read(value, "columns", 1.0))
