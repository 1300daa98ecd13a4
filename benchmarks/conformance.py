"""Every sampler against exact answers: writes docs/conformance.md.

    python benchmarks/conformance.py [--out docs/conformance.md] [--seeds 20] [--size 1024]

Three worlds of which all is known: a Gaussian (variance .09), a mixture of 32 narrow Gaussians in the plane, and 64 points. On
the Gaussian every sampler is linear in its noise, so the standard deviation of its draws is computed without drawing anything:
the sum of squares of its responses to every single draw.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import driftfield.sampling  # noqa: F401
from driftfield.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser, MixtureDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.interfaces import Denoiser
from driftfield.registry import build
from driftfield.sampling import Sampler
from driftfield.testing import drawn_sd

EVALUATIONS = (8, 16, 32, 64, 256)
SCHEDULE = LogLinearSchedule(0.002, 80.0)
SAMPLERS: dict[str, dict[str, Any]] = {
    "Euler": {"class": "EulerSampler"},
    "Heun": {"class": "HeunSampler"},
    "Heun, churn 10": {"class": "HeunSampler", "churn": 10.0},
    "DDIM, eta 0": {"class": "DDIMSampler"},
    "DDIM, eta 1": {"class": "DDIMSampler", "eta": 1.0},
    "DDPM": {"class": "DDPMSampler"},
    "DPM-Solver++ 2M": {"class": "DPMSolverPP2M"},
    "DPM-Solver++ 2M SDE": {"class": "DPMSolverPP2MSDE"},
    "predictor-corrector": {"class": "PredictorCorrector"},
}
KARRAS = {"class": "KarrasSchedule"}
OCCUPANCY = (0.85, 1.15)
"""Between these chi2 / degrees of freedom of the mixture should be at 64 evaluations."""
GOALS: list[tuple[str, dict[str, Any], int, float, str]] = [
    ("Heun, 64 steps", {"class": "HeunSampler"}, 127, 5.2e-3, "azula's Heun, variance preserving"),
    ("DPM-Solver++ 2M", {"class": "DPMSolverPP2M"}, 64, 4.4e-3, "the same on the grid of rho = 7"),
    ("DDIM, eta 0", {"class": "DDIMSampler"}, 64, 4.7e-2, "the same on the grid of rho = 7"),
    ("DPM-Solver++ 2M", {"class": "DPMSolverPP2M"}, 16, 2.51e-2, "known on a grid uniform in log SNR"),
]


def sampler(spec: dict[str, Any], evaluations: int) -> Sampler:
    """A sampler on its own default grid, unless `spec` has another one."""
    return build("sampler", {**spec, "evaluations": evaluations})


def gaussian(variance: float, schedule: LogLinearSchedule = SCHEDULE) -> GaussianDenoiser:
    """The exact denoiser of one number."""
    return GaussianDenoiser(schedule, *(torch.tensor(value, dtype=torch.float64) for value in (0.0, variance)))


def spread_error(spec: dict[str, Any], evaluations: int, variance: float = 0.09) -> float:
    """Relative error of the terminal standard deviation."""
    return drawn_sd(sampler(spec, evaluations), gaussian(variance)) / math.sqrt(variance) - 1


def order(spec: dict[str, Any], steps: int = 64, variance: float = 0.09) -> float:
    """How fast the standard deviation settles when the steps are doubled twice."""
    calls = sampler(spec, 3).calls_per_step
    found = [drawn_sd(sampler(spec, calls * steps * factor + 1), gaussian(variance)) for factor in (1, 2, 4)]
    return math.log2(abs((found[0] - found[1]) / (found[1] - found[2])))


@dataclass(frozen=True)
class World:
    """A distribution of separate modes, with its exact denoiser.

    Arguments:
        denoiser: Of x_t (batch, cells).
        centres: (mode, cells)
        weights: (mode,) summing to 1.
        sd: Of a cell, over the whole distribution.
    """

    denoiser: Denoiser
    centres: Tensor
    weights: Tensor
    sd: float


def mixture() -> World:
    """32 modes of unequal weight on a jittered grid, standard deviation .03 each and 1 in all."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(8.0), indexing="ij")
    centres = torch.stack([columns / 1.6, rows / 0.8], dim=-1).view(32, 2)
    centres = centres + 0.3 * (torch.rand(32, 2, generator=generator) - 0.5)
    weights = torch.linspace(1, 3, 32)[torch.randperm(32, generator=generator)]
    weights = weights / weights.sum()
    centres = centres - weights @ centres
    centres = centres * ((1 - 0.03**2) / (weights @ centres.square()).mean()).sqrt()
    return World(MixtureDenoiser(SCHEDULE, weights, centres, [torch.tensor(0.03**2)] * 32), centres, weights, 1.0)


