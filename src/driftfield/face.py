"""What `import driftfield as df` offers: one function a job, xarray in and xarray out.

A run is named by its folder, by `shipped:NAME`, or handed over as what `load` returned; data sets are given as they are in
memory, or as the name of a file. Names, axes and units of files and data sets are read alike.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import xarray as xr

from driftfield import __all__ as _offered
from driftfield.conventions import require, state_variables
from driftfield.data.twin import observe as observe
from driftfield.errors import ConfigurationError
from driftfield.gridded.axes import canonical
from driftfield.gridded.gridded_files import open_fields, write_dataset
from driftfield.gridded.units import canonical_units
from driftfield.interfaces import Reconstructor
from driftfield.runs import find_run, load_reconstructor
from driftfield.worlds.ocean import simulate_ocean as simulate_ocean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from driftfield.worlds.turbulence_record import TurbulenceOptions

__all__ = [name for name in _offered if name != "__version__"]

Fields = xr.Dataset | str | Path
Run = Reconstructor | str | Path


def open(path: str | Path | Sequence[str | Path], variables: Sequence[str] | None = None) -> xr.Dataset:
    """Opens gridded fields lazily: axes named time, depth, lat, lon, in degrees, metres and our units, NaN where missing.

    Example:
        >>> seen = df.open("sst_2020.nc")  # doctest: +SKIP

    Arguments:
        path: A NetCDF or GRIB file, a Zarr store, a glob or a list of them.
        variables: Names in the file; all gridded ones by default.

    Raises:
        DataError: no such file, or axes and units that cannot be understood.
        FileFormatError: a file that cannot be read.
    """
    return open_fields(path, variables=variables)


def plot(
    fields: Fields,
    variable: str | None = None,
    *,
    parts: Sequence[str] | None = None,
    time: str | None = None,
    depth: float | None = None,
    lat: float | None = None,
    lon: float | None = None,
    along: str = "lon",
    minus: Fields | None = None,
    members: int = 4,
) -> "Figure":
    """Draws a reconstruction, samples, a forecast, observations or complete fields.

    Example:
        >>> df.plot(fields, "thetao", depth=100).savefig("thetao.png")  # doctest: +SKIP

    Arguments:
        fields: A data set, or the name of a file.
        variable: Which one; the first by default.
        parts: Some of "mean", "spread", "difference", "members", "quantiles", "section", "profile" and "series"; all that the
            fields have by default.
        time: Beginning of a date; the first one by default.
        depth: Metres, the nearest level; the first one by default.
        lat, lon: Degrees, of section, profile and series; where the spread is widest by default.
        along: "lon" for a section along a row, "lat" for one along a column.
        minus: A second data set or file with the variable at the same dates and cells: the difference is drawn, too.
        members: Panels of members, at most.

    Returns:
        A figure of matplotlib.

    Raises:
        ConfigurationError: a part, a date or a place that the fields do not have.
        DataError: no such variable, or one that is missing everywhere at this date.
    """
    from driftfield.evaluate.field_plots import FieldPlot, draw_fields

    dataset = _fields(fields)
    name = variable or state_variables(dataset)[0]
    require(dataset, [name], "the fields")
    other = None if minus is None else _fields(minus)
    if other is not None:
        require(other, [name], "the second data set")
    called = Path(minus).name if isinstance(minus, str | Path) else "the second one"
    look = FieldPlot.at(dataset, parts, time=time, depth=depth, lat=lat, lon=lon, members=members, along=along)
    return draw_fields(dataset, name, look, minus=other, minus_name=called)


def animate(
    fields: Fields,
    path: str | Path,
    variable: str | None = None,
    *,
    layout: Sequence[str] | None = None,
    truth: Fields | None = None,
    observations: Fields | None = None,
    depth: float | None = None,
    frames_per_second: float = 6.0,
    overwrite: bool = False,
) -> list[str]:
    """Makes a film of a data set: one frame a date, one scale of colours for all panels and dates.

    Example:
        >>> df.animate(fields, "film.gif", layout=["truth", "mean", "spread"], truth="truth.nc")  # doctest: +SKIP

    Arguments:
        fields: A reconstruction, a forecast or an archive, with several dates.
        path: Film to write: .gif, or .mp4 (needs driftfield[film]).
        variable: Which one; the first by default.
        layout: Panels: "truth", "observed", "mean", "spread", "member:0"; by default those that there is something for.
        truth: Complete fields, for the panel truth.
        observations: For the panel observed.
        depth: Metres, the nearest level; the first one by default.
        frames_per_second: Of the film.
        overwrite: Whether a film that is there may be replaced.

    Returns:
        What stands on each frame: its date.

    Raises:
        ConfigurationError: a panel that there is nothing for, or another suffix.
        DataError: no such variable, no dates, or other places.
        ExistsError: the film is there and `overwrite` is false.
    """
    from driftfield.evaluate.film import write_film
    from driftfield.evaluate.film_of_files import film_of
    from driftfield.files import refuse_existing

    refuse_existing(Path(path), overwrite=overwrite)
    dataset = _fields(fields)
    film = film_of(
        dataset,
        variable or state_variables(dataset)[0],
        layout=layout,
        truth=None if truth is None else _fields(truth),
        observations=None if observations is None else _fields(observations),
        depth=depth,
    )
    write_film(film, Path(path), frames_per_second=frames_per_second, overwrite=overwrite)
    return list(film.stamps)


def save(dataset: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes a data set as .nc or .zarr under a temporary name, then renames it.

    Example:
        >>> df.save(fields, "fields.nc")  # doctest: +SKIP

    Raises:
        ExistsError: the file is there and `overwrite` is false.
    """
    write_dataset(dataset, path, overwrite=overwrite)


