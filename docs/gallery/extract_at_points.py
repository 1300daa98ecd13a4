"""What a file of fields says at moorings and along a track, with its spread, held against what was measured there.

    python docs/gallery/extract_at_points.py [FOLDER]

`driftfield extract FILE --at PLACES.csv --out VALUES.csv` answers a table row by row: bilinear between cells, linear in
depth and time, members one by one. Here a ship crosses a simulated front that the package's model mapped from profiles.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import driftfield as df
from driftfield.evaluate.drawing import LAND, scale_of
from driftfield.filling.extracting import extract

DEPTH = 50.0


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    truth = df.simulate_ocean(years=0.02, every_days=5, start="2041-03-01", seed=7).isel(time=[0])[["thetao", "sst"]]
    seen = df.observe(truth, {"thetao": "profiles:0.92", "sst": "clouds:0.8"}, error=0.05, seed=2)
    fields = df.reconstruct("shipped:ocean_diffusion", seen, members=16)
    way = np.linspace(0, 1, 80)
    track = pd.DataFrame(
        {
            "time": pd.Timestamp(fields["time"].values[0]),
            "latitude": 34.2 + 5.6 * way,
            "longitude": -66.5 + 5.0 * way,
            "depth": DEPTH,
        }
    )
    values = extract(fields, track, variables=["thetao"], members=True)
    there = extract(truth, track, variables=["thetao"])
    members = values.filter(like="thetao_member")
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    level = fields["thetao"].isel(time=0).sel(depth=DEPTH, method="nearest")
    left.set_facecolor(LAND)
    mesh = left.pcolormesh(
        level["lon"], level["lat"], level, shading="nearest", **scale_of("thetao", "degC", [level.values])
    )
    figure.colorbar(mesh, ax=left, label="temperature [°C]", extend="both")
    left.plot(track["longitude"], track["latitude"], "k-", linewidth=2)
    left.plot(*track.loc[0, ["longitude", "latitude"]], "ko")
    left.set(
        title=f"mean at {float(level['depth']):.0f} m",
        xlabel="longitude [degrees east]",
        ylabel="latitude [degrees north]",
    )
    right.plot(track["latitude"], members, color="tab:cyan", linewidth=0.5)
    right.plot([], [], color="tab:cyan", label="members")
    right.plot(track["latitude"], values["thetao"], color="tab:blue", label="mean")
    right.plot(track["latitude"], there["thetao"], "k--", label="truth")
    right.set(title=f"along the track, {DEPTH:.0f} m", xlabel="latitude [degrees north]", ylabel="temperature [°C]")
    right.legend(fontsize="small")
    path = folder / "extract_at_points.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
