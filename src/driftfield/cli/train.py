"""`driftfield train`."""

__all__ = ["train"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Overwrite, app, check_run, register
from driftfield.errors import ConfigurationError


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.of.the.recipe=value (repeat).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fit a reconstructor (the diffusion model or a peer) to an archive."""
    import yaml

    from driftfield.data.prepare import prepare
    from driftfield.files import write_text
    from driftfield.recipe import read_recipe
    from driftfield.registry import build

    read = read_recipe(recipe, set_ or [])
    check_run(out, resume=resume, overwrite=overwrite)
    register(training=bool(read.trainer))
    reconstructor = build("reconstructor", read.reconstructor)
    trainer = build("trainer", read.trainer) if read.trainer else None
    trained = getattr(reconstructor, "trained", False)
    if trained and trainer is None:
        raise ConfigurationError(f"{recipe} lacks 'trainer': add 'trainer: {{class: LightningTrainer}}'.")
    if not trained and (trainer is not None or resume):
        found = "a 'trainer'" if trainer is not None else "--resume"
        raise ConfigurationError(
            f"{type(reconstructor).__name__} is fitted at once: {found} has no meaning. Leave it out."
        )
    data = prepare(**read.data)
    write_text(out / "recipe.yaml", yaml.safe_dump(read.content, sort_keys=False))
    if trained:
        reconstructor.fit(data, seed=read.seed, trainer=trainer, folder=out, resume=resume)
    else:
        reconstructor.fit(data, seed=read.seed)
    if hasattr(reconstructor, "extra"):
        reconstructor.extra["recipe_hash"] = read.hash
    reconstructor.save(out)
    print(f"wrote {out}")
