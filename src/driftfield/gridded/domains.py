"""Masks of land and sea as files have them -> where a variable exists (boolean).

    flag_meanings "water land lake ice"            exists where it is water (or ice on water), not where it is land
    land_binary_mask, lsm, landmask ...            1 is land: turned round
    sea_binary_mask, tmask, domain, mask           1 is where the variable exists
    a fraction, or %                               exists from one half on; a line says so
    anything else                                  refused: nobody knows what 2 means

A mask that changes with time says where a variable exists at any date. One that is empty, or whose cells hold nothing while the
others do (it is inverted), is refused. So is one that observed values lie outside of:

    beside the domain, one cell away     coasts differ: up to a tenth of the values are not used, and a line counts them
    farther away                         lakes, and what is wrong: up to one in a hundred
    more                                 refused, unless somebody says that they are to be left out
"""

__all__ = ["as_masks", "check_domain", "check_observed", "named_masks", "read_mask", "sound_masks", "with_domain"]

import logging
import re

import dask
import numpy as np
import xarray as xr

from driftfield.conventions import MASKS, domain_of, is_mask, state_variables
from driftfield.errors import DataError
from driftfield.gridded.flags import flag_bits

log = logging.getLogger(__name__)

_LAND_NAMES = ("lsm", "landmask", "land_mask", "sftlf")
_LAND_STANDARD = ("land_binary_mask", "land_area_fraction")
_SEA = re.compile(r"(^|_)(sea|ocean|water|wet|marine|open_water|sea_ice|ice|valid|active|unmasked)(_|$)")
_LAND = re.compile(
    r"(^|_)(land|dry|coast|coastal|continent|invalid|inactive|masked|no_data|missing|fill|not|non|no)(_|$)"
)
_OUTSIDE, _FAR_OUTSIDE = 0.1, 0.01
"""Shares of the observed values that may lie outside of a domain at all, and farther than one cell: coasts, and lakes."""


def read_mask(mask: xr.DataArray, name: str, source: str) -> xr.DataArray:
    """Where the variables of a mask exist: boolean, as the mask itself says what its numbers mean.

    Arguments:
        mask: As opened, with its attributes.
        name: Its name.
        source: What messages call the file.

    Raises:
        DataError: numbers that nobody explained, or a mask that is empty.
    """
    meanings = str(mask.attrs.get("flag_meanings", "")).replace(",", " ").split()
    exists = _by_meanings(mask, name, meanings, source) if meanings else _by_numbers(mask, name, source)
    exists = exists.compute()
    if "time" in exists.dims:
        if exists.sizes["time"] and bool((exists != exists.isel(time=0)).any()):
            log.info(
                "%s: the mask %r changes with time: the variables exist where it says so at any date", source, name
            )
        exists = exists.any("time")
    if not bool(exists.any()):
        raise DataError(
            f"The mask {name!r} of {source} is empty: no cell exists. Expected 1 where the variables exist, "
            "or flag_meanings that name the sea. Correct the mask."
        )
    return exists.rename(name).assign_attrs({k: v for k, v in mask.attrs.items() if not k.startswith("flag_")})


def _by_meanings(mask: xr.DataArray, name: str, meanings: list[str], source: str) -> xr.DataArray:
    words = {word: (_SEA.search(word.lower()) is not None, _LAND.search(word.lower()) is not None) for word in meanings}
    sea = [word for word, (wet, dry) in words.items() if wet and not dry]
    land = [word for word, (_, dry) in words.items() if dry]
    if not sea and not land:
        raise DataError(
            f"The mask {name!r} of {source} has the flag_meanings {' '.join(meanings)!r}, which name neither sea nor land. "
            "Write a mask that is 1 where the variables exist."
        )
    bits = flag_bits(mask)
    on = xr.zeros_like(mask, dtype=bool)
    for word in sea or []:
        on = on | bits.get(word, False)
    off = xr.zeros_like(mask, dtype=bool)
    for word in land:
        off = off | bits.get(word, False)
    exists = (on if sea else mask.notnull()) & ~off
    log.info(
        "%s: %r exists where its flags say %s", source, name, " or ".join(sea) if sea else f"not {' or '.join(land)}"
    )
    return exists


def _by_numbers(mask: xr.DataArray, name: str, source: str) -> xr.DataArray:
    standard = str(mask.attrs.get("standard_name", "")).lower()
    is_land = standard in _LAND_STANDARD or (not standard and name.lower() in _LAND_NAMES)
    if mask.dtype.kind == "b":
        return ~mask if is_land else mask
    percent = str(mask.attrs.get("units", "")).strip().lower() in ("%", "percent")
    values = (mask.astype(np.float64) / (100.0 if percent else 1.0)).compute()
    finite = values.values[np.isfinite(values.values)]
    if finite.size and (finite.min() < -1e-6 or finite.max() > 1 + 1e-6):
        found = np.unique(finite * (100.0 if percent else 1.0))
        shown = ", ".join(f"{one:g}" for one in found[:6]) + (", ..." if found.size > 6 else "")
        raise DataError(
            f"The mask {name!r} of {source} holds {shown}: expected 0 and 1, a fraction, or flag_meanings that say what "
            "the numbers mean. Write a mask that is 1 where the variables exist."
        )
    part = (finite > 1e-6) & (finite < 1 - 1e-6)
    exists = values < 0.5 if is_land else values >= 0.5
    if part.any():
        log.info(
            "%s: %r is a fraction (%d cells lie between 0 and 1): %s from one half on",
            source, name, int(part.sum()), "land" if is_land else "it exists",
        )  # fmt: skip
    elif is_land:
        log.info("%s: %r is 1 on land: the variables exist where it is 0", source, name)
    return exists & values.notnull()


