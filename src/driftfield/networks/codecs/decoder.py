"""Features of a network -> a distribution of the physical field, between its bounds.

    PhysicalDecoder    location = z std + mean, or g + z std + mean of an increment;   field = clamp(location + scale u)
    NeuralDecoder      z = network(features) in every cell, learned with the rest;      then as above
    CombinedDecoder    every variable by a decoder of its own

u is the output noise (`driftfield.networks.codecs.output_noise`). The field is clamped first and masked afterwards, so that the 0
of a masked cell is never mistaken for a bound, and never moved to one.
"""

__all__ = ["CombinedDecoder", "Decoder", "NeuralDecoder", "PhysicalDecoder"]

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from driftfield.errors import ConfigurationError
from driftfield.networks.codecs.affine import AffineCodec
from driftfield.networks.codecs.encoder import Features, Field, Mask, cellwise, check_parts
from driftfield.networks.codecs.output_noise import OutputNoise


class Decoder(nn.Module, ABC):
    """Features -> field with its noise; a mask says where the field exists, a first guess what an increment is counted from.

    Arguments:
        features: Features that come in.
        channels: Physical channels that go out.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.features, self.channels = features, channels

    @abstractmethod
    def mean(self, features: Features, mask: Mask | None = None, first_guess: Field | None = None) -> Field:
        """Mean of the field between its bounds, in closed form; 0 outside the mask."""

    @abstractmethod
    def sample(
        self, features: Features, eps: Field, mask: Mask | None = None, first_guess: Field | None = None
    ) -> Field:
        """One field per standard normal field `eps`; 0 outside the mask."""

    @abstractmethod
    def cell_nll(
        self, target: Field, features: Features, mask: Mask | None = None, first_guess: Field | None = None
    ) -> Field:
        """Negative log-likelihood of every cell in physical units; 0 outside the mask, where anything may lie."""

    @abstractmethod
    def update(
        self, target: Field, features: Features, mask: Mask | None = None, first_guess: Field | None = None
    ) -> None:
        """Tracks the scale of the noise on one training batch."""

    def nll(
        self, target: Field, features: Features, mask: Mask | None = None, first_guess: Field | None = None
    ) -> Float[Tensor, ""]:
        """Mean negative log-likelihood over the mask."""
        cells = self.cell_nll(target, features, mask, first_guess)
        return cells.mean() if mask is None else cells.sum() / mask.sum().clamp(min=1)


class PhysicalDecoder(Decoder):
    """The codec and the noise: a feature per channel.

    Arguments:
        codec: State or increment, fitted.
        noise: Its scale is in physical units.
        lower, upper: Bounds of every channel in physical units; infinite, or None altogether, where there is none.
    """

    def __init__(
        self,
        codec: AffineCodec,
        noise: OutputNoise,
        *,
        lower: Sequence[float] | None = None,
        upper: Sequence[float] | None = None,
    ) -> None:
        super().__init__(codec.channels, codec.channels)
        self.codec, self.noise = codec, noise
        for name, bound in (("lower", lower), ("upper", upper)):
            if bound is not None and len(bound) != codec.channels:
                raise ConfigurationError(
                    f"Found {name} bounds of {len(bound)} channels: expected {codec.channels}, infinite where there is none."
                )
            value = None if bound is None else torch.tensor(bound, dtype=torch.float32)[:, None, None]
            self.register_buffer(name, value, persistent=False)

    def location(self, features: Features, first_guess: Field | None = None) -> Field:
        """Where the noise is centred, in physical units; it may lie beyond a bound."""
        decoded: Tensor = self.codec.decode(features, first_guess)
        return decoded

    def mean(self, features: Features, mask: Mask | None = None, first_guess: Field | None = None) -> Field:
        """As `Decoder` says."""
        return _masked(self.noise.moments(self.location(features, first_guess), **self._bounds)[0], mask)

    def sample(
        self, features: Features, eps: Field, mask: Mask | None = None, first_guess: Field | None = None
    ) -> Field:
        """As `Decoder` says."""
        return _masked(self.noise.sample(self.location(features, first_guess), eps, **self._bounds), mask)

    def cell_nll(
        self, target: Field, features: Features, mask: Mask | None = None, first_guess: Field | None = None
    ) -> Field:
        """As `Decoder` says."""
        mask = _everywhere(target) if mask is None else mask
        return self.noise.cell_nll(target, self._known(features, mask, first_guess), mask, **self._bounds)

    def update(
        self, target: Field, features: Features, mask: Mask | None = None, first_guess: Field | None = None
    ) -> None:
        """As `Decoder` says."""
        mask = _everywhere(target) if mask is None else mask
        self.noise.update(target, self._known(features, mask, first_guess), mask, **self._bounds)

    @property
    def _bounds(self) -> dict[str, Tensor]:
        return {"lower": self.lower, "upper": self.upper}  # type: ignore[dict-item]

    def _known(self, features: Features, mask: Mask, first_guess: Field | None) -> Field:
        """The location, of a first guess that may be NaN outside the mask."""
        return self.location(features, None if first_guess is None else torch.where(mask, first_guess, 0))


class NeuralDecoder(Decoder):
    """A small network in every cell, then the codec and the noise.

    Arguments:
        features: Features that come in.
        decoder: Codec, noise and bounds.
        width: Width of the hidden layer.
    """

    def __init__(self, features: int, decoder: PhysicalDecoder, *, width: int = 64) -> None:
        super().__init__(features, decoder.channels)
        self.network, self.decoder = cellwise(features, width, decoder.channels), decoder

    def mean(self, features: Features, mask: Mask | None = None, first_guess: Field | None = None) -> Field:
        """As `Decoder` says."""
        return self.decoder.mean(self.network(features), mask, first_guess)

    def sample(
        self, features: Features, eps: Field, mask: Mask | None = None, first_guess: Field | None = None
    ) -> Field:
        """As `Decoder` says."""
        return self.decoder.sample(self.network(features), eps, mask, first_guess)

    def cell_nll(
        self, target: Field, features: Features, mask: Mask | None = None, first_guess: Field | None = None
    ) -> Field:
        """As `Decoder` says."""
        return self.decoder.cell_nll(target, self.network(features), mask, first_guess)

    def update(
        self, target: Field, features: Features, mask: Mask | None = None, first_guess: Field | None = None
    ) -> None:
        """As `Decoder` says."""
        self.decoder.update(target, self.network(features), mask, first_guess)


class CombinedDecoder(Decoder):
    """Variables side by side, each by its own decoder.

    Arguments:
        parts: Decoders in the order of the features; the channels follow each other in the same order.
    """

    def __init__(self, parts: Sequence[Decoder]) -> None:
        check_parts(parts, "decoder")
        super().__init__(sum(part.features for part in parts), sum(part.channels for part in parts))
        self.parts = nn.ModuleList(parts)

    def mean(self, features: Features, mask: Mask | None = None, first_guess: Field | None = None) -> Field:
        """As `Decoder` says."""
        return torch.cat([part.mean(*own) for part, *own in self._divided(features, mask, first_guess)], dim=-3)

    def sample(
        self, features: Features, eps: Field, mask: Mask | None = None, first_guess: Field | None = None
    ) -> Field:
        """As `Decoder` says."""
        divided = self._divided(features, eps, mask, first_guess)
        return torch.cat([part.sample(*own) for part, *own in divided], dim=-3)

    def cell_nll(
        self, target: Field, features: Features, mask: Mask | None = None, first_guess: Field | None = None
    ) -> Field:
        """As `Decoder` says."""
        divided = self._divided(features, target, mask, first_guess)
        return torch.cat([part.cell_nll(y, z, *rest) for part, z, y, *rest in divided], dim=-3)

    def update(
        self, target: Field, features: Features, mask: Mask | None = None, first_guess: Field | None = None
    ) -> None:
        """Each variable tracks its own."""
        for part, z, y, *rest in self._divided(features, target, mask, first_guess):
            part.update(y, z, *rest)

    def _divided(self, features: Features, *fields: Tensor | None) -> list[tuple]:
        """(decoder, its features, its channels of every field) of every variable."""
        parts: list[Decoder] = list(self.parts)  # type: ignore[arg-type]
        sizes = [part.channels for part in parts]
        own = [[None] * len(parts) if f is None else f.split(sizes, dim=-3) for f in fields]
        return list(zip(parts, features.split([part.features for part in parts], dim=-3), *own, strict=True))


def _everywhere(field: Tensor) -> Mask:
    return torch.ones_like(field, dtype=torch.bool)


def _masked(field: Field, mask: Mask | None) -> Field:
    return field if mask is None else torch.where(mask, field, 0)
