"""A weighting that learns how uncertain each noise level is, and brings all of them to equal loss.

    loss = E over gamma ~ p of  factor(gamma) |error|^2 / exp(u(gamma)) + u(gamma)
    least at        u(gamma) = ln E[factor |error|^2 | gamma]

u is a linear map of random Fourier features of c_noise = ln(s) / 4, trained together with the network. At its best every level
has the loss 1 + u, and the gradient of the network is that of the sum of the logarithms of the levels' losses
(Karras et al. 2024, arXiv 2312.02696, equations 14 to 16).
"""

__all__ = ["LearnedWeighting"]

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from driftfield.diffusion.weighting import Weighting
from driftfield.errors import ConfigurationError
from driftfield.registry import build, register


@register("weighting")
class LearnedWeighting(Weighting, nn.Module):
    """exp(-u(gamma)) times another weighting; it starts as that one.

    Arguments:
        base: Class and arguments of the other weighting; EDM's by default.
        features: Of the noise level.
        seed: Of the features.
    """

    def __init__(self, base: Mapping[str, Any] | None = None, features: int = 128, seed: int = 0) -> None:
        nn.Module.__init__(self)
        if features < 1:
            raise ConfigurationError(f"Found features={features}: expected 1 or more.")
        self.base: Weighting = build("weighting", base or {"class": "EDMWeighting"})
        if isinstance(self.base, LearnedWeighting):
            raise ConfigurationError("The base of a LearnedWeighting is another one. Name a weighting that is fixed.")
        generator = torch.Generator().manual_seed(seed)
        # parameters without a gradient: kept, resumed and shipped with the weights that belong to them
        self.frequencies = nn.Parameter(2 * math.pi * torch.randn(features, generator=generator), requires_grad=False)
        self.phases = nn.Parameter(2 * math.pi * torch.rand(features, generator=generator), requires_grad=False)
        self.weight = nn.Parameter(torch.zeros(features))
        self.bias = nn.Parameter(torch.zeros(()))

    def u(self, gamma: Tensor) -> Tensor:
        """Logarithm of the expected weighted error at this level, shape of gamma."""
        c_noise = -gamma.unsqueeze(-1).to(self.weight) / 8
        waves = math.sqrt(2) * torch.cos(self.frequencies * c_noise + self.phases)
        # a product and a sum, not a linear layer: autocast would round it
        return ((waves * self.weight).sum(-1) / math.sqrt(len(self.weight)) + self.bias).to(gamma)

    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        return self.base.factor(gamma, p) * torch.exp(-self.u(gamma))

    def w(self, gamma: Tensor) -> Tensor:
        return self.base.w(gamma) * torch.exp(-self.u(gamma))

    def offset(self, gamma: Tensor) -> Tensor:
        return self.u(gamma)
