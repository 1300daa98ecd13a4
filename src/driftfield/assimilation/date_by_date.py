"""Analyses of a run that knows one date at a time: a diffusion model, conditional or not.

rows --nearest days--> the rows of a date --guide--> members of p(x | condition, rows), each date by itself
"""

__all__ = ["DateByDate"]

import copy
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from driftfield.assimilation.dated_observations import DatedObservations, observation_days
from driftfield.assimilation.drawing import Drawing, Drawn, frozen
from driftfield.assimilation.observation_errors import ObservationErrors
from driftfield.assimilation.particle_members import particle_members
from driftfield.diffusion.model import DiffusionModel, to_residual
from driftfield.fields import FieldBatch
from driftfield.gridded.encodings import as_dates
from driftfield.interfaces import Denoiser
from driftfield.linalg.operators import Observed
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.unconditional import learnt_to_see_nothing
from driftfield.observations.derived import Place
from driftfield.observations.observe import folded, network_scale, state_grid
from driftfield.observations.table import ObservationTable
from driftfield.reconstruction.draws import DatedWindow, Drawer, Draws, Guide, NetworkEstimate, part_of
from driftfield.sampling.guidance.methods import CloudMethod, GuidanceMethod
from driftfield.sampling.starting import conditional_mean

log = logging.getLogger(__name__)


