"""`driftfield simulate lorenz63 | lorenz96 | lorenz96-two-scale`."""

__all__: list[str] = []

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftfield.cli.shared import Overwrite, check_draws, simulate_app

if TYPE_CHECKING:
    from driftfield.worlds.lorenz import LorenzWorld

Out = Annotated[Path, typer.Argument(help="OUT.zarr or OUT.nc")]
Steps = Annotated[int, typer.Option(help="States to write.")]
Every = Annotated[int, typer.Option(help="Time steps between them.")]
Seed = Annotated[int, typer.Option(help="Of the initial state.")]


@simulate_app.command("lorenz96")
def _lorenz96(
    out: Out,
    steps: Steps = 20_000,
    every: Every = 1,
    seed: Seed = 0,
    forcing: float = 8.0,
    overwrite: Overwrite = False,
) -> None:
    """The Lorenz-96 model: 40 variables on a circle, F = 8, RK4 with steps of .05 (six hours).

    Example: driftfield simulate lorenz96 l96.nc --steps 20000
    """
    from driftfield.worlds.lorenz import Lorenz96

    _write(Lorenz96(forcing=forcing), out, steps, every, seed, overwrite)


@simulate_app.command("lorenz96-two-scale")
def _two_scale(out: Out, steps: Steps = 20_000, every: Every = 1, seed: Seed = 0, overwrite: Overwrite = False) -> None:
    """The two-scale Lorenz-96 model, seen by its 36 slow variables: a truly stochastic transition.

    Example: driftfield simulate lorenz96-two-scale two.nc --steps 20000
    """
    from driftfield.worlds.lorenz import TwoScaleLorenz96

    _write(TwoScaleLorenz96(), out, steps, every, seed, overwrite)


@simulate_app.command("lorenz63")
def _lorenz63(out: Out, steps: Steps = 20_000, every: Every = 5, seed: Seed = 0, overwrite: Overwrite = False) -> None:
    """The Lorenz-63 model, three variables, RK4 with steps of .01.

    Example: driftfield simulate lorenz63 l63.nc --steps 20000
    """
    from driftfield.worlds.lorenz import Lorenz63

    _write(Lorenz63(), out, steps, every, seed, overwrite)


def _write(world: "LorenzWorld", out: Path, steps: int, every: int, seed: int, overwrite: bool) -> None:
    from driftfield.gridded.gridded_files import write_dataset
    from driftfield.worlds.lorenz import simulate_lorenz

    check_draws(out, overwrite=overwrite, seed=seed, steps=steps, every=every)
    dataset = simulate_lorenz(world, steps=steps, every=every, seed=seed)
    write_dataset(dataset, out, overwrite=overwrite)
    print(f"{out}: {dict(dataset.sizes)}")
