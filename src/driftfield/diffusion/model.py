"""A conditional diffusion model: a network, a schedule, and what the network predicts; knows its loss and its denoiser.

With a first guess g of error scale d the model draws the residual r = (x - g) / d in place of x. Where its noise has a colour A
it draws u = A^-1 r, in which the noise is white (`diffusion.noise`): `whitened` and `drawn` are the two borders, and nothing
between them knows.

Trained on fields with gaps it is shown x_t where the batch says `visible` (see `diffusion.loss`), and told where that is; a walk
has x_t everywhere, and says so. That is a mask like those of training where the gaps leave wide clear stretches, which is
what the network looks at; docs/decisions/0012-gappy-training.md says what is to be done where they do not.
"""

__all__ = ["DiffusionModel", "RegressionModel", "from_residual", "known_cells", "to_residual"]

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from driftfield.diffusion.batch_part import part_rows, refuse_parts
from driftfield.diffusion.denoiser import NetworkDenoiser, Preconditioning
from driftfield.diffusion.loss import Where, diffusion_loss, level_errors, loss_mask, masked_mean
from driftfield.diffusion.noise import DiffusionNoise, WhiteNoise
from driftfield.diffusion.noise_levels import NoiseLevels, UniformLevels, stratified
from driftfield.diffusion.parameterization import Parameterization
from driftfield.diffusion.schedule import Schedule
from driftfield.diffusion.tabulated_schedules import AdaptiveSchedule
from driftfield.diffusion.weighting import Weighting
from driftfield.fields import FieldBatch


def to_residual(batch: FieldBatch, x: Tensor) -> Tensor:
    """(x - first guess) / its scale inside the domain; x itself where there is no first guess."""
    if batch.guess is None:
        return x
    return torch.where(batch.domain, (x - batch.guess.mean) / batch.guess.scale, 0)


def from_residual(batch: FieldBatch, r: Tensor) -> Tensor:
    """The inverse of `to_residual`."""
    if batch.guess is None:
        return r
    return torch.where(batch.domain, r * batch.guess.scale + batch.guess.mean, 0)


def known_cells(batch: FieldBatch) -> Bool[Tensor, "batch channel lat lon"]:
    """Cells of the domain whose truth is known."""
    return batch.domain & (batch.seen.where | batch.held_out)


