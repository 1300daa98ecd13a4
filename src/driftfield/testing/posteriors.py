"""Gaussian fields with observations: posteriors in closed form, and how far an ensemble is from them.

    x ~ N(0, C),   y = H x + e,   e ~ N(0, r² I)
    E[x | y] = C H' (H C H' + r² I)⁻¹ y,       Cov[x | y] = C - C H' (H C H' + r² I)⁻¹ H C

and a mixture of Gaussians in the plane, whose posterior is a mixture of such posteriors with weights w_k p(y | k).

The truth is a draw of the posterior too, so that scores need not be averaged over truths: in a cell with posterior N(m, q²)
the CRPS of the members x_i, averaged over the truth, is  mean_i E|x_i - N(m, q²)| - E|x_i - x_j| / 2,  and q/√π for the posterior
itself. Members come in pairs of noise eps and -eps: where a method is affine the mean of the ensemble has no sampling error.
"""

__all__ = [
    "MixtureProblem",
    "PosteriorProblem",
    "PosteriorScores",
    "paired_noise",
    "posterior_problems",
    "score_members",
]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from driftfield.diffusion.exact import GaussianDenoiser, MixtureDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule, Schedule
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import MatrixOperator, Observed
from driftfield.sampling.base import Noise


@dataclass(frozen=True)
class PosteriorProblem:
    """A stationary Gaussian field of variance 1 with the squared exponential covariance exp(-d² / 2 l²), seen in some cells.

    Arguments:
        shape: (channel, rows, columns), 1 channel; 1 row for a line.
        length: l, in cells.
        observed: How many cells, chosen at random.
        error: Standard deviation r.
        seed: Of the places, the truths and the errors.
    """

    shape: tuple[int, int, int]
    length: float
    observed: int
    error: float
    seed: int = 0

    @property
    def cells(self) -> int:
        """Of a field."""
        return math.prod(self.shape)

    @cached_property
    def prior(self) -> DiagonalCovariance:
        """C, by the eigenvectors of its two factors."""
        (rows, a), (columns, b) = (self._eigen(n) for n in self.shape[1:])
        shape = self.shape

        def to(x: Tensor) -> Tensor:
            return (a.to(x).mT @ x.unflatten(-1, shape) @ b.to(x)).flatten(-3)

        def back(x: Tensor) -> Tensor:
            return (a.to(x) @ x.unflatten(-1, shape) @ b.to(x).mT).flatten(-3)

        return DiagonalCovariance(torch.outer(rows, columns).flatten(), (to, back))

    def _eigen(self, n: int) -> tuple[Tensor, Tensor]:
        i = torch.arange(n, dtype=torch.float64)
        values, vectors = torch.linalg.eigh(torch.exp(-((i[:, None] - i) ** 2) / (2 * self.length**2)))
        return values.clamp(min=0), vectors

    @cached_property
    def h(self) -> Tensor:
        """H (observed, cells)."""
        generator = torch.Generator().manual_seed(self.seed)
        places = torch.randperm(self.cells, generator=generator)[: self.observed].sort().values
        return torch.eye(self.cells, dtype=torch.float64)[places]

    @cached_property
    def _gain(self) -> Tensor:
        c_h = self.prior.matmul(self.h).mT
        return torch.linalg.solve(self.h @ c_h + self.error**2 * torch.eye(self.observed, dtype=c_h.dtype), c_h.mT).mT

    def denoiser(self, schedule: Schedule | None = None) -> GaussianDenoiser:
        """The exact denoiser of the prior."""
        schedule = LogLinearSchedule() if schedule is None else schedule
        return GaussianDenoiser(schedule, torch.zeros((), dtype=torch.float64), self.prior)

    def observation(self, case: int = 0) -> Observed:
        """What is seen of one truth."""
        generator = torch.Generator().manual_seed(1000 * self.seed + case)
        truth = self.prior.sample(torch.randn(self.cells, generator=generator, dtype=torch.float64))
        y = self.h @ truth + self.error * torch.randn(self.observed, generator=generator, dtype=torch.float64)
        errors = DiagonalCovariance(torch.full((self.observed,), self.error**2, dtype=torch.float64))
        return Observed(MatrixOperator(self.h, self.shape), y, errors)

    def mean(self, observation: Observed) -> Tensor:
        """E[x | y], (cells,)."""
        return self._gain @ observation.y

    @cached_property
    def covariance(self) -> Tensor:
        """Cov[x | y], (cells, cells); the same for every y."""
        return self.prior.dense() - self._gain @ self.prior.matmul(self.h)

    @cached_property
    def sd(self) -> Tensor:
        """Posterior standard deviation of every cell."""
        return self.covariance.diagonal().clamp(min=1e-12).sqrt()


def posterior_problems() -> dict[str, PosteriorProblem]:
    """The three of the table: a smooth and a rough line, and a map."""
    return {
        "smooth line": PosteriorProblem((1, 1, 128), length=6, observed=16, error=0.1),
        "rough line": PosteriorProblem((1, 1, 128), length=3, observed=48, error=0.05),
        "map": PosteriorProblem((1, 32, 32), length=3, observed=102, error=0.1),
    }