def load(run: Run) -> Reconstructor:
    """A fitted reconstructor by the folder of its run, or a run that comes with the package.

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

    seen = _fields(observations)
    if domain is not None:
        seen = add_domain(seen, _fields(domain), source="domain")
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
        observations = _fields(observations)
    return Assimilation(load(run), method, constants or None).analyse(observations, members=members, seed=seed).fields


def coarsen(
    fields: Fields,
    *,
    factor: float | tuple[float, float] | None = None,
    like: Fields | None = None,
    least: float = 0.5,
    by: str = "mean",
) -> xr.Dataset:
    """Area-weighted means of fine fields over blocks of cells, or over the cells of another grid; waves or points of a torus.

    Example:
        >>> coarse = df.coarsen("fine.nc", factor=4)  # doctest: +SKIP

    Arguments:
        fields: On any grid.
        factor: Cells per block, in each direction or in rows and columns; need be no whole number.
        like: Gives the coarse grid; one of the two.
        least: Least known share of a coarse cell; below it the cell is missing.
        by: "mean", or on a torus with a whole factor "truncation" (the waves that the coarse grid holds) or "points".

    Raises:
        ConfigurationError: both or none of `factor` and `like`.
        DataError: grids that do not overlap; a grid that is no torus, where waves or points are asked for.
    """
    from driftfield.data.coarsening import coarsened, regridding_by_factor, regridding_onto
    from driftfield.data.torus_coarsening import coarsened_torus

    if (factor is None) == (like is None):
        raise ConfigurationError("Found both or none of factor and like: expected one of them, such as factor=4.")
    fine = _fields(fields)
    if by != "mean":
        if factor is None or least != 0.5:
            raise ConfigurationError(f"Found by={by!r}: it needs factor, and takes neither like nor least.")
        return coarsened_torus(fine, factor, by)
    target = None if like is None else _fields(like)
    regridding = regridding_onto(fine, target) if target is not None else regridding_by_factor(fine, factor or 1)
    return coarsened(fine, regridding, like=target, least=least)


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
    fields: xr.Dataset = method.reconstruct(_fields(coarse), members=count, seed=seed)
    return fields


def fill(
    source: Fields | xr.DataArray,
    variable: str | None = None,
    *,
    method: str | None = None,
    members: int = 0,
    learn: str | None = None,
    length_km: float | None = None,
    days: float | None = None,
    noise: float | None = None,
    region: Mapping[str, Sequence[float]] | None = None,
    time: Sequence[Any] | None = None,
    domain: str | Path | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Fills the gaps of a field: NaN in, a complete field with its standard deviation out.

    `dataset.driftfield.fill(...)` is the same.

    Example:
        >>> fields = df.fill("sst_2020.nc", "sst")  # doctest: +SKIP

    Arguments:
        source: A data set, a field, or a file, with lat and lon and mostly with time; NaN where nothing was seen.
        variable: Which one, or "u,v" of a vector, whose components inform each other; may be left out where there is one, or a
            vector and nothing else.
        method: The method to use, such as "kriging" or "linear"; the one that finds hidden blocks best if not given.
        members: Size of the ensemble that comes with it; none by default.
        learn: How long a diffusion model may learn what the chosen method leaves ("90s", "10min", "1h"); it fills the field only
            where it misses less of hidden blocks.
        length_km: Distance at which the correlation is 1 / e, where it is known.
        days: Time after which it is, where it is known.
        noise: Standard deviation of the observation error, units of the variable; observed cells are then analysed, too.
        region: `{lat: [south, north], lon: [west, east]}`.
        time: [first, last] date.
        domain: A file that says where the field exists (`domain` or `mask`).
        seed: Of what is hidden and of the members.

    Returns:
        `<variable>`, `<variable>_sd` and, where asked for, `<variable>_member`, on all dates of the source; the attribute
        `tried` holds the scores of every method, `comment` what one should know.
    """
    from driftfield.filling.calls import Wishes, fill_records, joined
    from driftfield.filling.methods import Knowledge
    from driftfield.filling.reading import read_records

    wishes = Wishes(method, members, learn, knowledge=Knowledge(length_km, days, noise), seed=seed)
    records = read_records(source, variable, region=region, time=time, domain=domain)
    return joined(fill_records(records, wishes))


