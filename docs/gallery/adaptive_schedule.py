"""An adaptive schedule: training levels go where the error is.

    python docs/gallery/adaptive_schedule.py [FOLDER]

The denoiser is exact, so the error at every level is known: it is the posterior variance of a mixture of two humps. A hundred
bins start equal; each draw of a level shows one noisy squared error. The density of the levels becomes proportional to the
mean error, which is what the least noisy estimate of the loss asks for.
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from driftfield.diffusion.exact import MixtureDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.diffusion.tabulated_schedules import AdaptiveSchedule

BATCH, SHOWN = 64, (0, 2_000, 20_000, 200_000)
WEIGHTS, MEANS, SD = torch.tensor([0.3, 0.7]), torch.tensor([-1.0, 1.0]), 0.1


def squared_errors(denoiser: MixtureDenoiser, gamma: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Eps-equivalent squared errors of one draw per level."""
    hump = torch.multinomial(WEIGHTS, len(gamma), replacement=True, generator=generator)
    x = MEANS[hump] + SD * torch.randn(len(gamma), generator=generator)
    s = torch.exp(-gamma / 2)
    t = denoiser.schedule.t(gamma)
    alpha, sigma = denoiser.schedule.alpha_sigma(t)
    x_t = alpha * x + sigma * torch.randn(len(gamma), generator=generator)
    return ((denoiser(x_t[:, None], t)[:, 0] - x) / s) ** 2


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    generator = torch.Generator().manual_seed(0)
    fixed, learned = LogLinearSchedule(0.01, 80), AdaptiveSchedule(0.01, 80)
    denoiser = MixtureDenoiser(fixed, WEIGHTS, MEANS[:, None], torch.full((2, 1), SD**2))
    gamma = torch.linspace(fixed.gamma_min, fixed.gamma_max, 401)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    drawn = 0
    for number, until in enumerate(SHOWN):
        while drawn < until:
            levels = learned.gamma(torch.rand(BATCH, generator=generator))
            learned.update(levels, squared_errors(denoiser, levels, generator))
            drawn += BATCH
        shade = str(0.8 - 0.2 * number)
        axes.plot(gamma, learned.density(gamma), color=shade, label=f"after {until:,} draws")
    exact = torch.stack([squared_errors(denoiser, g.expand(4000), generator).mean() for g in gamma])
    axes.plot(
        gamma, exact / torch.trapezoid(exact, gamma), color="C3", linewidth=2, label="error at the level, normalised"
    )
    axes.set(
        xlabel="log SNR gamma (noise to the left)",
        ylabel="density of the levels",
        title="A schedule that learns where the error is",
    )
    axes.legend(fontsize="small")
    path = folder / "adaptive_schedule.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)))
