"""What does it cost to observe a field at points? Time and memory of H and H' from 10^3 to 10^5 observations on 128 x 128 cells,
and of an analysis that uses them: moment matching with 5 products with the Jacobian in every evaluation.

Cost must grow at most linearly in the observations and linearly in the members. The peer of H is the product with the same matrix
written out in full, as far as it fits (10^4 observations: 1.3 GB in double precision, .66 GB in single).

    python benchmarks/operators.py [--out docs/operators-benchmark.md]

The network of the analyses is tiny and untrained, so that what the observations cost is seen beside it; its walk is short. Each
analysis is a process of its own, and its peak of resident memory counts from where it began.
"""

import argparse
import multiprocessing
import resource
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from driftfield.diffusion.denoiser import NetworkDenoiser, Preconditioning
from driftfield.diffusion.parameterization import EDMParameterization
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.fields import Channel
from driftfield.linalg.covariance import DiagonalCovariance, along_track
from driftfield.linalg.operators import Observed, SparseOperator
from driftfield.linalg.solvers import ConjugateGradients
from driftfield.networks import ResidualUNet
from driftfield.observations.checks import check
from driftfield.observations.grid import StateGrid
from driftfield.observations.table import ObservationTable
from driftfield.observations.tracks import tracks
from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.guidance.mmps import MMPSDenoiser
from driftfield.testing import tiny_batch

SIZE, MEMBERS = 128, 16
EVALUATIONS, ITERATIONS = 4, 5
ANALYSES = (1_000, 10_000, 100_000)
COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000)
DENSE_LIMIT = 3_000
DATES = xr.DataArray(np.array(["2020-01-05"], dtype="datetime64[us]"), dims="time")


