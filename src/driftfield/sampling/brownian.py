"""One Brownian path per member, on which a sampler may look at any times: the same path for every number of steps.

    W(0) = 0,  W(1) ~ N(0, 1),   W at the middle of [a, b] given its ends:  mean of the ends + sqrt((b - a) / 4) N(0, 1)

Every dyadic point has its own numbered draw, so that the path does not depend on which points are asked for, nor in which order
(a virtual Brownian tree: Li et al. 2020, "Scalable gradients for stochastic differential equations", section 4). Time is
lambda = -ln s, from 0 at the first noise level to 1 at the last.
"""

__all__ = ["BrownianPath"]

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

_BELOW = 2**31
"""Draw numbers from here on belong to points that are not dyadic."""


class BrownianPath:
    """Increments of one path between noise levels.

    Arguments:
        noise: Standard normals by draw number; 0 is left to the start of the walk.
        levels: Falling noise levels of the walk.
    """

    def __init__(self, noise: Callable[[int], Tensor], levels: Sequence[float]) -> None:
        self.noise = noise
        self.first, self.length = math.log(levels[0]), math.log(levels[0] / levels[-1])
        shortest = min((math.log(a / b) for a, b in pairwise(levels)), default=self.length)
        # no two points of the walk may share a leaf: beyond its ends they would be independent
        self.depth = max(1, math.ceil(math.log2(self.length / shortest)) + 1)
        self._kept: dict[int, Tensor] = {}
        self._last: tuple[float, Tensor] | None = None

    def increment(self, s: float, lower: float) -> Tensor:
        """W(lower) - W(s), divided by its standard deviation: a standard normal."""
        start, end = ((self.first - math.log(level)) / self.length for level in (s, lower))
        before = self._last[1] if self._last is not None and self._last[0] == start else self.at(start)
        after = self.at(end)
        self._last = (end, after)
        return (after - before) / math.sqrt(end - start)

    def at(self, time: float) -> Tensor:
        """W at a time between 0 and 1."""
        time = min(max(time, 0.0), 1.0)
        left, right, index = 0.0, 1.0, 1
        if 1 not in self._kept:
            self._kept[1] = self.noise(1)
        w_left, w_right = 0 * self._kept[1], self._kept[1]
        for _ in range(self.depth):
            if time in (left, right):
                break
            middle = (left + right) / 2
            w_middle = self._point(index + 1, w_left, w_right, right - left)
            if time < middle:
                right, w_right, index = middle, w_middle, 2 * index
            else:
                left, w_left, index = middle, w_middle, 2 * index + 1
        if time == left:
            return w_left
        if time == right:
            return w_right
        share = (time - left) / (right - left)
        sd = math.sqrt(share * (1 - share) * (right - left))
        number = _BELOW + hash(round(time, 12)) % _BELOW
        return w_left + share * (w_right - w_left) + sd * self.noise(number)

    def _point(self, number: int, w_left: Tensor, w_right: Tensor, width: float) -> Tensor:
        if number not in self._kept:
            self._kept[number] = (w_left + w_right) / 2 + math.sqrt(width) / 2 * self.noise(number)
        return self._kept[number]
