"""Random domains: open sea, coasts, islands, channels, a sea floor under a section, a frame that does not exist.

open | coast    ~~~###   level set of a smooth field        islands  ~~#~~#  of a rough one, high up
     | channel  ##~~##   where a smooth field is near 0     floor    ~~~~~~  columns of random depth
     | frame    ######   a border of missing cells
"""

__all__ = ["draw_domain"]

import numpy as np

from driftfield.worlds.random_fields import MaternFields, draw_fields


def draw_domain(rng: np.random.Generator, shape: tuple[int, int], *, periodic: bool = False) -> np.ndarray:
    """Where a field exists: boolean (rows, columns), at least two cells or a tenth of the grid.

    Arguments:
        rng: The only source of chance.
        shape: Rows and columns.
        periodic: Whether the columns wrap.
    """
    kind = rng.choice(["open", "coast", "islands", "channel", "floor", "frame"], p=[0.4, 0.26, 0.12, 0.08, 0.08, 0.06])
    if kind == "open":
        return np.ones(shape, dtype=bool)
    if kind == "floor":
        domain = _floor(rng, shape, periodic)
    elif kind == "frame":
        domain = np.zeros(shape, dtype=bool)
        top, left = (int(rng.integers(0, max(1, side // 4))) for side in shape)
        domain[top : shape[0] - int(rng.integers(0, max(1, shape[0] // 4))), left:] = True
    else:
        domain = _level_set(rng, shape, periodic, str(kind))
    return domain if domain.sum() >= max(2, 0.1 * domain.size) else np.ones(shape, dtype=bool)


def _level_set(rng: np.random.Generator, shape: tuple[int, int], periodic: bool, kind: str) -> np.ndarray:
    long = kind != "islands"
    length = rng.uniform(0.1, 0.4) * max(shape) if long else rng.uniform(1.5, 5.0)
    level = draw_fields(rng, MaternFields.single(length, rng.uniform(0.6, 2.5)), shape, periodic=periodic)[0]
    level = np.abs(level) if kind == "channel" else level
    sea = rng.uniform(0.35, 0.95) if long else rng.uniform(0.7, 0.98)
    return np.asarray(level <= np.quantile(level, sea))


def _floor(rng: np.random.Generator, shape: tuple[int, int], periodic: bool) -> np.ndarray:
    """Columns down to a depth that varies along the section; the first row is the surface or, half of the time, the last."""
    depth = draw_fields(
        rng, MaternFields.single(rng.uniform(0.1, 0.4) * max(shape), 1.5), (2, shape[1]), periodic=periodic
    )[0, 0]
    share = np.clip(rng.uniform(0.5, 1.0) + rng.uniform(0.1, 0.5) * depth, 0.05, 1.0)
    domain = np.arange(shape[0])[:, None] < share[None, :] * shape[0]
    return domain if rng.random() < 0.5 else domain[::-1].copy()
