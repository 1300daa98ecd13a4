"""Neural operators: networks of waves, whose weights mean the same on every grid.

    condition --> features                                    once per sample
                     |
    x_t, c_noise --> + --> blocks --> mix with the input --> prediction       once per evaluation

    block      h + out( gelu( (spectral + local)( FiLM( norm h ))))           FiLM as in the U-Nets; `SoftNorm`

On a torus nothing is padded. Elsewhere rows, and columns where longitude does not wrap, are continued with zeros by a
quarter, so that one border does not see the other; that share is the same on every grid. The longest waves are counted
across the padded field.
"""

__all__ = ["NeuralOperator", "OperatorOptions", "SpectralBlock", "one_of_each"]

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from driftfield.errors import ConfigurationError, whole_number
from driftfield.fields import FieldBatch
from driftfield.networks.blocks import Conv, FiLM, silent
from driftfield.networks.canvas import condition_channels, stack_condition
from driftfield.networks.embeddings import LabelEmbedding, NoiseEmbedding, PlaceDateEmbedding
from driftfield.networks.spectral import PhysicalConv, SpectralConv, dealiased
from driftfield.networks.unet import Encoded


class SoftNorm(nn.Module):
    """h / sqrt(1 + mean of h^2 over the channels of the cell), scaled and shifted.

    A layer norm divides by what may be near 0, and makes waves of all lengths where it is; this one is smooth everywhere.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, h: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        scale = self.weight[:, None, None] * torch.rsqrt(1 + (h * h).mean(1, keepdim=True))
        return h * scale + self.bias[:, None, None]


class SpectralBlock(nn.Module):
    """Residual block of a spectral convolution and a local path.

    Arguments:
        channels: In and out.
        embedding: Length of what steers it.
        modes, rank: Of the spectral convolution.
        dealias: Whether the nonlinearity is evaluated on a finer grid.
        dropout: Probability.
        local: The path beside it; one number per cell and channel pair by default.
    """

    def __init__(
        self,
        channels: int,
        embedding: int,
        *,
        modes: int,
        rank: float | None = None,
        dealias: bool = False,
        dropout: float = 0.0,
        local: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.norm, self.film = SoftNorm(channels), FiLM(embedding, channels)
        self.spectral = SpectralConv(channels, channels, modes, rank)
        self.local = Conv(channels, channels, 1) if local is None else local
        self.out = silent(Conv(channels, channels, 1))
        self.dropout, self.dealias = nn.Dropout(dropout), dealias

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        inner = self.film(self.norm(h), embedding)
        mixed = self.spectral(inner) + self.local(inner)
        active = dealiased(F.gelu, mixed) if self.dealias else F.gelu(mixed)
        return h + self.out(self.dropout(active))


class OperatorOptions(TypedDict, total=False):
    """What every neural operator takes by name: see `NeuralOperator`."""

    covariates: int
    first_guess: bool
    width: int
    modes: int
    rank: float | None
    condition_layers: int
    embedding: int
    dropout: float
    dealias: bool
    torus: bool
    position: str
    visible: bool
    date: bool
    statics: int
    labels: Sequence[int]


class NeuralOperator(nn.Module, ABC):
    """A conditional neural operator.

    Arguments:
        channels: Channels of the field.
        width: Features of every cell.
        covariates, first_guess, visible, statics, labels: What is known, as of `UNet`.
        modes: Waves across the (padded) field, at most.
        rank: Share of the parameters of the spectral weights that their factors have; None for none.
        condition_layers: Blocks of the encoder of the condition.
        embedding: Length of the context vector.
        dropout: Probability inside every block.
        dealias: Whether nonlinearities are evaluated on 3/2 as many cells: further from folding, and slower.
        torus: Whether rows wrap too, and columns in any case.
        position, date: As of `UNet`.

    Raises:
        ConfigurationError: a number that makes no sense.
    """

    def __init__(
        self,
        channels: int,
        covariates: int = 0,
        first_guess: bool = False,
        *,
        width: int = 32,
        modes: int = 16,
        rank: float | None = None,
        condition_layers: int = 1,
        embedding: int = 128,
        dropout: float = 0.0,
        dealias: bool = False,
        torus: bool = False,
        position: str = "unit_sphere",
        visible: bool = False,
        date: bool = True,
        statics: int = 0,
        labels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("modes", modes), ("embedding", embedding)):
            whole_number(name, value)
        whole_number("condition_layers", condition_layers, 0)
        self.torus, self.first_guess, self.visible, self.statics = torus, first_guess, visible, statics
        self.embedding, self.modes = embedding, modes
        self.options = {"rank": rank, "dealias": dealias, "dropout": dropout}
        self.context = PlaceDateEmbedding(embedding, covariates, position, date)
        self.labels = LabelEmbedding(embedding, labels) if labels else None
        self.noise = NoiseEmbedding(embedding)
        self.stem = Conv(channels, width, 1)
        known = condition_channels(channels, covariates, first_guess=first_guess, visible=visible, statics=statics)
        self.condition_stem = Conv(known, width, 1)
        self.encoder = nn.ModuleList(self.block(width, modes) for _ in range(condition_layers))
        self.mix, self.head = Conv(3 * width, width, 1), silent(Conv(width, channels, 1))

    def block(self, width: int, modes: int) -> SpectralBlock:
        """One block with the options of this network."""
        return SpectralBlock(width, self.embedding, modes=modes, **self.options)  # type: ignore[arg-type]

    @abstractmethod
    def trunk(self, h: Float[Tensor, "batch width y x"], embedding: Tensor) -> Float[Tensor, "batch width y x"]:
        """What is done in every evaluation."""

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> Encoded:
        """What is known, as features; does not see `batch.target`."""
        condition = stack_condition(batch, first_guess=self.first_guess, visible=self.visible, statics=self.statics)
        context = self.context(batch.position, batch.date, batch.presence)
        if self.labels is not None:
            context = context + self.labels(batch.labels)
        self._place(condition.shape[-1], wrap)
        h = self.condition_stem(self._padded(condition, wrap))
        for block in self.encoder:
            h = block(h, context)
        return Encoded([h], context, batch.domain.float().amax(dim=1, keepdim=True), wrap)

    def forward(
        self, x: Float[Tensor, "batch channel lat lon"], c_noise: Float[Tensor, " batch"], encoded: Encoded
    ) -> Float[Tensor, "batch channel lat lon"]:
        """The prediction for the scaled noisy field x (0 outside the domain)."""
        rows, columns = x.shape[-2:]
        self._place(columns, encoded.wrap)
        stem = self.stem(self._padded(x, encoded.wrap))
        embedding = F.silu(self.noise(c_noise)) + encoded.context
        h = self.trunk(stem + encoded.features[0], embedding)
        h = F.silu(self.mix(torch.cat([h, stem, encoded.features[0]], dim=1)))
        return self.head(h)[..., :rows, :columns]

    def _padded(self, x: Tensor, wrap: bool) -> Tensor:
        if self.torus:
            return x
        rows, columns = x.shape[-2:]
        return F.pad(x, (0, 0 if wrap else math.ceil(columns / 4), 0, math.ceil(rows / 4)))

    def _place(self, columns: int, wrap: bool) -> None:
        """Tells local paths how wide a cell is and what wraps."""
        for module in self.modules():
            if isinstance(module, PhysicalConv):
                module.scale, module.wrap, module.torus = module.points / columns, wrap, self.torus


def one_of_each(**lists: Sequence[int]) -> None:
    """Raises `ConfigurationError` unless the lists hold as many whole numbers above 0, one for each resolution."""
    sizes = {name: len(values) for name, values in lists.items()}
    if len(set(sizes.values())) > 1 or not all(sizes.values()):
        said = " and ".join(f"{size} {name}" for name, size in sizes.items())
        raise ConfigurationError(f"Found {said}: expected one of each per resolution.")
    for name, values in lists.items():
        for value in values:
            whole_number(name, value)
