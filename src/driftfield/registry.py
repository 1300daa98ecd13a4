"""The names that a recipe or a `run.json` may use, and where the members of a family are found.

The constructor is the configuration: `{class: KarrasSchedule, s_max: 80}` names a registered class and its arguments.
Only registered classes can be named, never an import path, and an argument that the constructor does not have is an
error that suggests the nearest one.

A member of a family is one file in the family's room. Nobody lists it: the first question for a kind imports every module of
its rooms (`ROOMS`), and each module registers what it holds. So do modules of other packages that are installed and have an entry
point in the group `driftfield`: whoever installs a package trusts it, whoever writes a recipe imports nothing.
"""

__all__ = [
    "ROOMS",
    "build",
    "discover",
    "lookup",
    "members",
    "names",
    "near_at_hand",
    "parameters_of",
    "register",
    "shown",
]

import inspect
import pkgutil
import re
import reprlib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from driftfield.errors import ConfigurationError, UserError, suggest

T = TypeVar("T")

ROOMS: dict[str, tuple[str, ...]] = {
    "augmentation": ("data",),
    "callback": ("training.callbacks",),
    "downscaler": ("peers.downscaling", "assimilation"),
    "dynamics": ("worlds",),
    "ema": ("training",),
    "emulator": ("trajectories",),
    "function": ("observations.functions",),
    "guidance": ("sampling.guidance",),
    "learning_rate": ("training",),
    "logger": ("training.logs",),
    "network": ("networks",),
    "noise": ("diffusion",),
    "noise_levels": ("diffusion",),
    "normalizer": ("data",),
    "observing": ("data",),
    "parameterization": ("diffusion",),
    "pattern": ("data.masks",),
    "point_reader": ("observations.readers",),
    "reconstructor": ("peers", "models", "trajectories", "assimilation.kalman"),
    "sampler": ("sampling",),
    "schedule": ("diffusion",),
    "score": ("evaluate.scores",),
    "split": ("data",),
    "trainer": ("training",),
    "weighting": ("diffusion",),
}
"""Where the members of a kind live: packages of `driftfield`, whose modules are imported when the kind is first asked for."""

SUCCESSORS = {("reconstructor", "ProbabilisticPCA"): "SpaceTimeOptimalInterpolation"}
"""What took the place of members that were removed."""

_KINDS: dict[str, dict[str, Any]] = {}
_DISCOVERED: set[str] = set()
_HERE = Path(__file__).parent
PLUGINS = "driftfield"
"""The group of entry points that name modules with members of others."""


def register(kind: str, name: str | None = None) -> Callable[[T], T]:
    """Decorator: makes a class or function known as a `kind` ("network", "schedule", ...).

    Arguments:
        kind: The family.
        name: Under which it is known; its own name by default.
    """

    def decorate(member: T) -> T:
        _KINDS.setdefault(kind, {})[name or member.__name__] = member  # type: ignore[attr-defined]
        return member

    return decorate


def discover(room: str) -> None:
    """Imports every module of a package, so that what they hold registers itself.

    Arguments:
        room: Dotted name of the package, `driftfield.peers` for example.
    """
    package = import_module(room)
    for module in pkgutil.iter_modules(package.__path__):
        if module.ispkg:
            discover(f"{room}.{module.name}")
        else:
            import_module(f"{room}.{module.name}")


def members(kind: str) -> dict[str, Any]:
    """All members of one kind by their names, in the order in which they were registered."""
    for room in ROOMS.get(kind, ()):
        if room not in _DISCOVERED:
            discover(f"driftfield.{room}")
            _DISCOVERED.add(room)
    if PLUGINS not in _DISCOVERED:
        _DISCOVERED.add(PLUGINS)
        _load_plugins()
    return dict(_KINDS.get(kind, {}))


