"""Random fields: the same white noise in twelve colours.

    python docs/gallery/random_fields.py [FOLDER]

A Matern field of smoothness 1/2 is as rough as an exponential covariance, 3/2 is once differentiable, the squared
exponential is smooth without end; a power law has structure at all scales. From left to right the length grows. All
panels colour the same random numbers, so that only the covariance differs. The fields begin and end at the same values:
they are periodic.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.gaussian.random_fields import Matern, PeriodicField, PowerLaw, SquaredExponential

LENGTHS = (25.0, 75.0, 225.0)
KERNELS = {
    "Matern 1/2": lambda length: Matern(length, 0.5),
    "Matern 3/2": lambda length: Matern(length, 1.5),
    "squared exponential": SquaredExponential,
    "power law, alpha 2": PowerLaw,
}
CELLS, KM = 128, 2000.0


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    noise = np.random.default_rng(0).standard_normal((CELLS, CELLS))
    middle = (np.arange(CELLS) + 0.5) * KM / CELLS
    figure = Figure(figsize=(7.4, 9), layout="constrained")
    panels = figure.subplots(len(KERNELS), len(LENGTHS), sharex=True, sharey=True)
    for row, (name, kernel) in zip(panels, KERNELS.items(), strict=True):
        for ax, length in zip(row, LENGTHS, strict=True):
            field = PeriodicField(kernel(length), (CELLS, CELLS), (KM, KM)).color(noise)
            mesh = ax.pcolormesh(middle, middle, field, cmap="RdBu_r", vmin=-3, vmax=3, rasterized=True)
            ax.set_aspect("equal")
            ax.set_title(f"{name}, {length:g} km", fontsize=9)
        row[0].set_ylabel("y [km]")
    for ax in panels[-1]:
        ax.set_xlabel("x [km]")
    figure.colorbar(mesh, ax=panels, label="standard deviations", shrink=0.5, extend="both")
    path = folder / "random_fields.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
