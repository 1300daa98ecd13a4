"""A Brownian path: independent increments of the right size, the same path for every set of times."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from driftfield.sampling.brownian import BrownianPath
from driftfield.testing import numbered_noise

LEVELS = [80.0, 31.0, 12.5, 12.0, 3.0, 0.4, 0.05, 0.01]


def test_increments_are_independent_standard_normals() -> None:
    draws = 20000
    path = BrownianPath(numbered_noise((draws,)), LEVELS)
    found = torch.stack([path.increment(a, b) for a, b in pairwise(LEVELS)])
    covariance = found @ found.T / draws
    torch.testing.assert_close(
        covariance, torch.eye(len(found), dtype=torch.float64), rtol=0, atol=5 / math.sqrt(draws)
    )
    assert float(found.mean(1).abs().max()) < 5 / math.sqrt(draws)


def test_the_path_does_not_depend_on_the_steps_nor_on_their_order() -> None:
    """At dyadic times, which have numbers of their own; a time that was passed already is found again."""
    noise = numbered_noise((5,))
    coarse, fine = BrownianPath(noise, LEVELS), BrownianPath(noise, [80.0 * 2 ** (-k / 20) for k in range(261)])
    assert fine.depth > coarse.depth
    times = (0.25, 0.5, 0.75, 1.0)
    found = [coarse.at(time) for time in times]
    assert all(torch.equal(fine.at(time), w) for time, w in zip(times, found, strict=True))
    assert all(torch.equal(fine.at(time), w) for time, w in zip(times[::-1], found[::-1], strict=True))
    for time, w in zip(times, found, strict=True):
        assert torch.equal(BrownianPath(noise, LEVELS).at(time), w)


def test_between_dyadic_times_too_the_order_does_not_matter() -> None:
    noise, times = numbered_noise((5,)), (0.1, 0.33, 0.5, 0.9)
    forward, backward = BrownianPath(noise, LEVELS), BrownianPath(noise, LEVELS)
    found = [forward.at(time) for time in times]
    assert all(torch.equal(backward.at(time), w) for time, w in zip(times[::-1], found[::-1], strict=True))


def test_a_walk_keeps_one_field_per_level_and_draws_none_twice() -> None:
    drawn: list[int] = []
    zeros = torch.zeros(1)

    def noise(number: int) -> Tensor:
        drawn.append(number)
        return zeros

    levels = [80.0 * 2 ** (-k / 20) for k in range(256)]
    path = BrownianPath(noise, levels)
    for s, lower in pairwise(levels):
        path.increment(s, lower)
        assert path.kept <= path.depth + 3
    assert len(drawn) == len(set(drawn))


def test_finer_steps_sum_to_coarse_ones() -> None:
    noise = numbered_noise((4,))
    steps = torch.logspace(1, -1, 9, dtype=torch.float64).tolist()
    path = BrownianPath(noise, steps)
    parts = sum((path.increment(a, b) * math.sqrt(1 / 8) for a, b in pairwise(steps)), Tensor([0.0]))
    whole = BrownianPath(noise, [steps[0], steps[-1]]).increment(steps[0], steps[-1])
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-9)
