"""Several methods together: weights from the hidden cells, drawn to equal ones.

    e_i        errors of the methods on the hidden cells, weighted            G_ij = mean e_i e_j,  s = mean of its diagonal
    w          argmin  w' G w / s + r |w - 1 / n|^2,   w >= 0,  sum w = 1     (Breiman 1996, "Stacked regressions", with r)
    spread     sum w_i s_i, scaled by distance so that nine in ten of the errors of the blend lie within their interval

A few hidden blocks know little of which of two good methods is better: without r the weights follow the blocks, and elsewhere
lose to equal ones. A blend fills a record only where its CRPS is lower than that of the best method alone.
"""

__all__ = ["Blend", "blend"]

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from driftfield.filling.methods import REFERENCES
from driftfield.filling.validation import Scores, score

TOWARDS_EQUAL = 0.1
"""r: how much a departure from equal weights has to gain."""

NEAR = 1.25
"""CRPS over that of the best method up to which a method is taken in."""

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
    """

    parts: tuple[tuple[Scores, float], ...]
    scores: Scores


def blend(scores: list[Scores], distance: np.ndarray, weights: np.ndarray | None = None) -> Blend | None:
    """The good methods together, where that misses less than the best of them alone.

    Taken in are methods that know their own spread and linear interpolation, which errs in another way than all of them; a mean
    is what the others begin with.

    Arguments:
        scores: Of all methods on the same hidden cells.
        distance: Of the cells, to what was seen.
        weights: Of the cells; equal ones if not given.
    """
    able = [s for s in scores if s.spread.distances is None and s.label not in REFERENCES]
    able += [s for s in scores if s.label == "linear" and s.spread.distances is not None]
    if not able:
        return None
    best = min(scores, key=lambda s: s.crps)
    able = [s for s in able if s.crps <= NEAR * best.crps]
    cells = np.ones(best.error.size) if weights is None else weights
    share = _weights(np.stack([s.error for s in able], axis=1), cells) if len(able) > 1 else np.ones(len(able))
    parts = sorted(((s, w) for s, w in zip(able, share, strict=True) if w >= LEAST), key=lambda part: -part[1])
    if len(parts) < 2:
        return None
    total = sum(w for _, w in parts)
    parts = [(s, w / total) for s, w in parts]
    *first, last = (s.label for s, _ in parts)
    label = f"{', '.join(first)} and {last}"
    error, sd = sum(w * s.error for s, w in parts), sum(w * s.sd for s, w in parts)
    seconds = sum(s.seconds for s, _ in parts)
    trial = score(label, np.asarray(error), np.asarray(sd), distance, weights, seconds=seconds)
    return Blend(tuple(parts), trial) if trial.crps <= (1 - GAIN) * best.crps else None


def _weights(error: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Weights of some methods (method,), from their errors (cell, method) and the weights of the cells."""
    count = error.shape[1]
    gram = (error * cells[:, None]).T @ error / cells.sum()
    gram = gram / max(float(np.trace(gram)) / count, 1e-30) + TOWARDS_EQUAL * np.eye(count)
    linear = np.full(count, TOWARDS_EQUAL / count)
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
