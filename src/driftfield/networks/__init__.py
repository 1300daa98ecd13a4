"""Tensors in, tensors out; importing the room makes its networks known to recipes."""

from driftfield.networks.circle import CircleCondition, CircleUNet
from driftfield.networks.diffusers_unet import DiffusersUNet
from driftfield.networks.fourier_operator import FourierOperator
from driftfield.networks.gated import GatedCircleNet
from driftfield.networks.hybrid_operator import HybridOperator
from driftfield.networks.spectral_unet import SpectralUNet
from driftfield.networks.unet import ConvNeXtUNet, Encoded, ResidualUNet, UNet

__all__ = [
    "CircleCondition",
    "CircleUNet",
    "ConvNeXtUNet",
    "DiffusersUNet",
    "Encoded",
    "FourierOperator",
    "GatedCircleNet",
    "HybridOperator",
    "ResidualUNet",
    "SpectralUNet",
    "UNet",
]