@dataclass(frozen=True)
class MixtureProblem:
    """Five Gaussians in the plane, of which one combination of the coordinates is seen.

    Arguments:
        error: Standard deviation of what is seen.
        value: What is seen.
    """

    error: float = 0.3
    value: float = 0.3
    shape = (1, 1, 2)

    @cached_property
    def modes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (mode,), means (mode, 2) and variances (mode,), the same in every direction."""
        weights = torch.tensor([0.2, 0.3, 0.1, 0.25, 0.15], dtype=torch.float64)
        means = torch.tensor([[-2, -1], [0, 1.5], [1.5, -0.5], [2.5, 2], [-1, 2.5]], dtype=torch.float64)
        return weights, means, torch.tensor([0.3, 0.1, 0.2, 0.15, 0.25], dtype=torch.float64)

    @property
    def h(self) -> Tensor:
        """H (1, 2)."""
        return torch.tensor([[0.8, -0.6]], dtype=torch.float64)

    @property
    def observation(self) -> Observed:
        """y, H and R."""
        errors = DiagonalCovariance(torch.tensor([self.error**2], dtype=torch.float64))
        return Observed(MatrixOperator(self.h, self.shape), torch.tensor([self.value], dtype=torch.float64), errors)

    def denoiser(self, schedule: Schedule | None = None) -> MixtureDenoiser:
        """The exact denoiser of the prior."""
        weights, means, variances = self.modes
        return MixtureDenoiser(schedule or LogLinearSchedule(0.02, 60.0), weights, means, list(variances))

    @cached_property
    def posterior(self) -> tuple[Tensor, Tensor, float]:
        """Mean (2,), standard deviation (2,) and ln p(y)."""
        means, seconds, logs = [], [], []
        for weight, mean, mode_variance in zip(*self.modes, strict=True):
            c = mode_variance * torch.eye(2, dtype=torch.float64)
            variance = self.h @ c @ self.h.mT + self.error**2
            gain, departure = c @ self.h.mT / variance, self.value - self.h @ mean
            means.append(mean + gain @ departure)
            seconds.append((c - gain @ self.h @ c).diagonal() + means[-1] ** 2)
            logs.append(torch.log(weight) - (departure**2 / variance + torch.log(2 * math.pi * variance)).sum() / 2)
        log_weights = torch.stack(logs)
        share = torch.softmax(log_weights, 0)
        found = share @ torch.stack(means)
        return found, (share @ torch.stack(seconds) - found**2).sqrt(), float(torch.logsumexp(log_weights, 0))


def paired_noise(shape: Sequence[int], seed: int = 0) -> Noise:
    """Standard normals by draw number, float64; the second half of the members has the negative of the first's."""
    members, *rest = shape

    def draw(number: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        half = torch.randn(members // 2, *rest, generator=generator, dtype=torch.float64)
        return torch.cat([half, -half])

    return draw


@dataclass(frozen=True)
class PosteriorScores:
    """An ensemble beside the posterior.

    Arguments:
        crps: Expected CRPS, divided by that of the posterior.
        spread: Root mean square of the standard deviations, divided by the posterior's.
        mean_error: Root mean square error of the mean in posterior standard deviations.
    """

    crps: float
    spread: float
    mean_error: float


def score_members(
    problem: PosteriorProblem, members: Sequence[Tensor], observations: Sequence[Observed], *, paired: bool = True
) -> PosteriorScores:
    """Scores pooled over cells and cases.

    Arguments:
        problem: With the posterior.
        members: (member, channel, *space) for every case.
        observations: What each case saw.
        paired: Whether the second half of the members comes from the negative noise of the first.
    """
    sd, crps, variance, error = problem.sd, 0.0, 0.0, 0.0
    for fields, observation in zip(members, observations, strict=True):
        x, mean = fields.double().flatten(1), problem.mean(observation)
        crps += float(_expected_crps(x, mean, sd, paired).mean())
        variance += float(x.var(0, correction=0 if paired else 1).mean())
        error += float(((x.mean(0) - mean) / sd).square().mean())
    n = len(members)
    return PosteriorScores(
        crps=crps / n / float((sd / math.sqrt(math.pi)).mean()),
        spread=math.sqrt(variance / n / float((sd**2).mean())),
        mean_error=math.sqrt(error / n),
    )


def _expected_crps(x: Tensor, mean: Tensor, sd: Tensor, paired: bool) -> Tensor:
    """(cells,), fair: pairs of members that depend on each other do not count in E|x_i - x_j|."""
    u, m = (x - mean) / sd, len(x)
    normal = torch.exp(-(u**2) / 2) * math.sqrt(2 / math.pi)
    to_truth = (sd * (u * (2 * torch.special.ndtr(u) - 1) + normal)).mean(0)
    rank = torch.arange(m, dtype=x.dtype)[:, None]
    between = 2 * ((2 * rank - m + 1) * x.sort(0).values).sum(0)
    if not paired:
        return to_truth - between / (2 * m * (m - 1))
    return to_truth - (between - 2 * (x[: m // 2] - x[m // 2 :]).abs().sum(0)) / (2 * m * (m - 2))
