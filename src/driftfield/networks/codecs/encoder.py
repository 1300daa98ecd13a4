"""Fields in physical units -> features that a network works on, with nothing of what lies under the mask.

    PhysicalEncoder    mask (x - mean) / std, or of an increment mask (x - g - mean) / std
    NeuralEncoder      a network in every cell on the physical code and the mask, learned with the rest
    CombinedEncoder    every variable by an encoder of its own

A neural encoder sees one cell at a time: land cannot leak into the ocean through it, and it knows no grid and no seam.
"""

__all__ = ["CombinedEncoder", "Encoder", "NeuralEncoder", "PhysicalEncoder", "cellwise"]

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from driftfield.errors import ConfigurationError
from driftfield.networks.codecs.affine import AffineCodec

Field = Float[Tensor, "batch channel lat lon"]
Mask = Bool[Tensor, "batch channel lat lon"]
Features = Float[Tensor, "batch feature lat lon"]


class Encoder(nn.Module, ABC):
    """Physical fields -> features.

    Arguments:
        channels: Physical channels that go in.
        features: Features that come out.
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.channels, self.features = channels, features

    @abstractmethod
    def forward(self, x: Field, mask: Mask | None = None, first_guess: Field | None = None) -> Features:
        """Encodes.

        Arguments:
            x: Field in physical units; anything, also NaN, outside the mask.
            mask: Where it exists; everywhere if not given.
            first_guess: What an increment is counted from.
        """


class PhysicalEncoder(Encoder):
    """The codec alone: one feature per channel, 0 outside the mask.

    Arguments:
        codec: Fitted mean and standard deviation, of the state or of an increment.
    """

    def __init__(self, codec: AffineCodec) -> None:
        super().__init__(codec.channels, codec.channels)
        self.codec = codec

    def forward(self, x: Field, mask: Mask | None = None, first_guess: Field | None = None) -> Features:
        """mask (x - mean) / std."""
        encoded: Tensor = self.codec.encode(x, first_guess, mask=mask)
        return encoded


class NeuralEncoder(Encoder):
    """A small network in every cell, on the physical code and on where there is one.

    Arguments:
        codec: Brings the field to order one.
        features: Features that come out.
        width: Width of the hidden layer.
    """

    def __init__(self, codec: AffineCodec, features: int, *, width: int = 64) -> None:
        super().__init__(codec.channels, features)
        self.physical = PhysicalEncoder(codec)
        self.network = cellwise(2 * codec.channels, width, features)

    def forward(self, x: Field, mask: Mask | None = None, first_guess: Field | None = None) -> Features:
        """A function of the code and the mask of the same cell."""
        exists = torch.ones_like(x) if mask is None else mask.to(x.dtype)
        encoded: Tensor = self.network(torch.cat([self.physical(x, mask, first_guess), exists], dim=-3))
        return encoded


class CombinedEncoder(Encoder):
    """Variables side by side, each by its own encoder.

    Arguments:
        parts: Encoders in the order of the channels; the features follow each other in the same order.
    """

    def __init__(self, parts: Sequence[Encoder]) -> None:
        check_parts(parts, "encoder")
        super().__init__(sum(part.channels for part in parts), sum(part.features for part in parts))
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Field, mask: Mask | None = None, first_guess: Field | None = None) -> Features:
        """The features of all variables."""
        sizes = [part.channels for part in self.parts]
        divided = [[None] * len(sizes) if f is None else f.split(sizes, dim=-3) for f in (x, mask, first_guess)]
        return torch.cat([part(*fields) for part, *fields in zip(self.parts, *divided, strict=True)], dim=-3)


def check_parts(parts: Sequence[nn.Module], what: str) -> None:
    """Refuses to combine nothing."""
    if not parts:
        raise ConfigurationError(f"Found no {what} to combine: pass one per variable.")


def cellwise(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Two layers with a nonlinearity between them, the same in every cell."""
    return nn.Sequential(nn.Conv2d(inputs, width, 1), nn.SiLU(), nn.Conv2d(width, outputs, 1))
