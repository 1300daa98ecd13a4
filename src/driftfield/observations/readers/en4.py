"""EN4 of the Met Office Hadley Centre: monthly profile files (Good et al. 2013), of Argo, ship and mooring profiles alike.

    (N_PROF, N_LEVELS)     DEPH_CORRECTED    POTM_CORRECTED    PSAL_CORRECTED    TEMP (in situ)

The layout is Argo's, the meaning is not: depth in place of pressure, temperature that is potential already, values that are
corrected already, and one flag that rejects, 4: a value (`<NAME>_QC`), its depth, its place, its date or all of its profile
(`PROFILE_POTM_QC`, `PROFILE_PSAL_QC`). TEMP has no flags of its own and takes those of POTM_CORRECTED. Flags of values stay as
they are; of the others, whatever is not 4 is no reason to doubt. No errors are stated, and no profile is there twice.
"""

__all__ = ["is_en4_file", "read_en4_file"]

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.errors import DataError, suggest
from driftfield.observations.readers.argo import dates_of, flags_of, reading_of_rows
from driftfield.observations.readers.quality import Quality
from driftfield.observations.readers.reader import PointReader, Reading
from driftfield.registry import register

_LEVELS = ("N_PROF", "N_LEVELS")
_REJECT = 4
_POTENTIAL = {"standard_name": "sea_water_potential_temperature"}
# name in the file -> flags of its values, flags of its profiles
_FLAGS = {
    "TEMP": ("POTM_CORRECTED_QC", "PROFILE_POTM_QC"),
    "POTM_CORRECTED": ("POTM_CORRECTED_QC", "PROFILE_POTM_QC"),
    "PSAL_CORRECTED": ("PSAL_CORRECTED_QC", "PROFILE_PSAL_QC"),
}


def is_en4_file(dataset: xr.Dataset) -> bool:
    """Whether this is a profile file of EN4."""
    return set(_LEVELS) <= set(dataset.dims) and {"DEPH_CORRECTED", "JULD"} <= set(dataset.variables)


def read_en4_file(
    dataset: xr.Dataset, variables: Mapping[str, str], quality: Quality, *, source: str = "the file"
) -> Reading:
    """Reads a profile file of EN4, see `PointReader.read`."""
    profiles, levels = (dataset.sizes[dim] for dim in _LEVELS)

    def spread(name: str) -> np.ndarray:
        """One value per row, of what is stated per profile."""
        return np.repeat(dataset[name].values, levels)

    columns = {name: spread(name) for name in ("JULD", "LATITUDE", "LONGITUDE")}
    # no cycle number: most instruments have none, and then all profiles of a ship would be copies of one
    columns |= {name: spread(name) for name in ("PLATFORM_NUMBER", "DIRECTION", "DATA_MODE") if name in dataset}
    columns |= {name: _rejected(spread(name)) for name in ("POSITION_QC", "JULD_QC") if name in dataset}
    columns["depth"] = dataset["DEPH_CORRECTED"].values.ravel().astype(float)
    if "DEPH_CORRECTED_QC" in dataset:
        columns["depth_QC"] = _rejected(dataset["DEPH_CORRECTED_QC"].values.ravel())
    for name in variables.values():
        if name not in dataset or dataset[name].dims != _LEVELS or name.endswith("_QC"):
            known = [n for n in (*_FLAGS, *map(str, dataset.data_vars)) if n in dataset and dataset[n].dims == _LEVELS]
            raise DataError(f"No variable {name!r} in {source}: {suggest(name, [n for n in known if n[-3:] != '_QC'])}")
        columns[name] = dataset[name].values.ravel().astype(float)
        if (flags := _FLAGS.get(name, (f"{name}_QC", ""))[0]) in dataset:
            columns[f"{name}_QC"] = dataset[flags].values.ravel()
    frame = pd.DataFrame(columns)
    frame["cast"] = np.repeat(np.arange(profiles), levels)
    frame["JULD"] = dates_of(frame["JULD"], str(dataset["JULD"].attrs.get("units", "")), source)
    units = {"depth": str(dataset["DEPH_CORRECTED"].attrs.get("units", "m"))}
    attrs = {ours: _described(dataset[name]) for ours, name in variables.items()}
    reading = reading_of_rows(frame, variables, quality, attrs, units, source)
    for ours, name in variables.items():
        whole = _FLAGS.get(name, ("", ""))[1]
        if whole in dataset and quality.flags is not None and _REJECT not in quality.flags:
            reading.measured[ours].ledger.drop(f"profile flag {_REJECT}", _rejected(spread(whole)) == _REJECT)
    return reading


def _rejected(characters: np.ndarray) -> np.ndarray:
    """4 where the flag is 4, and 1 elsewhere."""
    flags = flags_of(pd.DataFrame({"flag": characters}), "flag")
    return np.where(flags == _REJECT, _REJECT, 1)


def _described(array: xr.DataArray) -> dict[str, str]:
    stated = {key: str(value) for key, value in array.attrs.items()}
    return stated | (_POTENTIAL if array.name == "POTM_CORRECTED" else {})


register("point_reader", "EN4 profile file")(PointReader(is_en4_file, read_en4_file))
