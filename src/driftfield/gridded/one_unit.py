"""One unit for every variable of several files: what is joined is converted or refused, also a quantity that no table knows.

all files say the same unit      joined
another text                     converted to the unit of the first file that states one (`units`), or refused
some files say none              their values are held against those of the first file that does (`measures`)
"""

__all__ = ["in_one_unit"]

import logging
from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from driftfield.conventions import state_variables
from driftfield.errors import DataError
from driftfield.gridded.measures import Measures
from driftfield.gridded.units import in_units, same_units

log = logging.getLogger(__name__)


def in_one_unit(parts: Sequence[xr.Dataset], paths: Sequence[Path]) -> list[xr.Dataset]:
    """The files with every variable in the unit of the first of them that states one.

    Arguments:
        parts: Canonical data sets, one per file.
        paths: What messages call them.

    Raises:
        DataError: units that do not convert, or values without a unit that are in another one, to all appearances.
    """
    changed = list(parts)
    for name in dict.fromkeys(n for part in parts for n in state_variables(part)):
        stated = [_units(part, name) for part in parts]
        if len({*(units for part, units in zip(parts, stated, strict=True) if name in part)}) < 2:
            continue
        first = next(index for index, units in enumerate(stated) if units)
        measures = Measures.fit(parts[first], [name], origin=str(paths[first])) if _some_silent(parts, name) else None
        converted, silent = [], []
        for index, part in enumerate(parts):
            if name not in part or stated[index] == stated[first]:
                continue
            if stated[index]:
                changed[index] = _converted(changed[index], name, stated[first], paths[index], paths[first])
                converted.append(index)
            elif measures is not None:
                measures.check_scale(name, part[name], str(paths[index]))
                silent.append(index)
                changed[index] = changed[index].assign({name: part[name].assign_attrs(units=stated[first])})
        _say(name, stated[first], converted, silent, paths)
    return changed


def _units(part: xr.Dataset, name: str) -> str:
    return str(part[name].attrs.get("units", "")).strip() if name in part else ""


def _some_silent(parts: Sequence[xr.Dataset], name: str) -> bool:
    return any(name in part and not _units(part, name) for part in parts)


def _converted(part: xr.Dataset, name: str, units: str, path: Path, first: Path) -> xr.Dataset:
    if same_units(_units(part, name), units):
        return part.assign({name: part[name].assign_attrs(units=units)})
    try:
        return in_units(part, name, units)
    except DataError as error:
        raise DataError(
            f"{name!r} is in {_units(part, name)!r} in {path}, and in {units!r} in {first}. {error}"
        ) from error


def _say(name: str, units: str, converted: list[int], silent: list[int], paths: Sequence[Path]) -> None:
    """One line per variable and rule, however many files there are."""
    for files, text in ((converted, "is converted to"), (silent, "declares no units: taken as")):
        if files:
            more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
            log.info("%s%s: %r %s %s, as the others say", paths[files[0]], more, name, text, units)
