"""The names that a recipe or a `run.json` may use.

The constructor is the configuration: `{class: EDMSchedule, sigma_max: 80}` names a registered class and its arguments.
Only registered classes can be named, never an import path, and an argument that the constructor does not have is an
error that suggests the nearest one.
"""

__all__ = ["build", "lookup", "names", "register"]

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from driftfield.errors import ConfigurationError, UserError, suggest

T = TypeVar("T")
_KINDS: dict[str, dict[str, Any]] = {}


def register(kind: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: makes the class known under its own name as a `kind` ("network", "schedule", ...)."""

    def decorate(cls: type[T]) -> type[T]:
        _KINDS.setdefault(kind, {})[cls.__name__] = cls
        return cls

    return decorate


def names(kind: str) -> list[str]:
    """The registered class names of one kind."""
    return sorted(_KINDS.get(kind, {}))


def lookup(kind: str, name: str) -> Any:
    """The class registered as `name`.

    Raises:
        ConfigurationError: no such class of that kind.
    """
    if not isinstance(name, str) or name not in _KINDS.get(kind, {}):
        raise ConfigurationError(f"Unknown {kind} {name!r}: {suggest(str(name), names(kind))}")
    return _KINDS[kind][name]


def build(kind: str, spec: Mapping[str, Any], **given: Any) -> Any:
    """Builds `{class: Name, argument: value, ...}`; `given` are objects that the program itself hands over.

    Raises:
        ConfigurationError: unknown class, unknown or missing argument, or a value that the constructor refuses.
    """
    if not isinstance(spec, Mapping) or "class" not in spec:
        raise ConfigurationError(f"Expected a mapping with the key 'class' to name a {kind}, found {spec!r}.")
    cls = lookup(kind, spec["class"])
    arguments = {key: value for key, value in spec.items() if key != "class"}
    parameters = inspect.signature(cls).parameters
    for key in arguments:
        if key not in parameters or key in given:
            allowed = [name for name in parameters if name not in given]
            raise ConfigurationError(f"{cls.__name__} has no argument {key!r}: {suggest(key, allowed)}")
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and name not in arguments
        and name not in given
    ]
    if missing:
        raise ConfigurationError(f"{cls.__name__} needs the argument(s) {missing}. Add them to the recipe.")
    try:
        return cls(**arguments, **given)
    except (TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise ConfigurationError(f"{cls.__name__} refused its arguments {arguments}: {error}") from error
