"""The standard twin experiment of Lorenz-96: ensemble Kalman filters and smoothers, and a prior that never saw the equations.

    python benchmarks/lorenz_assimilation.py [--run runs/lorenz96_window]

40 variables, F = 8, steps of .05, observation error 1; all variables every step, every second variable every step, and all
variables every fourth step. Numbers are time-mean RMSE at the observation times, in brackets spread-skill ratios. Each peer's
inflation is the best of a few on a series of its own. A filter on a learned step (`--emulators`) stands beside the same filter on
the equations, on the very same series. The smoother is scored over independent stretches of `--length` steps; its last state has
seen past observations only, as a filter has, but no more of them than the stretch holds. The stretches have another seed than
those that its constants were chosen on (`--tuning`).
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.assimilation.kalman import (
    ETKF,
    EmulatorDynamics,
    EnsembleFilter,
    Localisation,
    Observing,
    StochasticEnKF,
    assimilate,
)
from driftfield.interfaces import Dynamics
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.trajectories.emulator import load_emulator
from driftfield.trajectories.emulators import DiffusionEmulator
from driftfield.trajectories.trajectory import TrajectoryReconstructor
from driftfield.worlds.lorenz import Lorenz96, simulate_lorenz

ERROR = 1.0
WORLD = Lorenz96()
START = np.datetime64("2000-01-01", "s")
"""Date of the first states of a series; that of the archive which an emulator learned from, but nothing asks for it."""
TUNING, SCORING = 987_654, 123_456
"""Seeds of the stretches."""


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


LEARNED_INFLATIONS = (1.01, 1.02, 1.04, 1.07)
"""Of a filter whose step has an error of its own."""


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


def scored(
    method: EnsembleFilter, setting: Setting, cycles: int, members: int, seed: int, dynamics: Dynamics = WORLD
) -> list[tuple[float, float]]:
    """(RMSE, spread-skill ratio) per lag; the truth follows the equations, the ensemble the dynamics."""
    truth, y, ensemble, observing = twin(setting, cycles, members, seed)
    found = assimilate(dynamics, method, ensemble, y, observing, steps=setting.steps, lags=setting.lags, seed=seed)
    return found.scores(truth, spin_up=min(200, cycles // 4))


def learned_rows(runs: Sequence[Path], setting: Setting, cycles: int, evaluations: int) -> Iterator[str]:
    """The square-root filter on the equations and on every learned step, on one series; each with an inflation of its own."""
    label = "ETKF, 40 members"
    members, make, inflations = PEERS[label]

    def equations() -> tuple[Dynamics, str]:
        return WORLD, "the equations"

    for step in (equations, *(partial(learned_step, run, evaluations) for run in runs)):
        # a tuning costs as much as it steps
        trial, tried = (1500, inflations) if step is equations else (300 // setting.steps, LEARNED_INFLATIONS)
        inflation = tuned(make, tried, setting, members, trial, step)
        dynamics, name = step()
        begun = time.process_time()
        scores = scored(make(inflation), setting, cycles, members, 2, dynamics)
        seconds = time.process_time() - begun
        yield line(f"{label}, {name}, inflation {inflation:g}, {1e3 * seconds / cycles:.0f} ms a cycle", scores)


def learned_step(run: Path, evaluations: int) -> tuple[Dynamics, str]:
    """An emulator as dynamics, and what to call it; a stochastic one draws with `evaluations`, and one more for its mean."""
    emulator = load_emulator(run)
    if isinstance(emulator, DiffusionEmulator):
        emulator.sampler = build("sampler", emulator.sampler_spec | {"evaluations": evaluations})
    return EmulatorDynamics(emulator, START), emulator.method


def tuned(
    make: Callable[[float], EnsembleFilter],
    inflations: Sequence[float],
    setting: Setting,
    members: int,
    cycles: int = 1500,
    step: Callable[[], tuple[Dynamics, str]] = lambda: (WORLD, ""),
) -> float:
    """The inflation with the least filter error on a series that is not scored; a learned step starts anew for each."""
    filtering = Setting(setting.label, setting.variables, setting.steps, (0,))
    errors = {factor: scored(make(factor), filtering, cycles, members, 1, step()[0])[0][0] for factor in inflations}
    return min(errors, key=lambda factor: errors[factor])


def stretches(setting: Setting, cases: int, length: int, seed: int) -> list[tuple[np.ndarray, xr.Dataset]]:
    """(truth (time, variable), observation file) of independent stretches, 100 steps between them; none was trained on."""
    record = simulate_lorenz(WORLD, steps=cases * (length + 100), seed=seed)
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
    model: TrajectoryReconstructor, setting: Setting, cases: int, length: int, members: int, seed: int
) -> tuple[list[tuple[float, float]], float]:
    """(RMSE, spread-skill ratio) per lag, and seconds per stretch."""
    errors, spreads = [], []
    start = time.perf_counter()
    for truth, observations in stretches(setting, cases, length, seed):
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
    parser.add_argument(
        "--tuning", action="store_true", help="score the smoother on the stretches its constants were chosen on"
    )
    emulators = [Path("runs/lorenz96_deterministic"), Path("runs/lorenz96_emulator")]
    parser.add_argument("--emulators", type=Path, nargs="*", default=emulators, help="runs whose step filters take")
    parser.add_argument(
        "--learned-cycles", type=int, default=1000, help="observation times of filters on a learned step"
    )
    parser.add_argument("--learned-evaluations", type=int, default=3, help="of the sampler of a stochastic emulator")
    arguments = parser.parse_args()
    emulators = [run for run in arguments.emulators if (run / "run.json").exists()]
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
        # a cycle of four steps is four times the work
        cycles = arguments.learned_cycles if setting.steps == 1 else arguments.learned_cycles // 2
        for row in learned_rows(emulators, setting, cycles, arguments.learned_evaluations) if emulators else ():
            print(row, flush=True)
        if isinstance(model, TrajectoryReconstructor):
            seed = TUNING if arguments.tuning else SCORING
            scores, seconds = smoothed(model, setting, arguments.cases, arguments.length, arguments.members, seed)
            print(line(f"learned prior, {arguments.members} members, {seconds:.0f} s a stretch", scores), flush=True)


if __name__ == "__main__":
    main()
