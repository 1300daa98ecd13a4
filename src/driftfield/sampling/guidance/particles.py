"""Twisted sequential Monte Carlo (TDS: Wu et al. 2023, arXiv:2306.17775, algorithm 1): exact as particles and steps grow.

An ancestral walk is a Markov chain of known transitions, whose end x has the law of the prior. Particles walk with a guided
transition q, and a weight puts right what the guidance got wrong:

    p(z' | z) = N(r² z + (1 - r²) x̂, s'² (1 - r²) + (1 - r²)² v),      r = s'/s,    v = s² sd² / (s² + sd²)
    ψ_s(z) = N(y; H(x̂), R + c I),      c = mean square of H(x̂ + √v ξ) - H(x̂)       a guess of p(y | z), the twist
    q(z' | z) = p(z' | z) with  x̂ + s² ∇ log ψ_s  for x̂
    w = ψ_s'(z') p(z' | z) / (ψ_s(z) q(z' | z)),         at the end p(y | x) / ψ

v, the variance of a cell given z as if it were Gaussian and alone, lets a step be long before it loses spread; ξ are a few
normal fields, the same for all particles and steps. The product of the weights along a path telescopes to p(y | x): whatever the
twist, weighted particles are draws of the posterior, and a good twist only keeps them from being wasted. Where few are effective
they are drawn again (systematically). The number that is needed grows exponentially with the number of observations: this is the
reference of small problems.
"""

