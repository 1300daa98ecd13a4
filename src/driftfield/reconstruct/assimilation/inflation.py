"""How far observation errors are to be trusted: the factor that makes withheld observations look drawn from the ensemble.

    f* = argmin |ln spread-skill(f)|,      spread-skill(f)² = <(M + 1)/M var + (f r)²> / <(mean - y)²>  of withheld y

Stated errors are those of an instrument; what a point does not know of a cell and a day is not in them, and guidance is no
exact inference. Where f r is too small the analysis believes single observations, and the ensemble is too narrow. Each f costs
an analysis.
"""

__all__ = ["FACTORS", "ChosenInflation", "choose_inflation"]

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.observation_space import ObservationScores
from driftfield.reconstruct.assimilation.analysis import Analysis

FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)


@dataclass(frozen=True)
class ChosenInflation:
    """The best factor, its analysis, and what all of them made of the withheld observations."""

    inflation: float
    analysis: Analysis
    tried: Mapping[float, Mapping[str, ObservationScores]]

    def to_json(self) -> dict[str, Any]:
        """For the run."""
        tried = [
            {"inflation": factor, "spread_skill": _ratio(scores), "scores": {n: s.to_json() for n, s in scores.items()}}
            for factor, scores in self.tried.items()
        ]
        return {"inflation": self.inflation, "tried": tried}


def choose_inflation(analyse: Callable[[float], Analysis], factors: Sequence[float] = FACTORS) -> ChosenInflation:
    """Tries all factors on the same withheld observations.

    Arguments:
        analyse: The analysis with an inflation; it must withhold.
        factors: What is tried.

    Raises:
        DataError: nothing was withheld, or there are too few members to have a spread.
    """
    if not factors:
        raise ConfigurationError("No inflation to choose from was given: expected one or more, such as 1 and 2.")
    tried: dict[float, Mapping[str, ObservationScores]] = {}
    best: tuple[float, float, Analysis] | None = None
    for factor in factors:
        analysis = analyse(factor)
        tried[factor] = analysis.withheld
        distance = abs(math.log(_ratio(analysis.withheld)))
        if best is None or distance < best[0]:
            best = distance, factor, analysis
    assert best is not None
    return ChosenInflation(best[1], best[2], tried)


def _ratio(scores: Mapping[str, ObservationScores]) -> float:
    """Spread-skill of all variables: the geometric mean of each one's."""
    ratios = [one.spread_skill for one in scores.values()]
    if not ratios or not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
        raise DataError(
            "The spread of what was withheld is not known: withhold observations, and draw 2 members or more."
        )
    return math.exp(sum(map(math.log, ratios)) / len(ratios))
