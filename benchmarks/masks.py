"""How long does a mask of 128 x 128 cells take?

Every pattern has to stay under 5 ms, so that drawing masks never holds up training. The peer is the obvious loop over
pixels in Python (random cells only: what every pattern would cost at least, if it were written that way).

    python benchmarks/masks.py
"""

import time

import numpy as np

from driftfield.data.masks import parse_pattern

LIMIT_MS = 5.0
SIZE = 128
PATTERNS = (
    "random:0.95",
    "blocks:0.8",
    "clouds:0.8",
    "tracks:0.9",
    "swaths:0.7",
    "profiles:0.95",
    "profiles:n=40",
)


def pixel_loop(domain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The peer: one draw per pixel."""
    observed = np.zeros_like(domain)
    for row in range(domain.shape[1]):
        for col in range(domain.shape[2]):
            if domain[0, row, col] and rng.random() > 0.95:
                observed[0, row, col] = True
    return observed


def milliseconds(draw, domain: np.ndarray, repeats: int) -> float:
    """Median time of one draw."""
    rng = np.random.default_rng(0)
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        draw(domain, rng)
        took.append(1000.0 * (time.perf_counter() - start))
    return float(np.median(took))


def main() -> None:
    domain = np.ones((1, SIZE, SIZE), dtype=bool)
    domain[:, :30, :40] = False
    peer = milliseconds(pixel_loop, domain, 5)
    print(f"peer (loop over pixels)  {peer:7.2f} ms")
    worst = 0.0
    for text in PATTERNS:
        took = milliseconds(parse_pattern(text).draw, domain, 50)
        worst = max(worst, took)
        print(f"{text:24s} {took:7.2f} ms   {peer / took:6.1f} times faster")
    print(f"slowest {worst:.2f} ms, limit {LIMIT_MS} ms: {'met' if worst < LIMIT_MS else 'MISSED'}")


if __name__ == "__main__":
    main()
