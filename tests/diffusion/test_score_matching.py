"""Denoising score matching recovers a known answer: a small network trained by our loss is nearly the exact denoiser."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from driftfield.diffusion.exact import MixtureDenoiser
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise_levels import LogNormalLevels
from driftfield.diffusion.parameterization import EDMParameterization
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.diffusion.weighting import EDMWeighting
from driftfield.fields import FieldBatch, Seen

MEANS = torch.tensor([[1.3, 0.0], [-0.9, 0.8], [-0.4, -1.2], [0.6, 1.1]])
WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.1])
VARIANCES = torch.tensor([0.02, 0.05, 0.1, 0.02])
SCHEDULE = LogLinearSchedule(s_min=0.02, s_max=20.0)


def draw(count: int, generator: torch.Generator) -> FieldBatch:
    """Points of the mixture as fields of two channels in one cell; nothing is observed."""
    mode = torch.multinomial(WEIGHTS, count, replacement=True, generator=generator)
    x = MEANS[mode] + VARIANCES[mode].sqrt()[:, None] * torch.randn(count, 2, generator=generator)
    nothing, none = torch.zeros(count, 2, 1, 1), torch.zeros(count, 2, 1, 1, dtype=torch.bool)
    return FieldBatch(
        target=x[..., None, None],
        seen=Seen(nothing, none, nothing),
        domain=~none,
        held_out=~none,
        given=Seen(nothing[:, :0], none[:, :0], nothing[:, :0]),
        presence=torch.zeros(count, 0),
        position=torch.zeros(count, 2),
        date=torch.zeros(count, 2),
    )


class Unconditional(nn.Module):
    """A network that looks at nothing but the noisy field."""

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> None:
        return None


class Perceptron(Unconditional):
    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(10, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor, c_noise: Tensor, encoded: Any) -> Tensor:
        angles = c_noise[:, None] * torch.tensor([1.0, 2.0, 4.0, 8.0])
        seen = torch.cat([x.flatten(1), torch.cos(angles), torch.sin(angles)], dim=1)
        return self.head(self.layers(seen))[..., None, None]


class Exact(Unconditional):
    """F that stands for the exact denoiser: c_skip z + c_out F = D."""

    def __init__(self) -> None:
        super().__init__()
        self.denoiser = MixtureDenoiser(SCHEDULE, WEIGHTS, MEANS, list(VARIANCES))

    def forward(self, x: Tensor, c_noise: Tensor, encoded: Any) -> Tensor:
        s = torch.exp(4 * c_noise).view(-1, 1, 1, 1)
        z = x * torch.sqrt(s**2 + 1)
        clean = self.denoiser(z, SCHEDULE.t(-8 * c_noise))
        return (clean - z / (s**2 + 1)) * torch.sqrt(s**2 + 1) / s


def model_of(network: nn.Module) -> DiffusionModel:
    parts = {"parameterization": EDMParameterization(), "noise_levels": LogNormalLevels(-0.5, 1.4)}
    return DiffusionModel(network, SCHEDULE, weighting=EDMWeighting(), **parts)  # type: ignore[arg-type]


@torch.no_grad()
def losses(*models: DiffusionModel, draws: int = 200_000) -> list[float]:
    """Of the same points, levels and noise."""
    batch = draw(draws, torch.Generator().manual_seed(1))
    return [float(model.loss(batch, torch.Generator().manual_seed(2))) for model in models]


@pytest.mark.slow
def test_a_small_network_reaches_the_loss_of_the_exact_denoiser_within_three_percent() -> None:
    torch.manual_seed(0)
    model, generator, steps = model_of(Perceptron()), torch.Generator().manual_seed(3), 2000
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(draw(512, generator), generator).backward()
        optimizer.step()
        plan.step()
    trained, exact, untrained = losses(model, model_of(Exact()), model_of(Perceptron()))
    assert exact < 0.8 * untrained
    assert exact < trained < 1.03 * exact


def test_no_network_beats_the_exact_denoiser() -> None:
    """Its answer a little longer or a little shorter loses."""
    exact = Exact()

    class Scaled(Unconditional):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Tensor, c_noise: Tensor, encoded: Any) -> Tensor:
            return self.factor * exact(x, c_noise, encoded)

    best, *others = losses(*(model_of(Scaled(factor)) for factor in (1.0, 0.9, 1.1)), draws=20_000)
    assert best < min(others)
