"""What a network knows of a part of the grid: its own window of the fields, its own place, its own cells of the noise."""

__all__ = ["parts_of", "tiling_of"]

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from driftfield.data.codec import FieldCodec
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.reconstruction.draws import DatedWindow, Draws
from driftfield.sampling.tiles import Tile, Tiling


def tiling_of(batch: FieldBatch, window: DatedWindow, draws: Draws, codec: FieldCodec) -> Tiling | None:
    """How a batch is to be divided; None where it is not, or one tile holds all of it.

    Raises:
        ConfigurationError: tiles together with what needs the whole grid at once.
    """
    if draws.tiles is None:
        return None
    if draws.drawer is not None or (draws.guide is not None and draws.tiles.independent):
        raise ConfigurationError(
            "Found tiles that walk by themselves together with observations of the whole grid: expected synchronous tiles, whose "
            "walk is one. Leave independent tiles out."
        )
    exists = batch.domain[0].any(0)
    tiling = Tiling.of(exists, draws.tiles.size, draws.tiles.overlap, periodic=window.wraps(codec))
    return None if tiling.is_whole or not tiling.tiles else tiling


def parts_of(
    batch: FieldBatch, window: DatedWindow, tiling: Tiling, codec: FieldCodec
) -> list[tuple[FieldBatch, DatedWindow]]:
    """The batch and the window of every tile, told where it lies as a window of training is."""
    parts = []
    for tile in tiling.tiles:
        rows, columns = window.rows[tile.rows], window.columns[tile.columns]
        part = batch.mapped(partial(_cut, tile))
        middle = torch.tensor([codec.grid.middle(rows, columns)], dtype=torch.float32, device=batch.position.device)
        parts.append(
            (replace(part, position=middle.expand_as(batch.position)), DatedWindow(window.stamp, rows, columns))
        )
    return parts


def _cut(tile: Tile, part: Tensor) -> Tensor:
    """Of fields their window; of what is said of the whole sample all."""
    return tile.cut(part) if part.ndim == 4 else part
