"""A batch that is worked on in parts, by several processes or one after the other, as if it were whole.

    noise of the whole batch --drawn by everybody, from one generator--> rows of this part          (part_rows)
    mean over cells of the whole batch = sum over parts of  (cells of the part / cells of all) * mean of the part

So a training does not depend on how its batches are divided, but for rounding. What learns from a batch beside the weights
(tracked scales, learned levels) needs it whole, and says so.
"""

__all__ = ["BatchPart", "part_rows", "refuse_parts", "within"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from driftfield.errors import ConfigurationError


@dataclass(frozen=True)
class BatchPart:
    """Samples `start`, ..., `start + count - 1` of a batch of `total`.

    Arguments:
        start: Its first sample.
        count: How many samples it has.
        total: Samples of the whole batch.
    """

    start: int
    count: int
    total: int

    @property
    def is_whole(self) -> bool:
        """Whether there is no other part."""
        return self.count == self.total


_here: BatchPart | None = None


@contextmanager
def within(part: BatchPart) -> Iterator[None]:
    """What is drawn inside the block belongs to this part."""
    global _here
    before, _here = _here, None if part.is_whole else part
    try:
        yield
    finally:
        _here = before


def part_rows(count: int, draw: Callable[[int], Tensor]) -> Tensor:
    """`count` rows of what is drawn for the whole batch: those of the part that is worked on; all of them outside of one.

    Arguments:
        count: Rows that are wanted, one or more for every sample.
        draw: From a number of rows, that many random rows.
    """
    if _here is None:
        return draw(count)
    times = count // _here.count
    return draw(times * _here.total)[times * _here.start : times * (_here.start + _here.count)]


def refuse_parts(what: str) -> None:
    """Raises `ConfigurationError` in the name of what learns from whole batches, where this is a part of one."""
    if _here is not None:
        raise ConfigurationError(
            f"{what} from the whole of every batch: expected one process and accumulate: 1, found parts of {_here.count} of "
            f"{_here.total} samples. Leave out trainer.devices, nodes and accumulate."
        )
