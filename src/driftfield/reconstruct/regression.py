"""The regression U-Net: the model's own network, size and inputs, trained to give the mean at once.

One field and no spread; what sampling adds is what the diffusion model has on top of it.
"""

__all__ = ["RegressionReconstructor"]

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from driftfield.diffusion.model import RegressionModel, from_residual
from driftfield.fields import FieldBatch
from driftfield.reconstruct.networked import NetworkReconstructor
from driftfield.registry import register


@register("reconstructor")
class RegressionReconstructor(NetworkReconstructor):
    """A regression network as a `Reconstructor`; the arguments are those of `NetworkReconstructor`."""

    method: ClassVar[str] = "unet"

    def _build_model(self, network: nn.Module) -> RegressionModel:
        return RegressionModel(network)

    def reconstruct(self, observations: Any, *, members: int, seed: int = 0, **options: Any) -> Any:
        """One field per time, however many members are asked for."""
        return super().reconstruct(observations, members=1, seed=seed, times=options.get("times"))

    def draw(
        self, batch: FieldBatch, *, members: Sequence[int], seed: int, stamp: str, rows: np.ndarray, columns: np.ndarray
    ) -> Tensor:
        """(1, channel, lat, lon) in network units."""
        assert isinstance(self.model, RegressionModel)
        wrap = self._codec.grid.periodic and len(columns) == self._codec.grid.lon.size
        return from_residual(batch, self.model(batch, wrap=wrap))