def empirical() -> World:
    """64 points in eight dimensions."""
    points = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
    points = points - points.mean(0)
    return World(
        EmpiricalDenoiser(SCHEDULE, points), points, torch.full((64,), 1 / 64), float(points.square().mean().sqrt())
    )


def draws(world: World, method: Sampler, seeds: int, size: int) -> Tensor:
    """(seed, draw, cells), the seeds side by side in one batch."""
    shape = (size, world.centres.shape[1])

    def noise(number: int) -> Tensor:
        streams = (torch.Generator().manual_seed(1_000_003 * seed + number) for seed in range(seeds))
        return torch.cat([torch.randn(*shape, generator=stream) for stream in streams])

    return method.sample(world.denoiser, noise).view(seeds, size, -1)


def occupancy(world: World, drawn: Tensor) -> float:
    """chi2 / degrees of freedom of the number of draws in each mode, mean over the seeds."""
    modes = len(world.weights)
    nearest = torch.cdist(drawn, world.centres.expand(len(drawn), -1, -1)).argmin(-1)
    counts = torch.stack([torch.bincount(one, minlength=modes) for one in nearest]).double()
    expected = drawn.shape[1] * world.weights.double()
    return float(((counts - expected) ** 2 / expected).sum(1).mean() / (modes - 1))


def pooled_sd(drawn: Tensor) -> float:
    """Root mean square of a cell; the mean of every world is 0."""
    return float(drawn.double().square().mean().sqrt())


def path_order(world: World, spec: dict[str, Any], steps: int = 64) -> float:
    """How fast a typical member settles on its own path when the steps are doubled twice."""
    calls = sampler(spec, 3).calls_per_step
    found = [draws(world, sampler(spec, calls * steps * factor + 1), 1, 1024)[0] for factor in (1, 2, 4)]
    coarse, fine = ((a - b).norm(dim=-1).median() for a, b in pairwise(found))
    return math.log2(float(coarse / fine))


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"


def head(*columns: str) -> list[str]:
    """The first two lines of a table."""
    return [row(columns), "|---|" + "---|" * (len(columns) - 1)]


def gaussian_table() -> list[str]:
    """Spread error and order on the Gaussian."""
    lines = head("sampler", *map(str, EVALUATIONS), "order")
    for name, spec in SAMPLERS.items():
        errors = [f"{100 * spread_error(spec, evaluations):+.2f} %" for evaluations in EVALUATIONS]
        lines.append(row([name, *errors, f"{order(spec):.2f}"]))
        print(lines[-1], flush=True)
    return lines


def goal_table() -> list[str]:
    """What others report, and ours under the same conditions."""
    lines = head("sampler", "evaluations", "reference", "ours, default grid", "ours, rho = 7", "what the reference is")
    for name, spec, evaluations, reference, what in GOALS:
        own, karras = (abs(spread_error({**spec, **grid}, evaluations)) for grid in ({}, {"grid": KARRAS}))
        lines.append(row([name, str(evaluations), f"{reference:.1e}", f"{own:.1e}", f"{karras:.1e}", what]))
        print(lines[-1], flush=True)
    return lines


def compared(own: float, reference: float) -> str:
    """In the digits that the reference is given in."""
    if f"{own:.1e}" == f"{reference:.1e}":
        return "equal"
    return "below" if own < reference else "above"


def verdict(occupancies: dict[str, float]) -> list[str]:
    """Which limits hold.

    Arguments:
        occupancies: chi2 / degrees of freedom of the mixture at 64 evaluations by sampler.
    """
    lines = head("limit", "default grid", "grid of rho = 7")
    for name, spec, evaluations, reference, _ in GOALS:
        found = [abs(spread_error({**spec, **grid}, evaluations)) for grid in ({}, {"grid": KARRAS})]
        limit = f"{name}, {evaluations} evaluations: {reference:.1e}"
        lines.append(row([limit, *(f"{compared(own, reference)} ({own:.1e})" for own in found)]))
    errors = {name: abs(spread_error(spec, 16)) for name, spec in SAMPLERS.items()}
    best = min(errors, key=lambda name: errors[name])
    cell = f"{compared(errors[best], 2.5e-2)} ({best}: {errors[best]:.1e})"
    lines.append(row(["the best sampler, 16 evaluations: 2.5e-02", cell, ""]))
    low, high = OCCUPANCY
    outside = [name for name, chi2 in occupancies.items() if not low <= chi2 <= high]
    span = f"{min(occupancies.values()):.2f} to {max(occupancies.values()):.2f}"
    cell = f"outside for {', '.join(outside)} ({span})" if outside else f"holds for every sampler ({span})"
    return [*lines, row([f"mixture, 64 evaluations: chi2 / dof in [{low}, {high}]", cell, ""])]


