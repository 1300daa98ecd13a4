"""`driftfield sample`."""

__all__ = ["sample"]

from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.options import BatchSize, Out, Resume, Seed
from driftfield.cli.shared import Job, Overwrite, SamplerName, app, check_draws, use_sampler
from driftfield.errors import ConfigurationError, DataError

FIRST_DATE = "2000-01-01"

Date = Annotated[
    str | None,
    typer.Option(help="Date of the fields, 2000-01-01 by default; with --around which of its dates, all by default."),
]


@app.command(rich_help_panel=Job.FILL)
def sample(
    run: Annotated[
        Path,
        typer.Argument(
            help="Run folder of a diffusion model trained with the pattern none, or of a prior of trajectories."
        ),
    ],
    out: Out,
    members: Annotated[int, typer.Option(help="How many fields.")] = 16,
    seed: Seed = 0,
    date: Date = None,
    around: Annotated[
        Path | None, typer.Option(help="Complete fields, such as a reconstruction: members around this first guess.")
    ] = None,
    start_level: Annotated[
        float | None,
        typer.Option(
            help="With --around: noise level to start from; 1 is the standard deviation of normalised fields."
        ),
    ] = None,
    states: Annotated[
        int | None, typer.Option(help="Steps of a course, for a prior of trajectories; its window by default.")
    ] = None,
    batch_size: BatchSize = 64,
    sampler: SamplerName = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Draw fields from a model without any observation: what it has learnt to be possible, anywhere or around a first guess.

    Example: driftfield sample runs/prior --members 16 --date 2000-07-01 --out samples.nc
    """
    from driftfield.gridded.gridded_files import write_dataset
    from driftfield.models.around import draw_around
    from driftfield.models.unconditional import draw_unconditionally
    from driftfield.reconstruction.kept_draws import kept_while, made_of_run
    from driftfield.runs import called, find_run, load_reconstructor
    from driftfield.trajectories.prior_courses import draw_courses
    from driftfield.trajectories.trajectory import TrajectoryReconstructor

    check_draws(out, overwrite=overwrite or resume, seed=seed, members=members, batch_size=batch_size)
    if (around is None) != (start_level is None):
        raise ConfigurationError(
            "Expected --around FILE and --start-level S together. Add the other one, or leave out both."
        )
    folder = find_run(run)
    reconstructor: Any = load_reconstructor(folder)
    use_sampler(reconstructor, sampler)
    courses = isinstance(reconstructor, TrajectoryReconstructor)
    if states is not None and not courses:
        raise ConfigurationError(f"{type(reconstructor).__name__} draws single dates: leave out --states.")
    if around is not None and courses:
        raise ConfigurationError(
            "--around draws single dates, and this run is a prior of trajectories: leave out --around and --start-level."
        )
    options = {"members": members, "seed": seed}
    asked = options | {"date": date, "start_level": start_level, "states": states, "sampler": sampler or ""}
    made_of = made_of_run(folder, asked, {"around": around})
    with kept_while(out, made_of, resume=resume, overwrite=overwrite) as keeper:
        how: dict[str, Any] = {**options, "batch_size": batch_size, "keeper": keeper}
        if around is not None and start_level is not None:
            drawn = draw_around(reconstructor, _first_guess(around, date), start_level=start_level, **how)
            drawn = drawn.assign_attrs(around=around.name)
        elif courses:
            drawn = draw_courses(reconstructor, states=states, date=date or FIRST_DATE, **how)
        else:
            drawn = draw_unconditionally(reconstructor, date=date or FIRST_DATE, **how)
        write_dataset(drawn.assign_attrs(run=called(run, folder)), out, overwrite=overwrite)
    print(f"wrote {out}: {', '.join(sorted(map(str, drawn.data_vars)))}")


def _first_guess(path: Path, date: str | None) -> Any:
    """The fields of all dates of a file, or of those that begin with `date`."""
    from driftfield.gridded.encodings import date_text
    from driftfield.gridded.gridded_files import open_fields

    fields = open_fields(path)
    if "time" not in fields.dims:
        raise DataError(f"{path} has no time axis: a first guess needs its date. Add one.")
    texts = [date_text(one) for one in fields["time"].values]
    chosen = [index for index, text in enumerate(texts) if date is None or text.startswith(date)]
    if not chosen:
        raise ConfigurationError(f"No date in {path} begins with {date!r}: it holds {texts[0]} ... {texts[-1]}.")
    return fields.isel(time=chosen).load()
