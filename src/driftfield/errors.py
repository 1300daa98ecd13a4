"""What a user can have done wrong.

Every message says three things: what was found, what is allowed, what to do next. The command line turns a `UserError`
into one readable line and exit code 2; anything else is our own mistake and ends with exit code 1.
"""

__all__ = [
    "ConfigurationError",
    "DataError",
    "DivergenceError",
    "ExistsError",
    "FileFormatError",
    "MissingExtraError",
    "OverlapError",
    "UserError",
    "above_zero",
    "need",
    "once_fitted",
    "suggest",
    "visible",
    "whole_number",
]

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """Base of everything that a user can mend."""


class ConfigurationError(UserError):
    """A recipe, an option or an argument does not name something that exists."""


class DataError(UserError):
    """A data set lacks a variable, an axis, a unit, or holds impossible values."""


class FileFormatError(UserError):
    """A file cannot be read as what it should be."""


class ExistsError(UserError):
    """The output is already there and may not be overwritten."""


class OverlapError(UserError):
    """Training, validation and test data share windows or times."""


class DivergenceError(UserError):
    """Sampling or training left the range of finite numbers."""


class MissingExtraError(UserError, ImportError):
    """An optional library is not installed."""


def need(library: str, extra: str, purpose: str) -> ModuleType:
    """An optional library, imported now.

    Arguments:
        library: Name of the module.
        extra: Extra of this package that installs it.
        purpose: What it is needed for, as the beginning of a sentence.

    Raises:
        MissingExtraError: it is not installed; says how to install it.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs {library}. Install it with: pip install 'driftfield[{extra}]'."
        ) from error


def once_fitted(method: object, learnt: T | None) -> T:
    """What a method has learnt.

    Raises:
        ConfigurationError: nothing yet.
    """
    if learnt is None:
        raise ConfigurationError(f"{type(method).__name__} is not fitted yet. Call fit, or load a run.")
    return learnt


def above_zero(name: str, value: object, expected: str) -> float:
    """A constant that has to be a finite number above 0.

    Raises:
        ConfigurationError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ConfigurationError(f"Found {name}={value!r}: expected {expected}.")
    return float(value)


def visible(text: str) -> str:
    """The text without characters that command a terminal or turn the direction of reading: they are written as escapes.

    >>> visible("sst\\u202e)(")
    'sst\\\\u202e)('
    """
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        c
        if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else c.encode("unicode_escape").decode()
        for c in text
    )


def suggest(found: str, allowed: Iterable[str]) -> str:
    """Says what is allowed, and which of it the user probably meant.

    >>> suggest("lng", ["lat", "lon"])
    "expected one of ('lat', 'lon'). Did you mean 'lon'?"
    """
    names = sorted(map(str, allowed))
    text = f"expected one of ({', '.join(map(repr, names))})" if names else "nothing is allowed here"
    near = get_close_matches(found, names, n=1, cutoff=0.5)
    return f"{text}. Did you mean {near[0]!r}?" if near else f"{text}."


def whole_number(name: str, value: object, least: int = 1) -> int:
    """The value, if it is a whole number of at least `least` and no bool.

    Raises:
        ConfigurationError: it is not.
    """
    if type(value) is not int or value < least:
        raise ConfigurationError(f"Found {name}={value!r}: expected a whole number, {least} or more.")
    return value