def as_masks(raw: xr.Dataset) -> xr.Dataset:
    """The data set with masks that are no axes: one that was computed from longitudes may carry their attributes."""
    odd = [
        str(name)
        for name, array in raw.data_vars.items()
        if is_mask(str(name))
        and str(array.attrs.get("standard_name", "")) in ("longitude", "latitude", "depth", "time")
    ]
    bare = {}
    for name in odd:
        bare[name] = raw[name].copy(deep=False)
        bare[name].attrs = {
            k: v for k, v in raw[name].attrs.items() if k not in ("standard_name", "axis", "units", "positive")
        }
    return raw.assign(bare)


def sound_masks(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """The data set with every `domain` and `<variable>_domain` as `read_mask` reads it."""
    names = [str(n) for n in dataset.data_vars if str(n) == "domain" or str(n).endswith("_domain")]
    return dataset.assign(
        {name: read_mask(dataset[name], name, source) for name in names if dataset[name].dtype.kind in "fiub"}
    )


def named_masks(dataset: xr.Dataset) -> list[str]:
    """Variables that are a mask by their name, other than `domain`."""
    return [str(name) for name in dataset.data_vars if str(name).lower() in MASKS]


def with_domain(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """A data set whose mask, whatever the file calls it, is `domain`; one that has a domain already stays as it is."""
    if any(str(name) == "domain" or str(name).endswith("_domain") for name in dataset.data_vars):
        return dataset
    masks = named_masks(dataset)
    if not masks:
        return dataset
    return dataset.drop_vars(masks).assign(domain=read_mask(dataset[masks[0]], masks[0], source).rename("domain"))


def check_domain(field: xr.DataArray, domain: xr.DataArray, source: str) -> None:
    """Refuses a domain whose cells hold nothing that lives, while the cells outside do: it is inverted.

    A cell lives if it is finite and changes, on the first, middle and last dates.

    Raises:
        DataError: as said.
    """
    times = field.sizes["time"]
    some = field.isel(time=sorted({0, times // 3, times // 2, times - 1})).compute()
    lives = some.notnull().any("time")
    if some.sizes["time"] > 1:
        lives = lives & (some.max("time") > some.min("time"))
    inside, outside = lives.where(domain), lives.where(~domain)
    alive_in, alive_out = int(inside.sum()), int(outside.sum())
    if (
        alive_out > 0
        and alive_in < 0.1 * int(inside.notnull().sum())
        and alive_out > 0.5 * int(outside.notnull().sum())
    ):
        raise DataError(
            f"The domain of {field.name!r} in {source} is inverted: {alive_in} of its {int(inside.notnull().sum())} cells "
            f"hold values that change, and {alive_out} of the {int(outside.notnull().sum())} cells outside do. Expected 1 "
            "(true) where the variable exists. Turn the mask round, or give it flag_meanings."
        )


def check_observed(observations: xr.Dataset, source: str, *, leave_out: bool = False) -> None:
    """Holds what was observed against the domains that the observations state; values outside are counted in a line.

    Arguments:
        observations: An observation data set.
        source: What messages call it.
        leave_out: However many values lie outside, they are to be left out: for a part that somebody chose.

    Raises:
        DataError: more values of a variable lie outside of its domain than coasts and lakes explain.
    """
    for name in state_variables(observations):
        domain = domain_of(observations, name)
        if domain is None:
            continue
        seen = observations[name].notnull()
        counts = dask.compute(seen.sum(), (seen & ~domain).sum(), (seen & ~_with_coast(domain)).sum())
        number, outside, far = map(int, counts)
        if not outside:
            continue
        if not leave_out and (outside > _OUTSIDE * number or far > _FAR_OUTSIDE * number):
            inverted = " The mask seems to be inverted: turn it round." if outside > 0.8 * number else ""
            raise DataError(
                f"{outside} of the {number} observed values of {name!r} in {source} lie outside of its domain, {far} of them "
                f"farther than one cell: expected them inside.{inverted} Correct the domain, leave it out (the run knows its "
                "own), or pass --drop-outside to do without these values."
            )
        log.info(
            "%s: %d of %d observed values of %r lie outside of its domain (%d farther than one cell) and are not used",
            source, outside, number, name, far,
        )  # fmt: skip


def _with_coast(domain: xr.DataArray) -> xr.DataArray:
    """The domain and the cells beside it: up and down, around, and across corners."""
    for dim in (d for d in ("depth", "lat", "lon") if d in domain.dims):
        domain = domain | domain.shift({dim: 1}, fill_value=False) | domain.shift({dim: -1}, fill_value=False)
    return domain
