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
    noise = numbered_noise((5,))
    coarse, fine = BrownianPath(noise, LEVELS), BrownianPath(noise, [80.0 * 2 ** (-k / 10) for k in range(131)])
    total = math.log(LEVELS[0] / LEVELS[-1])
    for time in (0.25, 0.5, 0.75, 1.0):
        other = BrownianPath(noise, LEVELS)
        assert torch.equal(coarse.at(time), other.at(time))
    # the last level of the fine steps is not that of the coarse ones: compare at equal dyadic times
    assert torch.equal(coarse.at(0.5), fine.at(0.5))
    assert total > 0


def test_finer_steps_sum_to_coarse_ones() -> None:
    noise = numbered_noise((4,))
    steps = torch.logspace(1, -1, 9, dtype=torch.float64).tolist()
    path = BrownianPath(noise, steps)
    parts = sum((path.increment(a, b) * math.sqrt(1 / 8) for a, b in pairwise(steps)), Tensor([0.0]))
    whole = BrownianPath(noise, [steps[0], steps[-1]]).increment(steps[0], steps[-1])
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-9)
