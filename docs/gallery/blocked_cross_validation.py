"""Cross-validation by single cells flatters; by blocks as wide as the gaps it tells what a gap will be missed by.

    python docs/gallery/blocked_cross_validation.py [FOLDER]

Kriging of one image under clouds, judged in two ways on cells that it had seen: single ones left out, whose neighbours
are known, and blocks as wide as the clouds, which is what `df.fill` does. The truth is known here, so that a third bar
shows the error in the gaps themselves.
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import driftfield as df
from driftfield.gaussian.random_fields import Matern
from driftfield.gaussian.random_fields.places import field_at

ROWS, COLUMNS, STEP = 32, 44, 0.1


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng = np.random.default_rng(6)
    lat, lon = 40 + STEP * np.arange(ROWS), STEP * np.arange(COLUMNS)
    truth = field_at(Matern(40.0, 1.5), lat, lon).sample(rng, 1)[0]
    seen = field_at(Matern(35.0, 1.5), lat, lon).sample(rng, 1)[0] < 0.3
    cells = seen & (rng.random(seen.shape) < 0.1)
    blocks = seen & blocks_like_clouds(seen)
    axes = {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}

    def missed(known: np.ndarray, judged: np.ndarray) -> float:
        data = xr.Dataset({"t": (("lat", "lon"), np.where(known, truth, np.nan), {"units": "1"})}, axes)
        filled = df.fill(data, "t", method="kriging")["t"].values.squeeze()
        return float(np.sqrt(np.mean((filled - truth)[judged] ** 2)))

    errors = {
        "single cells\nleft out": missed(seen & ~cells, cells),
        "blocks\nleft out": missed(seen & ~blocks, blocks),
        "the gaps\nthemselves": missed(seen, ~seen),
    }
    figure = Figure(figsize=(13, 3.9), layout="constrained")
    *panels, bars = figure.subplots(1, 3, width_ratios=(1, 1, 0.9))
    for ax, name, left_out in zip(panels, ("single cells left out", "blocks left out"), (cells, blocks), strict=True):
        mesh = ax.pcolormesh(
            lon, lat, np.where(seen, truth, np.nan), cmap="RdBu_r", vmin=-2.5, vmax=2.5, shading="nearest"
        )
        rows, columns = np.nonzero(left_out)
        ax.scatter(lon[columns], lat[rows], s=7, color="black", marker="s")
        ax.set(title=f"{name} (black)", xlabel="longitude [degrees east]", ylabel="latitude [degrees north]")
    figure.colorbar(mesh, ax=panels, label="anomaly [standard deviations]", extend="both")
    bars.bar(list(errors), list(errors.values()), color=["tab:gray", "tab:blue", "black"])
    for place, value in enumerate(errors.values()):
        bars.text(place, value, f"{value:.2f}", ha="center", va="bottom")
    bars.set(ylabel="rms error [standard deviations]", ylim=(0, 1.15 * max(errors.values())))
    path = folder / "blocked_cross_validation.png"
    figure.savefig(path, dpi=110)
    return path


def blocks_like_clouds(seen: np.ndarray) -> np.ndarray:
    """Some of the file's own gaps, moved elsewhere: a gap is as deep there as it was here."""
    return np.roll(~seen, (ROWS // 2, COLUMNS // 3), axis=(0, 1))


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
