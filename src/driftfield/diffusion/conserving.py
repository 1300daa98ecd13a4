"""A denoiser whose answers have given coarse means, so that a sampler sees the constraint at every step.

    D(x_t, t) + A^-1 H' (H A^-1 H')^-1 (y - H D(x_t, t))

A posterior given H x = y has these means already, and the projection leaves it alone; of a denoiser that knows y inexactly, or
not at all, it makes one whose walks end with H x = y. Hard constraints as in Harder et al. (2023), JMLR 24(365), in the sampler.
"""

__all__ = ["ConservingDenoiser", "MeansProjection"]

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.interfaces import Denoiser
from driftfield.linalg.regridding import Regridding


class ConservingDenoiser:
    """Has a denoiser and is one.

    Arguments:
        denoiser: Of fields (batch, channel, row, column).
        project: Of clean fields to those that conserve: `MeansProjection`, or one in physical units
            (`assimilation.prior_downscaler`).
    """

    def __init__(self, denoiser: Denoiser, project: Callable[[Tensor], Tensor]) -> None:
        self.schedule = denoiser.schedule
        self.denoiser, self.project = denoiser, project

    def __call__(self, x_t: Float[Tensor, "batch channel row column"], t: Float[Tensor, " batch"]) -> Tensor:
        return self.project(self.denoiser(x_t, t))


class MeansProjection:
    """The nearest fields with given coarse means, in units that are affine in the physical ones.

    Arguments:
        regridding: From the grid of the fields to the coarse one.
        means: Coarse means (batch or 1, channel, coarse row, coarse column) in the units of the fields; NaN asks for nothing.

    Raises:
        ConfigurationError: means that are not on the coarse grid.
    """

    def __init__(self, regridding: Regridding, means: Float[Tensor, "batch channel row column"]) -> None:
        if tuple(means.shape[-2:]) != regridding.coarse.shape:
            raise ConfigurationError(
                f"Found means of {tuple(means.shape[-2:])} coarse cells: expected {regridding.coarse.shape}. Name its grid."
            )
        self.shape = regridding.fine.shape
        used = regridding.cover.ravel() > 0
        self.means = torch.where(torch.from_numpy(used), means.flatten(-2), torch.nan)
        self.forward = torch.from_numpy(regridding.matrix.toarray()).to(means.dtype)
        self.back = torch.from_numpy(_spreading(regridding)).to(means.dtype)

    def __call__(self, clean: Float[Tensor, "batch channel row column"]) -> Tensor:
        lacking = torch.nan_to_num(self.means - clean.flatten(-2) @ self.forward.T)
        return clean + (lacking @ self.back.T).unflatten(-1, self.shape)


def _spreading(regridding: Regridding) -> np.ndarray:
    """A^-1 H' (H A^-1 H')^-1 as a matrix (fine cell, coarse cell): what a unit of each coarse mean adds."""
    count = int(np.prod(regridding.coarse.shape))
    units = np.eye(count).reshape(count, *regridding.coarse.shape)
    return regridding.project(np.zeros((count, *regridding.fine.shape)), units).reshape(count, -1).T
