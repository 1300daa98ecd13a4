"""What stands behind `driftfield.fill` and `driftfield fill`: from a source to a filled record."""

__all__ = ["fill_source"]

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.filling.filling import Filled, Progress, fill_record
from driftfield.filling.methods import Knowledge
from driftfield.filling.record import read_record
from driftfield.gridded.acceptance import USUAL, Acceptance


def fill_source(
    source: xr.Dataset | xr.DataArray | str | Path,
    variable: str | None = None,
    *,
    method: str | None = None,
    members: int = 0,
    knowledge: Knowledge | None = None,
    region: Mapping[str, Sequence[float]] | None = None,
    time: Sequence[Any] | None = None,
    domain: str | Path | None = None,
    acceptance: Acceptance = USUAL,
    seed: int = 0,
    progress: Progress = lambda what, share: None,
) -> Filled:
    """Fills the gaps of a field, with everything that was found out on the way; arguments as of `driftfield.fill`.

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
    filled = fill_record(record, method=method, knowledge=knowledge, members=members, seed=seed, progress=progress)
    tried = {
        s.label: {"rmse": round(s.rmse, 6), "crps": round(s.crps, 6), "coverage": round(s.coverage, 4)}
        for s in filled.scores
    }
    filled.dataset.attrs |= {"tried": json.dumps(tried), "comment": ". ".join(filled.lines)}
    return filled
