"""Which quality a user accepts, where the usual is not wanted (`gridded.flags`).

    quality_level   the least level that is accepted: 0 to 5 of GHRSST; usual is 2
    reject          meanings that reject beside the usual ones: ice, rain, sun_glint ...

What is asked for and no flag of the file can say is refused by name.
"""

__all__ = ["USUAL", "Acceptance"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftfield.errors import ConfigurationError, suggest

LEVELS = "quality_level"
"""How the name of a flag ends whose values are levels, the best the highest."""


@dataclass(frozen=True)
class Acceptance:
    """What is accepted.

    Arguments:
        quality_level: The least level; None for the usual: what the meanings say, or 2.
        reject: Meanings that reject beside the usual ones, as `flag_meanings` spell them.

    Raises:
        ConfigurationError: a level that is none, or an empty word.
    """

    quality_level: int | None = None
    reject: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        level = self.quality_level
        if level is not None and (type(level) is not int or not 0 <= level <= 255):
            raise ConfigurationError(
                f"Found quality_level {level!r}: expected the least level that is accepted, a whole number such as 4 "
                "(GHRSST has 0 to 5)."
            )
        if not all(isinstance(word, str) and word.strip() for word in self.reject):
            raise ConfigurationError(
                f"Found reject_flags {list(self.reject)!r}: expected words of flag_meanings, such as [ice, sun_glint]."
            )

    @classmethod
    def of(cls, quality_level: Any, reject: Any) -> "Acceptance":
        """From an option or a recipe, whatever was written there: words as a list, or parted by commas."""
        words = reject.split(",") if isinstance(reject, str) else reject or ()
        words = tuple(words) if isinstance(words, list | tuple) else (words,)
        return cls(quality_level, tuple(w.strip() if isinstance(w, str) else w for w in words))

    def rejects(self, meaning: str) -> bool:
        """Whether a meaning was named, in any case of letters."""
        return meaning.lower() in {word.lower() for word in self.reject}

    def check(self, meanings: Mapping[str, Sequence[str]], source: str) -> None:
        """Refuses what no flag can say.

        Arguments:
            meanings: Of the flags of all files, by name.
            source: What messages call the files.

        Raises:
            ConfigurationError: no flag has levels, or a word that none of them knows.
        """
        flags = f"its flags are {', '.join(sorted(meanings))}" if meanings else "it has no flags"
        if self.quality_level is not None and not any(name.lower().endswith(LEVELS) for name in meanings):
            raise ConfigurationError(
                f"quality_level {self.quality_level} is asked for, and {source} has no variable quality_level: {flags}. "
                "Leave it out, or name what rejects (--reject-flags, data.reject_flags)."
            )
        known = {word.lower(): word for words in meanings.values() for word in words}
        for word in self.reject:
            if word.lower() not in known:
                raise ConfigurationError(
                    f"reject_flags names {word!r}, which no flag of {source} means ({flags}): {suggest(word, known.values())}"
                )


USUAL = Acceptance()
