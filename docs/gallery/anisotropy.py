"""Fields that reach farther along the coast than across it: the covariance is found with its direction.

    python docs/gallery/anisotropy.py [FOLDER]

Filaments three times as long as they are wide, an eighth of them seen. `length_km` states one length for both directions;
without it kriging finds a length for each, and misses less.
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import driftfield as df
from driftfield.gaussian.random_fields import Matern
from driftfield.gaussian.random_fields.places import field_at

ROWS, COLUMNS, STEP, STRETCH = 30, 40, 0.05, 3.0


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng = np.random.default_rng(4)
    lat, lon = STEP * np.arange(ROWS), STEP * np.arange(COLUMNS)
    # shrunk eastwards while it is drawn, a round field becomes one that is three times as long from west to east
    truth = field_at(Matern(16.0, 1.5), lat, lon / STRETCH).sample(rng, 1)[0]
    seen = np.where(rng.random(truth.shape) < 0.12, truth, np.nan)
    axes = {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
    data = xr.Dataset({"c": (("lat", "lon"), seen, {"units": "1"})}, axes)
    round_one = df.fill(data, "c", method="kriging", length_km=28.0)["c"].values.squeeze()
    found_one = df.fill(data, "c", method="kriging")["c"].values.squeeze()
    figure = Figure(figsize=(14, 3.3), layout="compressed")
    panels = figure.subplots(1, 4, sharex=True, sharey=True)
    shown = {"seen": seen, "one length": round_one, "a length for each direction": found_one, "truth": truth}
    for ax, (name, values) in zip(panels, shown.items(), strict=True):
        mesh = ax.pcolormesh(lon, lat, values, cmap="RdBu_r", vmin=-2.5, vmax=2.5, shading="nearest")
        missed = "" if name in ("seen", "truth") else f"\nerror {rms(values - truth, np.isnan(seen)):.3f}"
        ax.set(title=name + missed, xlabel="longitude [degrees east]", aspect="equal")
    figure.colorbar(mesh, ax=panels, label="anomaly [standard deviations]", extend="both")
    panels[0].set_ylabel("latitude [degrees north]")
    path = folder / "anisotropy.png"
    # compressed, panels leave no room for labels
    figure.savefig(path, dpi=110, bbox_inches="tight")
    return path


def rms(error: np.ndarray, where: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(error[where] ** 2)))


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
