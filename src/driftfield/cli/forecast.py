"""`driftfield forecast`."""

__all__ = ["forecast"]

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.options import BatchSize, Out, Resume
from driftfield.cli.shared import Job, Overwrite, SamplerName, app, check_draws, read_errors, use_sampler


@app.command(rich_help_panel=Job.FILL)
def forecast(
    run: Annotated[Path, typer.Argument(help="Run folder of an emulator.")],
    initial: Annotated[Path, typer.Argument(help="Complete states of one date or more, or an ensemble of them.")],
    steps: Annotated[int, typer.Option(help="Time steps to go.")],
    out: Out,
    members: Annotated[int | None, typer.Option(help="Size of the ensemble; that of INITIAL by default.")] = None,
    seed: Annotated[int, typer.Option(help="Of perturbations and members.")] = 0,
    start: Annotated[str | None, typer.Option(help="Date of the states, if INITIAL has several.")] = None,
    perturb: Annotated[
        list[str] | None,
        typer.Option(
            help="Standard deviation of noise added to every state, units of the variable: "
            "NUMBER, or VARIABLE=NUMBER (repeat)."
        ),
    ] = None,
    batch_size: BatchSize = 256,
    sampler: SamplerName = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Go on from a state: an ensemble of the states of the next time steps, its mean and its standard deviation.

    Example: driftfield forecast runs/emulator state.nc --steps 20 --members 16 --out forecast.nc
    """
    from driftfield.gridded.gridded_files import open_fields, write_dataset
    from driftfield.reconstruction.kept_draws import kept_while, made_of_run
    from driftfield.runs import called, find_run
    from driftfield.trajectories.emulator import load_emulator
    from driftfield.trajectories.forecasting import forecast as run_forecast

    check_draws(out, overwrite=overwrite or resume, seed=seed, steps=steps, batch_size=batch_size, members=members)
    folder = find_run(run)
    emulator: Any = load_emulator(folder)
    use_sampler(emulator, sampler)
    go_on = partial(run_forecast, emulator, steps=steps, members=members, seed=seed, batch_size=batch_size)
    disturbed = read_errors(perturb or [])
    asked = {"members": members, "seed": seed, "steps": steps, "start": start, "perturb": disturbed}
    made_of = made_of_run(folder, asked | {"sampler": sampler or ""}, {"initial": initial})
    with kept_while(out, made_of, resume=resume, overwrite=overwrite) as keeper:
        course = go_on(open_fields(initial), start=start, perturb=disturbed, keeper=keeper)
        write_dataset(course.assign_attrs(run=called(run, folder), initial=initial.name), out, overwrite=overwrite)
    print(f"wrote {out}: {', '.join(sorted(map(str, course.data_vars)))}")
