"""A field filled in one call, with everything that was found out on the way."""

from typing import Any

import xarray as xr

from driftfield.filling.calls import Wishes, fill_records
from driftfield.filling.filling import Filled
from driftfield.filling.reading import read_record


def fill_source(source: xr.Dataset | xr.DataArray, variable: str | None = None, **wishes: Any) -> Filled:
    """What `driftfield.fill` finds; wishes by their names, see `Wishes`."""
    return fill_records((read_record(source, variable),), Wishes(**wishes))[0]
