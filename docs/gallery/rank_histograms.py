"""Rank histograms: three ensembles with the same error and another spread.

    python docs/gallery/rank_histograms.py [FOLDER]

Where does the truth fall among the members? An honest ensemble makes every place equally likely; one that is too sure
has the truth outside most of the time (a bowl), one that is too cautious has it in the middle (a hill). The score that
one number gives, spread over skill, is in the titles: 1 is ideal.
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from driftfield.evaluate.scores.ensembles import rank_histogram, spread_skill

MEMBERS, DATES, CELLS = 15, 40, 400
WIDTHS = {"too sure": 0.5, "honest": 1.0, "too cautious": 1.8}


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng = np.random.default_rng(0)
    dims = ("time", "lat", "lon")
    shape = (DATES, 20, CELLS // 20)
    known = rng.standard_normal(shape)
    truth = xr.DataArray(known + rng.standard_normal(shape), dims=dims)
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, len(WIDTHS), sharey=True)
    for ax, (name, width) in zip(panels, WIDTHS.items(), strict=True):
        members = xr.DataArray(known + width * rng.standard_normal((MEMBERS, *shape)), dims=("member", *dims))
        counts = rank_histogram(members, truth).values
        ax.bar(np.arange(len(counts)), counts / counts.sum() * len(counts), width=0.9)
        ax.axhline(1, color="black", linestyle="--", linewidth=1)
        ratio = float(spread_skill(members, truth))
        ax.set(
            title=f"{name}: spread / skill {ratio:.2f}",
            xlabel="members below the truth",
            xticks=range(0, MEMBERS + 1, 5),
        )
    panels[0].set_ylabel("frequency over that of an honest one")
    path = folder / "rank_histograms.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
