"""DINEOF: a series with gaps, filled from its own patterns.

    python docs/gallery/dineof.py [FOLDER]

Sixty fields that are made of three patterns and a little noise, with three quarters of every one under clouds. The gaps
are filled with what a few empirical orthogonal functions say, the functions are computed again, and so on. How many are
taken is decided by values that were kept aside (dashed): too few miss a pattern, too many fit the noise. `driftfield
fill` tries this with eight dates or more.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import driftfield as df
from driftfield.gaussian.gappy_svd import dineof as fill_matrix

ROWS, COLUMNS, DATES, NOISE = 24, 36, 60, 0.3


def record(rng: np.random.Generator) -> np.ndarray:
    """Three waves that come and go (date, row, column)."""
    y, x = np.meshgrid(np.linspace(0, 1, ROWS), np.linspace(0, 1, COLUMNS), indexing="ij")
    waves = [np.sin(np.pi * y) * np.sin(2 * np.pi * x), np.cos(np.pi * y), np.sin(2 * np.pi * (x + y))]
    dates = np.arange(DATES)
    seasons = [2.5 * np.sin(dates / 9), 2 * np.cos(dates / 6 + 1), 1.2 * np.sin(dates / 4)]
    return np.einsum("kt,kyx->tyx", seasons, waves) + NOISE * rng.standard_normal((DATES, ROWS, COLUMNS))


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    clean = record(np.random.default_rng(0))
    truth = xr.Dataset(
        {"sst": (("time", "lat", "lon"), 15 + clean, {"units": "degC"})},
        {
            "time": pd.date_range("2020-01-01", periods=DATES),
            "lat": 30.0 + np.arange(ROWS),
            "lon": np.arange(COLUMNS) * 1.0,
        },
    )
    seen = df.observe(truth, {"sst": "clouds:0.75"}, seed=1)["sst"].values
    matrix = seen.reshape(DATES, -1).T
    result = fill_matrix(matrix, max_rank=8)
    gaps = ~np.isfinite(seen)
    errors = []
    for rank in range(1, 9):
        filled = fill_matrix(matrix, rank=rank).filled.T.reshape(seen.shape)
        errors.append(np.sqrt(np.mean((filled - truth["sst"].values)[gaps] ** 2)))
    figure = Figure(figsize=(12, 4), layout="constrained")
    *panels, ranks = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.3))
    day = 20
    shown = {"seen": seen[day], "filled": result.filled.T.reshape(seen.shape)[day], "truth": truth["sst"].values[day]}
    for ax, (name, field) in zip(panels, shown.items(), strict=True):
        mesh = ax.pcolormesh(truth["lon"], truth["lat"], field, cmap="plasma", vmin=11, vmax=19, shading="nearest")
        ax.set(title=f"{name}, date {day}", xlabel="longitude [degrees east]")
    panels[0].set_ylabel("latitude [degrees north]")
    figure.colorbar(mesh, ax=panels, label="temperature [°C]", location="bottom", shrink=0.5, extend="both")
    ranks.plot(range(1, 9), errors, "o-", label="error in the gaps")
    ranks.plot(range(1, len(result.cv_curve) + 1), result.cv_curve, "s--", label="values kept aside")
    ranks.axvline(result.rank, color="0.6", linestyle=":", label=f"chosen: {result.rank}")
    ranks.set(xlabel="functions", ylabel="rms error [°C]", ylim=(0, None), title="How many functions?")
    ranks.legend(fontsize="small")
    path = folder / "dineof.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
