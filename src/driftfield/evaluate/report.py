"""One page that says it all: tables and figures in one HTML file that needs no network, no other file, no script.

evaluation + figures + provenance  --report.html (the template in this room)-->  REPORT/report.html
"""

__all__ = ["write_report", "write_report_folder"]

import base64
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np
import xarray as xr
from jinja2 import Environment, StrictUndefined

from driftfield.errors import visible
from driftfield.evaluate.comparison import best_methods
from driftfield.evaluate.evaluation import Evaluation, write_scores
from driftfield.evaluate.figures import caption, write_figures
from driftfield.evaluate.method_prose import method_prose, remaining
from driftfield.evaluate.scores.score import all_scores, field_scores
from driftfield.files import refuse_existing, replacing, write_text

INTERVAL = ("held by the interval", "width of the interval")
LIBRARIES = ("driftfield", "numpy", "xarray", "matplotlib")


def write_report(
    evaluation: Evaluation,
    figures: Sequence[Path],
    provenance: Mapping[str, object],
    path: Path,
    *,
    overwrite: bool = True,
) -> None:
    """Writes the page, atomically.

    Arguments:
        evaluation: What `evaluate` found.
        figures: What `write_figures` drew; embedded, so that the files may go.
        provenance: Anything a reader needs to find the inputs again: file names, command line, date. Shown as a list.
        path: The HTML file.
        overwrite: Whether an older page may be replaced.

    Raises:
        ExistsError: the page exists and `overwrite` is false.
    """
    text = (package_files("driftfield.evaluate") / "report.html").read_text(encoding="utf-8")
    template = Environment(
        autoescape=True, finalize=_readable, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(text)
    page = template.render(
        evaluation=evaluation,
        sections=[_section(evaluation, name, figures) for name in evaluation.variables],
        methods={
            method: (method_prose(attributes, evaluation.members[method]), remaining(attributes))
            for method, attributes in evaluation.attributes.items()
        },
        provenance={key: _text(value) for key, value in provenance.items()},
        versions={library: metadata.version(library) for library in LIBRARIES},
    )
    write_text(path, page, overwrite=overwrite)


def _readable(value: object) -> object:
    """Names and attributes of files cannot turn the direction of reading; figures and tables are left alone."""
    return visible(value) if type(value) is str else value


def write_report_folder(
    evaluation: Evaluation,
    truth: xr.Dataset,
    outputs: Mapping[str, xr.Dataset],
    observations: xr.Dataset,
    *,
    provenance: Mapping[str, object],
    folder: Path,
    overwrite: bool = False,
) -> None:
    """Writes `scores.json`, `diagnostics.json`, `figures/` and `report.html` as one folder: all of it, or nothing.

    Raises:
        ExistsError: the folder exists and `overwrite` is false.
    """
    refuse_existing(folder, overwrite=overwrite)
    with replacing(folder, overwrite=overwrite) as temporary:
        temporary.mkdir()
        write_scores(evaluation, temporary / "scores.json")
        write_text(temporary / "diagnostics.json", json.dumps(_diagnostics(evaluation), indent=2) + "\n")
        figures = write_figures(truth, outputs, observations, evaluation, temporary / "figures")
        write_report(evaluation, figures, provenance, temporary / "report.html")


def _diagnostics(evaluation: Evaluation) -> dict[str, object]:
    """Rank histograms, reliability and spectra as plain lists: what the figures show, for other programs."""
    return {
        "rank_histogram": {
            m: {v: list(map(float, r)) for v, r in by_variable.items()} for m, by_variable in evaluation.ranks.items()
        },
        "reliability": {
            m: {v: {str(c): table[c].values.tolist() for c in table} for v, table in by_variable.items()}
            for m, by_variable in evaluation.reliability.items()
        },
        "spectra": {
            v: {
                level: {
                    **{key: str(value) for key, value in curves.attrs.items()},
                    "wavelength_km": curves["wavelength"].values.tolist(),
                    **{str(c): curves[c].values.tolist() for c in curves},
                }
                for level, curves in levels.items()
            }
            for v, levels in evaluation.spectra.items()
        },
        "times": evaluation.times,
        "notes": evaluation.notes,
    }


def _section(evaluation: Evaluation, name: str, figures: Sequence[Path]) -> dict[str, object]:
    """What the template shows of one variable."""
    rows = {method: by_variable[name] for method, by_variable in evaluation.scores.items() if name in by_variable}
    units = evaluation.units[name]
    labels = {name: score.heading(units) for name, score in all_scores().items() if score.kinds != ("fields",)}
    structure = {name: score.heading(units) for name, score in field_scores().items() if _scored(rows, name)}
    if any("interval_coverage" in row for row in rows.values()):
        labels |= {"interval_coverage": INTERVAL[0], "interval_width": f"{INTERVAL[1]} [{units}]"}
    cells, share = evaluation.held_out[name]
    levels = list(dict.fromkeys(key for row in rows.values() for key in row["levels"]))  # type: ignore[attr-defined]
    return {
        "name": name,
        "title": evaluation.names[name],
        "units": units,
        "cells": f"{cells:,}",
        "share": f"{100 * share:.1f}",
        "overall": _table(rows, labels),
        "structure": _table(rows, structure) if structure else None,
        "whole": _table({m: row["whole_domain"] for m, row in rows.items() if row["whole_domain"]}, labels),  # type: ignore[misc]
        "levels": {
            score.heading(units): _level_table(rows, levels, name)
            for name, score in all_scores().items()
            if score.by_level
        }
        if levels
        else {},
        "depths": levels,
        "bins": {
            method: [_number(ratio if np.isfinite(ratio) else None) for ratio in map(float, by_variable[name]["ratio"])]
            for method, by_variable in evaluation.reliability.items()
            if name in by_variable
        },
        "ranks": {
            method: [float(r) * len(by_variable[name]) for r in by_variable[name]]
            for method, by_variable in evaluation.ranks.items()
            if name in by_variable
        },
        "figures": [
            {"caption": caption(path), "alt": path.stem.replace("--", ", "), "data": _embedded(path)}
            for path in figures
            if path.stem.startswith(f"{name}--")
        ],
    }


def _scored(rows: Mapping[str, Mapping[str, object]], score: str) -> bool:
    """Whether any method has the score."""
    return any(row.get(score) is not None for row in rows.values())


def _table(rows: Mapping[str, Mapping[str, object]], labels: Mapping[str, str]) -> dict[str, object]:
    """Rows are methods, columns are scores; each cell is (text, whether it is the best)."""
    best = {score: best_methods(rows, score) for score in labels if score in all_scores()}
    return {
        "columns": list(labels.values()),
        "rows": {m: [(_number(row.get(s)), m in best.get(s, ())) for s in labels] for m, row in rows.items()},
    }


def _level_table(
    rows: Mapping[str, Mapping[str, object]], levels: Sequence[str], score: str
) -> dict[str, list[tuple[str, bool]]]:
    """Rows are methods, columns are depths."""
    table: dict[str, list[tuple[str, bool]]] = {method: [] for method in rows}
    for level in levels:
        at = {method: row["levels"].get(level, {}) for method, row in rows.items()}  # type: ignore[attr-defined]
        best = best_methods(at, score)
        for method, found in at.items():
            table[method].append((_number(found.get(score)), method in best))
    return {method: cells for method, cells in table.items() if any(text != "–" for text, _ in cells)}


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
