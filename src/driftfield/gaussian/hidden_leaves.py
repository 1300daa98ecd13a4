"""Hidden cells with the observations around them, in small groups: what constants make of them, and how that changes with each.

    leaf       some hidden cells side by side, and the observations around them that are not hidden
    says       mean W' y and variance K_xx - W' K_ox,  W = (K_oo + R)^-1 K_ox
    slope      dmean = dK_ox' a - W' dK_oo a,  dvariance = W' dK_oo W - 2 W' dK_ox,  a = (K_oo + R)^-1 y

The distances are worked out once, of every pair once, so that an evaluation is one batch of small Cholesky factors; its slope
needs no other one.
"""

__all__ = ["Leaves", "Task", "crps", "cut_leaves", "predictions"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.gaussian.local_kriging import Scattered
from driftfield.gaussian.neighbours import Neighbourhood, leaves, padded
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.space_time_tuning import SpaceTimeConstants


@dataclass(frozen=True)
class Task:
    """Hidden cells of one date with what may be seen of this and other dates, all standardised.

    Arguments:
        places: Cells of the grid that exist.
        seen: Observations; times and days relative to the date.
        hidden: Indices of the hidden cells (cell,).
        truth: Their values.
    """

    places: Places
    seen: Scattered
    hidden: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Leaves:
    """Hidden cells and their neighbours, as arrays: (leaf, neighbour or cell).

    Arguments:
        squares: Squared distances of the pairs of a leaf: chord (km^2), latitude, longitude (rad^2), log depth, days; each
            (leaf, pair), or one number where nothing differs. Pairs of neighbours come first, as `_below` orders them, then
            every neighbour with every cell.
        values: Of the neighbours (leaf, neighbour), 0 where unused.
        noise: Variance of their errors.
        used: Whether a neighbour is one.
        truth: Of the hidden cells (leaf, cell), NaN where a leaf has fewer.
    """

    squares: tuple[Tensor, ...]
    values: Tensor
    noise: Tensor
    used: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return len(self.values)


def cut_leaves(
    tasks: Sequence[Task], constants: SpaceTimeConstants, *, most: int, count: int, size: int = 3, seed: int = 0
) -> Leaves:
    """Some leaves of every task, with the neighbours that the constants choose.

    Arguments:
        tasks: What is hidden.
        constants: Their metric decides who is near.
        most: Neighbours of a leaf.
        count: Leaves in all.
        size: Hidden cells of a leaf.
        seed: Of the choice of leaves.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 271]))
    total = sum(len(task.hidden) for task in tasks)
    parts = []
    for task in tasks:
        share = max(2, round(count * len(task.hidden) / max(total, 1)))
        parts.append(_cut(task, constants, most=most, count=share, size=size, rng=rng))
    width = max(part[1].shape[1] for part in parts)
    points = np.concatenate([_padded(part[0], part[1].shape[1], width) for part in parts])
    stacked = [np.concatenate([_widened(part[k], width) for part in parts]) for k in (1, 2, 3)]
    truth = np.concatenate([part[4] for part in parts])
    # relative to the leaf, so that single precision loses nothing; a dimension in which nothing differs costs nothing
    place = torch.from_numpy(points - points.mean(axis=1, keepdims=True)).float()
    row, column = _below(width)
    inside = torch.arange(width, points.shape[1])
    left = torch.cat([row, torch.arange(width).repeat_interleave(len(inside))])
    right = torch.cat([column, inside.repeat(width)])
    apart = [(place[:, left, k] - place[:, right, k]).square() for k in range(points.shape[-1])]
    chord = apart[0] + apart[1] + apart[2]
    others = tuple(square if bool((square > 0).any()) else torch.zeros((), dtype=square.dtype) for square in apart[3:])
    values, noise, used = stacked
    return Leaves(
        (chord, *others),
        torch.from_numpy(values).double(),
        torch.from_numpy(noise).double(),
        torch.from_numpy(used),
        torch.from_numpy(truth).double(),
    )


def _cut(
    task: Task, constants: SpaceTimeConstants, *, most: int, count: int, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points (leaf, neighbour + cell, 7), values, noise and use of the neighbours, truth of the cells."""
    covariance = constants.covariance
    targets = covariance.embed(task.places[task.hidden], np.zeros(task.hidden.size))
    groups = leaves(targets[-1][:, :-1], size)
    chosen = rng.choice(len(groups), min(count, len(groups)), replace=False)
    cells = padded([groups[k] for k in chosen], size)
    doubled = np.zeros(cells.shape, dtype=bool)
    doubled[:, 1:] = cells[:, 1:] == cells[:, :-1]
    embedded = covariance.embed(task.places[task.seen.cell], task.seen.day)
    centres = [phi[cells].mean(axis=1) for phi in targets]
    near = Neighbourhood(embedded, most).find(centres, np.full((len(cells), 1), -1))
    here = _coordinates(task.places, task.hidden, np.zeros(task.hidden.size))[cells]
    around = _coordinates(task.places, task.seen.cell, task.seen.day)[near]
    used = near >= 0
    values = np.where(used, task.seen.innovations[near, 0], 0.0)
    noise = np.where(used, task.seen.noise[near], 0.0)
    truth = np.where(doubled, np.nan, task.truth[cells])
    return np.concatenate([around, here], axis=1), values, noise, used, truth


def _coordinates(places: Places, cells: np.ndarray, days: np.ndarray) -> np.ndarray:
    """On the sphere in km, latitude and longitude in radians, log depth, day: (point, 7)."""
    lat, lon = np.radians(places.lat[cells]), np.radians(places.lon[cells])
    sphere = EARTH_RADIUS_KM * np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    level = np.log1p(places.depth[cells] / 100.0)
    return np.concatenate([sphere, np.stack([lat, lon, level, days], axis=1)], axis=1)


def _padded(points: np.ndarray, neighbours: int, width: int) -> np.ndarray:
    """Room for more neighbours."""
    room = np.repeat(points[:, :1], width - neighbours, axis=1)
    return np.concatenate([points[:, :neighbours], room, points[:, neighbours:]], axis=1)


def _widened(values: np.ndarray, width: int) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])))


