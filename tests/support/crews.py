"""Workers of a test, in its own process."""

__all__ = ["Backwards"]

from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Backwards:
    """A crew of one that does its tasks last first, all of them twice."""

    size = 1

    def __init__(self) -> None:
        self.count = 0

    def check(self, folder: Path) -> None:
        """As workers do that see the folder."""
        assert folder.is_dir()

    def done(self, tasks: list[Any]) -> Iterator[tuple[Any, Any]]:
        """Every task with its result."""
        for task in reversed(tasks):
            task.do(*task.arguments)
            self.count += 1
            yield task, task.do(*task.arguments)
