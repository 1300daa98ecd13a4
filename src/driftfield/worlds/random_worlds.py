"""Worlds without end: batches of random fields as different as those that somebody may want to fill.

    layers      one or two Matern fields, and each at random: a trend, fronts (steep level sets), eddies, white fine scales
    unevenness  amplitude or length that changes across the field, a warp of the plane
    shape       as it is | squashed | skewed | bounded below, as rain is | clipped | in steps

Nothing here has a unit, a place or a date. A field depends on the generator alone.
"""

__all__ = ["RandomWorlds"]

from dataclasses import dataclass

import numpy as np

from driftfield.worlds.random_fields import MaternFields, draw_fields


@dataclass(frozen=True)
class RandomWorlds:
    """A distribution over fields; the shares say how often an ingredient is drawn.

    Arguments:
        second: A second Matern field, at other scales.
        trend: A plane or a parabola across the field.
        fronts: Steep level sets of a smooth field.
        eddies: Round bumps and hollows.
        speckle: White fine scales.
        uneven: Amplitude that changes across the field.
        patchwork: Two fields of different scales, side by side.
        warp: A smooth displacement of the plane.
        shaped: A pointwise transform.
    """

    second: float = 0.35
    trend: float = 0.3
    fronts: float = 0.2
    eddies: float = 0.15
    speckle: float = 0.1
    uneven: float = 0.2
    patchwork: float = 0.15
    warp: float = 0.15
    shaped: float = 0.3

    def draw(
        self, rng: np.random.Generator, count: int, shape: tuple[int, int], *, periodic: bool = False
    ) -> np.ndarray:
        """Fields of mean 0 and standard deviation 1 over their cells: (count, rows, columns), float32.

        Arguments:
            rng: The only source of chance.
            count: Number of fields.
            shape: Rows and columns, at least 2 cells in all.
            periodic: Whether the columns wrap.
        """
        sides = max(shape)
        base = MaternFields.draw(rng, count, lengths=(1.0, 0.7 * sides))
        fields = _unit(draw_fields(rng, base, shape, periodic=periodic))
        smooth = _smooth(rng, count, shape, periodic)
        if (mixed := rng.random(count) < self.second).any():
            other = _layer(rng, int(mixed.sum()), shape, periodic, (1.0, 0.4 * sides))
            fields[mixed] += _between(rng, mixed, 0.1, 1.0) * other
        if (mixed := rng.random(count) < self.patchwork).any():
            other = _layer(rng, int(mixed.sum()), shape, periodic, (1.0, 0.4 * sides))
            share = 1 / (1 + np.exp(-4 * smooth[mixed]))
            fields[mixed] = (1 - share) * fields[mixed] + share * other
        if (moved := rng.random(count) < self.warp).any() and min(shape) > 1:
            fields[moved] = _warped(rng, fields[moved], periodic)
        if (chosen := rng.random(count) < self.uneven).any():
            fields[chosen] *= np.exp(_between(rng, chosen, 0.2, 0.8) * smooth[chosen])
        for share, make in ((self.fronts, _fronts), (self.eddies, _eddies), (self.trend, _trend)):
            if (chosen := rng.random(count) < share).any():
                extra = make(rng, int(chosen.sum()), shape, periodic)
                fields[chosen] = _unit(fields[chosen]) + _between(rng, chosen, 0.3, 2.0) * extra
        if (chosen := rng.random(count) < self.speckle).any():
            white = rng.standard_normal((int(chosen.sum()), *shape), dtype=np.float32)
            fields[chosen] = _unit(fields[chosen]) + _between(rng, chosen, 0.03, 0.5) * white
        return _unit(_shaped(rng, _unit(fields), self.shaped))


