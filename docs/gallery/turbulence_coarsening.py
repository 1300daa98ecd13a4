"""Coarse turbulence: three ways to make a small field of a large one, and what each leaves of the spectrum.

    python docs/gallery/turbulence_coarsening.py [FOLDER]

Vorticity of a Kolmogorov flow, 96 x 96 points, made four times coarser: means over blocks damp the short waves that are
left, every fourth point folds those that are lost into those that remain, truncation in waves keeps the one and drops
the other. `df.coarsen(..., by=...)`.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import driftfield as df

FACTOR = 4
WAYS = {"means of blocks": "mean", "every 4th point": "points", "truncated in waves": "truncation"}


def spectrum(fields: np.ndarray) -> np.ndarray:
    """Enstrophy per shell of whole wavenumbers, averaged over the fields."""
    n = fields.shape[-1]
    waves = np.fft.fftfreq(n) * n
    shell = np.rint(np.hypot(waves[:, None], waves)).astype(int)
    power = (np.abs(np.fft.fft2(fields) / n**2) ** 2).mean(axis=0)
    return np.bincount(shell.ravel(), power.ravel())[1 : n // 2]


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    fine = df.simulate_navier_stokes(size=96, compute=96, frames=4, every=2.0, spin_up=8.0, seed=1)
    coarse = {name: df.coarsen(fine, factor=FACTOR, by=by)["vorticity"].values for name, by in WAYS.items()}
    values = fine["vorticity"].values
    figure = Figure(figsize=(12, 6.2), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1), height_ratios=(1, 1.2))
    top = float(np.quantile(np.abs(values), 0.995))
    maps = []
    for column, (name, fields) in enumerate({"all points": values, **coarse}.items()):
        ax = figure.add_subplot(grid[0, column])
        mesh = ax.imshow(fields[-1], cmap="RdBu_r", vmin=-top, vmax=top, origin="lower", extent=(0, 1, 0, 1))
        ax.set_title(name, fontsize=10)
        ax.set_xticks([])
        ax.set_yticks([])
        maps.append(ax)
    figure.colorbar(mesh, ax=maps, label="vorticity", extend="both")
    ax = figure.add_subplot(grid[1, :])
    ax.loglog(np.arange(1, 48), spectrum(values), "k", linewidth=2, label="all points")
    for name, fields in coarse.items():
        ax.loglog(np.arange(1, 12), spectrum(fields), marker="o", markersize=3, label=name)
    ax.axvline(12, color="0.6", linestyle=":")
    ax.set(xlabel="wavenumber", ylabel="enstrophy per shell", ylim=(spectrum(values)[:30].min() / 3, None))
    ax.legend(fontsize="small")
    path = folder / "turbulence_coarsening.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
