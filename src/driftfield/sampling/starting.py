"""Where a walk starts: x_t at t = 1, the last noise level s of the schedule.

There a Gaussian mode of variance c and mean mu has the marginal N(mu, c + s^2). In z = x_t / alpha, with k = c / (c + s^2) and
D(z) = mu + k (z - mu), a draw of it is

    z = mu + s e / sqrt(1 - k) = mu + s e (1 + k/2 + 3 k^2/8 + ...)

    "zero"       z = s e                                                     no look       mean and k/2 are missing
    "mean"       z = s e + D(s e)           = (1 - k) mu + s e (1 + k)       one look      counts e twice: too wide by k/2
    "marginal"   z = s e + 3/4 D(s e) + 1/4 D(3/2 D(s e) - s e)              two looks     right up to k^2

The last is (1 - 5/8 k - 3/8 k^2) mu + s e (1 + k/2 + 3 k^2/8): its two weights and the 3/2 are the ones for which
the mean is whole at k -> 0 and the spread is right to the second order. At c = (s/4)^2 it is .006 % off in spread and the walk
loses .9 % of the mean; the even and odd parts of a pair D(s e), D(-s e) leave .13 % and 1.4 %.
"""

__all__ = ["STARTS", "Start", "conditional_mean", "marginal", "start_named"]

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.interfaces import Denoiser


@dataclass(frozen=True)
class Start:
    """One way to begin a walk.

    Arguments:
        evaluations: Looks of the denoiser that it costs.
        beyond_noise: (denoiser, eps) -> z - s eps, what a sampler takes as `initial`.
    """

    evaluations: int
    beyond_noise: Callable[[Denoiser, Float[Tensor, "batch channel *space"]], Float[Tensor, "batch channel *space"]]


def conditional_mean(denoiser: Denoiser, eps: Tensor) -> Tensor:
    """D(s eps) at t = 1: (1 - k) of the mean of what the denoiser is conditional on, and k s eps. One look.

    A guided walk that starts there in place of at 0 does not have to find the mean of the largest structures at noise levels
    that drown it only in part.
    """
    _, sigma, t = _end(denoiser, eps)
    return denoiser(sigma * eps, t)


def marginal(denoiser: Denoiser, eps: Tensor) -> Tensor:
    """What makes s eps a draw of the marginal at t = 1, to the second order in k."""
    alpha, sigma, t = _end(denoiser, eps)
    first = denoiser(sigma * eps, t)
    return torch.lerp(denoiser(alpha * 1.5 * first - sigma * eps, t), first, 0.75)


def _end(denoiser: Denoiser, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(alpha, sigma, t) of the end of the schedule, for every sample."""
    t = torch.ones(eps.shape[0], device=eps.device)
    alpha, sigma = (part.view(-1, *[1] * (eps.ndim - 1)) for part in denoiser.schedule.alpha_sigma(t))
    return alpha, sigma, t


STARTS = {
    "zero": Start(0, lambda denoiser, eps: torch.zeros_like(eps)),
    "mean": Start(1, conditional_mean),
    "marginal": Start(2, marginal),
}


def start_named(name: str) -> Start:
    """A member of `STARTS`.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name not in STARTS:
        raise ConfigurationError(f"Found start: {name!r}; a walk starts at one of {', '.join(sorted(STARTS))}.")
    return STARTS[name]
