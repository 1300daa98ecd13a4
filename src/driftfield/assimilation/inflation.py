"""How far observation errors are to be trusted: the factor that makes withheld observations look drawn from the ensemble.

    f* = argmin |ln spread-skill(f)|,      spread-skill(f)² = <(M + 1)/M var + (f r)²> / <(mean - y)²>  of withheld y

Stated errors are those of an instrument; what a point does not know of a cell and a day is not in them, and guidance is no
exact inference. Where f r is too small the analysis believes single observations, and the ensemble is too narrow. Each f costs
an analysis. A few are tried, and one more where ln spread-skill, taken as linear in ln f between two neighbours, is 0.
"""

__all__ = ["FACTORS", "ChosenInflation", "choose_inflation"]

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from driftfield.assimilation.analysis import Analysis
from driftfield.errors import ConfigurationError, DataError, DivergenceError
from driftfield.evaluate.observation_space import ObservationScores

log = logging.getLogger(__name__)

FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)

_CLOSE, _FAR = math.log(1.02), math.log(1.1)


@dataclass(frozen=True)
class ChosenInflation:
    """The best factor, its analysis, and what all of them made of the withheld observations.

    Arguments:
        inflation: The factor.
        analysis: Drawn with it.
        tried: Scores by factor, in the order of trial.
    """

    inflation: float
    analysis: Analysis
    tried: Mapping[float, Mapping[str, ObservationScores]]

    @property
    def spread_skill(self) -> float:
        """Of the best factor."""
        return _ratio(self.tried[self.inflation])

    @property
    def remark(self) -> str:
        """What is still wrong, empty if nothing is."""
        if abs(math.log(self.spread_skill)) <= _FAR:
            return ""
        still = f"spread-skill is {self.spread_skill:.2f} with errors x {self.inflation:g}, the best that was tried"
        if self.inflation == max(self.tried) and self.spread_skill < 1:
            return f"{still}, and the largest: the stated errors are far too small, or the run is too sure of itself."
        if self.inflation == min(self.tried) and self.spread_skill > 1:
            return (
                f"{still}, and the smallest: the stated errors are far too large, or the method's ensemble is too wide."
            )
        return f"{still}: this method's ensemble has another spread than its errors."

    def to_json(self) -> dict[str, Any]:
        """For the run."""
        tried = [
            {"inflation": factor, "spread_skill": _ratio(scores), "scores": {n: s.to_json() for n, s in scores.items()}}
            for factor, scores in self.tried.items()
        ]
        return {"inflation": self.inflation, "tried": tried}


def choose_inflation(
    analyse: Callable[[float], Analysis], factors: Sequence[float] = FACTORS, *, refine: bool = True
) -> ChosenInflation:
    """Tries all factors on the same withheld observations; those with which the walk runs away are passed over.

    Arguments:
        analyse: The analysis with an inflation; it must withhold.
        factors: What is tried.
        refine: Try one more, between the two whose spread-skill lies on either side of 1.

    Raises:
        DataError: nothing was withheld, or there are too few members to have a spread.
        DivergenceError: the walk ran away with every factor.
    """
    if not factors:
        raise ConfigurationError("No inflation to choose from was given: expected one or more, such as 1 and 2.")
    tried: dict[float, Mapping[str, ObservationScores]] = {}
    best: tuple[float, float, Analysis] | None = None
    failure: DivergenceError | None = None

    def attempt(factor: float) -> None:
        nonlocal best, failure
        try:
            analysis = analyse(factor)
        except DivergenceError as error:
            failure = error
            log.warning("errors x %g: %s", factor, error)
            return
        tried[factor] = analysis.withheld
        distance = abs(math.log(_ratio(analysis.withheld)))
        if best is None or distance < best[0]:
            best = distance, factor, analysis

    for factor in factors:
        attempt(factor)
    if refine and best is not None and best[0] > _CLOSE:
        between = _root({factor: math.log(_ratio(scores)) for factor, scores in tried.items()})
        if between is not None and between not in tried:
            attempt(between)
    if best is None:
        assert failure is not None
        raise failure
    return ChosenInflation(best[1], best[2], tried)


def _root(logarithms: Mapping[float, float]) -> float | None:
    """Where the logarithm of the ratio crosses 0 by linear interpolation in ln f, to three digits; None if it never does.

    Of several crossings the one beside the smallest value.
    """
    ordered = sorted(logarithms.items())
    crossings = [(a, b) for a, b in pairwise(ordered) if a[1] * b[1] < 0]
    if not crossings:
        return None
    (low, below), (high, above) = min(crossings, key=lambda pair: min(abs(pair[0][1]), abs(pair[1][1])))
    share = below / (below - above)
    return float(f"{math.exp((1 - share) * math.log(low) + share * math.log(high)):.3g}")


def _ratio(scores: Mapping[str, ObservationScores]) -> float:
    """Spread-skill of all variables: the geometric mean of each one's."""
    ratios = [one.spread_skill for one in scores.values()]
    if not ratios or not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
        raise DataError(
            "The spread of what was withheld is not known: withhold observations, and draw 2 members or more."
        )
    return math.exp(sum(map(math.log, ratios)) / len(ratios))
