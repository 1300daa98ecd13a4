"""The methods that `fill` tries, and which records they fit.

    always                   box mean, climatology, nearest, linear, cubic; kriging learnt from the record itself
    components of a vector   kriging of both together
    12 dates                 regression on season and position, with a trend
    24 dates, half complete  optimal interpolation with the covariance of past fields
    8 dates                  DINEOF
    up to 300,000 cells      the network that comes with the package, `shipped:anyfield`
    4 to 60 dates            space-time interpolation, tuned on the record's own gaps, where no past fields are whole

A method is a registered reconstructor with arguments, so that each can be named in a recipe and fitted by hand.
"""

__all__ = ["ANY_FIELD", "MEANS", "REFERENCES", "Knowledge", "Method", "methods_for", "named", "said_of_knowledge"]

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from driftfield.errors import ConfigurationError, suggest
from driftfield.filling.record import Record
from driftfield.interfaces import Reconstructor
from driftfield.peers.inverse_distance import InverseDistance
from driftfield.peers.kriging import Kriging
from driftfield.peers.optimal_interpolation import OptimalInterpolation
from driftfield.peers.season_and_position import SeasonAndPosition
from driftfield.peers.space_time import SpaceTimeOptimalInterpolation
from driftfield.peers.vector_kriging import VectorKriging
from driftfield.plain import JSONObject, Spec
from driftfield.registry import build, names
from driftfield.runs import find_run, load_reconstructor

REFERENCES = ("climatology", "box mean")
"""Methods that the table always shows, and that the best one is held against."""


MEANS = (*REFERENCES, "regression")
"""Methods that look at no observation of a date, so that they are no part of a blend."""


@dataclass(frozen=True)
class Knowledge:
    """What the user knows of the field.

    Arguments:
        length_km: Distance at which the correlation is 1 / e.
        days: Time after which it is.
        noise: Standard deviation of the observation error, units of the variable.
    """

    length_km: float | None = None
    days: float | None = None
    noise: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.arguments.items():
            if not 0 < value < np.inf:
                option = name.replace("_", "-")
                raise ConfigurationError(
                    f"Found --{option} {value:g}: expected a positive number. Correct it, or leave it out."
                )

    @property
    def arguments(self) -> dict[str, float]:
        """Those that are known."""
        named = {"length_km": self.length_km, "days": self.days, "noise": self.noise}
        return {key: value for key, value in named.items() if value is not None}

    @property
    def options(self) -> str:
        """Those that are known, as the command calls them."""
        return ", ".join(f"--{name.replace('_', '-')}" for name in self.arguments)


@dataclass(frozen=True)
class Method:
    """One method.

    Arguments:
        label: In the table.
        spec: Class and arguments, as in a recipe.
        validation: Dates at the end that it needs for validation.
        shipped: Name of a run that comes with the package, in place of a class: nothing is fitted.
    """

    label: str
    spec: Spec = field(default_factory=dict)
    validation: int = 0
    shipped: str = ""

    @property
    def takes_knowledge(self) -> bool:
        """Whether what is stated of the covariance is used."""
        return self.spec.get("class") in (Kriging.__name__, VectorKriging.__name__)

    @property
    def vector(self) -> bool:
        """Whether it looks at both components of a vector."""
        return self.spec.get("class") == VectorKriging.__name__

    def build(self) -> Reconstructor:
        """Not fitted yet, but for a run that comes with the package."""
        if self.shipped:
            return load_reconstructor(find_run(f"shipped:{self.shipped}"))
        made: Reconstructor = build("reconstructor", self.spec)
        return made

    def fitted_to(self, record: Record, *, seed: int, before: Reconstructor | None = None) -> Reconstructor:
        """Fitted to a record, where there is anything to fit.

        Arguments:
            record: What was seen.
            seed: Of the fit.
            before: The method fitted to nearly the same record; constants that are searched for are sought near its own.
        """
        made = self.build()
        if isinstance(made, Kriging) and isinstance(before, type(made)):
            made.start = before.constants
        if not self.shipped:
            made.fit(record.training(validation=self.validation, vector=self.vector), seed=seed)
        return made


_SIMPLE = (
    Method("climatology", {"class": "Climatology"}),
    Method("box mean", {"class": "BoxMean"}),
    Method("nearest", {"class": "Nearest"}),
    Method("linear", {"class": "LinearInterpolation"}),
    Method("cubic", {"class": "Cubic"}),
)


ANY_FIELD = Method("any field", shipped="anyfield")
"""The network that comes with the package: it looks at the observations of a date alone, and is fitted to nothing."""

_SEASON = 12
"""Dates from which a regression on season, position and trend is tried."""

_FEW_CELLS = 300_000
"""Cells of all dates up to which the network is tried: it takes seconds for every date and draw of blocks."""


