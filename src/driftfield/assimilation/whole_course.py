"""Analyses of a run that knows how fields follow each other: all observations constrain one course through all dates.

    row at (place, date)  --H, linear between the two states around it-->  members of p(course | all rows)

Nothing is moved to a date: what was measured between two states speaks of both.
"""

__all__ = ["WholeCourse"]

import copy
from dataclasses import replace

import numpy as np
import torch
import xarray as xr

from driftfield.assimilation.drawing import BATCH_SIZE, Drawing, Drawn, frozen
from driftfield.assimilation.observation_errors import ObservationErrors
from driftfield.errors import DataError
from driftfield.gridded.encodings import time_days
from driftfield.linalg.operators import Observed, Operator
from driftfield.observations.checks import check
from driftfield.observations.derived import Place
from driftfield.observations.observe import folded, network_scale, state_grid
from driftfield.observations.table import ObservationTable
from driftfield.reconstruction.draws import DatedWindow, Draws
from driftfield.sampling.guidance.methods import GuidanceMethod, walking_method
from driftfield.trajectories.courses import Course, course
from driftfield.trajectories.trajectory import TrajectoryReconstructor


class WholeCourse(Drawing):
    """A smoother, guided.

    Arguments:
        run: Trained.
        guidance, errors, place: See `Drawing`.
    """

    extra_calls = 0

    def __init__(
        self, run: TrajectoryReconstructor, guidance: GuidanceMethod, errors: ObservationErrors, place: Place
    ) -> None:
        guidance = walking_method(guidance, "a prior of trajectories")
        super().__init__(run.codec, guidance, run.sampler, errors, place)
        self.run = copy.copy(run)
        self.run.guidance = guidance

    def dates(self, dated: np.ndarray) -> np.ndarray:
        """All steps from the first observation to the last; steps of less than a day are counted from midnight."""
        first, last = dated.min().astype("datetime64[s]"), dated.max().astype("datetime64[s]")
        if self.codec.grid.monthly:
            months = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 1)
            return months.astype("datetime64[s]")
        step, day = np.timedelta64(round(self.codec.step_days * 86400), "s"), first.astype("datetime64[D]")
        start = day.astype("datetime64[s]") + (first - day) // step * step
        return start + np.arange(-((start - last) // step) + 1) * step

    def draw(self, guides: ObservationTable, condition: xr.Dataset, *, gridded: bool, draws: Draws) -> Drawn:
        codec, (rows, columns) = self.codec, self.cells(condition)
        monthly = codec.grid.monthly
        whole = course(condition["time"], codec.step_days, states=self.run.states, monthly=monthly)
        scale, offset = network_scale(codec, whole.dates, rows, columns)

        def seen(table: ObservationTable) -> tuple[ObservationTable, Operator]:
            return self._seen(table, whole, (rows, columns), gridded=gridded)

        used, operator = seen(guides)
        if not len(used):
            raise DataError("None of the observations lies between the dates of the analyses, or near to them.")
        physical = Observed(operator, torch.from_numpy(used.value), self.errors.covariance(used))
        windows = len(whole) - self.run.states + 1
        with frozen(self.run.model):
            drawn = self.run.draw(
                folded(physical, operator, scale, offset),
                torch.from_numpy(
                    np.concatenate([codec.domains[name][:, rows][:, :, columns] for name in codec.targets])
                ),
                codec.dates(whole.dates),
                DatedWindow("trajectory", rows, columns),
                replace(draws, batch_size=(draws.batch_size or BATCH_SIZE) * windows),
            )

        def predicted(table: ObservationTable) -> tuple[ObservationTable, np.ndarray]:
            near, at = seen(table)
            return near, at(offset + scale * drawn.flatten(1, 2).double()).numpy()

        fields = self.run.assembled(drawn[:, torch.from_numpy(whole.numbers)], condition, seed=draws.seed)
        return Drawn(fields, len(used), len(guides) - len(used), predicted)

    def _seen(
        self, table: ObservationTable, whole: Course, where: tuple[np.ndarray, np.ndarray], *, gridded: bool
    ) -> tuple[ObservationTable, Operator]:
        """The rows that belong to the course, and their H."""
        dates, monthly = whole.dates, self.codec.grid.monthly
        if gridded:
            # rows of a file carry the days of its own calendar
            days = time_days(dates)
            dates, monthly = dates.copy(data=(days * 86400e6).astype("datetime64[us]")), False
        grid = state_grid(self.codec, whole.dates, *where)
        used, operator, _ = check(table, grid, dates, monthly=monthly, place=self.place, flags=None)
        return used, operator
