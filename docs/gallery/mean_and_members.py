"""Mean and members: the best single guess is smoother than the ocean, a member is not.

    python docs/gallery/mean_and_members.py [FOLDER]

Optimal interpolation of a simulated ocean at 200 m, of which 5 % of the columns were seen. Left to right: the truth, the mean of
sixteen members, one member. Right: the mean squared gradient of each. Gradients, extremes and everything else that is not linear
are taken from members.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import driftfield as df
from driftfield.evaluate.drawing import LAND, scale_of


def steepness(field: np.ndarray) -> float:
    """Mean squared difference of neighbours, degC^2."""
    steps = [np.diff(field, axis=axis).ravel() for axis in (0, 1)]
    return float(np.nanmean(np.concatenate(steps) ** 2))


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    truth = df.simulate_ocean(years=0.02, every_days=5, start="2041-03-01", seed=7).isel(time=[0])
    seen = df.observe(truth[["thetao", "sst"]], {"thetao": "profiles:0.95", "sst": "clouds:0.8"}, error=0.05, seed=1)
    fields = df.reconstruct("shipped:ocean_oi", seen, members=16)
    at = {"time": 0, "depth": int(np.abs(truth["depth"].values - 200).argmin())}
    members = fields["thetao_member"].isel(at).transpose("member", "lat", "lon").values
    maps = {
        "truth": truth["thetao"].isel(at).values,
        "mean": fields["thetao"].isel(at).values,
        "one member": members[0],
    }
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    *panels, bars = figure.subplots(1, 4)
    for ax, (name, values) in zip(panels, maps.items(), strict=True):
        ax.set_facecolor(LAND)
        colours = scale_of("thetao", "degC", list(maps.values()))
        mesh = ax.pcolormesh(truth["lon"], truth["lat"], values, shading="nearest", **colours)
        ax.set(title=name, xlabel="longitude [degrees east]")
    panels[0].set_ylabel("latitude [degrees north]")
    figure.colorbar(mesh, ax=panels, label="temperature at 200 m [degC]", shrink=0.85, extend="both")
    heights = [steepness(maps["truth"]), steepness(maps["mean"]), *map(steepness, members)]
    colours_of_bars = ["black", "tab:blue", *["tab:cyan"] * len(members)]
    bars.bar(range(len(heights)), heights, color=colours_of_bars)
    bars.set_xticks([0, 1, 1.5 + len(members) / 2], ["truth\n", "\nmean", "members\n"])
    bars.set_ylabel("mean squared step between cells [degC²]")
    path = folder / "mean_and_members.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)))
