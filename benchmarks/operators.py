"""What does it cost to observe a field at points? Time and memory of H and H' from 10^3 to 10^5 observations on 128 x 128 cells.

Cost must grow at most linearly in the observations and linearly in the members. The peer is the product with the same matrix
written out in full, as far as it fits (10^4 observations: 1.3 GB in double precision, .66 GB in single).

    python benchmarks/operators.py [--out docs/operators-benchmark.md]
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from driftfield.data.observing_operators.checks import check
from driftfield.data.observing_operators.grid import StateGrid
from driftfield.data.observing_operators.operators import SparseOperator
from driftfield.data.observing_operators.table import ObservationTable
from driftfield.data.observing_operators.tracks import tracks
from driftfield.diffusion.covariance import DiagonalCovariance, along_track
from driftfield.fields import Channel

SIZE, MEMBERS = 128, 16
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="Write the table as Markdown.")
    out = parser.parse_args().out
    torch.manual_seed(0)
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
    ]
    text = "\n".join(lines)
    print(text)
    if out is not None:
        out.write_text(f"# Cost of observing at points\n\nMade by `python benchmarks/operators.py --out`.\n\n{text}\n")


if __name__ == "__main__":
    main()
