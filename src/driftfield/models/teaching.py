"""Who teaches a network: the trainer that is handed over from above, and what it is asked for.

Trained.fit(data, trainer, folder) --Teaching--> learn --samples, validation--> Trainer.fit(model)
"""

__all__ = ["Fitting", "Preview", "SamplesFrom", "Teaching", "Trainer", "remaining"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Required, TypedDict, TypeVar, Unpack

from torch import nn

from driftfield.fields import FieldBatch

if TYPE_CHECKING:
    import torch

SamplesFrom = Callable[[int], "torch.utils.data.Dataset[FieldBatch]"]
"""From the index of its first sample, a data set of what is left to do."""

Preview = Callable[[Path, str], None]
"""Writes a picture with a title to a path."""


class Fitting(TypedDict, total=False):
    """How a training goes; `driftfield.training.LightningTrainer.fit` says what each means."""

    folder: Required[Path]
    seed: Required[int]
    resume: bool
    wrap: bool
    diagnose: Callable[[], dict[str, float]] | None
    preview: Preview | None


class Trainer(Protocol):
    """What fits the weights; `driftfield.training` has the real one and hands it over from above."""

    steps: int
    batch_size: int
    preview_depth: float | None
    """Metres: the level of pictures; the first one for None."""
    made_of: dict[str, str]
    """What a resumed training must have in common with its beginning; the caller says so."""
    run: Path | None
    """The folder of the run that a recipe is fitted to; the caller says so."""

    @property
    def helps(self) -> bool:
        """Whether this is one of several processes, and not the first: it trains, and writes nothing."""
        ...

    def starting_from(self, run: Path) -> "Trainer":
        """The same trainer, whose training starts with the weights of a run."""
        ...

    def fit(
        self,
        model: nn.Module,
        samples: SamplesFrom,
        validation: Sequence[FieldBatch],
        **how: Unpack[Fitting],
    ) -> list[dict[str, float]]:
        """Trains `model` in place."""
        ...


@dataclass(frozen=True)
class Teaching:
    """Who fits the weights, where, and from which seed.

    Arguments:
        trainer: Fits the weights.
        folder: Where checkpoints and logs go.
        seed: Of weights, samples and noise.
        resume: Go on from the last checkpoint in `folder`.
    """

    trainer: Trainer
    folder: Path
    seed: int = 0
    resume: bool = False

    @property
    def samples(self) -> int:
        """How many are seen, one after the other."""
        return self.trainer.steps * self.trainer.batch_size


class Resumable(Protocol):
    """Samples of which the first few may be done already."""

    start: int


Samples = TypeVar("Samples", bound=Resumable)


def remaining(samples: Samples) -> Callable[[int], Samples]:
    """From the index of its first sample, what is left of a data set."""

    def rest(start: int) -> Samples:
        samples.start = start
        return samples

    return rest
