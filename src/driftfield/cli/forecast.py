"""`driftfield forecast`."""

__all__ = ["forecast"]

from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.shared import (
    Overwrite,
    SamplerName,
    app,
    check_output,
    read_errors,
    use_sampler,
    whole,
)


@app.command()
def forecast(
    run: Annotated[Path, typer.Argument(help="Run folder of an emulator.")],
    initial: Annotated[Path, typer.Argument(help="Complete states of one date or more, or an ensemble of them.")],
    steps: Annotated[int, typer.Option(help="Time steps to go.")],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")],
    members: Annotated[int | None, typer.Option(help="Size of the ensemble; that of INITIAL by default.")] = None,
    seed: Annotated[int, typer.Option(help="Of perturbations and members.")] = 0,
    start: Annotated[str | None, typer.Option(help="Date of the states, if INITIAL has several.")] = None,
    perturb: Annotated[
        list[str] | None,
        typer.Option(help="Standard deviation of noise added to every state: NUMBER, or VARIABLE=NUMBER (repeat)."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Members at a time; does not change them.")] = 256,
    sampler: SamplerName = None,
    overwrite: Overwrite = False,
) -> None:
    """Go on from a state: an ensemble of the states of the next time steps, its mean and its standard deviation."""
    from driftfield.data.sources import open_fields, write_dataset
    from driftfield.runs import find_run
    from driftfield.trajectories.emulator import load_emulator
    from driftfield.trajectories.forecasting import forecast as run_forecast

    check_output(out, overwrite=overwrite)
    least = ((steps, "--steps", 1), (batch_size, "--batch-size", 1), (seed, "--seed", 0))
    for value, option, lowest in (*least, *(((members, "--members", 1),) if members is not None else ())):
        whole(value, option, least=lowest)
    emulator: Any = load_emulator(find_run(run))
    use_sampler(emulator, sampler)
    course = run_forecast(
        emulator,
        open_fields(initial),
        steps=steps,
        members=members,
        seed=seed,
        start=start,
        perturb=read_errors(perturb or []),
        batch_size=batch_size,
    )
    write_dataset(course.assign_attrs(run=run.name, initial=initial.name), out, overwrite=overwrite)
    print(f"wrote {out}: {', '.join(sorted(map(str, course.data_vars)))}")