def _load_plugins() -> None:
    """Imports what installed packages add.

    Raises:
        ConfigurationError: one that cannot be imported.
    """
    for point in entry_points(group=PLUGINS):
        try:
            point.load()
        except Exception as error:  # whatever a module of somebody else does wrong
            raise ConfigurationError(
                f"The entry point {point.name!r} ({point.value}) cannot be loaded: {error}. Mend or uninstall its package."
            ) from error


def names(kind: str) -> list[str]:
    """The registered names of one kind."""
    return sorted(members(kind))


def near_at_hand(kind: str, name: object) -> Any | None:
    """The member registered as `name`, if it is imported already, or is a class that the text of one module states.

    The other modules of the family, which may be many, are left alone. None says that only `members` can tell.
    """
    if not isinstance(name, str) or not name.isidentifier():
        return None
    if name not in _KINDS.get(kind, {}):
        stated = re.compile(rf"^class {name}\b", re.MULTILINE)
        for path in (
            path for room in ROOMS.get(kind, ()) for path in sorted(_HERE.joinpath(*room.split(".")).rglob("*.py"))
        ):
            if stated.search(path.read_text(encoding="utf-8")):
                import_module(".".join(("driftfield", *path.relative_to(_HERE).with_suffix("").parts)))
    return _KINDS.get(kind, {}).get(name)


def lookup(kind: str, name: str) -> Any:
    """The member registered as `name`.

    Raises:
        ConfigurationError: no such member of that kind.
    """
    if (member := near_at_hand(kind, name)) is not None:
        return member
    known = members(kind)
    if isinstance(name, str) and (kind, name) in SUCCESSORS:
        raise ConfigurationError(
            f"{name} is no longer part of driftfield: use {SUCCESSORS[kind, name]} in its place, and fit it again."
        )
    if not isinstance(name, str) or name not in known:
        raise ConfigurationError(f"Unknown {kind} {name!r}: {suggest(str(name), sorted(known))}")
    return known[name]


def parameters_of(cls: Any) -> dict[str, inspect.Parameter]:
    """The constructor's parameters by name; where it ends in `**shared`, those of the class above that it hands on, too."""
    parameters = dict(inspect.signature(cls).parameters)
    if parameters.pop("shared", None) is None:
        return parameters
    above = [owner for owner in cls.__mro__ if "__init__" in vars(owner)][1]
    return parameters_of(above) | parameters


def shown(member: object, arguments: Mapping[str, Any], state: str) -> str:
    """`Class(argument=value): state` with the arguments that differ from their defaults, each cut to a readable length."""
    defaults = {name: parameter.default for name, parameter in parameters_of(type(member)).items()}
    said = [
        f"{name}={reprlib.repr(value)}"
        for name, value in arguments.items()
        if value != (list(default) if isinstance(default := defaults.get(name), tuple) else default)
    ]
    return f"{type(member).__name__}({', '.join(said)}): {state}"


def build(kind: str, spec: Mapping[str, Any], **handed_over: Any) -> Any:
    """Builds `{class: Name, argument: value, ...}`; `handed_over` are objects that the program itself hands over.

    Raises:
        ConfigurationError: unknown class, unknown or missing argument, or a value that the constructor refuses.
    """
    if not isinstance(spec, Mapping) or "class" not in spec:
        raise ConfigurationError(f"Expected a mapping with the key 'class' to name a {kind}, found {spec!r}.")
    cls = lookup(kind, spec["class"])
    arguments = {key: value for key, value in spec.items() if key != "class"}
    parameters = parameters_of(cls)
    for key in arguments:
        if key not in parameters or key in handed_over:
            allowed = [name for name in parameters if name not in handed_over]
            raise ConfigurationError(f"{cls.__name__} has no argument {key!r}: {suggest(key, allowed)}")
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and name not in arguments
        and name not in handed_over
    ]
    if missing:
        raise ConfigurationError(f"{cls.__name__} needs the argument(s) {missing}. Add them to the recipe.")
    try:
        return cls(**arguments, **handed_over)
    except (TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise ConfigurationError(f"{cls.__name__} refused its arguments {arguments}: {error}") from error
