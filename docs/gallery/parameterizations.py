"""Parameterisations: the same denoiser asked for six different things.

    python docs/gallery/parameterizations.py [FOLDER]

A network that is wrong by one tenth of a unit in its own output is wrong by very different amounts in the clean field,
depending on what it predicts and on the noise level. That factor is all that a parameterisation changes, and why noise
prediction is useless at high noise, data prediction coarse at low noise, and EDM's F good at both ends.
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from driftfield.diffusion.parameterization import (
    DataParameterization,
    EDMParameterization,
    FlowParameterization,
    NoiseParameterization,
    ScoreParameterization,
    VelocityParameterization,
)
from driftfield.diffusion.schedule import LogLinearSchedule

FAMILY = {
    "noise": NoiseParameterization(),
    "score": ScoreParameterization(),
    "velocity": VelocityParameterization(),
    "data": DataParameterization(),
    "EDM's F": EDMParameterization(sd=1.0),
    "flow": FlowParameterization(),
}
ERROR = 0.1


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    schedule = LogLinearSchedule(0.01, 80, convention="variance_preserving")
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(t)
    s = sigma / alpha
    generator = torch.Generator().manual_seed(0)
    x, eps = torch.randn(2, 4000, 1, generator=generator, dtype=torch.float64)
    figure = Figure(figsize=(10, 4), layout="constrained")
    targets, errors = figure.subplots(1, 2)
    for number, (name, one) in enumerate(FAMILY.items()):
        dashes = (number, (4, 2)) if number % 2 else "-"  # some lie on each other
        target = one.target(x, eps, alpha, sigma).expand(len(x), len(t))
        back = one.clean(target + ERROR, alpha * x + sigma * eps, alpha, sigma)
        targets.loglog(s, target.std(dim=0), label=name, linestyle=dashes)
        errors.loglog(s, (back - x).abs().mean(dim=0), label=name, linestyle=dashes)
    errors.axhline(1, color="0.7", linewidth=1, zorder=0)
    errors.text(0.011, 1.15, "error as large as the data", fontsize="small", color="0.4")
    targets.set(xlabel="noise level s", ylabel="standard deviation", title="What the network has to predict")
    errors.set(xlabel="noise level s", ylabel="error of the clean field", title=f"What an error of {ERROR} costs")
    targets.legend(fontsize="small")
    path = folder / "parameterizations.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)))
