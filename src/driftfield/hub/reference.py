"""hub:REPO[@REVISION]: a repository of the service, and a branch, a tag or a commit of it."""

__all__ = ["PREFIX", "HubReference"]

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from driftfield.errors import ConfigurationError

PREFIX = "hub:"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_WHOLE = re.compile(rf"({_NAME}(?:/{_NAME})?)(?:@([A-Za-z0-9][A-Za-z0-9._/+-]*))?")


@dataclass(frozen=True)
class HubReference:
    """Where a run is.

    Arguments:
        repo: OWNER/NAME.
        revision: Branch, tag or commit; the main branch if not given.
    """

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str | Path) -> Self:
        """Of `hub:REPO`, `hub:REPO@REVISION`, or either without `hub:`.

        Raises:
            ConfigurationError: it is no such name.
        """
        # a path of another system may have turned the slash round
        match = _WHOLE.fullmatch(str(text).replace("\\", "/").removeprefix(PREFIX))
        if match is None or ".." in match[1] or "--" in match[1] or ".." in (match[2] or ""):
            raise ConfigurationError(
                f"Found {text}: expected hub:OWNER/NAME or hub:OWNER/NAME@REVISION, such as hub:sea-lab/sst-atlantic@v1."
            )
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")
