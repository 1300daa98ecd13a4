"""Filters and smoothers beside the exact posterior of a linear Gaussian problem; writes docs/kalman.md.

python benchmarks/kalman.py [--out docs/kalman.md]

    x_0 ~ N(0, P)      x_{k+1} = M x_k      y_k = H x_k + r,  r ~ N(0, R)

The Kalman filter and the smoother of Rauch, Tung and Striebel go from date to date; the posterior of all dates is written down
besides, as one Gaussian, by a formula that knows nothing of recursions.
"""

import argparse
from dataclasses import dataclass
from math import pi
from pathlib import Path

import numpy as np
from scipy.stats import norm

from driftfield.assimilation.kalman import ETKF, EnsembleFilter, Observing, StochasticEnKF, assimilate

CELLS, CYCLES, ERROR, DAMPING = 40, 30, 0.3, 0.98
SEEN = np.array([0, 10, 20, 30])
MEMBERS = (16, 64, 256)


class Wave:
    """Half a cell to the right round a circle in each step, and a little smaller."""

    step_days = 1.0
    size = CELLS

    def __init__(self) -> None:
        waves = np.fft.fftfreq(CELLS) * CELLS
        shift = np.exp(-1j * pi * waves / CELLS)
        self.matrix = DAMPING * np.real(np.fft.ifft(shift[:, None] * np.fft.fft(np.eye(CELLS), axis=0), axis=0))

    def advance(self, state: np.ndarray, steps: int = 1) -> np.ndarray:
        """(..., cell) -> (..., cell)."""
        for _ in range(steps):
            state = state @ self.matrix.T
        return state


@dataclass(frozen=True)
class Moments:
    """Means and standard deviations (cycle, cell) of the filter and of the smoother."""

    filtered: np.ndarray
    filtered_sd: np.ndarray
    smoothed: np.ndarray
    smoothed_sd: np.ndarray


def prior() -> np.ndarray:
    """Covariance at the beginning: four cells long, round the circle."""
    row = np.exp(-((np.arange(CELLS)[:, None] + CELLS * np.arange(-2, 3)) ** 2) / (2 * 4.0**2)).sum(axis=1)
    return np.stack([np.roll(row, k) for k in range(CELLS)])


def recursions(y: np.ndarray, m: np.ndarray) -> Moments:
    """The Kalman filter forwards; then Rauch, Tung and Striebel backwards."""
    h, r = np.eye(CELLS)[SEEN], ERROR**2 * np.eye(len(SEEN))
    x, p = np.zeros(CELLS), prior()
    forecasts, analyses = [], []
    for look in y:
        x, p = m @ x, m @ p @ m.T
        forecasts.append((x, p))
        gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + r)
        x, p = x + gain @ (look - h @ x), p - gain @ h @ p
        analyses.append((x, p))
    smooth = [analyses[-1]]
    for (x, p), (x_next, p_next) in zip(analyses[-2::-1], forecasts[:0:-1], strict=True):
        back = p @ m.T @ np.linalg.pinv(p_next, rcond=1e-12)
        later, p_later = smooth[-1]
        smooth.append((x + back @ (later - x_next), p + back @ (p_later - p_next) @ back.T))
    return Moments(*_parts(analyses), *_parts(smooth[::-1]))


def joint(y: np.ndarray, m: np.ndarray) -> Moments:
    """The same from one Gaussian of all looks: no date knows of another but through x_0."""
    powers = [np.linalg.matrix_power(m, k + 1) for k in range(CYCLES)]
    looks, p0 = np.concatenate([power[SEEN] for power in powers]), prior()

    def at(cycle: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        g = looks[: len(SEEN) * (last + 1)]
        gain = p0 @ g.T @ np.linalg.inv(g @ p0 @ g.T + ERROR**2 * np.eye(len(g)))
        return powers[cycle] @ gain @ y[: last + 1].ravel(), powers[cycle] @ (p0 - gain @ g @ p0) @ powers[cycle].T

    filtered = [at(k, k) for k in range(CYCLES)]
    return Moments(*_parts(filtered), *_parts([at(k, CYCLES - 1) for k in range(CYCLES)]))


def _parts(states: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    means, covariances = zip(*states, strict=True)
    return np.stack(means), np.sqrt(np.maximum([np.diag(p) for p in covariances], 0))


def problem(seed: int) -> tuple[Wave, np.ndarray, np.ndarray, np.random.Generator]:
    """The wave, what was seen (cycle, observation), a root of the prior, and random numbers."""
    rng, wave = np.random.default_rng(seed), Wave()
    root = np.linalg.cholesky(prior() + 1e-9 * np.eye(CELLS))
    states = [wave.advance(root @ rng.standard_normal(CELLS))]
    for _ in range(CYCLES - 1):
        states.append(wave.advance(states[-1]))
    return wave, Observing.of_variables(SEEN, ERROR).draw(np.stack(states), rng), root, rng


def scores(mean: np.ndarray, sd: np.ndarray, exact: np.ndarray, exact_sd: np.ndarray) -> tuple[float, float, float]:
    """CRPS and spread over those of the posterior, and how far the mean is off, in posterior standard deviations."""
    # of N(mean, sd^2) where the truth is N(exact, exact_sd^2): E|X - Y| - E|X - X'| / 2
    both, away = np.sqrt(sd**2 + exact_sd**2), mean - exact
    z = away / both
    crps = both * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z)) - sd / np.sqrt(pi)
    best = exact_sd / np.sqrt(pi)
    rms = [float(np.sqrt(np.mean(part**2))) for part in (sd, away, exact_sd)]
    return float(crps.mean() / best.mean()), rms[0] / rms[2], rms[1] / rms[2]


