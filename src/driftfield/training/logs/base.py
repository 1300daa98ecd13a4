"""What a log is, and how those that a recipe names are opened."""

__all__ = ["TrainingLog", "check_logs", "open_logs"]

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from driftfield.errors import ConfigurationError, suggest
from driftfield.plain import Spec
from driftfield.registry import build, lookup, names


class TrainingLog(ABC):
    """Takes figures and pictures; a step is how many optimizer steps are done.

    Arguments:
        folder: The run folder.
        begun: The step that the training goes on from: what an interrupted one had written beyond it is dropped.
    """

    def __init__(self, folder: Path, begun: int) -> None:
        self.folder, self.begun = folder, begun

    @abstractmethod
    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Figures by name."""

    def picture(self, step: int, path: Path) -> None:  # noqa: B027
        """A PNG file; nothing, where a log holds numbers only."""

    def close(self) -> None:  # noqa: B027
        """Nothing is written after it."""


def check_logs(loggers: Sequence[str | Mapping[str, Any]]) -> None:
    """Whether a recipe's `loggers` can be opened.

    Raises:
        ConfigurationError: an unknown log or an option that it does not have.
    """
    known = names("logger")
    for logger in loggers:
        spec = _spec(logger)
        name = spec.get("class")
        if not isinstance(name, str) or name not in known:
            raise ConfigurationError(f"Unknown logger {name!r}: {suggest(str(name), known)}")
        options = list(inspect.signature(lookup("logger", name)).parameters)
        for option in spec:
            if option not in ("class", *options[2:]):
                raise ConfigurationError(
                    f"Unknown option {option!r} of the logger {name}: {suggest(option, options[2:] or ('none',))}"
                )


def open_logs(loggers: Sequence[str | Mapping[str, Any]], folder: Path, begun: int) -> list[TrainingLog]:
    """The logs that a recipe names, a word or class and options each."""
    return [build("logger", _spec(logger), folder=folder, begun=begun) for logger in loggers]


def _spec(logger: str | Spec) -> Spec:
    return {"class": logger} if isinstance(logger, str) else logger
