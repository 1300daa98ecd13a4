"""What is seen in training, drawn anew for every sample.

observed    = known, drawn by one of the patterns of the variable           y, the condition
visible     = known, drawn by one of the patterns of `visible`              x_t, where the archive has gaps
error       ~ the stated deviation, or a range of it
"""

__all__ = ["ObservingSystem"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from driftfield.data.masks import Lender, Pattern, parse_pattern
from driftfield.errors import ConfigurationError, suggest
from driftfield.registry import register


@register("observing")
@dataclass
class ObservingSystem:
    """What is seen in training, drawn anew for every sample.

    Arguments:
        observe: Pattern (or a list of patterns to choose from) per variable, such as {"thetao": "profiles:0.9-0.99"}.
        error: Standard deviation of the observation error in physical units, per variable or for all; [low, high] is drawn.
        visible: Where the archive has gaps (ambient training, see `diffusion.loss`): pattern or patterns per target of those
            of its known cells in which the network sees the noisy field, "all" or a further drop such as ["all", "own"].
            Without it the noisy field is taken for complete.
        covariate_dropout: Probability that a covariate is missing as a whole.
        degrade_offset: Standard deviation, physical units, of one offset per sample added to a covariate (training only); for
            all covariates, or by covariate, as the next two.
        degrade_speckle: Standard deviation, physical units, of independent noise added to a covariate (training only).
        degrade_factor: Standard deviation of one factor per sample, about 1, that multiplies a covariate (training only).
    """

    observe: Mapping[str, str | Sequence[str]]
    error: float | Sequence[float] | Mapping[str, float | Sequence[float]] = 0.0
    covariate_dropout: float = 0.1
    degrade_offset: float | Mapping[str, float] = 0.0
    degrade_speckle: float | Mapping[str, float] = 0.0
    # not in the repr: a pool of first guesses, whose key that is, holds nothing of it
    visible: Mapping[str, str | Sequence[str]] = field(default_factory=dict, repr=False)
    degrade_factor: float | Mapping[str, float] = 0.0
    patterns: dict[str, list[Pattern]] = field(init=False, repr=False)
    shown: dict[str, list[Pattern]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for key, patterns in (("observe", self.observe), ("visible", self.visible)):
            if not isinstance(patterns, Mapping):
                raise ConfigurationError(
                    f"Found {key}={patterns!r}: expected patterns by variable: {{thetao: profiles:0.9}}."
                )
        self.patterns, self.shown = _parsed(self.observe), _parsed(self.visible)
        if not 0.0 <= self.covariate_dropout <= 1.0:
            raise ConfigurationError(f"covariate_dropout is {self.covariate_dropout}: expected a probability, 0 to 1.")
        stated = self.error if isinstance(self.error, Mapping) else {"error": self.error}
        for name, value in stated.items():
            _check_deviation(name, value, ranges=True)
        for kind, amount in self._degradations().items():
            if isinstance(amount, Mapping):
                for name, value in amount.items():
                    _check_deviation(f"{kind}.{name}", value, ranges=False)
            else:
                _check_deviation(kind, amount, ranges=False)

    def _degradations(self) -> dict[str, float | Mapping[str, float]]:
        kinds = ("degrade_offset", "degrade_speckle", "degrade_factor")
        return dict(zip(kinds, (self.degrade_offset, self.degrade_speckle, self.degrade_factor), strict=True))

    def degradation(self, name: str) -> tuple[float, float, float]:
        """Deviations of offset and speckle, physical units, and of the factor, for one covariate."""
        found = [
            given.get(name, 0.0) if isinstance(given, Mapping) else given for given in self._degradations().values()
        ]
        return found[0], found[1], found[2]

    def check_degradation(self, covariates: Sequence[str]) -> None:
        """Raises `ConfigurationError` for a degradation of what is no covariate: nothing else is degraded."""
        for kind, stated in self._degradations().items():
            for name in stated if isinstance(stated, Mapping) else ():
                if name not in covariates:
                    raise ConfigurationError(
                        f"{kind} names {name!r}, which is no covariate: {suggest(name, covariates)}"
                    )
            if not covariates and (any(stated.values()) if isinstance(stated, Mapping) else stated):
                raise ConfigurationError(f"Found {kind} without any covariate to degrade. Leave it out.")

    def check(self, variables: Sequence[str]) -> None:
        """Raises `ConfigurationError` unless every variable has a pattern and every pattern a variable."""
        for name in self.patterns:
            if name not in variables:
                raise ConfigurationError(f"The recipe observes {name!r}: {suggest(name, variables)}")
        for name in variables:
            if name not in self.patterns:
                raise ConfigurationError(f"No pattern says how {name!r} is observed. Add it under 'observe'.")
        for name in self.error if isinstance(self.error, Mapping) else ():
            if name not in variables:
                raise ConfigurationError(f"The recipe states an error of {name!r}: {suggest(name, variables)}")

    def check_visible(self, targets: Sequence[str]) -> None:
        """Raises `ConfigurationError` unless `visible` names every target, or nothing at all."""
        for name in self.visible:
            if name not in targets:
                raise ConfigurationError(f"'visible' names {name!r}: {suggest(name, targets)}")
        for name in targets if self.visible else ():
            if name not in self.visible:
                raise ConfigurationError(f"'visible' says nothing of {name!r}. Add it, such as {name}: all.")

    @property
    def texts(self) -> dict[str, list[str]]:
        """The patterns of every variable, as they were written."""
        return {name: [spec] if isinstance(spec, str) else list(spec) for name, spec in self.observe.items()}

    @property
    def errors(self) -> dict[str, float | Sequence[float]]:
        """The stated deviation of every variable that has one, or its range."""
        return dict(self.error) if isinstance(self.error, Mapping) else dict.fromkeys(self.observe, self.error)

    def draw(
        self, name: str, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool, record: Lender | None = None
    ) -> np.ndarray:
        """Observed cells (level, lat, lon) of one variable; `record` is what the pattern `own` borrows from."""
        return _draw(self.patterns[name], domain, rng, periodic, record)

    def draw_visible(
        self, name: str, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool, record: Lender | None = None
    ) -> np.ndarray | None:
        """Cells in which the noisy field is seen, if that is not everywhere."""
        return _draw(self.shown[name], domain, rng, periodic, record) if name in self.shown else None

    def error_of(self, name: str, rng: np.random.Generator) -> float:
        """Error standard deviation, physical units, of one sample."""
        error = self.error.get(name, 0.0) if isinstance(self.error, Mapping) else self.error
        return float(error) if isinstance(error, int | float) else float(rng.uniform(error[0], error[1]))


def _parsed(patterns: Mapping[str, str | Sequence[str]]) -> dict[str, list[Pattern]]:
    return {
        name: [parse_pattern(text) for text in ([spec] if isinstance(spec, str) else spec)]
        for name, spec in patterns.items()
    }


def _draw(
    choices: Sequence[Pattern], domain: np.ndarray, rng: np.random.Generator, periodic: bool, record: Lender | None
) -> np.ndarray:
    chosen = choices[int(rng.integers(len(choices)))]
    return (chosen if record is None else chosen.among(record)).draw(domain, rng, periodic=periodic)


def _check_deviation(name: str, value: Any, *, ranges: bool) -> None:
    """Raises `ConfigurationError` unless it is a standard deviation, or a range [low, high] of one."""
    pair = value if ranges and isinstance(value, Sequence) and not isinstance(value, str) else [value, value]
    numbers = len(pair) == 2 and all(isinstance(one, int | float) for one in pair)
    if not numbers or not 0.0 <= pair[0] <= pair[1] < float("inf"):
        form = "a number, 0 or more, or a range [low, high]" if ranges else "a number, 0 or more"
        raise ConfigurationError(f"The standard deviation {name!r} is {value!r}: expected {form}.")
