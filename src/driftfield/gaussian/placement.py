"""Where to observe next: the places whose observation takes most variance away from what is asked for.

With a prior covariance P of the state, an observation of the rows S (one cell, or all levels of a column) with errors R leaves

    P' = P - G G^T,        G = P(:, S) L^-T,    L L^T = P(S, S) + R

and what is asked for, tr(W P) with W = diag(w) (the variance of a region, cell by cell) or W = w w^T (that of its mean), falls by

    gain(S) = tr[(P(S, S) + R)^-1 N(S, S)],     N = P W P

The place of the largest gain is taken, and P and N become those after its observation (a greedy choice; Krause et al. 2008):

    N' = N - G Q^T - Q G^T + G (G^T W G) G^T,      Q = P W G

Nothing of the size of P is kept: P(S, S) and N(S, S) stand for every candidate, and a prior hands over rows of P when asked.
"""

__all__ = ["EnsemblePrior", "KnownPrior", "BestPlaces", "Prior", "best_places"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

BLOCK = 4_000_000
"""Numbers of P at a time."""


class Prior(Protocol):
    """A covariance (state, state), row by row."""

    @property
    def size(self) -> int:
        """Numbers of the state."""
        ...

    def rows(self, chosen: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row state"]:
        """These rows of P."""
        ...


@dataclass(frozen=True)
class KnownPrior:
    """A covariance that is known.

    Arguments:
        covariance: (state, state).
    """

    covariance: Float[np.ndarray, "state state"]

    @property
    def size(self) -> int:
        return len(self.covariance)

    def rows(self, chosen: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row state"]:
        return self.covariance[chosen]


@dataclass(frozen=True)
class EnsemblePrior:
    """rho o A A^T / (members - 1): the covariance of an ensemble, faded out by distance.

    Arguments:
        departures: A (state, member), from the mean of the members.
        place: Which place every number of the state belongs to.
        fade: rho between some places and all of them: (some,) -> (some, place); None for 1 everywhere.
    """

    departures: Float[np.ndarray, "state member"]
    place: Int[np.ndarray, " state"]
    fade: Callable[[Int[np.ndarray, " some"]], Float[np.ndarray, "some place"]] | None = None

    @property
    def size(self) -> int:
        return len(self.departures)

    def rows(self, chosen: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row state"]:
        rows = self.departures[chosen] @ self.departures.T / (self.departures.shape[1] - 1)
        if self.fade is None:
            return rows
        some, back = np.unique(self.place[chosen], return_inverse=True)
        rows *= self.fade(some)[back][:, self.place]
        return rows


@dataclass(frozen=True)
class BestPlaces:
    """What was chosen.

    Arguments:
        chosen: Candidates in the order in which they are best.
        left: What is asked for before any of them, after the first, after the second, ...
        first_gain: By how much each candidate alone would lower it.
    """

    chosen: list[int]
    left: Float[np.ndarray, " number_and_one"]
    first_gain: Float[np.ndarray, " candidate"]


def best_places(
    prior: Prior,
    candidates: Int[np.ndarray, "candidate level"],
    weights: Float[np.ndarray, " state"],
    *,
    number: int,
    error: Float[np.ndarray, "candidate level"],
    of_mean: bool = False,
) -> BestPlaces:
    """The best places one after another, each with those before it observed.

    Arguments:
        prior: Covariance before.
        candidates: Rows of the state that an observation of each place shows; -1 where there is nothing (below the sea floor).
        weights: w, 0 for what is not asked for.
        number: How many places.
        error: Standard deviation of the observation of every row.
        of_mean: W = w w^T in place of diag(w).
    """
    state = _Conditioned(prior, candidates, weights, error, of_mean=of_mean)
    gains = state.gains()
    first, chosen, left = gains.copy(), list[int](), [state.asked]
    for _ in range(min(number, len(candidates))):
        best = int(np.argmax(gains))
        chosen.append(best)
        left.append(left[-1] - float(gains[best]))
        if len(chosen) < min(number, len(candidates)):
            state.observe(best)
            gains = state.gains()
            gains[chosen] = -np.inf
    return BestPlaces(chosen, np.array(left), first)


class _Conditioned:
    """P(S, S) and N(S, S) of every candidate S, and the G of what was observed."""

    def __init__(
        self, prior: Prior, candidates: np.ndarray, weights: np.ndarray, error: np.ndarray, *, of_mean: bool
    ) -> None:
        self.prior, self.weights, self.of_mean = prior, weights, of_mean
        self.there = candidates >= 0
        self.rows = np.where(self.there, candidates, 0)
        # a level that is not there is seen with an error beside which its variance is nothing
        self.noise = np.where(self.there, error, 0.0) ** 2
        self.history: list[np.ndarray] = []
        count, levels = candidates.shape
        self.inner, self.asked_inner = np.zeros((count, levels, levels)), np.zeros((count, levels, levels))
        towards_mean = self._times(weights[:, None])[:, 0] if of_mean else None
        self.asked = float(weights @ towards_mean) if towards_mean is not None else 0.0
        for part in self._portions():
            rows = prior.rows(self.rows[part].ravel()).reshape(-1, levels, prior.size)
            self.inner[part] = _at(rows, self.rows[part])
            if towards_mean is None:
                self.asked_inner[part] = np.einsum("cls,cks->clk", rows * weights, rows, optimize=True)
            else:
                here = towards_mean[self.rows[part]]
                self.asked_inner[part] = here[:, :, None] * here[:, None, :]
        if not of_mean:
            self.asked = float(sum(weights[part] @ _diagonal(prior.rows(part), part) for part in self._blocks(weights)))
        pairs = self.there[:, :, None] & self.there[:, None, :]
        self.inner, self.asked_inner = np.where(pairs, self.inner, 0), np.where(pairs, self.asked_inner, 0)

    def gains(self) -> np.ndarray:
        """tr[(P(S, S) + R)^-1 N(S, S)] of every candidate."""
        seen = self.inner + np.where(self.there, self.noise, 1.0)[:, :, None] * np.eye(self.rows.shape[1])
        gain: np.ndarray = np.trace(np.linalg.solve(seen, self.asked_inner), axis1=1, axis2=2)
        return gain

    def observe(self, candidate: int) -> None:
        """P and N as they are once a candidate has been observed."""
        there = self.there[candidate]
        rows = self.rows[candidate][there]
        towards = self.prior.rows(rows).T
        for gain in self.history:
            towards = towards - gain @ gain[rows].T
        seen = towards[rows] + np.diag(self.noise[candidate][there])
        gain = np.linalg.solve(np.linalg.cholesky(seen), towards.T).T
        weighed = self._weighed(gain)
        onto = self._times(weighed)
        for earlier in self.history:
            onto = onto - earlier @ (earlier.T @ weighed)
        here, there_onto = gain[self.rows], onto[self.rows]
        cross = here @ np.swapaxes(there_onto, 1, 2)
        pairs = self.there[:, :, None] & self.there[:, None, :]
        self.inner -= np.where(pairs, here @ np.swapaxes(here, 1, 2), 0)
        square = here @ (gain.T @ weighed) @ np.swapaxes(here, 1, 2)
        self.asked_inner += np.where(pairs, square - cross - np.swapaxes(cross, 1, 2), 0)
        self.history.append(gain)

    def _weighed(self, columns: np.ndarray) -> np.ndarray:
        """W times columns."""
        if self.of_mean:
            return np.outer(self.weights, self.weights @ columns)
        return self.weights[:, None] * columns

    def _times(self, columns: np.ndarray) -> np.ndarray:
        """P times columns, P as it was before any observation; only rows that are not weighed by 0 are asked for."""
        product = np.zeros((self.prior.size, columns.shape[1]))
        for part in self._blocks(np.abs(columns).sum(1)):
            product += self.prior.rows(part).T @ columns[part]
        return product

    def _blocks(self, matter: np.ndarray) -> Iterator[np.ndarray]:
        """Rows that matter, a few at a time."""
        rows = np.flatnonzero(matter)
        size = max(1, BLOCK // self.prior.size)
        yield from (rows[start : start + size] for start in range(0, len(rows), size))

    def _portions(self) -> Iterator[slice]:
        """Candidates, a few at a time."""
        size = max(1, BLOCK // (self.prior.size * self.rows.shape[1]))
        yield from (slice(start, start + size) for start in range(0, len(self.rows), size))


def _at(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(candidate, level, state) at the columns of each candidate: (candidate, level, level)."""
    return np.take_along_axis(rows, columns[:, None, :], axis=2)


def _diagonal(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return rows[np.arange(len(numbers)), numbers]