class DateByDate(Drawing):
    """A diffusion model, guided.

    Arguments:
        run: Trained, conditional or not.
        guidance, errors, place: See `Drawing`.
        window_days: See `Assimilation`.
    """

    def __init__(
        self,
        run: DiffusionReconstructor,
        guidance: GuidanceMethod,
        errors: ObservationErrors,
        place: Place,
        window_days: float,
    ) -> None:
        super().__init__(run.codec, guidance, run.sampler, errors, place)
        self.window_days = window_days
        # a walk that is not guided at its first look has had a look of its own
        self.extra_calls = int(not guidance.starts_at_posterior)
        # a copy, for the run is the caller's; its calibration belongs to reconstructions from gridded observations
        self.run = copy.copy(run)
        self.run.calibration = None
        self.run.sampler = self.sampler

    @property
    def evaluations(self) -> tuple[int, int]:
        """See `Drawing`; of a particle, where particles are drawn."""
        if isinstance(self.guidance, CloudMethod):
            return self.guidance.looks, self.guidance.looks - 1
        return super().evaluations

    def dates(self, dated: np.ndarray) -> np.ndarray:
        if self.codec.step_days < 1.0 and not self.codec.grid.monthly:
            step = np.timedelta64(round(self.codec.step_days * 86400), "s")
            day = dated.astype("datetime64[D]").astype("datetime64[s]")
            return np.unique(day + ((dated.astype("datetime64[s]") - day) + step // 2) // step * step)
        unit = "datetime64[M]" if self.codec.grid.monthly else "datetime64[D]"
        return np.unique(dated.astype(unit)).astype("datetime64[s]")

    def draw(self, guides: ObservationTable, condition: xr.Dataset, *, gridded: bool, draws: Draws) -> Drawn:
        self._warn(condition)
        dates, where = as_dates(condition["time"]), self.cells(condition)
        grid = state_grid(self.codec, [np.datetime64("2000-01-01")], *where)

        def dated(table: ObservationTable) -> DatedObservations:
            days = observation_days(table, dates, monthly=self.codec.grid.monthly, gridded=gridded)
            return DatedObservations(table, days, grid, self.place, self.codec.step_days)

        seen, parts = dated(guides), []
        near = seen.away(dates) <= self.window_days
        with frozen(self.run.model):
            for index in range(len(dates)) if draws.times is None else draws.times:
                date = dates.values[index]
                of_date = replace(draws, times=[index], keeper=part_of(draws.keeper, str(index)))
                dated_draws = self._guided(of_date, seen.select(near[:, index]), date, where)
                parts.append(self.run.complete(condition, dated_draws))

        def predicted(table: ObservationTable) -> tuple[ObservationTable, np.ndarray]:
            return self._predicted(dated(table), parts, dates)

        fields = xr.concat(parts, "time", data_vars="all", combine_attrs="override")
        guided = int(near.any(1).sum())
        return Drawn(fields, guided, len(guides) - guided, predicted)

    def _predicted(
        self, rows: DatedObservations, parts: list[xr.Dataset], dates: xr.DataArray
    ) -> tuple[ObservationTable, np.ndarray]:
        """Each row on the date that is nearest."""
        away = rows.away(dates)
        of = np.where(away.min(1) <= self.window_days, away.argmin(1), -1)
        shown = [(rows.select(of == index), part) for index, part in enumerate(parts) if (of == index).any()]
        if not shown:
            return rows.table.select(of >= 0), np.empty((0, 0))
        members = np.concatenate([mine.predicted(part) for mine, part in shown], axis=1)
        return ObservationTable.join([mine.table for mine, _ in shown]), members

    def _guided(self, draws: Draws, seen: DatedObservations, date: Any, where: tuple[np.ndarray, np.ndarray]) -> Draws:
        """What is drawn on one date; members of the prior if nothing was seen."""
        if not len(seen):
            return draws
        if isinstance(self.guidance, CloudMethod):
            return replace(draws, drawer=self._drawer(self.guidance, seen, date, where, draws))
        return replace(draws, guide=self._guide(seen, date, where, draws))

    def _drawer(
        self,
        method: CloudMethod,
        seen: DatedObservations,
        date: Any,
        where: tuple[np.ndarray, np.ndarray],
        draws: Draws,
    ) -> Drawer:
        """Particles of one date."""

        def drawer(prior: Callable[[int], Denoiser], batch: FieldBatch, window: DatedWindow) -> NetworkEstimate:
            observed, names = self._observed(seen, batch, date, *where), self.codec.channel_names()
            assert isinstance(self.run.model, DiffusionModel)
            everybody = range(draws.members)
            if draws.keeper is not None and (recalled := draws.keeper.recall(everybody)) is not None:
                return NetworkEstimate(recalled[:-2], recalled[-2], recalled[-1])
            drawn = particle_members(method, observed, draws, names, prior, batch, window, self.run.model)
            if draws.keeper is not None and drawn.mean is not None and drawn.sd is not None:
                draws.keeper.keep(everybody, torch.cat([drawn.members, drawn.mean[None], drawn.sd[None]]))
            return drawn

        return drawer

    def _guide(self, seen: DatedObservations, date: Any, where: tuple[np.ndarray, np.ndarray], draws: Draws) -> Guide:
        """What the sampler is told on one date."""
        rows, columns = where
        observed: Observed | None = None
        members: Tensor | None = None

        def guide(denoiser: Denoiser, batch: FieldBatch, eps: Tensor) -> tuple[Denoiser, Tensor]:
            nonlocal observed
            if observed is None:
                observed = self._observed(seen, batch, date, rows, columns)

            def prior(samples: int) -> Tensor:
                nonlocal members
                if members is None:
                    # streams of their own: no member is what its covariance was learned from
                    drawn = self.run.draw(
                        batch,
                        DatedWindow(f"{date} prior", rows, columns),
                        replace(draws, members=samples, keeper=part_of(draws.keeper, "prior")),
                    )
                    members = self.run.noise.whiten(to_residual(batch.repeat(samples), drawn))
                return members

            guided = self.guidance.guide(denoiser, observed, eps, prior)
            return guided, conditional_mean(guided if self.guidance.starts_at_posterior else denoiser, eps)

        return guide

    def _observed(
        self, seen: DatedObservations, batch: FieldBatch, date: Any, rows: np.ndarray, columns: np.ndarray
    ) -> Observed:
        """y, H and R of what the network draws: normalised anomalies, or residuals of a first guess, whitened by the noise."""
        guess = None
        if batch.guess is not None:
            guess = batch.guess.mean[0].cpu().numpy(), batch.guess.scale[0].cpu().numpy()
        scale, offset = network_scale(self.codec, [date], rows, columns, guess=guess)
        operator = seen.operator
        physical = Observed(operator, torch.from_numpy(seen.table.value), self.errors.covariance(seen.table))
        network = folded(physical, operator, scale, offset)
        return self.run.noise.observed(
            Observed(network.operator, network.y.to(batch.target.device), network.covariance)
        )

    def _warn(self, condition: xr.Dataset) -> None:
        for name in self.codec.targets:
            blind = name not in condition or not bool(condition[name].notnull().any())
            if blind and not learnt_to_see_nothing(self.run, name):
                log.warning(
                    "this run was always shown some of %r while it learnt: guided from nothing it extrapolates. Train one with "
                    "none among its patterns",
                    name,
                )