def measured(method: EnsembleFilter, members: int, seeds: range) -> dict[str, tuple[float, ...]]:
    """Scores of an ensemble as filter, and as smoother that has seen everything, in the middle of the period."""
    rows: dict[str, list[tuple[float, float, float]]] = {"filter": [], "smoother": []}
    for seed in seeds:
        wave, y, root, rng = problem(seed)
        exact, middle = joint(y, wave.matrix), CYCLES // 2
        initial, observing = rng.standard_normal((members, CELLS)) @ root.T, Observing.of_variables(SEEN, ERROR)
        made = assimilate(wave, method, initial, y, observing, lags=(0, CYCLES - 1 - middle), seed=seed)
        rows["filter"].append(
            scores(made.mean[0][middle:], made.sd[0][middle:], exact.filtered[middle:], exact.filtered_sd[middle:])
        )
        lagged = (made.mean[1][middle], made.sd[1][middle])
        rows["smoother"].append(scores(*lagged, exact.smoothed[middle], exact.smoothed_sd[middle]))
    return {name: tuple(np.mean(values, axis=0)) for name, values in rows.items()}


def page(seeds: range) -> str:
    """The page."""
    wave, y, _, _ = problem(0)
    one, other = recursions(y, wave.matrix), joint(y, wave.matrix)
    apart = {
        name: max(np.abs(getattr(one, part) - getattr(other, part)).max() for part in (name, f"{name}_sd"))
        for name in ("filtered", "smoothed")
    }
    lines = [INTRODUCTION.format(seeds=len(seeds), filtered=apart["filtered"], smoothed=apart["smoothed"])]
    for name in ("filter", "smoother"):
        lines += [f"## As a {name}", "", "| method | members | CRPS | spread | mean |", "|---|---|---|---|---|"]
        lines += [f"| exact (Kalman{' and Rauch, Tung, Striebel' if name == 'smoother' else ''}) | - | 1 | 1 | 0 |"]
        for method in (StochasticEnKF(), ETKF()):
            for members in MEMBERS:
                row = " | ".join(f"{value:.3f}" for value in measured(method, members, seeds)[name])
                lines.append(f"| {type(method).__name__} | {members} | {row} |")
        lines.append("")
    return "\n".join(lines)


INTRODUCTION = """# Filters and smoothers beside the exact posterior

Made by `python benchmarks/kalman.py`; do not edit. A fast version is `tests/assimilation/test_kalman_table.py`.

For whoever wants to know what an ensemble costs where everything is linear and Gaussian, so that the Kalman filter and smoother
are exact. A smooth wave runs round a circle of 40 cells for 30 dates, half a cell a date, and is seen at four of them with an
error of 0.3; its prior is a Gaussian field four cells long. The recursions (Kalman; Rauch, Tung and Striebel) agree with the
posterior of all dates, written down as one Gaussian, to {filtered:.0e} and {smoothed:.0e} in mean and standard deviation. No
inflation and no localisation; means over {seeds} truths. Guidance methods have [a page like this](posterior.md); chaotic
systems have [theirs](lorenz-assimilation.md).

CRPS and spread are divided by those of the posterior (1 is best), the mean's error is in posterior standard deviations (0 is
best). The filter is judged on the second half of the dates, the smoother in the middle, once it has seen the whole period.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "kalman.md")
    options = parser.parse_args()
    options.out.write_text(page(range(options.seeds)), encoding="utf-8")
