"""The words that a recipe and the command line have for patterns.

name[:share][,argument=number ...] | name:low-high | profiles:n=COUNT | from:FILE[:variable] | own[:LAG] | a+b
"""

__all__ = ["parse_pattern"]

from driftfield.data.masks.pattern import Pattern, Together
from driftfield.errors import ConfigurationError, suggest
from driftfield.registry import members


def parse_pattern(text: str) -> Pattern:
    """The pattern of a text: `clouds:0.8`, `clouds:0.8,scale=4`, `profiles:0.9-0.99`, `profiles:n=40`, `all`, `none`, `surface`,
    `from:FILE[:variable]`, `own`, `own:LAG`, or several joined by +. Each word is registered beside its pattern.

    Raises:
        ConfigurationError: an unknown name, or a share that is no number from 0 to 1.
    """
    if "+" in str(text) and not str(text).strip().startswith("from:"):
        return Together(tuple(parse_pattern(part) for part in str(text).split("+")))
    name, _, value = str(text).strip().partition(":")
    words = members("pattern")
    if name not in words:
        raise ConfigurationError(f"Unknown pattern {text!r}: {suggest(name, words)}")
    pattern: Pattern = words[name](value)
    return pattern