def predictions(constants: dict[str, Tensor], shapes: tuple[float, ...], part: Leaves) -> tuple[Tensor, Tensor]:
    """Mean and variance of the hidden cells (leaf, cell), standardised."""
    n = part.values.shape[1]
    row, column = _below(n)
    smooth = 1.0 - constants["nugget"]
    single = {name: value.float() for name, value in constants.items()}
    total = _between(single, shapes, part.squares).double() * smooth
    among, cross = total[:, : len(row)], total[:, len(row) :].unflatten(1, (n, -1))
    # the nugget takes from the smooth part what it adds
    diagonal = 1.0 + part.noise + 1e-8
    if not bool(part.used.all()):
        # an unused neighbour is an island: 1 on the diagonal and nothing besides
        among = torch.where(part.used[:, row] & part.used[:, column], among, 0.0)
        cross = torch.where(part.used[:, :, None], cross, 0.0)
        diagonal = torch.where(part.used, diagonal, 1.0)
    mean, explained = _FromNeighbours.apply(among, diagonal, cross, part.values)
    return mean, (1.0 - explained).clamp_min(1e-8)


def _below(n: int) -> tuple[Tensor, Tensor]:
    """Row and column of every entry of a matrix below its diagonal, row by row."""
    row, column = torch.tril_indices(n, n, -1)
    return row, column


class _FromNeighbours(torch.autograd.Function):
    """W' y and W' c of every leaf, W = K^-1 c; the slope is that of the module's head."""

    @staticmethod
    def forward(ctx: Any, among: Tensor, diagonal: Tensor, cross: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """From the entries of K below its diagonal and on it, c (leaf, neighbour, cell) and y (leaf, neighbour)."""
        count, n = diagonal.shape
        row, column = _below(n)
        matrix = diagonal.new_zeros(count, n * n)
        matrix[:, row * n + column] = among
        matrix[:, :: n + 1] = diagonal
        # only what lies on and below the diagonal is read
        factor, _ = torch.linalg.cholesky_ex(matrix.view(count, n, n))
        solved = torch.cholesky_solve(torch.cat([cross, values[:, :, None]], dim=2), factor)
        weights, alpha = solved[:, :, :-1], solved[:, :, -1]
        ctx.save_for_backward(weights, alpha)
        return torch.einsum("bnc,bn->bc", weights, values), (weights * cross).sum(dim=1)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> tuple[Tensor, None, Tensor, None]:
        """Of among and cross; the diagonal and what was observed are given."""
        of_mean, of_explained = slopes
        weights, alpha = ctx.saved_tensors
        cross = alpha[:, :, None] * of_mean[:, None] + 2 * weights * of_explained[:, None]
        turned = torch.einsum("bnc,bc->bn", weights, of_mean)
        left = torch.cat([weights * of_explained[:, None], turned[:, :, None]], dim=2)
        right = torch.cat([weights, alpha[:, :, None]], dim=2)
        n = alpha.shape[1]
        row, column = _below(n)
        matrix = (left @ right.transpose(1, 2)).flatten(1)
        return -(matrix[:, row * n + column] + matrix[:, column * n + row]), None, cross, None


def _between(constants: dict[str, Tensor], shapes: tuple[float, ...], squares: Sequence[Tensor]) -> Tensor:
    """Smooth part of the covariance, of unit variance: (leaf, pair)."""
    first = _component(constants, shapes[0], squares, 1.0, 1.0)
    if len(shapes) == 1:
        return first
    second = _component(constants, shapes[1], squares, constants["second_length"], constants["second_days"])
    return (1 - constants["second"]) * first + constants["second"] * second


def _component(
    constants: dict[str, Tensor], shape: float, squares: Sequence[Tensor], part: Tensor | float, slower: Tensor | float
) -> Tensor:
    """rho of one component, as `space_time_covariance.Component` embeds it."""
    chord, lat, lon, level, days = squares
    root = constants["aspect"].sqrt()
    zonal, meridional = part * constants["length"] * root, part * constants["length"] / root
    wide = bool(zonal >= meridional)
    long, short = (zonal, meridional) if wide else (meridional, zonal)
    excess = EARTH_RADIUS_KM**2 * (short**-2 - long**-2).clamp_min(0.0)
    stretched = lat if wide else constants["cosine"] ** 2 * lon
    squared = chord / long**2 + stretched * excess + level / constants["vertical"] ** 2
    squared = squared + days / (constants["days"] * slower) ** 2
    if np.isinf(shape):
        return torch.exp(-0.5 * squared)
    # the root has no slope at 0
    d = torch.sqrt(2 * shape * squared + 1e-9)
    decay = torch.exp(-d)
    if shape == 0.5:
        return decay
    return decay * (1 + d) if shape == 1.5 else decay * (1 + d + d**2 / 3)


def crps(error: Tensor, sd: Tensor) -> Tensor:
    """Of a normal forecast."""
    z = error / sd
    density = torch.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return sd * (z * torch.erf(z / np.sqrt(2.0)) + 2 * density - 1 / np.sqrt(np.pi))
