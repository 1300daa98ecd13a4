"""From a prior and observations to a posterior: denoisers that have a denoiser, one method a file.

covariance of the network      mmps (default), tmpd           V = (σ²/α) J
covariance of the archive      prior_covariance               V = s² C (C + s² I)⁻¹
a number                       pseudo_inverse, sda            V = v I
none                           dps                            a length
grid cells only                replacement, repaint
exact as particles grow        particles
"""

from driftfield.linalg.solvers import GMRES, ConjugateGradients
from driftfield.sampling.guidance.base import GuidedDenoiser
from driftfield.sampling.guidance.dps import DPSDenoiser
from driftfield.sampling.guidance.guard import DivergenceGuard
from driftfield.sampling.guidance.mmps import MMPSDenoiser
from driftfield.sampling.guidance.particles import TwistedParticles
from driftfield.sampling.guidance.prior_covariance import PriorCovarianceDenoiser
from driftfield.sampling.guidance.pseudo_inverse import PseudoInverseDenoiser
from driftfield.sampling.guidance.repaint import RePaintSampler
from driftfield.sampling.guidance.replacement import ReplacementDenoiser
from driftfield.sampling.guidance.sda import SDADenoiser
from driftfield.sampling.guidance.tmpd import TMPDDenoiser

__all__ = [
    "GMRES",
    "ConjugateGradients",
    "DPSDenoiser",
    "DivergenceGuard",
    "GuidedDenoiser",
    "MMPSDenoiser",
    "PriorCovarianceDenoiser",
    "PseudoInverseDenoiser",
    "RePaintSampler",
    "ReplacementDenoiser",
    "SDADenoiser",
    "TMPDDenoiser",
    "TwistedParticles",
]
