"""What a comparison has found: the scores of every method in every setting, and what a reader should know of these."""

__all__ = ["Entry", "Results", "SettingFacts"]

from dataclasses import dataclass, field

from driftfield.compare.recipe import Comparison
from driftfield.evaluate.evaluation import VariableScores


@dataclass(frozen=True)
class Entry:
    """What one method made of one setting.

    Arguments:
        observations: Hash of what it was shown.
        run: Hash of its run.
        members: Size of its ensemble.
        seconds: Reconstruction of all times.
        scores: {variable: {score: value, "levels": {...}}}, as `driftfield.evaluate.evaluation` gives them.
        resolved_km: Resolved wavelength by variable (the first level); None where not even the longest is.
        intervals: {variable: {"rmse" or "crps": {"low", "high", "dates", "independent"}}} of a block bootstrap over the dates
            (`evaluate.intervals`); nothing for fewer than three.
    """

    observations: str
    run: str
    members: int
    seconds: float
    scores: VariableScores
    resolved_km: dict[str, float | None] = field(default_factory=dict)
    intervals: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    def number(self, variable: str, score: str) -> float | None:
        """One score; None where the answer has none."""
        value = self.scores[variable].get(score)
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True)
class SettingFacts:
    """What a reader should know of a setting.

    Arguments:
        observations: Hash of the observations, the same for all methods.
        times: First and last date, and how many.
        held_out: {variable: (scored cells, share of the domain)}.
    """

    observations: str
    times: tuple[str, str, int]
    held_out: dict[str, tuple[int, float]]


@dataclass(frozen=True)
class Results:
    """All numbers of a comparison.

    Arguments:
        comparison: Its recipe.
        members: Size of the ensembles that was asked for.
        facts: By setting.
        units: By variable.
        rows: {label: {setting: entry}}; a pair that failed is missing.
        notes: Why pairs are missing.
    """

    comparison: Comparison
    members: int
    facts: dict[str, SettingFacts]
    units: dict[str, str]
    rows: dict[str, dict[str, Entry]]
    notes: list[str]
