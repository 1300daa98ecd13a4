"""The constants that a guidance method has, such as `sda_scale`: those with the least CRPS of withheld observations.

    c* = argmin over all combinations of    (product over the variables of CRPS(c))^(1 / variables)

The CRPS asks for both, a mean that is near and a spread that is right, so that no constant is bought with the other. Each
combination costs an analysis; one with which the walk runs away is passed over.
"""

__all__ = ["ChosenConstants", "choose_constants"]

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from driftfield.assimilation.analysis import Analysis
from driftfield.errors import ConfigurationError, DataError, DivergenceError
from driftfield.evaluate.observation_space import ObservationScores
from driftfield.plain import JSONObject

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChosenConstants:
    """The best combination, and what all of them made of the withheld observations.

    Arguments:
        options: Constant -> value.
        tried: (options, CRPS) of each; infinite where the walk ran away.
    """

    options: Mapping[str, Any]
    tried: Sequence[tuple[Mapping[str, Any], float]]

    def to_json(self) -> list[JSONObject]:
        """For the run."""
        return [{"options": dict(options), "crps": crps if crps < math.inf else None} for options, crps in self.tried]


def choose_constants(
    analyse: Callable[[Mapping[str, Any]], Analysis], values: Mapping[str, Sequence[Any]]
) -> ChosenConstants:
    """Tries all combinations on the same withheld observations.

    Arguments:
        analyse: The analysis with some constants; it must withhold.
        values: Constant -> what to try.

    Raises:
        ConfigurationError: nothing to choose from.
        DataError: nothing was withheld.
        DivergenceError: the walk ran away with every combination.
    """
    if not values or not all(values.values()):
        raise ConfigurationError("No constants to choose from were given: expected one or more values of each.")
    tried: list[tuple[Mapping[str, Any], float]] = []
    failure: DivergenceError | None = None
    for one in product(*values.values()):
        options = dict(zip(values, one, strict=True))
        try:
            tried.append((options, _crps(analyse(options).withheld)))
        except DivergenceError as error:
            failure = error
            log.warning("%s: %s", ", ".join(f"{name}={value}" for name, value in options.items()), error)
            tried.append((options, math.inf))
    best, least = min(tried, key=lambda pair: pair[1])
    if failure is not None and least == math.inf:
        raise failure
    return ChosenConstants(best, tried)


def _crps(scores: Mapping[str, ObservationScores]) -> float:
    """Geometric mean over the variables, which have different units."""
    if not scores:
        raise DataError("Nothing was withheld to choose constants by: withhold observations.")
    return math.exp(sum(math.log(max(one.crps, 1e-300)) for one in scores.values()) / len(scores))
