"""Gaussian fields, of which everything is known.

With x ~ N(mu, C) and x_t / alpha = z = x + s eps, every eigendirection of C with variance v follows the probability flow
dz / ds = (z - D) / s exactly as

    z(s) = mu + (z(s_0) - mu) sqrt((v + s^2) / (v + s_0^2)),        D(z, s) = mu + v / (v + s^2) (z - mu)
"""

__all__ = ["CountingDenoiser", "GaussianProblem", "drawn_sd", "exact_problems", "numbered_noise"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule, Schedule
from driftfield.interfaces import Denoiser
from driftfield.sampling.base import Noise, Sampler


@dataclass(frozen=True)
class GaussianProblem:
    """A Gaussian field of which everything is known.

    Arguments:
        mean: (cells,)
        covariance: (cells, cells)
        schedule: The noise that the denoiser expects.
    """

    mean: Tensor
    covariance: Tensor
    schedule: Schedule

    @property
    def cells(self) -> int:
        """Size of the field."""
        return self.mean.numel()

    @property
    def denoiser(self) -> GaussianDenoiser:
        """The exact denoiser, for x_t of shape (batch, 1, 1, cells)."""
        return GaussianDenoiser(self.schedule, self.mean, self.covariance)

    def sample(self, z: Tensor, s_from: float, s_to: float) -> Tensor:
        """What the exact probability flow makes of z at noise level s_from: the clean estimate D at s_to.

        Arguments:
            z: (batch, ..., cells), float64 for an answer of that precision.
        """
        variances, basis = torch.linalg.eigh(self.covariance.double())
        factor = ((variances + s_to**2) / (variances + s_from**2)).sqrt() * variances / (variances + s_to**2)
        departure = ((z.double() - self.mean) @ basis) * factor
        return self.mean + departure @ basis.T


def exact_problems(schedule: Schedule | None = None) -> dict[str, GaussianProblem]:
    """Independent cells of very different variance, and a smooth field whose neighbours agree (float64)."""
    schedule = LogLinearSchedule() if schedule is None else schedule
    variances = torch.tensor([0.04, 0.25, 1.0, 2.0, 9.0], dtype=torch.float64)
    x = torch.arange(16, dtype=torch.float64)
    smooth = torch.exp(-(x[:, None] - x[None, :]).abs() / 4.0)
    return {
        "independent": GaussianProblem(torch.linspace(-1, 1, 5, dtype=torch.float64), torch.diag(variances), schedule),
        "correlated": GaussianProblem(torch.sin(x), smooth, schedule),
    }


def numbered_noise(shape: Sequence[int], seed: int = 0) -> Noise:
    """Standard normals by draw number, float64: the same number gives the same draw."""

    def draw(number: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return draw


def drawn_sd(sampler: Sampler, denoiser: Denoiser) -> float:
    """Standard deviation of what a sampler makes of one Gaussian number of mean 0, without drawing anything.

    Where the denoiser is linear, so is the walk in its noise, and the variance is the sum of squares of its responses to every
    single draw.

    Arguments:
        sampler: Deterministic or not.
        denoiser: A `GaussianDenoiser` of mean 0 and a scalar variance, float64.
    """
    numbers: dict[int, int] = {}

    def silent(number: int) -> Tensor:
        numbers.setdefault(number, len(numbers))
        return torch.zeros(1, 1, 1, 1, dtype=torch.float64)

    sampler.sample(denoiser, silent)
    units = torch.eye(len(numbers), dtype=torch.float64).view(len(numbers), -1, 1, 1, 1)
    return float(sampler.sample(denoiser, lambda number: units[numbers[number]]).double().square().sum().sqrt())


class CountingDenoiser:
    """Has a denoiser and is a denoiser; counts its evaluations."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.schedule, self.denoiser, self.calls = denoiser.schedule, denoiser, 0

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        return self.denoiser(x_t, t)
