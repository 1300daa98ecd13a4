"""A table of observations in the units of a run: converted, or refused (`gridded.measures`)."""

__all__ = ["in_run_units"]

import logging
from collections.abc import Collection
from dataclasses import replace

import numpy as np
import xarray as xr

from driftfield.errors import DataError
from driftfield.gridded.measures import Measures
from driftfield.gridded.units import convert, same_units
from driftfield.observations.table import ObservationTable

log = logging.getLogger(__name__)


def in_run_units(table: ObservationTable, measures: Measures, differences: Collection[str] = ()) -> ObservationTable:
    """The table with values and errors in the units of the run; where one side has none, values are held against the run's.

    Arguments:
        table: The observations.
        measures: Of the run; variables that it does not know are left alone.
        differences: Variables that are differences, whose units convert without an offset.

    Raises:
        DataError: units that do not convert, or values that are in other units, to all appearances.
    """
    value, error, attrs = table.value.copy(), table.error.copy(), dict(table.attrs)
    for name in (str(label) for label in dict.fromkeys(table.variable) if label in measures):
        mine, wanted = table.variable == name, measures[name].units
        stated = str(attrs.get(name, {}).get("units", "")).strip()
        if not (stated and wanted):
            measures.check_scale(name, xr.DataArray(value[mine], attrs={"units": stated}), "the table of observations")
        elif not same_units(stated, wanted):
            for column, difference in ((value, name in differences), (error, True)):
                observed = xr.DataArray(np.asarray(column[mine], dtype=float), name=name, attrs={"units": stated})
                try:
                    column[mine] = convert(observed, wanted, difference=difference).values
                except DataError as problem:
                    raise DataError(
                        f"{name!r} is observed in {stated!r}, and the run has {wanted!r}. {problem} Choose the variable that "
                        "measures the same, or correct the units of the table."
                    ) from problem
            log.info("the table: %r is converted from %s to %s, the units of the run", name, stated, wanted)
        if wanted:
            attrs[name] = {**attrs.get(name, {}), "units": wanted}
    return replace(table, value=value, error=error, attrs=attrs)
