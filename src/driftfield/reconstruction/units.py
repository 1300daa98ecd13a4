"""A reconstruction in units that any process can do, in any order: batches of members of a date, and the date itself.

    batch    draws its members and keeps them in OUT.partial/draws/DATE          (where there are several)
    date     recalls them, finishes the date and writes its own chunks of the store

Another process makes the same work from `Again`, a function of a module and plain arguments: nothing that was fitted travels.
"""

__all__ = ["Again", "Unit", "do_unit", "units_of"]

from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftfield.plain import JSONObject

if TYPE_CHECKING:
    from driftfield.reconstruction.writer import Work


@dataclass(frozen=True)
class Again:
    """How another process makes the same work.

    Arguments:
        make: A function of a module.
        asked: Its argument, plain and frozen.
    """

    make: "Callable[[Any], Work]"
    asked: Hashable


@dataclass(frozen=True)
class Unit:
    """What is done at once.

    Arguments:
        date: Its number.
        members: Whose batch; all that is left of the date for None.
        count: How many more members are done after it.
    """

    date: int
    members: range | None
    count: int


def units_of(work: "Work", finished: Collection[int]) -> Iterator[Unit]:
    """All that is left, the batches of a date before the date."""
    everybody = work.draws.members
    batches = list(work.draws.batches(everybody)) if work.reconstructor.abilities.keeps_draws else []
    for date in range(work.dates):
        if date in finished:
            continue
        if len(batches) > 1:
            yield from (Unit(date, numbers, len(numbers)) for numbers in batches)
        yield Unit(date, None, 0 if len(batches) > 1 else everybody)


def do_unit(again: Again, unit: Unit, partial: str) -> JSONObject | None:
    """On a worker: a unit, whose outcome is in files.

    Returns:
        The attributes of the first date, which are those of the output.
    """
    from driftfield.reconstruction.writer import write_date

    work, folder = _made(again), Path(partial)
    if unit.members is not None:
        work.draw(unit.date, unit.members, folder / "draws" / str(unit.date))
        return None
    return write_date(work, unit.date, folder)


@lru_cache(maxsize=1)
def _made(again: Again) -> "Work":
    """Once for all units of a job."""
    return again.make(again.asked)
