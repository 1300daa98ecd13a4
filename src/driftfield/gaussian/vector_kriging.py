"""Kriging of the components of a vector by leaves: what was seen of either component speaks for both.

    weights   W = (K_oo + R)^-1 K_ox       mean  W' y       variance  K_xx - |L^-1 K_ox|^2,  L L' = K_oo + R
    member    f + W' (y - f_o - e)         f drawn from the prior, e from R                         (Matheron's rule)

The observations of a leaf are its neighbours, half of them of each component; that choice is the only approximation.
"""

__all__ = ["SeenComponents", "solve_vector_leaves"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from driftfield.gaussian.columns import Columns
from driftfield.gaussian.local_kriging import innovations_of, solve_weights
from driftfield.gaussian.neighbours import Neighbourhood, padded
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.vector_covariance import Frames, VectorCovariance


@dataclass(frozen=True)
class SeenComponents(Columns):
    """Standardised observations of single components.

    Arguments:
        northward: Whether it is the second component: boolean (observation,).
        time: Index of the time.
        cell: Index of the place.
        day: Date in days.
        innovations: (observation, 1 + member): the value, then the value less the member's draw and error.
        noise: Variance of the error.
    """

    northward: np.ndarray
    time: np.ndarray
    cell: np.ndarray
    day: np.ndarray
    innovations: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(
        cls, values: np.ndarray, noise: np.ndarray, days: np.ndarray, draws: np.ndarray, errors: np.ndarray
    ) -> "SeenComponents":
        """From whole fields.

        Arguments:
            values, noise, days, draws, errors: As of `Scattered.of`, with an axis (component) before that of time.
        """
        (which, when, where), innovations, r = innovations_of(values, noise, draws, errors)
        return cls(which == 1, when, where, days[when], innovations, r)


def solve_vector_leaves(
    covariance: VectorCovariance,
    seen: SeenComponents,
    places: Places,
    groups: Sequence[np.ndarray],
    *,
    northward: bool,
    time: int,
    day: float,
    most: int,
    batch: int = 16,
) -> tuple[np.ndarray, np.ndarray]:
    """Increments and variance of one component at one time.

    Arguments:
        covariance, seen, places, groups, time, day, batch: As of `local_kriging.solve_leaves`.
        northward: Whether the second component is asked for.
        most: Observations per leaf, of both components.

    Returns:
        Increments (cell, 1 + member) and variance (cell,), standardised; cells of no leaf have increment 0 and the prior's.
    """
    increments = np.zeros((len(places), seen.innovations.shape[1]))
    variance = np.full(len(places), covariance.variance)
    if not len(seen) or not groups:
        return increments, variance
    none = np.zeros(len(places))
    targets = Frames.of(places, np.full(len(places), northward), none)
    frames = Frames.of(places[seen.cell], seen.northward, seen.day - day)
    cells = padded(groups)
    # which observation is of the very cell, component and date
    at = np.full(len(places), -1)
    now = np.flatnonzero((seen.time == time) & (seen.northward == northward))
    at[seen.cell[now]] = now
    index = _neighbours(covariance, frames, targets.place[cells].mean(axis=1), seen.northward, most)
    for start in range(0, len(cells), batch):
        here, near = cells[start : start + batch], index[start : start + batch]
        used = near >= 0
        middle = targets.place[here].mean(axis=1)
        left, right = frames[near].seen_from(middle), targets[here].seen_from(middle)
        day_of = frames.day[near]
        matrix = covariance.between(left, left, day_of[:, :, None] - day_of[:, None])
        matrix *= used[:, :, None] & used[:, None, :]
        diagonal = np.arange(near.shape[1])
        # a neighbour that a rounding error could make its own double keeps the matrix definite
        matrix[:, diagonal, diagonal] += np.where(used, covariance.nugget + seen.noise[near] + 1e-8, 1.0)
        same = (near[:, :, None] == at[here][:, None, :]) & used[:, :, None]
        cross = covariance.between(left, right, day_of[:, :, None]) + covariance.nugget * same
        weights, explained = solve_weights(torch.from_numpy(matrix), torch.from_numpy(cross * used[:, :, None]))
        increments[here] = np.swapaxes(weights.numpy(), 1, 2) @ (seen.innovations[near] * used[:, :, None])
        variance[here] = np.maximum(covariance.variance - explained.numpy(), 0.0)
    return increments, variance


def _neighbours(
    covariance: VectorCovariance, frames: Frames, centres: np.ndarray, northward: np.ndarray, most: int
) -> np.ndarray:
    """Indices of the observations of every leaf, half of them of each component, -1 where there are fewer: (leaf, neighbour)."""
    embedded = np.concatenate([frames.place / covariance.length, frames.day[:, None] / covariance.days], axis=1)
    middles = np.concatenate([centres / covariance.length, np.zeros((len(centres), 1))], axis=1)
    nobody = np.full((len(centres), 1), -1)
    parts = []
    for component in (False, True):
        members = np.flatnonzero(northward == component)
        if members.size:
            found = Neighbourhood([embedded[members]], most // 2).find([middles], nobody)
            parts.append(np.where(found >= 0, members[found], -1))
    return np.concatenate(parts, axis=1)
