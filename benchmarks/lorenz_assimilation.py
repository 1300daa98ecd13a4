"""The standard twin experiment of Lorenz-96: ensemble Kalman filters and smoothers, and a prior that never saw the equations.

    python benchmarks/lorenz_assimilation.py [--run runs/lorenz96_window]

40 variables, F = 8, steps of .05, observation error 1; all variables every step, every second variable every step, and all
variables every fourth step. Numbers are time-mean RMSE at the observation times, and spread / RMSE in brackets. Each peer's
inflation is the best of a few on a series of its own. The smoother is scored over independent stretches of `--length` steps; its
last state has seen past observations only, as a filter has, but no more of them than the stretch holds.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.data.synthetic.lorenz import Lorenz96, simulate_lorenz
from driftfield.reconstruct import load_reconstructor
from driftfield.reconstruct.assimilation import (
    ETKF,
    EnsembleFilter,
    Localisation,
    Observing,
    StochasticEnKF,
    assimilate,
)
from driftfield.reconstruct.trajectory import TrajectoryReconstructor
from driftfield.registry import build

ERROR = 1.0
WORLD = Lorenz96()


@dataclass(frozen=True)
class Setting:
    """What is observed, and when."""

    label: str
    variables: np.ndarray
    steps: int
    lags: tuple[int, ...]
    """In observation times."""


SETTINGS = (
    Setting("all variables, every step", np.arange(40), 1, (0, 5, 10, 20, 40)),
    Setting("every second variable, every step", np.arange(0, 40, 2), 1, (0, 5, 10, 20, 40)),
    Setting("all variables, every fourth step", np.arange(40), 4, (0, 1, 2, 5, 10)),
)

PEERS: dict[str, tuple[int, Callable[[float], EnsembleFilter], Sequence[float]]] = {
    "stochastic EnKF, 40 members": (40, StochasticEnKF, (1.02, 1.04, 1.06, 1.1, 1.15, 1.25)),
    "ETKF, 40 members": (40, lambda inflation: ETKF(inflation, rotation=True), (1.005, 1.01, 1.02, 1.04, 1.07, 1.12)),
    "LETKF, 10 members": (10, lambda inflation: ETKF(inflation, Localisation(5.0, 40)), (1.02, 1.04, 1.07, 1.1, 1.2)),
}


def twin(
    setting: Setting, cycles: int, members: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Observing]:
    """Truth (cycle, variable), observations, an ensemble near the first state, and what observes."""
    rng = np.random.default_rng(seed)
    state = WORLD.advance(WORLD.start(1, rng), 500)[0]
    ensemble = state + rng.standard_normal((members, 40))
    truth = np.empty((cycles, 40))
    for cycle in range(cycles):
        truth[cycle] = state = WORLD.advance(state, setting.steps)
    observing = Observing.of_variables(setting.variables, ERROR)
    return truth, observing.draw(truth, rng), ensemble, observing


def scored(method: EnsembleFilter, setting: Setting, cycles: int, members: int, seed: int) -> list[tuple[float, float]]:
    """(RMSE, spread / RMSE) per lag."""
    truth, y, ensemble, observing = twin(setting, cycles, members, seed)
    found = assimilate(WORLD, method, ensemble, y, observing, steps=setting.steps, lags=setting.lags, seed=seed)
    return found.scores(truth, spin_up=200)


def tuned(
    make: Callable[[float], EnsembleFilter], inflations: Sequence[float], setting: Setting, members: int
) -> float:
    """The inflation with the least filter error on a series that is not scored."""
    filtering = Setting(setting.label, setting.variables, setting.steps, (0,))
    errors = {factor: scored(make(factor), filtering, 1500, members, seed=1)[0][0] for factor in inflations}
    return min(errors, key=lambda factor: errors[factor])


def stretches(setting: Setting, cases: int, length: int) -> list[tuple[np.ndarray, xr.Dataset]]:
    """(truth (time, variable), observation file) of independent stretches, 100 steps between them; none was trained on."""
    record = simulate_lorenz(WORLD, steps=cases * (length + 100), seed=987_654)
    rng = np.random.default_rng(3)
    found = []
    for case in range(cases):
        part = record.isel(time=slice(case * (length + 100), case * (length + 100) + length))
        truth = part["x"].values[:, 0].astype(float)
        seen = np.full(truth.shape, np.nan)
        # the last state is observed, whatever the interval
        when = np.arange((length - 1) % setting.steps, length, setting.steps)
        seen[np.ix_(when, setting.variables)] = truth[np.ix_(when, setting.variables)]
        y = part["x"].copy(data=(seen + ERROR * rng.standard_normal(seen.shape))[:, None].astype(np.float32))
        found.append((truth, xr.Dataset({"x": y, "x_error": xr.where(np.isfinite(y), ERROR, np.nan)})))
    return found


def smoothed(
    model: TrajectoryReconstructor, setting: Setting, cases: int, length: int, members: int
) -> tuple[list[tuple[float, float]], float]:
    """(RMSE, spread / RMSE) per lag, and seconds per stretch."""
    errors, spreads = [], []
    start = time.perf_counter()
    for truth, observations in stretches(setting, cases, length):
        drawn = model.reconstruct(observations, members=members, seed=0)["x_member"].values[:, :, 0]
        errors.append((drawn.mean(0) - truth) ** 2)
        # the mean of a finite ensemble is itself off by its spread over the root of the members
        spreads.append(drawn.var(0, ddof=1) * (members + 1) / members)
    seconds = (time.perf_counter() - start) / cases
    rmse = np.sqrt(np.stack(errors).mean(-1)).mean(0)
    spread = np.sqrt(np.stack(spreads).mean(-1)).mean(0)
    rows = [length - 1 - lag * setting.steps for lag in setting.lags]
    return [
        (float(rmse[row]), float(spread[row] / rmse[row])) if row >= 0 else (np.nan, np.nan) for row in rows
    ], seconds


def line(label: str, scores: Sequence[tuple[float, float]]) -> str:
    cells = [f"{error:.3f} ({ratio:.2f})" if np.isfinite(error) else "" for error, ratio in scores]
    return f"| {label} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/lorenz96_window"))
    parser.add_argument("--cycles", type=int, default=2200, help="observation times of the peers; 200 are spin-up")
    parser.add_argument("--cases", type=int, default=8, help="stretches of the smoother")
    parser.add_argument("--length", type=int, default=41, help="steps of a stretch")
    parser.add_argument("--members", type=int, default=8, help="of the smoother")
    parser.add_argument("--evaluations", type=int, help="of the smoother's sampler; the run's own by default")
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    model = load_reconstructor(arguments.run) if (arguments.run / "run.json").exists() else None
    if isinstance(model, TrajectoryReconstructor):
        if arguments.evaluations:
            model.sampler = build("sampler", model.sampler_spec | {"evaluations": arguments.evaluations})
    else:
        print(f"no run in {arguments.run}: the peers alone. Train it with recipes/lorenz96_window.yaml.")
    for setting in SETTINGS:
        print(
            f"\n{setting.label}\n\n| | " + " | ".join(f"lag {lag}" if lag else "filter" for lag in setting.lags) + " |"
        )
        print("|---" * (1 + len(setting.lags)) + "|", flush=True)
        for label, (members, make, inflations) in {} if arguments.no_peers else PEERS.items():
            inflation = tuned(make, inflations, setting, members)
            scores = scored(make(inflation), setting, arguments.cycles, members, seed=2)
            print(line(f"{label}, inflation {inflation:g}", scores), flush=True)
        if isinstance(model, TrajectoryReconstructor):
            scores, seconds = smoothed(model, setting, arguments.cases, arguments.length, arguments.members)
            print(line(f"learned prior, {arguments.members} members, {seconds:.0f} s a stretch", scores), flush=True)


if __name__ == "__main__":
    main()
