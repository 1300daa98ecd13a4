"""Kriging by leaves: many small normal problems, solved in batches.

    weights   W = (K_oo + R)^-1 K_ox          mean  W' y          variance  K_xx - |L^-1 K_ox|^2,  L L' = K_oo + R
    member    f + W' (y - f_o - e)            f drawn from the prior, e from R                        (Matheron's rule)

The observations of a leaf are its neighbours (`neighbours.py`); that choice is the only approximation, and `shared_leaves.py`
hides its edges. The draws f are made for the whole grid, so that members do not change at the edge of a leaf.
"""

__all__ = ["Scattered", "innovations_of", "solve_leaves", "solve_weights"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from driftfield.gaussian.columns import Columns
from driftfield.gaussian.neighbours import Neighbourhood, padded
from driftfield.gaussian.shared_leaves import shares, trust
from driftfield.gaussian.space_time_covariance import Places, SpaceTimeCovariance


@dataclass(frozen=True)
class Scattered(Columns):
    """Standardised observations of several times.

    Arguments:
        time: Index of the time of every observation.
        cell: Index of its place.
        day: Its date in days.
        innovations: (observation, 1 + member): the value, then the value less the member's draw and error.
        noise: Variance of its error.
    """

    time: np.ndarray
    cell: np.ndarray
    day: np.ndarray
    innovations: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(
        cls, values: np.ndarray, noise: np.ndarray, days: np.ndarray, draws: np.ndarray, errors: np.ndarray
    ) -> "Scattered":
        """From whole fields.

        Arguments:
            values: Standardised, NaN where nothing was seen: (time, cell).
            noise: Variances of the errors: (time, cell).
            days: (time,).
            draws: Of the prior, for every member: (member, time, cell).
            errors: Standard normal numbers, as many.
        """
        (when, where), innovations, r = innovations_of(values, noise, draws, errors)
        return cls(when, where, days[when], innovations.astype(np.float32), r)


def innovations_of(
    values: np.ndarray, noise: np.ndarray, draws: np.ndarray, errors: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """What was seen of whole fields: where, values and these less draws and errors (observation, 1 + member), variances."""
    where: tuple[Any, ...] = np.nonzero(np.isfinite(values))
    y, r = values[where], noise[where]
    of_members = y - draws[(slice(None), *where)] - np.sqrt(r) * errors[(slice(None), *where)]
    return where, np.concatenate([y[None], of_members]).T, r


def solve_leaves(
    covariance: SpaceTimeCovariance,
    seen: Scattered,
    places: Places,
    groups: Sequence[np.ndarray],
    *,
    time: int,
    day: float,
    most: int,
    batch: int = 8,
    overlapping: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Increments and variance at one time.

    Arguments:
        covariance: The prior.
        seen: The observations that may speak.
        places: All cells.
        groups: Leaves: indices of the cells to do.
        time: Index of the time, as in `seen.time`.
        day: Its date in days.
        most: Observations per leaf, beyond its own.
        batch: Leaves at once; few of them stay in the cache.
        overlapping: Whether a cell is asked of several leaves, so that nothing jumps where one ends (`shared_leaves.py`).

    Returns:
        Increments (cell, 1 + member) and variance (cell,), standardised; cells of no leaf have increment 0 and the prior's.
    """
    increments = np.zeros((len(places), seen.innovations.shape[1]), dtype=np.float32)
    variance = np.full(len(places), covariance.variance)
    if not len(seen) or not groups:
        return increments, variance
    targets, embedded = _embedded(covariance, seen, places, day)
    at = np.full(len(places), -1)
    now = np.flatnonzero(seen.time == time)
    at[seen.cell[now]] = now
    cells = padded(groups)
    centres = [phi[cells].mean(axis=1) for phi in targets]
    around = Neighbourhood(embedded, most)
    leaves = _Leaves(covariance, seen, targets, embedded, centres, at, around.find(centres, at[cells]))
    if not (overlapping and around.thinned):
        for start in range(0, len(cells), batch):
            part = np.arange(start, min(start + batch, len(cells)))
            increments[cells[part]], variance[cells[part]] = leaves.say(part, cells[part])
        return increments, variance
    shared = shares(targets[-1], groups, centres[-1], at >= 0)
    total, sums, spreads = np.zeros(len(places)), np.zeros(increments.shape), np.zeros(len(places))
    order = np.argsort([cell.size for cell in shared.cells], kind="stable")
    order = order[[shared.cells[k].size > 0 for k in order]]
    for part in np.split(order, range(batch, len(order), batch)):
        here = padded([shared.cells[k] for k in part])
        share = np.stack([np.pad(shared.weights[k], (0, here.shape[1] - shared.cells[k].size)) for k in part])
        says, spread = leaves.say(part, here)
        share = share * trust(spread / covariance.variance)
        np.add.at(sums, here, share[..., None] * says)
        np.add.at(spreads, here, share * spread)
        np.add.at(total, here, share)
    increments[cells] = sums[cells] / total[cells, None]
    variance[cells] = spreads[cells] / total[cells]
    return increments, variance


def _embedded(
    covariance: SpaceTimeCovariance, seen: Scattered, places: Places, day: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Cells and observations where every component takes distances, each (cell or observation, axis)."""
    # the dates relative to this one: 20,000 days since 1970 would cost digits
    targets = list(covariance.embed(places, np.zeros(len(places))))
    embedded = []
    for component, phi in zip(covariance.components, targets, strict=True):
        of_seen = phi[seen.cell]
        of_seen[:, -1] = (seen.day - day) / component.days
        embedded.append(of_seen)
    return targets, embedded


@dataclass(frozen=True, eq=False)
class _Leaves:
    """Leaves with what they need of their observations.

    Arguments:
        covariance, seen: As of `solve_leaves`.
        targets, embedded: Cells and observations in the embedding of every component, each (cell or observation, axis).
        centres: Of the leaves there, each (leaf, axis).
        at: Which observation was made in a cell at this time, -1 where none was (cell,).
        index: Observations of the leaves (leaf, neighbour), -1 where there are fewer.
    """

    covariance: SpaceTimeCovariance
    seen: Scattered
    targets: list[np.ndarray]
    embedded: list[np.ndarray]
    centres: list[np.ndarray]
    at: np.ndarray
    index: np.ndarray

    def say(self, part: np.ndarray, here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Increments (leaf, cell, 1 + member) and variance (leaf, cell) of some leaves at some cells (leaf, cell)."""
        near = self.index[part]
        middle = [centre[part, None] for centre in self.centres]
        left = [torch.from_numpy(phi[near] - m) for phi, m in zip(self.embedded, middle, strict=True)]
        right = [torch.from_numpy(phi[here] - m) for phi, m in zip(self.targets, middle, strict=True)]
        same = torch.from_numpy((near[:, :, None] == self.at[here][:, None, :]) & (near >= 0)[:, :, None])
        used = torch.from_numpy(near >= 0)
        noise = torch.from_numpy(self.seen.noise[near])
        weights, spread = _solve(self.covariance, left, right, same, noise, used)
        innovations = torch.from_numpy(self.seen.innovations[near]).double()
        return (weights.transpose(1, 2) @ innovations).float().numpy(), spread.numpy()


def _solve(
    covariance: SpaceTimeCovariance, left: list[Tensor], right: list[Tensor], same: Tensor, noise: Tensor, used: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights (leaf, neighbour, cell) and variances (leaf, cell); an unused neighbour is an island of weight 0."""
    matrix = covariance.between(left, left)
    if not bool(used.all()):
        matrix *= used[:, :, None] & used[:, None, :]
    cross = (covariance.between(left, right) + covariance.nugget * same) * used[:, :, None]
    # a neighbour that a rounding error could make its own double keeps the matrix definite
    own = torch.where(used, covariance.nugget + noise + 1e-9 + matrix.new_zeros(()), 1.0 - 0.0 * noise)
    matrix.diagonal(dim1=1, dim2=2).add_(own)
    weights, explained = solve_weights(matrix, cross)
    return weights, (covariance.variance - explained).clamp_min(0.0)


def solve_weights(matrix: Tensor, cross: Tensor) -> tuple[Tensor, Tensor]:
    """W = K^-1 c of every leaf, and the variance that its observations explain.

    Arguments:
        matrix: K, covariance of the observations with their errors (leaf, neighbour, neighbour).
        cross: c, covariance of observations and cells (leaf, neighbour, cell).

    Returns:
        (leaf, neighbour, cell) and (leaf, cell).
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    if int(info.max()):
        factor = torch.linalg.cholesky(matrix + 1e-6 * torch.eye(matrix.shape[-1], dtype=matrix.dtype))
    half = torch.linalg.solve_triangular(factor, cross, upper=False)
    weights = torch.linalg.solve_triangular(factor.transpose(1, 2), half, upper=True)
    return weights, half.square().sum(dim=1)
