"""How optimal interpolation learns its covariance: structure from training times, constants from validation times.

The five constants (`structure.py`) are found one after the other, twice around, each by the lowest geometric mean (over the
patterns of gaps) of the CRPS on hidden cells of validation times, after the spread has been calibrated there by a power law:

    sd -> prior * scale * (sd / prior)^power

An untuned optimal interpolation is no opponent.
"""

__all__ = ["SpreadPower", "TuningCase", "Fit", "fit_spread", "evaluate", "gaussian_crps", "judge", "search"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import erf

from driftfield.gaussian.conditioning import SeenCells, condition
from driftfield.gaussian.covariance import HybridCovariance
from driftfield.gaussian.structure import Constants, Structure

_SHIFTS = (-700.0, 700.0)
"""Logarithms of a scale that has an exponential; a spread is bounded long before."""

CANDIDATES: dict[str, tuple[float, ...]] = {
    "weight": (0.0, 0.2, 0.4, 0.55, 0.7, 0.85, 0.93),
    "taper": (0.5, 0.8, 1.25, 2.0, 4.0),
    "blend": (0.0, 0.1, 0.25, 0.5),
    "reach": (0.6, 1.0, 1.6, 2.5, 4.0),
    "nugget": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 6e-2),
}


@dataclass(frozen=True)
class TuningCase:
    """One validation time under one pattern of gaps.

    Arguments:
        pattern: Which; scores are averaged per pattern.
        seen: The observations.
        truth: Standardised anomalies (row, cell) of the target rows.
        hidden: Where to score, boolean (row, cell).
        tiles: Tiles that are done.
    """

    pattern: str
    seen: SeenCells
    truth: np.ndarray
    hidden: np.ndarray
    tiles: np.ndarray | None


