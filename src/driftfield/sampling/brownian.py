"""One Brownian path per member, on which a sampler may look at any times: the same path for every number of steps.

    W(0) = 0,  W(1) ~ N(0, 1),   W at the middle of [a, b] given its ends:  mean of the ends + sqrt((b - a) / 4) N(0, 1)

Every dyadic point has its own numbered draw, so that the path does not depend on which points are asked for, nor in which order
(a virtual Brownian tree: Li et al. 2020, "Scalable gradients for stochastic differential equations", section 4). Time is
lambda = -ln s, from 0 at the first noise level to 1 at the last.

A walk only goes forward, so that what it has passed is let go, and one interval per level of the tree is kept:

    0 . . . passed . . . left [--][--][----][--------][----------------] 1
"""

__all__ = ["BrownianPath"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

_BELOW = 2**31
"""Draw numbers from here on belong to points that are not dyadic."""


@dataclass(frozen=True)
class _Interval:
    """[left, right] with W at its right end; its middle has the draw number `index` + 1."""

    left: float
    right: float
    w_right: Tensor
    index: int
    level: int


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
        self._ahead: list[_Interval] = []
        self._w_left: Tensor | None = None
        self._last: tuple[float, Tensor] | None = None

    @property
    def kept(self) -> int:
        """Fields in memory: at most depth + 3 of them."""
        return len(self._ahead) + (self._w_left is not None) + (self._last is not None)

    def increment(self, s: float, lower: float) -> Tensor:
        """W(lower) - W(s), divided by its standard deviation: a standard normal."""
        start, end = ((self.first - math.log(level)) / self.length for level in (s, lower))
        before = self._last[1] if self._last is not None and self._last[0] == start else self.at(start)
        after = self.at(end)
        self._last = (end, after)
        return (after - before) / math.sqrt(end - start)

    def at(self, time: float) -> Tensor:
        """W at a time between 0 and 1; one that lies behind what is kept begins anew, and costs all draws again."""
        time = min(max(time, 0.0), 1.0)
        if not self._ahead or time < self._ahead[-1].left:
            w_end = self.noise(1)
            self._ahead, self._w_left = [_Interval(0.0, 1.0, w_end, 1, 0)], 0 * w_end
        while time > self._ahead[-1].right:
            self._w_left = self._ahead.pop().w_right
        while self._ahead[-1].level < self.depth and self._ahead[-1].left < time < self._ahead[-1].right:
            self._halve(time)
        leaf, w_left = self._ahead[-1], self._w_left
        assert w_left is not None
        if time == leaf.left:
            return w_left
        if time == leaf.right:
            return leaf.w_right
        share = (time - leaf.left) / (leaf.right - leaf.left)
        sd = math.sqrt(share * (1 - share) * (leaf.right - leaf.left))
        return w_left + share * (leaf.w_right - w_left) + sd * self.noise(_BELOW + int(time * _BELOW))

    def _halve(self, time: float) -> None:
        """Draws the middle of the nearest interval, and keeps the half that holds `time` and what is beyond."""
        whole, w_left = self._ahead.pop(), self._w_left
        assert w_left is not None
        middle, sd = (whole.left + whole.right) / 2, math.sqrt(whole.right - whole.left) / 2
        w_middle = (w_left + whole.w_right) / 2 + sd * self.noise(whole.index + 1)
        self._ahead.append(_Interval(middle, whole.right, whole.w_right, 2 * whole.index + 1, whole.level + 1))
        if time < middle:
            self._ahead.append(_Interval(whole.left, middle, w_middle, 2 * whole.index, whole.level + 1))
        else:
            self._w_left = w_middle
