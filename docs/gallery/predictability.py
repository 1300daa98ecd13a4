"""Predictability: an ensemble that starts together parts, sooner in one place of the attractor than in another.

    python docs/gallery/predictability.py [FOLDER]

Forty states of Lorenz-63 that differ by a thousandth, started at three places. How long they stay together is a
property of the day and not only of the model: an ensemble says which days are which, a single forecast cannot.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.worlds.lorenz import Lorenz63

STEPS, MEMBERS, STARTS = 1400, 40, (400, 655, 900)


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    world, rng = Lorenz63(), np.random.default_rng(0)
    states = [world.advance(np.array([1.0, 1.0, 25.0]), 500)]
    for _ in range(1500):
        states.append(world.advance(states[-1]))
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    top, bottom = figure.subplots(2, len(STARTS), sharex=True, sharey="row", height_ratios=(1.5, 1))
    time = np.arange(STEPS + 1) * world.step
    for ax, below, start in zip(top, bottom, STARTS, strict=True):
        course = [states[start] + 1e-3 * rng.standard_normal((MEMBERS, 3))]
        for _ in range(STEPS):
            course.append(world.advance(course[-1]))
        x = np.stack(course)[..., 0]
        spread = x.std(axis=1)
        apart = time[int(np.argmax(spread > 4))]
        ax.plot(time, x, color="tab:blue", alpha=0.2, linewidth=0.7)
        ax.axvline(apart, color="0.4", linestyle=":")
        ax.set_title(f"start {start}: apart after {apart:.1f}")
        below.semilogy(time, spread)
        below.axvline(apart, color="0.4", linestyle=":")
        below.set_xlabel("time")
    top[0].set_ylabel("x of the members")
    bottom[0].set_ylabel("spread of x")
    path = folder / "predictability.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
