"""Spread against error, bin by bin: one ratio for all cells can be 1 while the pattern is wrong.

    python docs/gallery/spread_in_bins.py [FOLDER]

Two spreads for the same interpolated field: the one that optimal interpolation states, which is small near
observations, and one that is the same everywhere, with the same mean square. Their overall ratios of spread and error
are alike. Sorted into bins of the spread, the first one tells good cells from bad ones; the second one cannot, and its
single bin is its only point.
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from driftfield.evaluate.scores.ensembles import spread_skill_bins_gaussian, spread_skill_gaussian
from driftfield.testing.posteriors import PosteriorProblem

CASES = 150


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    problem = PosteriorProblem((1, 24, 24), length=3, observed=60, error=0.1)
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(problem.covariance.numpy() + 1e-9 * np.eye(problem.cells))
    # the truth is a draw of the posterior: mean 0 stands for any mean
    truth = xr.DataArray(
        (rng.standard_normal((CASES, problem.cells)) @ root.T).reshape(CASES, 24, 24), dims=("time", "lat", "lon")
    )
    sd = xr.DataArray(problem.sd.numpy().reshape(24, 24), dims=("lat", "lon"))
    mean = xr.zeros_like(truth)
    spreads = {
        "stated cell by cell": sd.broadcast_like(truth),
        "too sure by a third": 0.67 * sd.broadcast_like(truth),
        "the same everywhere": xr.full_like(truth, float(np.sqrt((sd**2).mean()))),
    }
    figure = Figure(figsize=(10, 4.3), layout="constrained")
    chart, bins = figure.subplots(1, 2, width_ratios=(1, 1.1))
    mesh = chart.pcolormesh(sd, cmap="magma_r", vmin=0)
    figure.colorbar(mesh, ax=chart, label="stated standard deviation")
    chart.set(xlabel="column", ylabel="row", aspect="equal")
    for name, spread in spreads.items():
        table = spread_skill_bins_gaussian(mean, spread, truth, bins=10)
        ratio = float(spread_skill_gaussian(mean, spread, truth))
        bins.plot(table["spread"], table["error"], "o-", label=f"{name}: {ratio:.2f} over all")
    top = 1.05 * float(sd.max())
    bins.plot([0, top], [0, top], "k--", linewidth=1)
    bins.set(xlabel="spread of the bin", ylabel="rms error in the bin", xlim=(0, top), ylim=(0, top))
    bins.legend(fontsize="small", title="spread / error", loc="upper left")
    path = folder / "spread_in_bins.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
