"""One network for any field: three images that it has never seen the like of, filled without training.

    python docs/gallery/any_field.py [FOLDER]

`shipped:anyfield` learnt from random fields of every smoothness, size and unit. Here it fills a smooth field with a
sharp gap, a rough one seen along tracks, and turbulence under clouds, with the spread beside. It asks for nothing but
the file; where there is an archive, a model that has learnt from it does better.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import driftfield as df
from driftfield.gaussian.random_fields import Matern, WindowField

SIDE = 48


def image(values: np.ndarray, units: str) -> xr.Dataset:
    """A data set of one date."""
    coordinates = {
        "time": [pd.Timestamp("2020-01-01")],
        "lat": 30 + 0.1 * np.arange(SIDE),
        "lon": 10 + 0.1 * np.arange(SIDE),
    }
    return xr.Dataset(
        {"field": (("time", "lat", "lon"), values[None].astype(np.float32), {"units": units})}, coordinates
    )


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng = np.random.default_rng(1)
    flow = df.simulate_navier_stokes(size=SIDE, compute=64, frames=1, spin_up=8.0, seed=2)["vorticity"].values[0]
    cases = {
        "smooth, a block": (
            image(280 + 3 * WindowField(Matern(12.0, 2.5), (SIDE, SIDE)).sample(rng, 1)[0], "K"),
            "blocks:0.5",
        ),
        "rough, tracks": (
            image(0.1 * WindowField(Matern(8.0, 0.5), (SIDE, SIDE)).sample(rng, 1)[0], "m"),
            "tracks:0.8",
        ),
        "turbulence, clouds": (image(flow, "s-1"), "clouds:0.6"),
    }
    figure = Figure(figsize=(12, 9), layout="constrained")
    panels = figure.subplots(3, 4, sharex=True, sharey=True)
    for row, (name, (truth, pattern)) in zip(panels, cases.items(), strict=True):
        seen = df.observe(truth, {"field": pattern}, seed=4)
        filled = df.reconstruct("shipped:anyfield", seen[["field", "domain"]], members=8)
        units = truth["field"].attrs["units"]
        low, high = np.quantile(truth["field"], [0.01, 0.99])
        shown = {
            "truth": truth["field"],
            "seen": seen["field"],
            "filled": filled["field"],
            "standard deviation": filled["field_sd"],
        }
        for ax, (part, values) in zip(row, shown.items(), strict=True):
            spread = part == "standard deviation"
            limits = {"cmap": "magma_r", "vmin": 0} if spread else {"cmap": "viridis", "vmin": low, "vmax": high}
            mesh = ax.pcolormesh(truth["lon"], truth["lat"], values.isel(time=0).squeeze(), shading="nearest", **limits)
            ax.set_title(f"{name}: {part}" if part == "truth" else part, fontsize=10)
            if part in ("filled", "standard deviation"):
                figure.colorbar(mesh, ax=ax, label=f"[{units}]", extend="neither" if spread else "both")
        row[0].set_ylabel("latitude [degrees north]")
    for ax in panels[-1]:
        ax.set_xlabel("longitude [degrees east]")
    path = folder / "any_field.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
