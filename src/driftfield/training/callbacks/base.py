"""What a callback is, and how those that a recipe names are made."""

__all__ = ["TrainingCallback", "make_callbacks"]

from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from driftfield.errors import ConfigurationError
from driftfield.plain import Spec
from driftfield.registry import build


class TrainingCallback(ABC):  # noqa: B024  what is not asked for does nothing
    """Is called while a network trains; it may end the training, which can be resumed, and shall not change the model.

    Whatever a method draws from torch's global generator changes no training: each step sets its own.
    """

    def begin(self, step: int) -> None:  # noqa: B027
        """Before the first step; `step` are done already, where a training is resumed."""

    def after_step(self, step: int, loss: float) -> bool:
        """After an optimizer step, the averages of the weights being brought up to date; true ends the training.

        Arguments:
            step: Steps that are done.
            loss: Of this one.
        """
        return False

    def after_validation(self, step: int, figures: Mapping[str, float], model: nn.Module, folder: Path) -> bool:
        """After a validation; true ends the training.

        Arguments:
            step: Steps that are done.
            figures: As they are logged: validation_loss and others.
            model: With the averaged weights in place, in evaluation mode.
            folder: Of the run.
        """
        return False


def make_callbacks(named: Sequence[str | Spec | TrainingCallback]) -> list[TrainingCallback]:
    """Callbacks of a recipe (a word, or class and arguments), or objects as they are.

    Raises:
        ConfigurationError: no list, an unknown name, or an argument that it does not have.
    """
    if isinstance(named, str | Mapping) or not isinstance(named, Sequence):
        raise ConfigurationError(
            f"Found callbacks={named!r}: expected a list such as [{{class: TimeLimit, hours: 10}}]."
        )
    return [
        one if isinstance(one, TrainingCallback) else build("callback", {"class": one} if isinstance(one, str) else one)
        for one in named
    ]
