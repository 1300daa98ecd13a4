"""What a sampler looks at on its way: every clean estimate D, in physical units, against the truth.

D(x_t, t)  --codec-->  field  --held-out cells-->  error of the mean, error of each member, spread
                              --one level of member 0-->  kept, to be drawn
"""

__all__ = ["Watch", "fitted_model"]

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from driftfield.conventions import domain_of, held_out_of
from driftfield.data.codec import FieldCodec, with_levels
from driftfield.data.observed_batch import observation_batch
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.schedule import noise_level
from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.diagnostics_figures import Denoising, StepScores
from driftfield.fields import FieldBatch
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.plain import JSONObject


@dataclass
class _WatchedCells:
    """The held-out cells of one variable: mask (level, lat, lon), truth (cell), and what was found at every evaluation."""

    mask: np.ndarray
    truth: np.ndarray
    mean_rmse: list[float]
    member_rmse: list[np.ndarray]
    spread: list[float]

    def add(self, members: np.ndarray) -> None:
        """(member, level, lat, lon), physical units."""
        x = members[:, self.mask].astype(np.float64)
        size = len(x)
        self.mean_rmse.append(float(np.sqrt(np.mean((x.mean(0) - self.truth) ** 2))))
        self.member_rmse.append(np.sqrt(np.mean((x - self.truth) ** 2, axis=1)))
        self.spread.append(float(np.sqrt(np.mean(x.var(0, ddof=1)) * (size + 1) / size)))


class Watch:
    """A `sampling.base.Watcher` that scores every clean estimate in physical units, and keeps one level of member 0.

    Arguments:
        reconstructor: A fitted diffusion run.
        observations: One time of a twin experiment.
        truth: The targets on the same cells and time.
        variable: Whose estimates are kept; the first scored target by default.
        depth: Metres; the nearest level is kept, by default the middle one of those with held-out cells.
    """

    def __init__(
        self,
        reconstructor: DiffusionReconstructor,
        observations: xr.Dataset,
        truth: xr.Dataset,
        *,
        variable: str | None = None,
        depth: float | None = None,
    ) -> None:
        model, codec = fitted_model(reconstructor)
        self.model, self.codec, self.schedule, self.observations = model, codec, model.schedule, observations
        self.rows, self.columns = codec.grid.cells(observations)
        self.batch = _batch(reconstructor, observations)
        self.scored = {name: cells for name in codec.targets if (cells := _held_out(observations, truth, name))}
        if not self.scored or (variable is not None and variable not in self.scored):
            raise DataError(
                f"No cell of {variable or list(codec.targets)} is held out and known to the truth at this time: "
                "expected 'held_out' in the observation file. Make it with `driftfield mask`, or choose another time."
            )
        self.shown = variable or next(iter(self.scored))
        self.level = self._level(depth)
        self.noise_level: list[float] = []
        self.kept: list[np.ndarray] = []

    def __call__(self, x_t: Tensor, t: float, clean: Tensor) -> None:
        """After every network evaluation, with all members in one batch."""
        # as the reconstructor treats what the sampler hands back
        x = self.model.drawn(self.batch.repeat(len(clean)), clean.cpu()).numpy()
        gamma = self.schedule.gamma(torch.tensor(t, dtype=torch.float64))
        self.noise_level.append(float(noise_level(gamma)))
        levels = [len(self.codec.grid.levels[name]) for name in self.codec.targets]
        date = self.observations["time"].values
        for name, part in zip(self.codec.targets, np.split(x, np.cumsum(levels)[:-1], axis=1), strict=True):
            if name in self.scored:
                members = self.codec.decode(name, part, date, self.rows, self.columns)
                self.scored[name].add(members)
                if name == self.shown:
                    self.kept.append(members[0, self.level])

    def denoising(self) -> Denoising:
        """The kept estimates (evaluation, lat, lon)."""
        return Denoising(np.array(self.noise_level), np.stack(self.kept))

    def scores(self, name: str) -> StepScores:
        """Error and spread of one variable at every evaluation."""
        cells, attrs = self.scored[name], self.observations[name].attrs
        return StepScores(
            noise_level=np.array(self.noise_level),
            mean_rmse=np.array(cells.mean_rmse),
            member_rmse=np.stack(cells.member_rmse),
            spread=np.array(cells.spread),
            name=str(attrs.get("long_name", name)).replace("_", " "),
            units=str(attrs.get("units", "1")),
        )

    def numbers(self, name: str) -> JSONObject:
        """The same as plain lists."""
        cells = self.scored[name]
        return {
            "units": str(self.observations[name].attrs.get("units", "1")),
            "cells": int(cells.mask.sum()),
            "noise_level": self.noise_level,
            "rmse_mean": cells.mean_rmse,
            "rmse_member": [found.tolist() for found in cells.member_rmse],
            "spread": cells.spread,
        }

    def _level(self, depth: float | None) -> int:
        depths = self.codec.grid.levels[self.shown]
        if depth is not None:
            if depths == (None,):
                raise ConfigurationError(
                    f"{self.shown!r} is a surface field: it has no depth {depth:g} m. Leave it out."
                )
            return int(np.abs(np.array(depths, dtype=float) - depth).argmin())
        inside = np.flatnonzero(self.scored[self.shown].mask.any(axis=(1, 2)))
        return int(inside[len(inside) // 2])


def _held_out(observations: xr.Dataset, truth: xr.Dataset, name: str) -> _WatchedCells | None:
    """The cells that `evaluate` scores: in the domain, held out, known to the truth; None if there are none."""
    held_out, domain = held_out_of(observations, name), domain_of(observations, name)
    if held_out is None:
        return None
    known = truth[name].copy(data=np.isfinite(truth[name].values)).drop_vars("time").isel(time=0)
    if "time" in held_out.dims:
        held_out = held_out.isel(time=0, drop=True)
    where = known & held_out if domain is None else known & held_out & domain
    mask = with_levels(where.transpose(*known.dims).expand_dims("time"))[0]
    values = with_levels(truth[name])[0].astype(np.float64)
    return _WatchedCells(mask, values[mask], [], [], []) if mask.any() else None


def _batch(reconstructor: DiffusionReconstructor, observations: xr.Dataset) -> FieldBatch:
    """What the sampler is conditioned on; domain and first guess bring its estimates back to fields."""
    codec, guess = fitted_model(reconstructor)[1], None
    if reconstructor.guess is not None:
        estimate = reconstructor.guess.estimate(observations)
        mean, scale = reconstructor.guess.encode(estimate, codec, observations["time"].values)
        _, columns = codec.grid.cells(observations)
        guess = (mean[0][..., columns], scale[0][..., columns])
    return observation_batch(codec, observations, 0, guess=guess)


def fitted_model(reconstructor: DiffusionReconstructor) -> tuple[DiffusionModel, FieldCodec]:
    """Model and codec of a run.

    Raises:
        ConfigurationError: it is not fitted.
    """
    model = reconstructor.model
    assert isinstance(model, DiffusionModel)
    return model, reconstructor.codec
