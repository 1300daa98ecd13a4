"""How long do 16 random fields take, from nothing to the numbers?

Ours are 256 x 256 cells on a torus, a window and a box, building included; keyed draws are those of members (Philox, by
wavenumber). Peers, at 64 x 64 cells since they keep the matrix of all pairs:

    dense exponential kernel   exp(-r / (2 .05^2)) of all pairs in float32, .01^2 on the diagonal, a Cholesky factor, one product
                               per field: how published diffusion operators draw what they call RBF noise
    dense Cholesky             the same covariance as ours, float64, drawn in one product

    python benchmarks/random_fields.py
"""

import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import cholesky
from scipy.spatial.distance import cdist

from driftfield.gaussian.counter_noise import key_of, word_of
from driftfield.gaussian.random_fields import Matern, NeumannField, PeriodicField, WindowField

FIELDS, SIDE, DENSE_SIDE, REPEATS = 16, 256, 64, 5
KERNEL = Matern(0.05, 1.5)
GOALS = {"dense exponential kernel": 100, "dense Cholesky": 20}


def places(n: int) -> np.ndarray:
    """(cell, 2) in the unit square."""
    return np.stack(np.meshgrid(*(np.arange(n) / n,) * 2, indexing="ij"), axis=-1).reshape(-1, 2)


def exponential() -> np.ndarray:
    points = torch.from_numpy(places(DENSE_SIDE)).float()
    covariance = torch.exp(-torch.cdist(points, points) / (2 * 0.05**2))
    factor = torch.linalg.cholesky(covariance + 0.01**2 * torch.eye(len(points)))
    fields = torch.zeros(FIELDS, len(points), 1)
    for index in range(FIELDS):
        fields[index] = factor @ torch.randn(len(points), 1)
    return fields.numpy().reshape(FIELDS, DENSE_SIDE, DENSE_SIDE)


def dense() -> np.ndarray:
    points = places(DENSE_SIDE)
    factor = cholesky(KERNEL.correlation(cdist(points, points)), lower=True)
    return (factor @ np.random.default_rng(0).standard_normal((len(points), FIELDS))).T


def keyed() -> np.ndarray:
    field, channel = PeriodicField(KERNEL, (SIDE, SIDE)), word_of("field")
    return field.color(np.stack([field.keyed_noise(key_of(0, m, "2000-01-01"), channel, 0) for m in range(FIELDS)]))


def seconds(draw: Callable[[], np.ndarray]) -> float:
    """Of the processor, on one thread: other programs do not count. The best of a few."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        draw()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    ours = {
        "periodic": lambda: PeriodicField(KERNEL, (SIDE, SIDE)).sample(rng, FIELDS, single=True),
        "window": lambda: WindowField(KERNEL, (SIDE, SIDE), (1 / SIDE, 1 / SIDE)).sample(rng, FIELDS, single=True),
        "neumann": lambda: NeumannField(KERNEL, (SIDE, SIDE)).sample(rng, FIELDS, single=True),
        "periodic, keyed by wavenumber": keyed,
        "periodic, 64 x 64": lambda: PeriodicField(KERNEL, (DENSE_SIDE, DENSE_SIDE)).sample(rng, FIELDS, single=True),
    }
    took = {name: seconds(draw) for name, draw in ours.items()}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peers = {
        name: seconds(draw) for name, draw in (("dense exponential kernel", exponential), ("dense Cholesky", dense))
    }
    print(
        f"{FIELDS} fields, one thread, seconds of the processor; ours {SIDE} x {SIDE}, peers {DENSE_SIDE} x {DENSE_SIDE}\n"
    )
    print("| draw | seconds | " + " | ".join(f"{name} / this" for name in peers) + " |")
    print("|---|---|" + "---|" * len(peers))
    for name, value in took.items():
        print(f"| {name} | {value:.4f} | " + " | ".join(f"{peer / value:.0f}" for peer in peers.values()) + " |")
    for name, value in peers.items():
        ratio = value / took["periodic"]
        verdict = "met" if ratio > GOALS[name] else "MISSED"
        print(f"\n{name}: {value:.2f} s, {ratio:.0f} times ours; goal over {GOALS[name]}: {verdict}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {memory:.0f} MiB with ours, {peak:.0f} MiB with the peers")


if __name__ == "__main__":
    main()
