"""A section with withheld profiles: what a trained model says between the stations.

    python docs/gallery/section_profiles.py [FOLDER]

Temperature along 36 degrees north of a simulated ocean that the model of the package has never seen; floats (triangles)
and a cloudy surface were given to it. Below, three columns that it did not see: truth (black), the members and their
mean.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import driftfield as df
from driftfield.evaluate.drawing import LAND, depth_axis, scale_of


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    truth = df.simulate_ocean(years=0.02, every_days=5, start="2041-03-01", seed=7).isel(time=[0])[["thetao", "sst"]]
    seen = df.observe(truth, {"thetao": "profiles:0.92", "sst": "clouds:0.8"}, error=0.05, seed=2)
    fields = df.reconstruct("shipped:ocean_diffusion", seen, members=8)
    row = {"time": 0, "lat": int(np.abs(truth["lat"].values - 36).argmin())}
    true, mean = truth["thetao"].isel(row), fields["thetao"].isel(row)
    members = fields["thetao_member"].isel(row).transpose("member", "depth", "lon")
    floats = np.isfinite(seen["thetao"].isel(row)).any("depth").values
    depth, lon = truth["depth"].values, truth["lon"].values
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1, 1.1))
    colours = scale_of("thetao", "degC", [true.values])
    sections = []
    for column, (name, field) in enumerate(
        {"truth": true, "mean": mean, "standard deviation": fields["thetao_sd"].isel(row)}.items()
    ):
        ax = figure.add_subplot(grid[0, column])
        ax.set_facecolor(LAND)
        if name == "standard deviation":
            colours = {"cmap": "magma_r", "vmin": 0, "vmax": float(field.quantile(0.99))}
        mesh = ax.pcolormesh(lon, depth, field.transpose("depth", "lon"), shading="nearest", **colours)
        ax.plot(lon[floats], np.zeros(floats.sum()), "kv", clip_on=False, markersize=5)
        ax.set(title=name, xlabel="longitude [degrees east]")
        depth_axis(ax, depth)
        if column != 1:
            label = "temperature [°C]" if name == "truth" else "standard deviation [°C]"
            sections.append((mesh, ax, label))
    figure.axes[0].set_ylabel("depth [m]")
    for mesh, ax, label in sections:
        figure.colorbar(mesh, ax=ax, label=label, location="bottom", extend="both" if "temp" in label else "max")
    hidden = np.flatnonzero(~floats & np.isfinite(true.isel(depth=-1).values))
    for column, place in enumerate(hidden[[len(hidden) // 6, len(hidden) // 2, -len(hidden) // 6]]):
        ax = figure.add_subplot(grid[1, column])
        ax.plot(members.values[:, :, place].T, depth, color="tab:cyan", linewidth=0.8, label="members")
        ax.plot(mean.values[:, place], depth, color="tab:blue", label="mean")
        ax.plot(true.values[:, place], depth, "k--", label="truth")
        ax.set(title=f"{-lon[place]:.2f}°W, not seen", xlabel="temperature [°C]")
        depth_axis(ax, depth)
        handles, labels = ax.get_legend_handles_labels()
        ax.legend(handles[-3:], labels[-3:], fontsize="small", loc="lower right")
    figure.axes[-3].set_ylabel("depth [m]")
    path = folder / "section_profiles.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
