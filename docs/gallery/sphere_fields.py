"""Fields on a globe: no seam at the date line, no pinch at the poles.

    python docs/gallery/sphere_fields.py [FOLDER]

Left: a field drawn from spherical harmonics, seen from above the North Pole; right the same covariance treated as if
longitude and latitude were a plane. Below, the correlation of a cell at 80 degrees north with its own circle of
latitude: on the globe the circle is only a few lengths round, on the plane the neighbours across the pole are
strangers.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.gaussian.random_fields import Matern, SphereField
from driftfield.gaussian.random_fields.places import field_at

LAT, LON = np.arange(-88.0, 89.0, 4.0), np.arange(0.0, 360.0, 4.0)
LENGTH_KM = 1500.0
ROW = int(np.abs(LAT - 80).argmin())


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    kernel, rng = Matern(LENGTH_KM, 1.5), np.random.default_rng(2)
    draws = {
        "on the globe": SphereField(kernel, LAT, LON).sample(rng, 400),
        "on a plane of degrees": field_at(kernel, LAT, LON).sample(rng, 400),
    }
    figure = Figure(figsize=(9, 8), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(1.5, 1))
    line = figure.add_subplot(grid[1, :])
    north = LAT >= 20
    for column, (name, fields) in enumerate(draws.items()):
        ax = figure.add_subplot(grid[0, column], projection="polar")
        mesh = ax.pcolormesh(
            np.deg2rad([*LON, 360.0]),
            90 - LAT[north],
            np.concatenate([fields[0][north], fields[0][north][:, :1]], axis=1),
            cmap="RdBu_r",
            vmin=-3,
            vmax=3,
            shading="gouraud",
        )
        ax.set_yticks([20, 40, 60], ["70°N", "50°N", "30°N"], fontsize=8)
        ax.grid(alpha=0.3)
        ax.set_title(f"{name}: north of 20°N")
        circle = fields[:, ROW]
        line.plot(LON, (circle[:, :1] * circle).mean(0) / (circle[:, 0] ** 2).mean(), label=name)
    figure.colorbar(mesh, ax=figure.axes[1:], label="standard deviations", shrink=0.7, extend="both")
    line.set(xlabel="longitude [degrees east]", ylabel=f"correlation with 0°E at {LAT[ROW]:g}°N", xlim=(0, 356))
    line.axhline(0, color="0.6", linewidth=0.8)
    line.legend()
    path = folder / "sphere_fields.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