def map(
    points: Any,
    grid: xr.Dataset | None = None,
    *,
    box: tuple[float, float, float, float] | None = None,
    step: float | None = None,
    every: str | None = None,
    levels: Sequence[float] | None = None,
    time: tuple[str | None, str | None] = (None, None),
    variables: Mapping[str, str] | None = None,
    method: str | None = None,
    length_km: float | None = None,
    days: float | None = None,
    noise: float | None = None,
    members: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Maps profiles, tracks or stations to a grid; the method is chosen by what it makes of profiles left out.

    Example:
        >>> fields = df.map(frame, box=(42.5, 45, -57.5, -55), step=0.25, every="1M", levels=(5, 50))  # doctest: +SKIP

    Arguments:
        points: A data frame or table with a row per value, a data set of points, or the name of a file.
        grid: A data set whose lat, lon, time and depth are taken; else a box and a step.
        box: South, north, west, east in degrees.
        step: Degrees between cells.
        every: Step of the dates: 1D, 5D, 1M.
        levels: Depths in metres; the surface by default.
        time: First and last date; those of the points by default.
        variables: Our name -> column, or name in the file.
        method: One that is to be taken whatever the scores say.
        length_km, days, noise: Of the covariance, where they are known; noise in the units of the variable.
        members: Size of the ensemble.
        seed: Of what is left out and of the members.

    Returns:
        `<variable>`, `<variable>_sd` and, if asked for, `<variable>_member`; the attribute `driftfield_tried` says
        what was tried.
    """
    from driftfield.filling.map_grid import MapGrid
    from driftfield.filling.points import map_points
    from driftfield.gaussian.point_likelihood import Stated

    depths = None if levels is None else tuple(float(z) for z in levels)
    wanted = MapGrid(box, step, every, depths, time) if grid is None else grid
    stated = Stated.checked(length_km, days, noise)
    return map_points(points, wanted, variables=variables, method=method, stated=stated, members=members, seed=seed)[0]


def map_at(
    points: Any,
    at: Any,
    *,
    levels: Sequence[float] | None = None,
    variables: Mapping[str, str] | None = None,
    method: str | None = None,
    length_km: float | None = None,
    days: float | None = None,
    noise: float | None = None,
    seed: int = 0,
) -> "pd.DataFrame":
    """What a map of profiles, tracks or stations says at places of one's own, without going through a grid.

    Example:
        >>> rows = df.map_at(frame, track)  # columns time, latitude, longitude, perhaps depth  # doctest: +SKIP

    Arguments:
        points: As of `driftfield.map`.
        at: A data frame or the name of a table, a row per answer: time, latitude, longitude and perhaps depth.
        levels: Depths that profiles are brought to, metres; those of the rows by default, twelve of them at most.
        variables, method, length_km, days, noise, seed: As of `driftfield.map`.

    Returns:
        The rows in their order, with `<variable>` and `<variable>_sd` added.
    """
    from driftfield.filling.point_targets import map_at as mapped
    from driftfield.gaussian.point_likelihood import Stated

    stated = Stated.checked(length_km, days, noise)
    return mapped(points, at, variables=variables, levels=levels, method=method, stated=stated, seed=seed)[0]


def suggest(fields: Fields, *, error: float, number: int = 20, **asked: Any) -> xr.Dataset:
    """Where to observe next: the places whose observation would lower the expected variance most, one after another.

    Example:
        >>> places = df.suggest("reconstruction.nc", error=0.05, region={"lat": (35, 40)}, time="2015-06")  # doctest: +SKIP

    Arguments:
        fields: With members: a reconstruction, a forecast.
        error: Standard deviation of an observation, units of the variable.
        number: Places to suggest.
        asked: variable, target, region, places, depths, time, of_mean, localisation_km: see
            `driftfield.assimilation.suggesting.NextObservations`.

    Returns:
        `lat`, `lon`, `variance_left` by place in their order, `variance_before`, and the map `reduction`.
    """
    from driftfield.assimilation.suggesting import NextObservations, suggest_places

    return suggest_places(_fields(fields), NextObservations(error, number, **asked))


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
    return roll_out(emulator, _fields(initial), steps=steps, members=members, seed=seed, start=start)


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
    opened = {name: _fields(found) for name, found in outputs.items()}
    complete = _fields(truth)
    seen = everything_held_out(complete, opened) if observations is None else _fields(observations)
    return evaluate(complete, opened, seen, area_weighted=area_weighted)


def simulate_lorenz63(*, steps: int = 20_000, every: int = 5, seed: int = 0) -> xr.Dataset:
    """A record of the Lorenz-63 system.

    Example:
        >>> df.simulate_lorenz63(steps=10).sizes["time"]
        10
    """
    from driftfield.worlds.lorenz import Lorenz63, simulate_lorenz

    return simulate_lorenz(Lorenz63(), steps=steps, every=every, seed=seed)


def simulate_lorenz96(*, steps: int = 20_000, every: int = 1, seed: int = 0, forcing: float = 8.0) -> xr.Dataset:
    """A record of the Lorenz-96 system: 40 variables on a circle.

    Example:
        >>> df.simulate_lorenz96(steps=10).sizes["time"]
        10
    """
    from driftfield.worlds.lorenz import Lorenz96, simulate_lorenz

    return simulate_lorenz(Lorenz96(forcing=forcing), steps=steps, every=every, seed=seed)


def simulate_navier_stokes(**options: "Unpack[TurbulenceOptions]") -> xr.Dataset:
    """Vorticity of two-dimensional turbulence on a torus: Kolmogorov flow, or decaying.

    Example:
        >>> df.simulate_navier_stokes(size=16, frames=3, spin_up=0.5).sizes["time"]
        3

    Arguments:
        options: reynolds, drag (1 / viscosity, linear friction); forcing ("kolmogorov" or "none"); size, compute (points along
            each side that are stored, and while computing); trajectories, frames, every (flows behind one another, frames of
            each, time between them); spin_up, step (time before the first frame, longest time step); seed, start.

    Raises:
        ConfigurationError: a number that makes no sense.
    """
    from driftfield.worlds import turbulence_record

    return turbulence_record.simulate_navier_stokes(**options)


def _fields(fields: Fields) -> xr.Dataset:
    """A file opened, or a data set in memory with axes and units as a file's would be."""
    if isinstance(fields, str | Path):
        return open_fields(fields)
    if isinstance(fields, xr.DataArray):
        raise ConfigurationError(
            "Found a DataArray: expected a Dataset. Give the variable a name with .to_dataset(name=...)."
        )
    if not isinstance(fields, xr.Dataset):
        raise ConfigurationError(f"Found {type(fields).__name__}: expected an xarray.Dataset or the name of a file.")
    dated = "time" in fields.coords and not np.issubdtype(fields["time"].dtype, np.number)
    return canonical_units(canonical(fields, decode=not dated), source="the data set")
