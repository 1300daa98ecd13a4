"""A curvilinear grid: rows that are no latitudes, filled by distances on the Earth.

    python docs/gallery/curvilinear_grid.py [FOLDER]

A grid with its pole turned away, as regional models have: latitude and longitude are two-dimensional. Nothing is
regridded; kriging measures distances between true positions, and the figure is drawn where the cells lie.
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import driftfield as df
from driftfield.gaussian.random_fields import Matern
from driftfield.gaussian.random_fields.places import field_at
from driftfield.geometry import unrotated

ROWS, COLUMNS, STEP, POLE = 28, 36, 0.25, (40.0, 150.0)


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng = np.random.default_rng(5)
    y, x = STEP * np.arange(ROWS), STEP * np.arange(COLUMNS)
    lat, lon = unrotated(y[:, None], x[None], *POLE)
    # a field of the turned grid is a field of the Earth: turning keeps distances
    truth = 14 + 2 * field_at(Matern(150.0, 1.5), y, x).sample(rng, 1)[0]
    cloud = field_at(Matern(120.0, 1.5), y, x).sample(rng, 1)[0] > 0.1
    places = {
        "lat": (("y", "x"), lat, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": (("y", "x"), lon, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    seen = xr.Dataset(
        {"sst": (("y", "x"), np.where(cloud, np.nan, truth), {"units": "degC", "coordinates": "lat lon"})}, places
    )
    fields = df.fill(seen, "sst", method="kriging")
    figure = Figure(figsize=(13, 4.0), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    low, high = np.quantile(truth, [0.01, 0.99])
    spread = fields["sst_sd"].values.squeeze()
    shown = {"seen": seen["sst"].values, "filled": fields["sst"].values.squeeze(), "standard deviation": spread}
    for ax, (name, values) in zip(panels, shown.items(), strict=True):
        wide = name == "standard deviation"
        colours = {"cmap": "magma_r", "vmin": 0} if wide else {"cmap": "cividis", "vmin": low, "vmax": high}
        mesh = ax.pcolormesh(lon, lat, values, shading="nearest", **colours)
        ax.plot(*_border(lon, lat), color="black", linewidth=0.8)
        ax.set(title=name, xlabel="longitude [degrees east]", aspect=1 / np.cos(np.radians(lat.mean())))
        if name != "seen":
            label = "standard deviation [°C]" if wide else "temperature [°C]"
            figure.colorbar(mesh, ax=ax, label=label, extend="neither" if wide else "both")
    panels[0].set_ylabel("latitude [degrees north]")
    path = folder / "curvilinear_grid.png"
    figure.savefig(path, dpi=110)
    return path


def _border(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The outermost cells, once round."""
    return tuple(np.concatenate([a[0], a[1:, -1], a[-1, -2::-1], a[-2::-1, 0]]) for a in (lon, lat))  # type: ignore[return-value]


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
