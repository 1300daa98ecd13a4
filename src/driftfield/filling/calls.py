"""What stands behind `driftfield.fill` and `driftfield fill`: from a source to a filled record."""

__all__ = ["Wishes", "fill_records", "joined"]

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.filling.filling import Filled, Progress, fill_record
from driftfield.filling.learning import Learning, minutes_of
from driftfield.filling.methods import Knowledge
from driftfield.filling.record import Record


@dataclass(frozen=True)
class Wishes:
    """What a user asks of a filling.

    Arguments:
        method: The one to use; chosen if not given.
        members: Size of the ensemble that is written.
        learn: How long a network may learn what the chosen method leaves.
        run_folder: Where the run of what was learnt stays; without one it is forgotten once the field is filled.
        knowledge: What is known of the covariance.
        seed: Of what is hidden and of the members.
    """

    method: str | None = None
    members: int = 0
    learn: str | None = None
    run_folder: Path | None = None
    knowledge: Knowledge | None = None
    seed: int = 0


def fill_records(
    records: Sequence[Record], wishes: Wishes, *, progress: Progress = lambda what, share: None
) -> tuple[Filled, ...]:
    """Fills one variable, or the components of a vector one after the other, each with what was seen of both.

    Raises:
        UserError: said what was found, what is allowed and what to do.
    """
    if wishes.members < 0:
        raise ConfigurationError(f"{wishes.members} members were asked for: expected 0 or more.")
    first, knowledge = records[0], wishes.knowledge
    if knowledge is not None and knowledge.days is not None and first.field.sizes["time"] == 1:
        raise ConfigurationError(
            f"Found --days {knowledge.days:g} for {first.source}, which holds one date: time has no say there. Leave it out."
        )
    if wishes.learn is not None and len(records) > 1:
        raise ConfigurationError(
            f"Found --learn {wishes.learn} for {len(records)} variables: a network learns one at a time. Name one with "
            f"--variable: {' or '.join(record.name for record in records)}."
        )
    return tuple(
        _fill_record(record, wishes, _part_of(progress, record.name, k, len(records)))
        for k, record in enumerate(records)
    )


def joined(filled: Sequence[Filled]) -> xr.Dataset:
    """One data set of what was filled; of two variables the scores are listed by name, and sentences begin with it."""
    if len(filled) == 1:
        return filled[0].dataset
    dataset = xr.merge([f.dataset for f in filled], combine_attrs="override")
    dataset.attrs["tried"] = json.dumps({f.record.name: json.loads(f.dataset.attrs["tried"]) for f in filled})
    dataset.attrs["comment"] = ". ".join(f"{f.record.name}: {line}" for f in filled for line in f.lines)
    if len(labels := dict.fromkeys(f.chosen for f in filled)) > 1:
        dataset.attrs["method"] = ", ".join(labels)
    return dataset


def _part_of(progress: Progress, name: str, k: int, count: int) -> Progress:
    """The progress of one variable of several, as a share of all."""
    if count == 1:
        return progress
    return lambda what, share: progress(f"{name}: {what}", (k + share) / count)


def _fill_record(record: Record, wishes: Wishes, progress: Progress) -> Filled:
    settings: dict[str, Any] = {
        "method": wishes.method,
        "knowledge": wishes.knowledge,
        "members": wishes.members,
        "seed": wishes.seed,
        "progress": progress,
    }
    minutes = None if wishes.learn is None else minutes_of(wishes.learn)
    with ExitStack() as stack:
        if minutes is not None:
            folder = wishes.run_folder or Path(stack.enter_context(TemporaryDirectory()))
            settings["learning"] = Learning(minutes, folder)
        filled = fill_record(record, **settings)
    tried = {
        s.label: {"rmse": round(s.rmse, 6), "crps": round(s.crps, 6), "coverage": round(s.coverage, 4)}
        for s in filled.scores
    }
    filled.dataset.attrs |= {"tried": json.dumps(tried), "comment": ". ".join(filled.lines)}
    return filled
