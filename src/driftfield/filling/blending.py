"""Several methods together: weights from the hidden cells, drawn to equal ones.

    e_i        errors of the methods on the hidden cells, weighted            G_ij = mean e_i e_j,  s = mean of its diagonal
    w          argmin  w' G w / s + r |w - 1 / n|^2,   w >= 0,  sum w = 1     (Breiman 1996, "Stacked regressions", with r)
    spread     s^2 = (sum w_i s_i)^2 + a sum w_i (m_i - m)^2, scaled by distance so that nine in ten of the errors of the blend
               lie within their interval; m_i what a method says, m the blend

A few hidden blocks know little of which of two good methods is better: without r the weights follow the blocks, and elsewhere
lose to equal ones. r is the one that does best on each draw of blocks with weights from the other draws. Where good methods say
different things none of them is as sure as it states; a is the one of least CRPS on each draw with the scaling of the others. A
method has to be about as good as the best one also far from what was seen, where gaps are filled by it alone; and a blend fills a
record only where its CRPS is lower than that of the best method alone.
"""

__all__ = ["Blend", "blend", "mixed"]

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from driftfield.filling.methods import MEANS
from driftfield.filling.validation import Scores, score
from driftfield.gaussian.tuning import gaussian_crps

TOWARDS_EQUAL = (0.0, 0.03, 0.1, 0.3, 1.0)
"""r to choose from: how much a departure from equal weights has to gain; the third one where there is one draw alone."""

APART = (0.0, 0.5, 1.0, 2.0, 4.0)
"""a to choose from; the first one where there is one draw alone."""

NEAR = 1.25
"""CRPS over that of the best method up to which a method is taken in, of all cells and of the quarter that lies farthest from
what was seen."""

LEAST = 0.08
"""Weight below which a method is left out."""

GAIN = 0.002
"""Share of the CRPS that has to be gained over the best method alone: two that err alike need not both be fitted."""


@dataclass(frozen=True)
class Blend:
    """Methods together.

    Arguments:
        parts: Their scores and weights, the heaviest first; the weights sum to one.
        scores: Of the blend.
        apart: a, how much what they say differently adds to the spread.
    """

    parts: tuple[tuple[Scores, float], ...]
    scores: Scores
    apart: float


def mixed(means: np.ndarray, sds: np.ndarray, share: np.ndarray, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of methods together, before the spread is scaled.

    Arguments:
        means, sds: What each of them says, (method, ...); means may be errors, which differ by the truth alone.
        share: Weights (method,), which sum to one.
        apart: a.
    """
    mean = np.tensordot(share, means, axes=1)
    variance = np.tensordot(share, (means - mean) ** 2, axes=1)
    return mean, np.sqrt(np.tensordot(share, sds, axes=1) ** 2 + apart * variance)


def blend(
    scores: list[Scores],
    distance: np.ndarray,
    weights: np.ndarray | None = None,
    draw: np.ndarray | None = None,
) -> Blend | None:
    """The good methods together, where that misses less than the best of them alone.

    Taken in are methods that know their own spread and linear interpolation, which errs in another way than all of them; a mean
    is what the others begin with.

    Arguments:
        scores: Of all methods on the same hidden cells.
        distance: Of the cells, to what was seen.
        weights: Of the cells; equal ones if not given.
        draw: To which draw of blocks a cell belongs; all to one if not given.
    """
    able = [s for s in scores if s.spread.distances is None and s.label not in MEANS]
    able += [s for s in scores if s.label == "linear" and s.spread.distances is not None]
    if not able:
        return None
    best = min(scores, key=lambda s: s.crps)
    cells = np.ones(best.error.size) if weights is None else weights
    far = [_crps_far(s, distance, cells) for s in able]
    able = [s for s, f in zip(able, far, strict=True) if s.crps <= NEAR * best.crps and f <= NEAR * min(far)]
    if len(able) < 2:
        return None
    error = np.stack([s.error for s in able], axis=1)
    share = _weights(error, cells, _towards_equal(error, cells, np.zeros(len(cells)) if draw is None else draw))
    parts = sorted(((s, w) for s, w in zip(able, share, strict=True) if w >= LEAST), key=lambda part: -part[1])
    if len(parts) < 2:
        return None
    total = sum(w for _, w in parts)
    parts = [(s, w / total) for s, w in parts]
    *first, last = (s.label for s, _ in parts)
    label = f"{', '.join(first)} and {last}"
    says = np.stack([s.error for s, _ in parts]), np.stack([s.sd for s, _ in parts]), np.array([w for _, w in parts])
    apart = _apart(*says, distance, cells, draw)
    seconds = sum(s.seconds for s, _ in parts)
    trial = score(label, *mixed(*says, apart), distance, weights, seconds=seconds)
    return Blend(tuple(parts), trial, apart) if trial.crps <= (1 - GAIN) * best.crps else None


def _apart(
    error: np.ndarray,
    sd: np.ndarray,
    share: np.ndarray,
    distance: np.ndarray,
    cells: np.ndarray,
    draw: np.ndarray | None,
) -> float:
    """The a of least CRPS on the draws that the scaling of the spread does not come from."""
    draws = np.unique(draw) if draw is not None else np.zeros(0)
    if draws.size < 2:
        return APART[0]
    total = dict.fromkeys(APART, 0.0)
    for a in APART:
        both, spread = mixed(error, sd, share, a)
        for left_out in draws:
            out = draw == left_out
            others = score("", both[~out], spread[~out], distance[~out], cells[~out]).spread
            total[a] += float(cells[out] @ gaussian_crps(both[out], others(spread[out], distance[out])))
    return min(APART, key=lambda a: total[a])


def _crps_far(scores: Scores, distance: np.ndarray, cells: np.ndarray) -> float:
    """Of the quarter of the cells that lies farthest from what was seen."""
    far = distance >= np.quantile(distance, 0.75)
    return float(np.average(gaussian_crps(scores.error[far], np.maximum(scores.sd[far], 1e-12)), weights=cells[far]))


def _towards_equal(error: np.ndarray, cells: np.ndarray, draw: np.ndarray) -> float:
    """The r of least error on the draws that the weights do not come from."""
    draws = np.unique(draw)
    if draws.size < 2:
        return TOWARDS_EQUAL[2]
    total = dict.fromkeys(TOWARDS_EQUAL, 0.0)
    for left_out in draws:
        out = draw == left_out
        for r in TOWARDS_EQUAL:
            rest = error[out] @ _weights(error[~out], cells[~out], r)
            total[r] += float(cells[out] @ rest**2)
    return min(TOWARDS_EQUAL, key=lambda r: total[r])


def _weights(error: np.ndarray, cells: np.ndarray, r: float) -> np.ndarray:
    """Weights of some methods (method,), from their errors (cell, method) and the weights of the cells."""
    count = error.shape[1]
    gram = (error * cells[:, None]).T @ error / cells.sum()
    gram = gram / max(float(np.trace(gram)) / count, 1e-30) + r * np.eye(count)
    linear = np.full(count, r / count)
    found = minimize(
        lambda w: (w @ gram @ w - 2 * linear @ w, 2 * (gram @ w - linear)),
        np.full(count, 1 / count),
        jac=True,
        bounds=[(0.0, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(count)},
        method="SLSQP",
    )
    share = np.clip(found.x, 0.0, 1.0)
    return np.asarray(share / share.sum())
