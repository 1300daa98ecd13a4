"""What a file says of a variable under other names than ours: a mask of zeros and ones, and the error of an analysis.

mask      zeros and ones, or booleans: where the fields exist; one that is 1 where nothing is seen is turned
error     a field of the same unit that calls itself a standard deviation or an error of the variable: `<variable>_error`

Each is a line, for it changes what is done.
"""

__all__ = ["with_named_error", "with_own_mask"]

import logging
import re
from collections.abc import Sequence

import numpy as np
import xarray as xr

from driftfield.conventions import domain_of, error_of, state_variables

log = logging.getLogger(__name__)

_ERROR = re.compile(r"standard[ _]error|error standard deviation|standard deviation of (the )?error|uncertainty", re.I)
_NAMES = re.compile(r"^(.*_)?(err|error|stderr|std_err|uncertainty)$", re.I)


def with_own_mask(dataset: xr.Dataset, names: Sequence[str], label: str) -> xr.Dataset:
    """A variable `mask` of zeros and ones is the domain of the named variables that have no other.

    Arguments:
        dataset: Canonical.
        names: Variables that exist there.
        label: What messages call the data set.
    """
    if "mask" not in dataset or all(domain_of(dataset, name) is not None for name in names):
        return dataset
    mask = dataset["mask"].isel(time=0, drop=True) if "time" in dataset["mask"].dims else dataset["mask"]
    values = np.unique(mask.values[np.isfinite(mask.values)]) if mask.dtype.kind == "f" else np.unique(mask.values)
    if not set(values.tolist()) <= {0, 1}:
        log.warning("'mask' in %s holds other values than 0 and 1: not taken as the domain", label)
        return dataset
    inside = mask.fillna(0).astype(bool) if mask.dtype.kind == "f" else mask.astype(bool)
    seen = xr.concat([_ever(dataset[name]) for name in names], "variable").any("variable")
    if float((seen & ~inside).sum()) > float((seen & inside).sum()):
        log.info("'mask' in %s is 1 on land: taken the other way round", label)
        inside = ~inside
    return dataset.assign(domain=inside)


def _ever(field: xr.DataArray) -> xr.DataArray:
    """Where a value was ever seen at any level: (lat, lon)."""
    return field.notnull().any([dim for dim in ("time", "depth") if dim in field.dims])


def with_named_error(dataset: xr.Dataset, name: str, label: str) -> xr.Dataset:
    """The error that a file states of a variable under a name of its own, as `<variable>_error`."""
    if error_of(dataset, name) is not None:
        return dataset
    others = [n for n in state_variables(dataset) if n not in (name, "mask")]
    matching = [n for n in others if _is_error_of(dataset[n], dataset[name], alone=len(others) == 1)]
    if len(matching) > 1:
        log.warning("%s in %s may all be the error of %s: none is taken", ", ".join(matching), label, name)
    if len(matching) != 1:
        return dataset
    log.info("%s in %s is taken as the error of %s", matching[0], label, name)
    return dataset.rename({matching[0]: f"{name}_error"})


def _is_error_of(other: xr.DataArray, field: xr.DataArray, *, alone: bool) -> bool:
    """Whether a field says that it is the error of another one, by name or description, in its unit and nowhere negative."""
    text = " ".join(str(other.attrs.get(key, "")) for key in ("standard_name", "long_name"))
    if not (_ERROR.search(text) or _NAMES.match(str(other.name))):
        return False
    of_it = str(field.name) in f"{text} {other.name}" or str(field.attrs.get("standard_name") or " ") in text
    alike = set(other.dims) <= set(field.dims) and other.attrs.get("units") == field.attrs.get("units")
    return alike and (of_it or alone) and not bool((other < 0).any())