class DiffusionModel(nn.Module):
    """p(x | observations) as a denoiser that can be trained.

    Arguments:
        network: `encode(batch, wrap=...)` once per sample and `network(x, c_noise, encoded)` once per evaluation.
        schedule: Shared by training and sampling.
        parameterization: What the network predicts.
        noise_levels: The density of training noise levels.
        weighting: Of the noise levels in the loss.
        sd: Standard deviation of the (normalised) data.
        loss_over: Cells that teach: "domain" or "unobserved".
        loss_exponent: Of every weighted squared error, see `diffusion_loss`.
        noise: White if not given.

    Raises:
        ConfigurationError: an adaptive schedule with a weighting that has no w(gamma); a loss over some cells with a coloured
            noise, whose unknowns are no cells.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        *,
        parameterization: Parameterization,
        noise_levels: NoiseLevels,
        weighting: Weighting,
        sd: float = 1.0,
        loss_over: Where = "domain",
        loss_exponent: float = 1.0,
        noise: DiffusionNoise | None = None,
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.noise = WhiteNoise() if noise is None else noise
        if loss_over != "domain":
            self.noise.refuse(f"diffusion.loss_over: {loss_over}")
        self.schedule, self.noise_levels, self.weighting = schedule, noise_levels, weighting
        self.preconditioning = Preconditioning(schedule, parameterization, sd)
        self.loss_over, self.loss_exponent = loss_over, loss_exponent
        self.adaptive = isinstance(schedule, AdaptiveSchedule)
        if self.adaptive:
            weighting.w(torch.zeros(1))

    def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Float[Tensor, ""]:
        """The masked weighted loss at random noise levels; `generator` is on the CPU, so that devices agree.

        While training, an adaptive schedule learns from it where the error is.

        Raises:
            ConfigurationError: fields with land or gaps, and a noise that has a colour.
        """
        known = known_cells(batch)
        self.noise.check(known if batch.visible is None else known & batch.visible, known.shape[-2:])
        x = self.whitened(batch, batch.target)
        u = part_rows(len(batch), lambda rows: stratified(rows, generator)).to(x.device)
        eps = part_rows(len(batch), lambda rows: torch.randn(rows, *x.shape[1:], generator=generator)).to(x.device)
        # a validation is compared with the one before: its levels may not move with an adaptive schedule
        levels = UniformLevels() if self.adaptive and not self.training else self.noise_levels
        gamma = levels.gamma(u, self.schedule)
        t = self.schedule.t(gamma).clamp(0, 1)
        alpha, sigma = (part.view(-1, 1, 1, 1) for part in self.schedule.alpha_sigma(t))
        encoded = self.network.encode(batch, wrap=wrap)
        denoiser = NetworkDenoiser(
            self.preconditioning,
            lambda scaled, c_noise: self.network(scaled, c_noise, encoded),
            batch.domain,
            batch.visible,
        )
        mask = self.teaching_cells(batch)
        x_hat = denoiser(alpha * x + sigma * eps, t)
        loss = diffusion_loss(
            x_hat,
            x,
            gamma,
            mask=mask,
            schedule=self.schedule,
            noise_levels=levels,
            weighting=self.weighting,
            visible=batch.visible,
            sd=self.preconditioning.sd,
            exponent=self.loss_exponent,
        )
        # last: the loss is weighted by the density that its levels were drawn from
        if self.adaptive and self.training:
            self._learn_levels(x_hat, x, gamma, mask if batch.visible is None else mask & batch.visible)
        return loss

    def teaching_cells(self, batch: FieldBatch) -> Bool[Tensor, "batch channel lat lon"]:
        """The cells over which the loss is a mean."""
        return loss_mask(known_cells(batch), batch.seen.where, self.loss_over)

    def whitened(self, batch: FieldBatch, x: Tensor) -> Float[Tensor, "batch channel lat lon"]:
        """Fields in network units as what is diffused."""
        return self.noise.whiten(to_residual(batch, x))

    def drawn(self, batch: FieldBatch, u: Tensor) -> Float[Tensor, "batch channel lat lon"]:
        """The inverse of `whitened`: what a walk ends with as fields in network units, 0 outside the domain."""
        return from_residual(batch, torch.where(batch.domain, self.noise.color(u), 0))

    @torch.no_grad()
    def _learn_levels(self, x_hat: Tensor, x: Tensor, gamma: Tensor, mask: Tensor) -> None:
        assert isinstance(self.schedule, AdaptiveSchedule)
        refuse_parts("AdaptiveSchedule learns the noise levels")
        self.schedule.update(gamma, self.weighting.w(gamma) * level_errors(x_hat, x, gamma, mask))

    @torch.no_grad()
    def watch(self) -> dict[str, float]:
        """What an adaptive schedule has learned, for the log: mean and standard deviation of ln s in training."""
        if not self.adaptive:
            return {}
        levels = self.noise_levels.gamma((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000, self.schedule) / -2
        return {"training_log_s_mean": float(levels.mean()), "training_log_s_std": float(levels.std())}

    def denoiser(self, batch: FieldBatch, *, members: int = 1, wrap: bool = False) -> NetworkDenoiser:
        """The denoiser of every sample `members` times in a row; the condition is encoded once per sample, here."""
        # a walk has x_t everywhere, whatever a training sample was shown of it
        encoded = self.network.encode(replace(batch, visible=None), wrap=wrap).repeat(members)
        domain = batch.domain.repeat_interleave(members, dim=0)
        return NetworkDenoiser(
            self.preconditioning, lambda scaled, c_noise: self.network(scaled, c_noise, encoded), domain
        )


class RegressionModel(nn.Module):
    """The same network trained to give the mean at once: the peer that shows what sampling adds.

    Arguments:
        network: As of the diffusion model; its noisy field stays 0.
        loss_over: Cells that teach: "domain" or "unobserved".
    """

    def __init__(self, network: nn.Module, *, loss_over: Where = "domain") -> None:
        super().__init__()
        self.network: Any = network
        self.loss_over = loss_over

    def forward(self, batch: FieldBatch, *, wrap: bool = False) -> Float[Tensor, "batch channel lat lon"]:
        """The mean of the (residual) field, 0 outside the domain."""
        nothing = torch.zeros_like(batch.target)
        encoded = self.network.encode(batch, wrap=wrap)
        mean = self.network(nothing, nothing.new_zeros(len(batch)), encoded).float()
        return torch.where(batch.domain, mean, 0)

    def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Float[Tensor, ""]:
        """Masked mean squared error."""
        x = to_residual(batch, batch.target)
        return masked_mean((self(batch, wrap=wrap) - x) ** 2, self.teaching_cells(batch))

    def teaching_cells(self, batch: FieldBatch) -> Bool[Tensor, "batch channel lat lon"]:
        """The cells over which the loss is a mean."""
        return loss_mask(known_cells(batch), batch.seen.where, self.loss_over)
