"""Lorenz-96: what a diffusion model has learnt of a chaotic world's climate, beside the world itself.

    driftfield simulate lorenz96 runs/lorenz96.nc
    driftfield train recipes/lorenz96_unconditional.yaml --out runs/lorenz96_unconditional
    python docs/gallery/lorenz96_climate.py [FOLDER] [RUN]

Left: three states each. Middle: the distribution of a variable. Right: how two variables on the circle go together; the waves
that travel round it are about eight variables long.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.errors import ConfigurationError
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.unconditional import draw_unconditionally
from driftfield.runs import load_reconstructor
from driftfield.worlds.lorenz import Lorenz96

STATES = 1000


def circle_correlation(x: np.ndarray) -> np.ndarray:
    """Correlation (separation,) of two variables on the circle, from (state, variable)."""
    power = (np.abs(np.fft.rfft(x - x.mean(), axis=-1)) ** 2).mean(0)
    covariance = np.fft.irfft(power, x.shape[-1])
    return (covariance / covariance[0])[: x.shape[-1] // 2 + 1]


def main(folder: Path, run: Path) -> Path:
    """Writes the figure; returns where it is."""
    if not run.exists():
        raise ConfigurationError(f"No run {run}: train it as the head of this script says.")
    world, model = Lorenz96(), load_reconstructor(run)
    assert isinstance(model, DiffusionReconstructor)
    # a thousand trajectories of their own: independent states, unlike those of one record
    truth = world.advance(world.start(STATES, np.random.default_rng(1)), 300)
    samples = draw_unconditionally(model, members=STATES, seed=0)["x_member"].values[:, 0, 0]

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    states, histogram, correlation = figure.subplots(1, 3)
    for label, part, colour in (("truth", truth, "black"), ("samples", samples, "tab:blue")):
        for row, state in enumerate(part[:3]):
            # rows of truth and samples in turn
            states.plot(state + 25 * (2 * row + (label == "samples")), color=colour, linewidth=1)
        histogram.hist(part.ravel(), bins=80, range=(-12, 16), density=True, histtype="step", color=colour, label=label)
        correlation.plot(circle_correlation(part), marker="o", markersize=3, color=colour, label=label)
    states.set(xlabel="variable", ylabel="x, rows 25 apart", title="Three states each")
    histogram.set(xlabel="x", ylabel="density", title="Distribution")
    correlation.set(xlabel="separation", ylabel="correlation", title="Correlation on the circle")
    histogram.legend(frameon=False)
    path = folder / "lorenz96_climate.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(
        main(
            Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent),
            Path(sys.argv[2] if len(sys.argv) > 2 else "runs/lorenz96_unconditional"),
        )
    )
