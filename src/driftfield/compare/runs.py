"""The runs of a comparison: found, or fitted as the recipe says, and never those of another recipe.

Where the methods learn from what a setting shows (`learn_from`), no run inside a method may know more: one that starts it, gives
its first guess or its first weights has another archive, or carries the mark of the same visible cells.
"""

__all__ = ["Contents", "LearntFrom", "fitted_run", "is_calibrated", "run_hash", "write_visible"]

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from driftfield.checkpoint import read_run
from driftfield.compare.recipe import ComparedMethod
from driftfield.data.prepare import prepare
from driftfield.errors import ConfigurationError
from driftfield.gridded.gridded_files import open_fields, write_dataset
from driftfield.interfaces import Archive
from driftfield.recipe import Recipe, as_recipe, expanded
from driftfield.reconstruction.fitting import content_of, fit_recipe
from driftfield.runs import calibrate_run, find_run

log = logging.getLogger(__name__)

_MARK = "learns from the cells "


@dataclass(frozen=True)
class LearntFrom:
    """What methods may learn from, where that is not all of the archive.

    Arguments:
        cells: Hash of the visible cells.
        archives: Files that hold the hidden cells too.
    """

    cells: str
    archives: tuple[str, ...]

    @property
    def mark(self) -> str:
        """The description of a recipe whose run has learnt from these cells and no others."""
        return _MARK + self.cells

    def check(self, content: Mapping[str, Any], label: str) -> None:
        """Follows every run that a recipe names to what that has learnt from.

        Raises:
            ConfigurationError: one of them has seen hidden cells, or nobody can tell.
        """
        for name in _named_runs({key: content.get(key) for key in ("reconstructor", "trainer")}):
            self.check_run(Path(expanded(name, "run")), label)

    def check_run(self, folder: Path, label: str) -> None:
        """As `check`, of a run and of those that it was made from."""
        if not (folder / "run.json").exists():
            raise ConfigurationError(
                f"{label} is made from {folder}, which holds no run. Fit it first, with nothing but the visible cells."
            )
        path = folder / "recipe.yaml"
        made = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
        if not isinstance(made, dict):
            raise ConfigurationError(
                f"{label} is made from {folder}, which has no recipe.yaml to tell what it has learnt from. Fit it anew."
            )
        archive, mark = (made.get("data") or {}).get("archive", ""), str(made.get("description", ""))
        other = mark.startswith(_MARK) and mark != self.mark
        if other or (mark != self.mark and _file(archive) in {_file(hidden) for hidden in self.archives}):
            raise ConfigurationError(
                f"{label} is made from {folder}, which has learnt from cells that are held out here. Name a run that this "
                "comparison fits: 'set' beside 'recipe' replaces values of the recipe."
            )
        self.check(made, label)


def _named_runs(part: Any) -> Iterator[str]:
    """Folders under `run` and `initial`, at any depth of a recipe."""
    for key, value in part.items() if isinstance(part, Mapping) else ():
        if key in ("run", "initial") and isinstance(value, str):
            yield value
        yield from _named_runs(value)


def _file(archive: Any) -> str:
    """One name per file, however it is written."""
    text = str(expanded(archive, "data.archive"))
    return text if "://" in text else str(Path(text).resolve())


def write_visible(seen: xr.Dataset, path: Path, content: str) -> None:
    """Writes the archive of what a setting shows, for methods that may learn from nothing else.

    Arguments:
        seen: The setting's observations.
        path: The file; left alone if it holds them already.
        content: Their hash.
    """
    if path.exists() and open_fields(path).attrs.get("content") == content:
        return
    names = [n for n in seen.data_vars if not str(n).endswith(("held_out", "_error"))]
    write_dataset(seen[names].assign_attrs(content=content), path, overwrite=True)
    log.info("wrote %s: what the setting %r shows", path, seen.attrs["setting"])


