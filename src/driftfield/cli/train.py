"""`driftfield train`."""

__all__ = ["train"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.options import OutRun
from driftfield.cli.shared import Overwrite, app, check_run


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    out: OutRun,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.of.the.recipe=value (repeat).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fit a reconstructor (the diffusion model or a peer) to an archive."""
    from driftfield.recipe import read_recipe
    from driftfield.reconstruction.fitting import fit_recipe

    read = read_recipe(recipe, set_ or [])
    check_run(out, resume=resume, overwrite=overwrite)
    fit_recipe(read, out, source=str(recipe), resume=resume)
    print(f"wrote {out}")
