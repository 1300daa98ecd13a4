"""What a kind of run does with the observations that guide it.

rows of a table, dates  --Drawing-->  members of all dates, and what these say of any other rows
"""

__all__ = ["BATCH_SIZE", "Drawing", "Drawn", "frozen"]

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import xarray as xr
from torch import nn

from driftfield.assimilation.observation_errors import ObservationErrors
from driftfield.data.codec import FieldCodec
from driftfield.observations.derived import Place
from driftfield.observations.table import ObservationTable
from driftfield.reconstruction.draws import Draws
from driftfield.sampling.base import Sampler
from driftfield.sampling.guidance.methods import GuidanceMethod

BATCH_SIZE = 16
"""Members at a time, unless another number is asked for."""


@dataclass(frozen=True)
class Drawn:
    """Members, and how they came about.

    Arguments:
        fields: A reconstruction data set.
        guided: How many rows constrained the fields of some date.
        far: How many were too far from all dates.
        predicted: (rows) -> those of them that belong to a date, and what the members say of these (member, n).
    """

    fields: xr.Dataset
    guided: int
    far: int
    predicted: Callable[[ObservationTable], tuple[ObservationTable, np.ndarray]]


class Drawing(ABC):
    """A run with a guidance method.

    Arguments:
        codec: Of the run.
        guidance: How observations enter.
        sampler: Of the run; the method may have its own.
        errors: What is assumed of the observations' errors.
        place: Makes the weights of H.
    """

    extra_calls: int
    """Evaluations of the unguided network beside those of a walk."""

    def __init__(
        self, codec: FieldCodec, guidance: GuidanceMethod, sampler: Sampler, errors: ObservationErrors, place: Place
    ) -> None:
        self.codec, self.guidance, self.errors, self.place = codec, guidance, errors, place
        self.sampler = guidance.sampler(sampler)

    @property
    def evaluations(self) -> tuple[int, int]:
        """Of one member: calls of the network, and products with its Jacobian, each of which costs two."""
        guided = self.sampler.evaluations + self.guidance.starts_at_posterior
        return guided + self.extra_calls, guided * self.guidance.products

    @abstractmethod
    def dates(self, dated: np.ndarray) -> np.ndarray:
        """Which dates to analyse of observations at these times, datetime64 (time,)."""

    @abstractmethod
    def draw(self, guides: ObservationTable, condition: xr.Dataset, *, gridded: bool, draws: Draws) -> Drawn:
        """Draws members.

        Arguments:
            guides: Rows that passed all checks but those of their dates.
            condition: What the network is shown; its dates and cells are those of the analyses.
            gridded: The rows come from a gridded file: they have its dates already, in its calendar.
            draws: Which members; `batch_size` counts members.
        """

    def cells(self, condition: xr.Dataset | None) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the run's grid."""
        grid = self.codec.grid
        if condition is None:
            return np.arange(grid.lat.size), np.arange(grid.lon.size)
        return grid.cells(condition)


@contextmanager
def frozen(model: nn.Module | None) -> Iterator[None]:
    """Weights that keep no graph: only the derivative by the noisy field is asked for."""
    wanted = [] if model is None else [weight for weight in model.parameters() if weight.requires_grad]
    for weight in wanted:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in wanted:
            weight.requires_grad_(True)
