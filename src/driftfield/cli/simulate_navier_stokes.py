"""`driftfield simulate navier-stokes`."""

__all__: list[str] = []

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Overwrite, check_draws, simulate_app


@simulate_app.command("navier-stokes")
def _navier_stokes(
    out: Annotated[Path, typer.Argument(help="OUT.zarr or OUT.nc")],
    reynolds: Annotated[float, typer.Option(help="1 / viscosity, in units of the forcing and the torus.")] = 1000.0,
    drag: Annotated[float, typer.Option(help="Linear friction.")] = 0.1,
    forcing: Annotated[str, typer.Option(help="kolmogorov, or none for a decaying flow.")] = "kolmogorov",
    size: Annotated[int, typer.Option(help="Points along each side that are stored.")] = 64,
    compute: Annotated[int | None, typer.Option(help="Points while computing; twice as many by default.")] = None,
    trajectories: Annotated[int, typer.Option(help="Flows, behind one another in time.")] = 1,
    frames: Annotated[int, typer.Option(help="Of each.")] = 50,
    every: Annotated[
        float, typer.Option(help="Time between them, in units of the equations (sides of the torus are 2 pi).")
    ] = 0.2,
    spin_up: Annotated[
        float | None, typer.Option(help="Time before the first, in the same units; 20, or 0 where nothing forces.")
    ] = None,
    step: Annotated[
        float | None, typer.Option(help="Longest time step, in the same units; .64 / compute by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the first flows.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Two-dimensional turbulence on a torus: vorticity of Kolmogorov or decaying flow.

    Example: driftfield simulate navier-stokes flow.nc --reynolds 40 --size 64
    """
    from driftfield.gridded.gridded_files import write_dataset
    from driftfield.worlds.turbulence_record import simulate_navier_stokes

    check_draws(out, overwrite=overwrite, seed=seed)
    dataset = simulate_navier_stokes(
        reynolds=reynolds,
        drag=drag,
        forcing=forcing,
        size=size,
        compute=compute,
        trajectories=trajectories,
        frames=frames,
        every=every,
        spin_up=spin_up,
        step=step,
        seed=seed,
    )
    write_dataset(dataset, out, overwrite=overwrite)
    points = dataset.attrs["computed_points"]
    print(f"{out}: {dict(dataset.sizes)}, computed with {points} x {points} points")
