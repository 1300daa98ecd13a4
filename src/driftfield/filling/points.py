"""`driftfield map`: from scattered values to fields on a grid with their spread.

    points --values_of--> PointValues --choose--> Choice --at every cell, level and date--> data set

    <variable> <variable>_sd [<variable>_member]   (time, [depth,] lat, lon)        driftfield_tried: what was tried

All dates that are asked for are in it, also those without an observation: there the map goes back to the season, and the
spread says so. Dates a month or more apart stand for their months: they are mapped in the middle of the month.
"""

__all__ = ["Points", "chosen_for", "map_points", "table_of_points"]

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.filling.map_grid import MapCells, MapGrid, days_of
from driftfield.filling.point_choice import Choice, Progress, choose
from driftfield.filling.point_selection import near_box, thinned, values_of
from driftfield.filling.quantity import recognise
from driftfield.gaussian.point_likelihood import Stated
from driftfield.observations.reading import from_dataset, read_observations
from driftfield.observations.table import ObservationTable
from driftfield.reconstruction.output import Estimate, assemble

log = logging.getLogger(__name__)

Points: TypeAlias = ObservationTable | pd.DataFrame | xr.Dataset | str | Path | Sequence[str | Path]


def map_points(
    points: Points,
    grid: MapGrid | xr.Dataset,
    *,
    variables: Mapping[str, str] | None = None,
    method: str | None = None,
    stated: Stated | None = None,
    members: int = 0,
    seed: int = 0,
    progress: Progress = lambda what, done, of: None,
) -> tuple[xr.Dataset, dict[str, Choice]]:
    """Maps scattered values: the method is chosen by what it makes of profiles left out.

    Arguments:
        points: A table of observations, a data frame with one row per value (columns of `ObservationTable`), a data set of
            points, or files.
        grid: Where to; of a data set its lat, lon, time and, if there is one, depth.
        variables: Our name -> name in the data set or in the files.
        method: One that is to be taken whatever the scores say.
        stated: What is known of the covariance: length, time scale, noise.
        members: Size of the ensemble.
        seed: Of folds and members.
        progress: Is told how far it is.

    Returns:
        The fields, and what was chosen per variable.

    Raises:
        ConfigurationError: a grid that is none, an unknown method, or an impossible length, time or noise.
        DataError: points without what is needed, or too few of them.
    """
    if members < 0:
        raise ConfigurationError(f"{members} members were asked for: expected 0 or more.")
    grid = grid if isinstance(grid, MapGrid) else MapGrid.like(grid)
    lat, lon = grid.axes()
    table = table_of_points(points, variables, lat, lon)
    cells = MapCells.of(grid, days_of(table.time[~np.isnat(table.time)]))
    choices: dict[str, Choice] = {}
    fields: dict[str, Estimate] = {}
    for name in dict.fromkeys(str(v) for v in table.variable):
        step = float(np.abs(np.diff(lat)).mean()) if lat.size > 1 else 0.25
        choices[name], attrs = chosen_for(
            table,
            name,
            grid.levels,
            float(lon.mean()),
            step,
            method=method,
            stated=stated,
            seed=seed,
            progress=progress,
        )
        fields[name] = _estimate(choices[name], cells, members, seed, progress)
        cells.template[name] = (cells.dims, np.full(cells.shape, np.nan, np.float32), attrs)
    domain = xr.DataArray(cells.domain, dims=cells.dims[1:])
    tried = {name: [asdict(t) for t in choice.tried] for name, choice in choices.items()}
    result = assemble(
        cells.template,
        fields,
        method="map: " + ", ".join(dict.fromkeys(c.name for c in choices.values())),
        seed=seed,
        members=members,
        attrs={"driftfield_tried": json.dumps(tried)},
        domains=dict.fromkeys(fields, domain),
    )
    return result, choices


def table_of_points(
    points: Points, variables: Mapping[str, str] | None, lat: np.ndarray, lon: np.ndarray
) -> ObservationTable:
    """All that was seen near a box that holds some latitudes and longitudes, degrees.

    Raises:
        DataError: nothing lies near it, or the points lack what is needed.
    """
    return near_box(_table(points, variables), lat, lon)


def chosen_for(
    table: ObservationTable,
    name: str,
    levels: Sequence[float] | None,
    centre: float,
    step: float,
    *,
    method: str | None,
    stated: Stated | None,
    seed: int,
    progress: Progress,
) -> tuple[Choice, dict[str, str]]:
    """The method that maps a variable, chosen by what it makes of profiles left out, and what the file says of the variable.

    Arguments:
        table: What was seen.
        name: Of the variable.
        levels: Depths that profiles are brought to; None for the surface.
        centre: Longitude around which longitudes are unwrapped.
        step: Degrees: very many values become means of half of it.
        method, stated, seed, progress: As of `map_points`.
    """
    values = thinned(values_of(table, name, levels=levels, centre=centre), step)
    quantity = recognise(xr.DataArray(values.value, dims="observation", name=name, attrs=values.attrs))
    if quantity.said:
        log.info("%s", quantity.said)
    choice = choose(values, method=method, stated=stated, quantity=quantity, seed=seed, progress=progress)
    return choice, values.attrs


def _table(points: Points, variables: Mapping[str, str] | None) -> ObservationTable:
    if isinstance(points, ObservationTable):
        return points
    if isinstance(points, pd.DataFrame):
        if not variables:
            return ObservationTable.from_frame(points)
        tables = [
            ObservationTable.from_frame(points, variable=ours, columns={"value": theirs})
            for ours, theirs in variables.items()
        ]
        return ObservationTable.join(tables)
    if isinstance(points, xr.Dataset):
        return from_dataset(points, variables)
    return read_observations(points, variables)


def _estimate(choice: Choice, cells: MapCells, members: int, seed: int, progress: Progress) -> Estimate:
    """Mean, spread and members on all cells, date by date; NaN outside the domain."""
    places, days = cells.places, cells.days
    output = np.full((2 + members, len(days), cells.domain.size), np.nan, dtype=np.float32)
    inside = cells.domain.ravel()
    for t, day in enumerate(days):
        progress("mapping dates", t, len(days))
        mean, sd, drawn = choice.members(places, np.full(len(places), day), members=members, seed=seed)
        output[0, t, inside], output[1, t, inside] = mean, sd
        output[2:, t, inside] = drawn
    progress("mapping dates", len(days), len(days))
    output = output.reshape(2 + members, *cells.shape)
    return Estimate(output[0], output[1], output[2:] if members else None)
