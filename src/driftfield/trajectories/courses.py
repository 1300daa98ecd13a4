"""The states of a course in time, and what a gridded file saw of them.

dates of a file   --|-----|-----------|--       whole steps of the run apart, in any order
states            --0-----1-----2-----3--       one for every step, and at least as many as a window has
"""

__all__ = ["Course", "cells", "course", "state_numbers"]

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import xarray as xr

from driftfield.errors import DataError
from driftfield.fields import FieldBatch
from driftfield.gridded.encodings import as_dates, time_days
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import Observed, SparseOperator

LEAST_ERROR = 1e-3
"""Network units: what an observation that states no error is taken to be off by, so that its equations can be solved."""


@dataclass(frozen=True)
class Course:
    """Dates one step apart.

    Arguments:
        dates: Of all states (state,), ascending.
        numbers: (date,) which states were asked for.
    """

    dates: xr.DataArray
    numbers: np.ndarray

    def __len__(self) -> int:
        return self.dates.size


def course(times: xr.DataArray, step_days: float, *, states: int = 1, monthly: bool = False) -> Course:
    """The states that hold some dates.

    Arguments:
        times: Dates (time,), in any order.
        step_days: Step of the run.
        states: As many states as a window has are needed: if the dates are fewer, states follow after them.
        monthly: A step is a month.

    Raises:
        DataError: two dates are not a whole number of steps apart.
    """
    numbers = state_numbers(times, step_days)
    known = dict(zip(numbers.tolist(), times.values, strict=True))
    filled = [known[0]]
    for number in range(1, max(int(numbers.max()) + 1, states)):
        filled.append(known[number] if number in known else _next(filled[-1], step_days, monthly))
    return Course(as_dates(np.array(filled)), numbers)


def _next(date: Any, step_days: float, monthly: bool) -> Any:
    """One step later."""
    seconds = round(step_days * 86400)
    if not isinstance(date, np.datetime64):
        if not monthly:
            return date + timedelta(seconds=seconds)
        later = date + timedelta(days=32 - date.day)
        return later.replace(day=min(date.day, 28))
    if not monthly:
        return date + np.timedelta64(seconds, "s")
    month = date.astype("datetime64[M]")
    return (month + 1).astype(date.dtype) + min(date - month.astype(date.dtype), np.timedelta64(27, "D"))


def state_numbers(times: xr.DataArray, step_days: float) -> np.ndarray:
    """How many steps of the run each date (time,) lies after the earliest.

    Raises:
        DataError: two dates are not a whole number of steps apart.
    """
    days = time_days(times)
    order = np.argsort(days, kind="stable")
    # from date to date: months have different lengths, and small differences must not add up
    steps = np.diff(days[order]) / step_days
    whole = np.round(steps)
    if (whole < 1).any() or (np.abs(steps - whole) > 0.25).any():
        raise DataError(
            f"The dates of the observations are {np.unique(np.round(steps * step_days, 4))[:4]} days apart: expected multiples "
            f"of the run's step of {step_days:g} days. Bring them to the steps of the run, or give them as a table to "
            "`driftfield assimilate`, which sees them between its steps."
        )
    numbers = np.empty(len(days), int)
    numbers[order] = np.concatenate([[0], np.cumsum(whole)]).astype(int)
    return numbers


def cells(seen: Sequence[FieldBatch], numbers: np.ndarray, length: int) -> Observed:
    """What was seen at some states (batches of one sample each) as observations of the cells of a trajectory."""
    shape = (length, *seen[0].target.shape[1:])
    observed, y, error = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape), torch.zeros(shape)
    for number, batch in zip(numbers, seen, strict=True):
        observed[number], y[number] = batch.seen.where[0], batch.seen.value[0]
        error[number] = batch.seen.error[0]
    chosen = np.flatnonzero(observed.numpy())
    count, flat = len(chosen), (length * shape[1], *shape[2:])
    operator = SparseOperator(np.arange(count), chosen, np.ones(count), size=count, shape=flat)
    variance = error.flatten()[chosen].double().clamp(min=LEAST_ERROR) ** 2
    return Observed(operator, y.flatten()[chosen], DiagonalCovariance(variance))
