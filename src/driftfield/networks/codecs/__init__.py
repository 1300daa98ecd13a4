"""Between physical fields and what a network works on, in plain tensors: encoders, decoders, and the noise of the output."""

from driftfield.networks.codecs.affine import AffineCodec, IncrementCodec, StateCodec
from driftfield.networks.codecs.decoder import CombinedDecoder, Decoder, NeuralDecoder, PhysicalDecoder
from driftfield.networks.codecs.encoder import CombinedEncoder, Encoder, NeuralEncoder, PhysicalEncoder
from driftfield.networks.codecs.output_noise import (
    GaussianNoise,
    LaplaceNoise,
    NoisePerVariable,
    OutputNoise,
    TrackedNoise,
)

__all__ = [
    "AffineCodec",
    "CombinedDecoder",
    "CombinedEncoder",
    "Decoder",
    "Encoder",
    "GaussianNoise",
    "IncrementCodec",
    "LaplaceNoise",
    "NeuralDecoder",
    "NeuralEncoder",
    "NoisePerVariable",
    "OutputNoise",
    "PhysicalDecoder",
    "PhysicalEncoder",
    "StateCodec",
    "TrackedNoise",
]
