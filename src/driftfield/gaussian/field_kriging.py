r"""Kriging of one horizontal field with the covariance that its own observations show (`variogram.py`).

    weights  W = (K_oo + R)^-1 K_ox         mean  W' y         variance  sill - K_xo W
    K        sill ((1 - nugget) r(h) + b),  b for a mean that is not quite known;  the nugget is the field's own, not an error

The cells are done in blocks of 4 x 4, each from the observations around it: the nearest ones, and the nearest of every 8th and
of every 64th, which in a wide gap see the other banks. The weights depend on where was observed alone: once made, they complete
any field that was seen in the same places, at once.
"""

__all__ = ["FieldKriging"]

import numpy as np
from scipy.spatial import cKDTree

from driftfield.gaussian.variogram import JITTER, MEAN, FittedMatern, correlation

_BLOCK = 4
_AT_ONCE = 256


class FieldKriging:
    """The weights of one pattern of observations.

    Arguments:
        model: Covariance of the field.
        observed: Where it was observed (lat, lon), somewhere at least.
        error: Standard deviation of the errors there, in the units of the field; any finite number elsewhere.
        most: Observations per block.
    """

    def __init__(self, model: FittedMatern, observed: np.ndarray, error: np.ndarray, *, most: int = 48) -> None:
        self.shape = observed.shape
        self.model = model
        places = np.argwhere(observed).astype(np.float64)
        self._cells = np.flatnonzero(observed)
        blocks = [-(-side // _BLOCK) for side in self.shape]
        corner = np.stack(np.meshgrid(*(np.arange(n) * _BLOCK for n in blocks), indexing="ij"), -1).reshape(-1, 1, 2)
        inner = np.stack(np.meshgrid(np.arange(_BLOCK), np.arange(_BLOCK), indexing="ij"), -1).reshape(1, -1, 2)
        cells = (corner + inner).astype(np.float64)
        index = _around(places, corner[:, 0] + (_BLOCK - 1) / 2, most)
        noise = error[observed].astype(np.float64) ** 2 / model.sill
        weights = np.empty((len(index), index.shape[1], _BLOCK**2), dtype=np.float32)
        variance = np.empty((len(index), _BLOCK**2))
        # a few blocks at once stay in the cache
        for start in range(0, len(index), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            near = index[part]
            weights[part], variance[part] = _solved(model, places[near], cells[part], noise[near], _repeated(near))
        self._index, self._weights, self._blocks = index, weights, blocks
        self.sd = np.sqrt(model.sill * np.maximum(self._joined(variance, blocks), 1e-8))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The completed field (lat, lon) of one that was seen in these places; about mean 0."""
        seen = values.ravel()[self._cells][self._index]
        return self._joined(np.einsum("bk,bkc->bc", seen, self._weights), self._blocks)

    def _joined(self, parts: np.ndarray, blocks: list[int]) -> np.ndarray:
        """(block, cell) -> (lat, lon)."""
        whole = parts.reshape(*blocks, _BLOCK, _BLOCK).swapaxes(1, 2).reshape(blocks[0] * _BLOCK, -1)
        return np.ascontiguousarray(whole[: self.shape[0], : self.shape[1]])


def _solved(
    model: FittedMatern, near: np.ndarray, cells: np.ndarray, noise: np.ndarray, repeated: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (block, neighbour, cell) and variance in units of the sill (block, cell) of some blocks."""
    smooth = 1 - model.nugget
    matrix = smooth * correlation(model, near[:, :, None] - near[:, None]) + MEAN
    diagonal = np.arange(near.shape[1])
    # a place that was found twice speaks once
    matrix[:, diagonal, diagonal] += model.nugget + noise + JITTER + 1e6 * repeated
    offset = near[:, :, None] - cells[:, None]
    cross = smooth * correlation(model, offset) + MEAN
    if model.nugget > 0:
        # what an observation says of its own cell
        cross += model.nugget * (offset == 0).all(axis=-1)
    weights = np.linalg.solve(matrix, cross)
    return weights, 1 + MEAN - (weights * cross).sum(axis=1)


def _repeated(index: np.ndarray) -> np.ndarray:
    """Where an observation has come before in its row."""
    repeated = np.zeros(index.shape, dtype=bool)
    order = np.argsort(index, axis=1, kind="stable")
    ordered = np.take_along_axis(index, order, 1)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return repeated


def _around(places: np.ndarray, centres: np.ndarray, most: int) -> np.ndarray:
    """Indices of the observations around each centre (block, neighbour); some may come twice."""
    count = len(places)
    if count <= most:
        return np.broadcast_to(np.arange(count), (len(centres), count))
    # a fixed shuffle: the thinned sets must not follow the rows of the grid
    order = np.random.default_rng(0).permutation(count)
    parts = []
    for thin, room in ((1, most - 2 * (most // 5)), (8, most // 5), (64, most // 5)):
        chosen = order[: -(-count // thin)]
        nearest = cKDTree(places[chosen]).query(centres, k=min(room, chosen.size))[1]
        parts.append(chosen[nearest.reshape(len(centres), -1)])
    return np.concatenate(parts, axis=1)
