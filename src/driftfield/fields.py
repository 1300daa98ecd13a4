"""FieldBatch, the one thing that travels from data to networks.

Tensors are (batch, channel, lat, lon); one-dimensional worlds have lat = 1. NaN lives in files, masks live in batches: every
tensor here is finite but bounds, and a cell outside its mask holds 0 and a False beside it.
"""

__all__ = ["Bounds", "Channel", "FieldBatch", "Guess", "Seen", "Tensors"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor


@dataclass(frozen=True)
class Channel:
    """One horizontal slice of a variable.

    Arguments:
        variable: Name in the file.
        level: Depth in metres, None for a surface field.
        offset: Time offset in steps of the archive.
        partner: The other component, where the variable is one of a vector pair (u, v).
        northward: Whether it is the second, v.
    """

    variable: str
    level: float | None = None
    offset: int = 0
    partner: str | None = None
    northward: bool = False


class Tensors:
    """A dataclass of tensors, and of such dataclasses: what is done to it is done to all of them; what is None stays None."""

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with other tensors."""
        parts = {name: part for name, part in self._parts().items() if part is not None}
        changed = {n: change(part) if isinstance(part, Tensor) else part.mapped(change) for n, part in parts.items()}
        return replace(self, **changed)  # type: ignore[type-var]

    @classmethod
    def stack(cls, samples: "Sequence[Self]") -> Self:
        """Joins them along the sample axis."""
        joined: dict[str, Any] = {}
        for name, first in samples[0]._parts().items():
            parts = [getattr(sample, name) for sample in samples]
            if first is not None:
                joined[name] = torch.cat(parts) if isinstance(first, Tensor) else type(first).stack(parts)
        return cls(**joined)

    def to_arrays(self, prefix: str = "") -> dict[str, np.ndarray]:
        """Plain numbers under their names, such as "seen.value"."""
        arrays: dict[str, np.ndarray] = {}
        for name, part in self._parts().items():
            if isinstance(part, Tensor):
                arrays[prefix + name] = part.numpy()
            elif part is not None:
                arrays |= part.to_arrays(f"{prefix}{name}.")
        return arrays

    def _parts(self) -> "dict[str, Tensor | Tensors | None]":
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Seen(Tensors):
    """Channels that were seen here and there.

    Arguments:
        value: What was seen, with its error; 0 elsewhere.
        where: Where it was.
        error: Standard deviation of the error; 0 elsewhere.
    """

    value: Float[Tensor, "batch channel lat lon"]
    where: Bool[Tensor, "batch channel lat lon"]
    error: Float[Tensor, "batch channel lat lon"]

    @classmethod
    def nothing(cls, *shape: int) -> "Seen":
        """Channels (batch, channel, lat, lon) of which nothing was seen."""
        return cls(torch.zeros(shape), torch.zeros(shape, dtype=torch.bool), torch.zeros(shape))


@dataclass(frozen=True)
class Guess(Tensors):
    """A first guess of the target, where a model draws the residual.

    Arguments:
        mean: 0 outside the domain.
        scale: Standard deviation of its error, positive everywhere.
    """

    mean: Float[Tensor, "batch channel lat lon"]
    scale: Float[Tensor, "batch channel lat lon"]


@dataclass(frozen=True)
class Bounds(Tensors):
    """Of the target; the only tensors of a batch that may be infinite.

    Arguments:
        lower, upper: What no field leaves.
    """

    lower: Float[Tensor, "batch channel lat lon"]
    upper: Float[Tensor, "batch channel lat lon"]


@dataclass(frozen=True)
class FieldBatch(Tensors):
    """What is known of a batch of windows, in network units.

    Arguments:
        target: The clean field; 0 outside `domain` and where it is not known.
        seen: What was seen of the target channels.
        domain: Where the target channels exist.
        held_out: Cells kept for scoring, never shown.
        given: Covariates: further fields that are given and not reconstructed.
        presence: 1 where a covariate is given at all, 0 where the whole field is missing.
        position: Latitude and longitude of the window's centre, degrees.
        date: Fraction of the year in [0, 1) and of the day in [0, 1).
        guess: A first guess of the target, where there is one.
        visible: Where the noisy field exists, where that is not all of the domain: the clean one is known nowhere else.
        bounds: Of the target, where any of it has bounds.
        statics: Fields that are the same at all times, such as heights (`data.conditions`); 0 where no target exists.
        labels: Classes that the date belongs to, such as the month, numbers from 0 (`data.conditions`).
    """

    target: Float[Tensor, "batch channel lat lon"]
    seen: Seen
    domain: Bool[Tensor, "batch channel lat lon"]
    held_out: Bool[Tensor, "batch channel lat lon"]
    given: Seen
    presence: Float[Tensor, "batch covariate"]
    position: Float[Tensor, "batch 2"]
    date: Float[Tensor, "batch 2"]
    guess: Guess | None = None
    visible: Bool[Tensor, "batch channel lat lon"] | None = None
    bounds: Bounds | None = None
    statics: Float[Tensor, "batch static lat lon"] | None = None
    labels: Integer[Tensor, "batch label"] | None = None

    def __len__(self) -> int:
        return self.target.shape[0]

    def to(self, device: object) -> "FieldBatch":
        """The same batch on another device."""
        return self.mapped(lambda tensor: tensor.to(device))  # type: ignore[call-overload]

    def repeat(self, times: int) -> "FieldBatch":
        """Every sample `times` times in a row: (a, b) -> (a, a, b, b)."""
        return self.mapped(lambda tensor: tensor.repeat_interleave(times, dim=0))

    def __getitem__(self, index: slice) -> "FieldBatch":
        return self.mapped(lambda tensor: tensor[index])

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "FieldBatch":
        """The inverse of `to_arrays`."""
        parts: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items() if "." not in name}
        for name, part in (("seen", Seen), ("given", Seen), ("guess", Guess), ("bounds", Bounds)):
            inner = {
                n.removeprefix(f"{name}."): torch.from_numpy(a) for n, a in arrays.items() if n.startswith(f"{name}.")
            }
            if inner:
                parts[name] = part(**inner)
        return cls(**parts)
