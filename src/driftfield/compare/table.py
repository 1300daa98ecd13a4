"""The page of a comparison: tables in Markdown, all numbers in JSON.

    few settings      one table        rows: methods        columns: every score of every setting
    many settings     a table per score                     columns: settings

Best in bold, beside the figures of others on the same cells. Nothing that changes from call to call is written, no date and
no duration of this call, so that the same results give the same bytes.
"""

__all__ = ["as_json", "as_markdown", "write_tables"]

import json
import platform
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import numpy as np

from driftfield import __version__
from driftfield.compare.recipe import RESOLVED
from driftfield.compare.results import Results
from driftfield.compare.running import RAW
from driftfield.compare.unpaired import COUNT
from driftfield.conventions import FORMAT
from driftfield.evaluate.comparison import best_methods
from driftfield.evaluate.intervals import FEW
from driftfield.evaluate.scores.score import all_scores
from driftfield.files import refuse_existing, write_text
from driftfield.plain import JSONObject

_MOST_COLUMNS = 10
_LIBRARIES = ("numpy", "scipy", "xarray", "torch")

Column = tuple[str, str]
"""Setting and score."""

ScoreRow = dict[str, float | None]
"""{score: value} of one method in one setting."""


def write_tables(results: Results, out: Path, *, command: str, overwrite: bool = False) -> None:
    """Writes OUT.md and, beside it, OUT.json.

    Arguments:
        results: What `run_comparison` found.
        out: The Markdown file.
        command: How to make it again.
        overwrite: Replace what is there.

    Raises:
        ExistsError: one of the files exists and `overwrite` is false.
    """
    numbers = out.with_suffix(".json")
    for path in (out, numbers):
        refuse_existing(path, overwrite=overwrite)
    write_text(numbers, json.dumps(as_json(results, command), indent=1, allow_nan=False) + "\n", overwrite=overwrite)
    write_text(out, as_markdown(results, command), overwrite=overwrite)


def as_json(results: Results, command: str) -> JSONObject:
    """Everything as plain numbers."""
    return {
        "driftfield_format": FORMAT,
        "comparison": results.comparison.name,
        "provenance": _provenance(results, command),
        "units": results.units,
        "settings": {
            setting.name: {
                **asdict(results.facts[setting.name]),
                "hides": dict([setting.hides]),
                "error": setting.error,
                "reference": setting.reference,
            }
            for setting in results.comparison.settings
        },
        "methods": {
            label: {name: asdict(entry) for name, entry in entries.items()} for label, entries in results.rows.items()
        },
        "notes": results.notes,
    }


def as_markdown(results: Results, command: str) -> str:
    """The page."""
    comparison = results.comparison
    blocks = [f"# {comparison.title}", "<!-- written by `driftfield compare`; changes belong into the recipe -->"]
    if comparison.description:
        blocks.append(comparison.description)
    blocks.append(_facts(results))
    for variable in comparison.targets:
        if len(comparison.targets) > 1:
            blocks.append(f"## {variable}")
        blocks += _tables(results, variable)
        if ratio := _ratio(results, variable):
            blocks.append(ratio)
    notes = [*comparison.notes, *(f"Left out: {note}" for note in results.notes)]
    if notes:
        blocks.append("\n".join(f"* {note}" for note in notes))
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    blocks.append(f"Made by `{command}` with {versions}.")
    return "\n\n".join(blocks) + "\n"


def _facts(results: Results) -> str:
    """What was hidden, in words and numbers."""
    lines = ["| setting | times | scored cells | observations |", "|---|---|---|---|"]
    for name, facts in results.facts.items():
        first, last, count = facts.times
        cells = "; ".join(
            f"{f'{variable}: ' if len(facts.held_out) > 1 else ''}{number:,} ({100 * share:.1f} % of the domain)"
            for variable, (number, share) in facts.held_out.items()
        )
        lines.append(f"| {name} | {count}, {first[:10]} to {last[:10]} | {cells} | `{facts.observations[:8]}` |")
    ensemble = f"Ensembles of {results.members} members; scores over the hidden cells, unweighted. The last column is the hash of"
    text = f"{ensemble} the observations, which were the same for every method."
    if (results.comparison.data.get("coarse") or {}).get("paired") is False:
        text += (
            f" Fine and coarse fields share no dates: scored are the {COUNT} quantiles of every cell over all dates, so that "
            "MAE is the mean Wasserstein distance in a cell."
        )
    return "\n".join([*lines, "", text])


def _tables(results: Results, variable: str) -> list[str]:
    rows = _rows(results, variable)
    settings = [setting.name for setting in results.comparison.settings]
    scores = [
        score
        for score in (*results.comparison.scores, RESOLVED)
        if any(score in found for row in rows.values() for found in row.values())
    ]
    columns = [(name, score) for name in settings for score in scores if _asked(results, name, score)]
    units, ends = results.units[variable], _ends(results, variable)
    if len(columns) <= _MOST_COLUMNS:
        several = len(settings) > 1
        heads = [f"{name}: {_head(score, units)}" if several else _head(score, units) for name, score in columns]
        return [_table(rows, columns, heads, ends), *_sureness(results, variable)]
    blocks = []
    for score in scores:
        some = [column for column in columns if column[1] == score]
        blocks.append(f"**{_head(score, units)}**\n\n" + _table(rows, some, [name for name, _ in some], ends))
    return blocks + _sureness(results, variable)


