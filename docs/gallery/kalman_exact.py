"""Kalman filters, exact and by ensembles: how many members the exact answer takes.

    python docs/gallery/kalman_exact.py [FOLDER]

A smooth wave runs round a circle of 40 cells and is seen at four of them. Everything is linear and Gaussian, so the
Kalman filter and the fixed-lag smoother are exact; their distance from the truth is dashed. Ensembles come nearer to
the exact mean the more members they have; with many the transform filter (ETKF) is nearer than the stochastic one,
which perturbs the observations.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from driftfield.assimilation.kalman import ETKF, Observing, StochasticEnKF, assimilate

CELLS, CYCLES, LAG, ERROR, DAMPING = 40, 60, 5, 0.3, 0.98
SEEN = np.array([0, 10, 20, 30])
MEMBERS = (8, 16, 32, 64, 128, 256)


class Wave:
    """Half a cell to the right in each step, and a little smaller."""

    step_days = 1.0
    size = CELLS

    def __init__(self) -> None:
        waves = np.fft.fftfreq(CELLS) * CELLS
        shift = np.exp(-1j * np.pi * waves / CELLS)
        self.matrix = DAMPING * np.real(np.fft.ifft(shift[:, None] * np.fft.fft(np.eye(CELLS), axis=0), axis=0))

    def advance(self, state: np.ndarray, steps: int = 1) -> np.ndarray:
        """(..., cell) -> (..., cell)."""
        for _ in range(steps):
            state = state @ self.matrix.T
        return state


def prior() -> np.ndarray:
    """Covariance at the beginning: four cells long."""
    # summed over what lies once more round the circle, so that it is positive
    row = np.exp(-((np.arange(CELLS)[:, None] + CELLS * np.arange(-2, 3)) ** 2) / (2 * 4.0**2)).sum(axis=1)
    return np.stack([np.roll(row, k) for k in range(CELLS)])


def exact(y: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (cycle, cell) of the Kalman filter, and of the smoother that has seen `LAG` later looks: by one joint Gaussian."""
    h = np.eye(CELLS)[SEEN]
    powers = [np.linalg.matrix_power(m, k + 1) for k in range(CYCLES)]
    looks, p0 = np.concatenate([h @ power for power in powers]), prior()

    def mean_at(cycle: int, last: int) -> np.ndarray:
        g = looks[: len(SEEN) * (last + 1)]
        gain = p0 @ g.T @ np.linalg.inv(g @ p0 @ g.T + ERROR**2 * np.eye(len(g)))
        return powers[cycle] @ gain @ y[: last + 1].ravel()

    filtered = np.stack([mean_at(k, k) for k in range(CYCLES)])
    smoothed = np.stack([mean_at(k, min(k + LAG, CYCLES - 1)) for k in range(CYCLES)])
    return filtered, smoothed


def main(folder: Path) -> Path:
    """Writes the figure; returns where it is."""
    rng, wave = np.random.default_rng(0), Wave()
    root = np.linalg.cholesky(prior() + 1e-9 * np.eye(CELLS))
    state, truth = root @ rng.standard_normal(CELLS), []
    for _ in range(CYCLES):
        state = wave.advance(state)
        truth.append(state)
    observing = Observing.of_variables(SEEN, ERROR)
    y = observing.draw(np.stack(truth), rng)
    answers = exact(y, wave.matrix)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for method in (StochasticEnKF(), ETKF()):
        errors = []
        for members in MEMBERS:
            initial = rng.standard_normal((members, CELLS)) @ root.T
            found = assimilate(wave, method, initial, y, observing, lags=(0, LAG), seed=1).mean
            errors.append(
                [np.sqrt(np.nanmean((mean - answer) ** 2)) for mean, answer in zip(found, answers, strict=True)]
            )
        for ax, values in zip(panels, np.array(errors).T, strict=True):
            ax.loglog(MEMBERS, values, marker="o", label=type(method).__name__)
    for ax, title, answer in zip(panels, ("Filter", f"Smoother, lag {LAG}"), answers, strict=True):
        ax.axhline(
            np.sqrt(np.mean((answer - truth) ** 2)), color="black", linestyle="--", label="exact mean from the truth"
        )
        ax.set(title=title, xlabel="members")
        ax.set_xticks(MEMBERS, [str(m) for m in MEMBERS])
        ax.minorticks_off()
        ax.legend(fontsize="small")
    panels[0].set_ylabel("rms distance of the mean from the exact one")
    path = folder / "kalman_exact.png"
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
