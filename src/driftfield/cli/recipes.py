"""`driftfield recipes`."""

__all__ = ["recipes"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, app
from driftfield.errors import ConfigurationError, suggest


@app.command(rich_help_panel=Job.LOOK)
def recipes(
    name: Annotated[str | None, typer.Argument(help="Recipe to copy; without one all are listed.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; NAME.yaml here by default.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """List the recipes that come with the package, or copy one to start from.

    Example: driftfield recipes ocean_diffusion --out mine.yaml
    """
    from driftfield.files import write_text
    from driftfield.recipe import headline_of, shipped_recipes

    known = shipped_recipes()
    if name is None:
        if out is not None:
            raise ConfigurationError("--out says where a recipe is copied to: name one of `driftfield recipes`.")
        width = max(map(len, known))
        for recipe, path in known.items():
            print(f"{recipe:<{width}}  {headline_of(path)}")
        return
    name = name.removesuffix(".yaml").removeprefix("recipes/")
    if name not in known:
        raise ConfigurationError(f"No recipe {name!r}: {suggest(name, known)}")
    target = out or Path(f"{name.rpartition('/')[2]}.yaml")
    write_text(target, known[name].read_text(encoding="utf-8"), overwrite=overwrite)
    print(f"wrote {target}")
