"""Observing operators: which cells an instrument sees, and how much of each.

    python docs/gallery/observing_operators.py [FOLDER]

Every observation is a weighted mean of cells: at a point between four centres, in a round footprint of a radiometer, in
a box of a coarser product, in blocks of its grid. The weights of three observations each are shown; they add up to one,
and land has none. `driftfield assimilate` and `observations:` of a recipe take them by name.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.evaluate.drawing import LAND
from driftfield.fields import Channel
from driftfield.observations import stencils
from driftfield.observations.grid import ObservedPlaces, StateGrid

LAT, LON = np.arange(50.0, 54.0, 0.25), np.arange(0.0, 6.0, 0.25)
AT = np.array([50.9, 51.3, 53.2]), np.array([1.3, 4.75, 4.6])


def weights_of(stencil: stencils.Stencil, chosen: np.ndarray) -> np.ndarray:
    """(lat, lon) of some observations together; NaN where none looks."""
    field = np.full(stencil.shape, np.nan).ravel()
    for row, cell, weight in zip(stencil.rows, stencil.columns, stencil.weights, strict=True):
        if row in chosen:
            field[cell] = np.nansum([field[cell], weight])
    return field.reshape(stencil.shape)[0]


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    sea = lon < 3.4 + 1.2 * (lat - 50) ** 0.7
    grid = StateGrid(LAT, LON, (Channel("sst", None, 0),), sea[None])
    places = ObservedPlaces.of("sst", *AT)
    wide = ObservedPlaces(
        *(getattr(places, n) for n in ("variable", "lat", "lon", "depth", "days")),
        None,
        np.full(3, 1.2),
        np.full(3, 0.6),
    )
    blocks = stencils.coarse_means(grid, (4, 6))
    looks = {
        "points": (stencils.points(grid, places), range(3)),
        "footprints, radius 40 km": (stencils.footprints(grid, places, 40.0), range(3)),
        "Gaussian footprints, 25 km": (stencils.footprints(grid, places, 25.0, gaussian=True), range(3)),
        "boxes of 1.2° x 0.6°": (stencils.boxes(grid, wide), range(3)),
        "blocks of a coarse grid": (blocks, np.unique(blocks.rows)[[0, 5, 9]]),
    }
    figure = Figure(figsize=(13, 6), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
    for ax, (name, (stencil, chosen)) in zip(panels, looks.items(), strict=False):
        ax.pcolormesh(
            LON, LAT, np.where(sea, np.nan, 1.0), cmap="gray", vmin=0, vmax=1 / float(LAND), shading="nearest"
        )
        mesh = ax.pcolormesh(
            LON, LAT, weights_of(stencil, np.asarray(chosen)), cmap="viridis_r", vmin=0, shading="nearest"
        )
        figure.colorbar(mesh, ax=ax, label="weight")
        if name != "blocks of a coarse grid":
            ax.plot(AT[1], AT[0], "r+", markersize=9)
        ax.set(title=name, xlabel="longitude [degrees east]", ylabel="latitude [degrees north]")
    panels[-1].set_visible(False)
    path = folder / "observing_operators.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
