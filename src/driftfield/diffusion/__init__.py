"""The mathematics of one denoising; importing the room makes its classes known to recipes."""

from driftfield.diffusion import noise_levels, parameterization, schedule, weighting

__all__ = ["noise_levels", "parameterization", "schedule", "weighting"]
