"""FieldBatch, the one thing that travels from data to networks.

Tensors are (batch, channel, lat, lon); one-dimensional worlds have lat = 1. NaN lives in files, masks live in batches: every
tensor here is finite but `lower` and `upper`, and a cell outside its mask holds 0 and a False beside it.
"""

__all__ = ["Channel", "FieldBatch"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
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


@dataclass(frozen=True)
class FieldBatch:
    """What is known of a batch of windows, in network units.

    Arguments:
        target: The clean field; 0 outside `domain` and where it is not known.
        observations: What was seen of the target channels, with its error; 0 where not `observed`.
        observed: Where the target channels were seen.
        error_std: Standard deviation of the observation error; 0 where not `observed`.
        domain: Where the target channels exist.
        held_out: Cells kept for scoring, never shown.
        covariates: Further fields that are given and not reconstructed; 0 where not `covariates_observed`.
        covariates_observed: Where the covariates were seen.
        covariates_error_std: Standard deviation of the covariates' error.
        presence: 1 where a covariate is given at all, 0 where the whole field is missing.
        position: Latitude and longitude of the window's centre, degrees.
        date: Fraction of the year in [0, 1) and of the day in [0, 1).
        first_guess: A first guess of the target, where a model draws the residual; 0 outside the domain.
        first_guess_scale: Its error's standard deviation, positive everywhere.
        visible: Where the noisy field exists, where that is not all of the domain: the clean one is known nowhere else.
        lower, upper: Bounds of the target, where any of it has bounds: the only tensors that may be infinite.
    """

    target: Float[Tensor, "batch channel lat lon"]
    observations: Float[Tensor, "batch channel lat lon"]
    observed: Bool[Tensor, "batch channel lat lon"]
    error_std: Float[Tensor, "batch channel lat lon"]
    domain: Bool[Tensor, "batch channel lat lon"]
    held_out: Bool[Tensor, "batch channel lat lon"]
    covariates: Float[Tensor, "batch covariate lat lon"]
    covariates_observed: Bool[Tensor, "batch covariate lat lon"]
    covariates_error_std: Float[Tensor, "batch covariate lat lon"]
    presence: Float[Tensor, "batch covariate"]
    position: Float[Tensor, "batch 2"]
    date: Float[Tensor, "batch 2"]
    first_guess: Float[Tensor, "batch channel lat lon"] | None = None
    first_guess_scale: Float[Tensor, "batch channel lat lon"] | None = None
    visible: Bool[Tensor, "batch channel lat lon"] | None = None
    lower: Float[Tensor, "batch channel lat lon"] | None = None
    upper: Float[Tensor, "batch channel lat lon"] | None = None

    def __len__(self) -> int:
        return self.target.shape[0]

    def to(self, device: object) -> "FieldBatch":
        """The same batch on another device."""
        return self._map(lambda tensor: tensor.to(device))  # type: ignore[call-overload]

    def repeat(self, times: int) -> "FieldBatch":
        """Every sample `times` times in a row: (a, b) -> (a, a, b, b)."""
        return self._map(lambda tensor: tensor.repeat_interleave(times, dim=0))

    def __getitem__(self, index: slice) -> "FieldBatch":
        return self._map(lambda tensor: tensor[index])

    @classmethod
    def stack(cls, samples: Sequence["FieldBatch"]) -> "FieldBatch":
        """Joins batches along the sample axis."""
        parts = {field.name: [getattr(sample, field.name) for sample in samples] for field in fields(cls)}
        joined: dict[str, Any] = {n: None if part[0] is None else torch.cat(part) for n, part in parts.items()}
        return cls(**joined)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "FieldBatch":
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(tensor) for name, tensor in tensors.items() if tensor is not None})
