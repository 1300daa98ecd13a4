"""Dates of an analysis as units of work: a worker draws one and keeps its members, the command finds all of them there."""

__all__ = ["draw_one", "share_dates"]

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftfield.cli.shared import reporting

if TYPE_CHECKING:
    from driftfield.cli.assimilate_work import AssimilateWork
    from driftfield.clusters import Crew

_opened: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {}


def share_dates(
    work: "AssimilateWork",
    crew: "Crew",
    inflation: float | None,
    constants: Mapping[str, Any],
    folder: Path,
    dates: int,
) -> None:
    """Lets workers draw all dates of one analysis.

    Arguments:
        work: What was typed; another process opens the same.
        crew: Who draws.
        inflation, constants: Of the analysis.
        folder: Where its members are kept.
        dates: How many there are.
    """
    from driftfield.clusters import Errand

    folder.mkdir(parents=True, exist_ok=True)
    crew.check(folder)
    members = work.ensemble.members
    report = reporting(dates * members, crew)
    report(0)
    arguments = [(work, inflation, dict(constants), index, str(folder.absolute())) for index in range(dates)]
    for _ in crew.done([Errand(draw_one, these, f"date {these[3] + 1} of {dates}") for these in arguments]):
        report(members)


def draw_one(
    work: "AssimilateWork", inflation: float | None, constants: Mapping[str, Any], index: int, folder: str
) -> None:
    """On a worker: one date, whose members are kept in a folder."""
    from driftfield.reconstruction.draws import Draws
    from driftfield.reconstruction.kept_draws import KeptDraws

    if str(work) not in _opened:
        _opened.clear()
        _opened[str(work)] = work.opened()  # once for all dates of a job
    reconstructor, asked, observations, how = _opened[str(work)]
    ensemble = work.ensemble
    draws = Draws(ensemble.members, ensemble.seed, batch_size=ensemble.batch_size, keeper=KeptDraws(Path(folder)))
    asked.assimilation(reconstructor, inflation, constants).draw_date(index, observations, draws, **how)