def world_table(world: World, seeds: int, size: int, *, settles: bool = True) -> tuple[list[str], dict[str, float]]:
    """Spread error / occupancy of a world of modes, and the occupancy at 64 evaluations by sampler.

    Arguments:
        world, seeds, size: See `draws`.
        settles: Whether the end of a member has an order.
    """
    occupancies: dict[str, float] = {}
    lines = head("sampler", *map(str, EVALUATIONS), *(["order of a member"] if settles else []))
    for name, spec in SAMPLERS.items():
        cells = []
        for evaluations in EVALUATIONS:
            drawn = draws(world, sampler(spec, evaluations), seeds, size)
            chi2 = occupancy(world, drawn)
            cells.append(f"{100 * (pooled_sd(drawn) / world.sd - 1):+.1f} % / {chi2:.2f}")
            if evaluations == 64:
                occupancies[name] = chi2
        lines.append(row([name, *cells, *([f"{path_order(world, spec):.1f}"] if settles else [])]))
        print(lines[-1], flush=True)
    return lines, occupancies


TEXT = """# Samplers against exact answers

Written by `benchmarks/conformance.py` (`make bench`); do not edit. The denoisers are exact (`diffusion/exact.py`), so all error
is the sampler's. Noise levels go from 80 to .002, each sampler on its own default grid; columns are network evaluations.
A fast version is in `tests/sampling/test_conformance.py`.

## Verdict

What others report for the standard deviation of a Gaussian (see "Against what is known"), and the occupancy of a mixture.
"Equal" is ours on the grid of the reference, where the two are the same method.

{verdict}

## A Gaussian of variance .09

Relative error of the standard deviation of the draws, computed exactly: a walk is linear in its noise. Order: how fast it
settles from 64 to 128 to 256 steps. The predictor-corrector has two errors of opposite sign, the Heun step's of order 2 and its
corrections' of order 1, which change places in that range. So have DDPM and DDIM with eta 1: the error of order 1 that is left on
grids of unequal steps, and one of order 2. On equal steps in log s they are of order 2.

{gaussian}

## Against what is known

Relative error of the standard deviation on the same Gaussian, without its sign.

{goals}

## A mixture of 32 Gaussians in the plane

Standard deviation .03 each and 1 in all, weights from 1 to 3. First the error of the standard deviation of all draws, then
chi2 / degrees of freedom of the number of draws in each mode: about 1 if they are right ({size} draws, mean of {seeds} fixed
seeds, whose own standard deviation is {error:.2f}; deterministic walks from these seeds tend to {limit:.2f}). Order of a member:
how fast its end settles from 64 to 128 to 256 steps on the same noise. On stochastic walks a member follows one Brownian path,
where the order is 1/2 to 1 whatever the order in distribution.

{mixture}

## 64 points in eight dimensions

The same for a finite data set. A member ends at one of the points, exactly, so that its end has no order.

{empirical}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "conformance.md")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--size", type=int, default=1024)
    arguments = parser.parse_args()
    seeds, size = arguments.seeds, arguments.size
    plane, points = mixture(), empirical()
    limit = occupancy(plane, draws(plane, sampler(SAMPLERS["DPM-Solver++ 2M"], 256), seeds, size))
    tables = {"gaussian": gaussian_table(), "goals": goal_table()}
    tables["mixture"], occupancies = world_table(plane, seeds, size)
    tables["empirical"], _ = world_table(points, seeds, size, settles=False)
    tables["verdict"] = verdict(occupancies)
    numbers = {"size": size, "seeds": seeds, "error": math.sqrt(2 / 31 / seeds), "limit": limit}
    text = TEXT.format(**numbers, **{key: "\n".join(lines) for key, lines in tables.items()})
    arguments.out.write_text(text, encoding="utf-8")
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
