"""What comes of `driftfield assimilate`: constants that are chosen for a run, and the lines that are printed."""

__all__ = ["account_of", "with_chosen_errors"]

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftfield.assimilation.analysis import Analysis
    from driftfield.evaluate.observation_space import ObservationScores

    Analyse = Callable[[float | None, Mapping[str, Any]], Analysis]


def with_chosen_errors(
    folder: Path, method: str, options: Mapping[str, Any], choices: Mapping[str, list[Any]], analyse: "Analyse"
) -> "Analysis":
    """The best analysis; what was chosen is written into the run.

    Arguments:
        folder: Of the run.
        method: Name of the guidance method.
        options: Its constants.
        choices: Values of some others to choose from.
        analyse: (factor on the errors, constants) -> an analysis with scores of what was withheld.
    """
    from driftfield.assimilation.constants import choose_constants
    from driftfield.assimilation.inflation import choose_inflation
    from driftfield.checkpoint import amend_run, read_run

    constants, record = {}, {}
    if choices:
        best = choose_constants(lambda some: analyse(1.0, some), choices)
        constants, record = dict(best.options), {"constants_tried": best.to_json()}
        for tried, crps in best.tried:
            values = " ".join(f"{name}={value}" for name, value in tried.items())
            print(f"{values:>24}  CRPS {crps:.4g}{'  <-' if tried == best.options else ''}")
    chosen = choose_inflation(lambda factor: analyse(factor, constants))
    known = read_run(folder).extra.get("assimilation", {})
    before = known.get(method, {}).get("options", {})
    record |= chosen.to_json() | {"options": {**before, **options, **constants}}
    amend_run(folder, {"assimilation": known | {method: record}})
    print(f"{'errors x':>10}{'spread-skill':>14}")
    for factor in chosen.to_json()["tried"]:
        mark = "  <-" if factor["inflation"] == chosen.inflation else ""
        print(f"{factor['inflation']:>10g}{factor['spread_skill']:>14.3f}{mark}")
    if chosen.remark:
        print(chosen.remark)
    print(f"wrote {', '.join(['the inflation', *constants])} into {folder / 'run.json'}")
    fields = chosen.analysis.fields.assign_attrs(chosen_on_withheld=", ".join(["the inflation", *constants]))
    return replace(chosen.analysis, fields=fields)


def account_of(analysis: "Analysis") -> str:
    """What became of the observations, and the scores of those that were withheld, as lines."""
    fields = analysis.fields
    lines = [
        str(analysis.account),
        f"{analysis.guided_by} observations guide {fields.sizes['time']} date(s), "
        f"{fields.attrs['observations_far_from_dates']} are far from them; errors x {fields.attrs['error_inflation']:g}",
    ]
    if analysis.withheld:
        held = [fields.attrs[f"observations_{part}"] for part in ("withheld", "in_margin")]
        lines += [f"{held[0]} are withheld, {held[1]} lie in the margin around them", _table(analysis.withheld)]
        if chosen := fields.attrs.get("chosen_on_withheld"):
            lines.append(
                f"{chosen} chosen on these very observations: for scores on others, withhold with another --seed"
            )
    return "\n".join(lines)


def _table(scores: "Mapping[str, ObservationScores]") -> str:
    names = ("bias", "rmse", "crps", "spread", "spread_skill", "coverage_90")
    lines = [f"{'withheld':12}{'count':>8}" + "".join(f"{name:>14}" for name in names)]
    for variable, score in scores.items():
        numbers = "".join(f"{getattr(score, name):>14.4g}" for name in names)
        lines.append(f"{variable:12}{score.count:>8}{numbers}")
    return "\n".join(lines)
