"""A network that gives what interpolation leaves: plain convolutions, or a U-Net, all targets together.

    network( interpolated coarse anomalies, static fields ) -> z         minimise the squared error over training dates

z and the way back are those of `networked`. Anything registered as a network will do: `ResidualUNet` with one width is a stack of
plain convolutions.
"""

__all__ = ["NetworkRegression"]

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from torch import nn

from driftfield.diffusion.model import RegressionModel
from driftfield.fields import FieldBatch
from driftfield.peers.downscaling.base import Downscaler
from driftfield.peers.downscaling.networked import NetworkAnswer, NetworkDownscaler, SharedSettings
from driftfield.registry import register


@register("downscaler")
class NetworkRegression(NetworkDownscaler):
    """A regression network on the fine grid; one field, no spread.

    Arguments:
        network, shared: See `NetworkDownscaler`.
    """

    method = "network regression"
    abilities = replace(Downscaler.abilities, needs_training=True)

    def __init__(self, network: Mapping[str, Any], **shared: Unpack[SharedSettings]) -> None:
        super().__init__(network, **shared)

    def objective(self, network: nn.Module) -> RegressionModel:
        """The mean."""
        return RegressionModel(network)

    def answer(self, batch: FieldBatch, members: int, seed: int, stamp: int) -> NetworkAnswer:
        """One look."""
        return NetworkAnswer(self.model(batch)[0])
