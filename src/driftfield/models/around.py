"""Ensembles around a first guess: partial denoising.

    g  --diffuse to the noise level S-->  g + S noise  --walk back, nothing observed-->  members of p(x | x + S noise)

Structures that are smaller than S, in standard deviations of the normalised field, are drawn anew; larger ones stay (Meng et al.
2022, "SDEdit"). The model is any that has learnt what it is to see nothing; see `unconditional`.
"""

__all__ = ["draw_around"]

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from driftfield.conventions import require
from driftfield.data.observed_batch import observation_batch
from driftfield.diffusion.model import DiffusionModel
from driftfield.errors import ConfigurationError, DataError
from driftfield.fields import FieldBatch
from driftfield.interfaces import Denoiser
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.unconditional import check_unconditional
from driftfield.reconstruction.draws import Draws, Guide, Keeper, part_of
from driftfield.reconstruction.settings import uncalibrated
from driftfield.sampling.base import Noise, Sampler


def draw_around(
    reconstructor: DiffusionReconstructor,
    fields: xr.Dataset,
    *,
    start_level: float,
    members: int,
    seed: int = 0,
    batch_size: int = 64,
    keeper: Keeper | None = None,
) -> xr.Dataset:
    """Members around a first guess: its fields, diffused up to a noise level and brought back (Meng et al. 2022, "SDEdit").

    Member m depends on (seed, m, date), on the fields of that date and on nothing else.

    Arguments:
        reconstructor: A run that was trained with the pattern `none`.
        fields: Complete fields of all targets on the grid of the run or a part of it, of one date or more.
        start_level: S, the noise level where the walk begins, in network units: near the smallest the members are the fields, at
            the largest they have forgotten them.
        members: How many per date.
        seed: Of the members.
        batch_size: Members at a time; does not change them.
        keeper: Remembers batches of members, date by date.

    Raises:
        ConfigurationError: as of `draw_unconditionally`, or a level outside the schedule of the run.
        DataError: fields that are not complete, or not on the grid of the run.
    """
    check_unconditional(reconstructor)
    # its calibration was fitted to reconstructions from observations
    run, codec = uncalibrated(reconstructor), reconstructor.codec
    run.sampler = _FromNoiseLevel(reconstructor.sampler, _start(reconstructor, start_level))
    require(fields, codec.targets, "the first guess")
    masks = [
        name for name in fields.data_vars if name == "domain" or str(name).removesuffix("_domain") in codec.targets
    ]
    fields = fields[list(dict.fromkeys([*codec.targets, *masks]))]
    nothing = fields.assign({name: xr.full_like(fields[name], np.nan) for name in codec.targets})
    parts = [
        run.complete(
            nothing,
            Draws(
                members,
                seed,
                [time],
                batch_size,
                keeper=part_of(keeper, str(time)),
                guide=_from(observation_batch(codec, fields, time), run.noise.whiten),
            ),
        )
        for time in range(fields.sizes["time"])
    ]
    attrs = {
        "observations": "none",
        "start_level": start_level,
        "network_evaluations": reconstructor.sampler.evaluations,
    }
    attrs["sampler"] = type(reconstructor.sampler).__name__
    joined = xr.concat(
        parts,
        "time",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    return joined.assign_attrs(attrs)


class _FromNoiseLevel(Sampler):
    """Has a sampler and is one: its walk begins at a time before the end of the schedule."""

    def __init__(self, sampler: Sampler, start: float) -> None:
        self.sampler, self.start = sampler, start
        self.evaluations, self.grid = sampler.evaluations, sampler.grid

    def sample(self, denoiser: Denoiser, noise: Noise, *, start: float = 1.0, **how: Any) -> Tensor:
        return self.sampler.sample(denoiser, noise, start=min(start, self.start), **how)

    def walk(self, walk: Any, z: Tensor, noise: Noise) -> Tensor:
        return self.sampler.walk(walk, z, noise)


def _start(reconstructor: DiffusionReconstructor, level: float) -> float:
    """The time of a noise level."""
    assert isinstance(reconstructor.model, DiffusionModel)
    schedule = reconstructor.model.schedule
    if not schedule.s_min < level <= schedule.s_max:
        raise ConfigurationError(
            f"Found a start level of {level:g}: expected a noise level above {schedule.s_min:g}, where fields stay as they are, "
            f"and up to {schedule.s_max:g}, where they are forgotten; 1 is the standard deviation of the normalised fields."
        )
    t = float(schedule.t(torch.tensor([-2 * math.log(level)], dtype=torch.float64)))
    return min(max(t, torch.finfo(torch.float64).tiny), 1.0)


def _from(guess: FieldBatch, whiten: Callable[[Tensor], Tensor]) -> Guide:
    """A guide that changes nothing but the field where the walk starts."""
    if bool((missing := guess.domain & ~guess.seen.where).any()):
        raise DataError(
            f"The first guess lacks {int(missing.sum())} of {int(guess.domain.sum())} cells that exist: "
            "expected complete fields, such as a reconstruction. Fill them first."
        )

    def guide(denoiser: Denoiser, batch: FieldBatch, eps: Tensor) -> tuple[Denoiser, Tensor]:
        return denoiser, whiten(guess.seen.value.to(eps)).expand(len(eps), -1, -1, -1)

    return guide
