"""Members of a cloud of particles: each is the particle that its own random number falls on, a draw of the posterior.

    weights w    member m -> the particle i with  w_1 + ... + w_(i-1) <= u_m < w_1 + ... + w_i,     u_m of (seed, date, m)

Mean and spread are those of all particles. The cloud is one of (seed, date, number of particles): no member depends on another.
"""

__all__ = ["particle_members"]

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from driftfield.diffusion.model import DiffusionModel, from_residual
from driftfield.fields import FieldBatch
from driftfield.interfaces import Denoiser
from driftfield.linalg.operators import Observed
from driftfield.reconstruction.draws import DatedWindow, Draws, NetworkEstimate
from driftfield.sampling.guidance.methods import CloudMethod

log = logging.getLogger(__name__)


def particle_members(
    method: CloudMethod,
    observed: Observed,
    draws: Draws,
    names: list[str],
    prior: Callable[[int], Denoiser],
    batch: FieldBatch,
    window: DatedWindow,
    model: DiffusionModel,
) -> NetworkEstimate:
    """Draws a cloud and chooses the members.

    Arguments:
        method: Of the particles.
        observed: y, H and R of the date.
        draws: Which members.
        names: Of the channels.
        prior: The denoiser of so many fields.
        batch: What the network is shown, one sample.
        window: Date and cells.
        model: Whose prior it is.
    """
    noise = window.noise(names, draws.seed, range(method.size), batch.target.device, of=model.noise)
    cloud = method.cloud(prior(method.size), observed, noise, tuple(batch.target.shape[1:]))
    chosen = cloud.chosen([_uniform(draws.seed, window.stamp, member) for member in range(draws.members)])
    log.info(
        "%s: %d particles are worth %.0f (at the least %.0f on the way); the %d members are %d different ones",
        window.stamp, method.size, cloud.effective, cloud.least_effective, draws.members, len(set(chosen.tolist())),
    )  # fmt: skip
    if cloud.effective < 10:
        log.warning(
            "%s: hardly a particle explains the observations, the ensemble is a poor one. Take more particles "
            "(--set method.particles=%d), or a method that is not exact, such as mmps",
            window.stamp, 8 * method.size,
        )  # fmt: skip

    def field(r: Tensor) -> Tensor:
        return from_residual(batch.repeat(len(r)), torch.where(batch.domain, r, 0).float())

    # mean and spread of cells are those of the residuals, not of their waves
    cloud = replace(cloud, fields=model.noise.color(cloud.fields))
    mean, sd = cloud.mean()[None], cloud.sd()[None]
    return NetworkEstimate(field(cloud.fields[chosen]), field(mean)[0], (field(sd) - field(torch.zeros_like(sd)))[0])


def _uniform(seed: int, stamp: str, member: int) -> float:
    """A number in [0, 1) of its own."""
    word = hashlib.sha256(f"{seed} {stamp} {member}".encode()).digest()
    return float(np.random.default_rng(np.frombuffer(word, dtype=np.uint32)).random())
