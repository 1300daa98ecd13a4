"""What stands behind `driftfield.fill` and `driftfield fill`: from a source to a filled record."""

__all__ = ["fill_source"]

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.filling.filling import Filled, Progress, fill_record
from driftfield.filling.learning import Learning, minutes_of
from driftfield.filling.methods import Knowledge
from driftfield.filling.record import read_record
from driftfield.gridded.acceptance import USUAL, Acceptance


def fill_source(
    source: xr.Dataset | xr.DataArray | str | Path,
    variable: str | None = None,
    *,
    method: str | None = None,
    members: int = 0,
    learn: str | None = None,
    run_folder: Path | None = None,
    knowledge: Knowledge | None = None,
    region: Mapping[str, Sequence[float]] | None = None,
    time: Sequence[Any] | None = None,
    domain: str | Path | None = None,
    acceptance: Acceptance = USUAL,
    seed: int = 0,
    progress: Progress = lambda what, share: None,
) -> Filled:
    """Fills the gaps of a field, with everything that was found out on the way; arguments as of `driftfield.fill`.

    `run_folder` is where the run of what was learnt is kept; without one it is forgotten once the field is filled.

    Raises:
        UserError: said what was found, what is allowed and what to do.
    """
    if members < 0:
        raise ConfigurationError(f"{members} members were asked for: expected 0 or more.")
    record = read_record(source, variable, region=region, time=time, domain=domain, acceptance=acceptance)
    if knowledge is not None and knowledge.days is not None and record.field.sizes["time"] == 1:
        raise ConfigurationError(
            f"Found --days {knowledge.days:g} for {record.source}, which holds one date: time has no say there. Leave it out."
        )
    settings: dict[str, Any] = {
        "method": method,
        "knowledge": knowledge,
        "members": members,
        "seed": seed,
        "progress": progress,
    }
    minutes = None if learn is None else minutes_of(learn)
    with ExitStack() as stack:
        if minutes is not None:
            folder = run_folder or Path(stack.enter_context(TemporaryDirectory()))
            settings["learning"] = Learning(minutes, folder)
        filled = fill_record(record, **settings)
    tried = {
        s.label: {"rmse": round(s.rmse, 6), "crps": round(s.crps, 6), "coverage": round(s.coverage, 4)}
        for s in filled.scores
    }
    filled.dataset.attrs |= {"tried": json.dumps(tried), "comment": ". ".join(filled.lines)}
    return filled
