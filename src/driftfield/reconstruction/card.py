"""The card of a run on a hub: README.md, whose head is read by the service and whose body by people.

recipe and run -> what it completes, what it learnt from, how it was trained      scores -> tables      licence -> the head
"""

__all__ = ["Provenance", "headline", "machine_paths", "read_scores", "write_card"]

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from driftfield.checkpoint import Run, read_run
from driftfield.errors import FileFormatError, UserError
from driftfield.hub.manifest import CARD
from driftfield.reconstruction.description import about, describe

SCORES = ("rmse", "mae", "bias", "crps", "spread_skill", "coverage_90")
TAG = "driftfield"


@dataclass(frozen=True)
class Provenance:
    """What a run does not know of itself.

    Arguments:
        licence: Of the weights, as the service spells it: apache-2.0, cc-by-4.0.
        data: What it learnt from and on which terms, in its owner's words.
        recipe: Text of its recipe; empty if it keeps none.
        scores: Of `driftfield evaluate`: {method: {variable: {score: value}}}.
    """

    licence: str
    data: str = ""
    recipe: str = ""
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)


def write_card(run: Run, repo: str, of: Provenance) -> str:
    """The text of the card.

    Arguments:
        run: That was read.
        repo: OWNER/NAME.
        of: Where it comes from.
    """
    name = f"hub:{repo}"
    targets = run.extra.get("codec", run.extra).get("targets") or []
    head = {"license": of.licence, "library_name": TAG, "tags": [TAG, run.class_name, *map(str, targets)]}
    first, *more = describe(run, name).splitlines()
    job = next(
        (line.removeprefix("next: ") for line in more if line.startswith("next: ")), f"driftfield inspect {name}"
    )
    facts = [line for line in more if not line.startswith("next: ")]
    use = f"```sh\npip install 'driftfield[hub]'\n{job}\n```"
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {repo}\n\n{first.partition(' is a run: ')[2]}",
        f"## Use\n\n{use}\n\n`driftfield inspect {name}` says the same as this page.",
        "## The run\n\n" + "\n".join(f"- {line}" for line in facts),
        f"## Data\n\n{_data(of)}",
        f"## Scores\n\n{_scores(of.scores)}",
        "## Recipe\n\n" + (f"```yaml\n{of.recipe.strip()}\n```" if of.recipe else "The run keeps no recipe."),
        f"## Licence\n\nThe weights: {of.licence}. Data that they were learnt from keep their own terms.",
    ]
    return "\n\n".join(parts) + "\n"


def headline(folder: Path) -> str:
    """A fetched run in a line: what it completes, and its licence if its card says one."""
    try:
        said = about(read_run(folder))
    except UserError as error:
        return f"cannot be read: {error}"
    card = folder / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    head = text.removeprefix("---\n").partition("\n---")[0] if text.startswith("---\n") else ""
    licence = next((line.partition(":")[2].strip() for line in head.splitlines() if line.startswith("license:")), "")
    return said + (f"; licence {licence}" if licence else "; no licence stated")


def machine_paths(parts: Mapping[str, Path]) -> list[str]:
    """Absolute paths that descriptions and recipes of a run hold, which everybody will be able to read."""
    paths: list[str] = []
    for path in parts.values():
        if path.suffix in (".json", ".yaml"):
            text = path.read_text(encoding="utf-8")
            paths += _texts(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text))
    absolute = (p for p in paths if PurePosixPath(p).is_absolute() or PureWindowsPath(p).is_absolute())
    return sorted(set(absolute))


def read_scores(path: Path) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """`scores.json` of `driftfield evaluate`.

    Raises:
        FileFormatError: it is none.
    """
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
        return {m: {v: dict(row) for v, row in of.items()} for m, of in scores.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise FileFormatError(
            f"{path} is no scores.json: {error}. Name the one that `driftfield evaluate` wrote into its report."
        ) from error


def _data(of: Provenance) -> str:
    section = (yaml.safe_load(of.recipe) or {}).get("data") if of.recipe else None
    lines = [of.data] if of.data else []
    if isinstance(section, Mapping):
        lines.append("What the recipe says of its data:")
        lines.append(f"```yaml\n{yaml.safe_dump(dict(section), sort_keys=False).strip()}\n```")
    return "\n\n".join(lines) or "Neither its owner nor a recipe says what it learnt from."


def _scores(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    rows = [(m, v, row) for m, of in scores.items() for v, row in of.items()]
    shown = [score for score in SCORES if any(isinstance(row.get(score), int | float) for *_, row in rows)]
    if not rows or not shown:
        return "None but those above were handed over."
    table = [f"| method | variable | {' | '.join(shown)} | cells |", "|---" * (len(shown) + 3) + "|"]
    for method, variable, row in rows:
        values = [f"{row[s]:.4g}" if isinstance(row.get(s), int | float) else "-" for s in shown]
        table.append(f"| {method} | {variable} | {' | '.join(values)} | {row.get('n', '-')} |")
    return "Of `driftfield evaluate`, on cells that were held out, as its owner handed them over:\n\n" + "\n".join(
        table
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