def _unit(fields: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 of every field; a constant one becomes 0."""
    fields = fields - fields.mean(axis=(1, 2), keepdims=True)
    spread = fields.std(axis=(1, 2), keepdims=True)
    return np.asarray(fields / np.maximum(spread, 1e-6), dtype=np.float32)


def _between(rng: np.random.Generator, chosen: np.ndarray, low: float, high: float) -> np.ndarray:
    """Log-uniform weights (chosen, 1, 1)."""
    return np.exp(rng.uniform(np.log(low), np.log(high), int(chosen.sum()))).astype(np.float32)[:, None, None]


def _layer(
    rng: np.random.Generator, count: int, shape: tuple[int, int], periodic: bool, lengths: tuple[float, float]
) -> np.ndarray:
    return _unit(draw_fields(rng, MaternFields.draw(rng, count, lengths=lengths), shape, periodic=periodic))


def _smooth(rng: np.random.Generator, count: int, shape: tuple[int, int], periodic: bool) -> np.ndarray:
    """Smooth fields of a quarter to the half of the side, for whatever varies across a field."""
    length = rng.uniform(0.15, 0.5, count) * max(shape)
    matern = MaternFields(length, np.full(count, 3.0), np.ones(count), np.zeros(count))
    return _unit(draw_fields(rng, matern, shape, periodic=periodic))


def _fronts(rng: np.random.Generator, count: int, shape: tuple[int, int], periodic: bool) -> np.ndarray:
    """Level sets of a smooth field, one or two cells to a fifth of its range wide."""
    lengths = (3.0, 0.5 * max(shape) + 3.0)
    level = draw_fields(rng, MaternFields.draw(rng, count, lengths=lengths), shape, periodic=periodic)
    level = _unit(level) - rng.uniform(-1, 1, (count, 1, 1)).astype(np.float32)
    steep = np.exp(rng.uniform(np.log(1.0), np.log(20.0), (count, 1, 1))).astype(np.float32)
    return np.asarray(np.tanh(steep * level), dtype=np.float32)


def _eddies(rng: np.random.Generator, count: int, shape: tuple[int, int], periodic: bool) -> np.ndarray:
    """One to eight Gaussian bumps and hollows."""
    rows, columns = np.arange(shape[0], dtype=np.float32), np.arange(shape[1], dtype=np.float32)
    height = rng.standard_normal((count, 8)).astype(np.float32)
    height *= np.arange(8) < rng.integers(1, 9, (count, 1))
    radius = np.exp(rng.uniform(np.log(1.5), np.log(4.0 + min(shape) / 6), (count, 8))).astype(np.float32)
    y = (rows - rng.uniform(0, shape[0], (count, 8, 1)).astype(np.float32)) / radius[..., None]
    x = columns - rng.uniform(0, shape[1], (count, 8, 1)).astype(np.float32)
    if periodic:
        x = (x + shape[1] / 2) % shape[1] - shape[1] / 2
    x = x / radius[..., None]
    return np.einsum("be,bey,bex->byx", height, np.exp(-y * y / 2), np.exp(-x * x / 2), optimize=True)


def _trend(rng: np.random.Generator, count: int, shape: tuple[int, int], periodic: bool) -> np.ndarray:
    """A plane, bent a little; along the columns nothing where these wrap."""
    y = np.linspace(-1.7, 1.7, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1.7, 1.7, shape[1], dtype=np.float32)[None, :] * (0.0 if periodic else 1.0)
    a, b, c, d = rng.standard_normal((4, count, 1, 1)).astype(np.float32)
    plane = a * y + b * x
    return np.asarray(plane + 0.3 * c * (y * y - 1) + 0.3 * d * (x * x - 1), dtype=np.float32)


def _warped(rng: np.random.Generator, fields: np.ndarray, periodic: bool) -> np.ndarray:
    """The field at displaced places, by bilinear interpolation; the plane is folded nowhere for long."""
    count, rows, columns = fields.shape
    size = rng.uniform(0.02, 0.12, (2, count, 1, 1)) * max(rows, columns)
    y = np.arange(rows)[:, None] + size[0] * _smooth(rng, count, (rows, columns), periodic)
    x = np.arange(columns)[None, :] + size[1] * _smooth(rng, count, (rows, columns), periodic)
    y = rows - 1 - np.abs(rows - 1 - np.abs(y))
    y = np.clip(y, 0, rows - 1)
    x = x % columns if periodic else np.clip(columns - 1 - np.abs(columns - 1 - np.abs(x)), 0, columns - 1)
    top, left = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    below = np.minimum(top + 1, rows - 1)
    right = (left + 1) % columns if periodic else np.minimum(left + 1, columns - 1)
    dy, dx = (y - top).astype(np.float32), (x - left).astype(np.float32)
    sample = np.arange(count)[:, None, None]
    upper = fields[sample, top, left] * (1 - dx) + fields[sample, top, right] * dx
    lower = fields[sample, below, left] * (1 - dx) + fields[sample, below, right] * dx
    return np.asarray(upper * (1 - dy) + lower * dy, dtype=np.float32)


def _shaped(rng: np.random.Generator, fields: np.ndarray, share: float) -> np.ndarray:
    """A pointwise transform of a part of the fields, half of the one-sided ones upside down."""
    size = np.exp(rng.uniform(np.log(0.4), np.log(2.0), len(fields)))
    kinds = rng.integers(0, 6, len(fields))
    sign = np.where(rng.random(len(fields)) < 0.5, -1.0, 1.0)
    for b in np.flatnonzero(rng.random(len(fields)) < share):
        z, a = fields[b], size[b]
        match kinds[b]:
            case 0:
                z = np.tanh(a * z)
            case 1:
                z = np.exp(0.8 * a * z)
            case 2:
                z = np.maximum(z - rng.uniform(-1.0, 0.8), 0.0) ** rng.uniform(1.0, 1.6)
            case 3:
                z = np.clip(z, -a, a)
            case 4:
                z = np.sinh(a * z)
            case _:
                z = np.round(z * rng.uniform(0.7, 4.0))
        fields[b] = sign[b] * z
    return fields
