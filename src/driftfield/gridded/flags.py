"""Quality flags beside gridded fields (CF 3.5): what they reject is missing, and they are never taken for fields.

    flag of a variable    named by its `ancillary_variables`, called <variable>_qc, _flag, _quality ...,
                          qual_<variable>, or one for all on its axes, such as GHRSST's `quality_level` and `l2p_flags`
    rejected              where the meaning of its value says bad, invalid, no data, land, cloud ...
                          without meanings: quality_level below 2 (GHRSST), _qc of 3, 4 and 9 (Argo, IODE),
                          qual_<variable> above 2 (NASA: 0 is the best)
                          or as somebody asks (`acceptance`)
    codes in the field    a packed variable with `flag_values` of its own (sea ice: 254 is land): these are no values

A flag whose meaning nobody stated is not used, and a line says so.
"""

__all__ = ["flag_bits", "flag_meanings", "honour_flags", "is_flag"]

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import is_mask
from driftfield.gridded.acceptance import LEVELS, USUAL, Acceptance
from driftfield.gridded.removal import remove

log = logging.getLogger(__name__)

_SUFFIX = re.compile(r"(?i)(.+?)_(qc|qc_flag|flag|flags|quality|quality_flag|quality_level|status_flag)$")
_PREFIX = re.compile(r"(?i)qual_(.+)")
_FOR_ALL = re.compile(r"(?i)quality_level|l2p_flags|l2_flags|quality_flags?|qc_flags?|status_flags?|qc|dqf|flags?")
_REJECTED = re.compile(
    r"bad|invalid|no_?data|no_?value|missing|erroneous|\berror|fail|reject|unusable|unreliable|not_valid|not_usable"
    r"|not_good|saturat|cloud|contaminat|out_of_|outside|spike|\bland\b|on_land|over_land|do_not_use|not_retrieved|unphysical"
)
_ACCEPTED = re.compile(
    r"\bno_(cloud|land|error|spike|bad|fail|contaminat)|not_(land|cloud|bad|contaminated|reject|fail|erroneous|invalid)"
    r"|cloud_?(free|less)|clear|without_|non_?cloud|good"
)
_GHRSST_WORST = 2
_NASA_WORST = 2
_IODE_REJECTED = (3, 4, 9)


@dataclass(frozen=True)
class _Rejection:
    """Where a flag rejects, and what its values are called that do."""

    wrong: xr.DataArray
    what: str


def is_flag(array: xr.DataArray, name: str) -> bool:
    """Whether a variable holds flags and measures nothing; masks of land and sea are no flags.

    Arguments:
        array: As xarray decoded it.
        name: Its name in the file.
    """
    if is_mask(name) or "scale_factor" in array.encoding or "add_offset" in array.encoding:
        return False
    whole = np.dtype(array.encoding.get("dtype", array.dtype)).kind in "iubSUO"
    if {"flag_meanings", "flag_masks", "flag_values"} & set(array.attrs):
        return True
    standard = str(array.attrs.get("standard_name", ""))
    if standard.endswith(("status_flag", "quality_flag")):
        return True
    named = _FOR_ALL.fullmatch(name) or _SUFFIX.fullmatch(name) or _PREFIX.fullmatch(name)
    return whole and named is not None and str(array.attrs.get("units", "1")).strip() in ("", "1")


def honour_flags(
    dataset: xr.Dataset,
    *,
    asked: Sequence[str] = (),
    source: str = "the data set",
    acceptance: Acceptance = USUAL,
) -> xr.Dataset:
    """The data set without flags, and with NaN where they reject a value; lazily where it is lazy.

    Arguments:
        dataset: As xarray decoded it, any axes.
        asked: Variables that the user named: they stay, whatever they are.
        source: What messages call it.
        acceptance: What is accepted, where the usual is not wanted.
    """
    flags = [str(n) for n, a in dataset.data_vars.items() if is_flag(a, str(n)) and str(n) not in asked]
    dataset = dataset.assign({n: _as_numbers(dataset[n]) for n in flags if dataset[n].dtype.kind not in "biuf"})
    rejections = {name: _rejection(dataset[name], name, acceptance) for name in flags}
    unused = dict.fromkeys(name for name, rejection in rejections.items() if rejection is None)
    for name in [str(n) for n, a in dataset.data_vars.items() if a.dtype.kind == "f" and str(n) not in flags]:
        for flag in _flags_of(dataset, name, flags):
            rejection = rejections[flag]
            if rejection is not None:
                dataset = remove(dataset, name, rejection.wrong, 2, f"({flag}: {rejection.what})")
        codes = _codes_in(dataset[name])
        if codes is not None:
            dataset = remove(dataset, name, codes.wrong, 2, f"({codes.what})")
    if unused:
        log.info(
            "%s: %s say nothing that rejects a value: flags that are not used", source, ", ".join(map(repr, unused))
        )
    return dataset.drop_vars(flags)


def _flags_of(dataset: xr.Dataset, name: str, flags: Sequence[str]) -> list[str]:
    """The flags of a variable: those it names, those named after it, and those for all on its axes."""
    if re.search(r"_(error|domain|held_out|removed|bnds|bounds)$", name) or dataset[name].ndim < 2:
        return []
    beside = [flag for flag in flags if set(dataset[flag].dims) <= set(dataset[name].dims)]
    named = str(dataset[name].attrs.get("ancillary_variables", "")).split()
    of_variable = [flag for flag in beside if flag in named]
    for flag in beside:
        match = _SUFFIX.fullmatch(flag) or _PREFIX.fullmatch(flag)
        own = match is not None and match[1].lower() == name.lower()
        of_all = _FOR_ALL.fullmatch(flag) is not None and _is_about(dataset, flag, name)
        if (own or of_all) and flag not in of_variable:
            of_variable.append(flag)
    return of_variable


