"""Calibration: a spread that is right on average may still have the wrong shape.

    python docs/gallery/calibration_pit.py [FOLDER]

Three forecasts of the same heavy-tailed errors. Left: the probability that each gave to values below the truth (PIT),
which an honest one spreads evenly. Right: how often the truth lay in the central interval, against what the interval
promised. The Gaussian with the right standard deviation promises too little in the middle and too much at the ends: 90
% intervals can be right while those of 50 % are not.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

ERRORS = stats.t(df=3, scale=1 / np.sqrt(3))  # variance 1, long tails
FORECASTS = {
    "Gaussian, too narrow": stats.norm(scale=0.6),
    "Gaussian, right standard deviation": stats.norm(),
    "the right distribution": ERRORS,
}


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    errors = ERRORS.rvs(size=40_000, random_state=np.random.default_rng(0))
    promised = np.linspace(0.02, 0.98, 49)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    shape, kept = figure.subplots(1, 2)
    for name, forecast in FORECASTS.items():
        pit = forecast.cdf(errors)
        shape.hist(pit, bins=20, range=(0, 1), density=True, histtype="step", linewidth=1.6, label=name)
        inside = [np.mean(np.abs(pit - 0.5) < p / 2) for p in promised]
        kept.plot(100 * promised, 100 * np.array(inside), label=name)
    kept.plot([0, 100], [0, 100], "k--", linewidth=1)
    shape.axhline(1, color="black", linestyle="--", linewidth=1)
    shape.set(xlabel="probability integral transform", ylabel="density", xlim=(0, 1))
    kept.set(xlabel="promised [%]", ylabel="truth inside [%]", xlim=(0, 100), ylim=(0, 100), aspect="equal")
    kept.legend(fontsize="small", loc="upper left")
    path = folder / "calibration_pit.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
