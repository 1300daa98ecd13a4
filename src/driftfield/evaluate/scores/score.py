"""What a score is to the reports: a number per method, with a label, an ideal, and what it is computed from.

mean, truth              -> deterministic      RMSE, bias ...; the same for every kind of answer
members, truth           -> ensemble           where there are several members that differ
mean, sd, truth          -> gaussian           where a method states a spread and no members
whole fields             -> fields             where neighbours, dates or other variables matter: rain, small scales
"""

__all__ = ["Score", "all_scores", "field_scores"]

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log

import xarray as xr

from driftfield.evaluate.scores.whole_fields import WholeFields
from driftfield.registry import members

Measure = Callable[..., xr.DataArray]


@dataclass(frozen=True)
class Score:
    """Registered as "score" under its name in tables and score files; every report shows it.

    Arguments:
        label: In reports.
        short: In the narrow columns of a comparison; the label if it is empty.
        ideal: The value of a perfect answer.
        deterministic: (mean, truth, weights=...) -> number; also the score of a single field where an ensemble has another.
        ensemble: (members, truth, weights=...) -> number.
        gaussian: (mean, sd, truth, weights=...) -> number.
        fields: (whole fields) -> number, NaN where they do not say what it needs; shown where somebody asks for it.
        in_units: Whether it has the units of the variable.
        ratio: Whether it is compared in the logarithm, so that 2 is as bad as 1/2.
        headline: Whether short tables show it.
        by_level: Whether reports show it level by level.
    """

    label: str
    ideal: float
    deterministic: Measure | None = None
    ensemble: Measure | None = None
    gaussian: Measure | None = None
    fields: Callable[[WholeFields], float] | None = None
    in_units: bool = False
    ratio: bool = False
    headline: bool = False
    by_level: bool = False
    short: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it is computed from: "deterministic", "ensemble", "gaussian", "fields"."""
        return tuple(
            kind for kind in ("deterministic", "ensemble", "gaussian", "fields") if getattr(self, kind) is not None
        )

    def distance(self, value: float) -> float:
        """How far a value is from the ideal; an ideal of infinity makes more the better."""
        if self.ideal == inf:
            return -value
        if self.ratio:
            return abs(log(value)) if value > 0 else inf
        return abs(value - self.ideal)

    def heading(self, units: str) -> str:
        """The label, with units where it has any."""
        return self._with_units(self.label, units)

    def short_heading(self, units: str) -> str:
        """The same for a narrow column."""
        return self._with_units(self.short or self.label, units)

    def _with_units(self, name: str, units: str) -> str:
        return f"{name} [{units}]" if self.in_units else name


def all_scores() -> dict[str, Score]:
    """Every score by its name: those of short tables first, each group as it was registered."""
    return dict(sorted(members("score").items(), key=lambda item: not item[1].headline))


def field_scores() -> dict[str, Score]:
    """Those of whole fields."""
    return {name: score for name, score in all_scores().items() if score.fields is not None}
