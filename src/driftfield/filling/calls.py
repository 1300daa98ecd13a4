"""The calls of a user: `fill(dataset)` and `dataset.driftfield.fill()`."""

__all__ = ["DriftfieldAccessor", "fill", "fill_source"]

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.filling.account import table
from driftfield.filling.filling import Filled, Progress, fill_record
from driftfield.filling.methods import Knowledge
from driftfield.filling.record import read_record

log = logging.getLogger(__name__)


def fill(
    source: xr.Dataset | xr.DataArray | str | Path,
    variable: str | None = None,
    *,
    method: str | None = None,
    members: int = 0,
    length_km: float | None = None,
    days: float | None = None,
    noise: float | None = None,
    region: dict[str, Sequence[float]] | None = None,
    time: Sequence[Any] | None = None,
    domain: str | Path | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Fills the gaps of a field: NaN in, a complete field with its standard deviation out.

    Arguments:
        source: A data set, a field, or a file, with lat and lon and mostly with time; NaN where nothing was seen.
        variable: Which one; may be left out where there is one.
        method: The method to use, such as "kriging" or "linear"; the one that finds hidden blocks best if not given.
        members: Size of the ensemble that comes with it; none by default.
        length_km: Distance at which the correlation is 1 / e, where it is known.
        days: Time after which it is, where it is known.
        noise: Standard deviation of the observation error, units of the variable; observed cells are then analysed, too.
        region: `{lat: [south, north], lon: [west, east]}`.
        time: [first, last] date.
        domain: A file that says where the field exists (`domain` or `mask`).
        seed: Of what is hidden and of the members.

    Returns:
        `<variable>`, `<variable>_sd` and, where asked for, `<variable>_member`, on all dates of the source; the attribute
        `tried` holds the scores of every method, `comment` what one should know.

    Raises:
        UserError: said what was found, what is allowed and what to do.
    """
    knowledge = Knowledge(length_km, days, noise)
    filled = fill_source(
        source,
        variable,
        method=method,
        members=members,
        knowledge=knowledge,
        region=region,
        time=time,
        domain=domain,
        seed=seed,
    )
    log.info("%s", table(filled))
    for line in filled.lines:
        log.info("%s", line)
    return filled.dataset


def fill_source(
    source: xr.Dataset | xr.DataArray | str | Path,
    variable: str | None = None,
    *,
    method: str | None = None,
    members: int = 0,
    knowledge: Knowledge | None = None,
    region: dict[str, Sequence[float]] | None = None,
    time: Sequence[Any] | None = None,
    domain: str | Path | None = None,
    seed: int = 0,
    progress: Progress = lambda what, share: None,
) -> Filled:
    """The same with everything that was found out on the way; arguments as of `fill`."""
    if members < 0:
        raise ConfigurationError(f"{members} members were asked for: expected 0 or more.")
    record = read_record(source, variable, region=region, time=time, domain=domain)
    filled = fill_record(record, method=method, knowledge=knowledge, members=members, seed=seed, progress=progress)
    tried = {
        s.label: {"rmse": round(s.rmse, 6), "crps": round(s.crps, 6), "coverage": round(s.coverage, 4)}
        for s in filled.scores
    }
    filled.dataset.attrs |= {"tried": json.dumps(tried), "comment": ". ".join(filled.lines)}
    return filled


@xr.register_dataset_accessor("driftfield")
class DriftfieldAccessor:
    """`dataset.driftfield.fill()` is `driftfield.fill(dataset)`."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def fill(self, variable: str | None = None, **options: Any) -> xr.Dataset:
        """Arguments as of `driftfield.fill`."""
        return fill(self._dataset, variable, **options)
