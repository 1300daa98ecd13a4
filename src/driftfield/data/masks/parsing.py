"""The words that a recipe and the command line have for patterns.

name[:share] | name:low-high | profiles:n=COUNT | from:FILE[:variable] | own[:LAG] | a+b
"""

__all__ = ["parse_pattern"]

from collections.abc import Callable

from driftfield.data.masks.borrowed import Borrowed, Own
from driftfield.data.masks.pattern import Everything, Nothing, Pattern, RandomCells, Share, Together, TopLevel
from driftfield.data.masks.profiles import Profiles
from driftfield.data.masks.shapes import Blocks, Clouds, Tracks
from driftfield.errors import ConfigurationError, suggest

_SHARED: dict[str, Callable[[Share], Pattern]] = {
    "random": RandomCells,
    "blocks": Blocks,
    "clouds": Clouds,
    "tracks": Tracks,
    "swaths": lambda hidden: Tracks(hidden, width=8),
    "profiles": Profiles,
    "columns": lambda hidden: Profiles(hidden, full=1.0),
}
_ALONE: dict[str, Callable[[], Pattern]] = {"all": Everything, "none": Nothing, "surface": TopLevel}


def parse_pattern(text: str) -> Pattern:
    """The pattern of a text: `clouds:0.8`, `profiles:0.9-0.99`, `profiles:n=40`, `from:FILE[:variable]`, `own`,
    `own:LAG`, `all`, `none`, `surface`, or several of them joined by +.

    Raises:
        ConfigurationError: an unknown name, or a share that is no number from 0 to 1.
    """
    if "+" in str(text) and not str(text).strip().startswith("from:"):
        return Together(tuple(parse_pattern(part) for part in str(text).split("+")))
    name, _, value = str(text).strip().partition(":")
    if name in _ALONE and not value:
        return _ALONE[name]()
    if name == "own":
        return Own(_lag(value, text) if value else None)
    if name == "from" and value:
        path, _, variable = value.rpartition(":") if "." not in value.rpartition(":")[2] else (value, "", "")
        return Borrowed(path or value, variable if path and variable else None)
    if name not in _SHARED:
        raise ConfigurationError(f"Unknown pattern {text!r}: {suggest(name, [*_SHARED, *_ALONE, 'from', 'own'])}")
    if name in ("profiles", "columns") and value.startswith("n="):
        low, high = _range(value[2:], text)
        if low < 1 or low != int(low) or high != int(high):
            raise ConfigurationError(
                f"Cannot draw {text!r}: expected a whole number of profiles, such as profiles:n=40."
            )
        return Profiles(count=(int(low), int(high)), full=0.8 if name == "profiles" else 1.0)
    low, high = _range(value, text)
    if high > 1.0:
        raise ConfigurationError(f"Cannot hide {text!r}: expected a share from 0 to 1, such as {name}:0.8.")
    return _SHARED[name](low if low == high else (low, high))


def _lag(value: str, text: str) -> int:
    """A number of times."""
    try:
        return int(value)
    except ValueError as error:
        raise ConfigurationError(f"Cannot read {text!r}: expected a whole number of times, such as own:5.") from error


def _range(value: str, text: str) -> tuple[float, float]:
    """ "0.9" -> (0.9, 0.9), "0.9-0.99" -> (0.9, 0.99)."""
    low, dash, high = value.partition("-")
    try:
        pair = float(low), float(high) if dash else float(low)
    except ValueError as error:
        raise ConfigurationError(f"Cannot read {text!r}: expected a number or a range, such as clouds:0.8.") from error
    if not 0.0 <= pair[0] <= pair[1]:
        raise ConfigurationError(f"Cannot read the range in {text!r}: expected low-high, such as clouds:0.6-0.9.")
    return pair
