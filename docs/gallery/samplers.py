"""Samplers: six ways from noise to a mixture of two humps, with the exact denoiser.

    python docs/gallery/samplers.py [FOLDER]

The denoiser makes no error here, so every difference from the black curve is the sampler's. Left: 4000 draws at nine
network evaluations. Right: how the error of the standard deviation falls with the cost.
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from driftfield.diffusion.exact import MixtureDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.sampling import DDIMSampler, DDPMSampler, DPMSolverPP2M, DPMSolverPP2MSDE, EulerSampler, HeunSampler

FAMILY = {
    "Euler": EulerSampler,
    "DDIM": DDIMSampler,
    "DDPM": DDPMSampler,
    "Heun": HeunSampler,
    "DPM-Solver++ 2M": DPMSolverPP2M,
    "DPM-Solver++ 2M SDE": DPMSolverPP2MSDE,
}
DRAWS, COSTS = 4000, (5, 9, 17, 33, 65)
WEIGHTS, MEANS, SD = (0.3, 0.7), (-1.0, 1.0), 0.25
TRUE_SD = (SD**2 + 1 - (0.7 - 0.3) ** 2) ** 0.5


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    denoiser = MixtureDenoiser(
        LogLinearSchedule(0.01, 80), torch.tensor(WEIGHTS), torch.tensor(MEANS)[:, None], torch.full((2, 1), SD**2)
    )
    figure = Figure(figsize=(10, 4), layout="constrained")
    histogram, errors = figure.subplots(1, 2)
    for name, sampler in FAMILY.items():
        found = []
        for cost in COSTS:
            generator = torch.Generator().manual_seed(0)
            # quantiles of the normal in place of random ones: no Monte-Carlo error at the start
            start = torch.special.ndtri((torch.arange(DRAWS) + 0.5) / DRAWS)[:, None]
            x = sampler(cost).sample(
                denoiser,
                lambda number, g=generator, z=start: z if number == 0 else torch.randn(DRAWS, 1, generator=g),
            )
            found.append(abs(float(x.std()) / TRUE_SD - 1))
            if cost == 9:
                histogram.hist(x[:, 0].numpy(), bins=90, range=(-2, 2), density=True, histtype="step", label=name)
        errors.loglog(COSTS, found, marker="o", markersize=4, label=name, linestyle="--" if name == "DDIM" else "-")
    grid = torch.linspace(-2, 2, 401)
    humps = [
        w * torch.exp(-(((grid - m) / SD) ** 2) / 2) / (SD * (2 * torch.pi) ** 0.5)
        for w, m in zip(WEIGHTS, MEANS, strict=True)
    ]
    histogram.plot(grid, sum(humps), color="black", linewidth=2, label="exact", zorder=0)
    histogram.set(xlabel="x", ylabel="density", title="9 network evaluations")
    errors.set(
        xlabel="network evaluations",
        ylabel="relative error",
        title="Error of the draws' standard deviation",
    )
    errors.set_xticks(COSTS, [str(cost) for cost in COSTS])
    errors.minorticks_off()
    errors.legend(fontsize="small")
    path = folder / "samplers.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)))
