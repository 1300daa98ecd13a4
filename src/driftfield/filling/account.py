"""What `fill` did, for a reader: the table of what was tried, sentences, and a recipe to go on with by hand."""

__all__ = ["commands", "recipe", "table"]

import shlex
from pathlib import Path

import yaml

from driftfield.conventions import FORMAT
from driftfield.filling.filling import Filled
from driftfield.plain import JSONObject


def table(filled: Filled) -> str:
    """Every method that was tried, the best first, with its scores on the hidden blocks; units of what was filled."""
    if not filled.scores:
        why = "too few values to hide some" if filled.method.shipped else "every cell of the domain was seen"
        return f"Nothing was tried: {why}."
    units = "log10" if filled.record.quantity.logarithm else filled.record.original.attrs.get("units", "")
    width = max([6, *(len(s.label) for s in filled.scores)])
    suffix = f" [{units}]" if units else ""
    rows = [f"{'method':{width}}  {'RMSE' + suffix:>14}  {'CRPS' + suffix:>14}  {'90 % coverage':>13}  {'seconds':>7}"]
    for s in filled.scores:
        mark = "*" if s.label == filled.chosen else " "
        rows.append(f"{s.label:{width}} {mark}{s.rmse:14.4g}  {s.crps:14.4g}  {s.coverage:13.2f}  {s.seconds:7.1f}")
    rows += [f"{label:{width}}  {reason}" for label, reason in filled.failed.items()]
    cells = len(filled.scores[0].error)
    rows.append(f"Scores on {cells:,} values hidden in blocks as wide as the gaps; * fills the file.")
    return "\n".join(rows)


def recipe(filled: Filled) -> str:
    """YAML for `driftfield train`: the method that was chosen (of a blend the one with more weight), on the same record."""
    record, method = filled.record, filled.method
    split = {"class": "TimeSplit", "validation": 0.17} if method.validation else {"class": "WholeRecord"}
    spec = dict(method.spec)
    trainer = spec.pop("trainer", None)
    targets: JSONObject = {"targets": [record.name]}
    if method.vector and record.pair is not None:
        targets = {"targets": [*record.pair], "vector_pairs": [[*record.pair]]}
    content = {
        "driftfield_format": FORMAT,
        "description": f"What `driftfield fill` chose for {record.name} of {record.source}: {filled.chosen}.",
        "seed": 0,
        "data": {"archive": record.source, **targets, "split": split, **record.selection},
        "reconstructor": spec,
        **({"trainer": trainer} if trainer else {}),
    }
    return yaml.safe_dump(content, sort_keys=False)


def commands(filled: Filled, recipe_file: Path) -> list[str]:
    """How to go on by hand, from the recipe beside the output."""
    if not filled.record.dated:
        return ["(an image without a date: give it a time axis of one date, then train and reconstruct take it, too)"]
    if filled.method.shipped:
        source = shlex.quote(filled.record.source)
        out = shlex.quote(str(recipe_file.with_suffix("").with_suffix("")) + "_members.nc")
        return [f"driftfield reconstruct shipped:{filled.method.shipped} {source} --out {out} --members 16"]
    if filled.learnt is not None and filled.learnt.wins:
        source, folder = shlex.quote(filled.record.source), shlex.quote(str(filled.learnt.folder))
        return [f"driftfield reconstruct {folder} {source} --out {folder}.nc --members 16"]
    run = recipe_file.with_suffix("").with_suffix("")
    run = run.with_name(f"{run.name}_run")
    source = shlex.quote(filled.record.source)
    return [
        f"driftfield train {shlex.quote(str(recipe_file))} --out {shlex.quote(str(run))}",
        f"driftfield reconstruct {shlex.quote(str(run))} {source} --out {shlex.quote(str(run))}.nc --members 16",
    ]
