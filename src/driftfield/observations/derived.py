"""H of rows that are functions of variables: the variables are seen as their rows say, and the function is applied to that.

    row of f(a, b) at a place   ->   H_i x = f(H_a x, H_b x)        H_a, H_b the stencils of a and b at this place
    any other row               ->   as its stencil has it

Where such a row is a mean (over depth, a disc, a box), it is the function of the means.
"""

__all__ = ["Derived", "DerivedPlace", "DerivedStencil", "Place", "Sight"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from driftfield.errors import ConfigurationError, suggest
from driftfield.gridded.measures import Measure, Measures
from driftfield.linalg.composition import Composed
from driftfield.linalg.operators import FunctionOperator, Operator
from driftfield.observations.functions.base import FunctionOfVariables
from driftfield.observations.grid import ObservedPlaces, StateGrid
from driftfield.observations.stated import as_stated
from driftfield.observations.stencils import Stencil
from driftfield.registry import lookup


class Sight(Protocol):
    """What is seen of a state: an operator, and why some observations have none. A `Stencil` is one."""

    @property
    def problem(self) -> np.ndarray:
        """(n,) why an observation cannot be made of this grid, empty if it can."""
        ...

    def operator(self, chosen: np.ndarray | None = None) -> Operator:
        """H of the chosen observations (default: the usable ones), in their order."""
        ...


Place = Callable[[StateGrid, ObservedPlaces], Sight]
"""Makes H of a state and places, such as `functools.partial(as_stated, radius_km=50)`."""


@dataclass(frozen=True)
class Derived:
    """A number that is observed and is no variable of the state.

    Arguments:
        function: Of the variables.
        arguments: Their names, in the order of the function.

    Raises:
        ConfigurationError: fewer or more variables than the function takes.
    """

    function: FunctionOfVariables
    arguments: tuple[str, ...]

    def __post_init__(self) -> None:
        least, most = self.function.least, self.function.most
        if not least <= len(self.arguments) <= most:
            expected = f"{least}" if least == most else f"{least} to {most}"
            raise ConfigurationError(
                f"{type(self.function).__name__} of {', '.join(self.arguments) or 'nothing'}: expected {expected} variables."
            )

    @classmethod
    def named(cls, function: str, arguments: Sequence[str]) -> "Derived":
        """By the name under which the function is registered.

        Raises:
            ConfigurationError: an unknown function, or another number of variables.
        """
        return cls(lookup("function", function)(), tuple(arguments))


@dataclass(frozen=True)
class DerivedStencil:
    """Stencils of the arguments of every observation, and what is made of them.

    Arguments:
        inner: Of the arguments, those of an observation behind each other.
        owner: (m,) which observation each of them belongs to, ascending.
        functions: Of each observation (n,), a number among `derived`, or -1 for none.
        derived: The functions.
    """

    inner: Stencil
    owner: np.ndarray
    functions: np.ndarray
    derived: tuple[Derived, ...]

    @property
    def problem(self) -> np.ndarray:
        """The first problem of any argument."""
        problem = np.full(len(self.functions), "", dtype=object)
        wrong = np.flatnonzero(self.inner.problem != "")[::-1]
        problem[self.owner[wrong]] = self.inner.problem[wrong]
        return problem

    def operator(self, chosen: np.ndarray | None = None) -> Operator:
        """See `Sight`."""
        usable = self.problem == ""
        chosen = usable if chosen is None else chosen & usable
        inner, functions = self.inner.operator(chosen[self.owner]), self.functions[chosen]
        if (functions < 0).all():
            return inner
        owner = (np.cumsum(chosen) - 1)[self.owner[chosen[self.owner]]]
        parts = [
            (
                None if number < 0 else self.derived[number].function,
                torch.from_numpy(_columns(owner, functions == number)),
            )
            for number in np.unique(functions)
        ]
        order = torch.from_numpy(np.argsort(np.argsort(functions, kind="stable"), kind="stable"))

        def applied(seen: Tensor) -> Tensor:
            found = [seen[:, at[:, 0]] if f is None else f(seen[:, at]) for f, at in parts]
            return torch.cat(found, dim=1)[:, order.to(seen.device)]

        linear = all(function is None or function.linear for function, _ in parts)
        return Composed(FunctionOperator(applied, (inner.size,), linear=linear), inner)


def _columns(owner: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """(observation, argument): which of the arguments belong to some observations, all of as many."""
    return np.flatnonzero(mine[owner]).reshape(int(mine.sum()), -1)


@dataclass(frozen=True)
class DerivedPlace:
    """A `Place` that knows functions of variables.

    Arguments:
        derived: By the name that the rows of a table have as their variable.
        place: Makes the weights of the arguments, and of all other rows.
    """

    derived: Mapping[str, Derived]
    place: Callable[[StateGrid, ObservedPlaces], Stencil] = as_stated

    def __call__(self, grid: StateGrid, places: ObservedPlaces) -> DerivedStencil:
        names = list(self.derived)
        number = {name: index for index, name in enumerate(names)}
        functions = np.array([number.get(str(name), -1) for name in places.variable], dtype=np.int64)
        sizes = np.array([len(self.derived[name].arguments) for name in names] + [1], dtype=np.int64)[functions]
        owner = np.repeat(np.arange(len(places)), sizes)
        spread = places.select(owner)
        variable = spread.variable.astype(object)
        for index, name in enumerate(names):
            mine = functions[owner] == index
            variable[mine] = np.tile(
                np.array(self.derived[name].arguments, dtype=object), int((functions == index).sum())
            )
        inner = self.place(grid, replace(spread, variable=variable))
        return DerivedStencil(inner, owner, functions, tuple(self.derived.values()))

    def check(self, variables: Sequence[str]) -> None:
        """Holds the names against the variables of a state.

        Raises:
            ConfigurationError: an argument that the state has not, or a name that is one of its variables.
        """
        for name, derived in self.derived.items():
            if name in variables:
                raise ConfigurationError(
                    f"{name!r} is a variable of this run: expected another name for a function of variables. Rename the rows."
                )
            for argument in derived.arguments:
                if argument not in variables:
                    raise ConfigurationError(f"{name!r} is a function of {argument!r}: {suggest(argument, variables)}")

    @property
    def differences(self) -> frozenset[str]:
        """The names whose units convert without an offset."""
        return frozenset(name for name, derived in self.derived.items() if derived.function.relative)

    def measures(self, measures: Measures) -> Measures:
        """The measures of a run with those of the functions.

        Raises:
            ConfigurationError: arguments in units that do not go together.
        """
        more = {}
        for name, derived in self.derived.items():
            units = [measures[argument].units if argument in measures else "" for argument in derived.arguments]
            more[name] = Measure(derived.function.units(units))
        return Measures({**measures, **more})
