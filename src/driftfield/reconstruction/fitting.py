"""From a recipe to a run folder: the one way in which every reconstructor, network or peer, and every emulator is fitted.

recipe -> reconstructor or emulator, trainer          data.prepare -> fit -> save          the recipe stays beside the run
"""

__all__ = ["content_of", "fit_recipe"]

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from driftfield.checkpoint import amend_run, hash_run
from driftfield.data.patches import window_table
from driftfield.data.prepare import prepare
from driftfield.errors import ConfigurationError
from driftfield.files import write_text
from driftfield.gridded.fingerprint import ARCHIVE, fingerprint
from driftfield.interfaces import Archive, Cannot, TrainingData
from driftfield.recipe import Recipe, expanded
from driftfield.registry import build

log = logging.getLogger(__name__)


def fit_recipe(recipe: Recipe, out: Path, *, source: str, resume: bool = False) -> TrainingData:
    """Fits what a recipe names and writes its run.

    Arguments:
        recipe: The checked recipe; the classes that it names are registered already.
        out: Run folder.
        source: What messages call the recipe.
        resume: Go on from the last checkpoint in `out`.

    Returns:
        What it was fitted to.

    Raises:
        ConfigurationError: a trainer that is missing, or one for a method that is fitted at once.
        DataError: the archive does not hold what the recipe asks for.
    """
    reconstructor = build(*recipe.learner)
    trainer = build("trainer", recipe.trainer) if recipe.trainer else None
    trained = reconstructor.abilities.needs_training
    if trained and trainer is None:
        raise ConfigurationError(f"{source} lacks 'trainer': add 'trainer: {{class: LightningTrainer}}'.")
    if not trained and (trainer is not None or resume):
        found = "a 'trainer'" if trainer is not None else "--resume"
        raise ConfigurationError(
            f"{type(reconstructor).__name__} is fitted at once: {found} has no meaning. Leave it out."
        )
    _check_data(recipe, reconstructor, source)
    if reconstructor.abilities.checks_training:
        reconstructor.check()
    data = prepare(**recipe.data)
    if data.covariates and isinstance(reconstructor.abilities.covariates, Cannot):
        log.warning(
            "%s %s: the covariates %s change nothing. Leave them out, or use a method that looks at them, such as "
            "OptimalInterpolation",
            *(type(reconstructor).__name__, reconstructor.abilities.covariates.why, ", ".join(data.covariates)),
        )
    made_of = _made_of(recipe) | content_of(recipe, data.archive)
    if trainer is not None:
        trainer.made_of, trainer.run = made_of, out
    helps = trainer is not None and trainer.helps
    written = out / "recipe.yaml"
    if not helps and not (out / "run.json").exists():
        write_text(written, yaml.safe_dump(recipe.content, sort_keys=False))
    if not trained:
        reconstructor.fit(data, seed=recipe.seed)
    else:
        reconstructor.fit(data, seed=recipe.seed, trainer=trainer, folder=out, resume=resume)
        if helps:  # the first of the processes writes the run
            return data
        reconstructor.extra["recipe_hash"] = recipe.hash
    reconstructor.save(out)
    stated = recipe.content.get("reconstruction") or {}
    amend_run(out, {"made_of": made_of, **({"reconstruction": stated} if stated else {})})
    # once more, at the end: until the new run is whole an old one keeps its recipe
    write_text(written, yaml.safe_dump(recipe.content, sort_keys=False))
    if trained and data.train_windows:
        write_text(out / "windows.csv", _windows_of(data))
    return data


def _check_data(recipe: Recipe, method: Any, source: str) -> None:
    """Refuses what a recipe gives and its method would not look at."""
    kind, coarse, statics = recipe.learner[0], recipe.data.get("coarse"), method.abilities.statics
    if coarse is not None and kind != "downscaler":
        raise ConfigurationError(
            f"{source} has data.coarse and a {kind!r}, which would ignore it: expected a 'downscaler'. Name one, or leave it out."
        )
    if recipe.data.get("statics") is not None and coarse is None and isinstance(statics, Cannot):
        raise ConfigurationError(
            f"{type(method).__name__} {statics.why}: found data.statics. Leave them out, or use a network that completes "
            "fields; a downscaler takes them with data.coarse."
        )


def _windows_of(data: TrainingData) -> str:
    """Where the samples come from, for whoever wants to see."""
    archive = data.archive
    masks = [np.asarray(archive.domain(name).values, dtype=bool) for name in data.targets]
    exists = np.logical_or.reduce([mask.reshape(-1, *mask.shape[-2:]).any(axis=0) for mask in masks])
    parts = {"train": data.train_windows, "validation": data.validation_windows}
    return window_table(exists, archive.dataset["lat"].values, archive.dataset["lon"].values, parts)


def content_of(recipe: Recipe, archive: Archive) -> dict[str, str]:
    """What lay under the names in a recipe, as hashes: the archive with its domain, and every run that it starts from.

    Arguments:
        recipe: The recipe.
        archive: Opened as the recipe says.
    """
    content = {ARCHIVE: fingerprint(archive)}
    for name in sorted(set(_runs_named(recipe.content))):
        folder = Path(str(expanded(name, "run")))
        if (folder / "run.json").is_file():
            content[f"content of {name}"] = hash_run(folder)
    return content


def _runs_named(part: Any) -> Iterator[str]:
    """Folders under `run` and `initial`, at any depth of a recipe."""
    for key, value in part.items() if isinstance(part, Mapping) else ():
        if key in ("run", "initial") and isinstance(value, str):
            yield value
        yield from _runs_named(value)


def _made_of(recipe: Recipe) -> dict[str, str]:
    """The parts in which a resumed training may not differ, as hashes; files may have moved, a trainer may go on longer."""
    data = {key: value for key, value in recipe.data.items() if key not in ("archive", "domain")}
    parts = {"seed": recipe.seed, "data": data, "reconstructor": recipe.learner[1]}
    return {
        name: hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()[:16]
        for name, part in parts.items()
    }
