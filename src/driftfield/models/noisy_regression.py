"""A regression network with output noise: the likelihood trains it, the tracked scale gives it a spread.

    x = clamp(network(batch) + scale u, lower, upper)        u normal or Laplace, independent from cell to cell

Two scales per channel are tracked, of hidden and of observed cells: at an observed cell the network has little left to guess.
The likelihood takes the scale of the hidden cells for all, or the few cells that are known already would outweigh the rest.
"""

__all__ = ["NoisyRegressionModel", "noise_for"]

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from driftfield.data.codec import FieldCodec
from driftfield.diffusion.batch_part import refuse_parts
from driftfield.diffusion.loss import Where
from driftfield.diffusion.model import RegressionModel, from_residual, to_residual
from driftfield.errors import ConfigurationError, suggest
from driftfield.fields import FieldBatch
from driftfield.networks.codecs import GaussianNoise, LaplaceNoise, NoisePerVariable, OutputNoise

KINDS = {"gaussian": GaussianNoise, "laplace": LaplaceNoise}


class NoisyRegressionModel(RegressionModel):
    """The regression network, its noise beside it; its weights have the names that they have without.

    Arguments:
        network: As of `RegressionModel`.
        hidden: Noise where nothing was observed, in units of the residual that the network predicts.
        seen: Noise where something was.
        loss_over: Cells that teach: "domain" or "unobserved".
    """

    def __init__(
        self, network: nn.Module, hidden: OutputNoise, seen: OutputNoise, *, loss_over: Where = "domain"
    ) -> None:
        super().__init__(network, loss_over=loss_over)
        self.hidden, self.seen = hidden, seen

    def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Tensor:
        """Masked mean negative log-likelihood; while training, the scales follow the residuals."""
        x, location = to_residual(batch, batch.target), self(batch, wrap=wrap)
        mask, bounds = self.teaching_cells(batch), residual_bounds(batch)
        if self.training:
            refuse_parts("output_noise counts its scales")
            self.hidden.update(x, location, mask & ~batch.seen.where, **bounds)
            self.seen.update(x, location, mask & batch.seen.where, **bounds)
        return self.hidden.nll(x, location, mask, **bounds)

    def estimate(self, batch: FieldBatch, eps: Tensor, *, wrap: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and standard deviation (channel, lat, lon) in closed form, and a member per standard normal field.

        Arguments:
            batch: One sample.
            eps: (member, channel, lat, lon).
            wrap: Whether its window goes round the globe.
        """
        location, bounds = self(batch, wrap=wrap), residual_bounds(batch)
        (mean_seen, sd_seen), (mean_hidden, sd_hidden) = (
            noise.moments(location, **bounds) for noise in (self.seen, self.hidden)
        )
        mean, sd = (
            torch.where(batch.seen.where, mean_seen, mean_hidden),
            torch.where(batch.seen.where, sd_seen, sd_hidden),
        )
        seen, hidden = (noise.sample(location, eps, **bounds) for noise in (self.seen, self.hidden))
        members = from_residual(batch.repeat(len(eps)), torch.where(batch.seen.where, seen, hidden))
        if batch.guess is not None:
            sd = sd * batch.guess.scale
        return from_residual(batch, mean)[0], sd[0], torch.where(batch.domain, members, 0)


def noise_for(spec: str | Mapping[str, str], codec: FieldCodec) -> OutputNoise:
    """The noise of all channels.

    Arguments:
        spec: "gaussian" or "laplace", or one of them per target.
        codec: Knows targets and levels.

    Raises:
        ConfigurationError: a target without a word, or a word for what is no target.
    """
    if isinstance(spec, str):
        return KINDS[spec](len(codec.channels()))
    for name in spec:
        if name not in codec.targets:
            raise ConfigurationError(f"output_noise names {name!r}, which is no target: {suggest(name, codec.targets)}")
    if missing := [name for name in codec.targets if name not in spec]:
        raise ConfigurationError(f"output_noise lacks {missing}: expected one of {sorted(KINDS)} for every target.")
    return NoisePerVariable([KINDS[spec[name]](len(codec.grid.levels[name])) for name in codec.targets])


def check_noise(spec: Any) -> None:
    """Raises `ConfigurationError` for what is neither a kind of noise nor one per variable."""
    words = list(spec.values()) if isinstance(spec, Mapping) else [spec]
    for word in words or [spec]:
        if not isinstance(word, str) or word not in KINDS:
            allowed = f"expected one of {sorted(KINDS)}, or one per target, such as {{siconc: laplace}}"
            raise ConfigurationError(f"Found output_noise={spec!r}: {allowed}; leave it out for none.")


def residual_bounds(batch: FieldBatch) -> dict[str, Tensor | None]:
    """The bounds of what the network predicts."""
    if batch.bounds is None:
        return {"lower": None, "upper": None}
    ends: dict[str, Tensor | None] = {"lower": batch.bounds.lower, "upper": batch.bounds.upper}
    if (guess := batch.guess) is None:
        return ends
    return {name: None if end is None else (end - guess.mean) / guess.scale for name, end in ends.items()}
