"""A network as a denoiser: (x_t, t) -> posterior mean of the clean field, however the network is parameterised.

D(x_t, t) = clean( network(c_in x_t, c_noise), x_t ),    c_in = 1 / sqrt(alpha^2 sd^2 + sigma^2),   c_noise = ln(s) / 4

In a cell where there is no x_t (`visible` is false) the network is shown 0, and D = sd network(...): s is infinite there.
"""

__all__ = ["NetworkDenoiser", "Preconditioning"]

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from driftfield.diffusion.parameterization import Parameterization
from driftfield.diffusion.schedule import Schedule


class Preconditioning:
    """Brings x_t to unit variance, names the noise level to the network, and reads its prediction.

    Arguments:
        schedule: The schedule that x_t follows.
        parameterization: What the network predicts.
        sd: Standard deviation of the (normalised) data.
    """

    def __init__(self, schedule: Schedule, parameterization: Parameterization, sd: float = 1.0) -> None:
        self.schedule, self.parameterization, self.sd = schedule, parameterization, sd

    def denoise(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        x_t: Float[Tensor, "batch channel *space"],
        t: Float[Tensor, " batch"],
        visible: Bool[Tensor, "batch channel *space"] | None = None,
    ) -> Float[Tensor, "batch channel *space"]:
        """E[x | x_t] from `network(scaled x_t, c_noise)`; x_t is 0 where it is not `visible`."""
        alpha, sigma = self.schedule.alpha_sigma(t)
        c_noise = torch.log(sigma / alpha) / 4
        alpha, sigma = (part.view(-1, *[1] * (x_t.ndim - 1)) for part in (alpha, sigma))
        # fp32: the error is divided by s below, which a half-precision prediction would not survive
        prediction = network(x_t / torch.hypot(self.sd * alpha, sigma), c_noise).float()
        clean = self.parameterization.clean(prediction, x_t, alpha, sigma)
        return clean if visible is None else torch.where(visible, clean, self.sd * prediction)


class NetworkDenoiser:
    """A network with its condition bound, kept inside the domain.

    Arguments:
        preconditioning: How x_t reaches the network.
        network: (scaled x_t, c_noise) -> prediction; the condition was encoded once and is bound to it.
        domain: Where the field exists; elsewhere x_t is not looked at and the answer is 0.
        visible: Where x_t exists, a part of the domain; all of it if not given.
    """

    def __init__(
        self,
        preconditioning: Preconditioning,
        network: Callable[[Tensor, Tensor], Tensor],
        domain: Bool[Tensor, "batch channel *space"],
        visible: Bool[Tensor, "batch channel *space"] | None = None,
    ) -> None:
        self.schedule = preconditioning.schedule
        self.preconditioning, self.network, self.domain, self.visible = preconditioning, network, domain, visible
        # where the field exists everywhere there is nothing to keep out
        self._everywhere = visible is None and bool(domain.all())

    def __call__(
        self, x_t: Float[Tensor, "batch channel *space"], t: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch channel *space"]:
        if self._everywhere:
            return self.preconditioning.denoise(self.network, x_t, t)
        x_t = torch.where(self.domain if self.visible is None else self.visible, x_t, 0)
        return torch.where(self.domain, self.preconditioning.denoise(self.network, x_t, t, self.visible), 0)
