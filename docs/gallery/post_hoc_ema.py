"""The width of an average of the weights, chosen after the training.

    python docs/gallery/post_hoc_ema.py [FOLDER]

A line is fitted by noisy gradients. A short average is noisy, a long one still remembers the start: the best width is known
only afterwards. Sixteen snapshots of two averages give every width in between; dots are averages that were really tracked.
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import nn

from driftfield.training.power_ema import PowerEMA, combine

STEPS, RATE, SIZE = 2000, 0.0025, 200
TRACKED = (0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.25)


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(SIZE, generator=generator)
    model = nn.Linear(SIZE, 1, bias=False)
    nn.init.zeros_(model.weight)
    kept, tracked = PowerEMA(model, (0.05, 0.1), snapshots=16), PowerEMA(model, TRACKED, snapshots=0)
    snapshots = []
    for step in range(STEPS):
        gradient = model.weight.data - truth + 3 * torch.randn(SIZE, generator=generator)
        model.weight.data -= RATE * gradient
        kept.update(step)
        tracked.update(step)
        snapshots += kept.due(step + 1, STEPS)

    def error(weights: dict[str, torch.Tensor]) -> float:
        return float((weights["weight"] - truth).norm() / truth.norm())

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    widths = [0.01 * 1.05**k for k in range(67)]
    axes.plot(widths, [error(combine(snapshots, width)) for width in widths], label=f"from {len(snapshots)} snapshots")
    found = [error(average) for average in tracked.averages]
    axes.plot(TRACKED, found, "o", color="C3", label="tracked while training")
    axes.axhline(error({"weight": model.weight.data}), color="0.6", linestyle="--", label="last weights, not averaged")
    axes.set(
        xlabel="width of the average (share of the training)",
        ylabel="relative error of the weights",
        title="One training, every width",
        ylim=(0, None),
    )
    axes.legend(fontsize="small")
    path = folder / "post_hoc_ema.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)))
