"""Chlorophyll is positive and skewed: filled as a logarithm, no value is negative and the band is one-sided.

    python docs/gallery/bounded_log.py [FOLDER]

`df.fill` finds out that values are positive and span orders of magnitude, takes logarithms before it does anything and
says so. Below, along the middle row: the median and the band of 90 % of members, which never crosses zero.
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import driftfield as df
from driftfield.gaussian.random_fields import Matern
from driftfield.gaussian.random_fields.places import field_at

ROWS, COLUMNS, STEP = 30, 44, 0.05


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng = np.random.default_rng(8)
    lat, lon = 42 + STEP * np.arange(ROWS), 3 + STEP * np.arange(COLUMNS)
    truth = np.exp(1.1 * field_at(Matern(25.0, 1.5), lat, lon).sample(rng, 1)[0] - 1.5)
    cloud = field_at(Matern(20.0, 1.5), lat, lon).sample(rng, 1)[0] > 0.3
    attrs = {"units": "mg m-3", "standard_name": "mass_concentration_of_chlorophyll_a_in_sea_water"}
    axes = {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
    seen = xr.Dataset({"chl": (("lat", "lon"), np.where(cloud, np.nan, truth), attrs)}, axes)
    fields = df.fill(seen, "chl", method="kriging", members=64)
    members = fields["chl_member"].transpose("member", ...).values.reshape(64, ROWS, COLUMNS)
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1.2, 1))
    for column, (name, values) in enumerate(
        {"seen": seen["chl"].values, "median of the filled": np.median(members, axis=0), "truth": truth}.items()
    ):
        ax = figure.add_subplot(grid[0, column])
        mesh = ax.pcolormesh(lon, lat, values, cmap="viridis", norm=LogNorm(0.02, 3), shading="nearest")
        ax.axhline(lat[ROWS // 2], color="white", linewidth=0.8, linestyle="--")
        ax.set(title=name, xlabel="longitude [degrees east]", ylabel="latitude [degrees north]" if not column else "")
    figure.colorbar(mesh, ax=figure.axes[:3], label="chlorophyll [mg m⁻³]", extend="both")
    line = figure.add_subplot(grid[1, :])
    row = members[:, ROWS // 2]
    line.fill_between(
        lon, *np.quantile(row, [0.05, 0.95], axis=0), color="tab:green", alpha=0.3, label="90 % of members"
    )
    line.plot(lon, np.median(row, axis=0), color="tab:green", label="median")
    line.plot(lon, truth[ROWS // 2], "k--", label="truth")
    line.plot(lon, seen["chl"].values[ROWS // 2], "k.", label="seen")
    line.set(xlabel="longitude [degrees east]", ylabel="chlorophyll [mg m⁻³]", title=f"along {lat[ROWS // 2]:.2f}°N")
    line.set_ylim(0, None)
    line.legend(fontsize="small", ncols=4)
    path = folder / "bounded_log.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
