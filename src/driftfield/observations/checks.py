"""Which observations are used: every row is, or is counted under the first reason that applies.

read = kept + not a variable of this state + missing value + flag 4 + no position + no date + impossible value
            + no error + error not above 0 + duplicate + outside the grid + far from the dates
            + outside the levels + on land + below the sea floor
"""

__all__ = ["Account", "check"]

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from driftfield.errors import ConfigurationError, DataError
from driftfield.gridded.quantities import PhysicalQuantity, quantity_of
from driftfield.linalg.operators import Operator
from driftfield.observations.derived import Place
from driftfield.observations.grid import StateGrid
from driftfield.observations.readers.collection import Counts
from driftfield.observations.readers.quality import Ledger
from driftfield.observations.stated import as_stated
from driftfield.observations.stencils import UNKNOWN
from driftfield.observations.table import ObservationTable

log = logging.getLogger(__name__)

GOOD_FLAGS = (0, 1, 2, 5, 8)
"""Not checked, good, probably good, changed, estimated: what is used unless one asks for less."""


@dataclass(frozen=True)
class Account:
    """What became of the observations of a table.

    Arguments:
        variables: The counts of each variable.
        kept: Which rows were used (row,).
    """

    variables: Mapping[str, Counts]
    kept: np.ndarray

    @property
    def total(self) -> Counts:
        """All variables together."""
        dropped: dict[str, int] = {}
        for counts in self.variables.values():
            for reason, number in counts.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + number
        parts = self.variables.values()
        return Counts(sum(part.read for part in parts), sum(part.kept for part in parts), dropped)

    def __str__(self) -> str:
        return "; ".join(f"{name}: {counted}" for name, counted in self.variables.items()) or "no observations"


def check(
    table: ObservationTable,
    grid: StateGrid,
    times: xr.DataArray | None = None,
    *,
    monthly: bool = False,
    place: Place = as_stated,
    default_error: Mapping[str, float] | float | None = None,
    flags: tuple[int, ...] | None = GOOD_FLAGS,
    units: Mapping[str, str] | None = None,
) -> tuple[ObservationTable, Operator, Account]:
    """Drops what cannot be used, and says so; builds H for the rest.

    Arguments:
        table: The observations.
        grid: The state.
        times: Dates of the state, whose calendar counts; None if time does not matter.
        monthly: The dates stand for whole months: an observation belongs to the date of its month.
        place: Makes the weights: by default points, and means of rows with a bottom or a box (`stated.as_stated`); or any
            other, such as `functools.partial(as_stated, radius_km=50)`, or `derived.DerivedPlace` with functions of variables.
        default_error: Standard deviation of the errors that are not stated, one for all or per variable.
        flags: Accepted flags; None accepts all.
        units: Units of the state's variables; those of the table must be the same where both are known.

    Returns:
        The rows that are used, H of these in their order, and the account of all.

    Raises:
        DataError: units that differ, or most values of a variable are impossible in their units.
        ConfigurationError: a default error that is not above 0.
    """
    _check_units(table, units or {})
    table = _with_errors(table, default_error)
    ledger = Ledger(np.ones(len(table), dtype=bool))
    reasons = np.full(len(table), "", dtype=object)

    def drop(reason: str, wrong: np.ndarray) -> None:
        reasons[ledger.kept & wrong] = reason
        ledger.drop(reason, wrong)

    sight = place(grid, table.places(times, monthly=monthly))
    drop(UNKNOWN, sight.problem == UNKNOWN)
    drop("missing value", np.isnan(table.value))
    for flag in sorted(set(np.unique(table.flag).tolist()) - set(flags)) if flags is not None else ():
        drop(f"flag {flag}", table.flag == flag)
    lat, lon = table.latitude, table.longitude
    drop("no position", ~(np.isfinite(lat) & np.isfinite(lon) & (np.abs(lat) <= 90) & (np.abs(lon) <= 720)))
    if times is not None:
        drop("no date", np.isnat(table.time))
    drop("impossible value", _impossible(table, ledger.kept))
    drop("no error", np.isnan(table.error))
    drop("error not above 0", ~(np.isfinite(table.error) & (table.error > 0)))
    duplicates, contradicting = _duplicates(table, ledger.kept)
    drop("duplicate", duplicates)
    drop("second value of a platform at one place and time", contradicting)
    for reason in sorted(set(sight.problem) - {"", UNKNOWN}):
        drop(reason, sight.problem == reason)
    account = _account(table, ledger.kept, reasons)
    log.info("observations: %s", account)
    return table.select(ledger.kept), sight.operator(ledger.kept), account


