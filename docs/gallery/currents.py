"""Currents are vectors: each component is filled with what was seen of both.

    python docs/gallery/currents.py [FOLDER]

The flow around eddies, of which a radar saw only a part. `uo` and `vo` are known as one vector by their names, and
kriging of both components together knows that such a flow hardly converges: gaps are closed along the eddies.
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import driftfield as df
from driftfield.evaluate.drawing import LAND
from driftfield.gaussian.random_fields import Matern
from driftfield.gaussian.random_fields.places import field_at

LAT, LON = 43.0 + 0.05 * np.arange(28), -9.5 + 0.05 * np.arange(36)


def flow(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Eastward and northward current [m/s] of a stream function."""
    height = field_at(Matern(35.0, 2.5), LAT, LON).sample(rng, 1)[0]
    metres = 111_000 * 0.05
    north, east = np.gradient(height, metres, metres * np.cos(np.radians(44)))
    size = 0.3 / np.sqrt(np.mean(north**2 + east**2))
    return -size * north, size * east


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng = np.random.default_rng(2)
    u, v = flow(rng)
    land = LON[None] > -7.95 - 0.25 * (LAT[:, None] - 43)
    unseen = land | (field_at(Matern(18.0, 1.5), LAT, LON).sample(rng, 1)[0] > 0.2)
    dims, units = ("lat", "lon"), {"units": "m s-1"}
    seen = xr.Dataset(
        {
            "uo": (dims, np.where(unseen, np.nan, u), {**units, "standard_name": "eastward_sea_water_velocity"}),
            "vo": (dims, np.where(unseen, np.nan, v), {**units, "standard_name": "northward_sea_water_velocity"}),
            "domain": (dims, (~land).astype("int8")),
        },
        {"lat": LAT, "lon": LON},
    )
    fields = df.fill(seen, method="vector kriging")
    filled = [fields[name].values.squeeze() for name in ("uo", "vo")]
    spread = np.hypot(fields["uo_sd"].values.squeeze(), fields["vo_sd"].values.squeeze())
    figure = Figure(figsize=(13, 4.3), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    known = [np.where(unseen, np.nan, part) for part in (u, v)]
    shown = {"seen": known, "filled": filled, "truth": [np.where(land, np.nan, part) for part in (u, v)]}
    every = (slice(None, None, 2), slice(None, None, 2))
    for ax, (name, (east, north)) in zip(panels, shown.items(), strict=True):
        ax.set_facecolor(LAND)
        open_sea = np.where(land, np.nan, spread if name == "filled" else 0 * spread)
        mesh = ax.pcolormesh(LON, LAT, open_sea, cmap="Blues", vmin=0, vmax=0.4, shading="nearest")
        arrows = ax.quiver(
            LON[::2], LAT[::2], east[every], north[every], scale=9, width=0.0035, angles="xy", pivot="middle"
        )
        ax.set(title=name, xlabel="longitude [degrees east]", aspect=1 / np.cos(np.radians(43.7)))
        if name == "filled":
            figure.colorbar(mesh, ax=panels, label="standard deviation of the filled [m/s]", extend="max")
        if name == "seen":
            ax.quiverkey(arrows, 0.8, 1.05, 0.5, "0.5 m/s", coordinates="axes", labelpos="E")
    panels[0].set_ylabel("latitude [degrees north]")
    path = folder / "currents.png"
    figure.savefig(path, dpi=110, bbox_inches="tight")
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