__all__ = ["Particles", "TwistedParticles"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from driftfield.errors import ConfigurationError, DivergenceError, whole_number
from driftfield.interfaces import Denoiser, Observation
from driftfield.linalg.operators import Observed
from driftfield.registry import build, register
from driftfield.sampling.base import FIRST_ORDER_GRID, Noise
from driftfield.sampling.guidance.cloud import ParticleCloud
from driftfield.sampling.guidance.look import Look
from driftfield.sampling.guidance.methods import CloudMethod, number_option

_PROBES = 8


class TwistedParticles:
    """Draws a cloud of particles.

    Arguments:
        denoiser: The prior, conditional or not, which has not seen y.
        observation: y, H and R, every error above 0.
        particles: How many; they are one batch.
        levels: Noise levels of the walk.
        grid: Spacing of the levels, as of `Sampler`; by default that of first-order samplers.
        sd: Standard deviation of a cell of the prior.
        effective: Share of effective particles below which they are drawn again.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        observation: Observation,
        *,
        particles: int = 1024,
        levels: int = 128,
        grid: dict[str, object] | None = None,
        sd: float = 1.0,
        effective: float = 0.5,
    ) -> None:
        if particles < 2 or levels < 2 or not sd > 0 or not 0 <= effective <= 1:
            raise ConfigurationError(
                f"Found particles={particles}, levels={levels}, sd={sd} and effective={effective}: expected 2 or more of the "
                "first two, a number above 0, and a share from 0 to 1."
            )
        self.denoiser, self.observation, self.schedule = denoiser, observation, denoiser.schedule
        self.particles, self.sd, self.effective = particles, sd, effective
        one = torch.ones((), dtype=torch.float64)
        ends = [float(torch.exp(-self.schedule.gamma(t * one) / 2)) for t in (0, 1)]
        spacing = build("schedule", dict(grid or FIRST_ORDER_GRID), s_min=ends[0], s_max=ends[1])
        self.levels = torch.exp(-spacing.gamma(torch.linspace(1, 0, levels, dtype=torch.float64)) / 2).tolist()

    @property
    def evaluations(self) -> int:
        """Network evaluations of one particle: the denoiser 1, its derivative 2."""
        return 3 * len(self.levels) - 2

    def draw(self, shape: Sequence[int], seed: int = 0, *, noise: Noise | None = None) -> ParticleCloud:
        """One cloud.

        Arguments:
            shape: (channel, *space) of a field.
            seed: Of every random number.
            noise: Random draws by number, (particle, channel, *space), in place of those of the seed.

        Raises:
            DivergenceError: no particle is left that explains the observations.
        """
        generator = torch.Generator().manual_seed(seed)

        def normal(number: int) -> Tensor:
            if noise is not None:
                return noise(number).double()
            return torch.randn(self.particles, *shape, generator=generator, dtype=torch.float64)

        z = self.levels[0] * normal(0)
        look = self._look(z, self.levels[0])
        probes = torch.randn(_PROBES, *shape, generator=generator, dtype=torch.float64)
        shift = self._shift(look, probes, self.levels[0])
        twist = self._log_likelihood(look, shift)
        log_w, evidence, least = twist, 0.0, float(self.particles)
        for step, (s, lower) in enumerate(pairwise(self.levels)):
            chosen, log_w, gained, alive = self._resample(log_w, generator, step, s)
            evidence, least = evidence + gained, min(least, alive)
            if chosen is not None:
                log_w = torch.zeros_like(log_w)
            retained = (lower / s) ** 2
            towards = (1 - retained) * look.spread(look.adjoint(self.observation.covariance.solve(look.misfit, shift)))
            mean = retained * z + (1 - retained) * look.clean
            if chosen is not None:
                mean, towards, twist = mean[chosen], towards[chosen], twist[chosen]
            sd = math.sqrt(lower**2 * (1 - retained) + (1 - retained) ** 2 * self._variance(s))
            eps = normal(step + 1)
            z = mean + towards + sd * eps
            # ln p - ln q of two Gaussians that differ in their mean
            ratio = -(towards * (towards / (2 * sd**2) + eps / sd)).flatten(1).sum(1)
            last = lower == self.levels[-1]
            look = self._look(z, lower, last)
            # at the end x is x̂ itself, and the twist is the likelihood
            shift = torch.zeros(1, 1, dtype=z.dtype) if last else self._shift(look, probes, lower)
            after = self._log_likelihood(look, shift)
            log_w, twist = log_w + after - twist + ratio, after
        log_w, gained, alive = _normalised(log_w)
        self._alive(alive, len(self.levels), self.levels[-1])
        return ParticleCloud(look.clean, torch.exp(log_w), evidence + gained, min(least, alive))

    def _variance(self, s: float) -> float:
        """v."""
        return s**2 * self.sd**2 / (s**2 + self.sd**2)

    def _shift(self, look: Look, probes: Tensor, s: float) -> Float[Tensor, "particle 1"]:
        """c: what the observations of x vary by, given z."""
        seen = self.observation.apply(look.clean)
        root = math.sqrt(self._variance(s))
        squares = [(self.observation.apply(look.clean + root * probe) - seen).square() for probe in probes]
        return torch.stack(squares).mean((0, 2))[:, None]

    def _look(self, z: Tensor, s: float, last: bool = False) -> Look:
        """The prior's answer; at the end nothing is differentiated any more."""
        t = self.schedule.t(torch.full((len(z),), -2 * math.log(s), dtype=z.dtype)).clamp(0, 1)
        alpha, sigma = (part.view(-1, *[1] * (z.ndim - 1)) for part in self.schedule.alpha_sigma(t))
        with torch.set_grad_enabled(not last):
            x_t = (alpha * z).detach().requires_grad_(not last)
            clean = self.denoiser(x_t, t)
        return Look(clean, x_t, sigma**2 / alpha, (sigma / alpha).view(-1, 1), self.observation)

    def _log_likelihood(self, look: Look, shift: Tensor) -> Float[Tensor, " particle"]:
        """ln N(y; H x̂, R + c I)."""
        errors, e = self.observation.covariance, look.misfit
        log_determinant = errors.log_determinant(shift).to(e) + e.shape[-1] * math.log(2 * math.pi)
        return -((e * errors.solve(e, shift)).sum(-1) + log_determinant) / 2

    def _resample(
        self, log_w: Tensor, generator: torch.Generator, step: int, s: float
    ) -> tuple[Int[Tensor, " particle"] | None, Tensor, float, float]:
        """Which particles go on (None: all of them), their weights, ln of the mean weight, the effective number."""
        log_w, gained, alive = _normalised(log_w)
        self._alive(alive, step + 1, s)
        n = self.particles
        if alive >= self.effective * n:
            # weights of mean 1, so that the evidence gathers the changes only
            return None, log_w + math.log(n), gained, alive
        points = (torch.arange(n, dtype=torch.float64) + torch.rand(1, generator=generator, dtype=torch.float64)) / n
        edges = torch.cumsum(torch.exp(log_w.double()), 0)
        return torch.searchsorted(edges / edges[-1], points).clamp(max=n - 1), log_w, gained, alive

    def _alive(self, alive: float, step: int, s: float) -> None:
        if not alive > 0:
            raise DivergenceError(
                f"TwistedParticles lost all {self.particles} particles at step {step} (noise level {s:.3g}): none explains the "
                "observations. Use more particles, or larger observation errors."
            )


def _normalised(log_w: Tensor) -> tuple[Tensor, float, float]:
    """Log weights that sum to 1, ln of their mean before, and the effective number; 0 of them if none is finite."""
    total = torch.logsumexp(log_w, 0)
    if not torch.isfinite(total):
        return log_w, 0.0, 0.0
    log_w = log_w - total
    return log_w, float(total) - math.log(len(log_w)), float(torch.exp(-torch.logsumexp(2 * log_w, 0)))


class _Double:
    """A denoiser that computes in float32, for particles whose weights need more."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.schedule, self.denoiser = denoiser.schedule, denoiser

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.denoiser(x_t.float(), t.float()).double()


@register("guidance", "particles")
@dataclass(frozen=True)
class Particles(CloudMethod):
    """`particles` on the command line: exact as particles and levels grow, for few observations and small grids.

    Arguments:
        particles: How many walk together; the members are chosen among them by weight.
        levels: Noise levels of the walk.
        sd: Standard deviation of a cell of the prior in network units.
        effective: Share of effective particles below which they are drawn again.
    """

    particles: int = 1024
    levels: int = 64
    sd: float = 1.0
    effective: float = 0.5

    def __post_init__(self) -> None:
        whole_number("method.particles", self.particles, 2)
        whole_number("method.levels", self.levels, 2)
        if not 0 < number_option("sd", self.sd) < math.inf:
            raise ConfigurationError(f"Found method.sd={self.sd!r}: expected a number above 0.")
        if not 0 <= number_option("effective", self.effective) <= 1:
            raise ConfigurationError(f"Found method.effective={self.effective!r}: expected a share from 0 to 1.")

    @property
    def size(self) -> int:
        return self.particles

    @property
    def looks(self) -> int:
        return self.levels

    def cloud(self, denoiser: Denoiser, observed: Observed, noise: Noise, shape: Sequence[int]) -> ParticleCloud:
        walk = TwistedParticles(
            _Double(denoiser),
            observed,
            particles=self.particles,
            levels=self.levels,
            sd=self.sd,
            effective=self.effective,
        )
        return walk.draw(shape, noise=noise)