def methods_for(record: Record, knowledge: Knowledge) -> list[Method]:
    """The methods that fit a record, the cheap ones first."""
    methods = list(_SIMPLE)
    if record.field.sizes["time"] >= _SEASON:
        methods.append(Method("regression", {"class": SeasonAndPosition.__name__}))
    if _past_fields(record):
        # tuned for the gaps of the file: as wide, and as much of it
        pattern = f"clouds:{min(0.95, max(0.3, _typical_share(record))):.2f}"
        spec = {"class": OptimalInterpolation.__name__, "patterns": [pattern]}
        methods.append(Method("optimal interpolation", spec, validation=max(1, record.field.sizes["time"] // 6)))
    if 8 <= record.field.sizes["time"] <= 400 and record.domain.size * record.field.sizes["time"] <= 3e7:
        methods.append(Method("dineof", {"class": "DINEOF"}))
    if record.domain.size * record.field.sizes["time"] <= _FEW_CELLS and not knowledge.arguments:
        methods.append(ANY_FIELD)
    methods.append(Method("kriging", {"class": "Kriging", **knowledge.arguments}))
    if record.partner is not None:
        methods.append(Method("vector kriging", {"class": VectorKriging.__name__, **knowledge.arguments}))
    if _few_dates(record) and not knowledge.arguments:
        methods.append(Method("space-time interpolation", {"class": SpaceTimeOptimalInterpolation.__name__}))
    return methods


def said_of_knowledge(record: Record, knowledge: Knowledge, filling: Sequence[Method]) -> tuple[str, ...]:
    """What a user who states constants should know: who was not tried because of them, and who does not use them.

    Arguments:
        record: What was filled.
        knowledge: What was stated.
        filling: The methods that fill the record.
    """
    if not knowledge.arguments:
        return ()
    tried = {method.label for method in methods_for(record, knowledge)}
    missing = [method.label for method in methods_for(record, Knowledge()) if method.label not in tried]
    lines = []
    if missing:
        lines.append(f"not tried, since kriging alone takes {knowledge.options}: {', '.join(missing)}")
    if not any(method.takes_knowledge for method in filling):
        lines.append(
            f"{knowledge.options} is not used: {' and '.join(m.label for m in filling)} takes none; --method kriging does"
        )
    return tuple(lines)


def named(name: str, record: Record, knowledge: Knowledge) -> Method:
    """The method that a user names: a label of the table, or a registered class.

    Raises:
        ConfigurationError: no such method, or one that does not use what was stated.
    """
    method = _named(name, record, knowledge)
    if knowledge.arguments and not method.takes_knowledge:
        raise ConfigurationError(
            f"Found {knowledge.options} with --method {name}, which takes nothing of the kind: expected --method kriging. "
            "Name that, or leave the option out (errors may stand in the file, as VARIABLE_error)."
        )
    return method


def _named(name: str, record: Record, knowledge: Knowledge) -> Method:
    known = {method.label: method for method in methods_for(record, knowledge)}
    label = name.replace("_", " ")
    if label in known:
        return known[label]
    if label == ANY_FIELD.label or name == f"shipped:{ANY_FIELD.shipped}":
        return ANY_FIELD
    if record.partner is None and label.replace(" ", "").lower() == VectorKriging.__name__.lower():
        raise ConfigurationError(
            f"{name} needs both components of a vector: {record.source} has no partner of {record.name} that is known by its "
            "name. Name both: --variable EASTWARD,NORTHWARD."
        )
    if name in names("reconstructor"):
        spec: JSONObject = {"class": name}
        if name in ("Kriging", VectorKriging.__name__):
            spec |= knowledge.arguments
        if name in (OptimalInterpolation.__name__, InverseDistance.__name__):
            return Method(name, spec, validation=max(1, record.field.sizes["time"] // 6))
        return Method(name, spec)
    raise ConfigurationError(f"Unknown method {name!r}: {suggest(name, [*known, *names('reconstructor')])}")


def _past_fields(record: Record) -> bool:
    """Whether there are whole fields enough to learn a covariance from."""
    share = record.seen.reshape(len(record.seen), -1).sum(axis=1) / max(int(record.domain.sum()), 1)
    cells = int(record.domain.size)
    return bool((share > 0.7).sum() >= 24) and cells <= 60_000


def _few_dates(record: Record) -> bool:
    """Whether dates have gaps that other dates of the record may close, and there are not too many to search for constants."""
    dates = record.field.sizes["time"]
    return 4 <= dates <= 60 and record.domain.size * dates <= 3_000_000 and not _past_fields(record)


def _typical_share(record: Record) -> float:
    """Missing share of the dates that have gaps."""
    share = 1 - record.seen.reshape(len(record.seen), -1).sum(axis=1) / max(int(record.domain.sum()), 1)
    gappy = share[(share > 0.01) & (share < 1)]
    return float(np.median(gappy)) if gappy.size else 0.5