def _check_units(table: ObservationTable, units: Mapping[str, str]) -> None:
    for name, wanted in units.items():
        stated = table.attrs.get(name, {}).get("units", "")
        if stated and wanted and stated != wanted:
            raise DataError(
                f"{name!r} is observed in {stated!r}, and the state has {wanted!r}. Choose the variable that measures the same, "
                "or correct the units of the table."
            )


def _with_errors(table: ObservationTable, default: Mapping[str, float] | float | None) -> ObservationTable:
    if default is None:
        return table
    errors = default if isinstance(default, Mapping) else dict.fromkeys(table.variable, default)
    if any(not 0 < sd < np.inf for sd in errors.values()):
        raise ConfigurationError(f"Found the default error(s) {dict(errors)}: expected standard deviations above 0.")
    error = table.error.copy()
    for name, sd in errors.items():
        error[np.isnan(error) & (table.variable == name)] = sd
    return replace(table, error=error)


def _impossible(table: ObservationTable, kept: np.ndarray) -> np.ndarray:
    """Values that the quantity cannot take; a variable of which that is most values has wrong units."""
    wrong = np.isinf(table.value)
    for name in dict.fromkeys(table.variable):
        described = dict(table.attrs.get(name, {}))
        quantity: PhysicalQuantity | None = quantity_of(xr.DataArray(attrs=described), name)
        if quantity is None or not described.get("units", ""):
            continue
        mine = kept & (table.variable == name)
        outside = mine & ~((table.value >= quantity.low) & (table.value <= quantity.high))
        if 2 * outside.sum() > mine.sum():
            values = table.value[mine]
            raise DataError(
                f"{outside.sum()} of {mine.sum()} values of {name!r} are impossible for the {quantity.name}: found "
                f"{values.min():g} to {values.max():g} {quantity.units}, expected {quantity.low:g} to {quantity.high:g}. "
                "Correct the units of the table."
            )
        wrong |= outside
    return wrong


def _duplicates(table: ObservationTable, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that repeat an earlier one, and rows of a platform that contradict an earlier one at the same place and time."""
    frame = table.to_frame().drop(columns=["flag"])
    # what a file rounds is still the same place: 10 m, a centimetre of depth, a second
    frame["longitude"] = (frame["longitude"] % 360.0).round(4) % 360.0
    frame["latitude"] = frame["latitude"].round(4)
    for name in ("depth", "bottom", "cell_width", "cell_height"):
        frame[name] = frame[name].round(2 if name in ("depth", "bottom") else 4)
    frame["time"] = table.time.astype("datetime64[s]")
    # the better stated error stays
    frame = frame[kept].sort_values("error", kind="stable")
    where = ["variable", "longitude", "latitude", "depth", "bottom", "cell_width", "cell_height", "time"]
    repeated, contradicting = np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool)
    repeated[frame.index[frame.duplicated([*where, "value"])]] = True
    contradicting[frame.index[frame.duplicated([*where, "platform"])]] = True
    return repeated, contradicting


def _account(table: ObservationTable, used: np.ndarray, reasons: np.ndarray) -> Account:
    variables = {}
    for name in dict.fromkeys(table.variable):
        mine = table.variable == name
        found, number = np.unique(reasons[mine & ~used].astype(str), return_counts=True)
        dropped = dict(zip(found.tolist(), number.tolist(), strict=True))
        variables[str(name)] = Counts(int(mine.sum()), int((mine & used).sum()), dropped)
    return Account(variables, used)
