"""From a denoiser to samples."""

from driftfield.sampling.ancestral import DDIMSampler, DDPMSampler
from driftfield.sampling.base import Sampler
from driftfield.sampling.diffusers_schedulers import DiffusersSampler
from driftfield.sampling.ode import DPMSolverPP2M, EulerSampler, HeunSampler
from driftfield.sampling.sde import DPMSolverPP2MSDE, PredictorCorrector

__all__ = [
    "DDIMSampler",
    "DDPMSampler",
    "DPMSolverPP2M",
    "DPMSolverPP2MSDE",
    "DiffusersSampler",
    "EulerSampler",
    "HeunSampler",
    "PredictorCorrector",
    "Sampler",
]
