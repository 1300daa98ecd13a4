"""The regression U-Net: the model's own network, size and inputs, trained to give the mean at once.

One field and no spread; what sampling adds is what the diffusion model has on top of it. With output noise it also says how far
each cell may be off, and then has members: their noise is independent from cell to cell, so that each cell has a distribution
but a member is no field that could exist (docs/decisions/0014-output-noise.md).
"""

__all__ = ["RegressionReconstructor"]

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Unpack

import torch
import xarray as xr
from torch import nn

from driftfield.data.codec import FieldCodec
from driftfield.diffusion.loss import Where, check_where
from driftfield.diffusion.model import RegressionModel, from_residual
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.interfaces import Abilities, Cannot
from driftfield.models.networked import NetworkReconstructor, Shared
from driftfield.models.noisy_regression import NoisyRegressionModel, check_noise, noise_for
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import DatedWindow, Draws, NetworkEstimate
from driftfield.registry import register


@register("reconstructor")
class RegressionReconstructor(NetworkReconstructor):
    """A regression network as a `Reconstructor`.

    Arguments:
        network, observing, shared: See `NetworkReconstructor`.
        output_noise: "gaussian" (the network gives the mean), "laplace" (the median), or one of them per target; default none.
        loss_over: Cells that teach: "domain" or "unobserved".
    """

    method: ClassVar[str] = "unet"

    def __init__(
        self,
        network: Mapping[str, Any],
        observing: Mapping[str, Any],
        *,
        output_noise: str | Mapping[str, str] | None = None,
        loss_over: Where = "domain",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(network, observing, **shared)
        if output_noise is not None:
            check_noise(output_noise)
        check_where(loss_over)
        self.loss_over = loss_over
        self.output_noise = dict(output_noise) if isinstance(output_noise, Mapping) else output_noise

    def arguments(self) -> JSONObject:
        own = {} if self.output_noise is None else {"output_noise": self.output_noise}
        return super().arguments() | own | ({} if self.loss_over == "domain" else {"loss_over": self.loss_over})

    @property
    def abilities(self) -> Abilities:
        """Looks once; only output noise has members that differ."""
        at_once = Cannot("gives its answer in one look of the network")
        return replace(
            super().abilities,
            spreads=self.spreads or Cannot("gives one field and no spread"),
            sampler=at_once,
            precision=at_once,
            replacement=at_once,
            batch_size=at_once,
        )

    @property
    def spreads(self) -> bool:
        """Whether members differ."""
        return self.output_noise is not None

    def objective(self, network: nn.Module, codec: FieldCodec) -> RegressionModel:
        if self.output_noise is None:
            return RegressionModel(network, loss_over=self.loss_over)
        if codec.bounds and self.augment.get("mix"):
            raise ConfigurationError(
                "A mix of two fields does not keep the bounds of either: expected augment.mix without data.bounds "
                "where there is output noise. Drop one of them."
            )
        noises = (noise_for(self.output_noise, codec), noise_for(self.output_noise, codec))
        return NoisyRegressionModel(network, *noises, loss_over=self.loss_over)

    def complete(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        """One field per time, however many members are asked for, unless there is output noise."""
        draws.refuse(self, "batch_size", "watcher", "keeper", "guide", "tiles")
        return super().complete(observations, draws if self.spreads else replace(draws, members=1))

    def estimate(self, batch: FieldBatch, window: DatedWindow, draws: Draws) -> NetworkEstimate:
        """Mean and standard deviation where there is output noise, and the members; one member without."""
        assert isinstance(self.model, RegressionModel)
        wrap = window.wraps(self.codec)
        if not isinstance(self.model, NoisyRegressionModel):
            return NetworkEstimate(from_residual(batch, self.model(batch, wrap=wrap)))
        noise = window.noise(self.codec.channel_names(), draws.seed, range(draws.members), batch.target.device)
        with torch.no_grad():
            mean, sd, members = self.model.estimate(batch, noise(0), wrap=wrap)
        return NetworkEstimate(members, mean, sd)
