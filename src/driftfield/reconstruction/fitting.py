"""From a recipe to a run folder: the one way in which every reconstructor, network or peer, and every emulator is fitted.

recipe -> reconstructor or emulator, trainer          data.prepare -> fit -> save          the recipe stays beside the run
"""

__all__ = ["fit_recipe"]

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from driftfield.data.prepare import prepare
from driftfield.errors import ConfigurationError
from driftfield.files import write_text
from driftfield.recipe import Recipe
from driftfield.registry import build


def fit_recipe(recipe: Recipe, out: Path, *, source: str, resume: bool = False) -> None:
    """Fits what a recipe names and writes its run.

    Arguments:
        recipe: The checked recipe; the classes that it names are registered already.
        out: Run folder.
        source: What messages call the recipe.
        resume: Go on from the last checkpoint in `out`.

    Raises:
        ConfigurationError: a trainer that is missing, or one for a method that is fitted at once.
        DataError: the archive does not hold what the recipe asks for.
    """
    reconstructor = (
        build("emulator", recipe.emulator) if recipe.emulator else build("reconstructor", recipe.reconstructor)
    )
    trainer = build("trainer", recipe.trainer) if recipe.trainer else None
    trained = reconstructor.abilities.needs_training
    if trained and trainer is None:
        raise ConfigurationError(f"{source} lacks 'trainer': add 'trainer: {{class: LightningTrainer}}'.")
    if not trained and (trainer is not None or resume):
        found = "a 'trainer'" if trainer is not None else "--resume"
        raise ConfigurationError(
            f"{type(reconstructor).__name__} is fitted at once: {found} has no meaning. Leave it out."
        )
    data = prepare(**recipe.data)
    if trainer is not None:
        trainer.made_of = _made_of(recipe)
    written = out / "recipe.yaml"
    if not (out / "run.json").exists():
        write_text(written, yaml.safe_dump(recipe.content, sort_keys=False))
    given: dict[str, Any] = {"trainer": trainer, "folder": out, "resume": resume} if trained else {}
    reconstructor.fit(data, seed=recipe.seed, **given)
    if trained:
        reconstructor.extra["recipe_hash"] = recipe.hash
    reconstructor.save(out)
    # once more, at the end: until the new run is whole an old one keeps its recipe
    write_text(written, yaml.safe_dump(recipe.content, sort_keys=False))


def _made_of(recipe: Recipe) -> dict[str, str]:
    """The parts in which a resumed training may not differ, as hashes; files may have moved, a trainer may go on longer."""
    data = {key: value for key, value in recipe.data.items() if key not in ("archive", "domain")}
    parts = {"seed": recipe.seed, "data": data, "reconstructor": recipe.reconstructor or recipe.emulator}
    return {
        name: hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()[:16]
        for name, part in parts.items()
    }
