"""State and increment: what a network is asked for, as one number per channel to shift it and one to scale it.

    StateCodec        z = (x - mean) / std             x = z std + mean
    IncrementCodec    z = (x - g - mean) / std         x = g + z std + mean

g is a first guess of x, such as the state one step earlier: a network that learns z then starts from persistence, and what it
gets wrong is small. mean and std belong to the increments of the training pairs, not to the state. The arithmetic is the same
for numpy and torch, and lets a gradient through. A cell outside the mask becomes 0, whatever lay there.
"""

__all__ = ["AffineCodec", "IncrementCodec", "StateCodec"]

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from driftfield.errors import ConfigurationError, DataError, FileFormatError


class AffineCodec(ABC):
    """Offset and scale of every channel; arrays are (..., channel, lat, lon).

    Arguments:
        mean: Offset of each channel, in physical units.
        std: Scale of each channel, in physical units, above 0.
    """

    uses_first_guess: bool
    """Whether `encode` and `decode` need a first guess."""

    def __init__(self, mean: np.ndarray, std: np.ndarray) -> None:
        self.mean, self.std = (np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in (mean, std))
        if self.mean.ndim != 1 or self.mean.shape != self.std.shape:
            raise ConfigurationError(
                f"Found mean of shape {self.mean.shape} and std of shape {self.std.shape}: expected one of each per channel."
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise ConfigurationError(
                f"Found mean={self.mean}, std={self.std}: expected finite numbers, and std above 0."
            )

    @property
    def channels(self) -> int:
        """How many channels it encodes."""
        return self.mean.size

    def encode(self, x: Any, first_guess: Any = None, *, mask: Any = None) -> Any:
        """Physical units -> what the network is asked for.

        Arguments:
            x: Field (..., channel, lat, lon), numpy or torch.
            first_guess: As `x`; needed by an increment, ignored by a state.
            mask: Where x exists; elsewhere the result is 0. Everywhere if not given.
        """
        mean, std = self._like(x)
        return _masked((x - self._offset(first_guess) - mean) / std, mask)

    def decode(self, z: Any, first_guess: Any = None, *, mask: Any = None) -> Any:
        """The inverse of `encode` with the same first guess, inside the mask."""
        mean, std = self._like(z)
        return _masked(self._offset(first_guess) + z * std + mean, mask)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors."""
        return {"mean": self.mean, "std": self.std}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `to_arrays`.

        Raises:
            FileFormatError: a part is missing.
        """
        missing = [name for name in ("mean", "std") if name not in arrays]
        if missing:
            raise FileFormatError(f"The run lacks {missing} of its {cls.__name__}: it is damaged. Train it again.")
        return cls(arrays["mean"], arrays["std"])

    @abstractmethod
    def _offset(self, first_guess: Any) -> Any:
        """What is added to the decoded network output besides the mean."""

    def _like(self, values: Any) -> tuple[Any, Any]:
        parts = (self.mean[:, None, None], self.std[:, None, None])
        if isinstance(values, torch.Tensor):
            return tuple(values.new_tensor(part) for part in parts)  # type: ignore[return-value]
        return tuple(part.astype(values.dtype) for part in parts)  # type: ignore[return-value]


class StateCodec(AffineCodec):
    """The state itself: z = (x - mean) / std."""

    uses_first_guess = False

    @classmethod
    def fit(cls, x: np.ndarray, *, mask: np.ndarray | None = None, std_floor: float = 1e-3) -> Self:
        """Mean and standard deviation of every channel.

        Arguments:
            x: Training states (sample, channel, lat, lon); NaN where unknown.
            mask: Where they exist, broadcast to x.
            std_floor: Smallest std, as a part of that of the most variable channel.

        Raises:
            DataError: a channel without a finite value.
        """
        return cls(*_moments(np.asarray(x), mask, std_floor))

    def _offset(self, first_guess: Any) -> Any:
        return 0.0


class IncrementCodec(AffineCodec):
    """What a first guess lacks: z = (x - first guess - mean) / std."""

    uses_first_guess = True

    @classmethod
    def fit(
        cls, x: np.ndarray, first_guess: np.ndarray, *, mask: np.ndarray | None = None, std_floor: float = 1e-3
    ) -> Self:
        """Mean and standard deviation of the increments x - first guess of training pairs.

        Arguments:
            x: Training states (sample, channel, lat, lon), such as x_{t+1}; NaN where unknown.
            first_guess: Their first guesses, such as x_t.
            mask: Where they exist, broadcast to x.
            std_floor: Smallest std, as a part of that of the most variable channel.

        Raises:
            DataError: pairs of different shape, or a channel without a finite pair.
        """
        x, first_guess = np.asarray(x), np.asarray(first_guess)
        if x.shape != first_guess.shape:
            raise DataError(
                f"Found states {x.shape} with first guesses {first_guess.shape}: expected pairs of one shape."
            )
        return cls(*_moments(np.asarray(x, np.float64) - first_guess, mask, std_floor))

    def _offset(self, first_guess: Any) -> Any:
        if first_guess is None:
            raise ConfigurationError("An increment is nothing without its first guess. Pass first_guess.")
        return first_guess


def _moments(x: np.ndarray, mask: np.ndarray | None, std_floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (channel,) over the finite cells of (sample, channel, lat, lon)."""
    if x.ndim != 4:
        raise DataError(f"Found training states of shape {x.shape}: expected (sample, channel, lat, lon).")
    known = np.isfinite(x) if mask is None else np.isfinite(x) & mask
    count = known.sum(axis=(0, 2, 3))
    if not count.all():
        raise DataError(f"Channel {int(np.argmin(count > 0))} has no finite value to learn from. Drop it.")
    x = np.where(known, x, 0).astype(np.float64)
    mean = x.sum(axis=(0, 2, 3)) / count
    departure = np.where(known, x - mean[:, None, None], 0)
    std = np.sqrt(np.square(departure).sum(axis=(0, 2, 3)) / count)
    return mean, np.maximum(std, max(std_floor * float(std.max()), 1e-12))


def _masked(values: Any, mask: Any) -> Any:
    # where, not a product: NaN under the mask times 0 is NaN
    if mask is None:
        return values
    return torch.where(mask, values, 0) if isinstance(values, torch.Tensor) else np.where(mask, values, 0)
