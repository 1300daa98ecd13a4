"""Downscaling rain: a smooth guess, its distribution corrected, and a member that is as ragged as rain.

    python docs/gallery/downscaling_rain.py [FOLDER]

Rain in blocks of 8 x 8 cells, made fine again by three methods that learnt from other dates. Interpolation is too
smooth and rains too little where it rains hard; quantile mapping has the right values in the wrong places; RainFARM
draws members with the small scales of rain, each with the coarse means it was given. Right: how often a value is
exceeded.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import driftfield as df
from driftfield.data.prepare import prepare
from driftfield.gaussian.random_fields import Matern, PeriodicField
from driftfield.peers.downscaling.interpolation import Bilinear
from driftfield.peers.downscaling.quantile_mapping import QuantileMapping
from driftfield.peers.downscaling.rainfarm import RainFARM

CELLS, DATES, FACTOR = 64, 160, 8
METHODS = {"interpolation": Bilinear(), "quantile mapping": QuantileMapping(), "RainFARM, one member": RainFARM()}


def rain() -> xr.Dataset:
    """Large-scale showers with small scales in them, mm per day; dry in two thirds of the cells."""
    rng, side = np.random.default_rng(2), (CELLS, CELLS)
    large = PeriodicField(Matern(14.0, 1.5), side, side).sample(rng, DATES)
    small = PeriodicField(Matern(2.5, 0.5), side, side).sample(rng, DATES)
    fields = np.maximum(np.exp(1.3 + 0.9 * large + 0.7 * small) - 6, 0)
    axes = {"time": pd.date_range("2001-01-01", periods=DATES), "lat": 45 + 0.05 * np.arange(CELLS)}
    coordinates = {**axes, "lon": 5 + 0.05 * np.arange(CELLS)}
    attrs = {"units": "mm day-1", "long_name": "rain"}
    return xr.Dataset({"pr": (("time", "lat", "lon"), fields.astype(np.float32), attrs)}, coordinates)


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    truth = rain()
    split = {"class": "TimeSplit", "validation": 0.05, "test": 0.2}
    with tempfile.TemporaryDirectory() as scratch:
        df.save(truth, f"{scratch}/rain.nc")
        data = prepare(
            f"{scratch}/rain.nc", ["pr"], coarse={"factor": FACTOR}, split=split, bounds={"pr": {"lower": 0}}
        )
        for method in METHODS.values():
            method.fit(data)
    test = truth.isel(time=slice(DATES - 24, DATES))
    coarse = df.coarsen(test, factor=FACTOR)
    fine = {}
    for name, method in METHODS.items():
        fields = df.downscale(method, coarse, members=4 if "member" in name else 1)
        fine[name] = (
            (fields["pr_member"].isel(member=0) if "member" in name else fields["pr"])
            .transpose("time", "lat", "lon")
            .values
        )
    figure = Figure(figsize=(13, 6), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.6))
    day = int(test["pr"].mean(("lat", "lon")).argmax("time"))
    shown = {"truth": test["pr"].values, "coarse": coarse["pr"].values, **fine}
    maps = []
    for place, (name, fields) in enumerate(shown.items()):
        ax = figure.add_subplot(grid[divmod(place, 3)])
        mesh = ax.imshow(fields[day] ** 0.5, cmap="YlGnBu", vmin=0, vmax=6, origin="lower", extent=(5, 8.2, 45, 48.2))
        ax.set_title(name, fontsize=10)
        ax.set_ylabel("°N" if place % 3 == 0 else "")
        ax.set_xlabel("°E")
        maps.append(ax)
    bar = figure.colorbar(mesh, ax=maps, label="rain [mm per day]", extend="max", shrink=0.8)
    bar.set_ticks(np.sqrt([0, 1, 4, 9, 16, 25, 36]), labels=["0", "1", "4", "9", "16", "25", "36"])
    ax = figure.add_subplot(grid[:, 3])
    levels = np.geomspace(0.5, 100, 60)
    for name, fields in shown.items():
        share = [np.mean(fields > level) for level in levels]
        ax.loglog(levels, np.where(np.array(share) > 0, share, np.nan), "k" if name == "truth" else "-", label=name)
    ax.set(xlabel="rain [mm per day]", ylabel="share of cells with more", ylim=(1e-5, 1))
    ax.legend(fontsize="small")
    path = folder / "downscaling_rain.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