def world() -> StateGrid:
    """Sea surface height and temperature on three levels, a quarter of it land."""
    domain = np.ones((4, SIZE, SIZE), dtype=bool)
    domain[:, : SIZE // 2, : SIZE // 2] = False
    channels = (Channel("zos"), *(Channel("thetao", z) for z in (5.0, 50.0, 200.0)))
    axis = np.linspace(-30, 30, SIZE)
    return StateGrid(axis, axis, channels, domain, days={0: 18266.0})


def table(n: int, seed: int = 0) -> ObservationTable:
    """Half along tracks of 300 points, half in profiles of 30 levels; no two at one place."""
    rng = np.random.default_rng(seed)
    track, cast = np.arange(n) // 300, np.arange(n) // 30
    surface = np.arange(n) % 2 == 0
    starts = rng.uniform(-30, 30, (n // 30 + 1, 2))
    along = (np.arange(n) % 300) * 0.06
    lat = np.where(surface, (starts[track, 0] + along + 30) % 60 - 30, starts[cast, 0])
    lon = np.where(surface, (starts[track, 1] + 0.4 * along + 30) % 60 - 30, starts[cast, 1])
    return ObservationTable.of(
        longitude=lon,
        latitude=lat,
        depth=np.where(surface, np.nan, rng.uniform(5, 200, n)),
        time=DATES.values[0] + np.where(surface, np.arange(n) % 300, 0).astype("timedelta64[s]"),
        variable=np.where(surface, "zos", "thetao"),
        value=np.where(surface, 0.1, 12.0) + 0.01 * rng.normal(size=n),
        error=0.1,
        platform=np.where(surface, np.char.add("pass ", track.astype(str)), np.char.add("float ", cast.astype(str))),
    )


def milliseconds(call: Callable[[], object], repeats: int = 15) -> float:
    """Least processor time of a call, after one to warm up: what others do on the machine does not count."""
    call()
    took = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        took.append(1000.0 * (time.process_time() - start))
    return min(took)


def megabytes(operator: SparseOperator) -> float:
    """What H and H' hold: weights in double precision, and the two compressed matrices in single."""
    held = [operator.rows, operator.columns, operator.weights]
    for matrix in operator._matrices.values():
        held += [matrix.crow_indices(), matrix.col_indices(), matrix.values()]
    return sum(part.numel() * part.element_size() for part in held) / 2**20


def line(n: int, grid: StateGrid) -> tuple[float, ...]:
    """Observations used, seconds and peak MB of building H, ms of H and H' for 16 members, MB held, ms of R^-1."""
    given = table(n)
    start = time.process_time()
    check(given, grid, DATES)
    built = time.process_time() - start
    tracemalloc.start()
    used, operator, _ = check(given, grid, DATES)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    x, y = torch.randn(MEMBERS, *grid.shape), torch.randn(MEMBERS, operator.size)
    forth, back = milliseconds(lambda: operator(x)), milliseconds(lambda: operator.adjoint(y))
    solve = milliseconds(lambda: DiagonalCovariance(torch.from_numpy(used.error**2)).solve(y))
    number, along = tracks(used)
    error = torch.from_numpy(used.error).float()
    start = time.process_time()
    correlated = along_track(error, torch.from_numpy(number), torch.from_numpy(along), length=100.0)
    prepared = time.process_time() - start
    return (
        operator.size,
        built,
        peak,
        forth,
        back,
        megabytes(operator),
        solve,
        prepared,
        milliseconds(lambda: correlated.solve(y), 3),
    )


def full_matrix(grid: StateGrid) -> tuple[float, float]:
    """The peer at its limit: ms and MB of the matrix written out."""
    _, operator, _ = check(table(DENSE_LIMIT), grid, DATES)
    matrix = torch.zeros(operator.size, int(np.prod(grid.shape)))
    matrix[operator.rows, operator.columns] = operator.weights.float()
    x = torch.randn(MEMBERS, *grid.shape)
    assert torch.allclose(x.flatten(1) @ matrix.mT, operator(x), atol=1e-4)
    return milliseconds(lambda: x.flatten(1) @ matrix.mT), matrix.numel() * 4 / 2**20


def analysis(n: int, members: int) -> tuple[float, float]:
    """Seconds of a walk that n observations guide, and its peak MB, the building of H included."""
    before, grid = _peak(), world()
    _, operator, _ = check(table(n), grid, DATES)
    torch.manual_seed(0)
    shape = (members, *grid.shape)
    network = ResidualUNet(grid.shape[0], widths=(8, 16), depths=(1, 1), condition_depths=(1, 1), embedding=8).eval()
    known = tiny_batch(members, channels=grid.shape[0], covariates=0, shape=(SIZE, SIZE))
    with torch.no_grad():
        encoded = network.encode(known)
        y = operator(torch.randn(1, *grid.shape))[0] + 0.1 * torch.randn(operator.size)
    prior = NetworkDenoiser(
        Preconditioning(LogLinearSchedule(), EDMParameterization()),
        lambda x, c_noise: network(x, c_noise, encoded),
        torch.from_numpy(np.broadcast_to(grid.domain, shape).copy()),
    )
    observed = Observed(operator, y, DiagonalCovariance(torch.full((operator.size,), 0.01)))
    # no tolerance: all iterations are made
    guided = MMPSDenoiser(prior, observed, solver=ConjugateGradients(ITERATIONS, tolerance=0.0))
    eps = torch.randn(shape)
    start = time.process_time()
    with torch.no_grad():
        DPMSolverPP2M(EVALUATIONS).sample(guided, lambda number: eps)
    return time.process_time() - start, _peak() - before


def _peak() -> float:
    """MB, the most that was resident so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def analyses() -> list[str]:
    """The table of analyses, and how it grows."""
    lines = ["| observations | members | s | s per evaluation and member | peak MB |", "|" + "---:|" * 5]
    took: dict[tuple[int, int], float] = {}
    for members in (4, 16):
        for n in ANALYSES:
            with multiprocessing.get_context("fork").Pool(1) as alone:
                took[n, members], peak = alone.apply(analysis, (n, members))
            each = took[n, members] / (EVALUATIONS * members)
            lines.append(f"| {n:,} | {members} | {took[n, members]:.1f} | {each:.3f} | {peak:,.0f} |")
    few, many = ANALYSES[0], ANALYSES[-1]
    return [
        *lines,
        "",
        f"A walk of {EVALUATIONS} evaluations, {ITERATIONS} products with the Jacobian in each; a tiny untrained network. "
        f"From 10³ to 10⁵ observations {took[many, 16] / took[few, 16]:.2f} times as long with 16 members; from 4 to 16 members "
        f"{took[many, 16] / took[many, 4]:.1f} times at 10⁵ observations.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="Write the table as Markdown.")
    out = parser.parse_args().out
    torch.manual_seed(0)
    # one core, and no pool of threads that the processes of the analyses would inherit
    torch.set_num_threads(1)
    # before anything else, so that they inherit little memory
    analysed = analyses()
    grid = world()
    head = "| observations | used | build s | peak MB | H ms | H' ms | held MB | R⁻¹ ms | tracks: prepare s | R⁻¹ ms |"
    lines = [head, "|" + "---:|" * 10]
    rows = []
    for n in COUNTS:
        found = line(n, grid)
        rows.append(found)
        cells = [f"{n:,}", f"{found[0]:,.0f}", *(f"{value:.3g}" for value in found[1:])]
        lines.append("| " + " | ".join(cells) + " |")
    _, operator, _ = check(table(COUNTS[-1]), grid, DATES)
    per_member = [milliseconds(lambda m=m: operator(torch.zeros(m, *grid.shape))) for m in (4, 64)]
    took, size = full_matrix(grid)
    growth = rows[-1][3] / rows[-3][3]
    lines += [
        "",
        f"{MEMBERS} members, {grid.shape[0]} x {SIZE} x {SIZE} cells, processor time on one core. From 10⁴ to 10⁵ observations "
        f"H grows {growth:.1f}-fold; from 4 to 64 members, at 10⁵ observations, {per_member[1] / per_member[0]:.1f}-fold.",
        f"The full matrix of {DENSE_LIMIT:,} observations takes {took:.1f} ms and {size:,.0f} MB; the sparse one "
        f"{rows[1][3]:.2f} ms and {rows[1][5]:.2f} MB.",
        "",
        "## An analysis",
        "",
        *analysed,
    ]
    text = "\n".join(lines)
    print(text)
    if out is not None:
        out.write_text(f"# Cost of observing at points\n\nMade by `python benchmarks/operators.py --out`.\n\n{text}\n")


if __name__ == "__main__":
    main()
