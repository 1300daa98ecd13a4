"""The runs of a comparison: found, or fitted as the recipe says, and never those of another recipe."""

__all__ = ["fitted_run", "is_calibrated", "run_hash", "write_visible"]

import hashlib
import logging
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from driftfield.checkpoint import read_run
from driftfield.compare.recipe import Method
from driftfield.data.sources import open_fields, write_dataset
from driftfield.errors import ConfigurationError
from driftfield.recipe import as_recipe
from driftfield.reconstruct import shipped_run
from driftfield.reconstruct.fitting import fit_recipe

log = logging.getLogger(__name__)


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


def fitted_run(method: Method, learnt: str | None, *, train: bool, afresh: bool) -> Path:
    """The run folder of a method, fitted if it is missing.

    Arguments:
        method: From the recipe.
        learnt: Hash of what it may learn from, where that is not the archive of the recipe.
        train: Train networks too; an unfinished training goes on.
        afresh: Fit again what is there; networks only with `train`.

    Raises:
        ConfigurationError: the run is missing and may not be fitted, or another recipe made it.
    """
    if method.run.startswith("shipped:"):
        return shipped_run(method.run.removeprefix("shipped:"))
    folder = Path(method.run)
    recipe = method.recipe
    if recipe is not None and learnt is not None:
        recipe = as_recipe({**recipe.content, "description": f"learns from the cells {learnt}"}, folder)
    exists = (folder / "run.json").exists()
    if recipe is None:
        if not exists:
            raise ConfigurationError(f"{folder} holds no run. Train it, or name another folder.")
        return folder
    again = afresh and (train or not method.trained)
    if exists and not again:
        _check_same_recipe(folder, recipe.content)
        return folder
    if method.trained and not train:
        raise ConfigurationError(f"its network is not trained yet ({folder}). Pass --train, which may take hours.")
    left = [run for run in (folder / "checkpoints").rglob("run.json") if run.parent.name != "best"]
    unfinished = method.trained and not exists and bool(left)
    if unfinished:
        _check_same_recipe(folder, recipe.content)
    log.info("%s: fitting %s", method.label, folder)
    fit_recipe(recipe, folder, source=f"the method {method.label!r}", resume=unfinished)
    return folder


def _check_same_recipe(folder: Path, content: dict[str, Any]) -> None:
    """A run that another recipe made must not stand under this one's name."""
    path = folder / "recipe.yaml"
    if not path.exists():
        return
    made = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    own = {"seed": 0, "trainer": None, **content}
    keys = ["seed", "data", "reconstructor", "trainer"]
    keys += ["description"] if str(content.get("description", "")).startswith("learns from the cells") else []
    if other := [key for key in keys if {"seed": 0, "trainer": None, **made}.get(key) != own.get(key)]:
        raise ConfigurationError(
            f"{folder} was fitted by another recipe (its {', '.join(other)} differ). Pass --afresh to fit it again "
            "(with --train where it is a network), or name another folder under 'run'."
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
