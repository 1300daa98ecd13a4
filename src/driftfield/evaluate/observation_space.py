"""Scores where it was measured: an ensemble seen through H, against observations that have errors of their own.

    y = H(x) + e,  e ~ N(0, r²)        the forecast of y is the ensemble of H(x_i), each spread by r

    spread-skill   sqrt( <(M + 1)/M var + r²> / <(mean - y)²> )                                        var with ddof 1
    CRPS           <1/M sum_i A(x_i - y, r) - 1/(2 M (M - 1)) sum_ij A(x_i - x_j, sqrt(2) r)>,       A(m, r) = E|m + r e|

The CRPS is that of a mixture of Gaussians (Grimit et al. 2006, doi:10.1256/qj.05.235), with the fair count of pairs (Ferro
2014); for r = 0 it is `ensembles.crps_fair`. Without r a perfect ensemble would look overconfident by as much as instruments err.
"""

__all__ = ["ObservationScores", "score_observations"]

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import ndtr

from driftfield.errors import DataError

_Z90 = 1.6448536269514722


@dataclass(frozen=True)
class ObservationScores:
    """Of the observations of one variable.

    Arguments:
        count: How many there are.
        bias, rmse: Of the ensemble mean, in the units of the observations.
        crps: The same units.
        spread: Root mean square standard deviation of the forecast of y, with the observation error.
        spread_skill: 1 is perfect, below 1 overconfident.
        coverage_90: Share inside the central interval of 90 %.

    The last three and `spread` are NaN for fewer than two members.
    """

    count: int
    bias: float
    rmse: float
    crps: float
    spread: float
    spread_skill: float
    coverage_90: float

    def to_json(self) -> dict[str, float | int | None]:
        """By name, None for what is not a number."""
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}


def score_observations(members: np.ndarray, y: np.ndarray, error: np.ndarray) -> ObservationScores:
    """Scores of one set of observations.

    Arguments:
        members: H(x_i), (member, n).
        y: Observed values (n,).
        error: Standard deviation r of their errors (n,), 0 or more.

    Raises:
        DataError: shapes that do not fit, no observations, or numbers that are not finite.
    """
    members, y, error = (np.asarray(part, dtype=np.float64) for part in (members, y, error))
    if members.ndim != 2 or members.shape[1:] != y.shape or y.shape != error.shape or not members.size:
        raise DataError(
            f"Found members of shape {members.shape}, {y.shape} observations and {error.shape} errors: expected (member, n), "
            "(n,) and (n,), one or more of each."
        )
    if not (np.isfinite(members).all() and np.isfinite(y).all() and np.isfinite(error).all() and (error >= 0).all()):
        raise DataError(
            "Members, observations and errors must be finite numbers, and no error negative. Leave others out."
        )
    size = len(members)
    miss = members.mean(0) - y
    rmse = math.sqrt(np.mean(miss**2))
    if size < 2:
        crps = float(_expected(members[0] - y, error).mean())
        return ObservationScores(y.size, float(miss.mean()), rmse, crps, math.nan, math.nan, math.nan)
    variance = members.var(0, ddof=1) * (size + 1) / size + error**2
    spread = math.sqrt(variance.mean())
    return ObservationScores(
        count=y.size,
        bias=float(miss.mean()),
        rmse=rmse,
        crps=_crps(members, y, error),
        spread=spread,
        spread_skill=spread / rmse if rmse > 0 else math.nan,
        coverage_90=float(np.mean(np.abs(miss) < _Z90 * np.sqrt(variance))),
    )


def _crps(members: np.ndarray, y: np.ndarray, error: np.ndarray) -> float:
    size = len(members)
    away = _expected(members - y, error).mean()
    # every ordered pair i != j once: the ensemble against itself, rolled by 1 ... M - 1
    pairs = [_expected(members - np.roll(members, k, axis=0), math.sqrt(2) * error).mean() for k in range(1, size)]
    return float(away - 0.5 * sum(pairs) / (size - 1))


def _expected(m: np.ndarray, r: np.ndarray) -> np.ndarray:
    """A(m, r) = E|m + r e|."""
    ratio = m / np.where(r > 0, r, 1.0)
    density = np.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    return np.where(r > 0, m * (2 * ndtr(ratio) - 1) + 2 * r * density, np.abs(m))
