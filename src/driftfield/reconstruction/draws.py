"""What is asked of a method that draws, one object from the command to the sampler.

    --members, --seed, --batch-size --> Draws --complete--> each date: DatedWindow, Draws --draw--> noise of (seed, member, date)

Member m is a function of (run, observations, seed, m, date): everything else in `Draws` says how it is made, and not what it is.
"""

__all__ = [
    "DatedWindow",
    "Drawer",
    "Draws",
    "Estimator",
    "Guide",
    "Keeper",
    "NetworkEstimate",
    "TakesDraws",
    "members_at_once",
    "part_of",
]

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from driftfield.data.codec import FieldCodec
from driftfield.diffusion.noise import DiffusionNoise, NoiseDraws, NoiseKeys, WhiteNoise
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.interfaces import Denoiser, Reconstructor
from driftfield.sampling.base import Watcher
from driftfield.sampling.tiles import TilesAsked

Guide = Callable[[Denoiser, FieldBatch, Tensor], tuple[Denoiser, Tensor]]
"""(denoiser of some members, their batch of one sample, the noise that starts them) -> the denoiser that knows more
observations, and the clean field where the walk starts; see `assimilation.analysis`."""


Drawer = Callable[[Callable[[int], Denoiser], FieldBatch, "DatedWindow"], "NetworkEstimate"]
"""(the denoiser of so many fields, the batch of one sample, its window) -> members, mean and spread, where members do not walk by
themselves; see `assimilation.particle_members`."""


class Keeper(Protocol):
    """Remembers batches of members of one date, so that a reconstruction that was killed need not draw them again."""

    def recall(self, members: Sequence[int]) -> Tensor | None:
        """What was drawn for exactly these members, (member, channel, lat, lon) in network units; None if nothing was."""
        ...

    def keep(self, members: Sequence[int], fields: Tensor) -> None:
        """Remembers them."""
        ...

    def part(self, name: str) -> "Keeper":
        """One for members that are others, though they have the same numbers: of another date, for example."""
        ...


CELLS_AT_ONCE = 2**20
"""Of all members that a network sees together: the features of a million cells are some hundred MB for each 64 channels."""


def members_at_once(cells: int, tiles: TilesAsked | None = None) -> int:
    """How many members of a grid a network is shown at a time, where nobody says so: 16, or fewer on a large one.

    Arguments:
        cells: Of the grid.
        tiles: That divide it: what the network sees is one of them, but the noisy fields are there as a whole.
    """
    if tiles is None:
        return max(1, min(16, CELLS_AT_ONCE // cells))
    return max(1, min(16, CELLS_AT_ONCE // tiles.size**2, 4 * CELLS_AT_ONCE // cells))


def part_of(keeper: Keeper | None, name: str) -> Keeper | None:
    """The keeper of a part; none where there is none."""
    return None if keeper is None else keeper.part(name)


@dataclass(frozen=True)
class Draws:
    """Which members are drawn, and what happens on the way.

    Arguments:
        members: Size of the ensemble.
        seed: Of the members.
        times: Indices of the dates to complete, all of them if None; the others are context.
        batch_size: Members (of a course: windows) that the network sees at a time, as the method likes it if None.
        watcher: Is shown every clean estimate of a walk.
        keeper: Is asked before each batch of members, and told what it is.
        guide: Adds observations that are no condition of the network.
        drawer: Does so another way than by a walk of each member.
        tiles: Divides the grid, so that the network sees a part of it at a time.

    Raises:
        ConfigurationError: fewer than one member.
    """

    members: int
    seed: int = 0
    times: Sequence[int] | None = None
    batch_size: int | None = None
    watcher: Watcher | None = None
    keeper: Keeper | None = None
    guide: Guide | None = None
    drawer: Drawer | None = None
    tiles: TilesAsked | None = None

    def __post_init__(self) -> None:
        if self.members < 1:
            raise ConfigurationError(f"Found members={self.members}: expected 1 or more.")

    def batches(self, usual: int) -> Iterator[range]:
        """The numbers of the members, `batch_size` at a time, or as many as usual."""
        size = self.batch_size or usual
        return (range(first, min(first + size, self.members)) for first in range(0, self.members, size))

    def refuse(self, method: object, *names: str) -> None:
        """Raises `ConfigurationError` where something was asked for that a method does not do."""
        for name in names:
            if vars(self)[name] is not None:
                raise ConfigurationError(f"{type(method).__name__} takes no {name}: leave it out.")


@dataclass(frozen=True)
class DatedWindow:
    """Which date, and which cells of the grid of a run: what the noise of a member depends on besides its number.

    Arguments:
        stamp: The date as text, or another name of a stream of random numbers.
        rows, columns: Indices on the grid of the run.
    """

    stamp: str
    rows: np.ndarray
    columns: np.ndarray

    def wraps(self, codec: FieldCodec) -> bool:
        """Whether it goes round the globe."""
        return codec.grid.periodic and len(self.columns) == codec.grid.lon.size

    def noise(
        self,
        names: Sequence[str],
        seed: int,
        members: Sequence[int],
        device: str | torch.device = "cpu",
        *,
        of: DiffusionNoise | None = None,
    ) -> NoiseDraws:
        """The noise of some members in these cells, a stream for the name of every channel; white, unless it is `of` a model."""
        noise = WhiteNoise() if of is None else of
        return noise.draws(
            NoiseKeys(seed, members, [self.stamp] * len(members), names, self.rows, self.columns, device)
        )


@dataclass(frozen=True)
class NetworkEstimate:
    """What a network says of one date, in network units.

    Arguments:
        members: (member, channel, lat, lon).
        mean, sd: (channel, lat, lon), None where they are those of the members.
    """

    members: Tensor
    mean: Tensor | None = None
    sd: Tensor | None = None


Estimator = Callable[[FieldBatch, DatedWindow], NetworkEstimate]
"""A network as it is asked for one sample."""


class TakesDraws(Reconstructor, Protocol):
    """Who says `abilities.takes_draws`."""

    def complete(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        """As `reconstruct`, with all that can be asked.

        Arguments:
            observations: An observation file, opened.
            draws: What is asked.

        Raises:
            ConfigurationError: something that the method does not do.
        """
        ...
