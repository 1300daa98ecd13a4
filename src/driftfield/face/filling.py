"""Fields without a run: `fill` and `map`, the method chosen on what was seen; `suggest`, where to observe next."""

__all__ = ["fill", "map", "map_at", "suggest"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from driftfield.face.argument import Fields, as_fields

if TYPE_CHECKING:
    import pandas as pd


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

    return suggest_places(as_fields(fields), NextObservations(error, number, **asked))