def _ends(results: Results, variable: str) -> dict[tuple[str, str, str], str]:
    """{(label, setting, score): where the score may lie}, in words."""
    return {
        (label, name, score): f" ({_number(score, end['low'])} to {_number(score, end['high'])})"
        for label, entries in results.rows.items()
        for name, entry in entries.items()
        for score, end in entry.intervals.get(variable, {}).items()
    }


def _sureness(results: Results, variable: str) -> list[str]:
    """What the intervals are, and a word where they rest on few independent dates."""
    independent: dict[str, tuple[float, int]] = {}
    for entries in results.rows.values():
        for name, entry in entries.items():
            for end in entry.intervals.get(variable, {}).values():
                fewest = min(independent.get(name, (np.inf, 0))[0], end["independent"])
                independent[name] = (fewest, int(end["dates"]))
    if not independent:
        return []
    few = [
        f"{name} on about {max(1, round(fewest))} of {dates}"
        for name, (fewest, dates) in independent.items()
        if fewest < FEW
    ]
    text = "In brackets: 90 % of a block bootstrap over the dates."
    if few:
        text += f" Few dates are independent: {', '.join(few)}. A difference inside the brackets says little."
    return [text]


def _rows(results: Results, variable: str) -> dict[str, dict[str, ScoreRow]]:
    """{label: {setting: {score: value}}}, figures of others first, resolved wavelengths among the scores."""
    rows: dict[str, dict[str, ScoreRow]] = {}
    for setting in results.comparison.settings if len(results.comparison.targets) == 1 else ():
        for label, figures in setting.reference.items():
            rows.setdefault(f"*{label}*", {})[setting.name] = dict(figures)
    for label, entries in results.rows.items():
        rows[label] = {}
        for name, entry in entries.items():
            shown = [score for score in results.comparison.scores if score in entry.scores[variable]]
            row_scores = {score: entry.number(variable, score) for score in shown}
            if variable in entry.resolved_km:
                row_scores[RESOLVED] = entry.resolved_km[variable]
            rows[label][name] = row_scores
    return rows


def _asked(results: Results, name: str, score: str) -> bool:
    return score != RESOLVED or results.comparison.setting(name).segment_km is not None


def _table(
    rows: dict[str, dict[str, ScoreRow]],
    columns: list[Column],
    heads: list[str],
    ends: dict[tuple[str, str, str], str],
) -> str:
    best = {column: _best(rows, column) for column in columns}
    lines = [["method", *heads], ["---", *("---:" for _ in heads)]]
    for label, row in rows.items():
        # a reference row, or a method without spread, may have nothing to say here; one that failed shows that it did
        if row and not any(_has(row, column) for column in columns):
            continue
        cells = []
        for name, score in columns:
            found = row.get(name, {})
            text = _number(score, found[score]) if score in found else "–"
            shown = f"**{text}**" if label in best[name, score] and text != "–" else text
            cells.append(shown + ends.get((label, name, score), ""))
        lines.append([label, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _has(row: dict[str, ScoreRow], column: Column) -> bool:
    name, score = column
    found = row.get(name, {})
    return score in found and (score == RESOLVED or found[score] is not None)


def _best(rows: dict[str, dict[str, ScoreRow]], column: Column) -> list[str]:
    """Who has the best value; the shortest wavelength, and for the other scores what is nearest to the ideal."""
    name, score = column
    here = {label: row[name] for label, row in rows.items() if name in row}
    if score == RESOLVED:
        known = {label: value for label, numbers in here.items() if (value := numbers.get(score)) is not None}
        return [label for label, value in known.items() if value == min(known.values())]
    return best_methods(here, score)


def _ratio(results: Results, variable: str) -> str:
    """The model against the best of the others, setting by setting."""
    model = results.comparison.model
    if model is None or not results.rows.get(model):
        return ""
    own = (model, f"{model}, {RAW}")
    lines = [f"| {model} / best of the others | RMSE | CRPS |", "|---|---:|---:|"]
    for setting in results.comparison.settings:
        entries = {label: row[setting.name] for label, row in results.rows.items() if setting.name in row}
        cells = []
        for score in ("rmse", "crps"):
            values = {
                label: value for label, entry in entries.items() if (value := entry.number(variable, score)) is not None
            }
            others = {value: label for label, value in values.items() if label not in own and value > 0}
            least = min(others, default=0.0)
            cells.append(f"{values[model] / least:.2f} ({others[least]})" if model in values and others else "–")
        lines.append(f"| {setting.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _head(score: str, units: str) -> str:
    return "resolved km" if score == RESOLVED else all_scores()[score].short_heading(units)


def _number(score: str, value: float | None) -> str:
    if score == RESOLVED:
        return "none" if value is None else f"{value:.0f}"
    if value is None:
        return "–"
    return f"{value:.2f}" if score in ("spread_skill", "coverage_90") else f"{value:#.3g}"


def _provenance(results: Results, command: str) -> JSONObject:
    return {
        "command": command,
        "versions": _versions(),
        "truth": Path(results.comparison.truth[0]).name,
        "members": results.members,
        "seed": results.comparison.seed,
    }


def _versions() -> dict[str, str]:
    versions = {"driftfield": __version__, "python": platform.python_version()}
    return versions | {library: metadata.version(library) for library in _LIBRARIES}
