"""Tensors in, tensors out; importing the room makes its networks known to recipes."""

from driftfield.networks.unet import ConvNeXtUNet, Encoded, ResidualUNet, UNet

__all__ = ["ConvNeXtUNet", "Encoded", "ResidualUNet", "UNet"]