class Contents:
    """What the archives of recipes hold now, each looked at once."""

    def __init__(self) -> None:
        self._opened: dict[str, Archive] = {}

    def of(self, recipe: Recipe) -> dict[str, str]:
        """`content_of` a recipe."""
        key = json.dumps(recipe.data, sort_keys=True, default=str)
        if key not in self._opened:
            self._opened[key] = prepare(**recipe.data).archive
        return content_of(recipe, self._opened[key])


def fitted_run(
    method: ComparedMethod, learnt: LearntFrom | None, *, train: bool, afresh: bool, contents: Contents | None = None
) -> Path:
    """The run folder of a method, fitted if it is missing.

    Arguments:
        method: From the recipe.
        learnt: What it may learn from, where that is not the archive of the recipe.
        train: Train networks too; an unfinished training goes on.
        afresh: Fit again what is there; networks only with `train`.
        contents: Of the archives, where several methods learn from one.

    Raises:
        ConfigurationError: the run is missing and may not be fitted, another recipe made it, or it has seen what is hidden.
    """
    folder = find_run(method.run)
    recipe, exists = method.recipe, (folder / "run.json").exists()
    if recipe is None:
        if not exists:
            raise ConfigurationError(f"{folder} holds no run. Train it, or name another folder.")
        if learnt is not None:
            learnt.check_run(folder, method.label)
        return folder
    if learnt is not None:
        learnt.check(recipe.content, method.label)
        recipe = as_recipe({**recipe.content, "description": learnt.mark}, folder)
    again = afresh and (train or not method.trained)
    if exists and not again:
        _check_same_recipe(folder, recipe.content)
        _check_same_content(folder, recipe, contents)
        return folder
    if method.trained and not train:
        raise ConfigurationError(f"its network is not trained yet ({folder}). Pass --train, which may take hours.")
    left = [run for run in (folder / "checkpoints").rglob("run.json") if run.parent.name != "best"]
    unfinished = method.trained and not exists and bool(left)
    if unfinished:
        _check_same_recipe(folder, recipe.content)
    log.info("%s: fitting %s", method.label, folder)
    data = fit_recipe(recipe, folder, source=f"the method {method.label!r}", resume=unfinished)
    if method.trained and recipe.learner[0] == "reconstructor":
        for line in calibrate_run(folder, data):
            log.info("%s: %s", method.label, line)
    return folder


def _check_same_recipe(folder: Path, content: Mapping[str, Any]) -> None:
    """A run that another recipe made must not stand under this one's name."""
    path = folder / "recipe.yaml"
    if not path.exists():
        return
    made = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    own = {"seed": 0, "trainer": None, **content}
    keys = ["seed", "data", "reconstructor", "downscaler", "trainer"]
    keys += ["description"] if str(content.get("description", "")).startswith(_MARK) else []
    if other := [key for key in keys if {"seed": 0, "trainer": None, **made}.get(key) != own.get(key)]:
        raise ConfigurationError(
            f"{folder} was fitted by another recipe (its {', '.join(other)} differ). Pass --afresh to fit it again "
            "(with --train where it is a network), or name another folder under 'run'."
        )


def _check_same_content(folder: Path, recipe: Recipe, contents: Contents | None) -> None:
    """A run that was fitted to an archive which has changed since must not be taken for one of the archive as it is."""
    made = read_run(folder).extra.get("made_of", {})
    if not any(part.startswith("content of ") for part in made):
        return  # of a version that did not look
    now = (contents or Contents()).of(recipe)
    if other := [part for part, found in now.items() if part in made and made[part] != found]:
        raise ConfigurationError(
            f"{folder} was fitted to another {other[0]}: what lies under this name has changed since. Pass --afresh to fit it "
            "again (with --train where it is a network), or put back what it was fitted to."
        )


def run_hash(folder: Path) -> str:
    """Of all that a run remembers."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        # not the checkpoints, nor the training pools of a first guess
        if path.name in ("run.json", "arrays.safetensors") and inner.parts[0] in (path.name, "first_guess"):
            digest.update(str(inner).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def is_calibrated(folder: Path) -> bool:
    """Whether a run holds a calibration."""
    return bool(read_run(folder).extra.get("calibration"))
