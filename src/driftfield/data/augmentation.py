"""Flips and quarter turns of training samples: data, masks and covariates alike, and the components of vectors with them.

    mirror east-west      u -> -u
    mirror north-south    v -> -v
    quarter turn          (u, v) -> (-v, u), counter-clockwise; square windows only

A symmetry acts on network units, and is the same one in physical units because both components of a vector share one scale
there and have no uniform offset (`FieldCodec.fit`); a frame of the time context turns with the components of its own time.

Off by default: physics forbids most of them (rotation of the Earth, the place of a coast), and a window that is always the
same place learns nothing from them.
"""

__all__ = ["Augmentation"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.fields import Channel, FieldBatch, Seen
from driftfield.registry import register


@register("augmentation")
@dataclass(frozen=True)
class Augmentation:
    """Which symmetries the data has.

    Arguments:
        flip_longitude: Mirror east-west in half of the samples.
        flip_latitude: Mirror north-south in half of the samples.
        rotate: Turn by 0, 90, 180 or 270 degrees.
    """

    flip_longitude: bool = False
    flip_latitude: bool = False
    rotate: bool = False

    def __call__(
        self, batch: FieldBatch, channels: Sequence[Channel], covariates: Sequence[Channel], rng: np.random.Generator
    ) -> FieldBatch:
        """One random symmetry for the whole batch.

        Arguments:
            batch: Samples without a first guess.
            channels: Of the field; `partner` names the other component of a vector, `northward` says which one is v.
            covariates: Of the covariates.
            rng: Decides.

        Raises:
            ConfigurationError: `rotate` on a window that is not square.
        """
        if self.flip_longitude and rng.random() < 0.5:
            batch = _transform(batch, channels, covariates, lambda x: x.flip(-1), lambda u, v: (-u, v))
        if self.flip_latitude and rng.random() < 0.5:
            batch = _transform(batch, channels, covariates, lambda x: x.flip(-2), lambda u, v: (u, -v))
        if self.rotate:
            height, width = batch.target.shape[-2:]
            if height != width:
                raise ConfigurationError(f"Windows of {height} x {width} cells cannot be turned. Use square windows.")
            for _ in range(int(rng.integers(4))):
                # rows run north, columns east: (row, col) -> (col, -row) is a counter-clockwise quarter turn
                batch = _transform(
                    batch, channels, covariates, lambda x: torch.rot90(x, -1, (-2, -1)), lambda u, v: (-v, u)
                )
        return batch


def _transform(
    batch: FieldBatch,
    channels: Sequence[Channel],
    covariates: Sequence[Channel],
    move: Callable[[Tensor], Tensor],
    turn: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> FieldBatch:
    def moved(field: Tensor, table: Sequence[Channel], *, signed: bool = False) -> Tensor:
        """What only says where or how well both components were seen swaps with them, without a sign."""
        field = move(field)
        for first, second in _pairs(table):
            turned, (u, v) = field.clone(), (field[:, first], field[:, second])
            turned[:, first], turned[:, second] = turn(u, v) if signed else _unsigned(turn, u, v)
            field = turned
        return field

    def seen(part: Seen, table: Sequence[Channel]) -> Seen:
        return Seen(moved(part.value, table, signed=True), moved(part.where, table), moved(part.error, table))

    return replace(
        batch,
        target=moved(batch.target, channels, signed=True),
        seen=seen(batch.seen, channels),
        domain=moved(batch.domain, channels),
        held_out=moved(batch.held_out, channels),
        given=seen(batch.given, covariates),
        visible=None if batch.visible is None else moved(batch.visible, channels),
        statics=None if batch.statics is None else move(batch.statics),
        bounds=None if batch.bounds is None else batch.bounds.mapped(lambda field: moved(field, channels)),
    )


def _unsigned(turn: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    a, b = turn(torch.ones(()), 2 * torch.ones(()))
    return (u, v) if abs(float(a)) == 1 and abs(float(b)) == 2 else (v, u)


def _pairs(table: Sequence[Channel]) -> list[tuple[int, int]]:
    """Places of the eastward and the northward component of every vector: one level at one time."""
    place = {(channel.variable, channel.level, channel.offset): number for number, channel in enumerate(table)}
    partners = [
        (number, place.get((channel.partner or "", channel.level, channel.offset)))
        for number, channel in enumerate(table)
        if channel.partner is not None and not channel.northward
    ]
    return [(u, v) for u, v in partners if v is not None]