def _is_about(dataset: xr.Dataset, flag: str, name: str) -> bool:
    """A flag with a standard name, such as `sea_surface_temperature status_flag`, is about that quantity, if the file has it."""
    quantity = re.sub(r"[ _]?(status_flag|quality_flag)$", "", str(dataset[flag].attrs.get("standard_name", "")))
    having = [str(n) for n, a in dataset.data_vars.items() if quantity and a.attrs.get("standard_name") == quantity]
    return not having or name in having


def _rejection(flag: xr.DataArray, name: str, acceptance: Acceptance) -> _Rejection | None:
    """Where the flag rejects; None if nothing that it can say rejects."""
    lowered = name.lower()
    least = acceptance.quality_level
    if lowered.endswith(LEVELS) and least is not None:
        # what states no level is not accepted where one is asked for
        return _Rejection(~(flag >= least), f"below {least}, as asked")
    if bits := flag_bits(flag):
        chosen = [word for word in bits if _rejects(word) or acceptance.rejects(word)]
        if not chosen:
            return None
        wrong = xr.zeros_like(flag, dtype=bool)
        for word in chosen:
            wrong = wrong | bits[word]
        return _Rejection(wrong, ", ".join(chosen))
    if lowered.endswith(LEVELS):
        return _Rejection(flag < _GHRSST_WORST, f"below {_GHRSST_WORST}, as GHRSST means it")
    if _PREFIX.fullmatch(name):
        return _Rejection(flag > _NASA_WORST, f"above {_NASA_WORST}, as NASA means it")
    if lowered.endswith("_qc") and flag.dtype.kind in "iuf":
        return _Rejection(
            flag.isin(_IODE_REJECTED), f"{', '.join(map(str, _IODE_REJECTED))}, as Argo and IODE mean them"
        )
    return None


def flag_meanings(dataset: xr.Dataset) -> dict[str, list[str]]:
    """The flags of a file, as opened, and what they can say."""
    return {
        str(n): str(a.attrs.get("flag_meanings", "")).replace(",", " ").split()
        for n, a in dataset.data_vars.items()
        if is_flag(a, str(n))
    }


def flag_bits(flag: xr.DataArray) -> dict[str, xr.DataArray]:
    """Where a flag has each of its meanings (boolean); empty if the file does not say what its values mean."""
    meanings = str(flag.attrs.get("flag_meanings", "")).replace(",", " ").split()
    values, masks = (_numbers(flag, key) for key in ("flag_values", "flag_masks"))
    number = _whole(flag) if masks else flag
    if masks:
        bits = zip(meanings, values or masks, masks, strict=False)
        return {word: (number & mask) == value for word, value, mask in bits}
    return {word: flag == value for word, value in zip(meanings, values, strict=False)}


def _as_numbers(flag: xr.DataArray) -> xr.DataArray:
    """Digits as the numbers that they spell; anything else is no flag (NaN). Text is read at once: flags of text are small."""

    def number(text: Any) -> float:
        try:
            return float(text.decode() if isinstance(text, bytes) else text)
        except (ValueError, TypeError, UnicodeDecodeError):
            return np.nan

    values = np.array([number(text) for text in flag.values.ravel().tolist()], dtype=np.float32)
    return flag.copy(data=values.reshape(flag.shape))


def _rejects(meaning: str) -> bool:
    word = meaning.lower().replace("-", "_")
    # "probably_good" is no rejection, and "bad_data_that_are_potentially_correctable" is one
    without = _ACCEPTED.sub("", word)
    return _REJECTED.search(without.replace("_", " ").replace(" ", "_")) is not None or "land" in without.split("_")


def _codes_in(array: xr.DataArray) -> _Rejection | None:
    """Values of a packed field that are no values, such as 254 for land."""
    packed = {"scale_factor", "add_offset"} & set(array.encoding)
    values = _numbers(array, "flag_values")
    if not packed or not values:
        return None
    scale, offset = float(array.encoding.get("scale_factor", 1)), float(array.encoding.get("add_offset", 0))
    wrong = xr.zeros_like(array, dtype=bool)
    for value in values:
        wrong = wrong | (abs(array - (value * scale + offset)) < 0.5 * abs(scale))
    return _Rejection(wrong, f"its own {str(array.attrs.get('flag_meanings', '')).replace(' ', ', ') or 'flag_values'}")


def _numbers(flag: xr.DataArray, key: str) -> list[int]:
    """`flag_values` or `flag_masks` as whole numbers, unsigned where the variable is."""
    stated = flag.attrs.get(key)
    if stated is None:
        return []
    try:
        numbers = [
            int(float(one)) for one in (stated.split() if isinstance(stated, str) else np.atleast_1d(stated).tolist())
        ]
    except (TypeError, ValueError):
        return []
    stored = np.dtype(flag.encoding.get("dtype", flag.dtype))
    bits = 8 * stored.itemsize
    unsigned = stored.kind == "u" or str(flag.encoding.get("_Unsigned", "")).lower() == "true" or key == "flag_masks"
    return [number + 2**bits if unsigned and number < 0 and stored.kind in "iu" else number for number in numbers]


def _whole(flag: xr.DataArray) -> xr.DataArray:
    """Bits of a flag that xarray may have decoded to floats; a missing flag has none."""
    bits = 8 * np.dtype(flag.encoding.get("dtype", flag.dtype)).itemsize
    whole = (flag.fillna(0) if flag.dtype.kind == "f" else flag).astype(np.int64)
    return whole & (2 ** min(bits, 62) - 1)
