"""One pass of an altimeter: what it takes off the uncertainty of sea level, and how far.

    python docs/gallery/altimeter_pass.py [FOLDER]

The spread of sea level before and after one pass, and after a second one that crosses it. What a pass tells reaches
about a correlation length to both sides; between the tracks the sea stays as unknown as before. Only the places count:
the spread does not depend on what was measured.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.gaussian.random_fields import Matern

LAT, LON = np.arange(30.0, 40.0, 0.4), np.arange(-40.0, -26.0, 0.4)
LENGTH_KM, SD_CM, ERROR_CM = 120.0, 9.0, 2.0


def places() -> np.ndarray:
    """Kilometres east and north of every cell (cell, 2)."""
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    return np.stack([(lon - LON[0]) * 111.2 * np.cos(np.deg2rad(35)), (lat - LAT[0]) * 111.2], -1).reshape(-1, 2)


def along(slope: float, start: float) -> np.ndarray:
    """Numbers of the cells under a track, lon = start + slope (lat - 30)."""
    columns = np.rint((start + slope * (LAT - LAT[0]) - LON[0]) / 0.4).astype(int)
    inside = (columns >= 0) & (columns < len(LON))
    return np.flatnonzero(inside) * len(LON) + columns[inside]


def spread(covariance: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Standard deviation of every cell once some were observed."""
    if not seen.size:
        return np.sqrt(np.diag(covariance)).reshape(len(LAT), len(LON))
    cross = covariance[:, seen]
    inner = cross[seen] + ERROR_CM**2 * np.eye(len(seen))
    return np.sqrt(np.diag(covariance) - np.sum(cross * np.linalg.solve(inner, cross.T).T, axis=1)).reshape(
        len(LAT), -1
    )


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    at = places()
    distance = np.linalg.norm(at[:, None] - at[None], axis=-1)
    covariance = SD_CM**2 * Matern(LENGTH_KM, 1.5).correlation(distance)
    first, second = along(0.55, -37.0), along(-0.55, -29.0)
    looks = {"before": first[:0], "one pass": first, "two that cross": np.unique(np.concatenate([first, second]))}
    figure = Figure(figsize=(12, 3.7), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for ax, (name, seen) in zip(panels, looks.items(), strict=True):
        sd = spread(covariance, seen)
        mesh = ax.pcolormesh(LON, LAT, sd, cmap="magma_r", vmin=0, vmax=SD_CM, shading="nearest")
        ax.scatter(LON[seen % len(LON)], LAT[seen // len(LON)], s=4, color="black")
        ax.set(title=f"{name}: {np.sqrt(np.mean(sd**2)):.1f} cm on average", xlabel="longitude [degrees east]")
    panels[0].set_ylabel("latitude [degrees north]")
    figure.colorbar(mesh, ax=panels, label="standard deviation of sea level [cm]")
    path = folder / "altimeter_pass.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
