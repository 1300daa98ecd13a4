"""The mathematics of one denoising; importing the room makes its classes known to recipes."""

from driftfield.diffusion import (
    beta_schedules,
    learned_weighting,
    noise_levels,
    parameterization,
    schedule,
    tabulated_schedules,
    weighting,
)

__all__ = [
    "beta_schedules",
    "learned_weighting",
    "noise_levels",
    "parameterization",
    "schedule",
    "tabulated_schedules",
    "weighting",
]
