"""Schedules: how fast the signal drowns, and which noise levels are met most on the way.

    python docs/gallery/schedules.py [FOLDER]

Left: the noise level s = sigma / alpha along t. Right: the density p(gamma) = |dt / dgamma| that the same curve gives to
training, gamma = -2 ln s being the log SNR; every density integrates to one between the ends of its schedule.
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from driftfield.diffusion.beta_schedules import LinearBetaSchedule, SigmoidBetaSchedule
from driftfield.diffusion.schedule import CosineSchedule, FlowSchedule, KarrasSchedule, LogLinearSchedule

SCHEDULES = {
    "linear in gamma": LogLinearSchedule(0.01, 80),
    "EDM (rho = 7)": KarrasSchedule(0.01, 80),
    "cosine": CosineSchedule(0.01, 80),
    "flow matching": FlowSchedule(0.01, 80),
    "linear beta": LinearBetaSchedule(),
    "sigmoid beta": SigmoidBetaSchedule(),
}


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    level, density = figure.subplots(1, 2)
    for name, schedule in SCHEDULES.items():
        t = torch.linspace(0, 1, 501, dtype=torch.float64)
        gamma = torch.linspace(schedule.gamma_min, schedule.gamma_max, 2001, dtype=torch.float64)
        p = schedule.density(gamma)
        level.semilogy(t, torch.exp(-schedule.gamma(t) / 2), label=name)
        density.plot(gamma, p, label=f"{name}, integral {float(torch.trapezoid(p, gamma)):.4f}")
    level.set(xlabel="t (0 clean, 1 noise)", ylabel="noise level s = sigma / alpha", title="Noise level along the walk")
    density.set(
        xlabel="log SNR gamma (noise to the left)",
        ylabel="p(gamma)",
        ylim=(0, 0.25),
        title="Density of the training levels",
    )
    level.legend()
    density.legend(fontsize="small")
    path = folder / "schedules.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)))