@dataclass(frozen=True)
class SpreadPower:
    """Spread as it should have been: sd -> prior * scale * (sd / prior)^power.

    A hidden cell that the prior thinks almost known is usually less so, and the other way round.

    Arguments:
        scale: Per target row.
        power: One for all.
    """

    scale: np.ndarray
    power: float

    def of_rows(self, rows: np.ndarray) -> "SpreadPower":
        """As if every cell were a row: (cell,) numbers of the rows that they belong to."""
        return SpreadPower(self.scale[rows], self.power)

    def apply(self, sd: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Calibrated standard deviation (row, ...), never more than twice the prior's."""
        scale = self.scale.reshape(-1, *[1] * (sd.ndim - 1))
        ratio = np.clip(sd / np.maximum(prior, 1e-12), 1e-4, 1.0)
        with np.errstate(over="ignore"):  # a scale without bounds ends at twice the prior
            return np.minimum(prior * scale * np.minimum(ratio**self.power, 1e300), 2 * prior)


@dataclass(frozen=True)
class Fit:
    """How well a covariance does: mean CRPS per pattern (physical units) once its spread is calibrated."""

    crps: dict[str, float]
    calibration: SpreadPower

    @property
    def score(self) -> float:
        """Logarithm of the geometric mean of the CRPS."""
        return float(np.mean(np.log(list(self.crps.values()))))


def evaluate(covariance: HybridCovariance, cases: Sequence[TuningCase], sd: np.ndarray, *, most: int) -> Fit:
    """Reconstructs the hidden cells of all cases and calibrates the spread on them.

    Arguments:
        covariance: The prior.
        cases: What is hidden.
        sd: Standard deviations (row, cell) of the target rows.
        most: Observations per tile.
    """
    rows, everywhere = np.arange(len(sd)), np.arange(sd.shape[1])

    def solve(case: TuningCase, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, variance, _ = condition(covariance, case.seen, rows=rows, wanted=wanted, most=most, tiles=case.tiles)
        return mean, variance

    return judge(solve, np.sqrt(covariance.variance(rows, everywhere)), cases, sd)


def judge(
    solve: Callable[[TuningCase, np.ndarray], tuple[np.ndarray, np.ndarray]],
    prior: np.ndarray,
    cases: Sequence[TuningCase],
    sd: np.ndarray,
) -> Fit:
    """The same for any Gaussian method.

    Arguments:
        solve: (case, wanted cells) -> standardised mean and variance of the target rows, (row, cell), NaN where not done.
        prior: Its standardised standard deviation before anything is observed, (row, cell).
        cases: What is hidden.
        sd: Standard deviations (row, cell) of the target rows.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for case in cases:
        mean, variance = solve(case, np.asarray(case.hidden.any(axis=0)))
        row, cell = np.nonzero(case.hidden & np.isfinite(mean))
        error = (mean - case.truth)[row, cell] * sd[row, cell]
        spread = np.sqrt(variance[row, cell]) * sd[row, cell]
        parts.setdefault(case.pattern, []).append(np.stack([row, error, spread, (prior * sd)[row, cell]]))
    return fit_spread({pattern: np.concatenate(blocks, axis=1) for pattern, blocks in parts.items()}, len(sd))


def fit_spread(residuals: dict[str, np.ndarray], n_rows: int, *, most: int = 4000) -> Fit:
    """The calibration of least geometric mean CRPS; residuals per pattern: (row, error, sd, prior) of its cells."""
    thin = [r[:, :: max(1, r.shape[1] // most)] for r in residuals.values() if r.shape[1]]

    def score(parameters: np.ndarray, blocks: list[np.ndarray]) -> float:
        return float(np.mean([np.log(_mean_crps(block, *parameters)) for block in blocks]))

    best = minimize(
        score, np.array([0.0, 0.9]), args=(thin,), method="Nelder-Mead", options={"xatol": 0.01, "fatol": 1e-4}
    )
    shift, power = best.x
    scale = np.full(n_rows, shift)
    if n_rows > 1:
        for row in range(n_rows):
            row_blocks = [block[:, block[0] == row] for block in thin]
            row_blocks = [block for block in row_blocks if block.shape[1] >= 30]
            if row_blocks:
                scale[row] = minimize_scalar(
                    lambda c, row_blocks=row_blocks: score(np.array([c, power]), row_blocks),
                    bounds=(shift - 0.7, shift + 0.7),
                    method="bounded",
                ).x
    calibration = SpreadPower(np.exp(np.clip(scale, *_SHIFTS)), float(power))
    crps = {p: _mean_crps(r, scale[r[0].astype(int)], power) for p, r in residuals.items() if r.shape[1]}
    return Fit(crps, calibration)


def _mean_crps(residuals: np.ndarray, shift: np.ndarray | float, power: float) -> float:
    _, error, sd, prior = residuals
    return float(np.mean(gaussian_crps(error, np.maximum(_spread(sd, prior, shift, power), 1e-9))))


def _spread(sd: np.ndarray, prior: np.ndarray, shift: np.ndarray | float, power: float) -> np.ndarray:
    """min(prior exp(shift) (sd / prior)^power, 2 prior), bounded before the exponential: a search may try any exponent."""
    ratio = np.clip(sd / np.maximum(prior, 1e-12), 1e-4, 1.0)
    return prior * np.exp(np.minimum(shift + power * np.log(ratio), np.log(2.0)))


def search(
    structure: Structure, samples: np.ndarray, cases: Sequence[TuningCase], sd: np.ndarray, *, most: int
) -> tuple[Constants, Fit]:
    """The constants with the lowest score, one coordinate after the other, each climbed from where it stands."""

    def score(constants: Constants) -> Fit:
        if constants not in tried:
            tried[constants] = evaluate(structure.covariance(constants, samples), cases, sd, most=most)
        return tried[constants]

    tried: dict[Constants, Fit] = {}
    best = Constants() if len(samples) else Constants(weight=0.0)
    for _ in range(2):
        before = best
        for field in fields(Constants):
            if not len(samples) and field.name in ("weight", "reach"):
                continue
            best = _climb(best, field.name, score)
        if best == before:
            break
    return best, score(best)


def _climb(best: Constants, name: str, score: Callable[[Constants], Fit]) -> Constants:
    """Walks along the candidates of one constant while the score falls."""
    values = CANDIDATES[name]
    here = int(np.argmin([abs(v - getattr(best, name)) for v in values]))
    for step in (1, -1):
        moved = False
        while 0 <= here + step < len(values):
            trial = replace(best, **{name: values[here + step]})
            if score(trial).score >= score(best).score:
                break
            best, here, moved = trial, here + step, True
        if moved:
            break
    return best


def gaussian_crps(error: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """CRPS of a normal forecast (Gneiting and Raftery 2007, eq. 21)."""
    z = error / sd
    return sd * (z * erf(z / np.sqrt(2.0)) + np.sqrt(2.0 / np.pi) * np.exp(-0.5 * z * z) - 1.0 / np.sqrt(np.pi))
