"""How several processes share every batch of one training.

    batch k of B samples, W processes      process r: samples k B + r B / W, ..., k B + (r + 1) B / W - 1
    its share, in `accumulate` parts       one after the other; their gradients are summed before the step

Which samples a step sees depends on its number alone, not on how many processes there are: a training that was begun on two
goes on with four, or one, and is the same but for rounding.
"""

__all__ = ["ShareOfBatches", "check_division", "parts_of", "weight_of"]

import os
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from driftfield.diffusion.batch_part import BatchPart
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")


class ShareOfBatches(torch.utils.data.Sampler[list[int]]):
    """The indices of one process, batch by batch.

    Arguments:
        samples: How many there are.
        batch_size: Of all processes together; a multiple of `processes`.
        rank: Number of this process, from 0.
        processes: How many there are.
    """

    def __init__(self, samples: int, batch_size: int, rank: int = 0, processes: int = 1) -> None:
        self.samples, self.batch_size, self.rank, self.processes = samples, batch_size, rank, processes

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size) if self.processes == 1 else self.samples // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch_size // self.processes
        for number in range(len(self)):
            first = number * self.batch_size + self.rank * share
            yield list(range(first, min(first + share, self.samples)))


class Divided(Protocol):
    """A trainer whose batches are divided."""

    batch_size: int
    accumulate: int
    compile: bool
    devices: int | list[int]
    nodes: int

    @property
    def strategy(self) -> str:
        """Lightning's."""
        ...

    @property
    def processes(self) -> int:
        """How many train together."""
        ...


@runtime_checkable
class OverCells(Protocol):
    """A model whose loss is a mean over cells."""

    def teaching_cells(self, batch: FieldBatch) -> Tensor:
        """Which ones, boolean."""
        ...


def weight_of(model: nn.Module, batch: FieldBatch) -> Tensor:
    """What the loss of a part counts in the loss of the whole: its cells, or its samples."""
    if isinstance(model, OverCells):
        return model.teaching_cells(batch).sum().double()
    return torch.tensor(float(len(batch)), dtype=torch.float64, device=batch.target.device)


def parts_of(batch: FieldBatch, accumulate: int, rank: int, processes: int) -> list[tuple[FieldBatch, BatchPart]]:
    """The share of one process in parts, each with its place in the whole batch."""
    size, total = -(-len(batch) // accumulate), len(batch) * processes
    return [
        (batch[first : first + size], BatchPart(rank * len(batch) + first, min(size, len(batch) - first), total))
        for first in range(0, len(batch), size)
    ]


def check_division(trainer: Divided) -> None:
    """Raises `ConfigurationError` unless the batches of a trainer can be divided as it says."""
    several = isinstance(trainer.devices, list)
    numbers = trainer.devices if isinstance(trainer.devices, list) else [trainer.devices]
    least = 0 if several else 1
    if not numbers or any(type(number) is not int or number < least for number in numbers):
        raise ConfigurationError(
            f"Found devices={trainer.devices!r}: expected how many, such as 2, or a list of their numbers, such as [0, 3]."
        )
    if trainer.strategy not in STRATEGIES:
        raise ConfigurationError(
            f"Unknown strategy {trainer.strategy!r}: expected one of {STRATEGIES}. Others divide the weights between the "
            "processes, which would then have no average and no checkpoint of them all."
        )
    if trainer.batch_size % (trainer.processes * trainer.accumulate):
        raise ConfigurationError(
            f"Found batch_size={trainer.batch_size} for {trainer.processes} processes in {trainer.accumulate} parts each: "
            f"expected a multiple of {trainer.processes * trainer.accumulate}. It counts the samples of all processes."
        )
    if trainer.compile and trainer.processes * trainer.accumulate > 1:
        raise ConfigurationError(
            "Found compile: true with batches that are worked on in parts, which was never tried: expected one process and "
            "accumulate: 1. Leave compile out."
        )
    world = os.environ.get("WORLD_SIZE", "")
    if world.isdigit() and int(world) > 1 and int(world) != trainer.processes:
        raise ConfigurationError(
            f"Found {world} processes (WORLD_SIZE), but trainer.devices={trainer.devices!r} and nodes={trainer.nodes} make "
            f"{trainer.processes}: expected the same. Set trainer.devices and trainer.nodes to what was started."
        )
