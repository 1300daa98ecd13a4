"""Rows of a table on the days of the analyses.

    row, dated --day of the calendar of the dates-->  counts for a date that is up to `window` whole days away
    run with steps of hours                           counts for the date within half a step

A run that knows months has one date for a month: there a row lies at the date of its month, or nowhere.
"""

__all__ = ["DatedObservations", "observation_days"]

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from driftfield.gridded.encodings import time_days
from driftfield.linalg.operators import Operator
from driftfield.observations.derived import Place
from driftfield.observations.grid import StateGrid
from driftfield.observations.readers.places import days_like, nearest_date
from driftfield.observations.stated import as_stated
from driftfield.observations.table import ObservationTable


@dataclass(frozen=True)
class DatedObservations:
    """Observations that passed all checks.

    Arguments:
        table: The rows.
        days: Of each, days since 1970 in the calendar of the analyses; NaN belongs to none.
        grid: The state of one date.
        place: Makes the weights of H.
        step_days: Time step of the run; where it is less than a day, a row belongs to the date within half of it.
    """

    table: ObservationTable
    days: np.ndarray
    grid: StateGrid
    place: Place = as_stated
    step_days: float = 1.0

    def __len__(self) -> int:
        return len(self.table)

    @property
    def operator(self) -> Operator:
        """H of the rows, on the state of whatever date they count for."""
        return self.place(self.grid, self.table.places()).operator()

    def select(self, rows: np.ndarray) -> "DatedObservations":
        """Some rows."""
        return DatedObservations(self.table.select(rows), self.days[rows], self.grid, self.place, self.step_days)

    def away(self, dates: xr.DataArray) -> np.ndarray:
        """Whole days between each row and each date (row, date), infinite where a row has none.

        Of a run with steps of hours: 0 within half a step, else the days between them.
        """
        if self.step_days < 1.0:
            apart = np.abs(self.days[:, None] - time_days(dates))
            apart = np.where(apart <= 0.5 * self.step_days + 1e-6, 0.0, apart)
            return np.where(np.isnan(apart), np.inf, apart)
        away = np.abs(np.floor(self.days)[:, None] - np.floor(time_days(dates)))
        return np.where(np.isnan(away), np.inf, away)

    def predicted(self, fields: xr.Dataset) -> np.ndarray:
        """What the members of one date say of the rows, (member, n)."""
        stacked = []
        for name in self.grid.variables:
            drawn = fields[f"{name}_member"].isel(time=0)
            stacked.append(drawn.values if "depth" in drawn.dims else drawn.values[:, None])
        # outside the domain nothing has a weight
        state = np.nan_to_num(np.concatenate(stacked, axis=1)).astype(np.float64)
        return self.operator(torch.from_numpy(state)).numpy()


def observation_days(
    table: ObservationTable, dates: xr.DataArray, *, monthly: bool = False, gridded: bool = False
) -> np.ndarray:
    """The day of each row.

    Arguments:
        table: The rows.
        dates: Of the analyses, whose calendar counts.
        monthly: They stand for whole months.
        gridded: The rows come from a gridded file: they have its dates already, in its calendar.
    """
    days, dated = np.full(len(table), np.nan), ~np.isnat(table.time)
    if gridded:
        days[dated] = time_days(xr.DataArray(table.time[dated], dims="time"))
    elif monthly:
        of = nearest_date(table.time[dated], dates)
        days[dated] = np.where(of >= 0, time_days(dates)[of], np.nan)
    else:
        days[dated] = days_like(table.time[dated], dates)
    return days
