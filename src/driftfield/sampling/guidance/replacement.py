"""Replacement: observed cells are set to what the forward process would have made of them, at the right noise level.

An observation y = x + r e already carries noise of standard deviation r. At noise level s >= r

    c = y + sqrt(s^2 - r^2) eps                                                        (z = x_t / alpha elsewhere)

has exactly the noise level s, and the prior is shown c in place of z (the "known region" of RePaint, Lugmayr et al. 2022,
equation 8a, with an observation error); below s = r, c = z. Its answer D has counted c with the precision 1 / s^2 where z
should stand, and y not at all. Put right, in an observed cell,

    E[x | z, y] = (D + V ((z - c) / s^2 + y / r^2)) / (1 + V / r^2),        V = s^2 sd^2 / (s^2 + sd^2)

which is y itself for r = 0, and exact where a cell is Gaussian with standard deviation sd and independent of the others. Cells
that are not observed learn from c alone, less than they could: on a smooth Gaussian line with every other cell seen, their
error is .67 where the posterior's is .50 and the prior's 1.09, and the ensemble is 1.4 times as wide as the posterior.
"""

__all__ = ["ReplacementDenoiser", "Replacement"]

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from driftfield.interfaces import Denoiser
from driftfield.linalg.operators import Observed
from driftfield.registry import register
from driftfield.sampling.guidance.methods import DrawPrior, GuidanceMethod, number_option
from driftfield.sampling.guidance.single_cells import single_cells


class ReplacementDenoiser:
    """Has a denoiser and is a denoiser; knows grid-cell observations.

    Arguments:
        denoiser: The prior, which has not seen y. A denoiser that is conditional on y has weighed its error already:
            name only the exact observations to it.
        y: Observed values in network units, anything where not observed.
        observed: Where.
        error_std: Standard deviation r of the observation error, network units.
        eps: The walk's own starting noise, so that a member keeps its stream. None shows the prior z itself, c = z: for
            `RePaintSampler`, whose observed cells carry noise of the right level that is drawn anew in every pass.
        sd: Standard deviation of a cell of the prior.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        y: Float[Tensor, "batch channel *space"],
        observed: Bool[Tensor, "batch channel *space"],
        error_std: Float[Tensor, "batch channel *space"],
        eps: Float[Tensor, "batch channel *space"] | None,
        sd: float = 1.0,
    ) -> None:
        self.schedule = denoiser.schedule
        self.denoiser, self.observed, self.eps, self.sd = denoiser, observed, eps, sd
        # where, not a product: what is not observed may be NaN
        self.y, self.error_std = torch.where(observed, y, 0), torch.where(observed, error_std, 0)

    def __call__(
        self, x_t: Float[Tensor, "batch channel *space"], t: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch channel *space"]:
        alpha, sigma = (part.view(-1, *[1] * (x_t.ndim - 1)) for part in self.schedule.alpha_sigma(t))
        z, s = x_t / alpha, sigma / alpha
        excess = s**2 - self.error_std**2
        active = self.observed & (excess >= 0)
        c = z
        if self.eps is not None:
            c = torch.where(active, self.y + torch.sqrt(excess.clamp(min=0)) * self.eps, z)
        clean = self.denoiser(alpha * c, t)
        exact = self.error_std == 0
        precision = torch.where(exact, 1, self.error_std) ** -2
        v = s**2 * self.sd**2 / (s**2 + self.sd**2)
        weighed = (clean + v * ((z - c) / s**2 + precision * self.y)) / (1 + v * precision)
        return torch.where(self.observed, torch.where(exact, self.y, weighed), clean)


@register("guidance", "replacement")
@dataclass(frozen=True)
class Replacement(GuidanceMethod):
    """`replacement` in recipes and on the command line, with the constants that a user may set.

    Arguments:
        sd: Standard deviation of a cell of the prior, in normalised units.
    """

    sd: float = 1.0
    products = 0

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        y, seen, error = single_cells(observed, eps)
        return ReplacementDenoiser(denoiser, y, seen, error, eps, number_option("sd", self.sd))
