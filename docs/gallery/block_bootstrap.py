"""How sure is a score? Dates that follow each other say the same twice.

    python docs/gallery/block_bootstrap.py [FOLDER]

The RMSE of 60 dates, 300 times over, from errors that are remembered from one date to the next. An interval that draws
single dates should hold the true RMSE in 90 of 100 cases; the more memory, the less it does. Drawing blocks of dates,
as `driftfield evaluate` does, loses much less. The figure under the bars: dates that are as good as independent, of the
60.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.evaluate.intervals import block_bootstrap, independent_dates

DATES, RECORDS = 60, 300
MEMORY = (0.0, 0.3, 0.6, 0.8, 0.9)


def squared_errors(memory: float, rng: np.random.Generator) -> np.ndarray:
    """Mean squared error of every date (record, date), of mean 1: its logarithm remembers."""
    log = rng.standard_normal((RECORDS, DATES))
    for date in range(1, DATES):
        log[:, date] = memory * log[:, date - 1] + np.sqrt(1 - memory**2) * log[:, date]
    return np.exp(0.7 * log - 0.245)


def single_dates(errors: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The interval that takes dates for independent."""
    drawn = np.sqrt(errors[rng.integers(0, DATES, (400, DATES))].mean(axis=1))
    return float(np.quantile(drawn, 0.05)), float(np.quantile(drawn, 0.95))


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng = np.random.default_rng(0)
    held: dict[str, list[float]] = {"single dates": [], "blocks of dates": []}
    ticks = []
    for memory in MEMORY:
        records = squared_errors(memory, rng)
        singles = [single_dates(errors, rng) for errors in records]
        blocks = [block_bootstrap(errors, np.ones(DATES), root=True, draws=400) for errors in records]
        held["single dates"].append(np.mean([low <= 1 <= high for low, high in singles]))
        held["blocks of dates"].append(np.mean([b is not None and b.low <= 1 <= b.high for b in blocks]))
        ticks.append(f"{memory:g}\n({np.mean([independent_dates(errors) for errors in records]):.0f})")
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    ax = figure.subplots()
    for place, (name, shares) in zip((-0.2, 0.2), held.items(), strict=True):
        bars = ax.bar(np.arange(len(MEMORY)) + place, 100 * np.array(shares), width=0.38, label=name)
        ax.bar_label(bars, fmt="%.0f", fontsize=8)
    ax.axhline(90, color="black", linestyle="--", linewidth=1)
    ax.set_xticks(range(len(MEMORY)), ticks)
    ax.set(xlabel="memory of the error from date to date (dates as good as independent)", ylabel="true RMSE inside [%]")
    ax.set_ylim(0, 112)
    ax.legend(ncols=2, loc="upper right", fontsize="small")
    path = folder / "block_bootstrap.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
