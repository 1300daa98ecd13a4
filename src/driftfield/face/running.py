"""What a run does: `load`, `reconstruct`, `assimilate`, `downscale`, `sample`, `forecast`; and `score`, how well."""

__all__ = ["assimilate", "downscale", "forecast", "load", "reconstruct", "sample", "score"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.face.argument import Fields, as_fields
from driftfield.interfaces import Reconstructor
from driftfield.runs import find_run, load_reconstructor

Run = Reconstructor | str | Path


def load(run: Run) -> Reconstructor:
    """A fitted reconstructor by the folder of its run, a run that comes with the package, or one of a model hub.

    Example:
        >>> df.load("shipped:ocean_oi").method
        'optimal_interpolation'

    Raises:
        ConfigurationError: no such shipped run, or a run of something else.
        FileFormatError: the folder is no run.
    """
    return load_reconstructor(find_run(run)) if isinstance(run, str | Path) else run


def reconstruct(
    run: Run, observations: Fields, *, members: int = 16, seed: int = 0, domain: Fields | None = None
) -> xr.Dataset:
    """Completes what was observed.

    Example:
        >>> fields = df.reconstruct("shipped:ocean_diffusion", seen, members=8)  # doctest: +SKIP

    Arguments:
        run: Which method.
        observations: Fields with NaN where nothing was seen; `<variable>_error` has the error's standard deviation.
        members: Size of the ensemble.
        seed: Of the members.
        domain: Where the fields exist, if the observations do not say so.

    Returns:
        `<variable>` (the mean), `<variable>_sd` and `<variable>_member` for every variable of the run.
    """
    from driftfield.data.domain_files import add_domain

    seen = as_fields(observations)
    if domain is not None:
        seen = add_domain(seen, as_fields(domain), source="domain")
    return load(run).reconstruct(seen, members=members, seed=seed)


def assimilate(
    run: Run, observations: Any, *, method: str | None = None, members: int = 16, seed: int = 0, **constants: Any
) -> xr.Dataset:
    """Draws fields of a trained prior that agree with observations of any kind.

    Example:
        >>> fields = df.assimilate("runs/prior", table, method="mmps", iterations=20)  # doctest: +SKIP

    Arguments:
        run: Of a diffusion model or a prior of trajectories.
        observations: A gridded data set, a data frame or table with a row per value, or the name of a file.
        method: Name of a guidance method; the run's own, or mmps.
        members: Size of the ensemble.
        seed: Of the members.
        constants: Of the method.
    """
    import pandas as pd

    from driftfield.assimilation.analysis import Assimilation
    from driftfield.observations.reading import read_observations
    from driftfield.observations.table import ObservationTable

    if isinstance(observations, str | Path):
        observations = read_observations(observations)
    elif isinstance(observations, pd.DataFrame):
        observations = ObservationTable.from_frame(observations)
    elif isinstance(observations, xr.Dataset):
        observations = as_fields(observations)
    return Assimilation(load(run), method, constants or None).analyse(observations, members=members, seed=seed).fields


def downscale(run: Any, coarse: Fields, *, members: int | None = None, seed: int = 0) -> xr.Dataset:
    """Makes fine fields from coarse ones with a downscaler that `driftfield train` has fitted.

    Example:
        >>> fine = df.downscale("runs/bars", "coarse.nc", members=10)  # doctest: +SKIP

    Arguments:
        run: The folder of its run, or a downscaler in memory.
        coarse: Coarse fields on the coarse grid of the run, or on more of it.
        members: Size of the ensemble; 10 by default, 1 of a method that gives one field.
        seed: Of the members.

    Returns:
        `<variable>` (the mean), `<variable>_sd` and `<variable>_member` for every variable of the run, on its fine grid.
    """
    from driftfield.reconstruction.settings import check_ability
    from driftfield.runs import load_downscaler

    method = load_downscaler(find_run(run)) if isinstance(run, str | Path) else run
    if members is not None and members > 1:
        check_ability(method, "spreads", asked="members")
    count = members if members is not None else 10 if method.abilities.spreads else 1
    fields: xr.Dataset = method.reconstruct(as_fields(coarse), members=count, seed=seed)
    return fields


def sample(run: Run, *, members: int = 16, seed: int = 0, date: str = "2000-01-01") -> xr.Dataset:
    """Draws fields, or courses in time, without any observation: what a model has learnt to be possible.

    Example:
        >>> fields = df.sample("runs/prior", members=4)  # doctest: +SKIP

    Arguments:
        run: Of a diffusion model trained with the pattern none, or of a prior of trajectories.
        members: How many.
        seed: Of the members.
        date: Of the fields, or of the first state.
    """
    from driftfield.models.diffusion import DiffusionReconstructor
    from driftfield.models.unconditional import draw_unconditionally
    from driftfield.trajectories.prior_courses import draw_courses
    from driftfield.trajectories.trajectory import TrajectoryReconstructor

    prior = load(run)
    if isinstance(prior, TrajectoryReconstructor):
        return draw_courses(prior, members=members, seed=seed, date=date)
    if isinstance(prior, DiffusionReconstructor):
        return draw_unconditionally(prior, members=members, seed=seed, date=date)
    raise ConfigurationError(
        f"{type(prior).__name__} draws nothing without observations: expected a run of DiffusionReconstructor or "
        "TrajectoryReconstructor. Use df.reconstruct."
    )


def forecast(
    run: str | Path, initial: Fields, *, steps: int, members: int | None = None, seed: int = 0, start: str | None = None
) -> xr.Dataset:
    """Goes on from complete states with a trained emulator.

    Example:
        >>> course = df.forecast("runs/emulator", "state.nc", steps=20, members=16)  # doctest: +SKIP

    Arguments:
        run: Folder of an emulator.
        initial: Complete states of one date, or an ensemble of them.
        steps: Time steps to go.
        members: Size of the ensemble; that of `initial` by default.
        seed: Of the members.
        start: Date of the states, if there are several.
    """
    from driftfield.trajectories.emulator import load_emulator
    from driftfield.trajectories.forecasting import forecast as roll_out

    emulator = load_emulator(find_run(run))
    return roll_out(emulator, as_fields(initial), steps=steps, members=members, seed=seed, start=start)


def score(
    truth: Fields,
    fields: Fields | Mapping[str, Fields],
    observations: Fields | None = None,
    *,
    area_weighted: bool = False,
) -> Any:
    """Scores reconstructions on the cells that were held out, or downscaled fields on all.

    Example:
        >>> df.score(truth, fields, seen).scores["diffusion"]["thetao"]["crps"]  # doctest: +SKIP

    Arguments:
        truth: Complete fields.
        fields: A reconstruction, or several by their names.
        observations: With `held_out`, as `observe` made it; without them every cell of the truth counts.
        area_weighted: Weight cells by their area.

    Returns:
        `driftfield.evaluate.evaluation.Evaluation`: scores by method, variable and level.
    """
    from driftfield.evaluate.alignment import everything_held_out
    from driftfield.evaluate.evaluation import evaluate

    outputs = fields if isinstance(fields, Mapping) and not isinstance(fields, xr.Dataset) else {"fields": fields}
    opened = {name: as_fields(found) for name, found in outputs.items()}
    complete = as_fields(truth)
    seen = everything_held_out(complete, opened) if observations is None else as_fields(observations)
    return evaluate(complete, opened, seen, area_weighted=area_weighted)
