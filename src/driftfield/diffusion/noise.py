"""The noise of a diffusion: what x_t is made of, who draws it, and in which variable it is white.

    x_t / alpha = x + s A eps,    u = A^-1 x,    u_t / alpha = u + s eps

White noise has A = 1. Whatever its colour, everything between the two borders of a model (loss, network, walks, guidance) is
written in u, where the noise is white; docs/decisions/0022-coloured-noise.md says why. `draws` is the only maker of the noise of
a walk.

Draws are counter-based: a standard normal number is a function of (seed, member, time stamp, draw, channel) and of its place, a
cell (`CellNoise`) or a wave (`diffusion.coloured_noise`). So a member is the same at any batch size, on any device, for any
subset of times, and two tiles that share a cell share its noise. Philox and Box-Muller (`gaussian.counter_noise`) turn counter
and key into normals.
"""

__all__ = ["CellNoise", "DiffusionNoise", "NoiseDraws", "WhiteNoise", "NoiseKeys"]

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.gaussian.counter_noise import key_of, philox, standard_normal, word_of
from driftfield.linalg.operators import Observed
from driftfield.registry import register

NoiseDraws = Callable[[int], Tensor]
"""Draw number -> white noise (batch, channel, lat, lon) of a walk in u."""


@dataclass(frozen=True)
class NoiseKeys:
    """What the noise of a batch of windows is a function of, and where it is wanted; the arguments are those of `CellNoise`."""

    seed: int
    members: Sequence[int]
    stamps: Sequence[int | str]
    channels: Sequence[str]
    rows: np.ndarray
    columns: np.ndarray
    device: str | torch.device = "cpu"


class DiffusionNoise(ABC):
    """The colour of the noise, and its draws."""

    coloured: ClassVar[bool]
    """Whether cells know of each other."""

    @abstractmethod
    def color(self, u: Float[Tensor, "*batch row column"]) -> Float[Tensor, "*batch row column"]:
        """x = A u."""

    @abstractmethod
    def whiten(self, x: Float[Tensor, "*batch row column"]) -> Float[Tensor, "*batch row column"]:
        """u = A^-1 x.

        Raises:
            ConfigurationError: A cannot be inverted on this grid.
        """

    @abstractmethod
    def observed(self, observed: Observed) -> Observed:
        """Observations of x as those of u, with H A in place of H."""

    @abstractmethod
    def draws(self, keys: "NoiseKeys") -> NoiseDraws:
        """The white noise of a batch of windows in u."""

    @abstractmethod
    def check(self, known: Bool[Tensor, "*batch row column"], grid: Sequence[int]) -> None:
        """Refuses fields that this noise cannot be added to.

        Arguments:
            known: Cells that exist and are known.
            grid: Rows and columns of the whole grid.

        Raises:
            ConfigurationError: gaps, land or a part of the grid, where the noise needs the whole.
        """

    def refuse(self, what: str) -> None:
        """Raises `ConfigurationError` where the noise has a colour, for what is right for white noise only."""
        if self.coloured:
            raise ConfigurationError(
                f"{what} knows white noise only, and diffusion.noise is {type(self).__name__}: expected {{class: White}}. Leave "
                "out one of both."
            )


@register("noise", "White")
class WhiteNoise(DiffusionNoise):
    """Every cell by itself: A = 1, on any grid, with land and gaps."""

    coloured = False

    def color(self, u: Tensor) -> Tensor:
        return u

    def whiten(self, x: Tensor) -> Tensor:
        return x

    def observed(self, observed: Observed) -> Observed:
        return observed

    def draws(self, keys: "NoiseKeys") -> "CellNoise":
        return CellNoise(keys.seed, keys.members, keys.stamps, keys.channels, keys.rows, keys.columns, keys.device)

    def check(self, known: Tensor, grid: Sequence[int]) -> None:
        return None


class CellNoise:
    """The noise of a batch of windows by cell; calling it with a draw number gives that draw.

    Arguments:
        seed: The user's seed.
        members: Member number of each sample in the batch.
        stamps: Time stamp of each sample: an integer or a date as text that names its time.
        channels: Names of the channels, so that a channel keeps its noise when others join.
        rows, columns: Global grid indices of the window.
        device: Where the tensors are wanted.
    """

    def __init__(
        self,
        seed: int,
        members: Sequence[int],
        stamps: Sequence[int | str],
        channels: Sequence[str],
        rows: np.ndarray,
        columns: np.ndarray,
        device: str | torch.device = "cpu",
    ) -> None:
        self.keys = [key_of(seed, member, stamp) for member, stamp in zip(members, stamps, strict=True)]
        self.channels = np.array([word_of(name) for name in channels], dtype=np.uint64)[:, None, None]
        self.rows = np.asarray(rows, dtype=np.uint64)[None, :, None]
        self.columns = np.asarray(columns, dtype=np.uint64)[None, None, :]
        self.device = device

    def __call__(self, draw: int) -> Tensor:
        """(batch, channel, lat, lon) standard normals, the same for the same `draw`."""
        fields = [
            standard_normal(philox((self.columns, self.rows, self.channels, np.uint64(draw)), key)) for key in self.keys
        ]
        return torch.from_numpy(np.stack(fields)).to(self.device)
