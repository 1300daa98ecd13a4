"""Lorenz's worlds learnt: the climate of unconditional samples, and ensemble forecasts beside a deterministic peer.

    python benchmarks/lorenz.py [--out docs/lorenz.md] [--samples 2000] [--starts 128] [--members 16]

Scores the runs of recipes/lorenz96_*.yaml under runs/, trains nothing, and leaves out what is not there. Forecasts start from
y = truth + r eps, with members y + r eps', the same for all methods; cases are 20 steps apart or more, on a trajectory that no
run has seen. "Equations" is the world itself, started from the same members: what a perfect emulator would do. Hidden variables
it draws, by running them along what the others did before. With --out it writes page and figures.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from driftfield.data.sources import open_fields
from driftfield.evaluate.scores.deterministic import rmse
from driftfield.evaluate.scores.ensembles import crps_fair, spread_skill
from driftfield.models.unconditional import draw_unconditionally
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.trajectories.emulator import Emulator, load_emulator
from driftfield.worlds.lorenz import Lorenz96, TwoScaleLorenz96, runge_kutta

RUNS = Path("runs")
ERRORS, STEPS, EVERY = (0.5, 0.1, 0.0), 20, 20
HELD, PAST = 6, 4
"""Steps with the slow variables held, and along their own past: three and two e-folding times of the fast ones."""
LEADS = (1, 5, 10, 15, 20)
WORLDS = {
    "lorenz96": "Lorenz-96: the state determines its successor",
    "lorenz96_two_scale": "Two-scale Lorenz-96: fast variables are hidden, the transition is stochastic",
}
READING = """Read the equations first: they are the best that a transition can be. Where they are not ahead of the
deterministic network, the error of the initial state decides and no emulator can be; where they are, the transition does."""
Walk = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""(case, variable) states, member numbers, seed -> (case, step, variable)."""


# -- climate -------------------------------------------------------------------------------------------------------------


