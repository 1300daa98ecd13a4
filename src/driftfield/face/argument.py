"""A data set in memory, or the name of a file: read alike."""

__all__ = ["Fields", "as_fields"]

from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.gridded.axes import canonical
from driftfield.gridded.gridded_files import open_fields
from driftfield.gridded.units import canonical_units

Fields = xr.Dataset | str | Path


def as_fields(fields: Fields) -> xr.Dataset:
    """A file opened, or a data set in memory with axes and units as a file's would be."""
    if isinstance(fields, str | Path):
        return open_fields(fields)
    if isinstance(fields, xr.DataArray):
        raise ConfigurationError(
            "Found a DataArray: expected a Dataset. Give the variable a name with .to_dataset(name=...)."
        )
    if not isinstance(fields, xr.Dataset):
        raise ConfigurationError(f"Found {type(fields).__name__}: expected an xarray.Dataset or the name of a file.")
    dated = "time" in fields.coords and not np.issubdtype(fields["time"].dtype, np.number)
    return canonical_units(canonical(fields, decode=not dated), source="the data set")