def moments(x: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation, skewness and extreme quantiles of all numbers."""
    z = (x - x.mean()) / x.std()
    low, high = np.quantile(x, (0.01, 0.99))
    return {"mean": x.mean(), "standard deviation": x.std(), "skewness": (z**3).mean(), "1 %": low, "99 %": high}


def circle_correlation(x: np.ndarray) -> np.ndarray:
    """Correlation (separation,) of two variables on the circle, from (state, variable)."""
    power = (np.abs(np.fft.rfft(x - x.mean(), axis=-1)) ** 2).mean(0)
    covariance = np.fft.irfft(power, x.shape[-1])
    return (covariance / covariance[0])[: x.shape[-1] // 2 + 1]


def climate(run: Path, truth: np.ndarray, samples: int) -> str:
    """A table of the climate of `samples` draws beside that of the truth."""
    model: Any = load_reconstructor(run)
    began = time.process_time()
    drawn = draw_unconditionally(model, members=samples, seed=0)["x_member"].values[:, 0, 0]
    spent = time.process_time() - began
    found, expected = moments(drawn), moments(truth)
    correlations = circle_correlation(drawn), circle_correlation(truth)
    points = np.linspace(-12, 18, 601)
    distributions = [np.searchsorted(np.sort(part.ravel()), points) / part.size for part in (drawn, truth)]
    rows = [f"| {name} | {found[name]:.3f} | {value:.3f} |" for name, value in expected.items()]
    for separation in (1, 2, 3, 4, 5, 8):
        rows.append(
            f"| correlation at {separation} | " + " | ".join(f"{c[separation]:.3f}" for c in correlations) + " |"
        )
    text = f"| {samples} samples | samples | truth |\n|---|---|---|\n" + "\n".join(rows)
    text += (
        f"\n\nMean {100 * (found['mean'] / expected['mean'] - 1):+.2f} %, standard deviation "
        f"{100 * (found['standard deviation'] / expected['standard deviation'] - 1):+.2f} %; the correlation differs by "
        f"{np.abs(correlations[0] - correlations[1]).max():.3f} at most, the distribution function by "
        f"{np.abs(distributions[0] - distributions[1]).max():.4f}. {model.sampler.evaluations + 1} evaluations, "
        f"{1000 * spent / samples:.1f} ms of processor time a sample."
    )
    return text


# -- forecasts -----------------------------------------------------------------------------------------------------------


def walk_of(emulator: Emulator, dates: np.ndarray) -> Walk:
    """An emulator on states in physical units; `dates` are those of the cases."""
    rows, columns = np.arange(1), emulator.codec.grid.lon

    def walk(states: np.ndarray, members: np.ndarray, seed: int) -> np.ndarray:
        where = (dates[:1], rows, np.arange(columns.size))
        encoded = emulator.codec.encode("x", states[:, None, None].astype(np.float32), *where)
        starts = np.tile(dates, len(states) // len(dates))
        walked = emulator.roll_out(encoded, starts, members, steps=STEPS, seed=seed)
        return emulator.codec.decode("x", walked, dates[:1], *where[1:])[:, :, 0, 0]

    return walk


def equations(states: np.ndarray, members: np.ndarray, seed: int) -> np.ndarray:
    """Lorenz-96 itself: what a perfect emulator would do."""
    world, walked = Lorenz96(variables=states.shape[-1]), []
    for _ in range(STEPS):
        states = world.advance(states)
        walked.append(states)
    return np.stack(walked, axis=1)


def two_scale_equations(states: np.ndarray, members: np.ndarray, seed: int) -> np.ndarray:
    """The two-scale Lorenz-96, its fast variables drawn for the slow ones given."""
    world, walked = TwoScaleLorenz96(variables=states.shape[-1]), []
    state, step = draw_hidden(world, states, seed), np.float32(world.step / world.substeps)
    for _ in range(STEPS):
        for _ in range(world.substeps):
            state = runge_kutta(world.tendency, state, step)
        walked.append(state[:, : world.visible])
    return np.stack(walked, axis=1)


def draw_hidden(world: TwoScaleLorenz96, slow: np.ndarray, seed: int) -> np.ndarray:
    """(case, variable (1 + fast)): fast variables as the slow ones would have left them.

    They are run with the slow ones held, to learn their mean pull a + b x; the slow ones are followed backwards under it; and the
    fast ones are run again along this past, without which they would lag behind.
    """
    # float32: half the time, and chaos forgets the rounding
    now, step, count = slow.astype(np.float32), np.float32(world.step / world.substeps), world.visible
    state = world.start(len(now), np.random.default_rng(seed)).astype(np.float32)

    def held(state: np.ndarray) -> np.ndarray:
        tendency = world.tendency(state)
        tendency[..., :count] = 0
        return tendency

    state[:, :count] = now
    for _ in range(HELD * world.substeps):
        state = runge_kutta(held, state, step)
    groups = state[:, count:].reshape(*now.shape, world.fast).sum(-1)
    pull = world.coupling * world.ratio / world.amplitude * groups
    b, a = np.polyfit(now.ravel().astype(float), pull.ravel().astype(float), 1).astype(np.float32)
    resolved, past = Lorenz96(count, world.forcing), [now]
    for _ in range(PAST * world.substeps):
        past.append(runge_kutta(lambda x: a + b * x - resolved.tendency(x), past[-1], step))
    for then in reversed(past):
        state[:, :count] = then
        state = runge_kutta(held, state, step)
    state[:, :count] = now
    return state


TRUE_WALKS: dict[str, Walk] = {"lorenz96": equations, "lorenz96_two_scale": two_scale_equations}


def score(walk: Walk, truth: np.ndarray, begun: np.ndarray, members: int, error: float) -> xr.Dataset:
    """RMSE of the mean and spread over skill by lead, CRPS by case and lead.

    Arguments:
        walk: The forecast.
        truth: (case, step, variable), what came.
        begun: (case, variable), what was.
        members: Size of the ensemble.
        error: Of the observations, and of the members about them.
    """
    rng = np.random.default_rng(7)
    seen = begun + error * rng.standard_normal(begun.shape)
    states = seen + error * rng.standard_normal((members, *begun.shape))
    numbers = np.repeat(np.arange(members), len(begun))
    began = time.process_time()
    walked = walk(states.reshape(-1, begun.shape[-1]), numbers, 3)
    spent = time.process_time() - began
    dims = ("case", "lead", "variable")
    ensemble = xr.DataArray(walked.reshape(members, len(begun), STEPS, -1).astype(float), dims=("member", *dims))
    came = xr.DataArray(truth.astype(float), dims=dims)
    over = {"dims": ("case", "variable")}
    scores = {
        "rmse": rmse(ensemble.mean("member"), came, **over),
        "crps": crps_fair(ensemble, came, dims="variable"),
        "ratio": spread_skill(ensemble, came, **over),
    }
    return xr.Dataset(scores).assign_coords(lead=np.arange(1, STEPS + 1)).assign_attrs(seconds=spent)


def forecasts(world: str, starts: int, members: int) -> tuple[str, Figure] | None:
    """Tables of all methods on one world, and the figure of their scores."""
    runs = {kind: RUNS / f"{world}_{kind}" for kind in ("emulator", "deterministic")}
    if missing := [str(run) for run in (*runs.values(), RUNS / f"{world}_test.nc") if not run.exists()]:
        print(f"left out {world}: no {', '.join(missing)}. The recipes say how they are made.")
        return None
    record = open_fields(RUNS / f"{world}_test.nc")["x"].load()
    first = np.arange(starts) * max((record.sizes["time"] - STEPS - 1) // starts, EVERY)
    first = first[first + STEPS < record.sizes["time"]]
    values = record.values[:, 0]
    begun, truth = values[first], np.stack([values[first + lead] for lead in range(1, STEPS + 1)], axis=1)
    dates = record["time"].values[first]
    emulators = {kind: load_emulator(run) for kind, run in runs.items()}
    walks = {kind: walk_of(emulator, dates) for kind, emulator in emulators.items()}
    walks["equations"] = TRUE_WALKS[world]
    text = f"{len(first)} starts, {members} members. {READING}"
    scored = {}
    for error in ERRORS:
        # from the truth itself the equations of a world without hidden variables are right to the last digit
        compared = walks if error or world != "lorenz96" else {kind: walks[kind] for kind in runs}
        scored[error] = {kind: score(walk, truth, begun, members, error) for kind, walk in compared.items()}
        how = (
            f"Observation error {error:g}" if error else "From the truth itself, so that only the transition parts them"
        )
        text += f"\n\n{how}:\n\n{table(scored[error])}"
    text += f"\n\nWhat evaluations buy (observation error {ERRORS[0]}):\n\n" + costs(
        emulators["emulator"], dates, truth, begun, members
    )
    weights = (f"{kind} {sum(p.numel() for p in e.model.parameters())}" for kind, e in emulators.items() if e.model)
    text += f"\n\nWeights: {', '.join(weights)}."
    return text, draw_scores(scored[ERRORS[0]], WORLDS[world])


def header(first: str) -> str:
    """The head of a table by lead."""
    leads = " | ".join(f"lead {lead * 0.05:g}" for lead in LEADS)
    return f"| {first} | {leads} |\n|---|" + "---|" * len(LEADS)


def table(found: dict[str, xr.Dataset]) -> str:
    """Scores by lead."""
    rows = []
    for name, digits in (("crps", 3), ("rmse", 3), ("ratio", 2)):
        label = {"crps": "CRPS", "rmse": "RMSE of the mean", "ratio": "spread / skill"}[name]
        for kind, scores in found.items():
            cells = " | ".join(f"{float(scores[name].sel(lead=lead).mean()):.{digits}f}" for lead in LEADS)
            rows.append(f"| {label}, {kind} | {cells} |")
    for kind in (kind for kind in found if kind != "deterministic"):
        gain = found["deterministic"].crps - found[kind].crps
        error = gain.std("case", ddof=1) / np.sqrt(gain.sizes["case"])
        cells = " | ".join(f"{float(gain.sel(lead=k).mean()):+.4f} ± {float(error.sel(lead=k)):.4f}" for k in LEADS)
        rows.append(f"| CRPS, deterministic - {kind}, ± its standard error | {cells} |")
    return header("score") + "\n" + "\n".join(rows)


def costs(emulator: Any, dates: np.ndarray, truth: np.ndarray, begun: np.ndarray, members: int) -> str:
    """Scores at the last lead against evaluations a step."""
    kept, rows = emulator.sampler, []
    for evaluations in (2, 3, 5, 7):
        emulator.sampler = build("sampler", {"class": type(kept).__name__, "evaluations": evaluations})
        scores = score(walk_of(emulator, dates[::2]), truth[::2], begun[::2], members, ERRORS[0])
        last = scores.isel(lead=-1)
        cost = 1e3 * scores.attrs["seconds"] / (members * len(begun[::2]) * STEPS)
        rows.append(f"| {evaluations + 1} | {float(last.crps.mean()):.3f} | {float(last.ratio):.2f} | {cost:.2f} |")
    emulator.sampler = kept
    head = "| evaluations a step | CRPS at lead 1 | spread / skill | ms of processor time a step and member |"
    return "\n".join([head, "|---|---|---|---|", *rows])


def draw_scores(found: dict[str, xr.Dataset], title: str) -> Figure:
    """CRPS and spread over skill against lead."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    crps, ratio = figure.subplots(1, 2)
    for kind, scores in found.items():
        for axes, name in ((crps, "crps"), (ratio, "ratio")):
            axes.plot(
                scores.lead * 0.05,
                scores[name].mean("case") if name == "crps" else scores[name],
                label=kind,
                linestyle="--" if kind == "equations" else "-",
            )
    ratio.axhspan(0.9, 1.1, color="0.9", zorder=0)
    crps.set(xlabel="lead", ylabel="CRPS")
    ratio.set(xlabel="lead", ylabel="spread / skill", ylim=(0.5, 1.3))
    crps.legend(frameon=False)
    figure.suptitle(title, fontsize="medium")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--starts", type=int, default=128)
    parser.add_argument("--members", type=int, default=16)
    options = parser.parse_args()
    torch.manual_seed(0)
    parts: dict[str, str] = {}
    figures: dict[str, Figure] = {}
    run, test = RUNS / "lorenz96_unconditional", RUNS / "lorenz96_test.nc"
    if (run / "run.json").exists() and test.exists():
        found = climate(run, open_fields(test)["x"].values[:, 0], options.samples)
        parts["climate"] = f"{found}\n\n![climate](gallery/lorenz96_climate.png)"
    else:
        print(f"left out the climate: no {run} or no {test}. The recipe says how they are made.")
    for world in WORLDS:
        if (scored := forecasts(world, options.starts, options.members)) is not None:
            text, figures[world] = scored
            parts[world] = f"{text}\n\n![scores by lead](images/{world}.png)"
    titles = {"climate": "Climate of unconditional samples of Lorenz-96"} | WORLDS
    page = "\n\n".join(f"## {titles[name]}\n\n{text}" for name, text in parts.items())
    print(page)
    if options.out is not None and parts:
        for name, figure in figures.items():
            (options.out.parent / "images").mkdir(exist_ok=True)
            figure.savefig(options.out.parent / "images" / f"{name}.png", dpi=110)
        how = (__doc__ or "").split("\n\n")[2]
        intro = f"# Lorenz's worlds\n\nMade by `python benchmarks/lorenz.py --out docs/lorenz.md`.\n\n{how}"
        options.out.write_text(f"{intro}\n\n{page}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
