"""From anybody's data set or file to a record: the variable, its dates, its domain, its errors; what is assumed is said.

domain    the file's (`domain`, `<variable>_domain`, `mask`), or another file's, else every cell that was ever seen; of one image
          without a mask every cell of the grid
time      an image without a date is given one; the dates of the record are the dates of the output
vectors   the two components are known by their names, or named together; each has the other for its partner
"""

__all__ = ["SHIPPED", "UNDATED", "Selection", "read_record", "read_records"]

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import DIMS, domain_of, error_of, state_variables, vector_pairs_of
from driftfield.data.domain_files import add_domain
from driftfield.data.named_otherwise import with_named_error, with_own_mask
from driftfield.data.observation_files import complete_errors
from driftfield.data.sources import select_time
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.filling.quantity import recognise
from driftfield.filling.record import Record
from driftfield.gridded.acceptance import USUAL, Acceptance
from driftfield.gridded.axes import canonical
from driftfield.gridded.gridded_files import open_fields
from driftfield.gridded.region import select_region
from driftfield.gridded.removal import count_removed
from driftfield.gridded.sentinels import without_still_land
from driftfield.gridded.units import canonical_units, check_plausible
from driftfield.plain import JSONObject

log = logging.getLogger(__name__)

SHIPPED = "shipped:"
"""What the name of a scene that comes with the package begins with."""

UNDATED = np.datetime64("2000-01-01", "ns")
"""The date of an image that has none."""


@dataclass(frozen=True)
class Selection:
    """Which part of a file is read, and what of it counts.

    Arguments:
        region: `{lat: [a, b], lon: [a, b]}`.
        time: [first, last] date.
        domain: A file that says where the field exists.
        acceptance: Which quality flags reject a value; of files only.
    """

    region: Mapping[str, Sequence[float]] | None = None
    time: Sequence[Any] | None = None
    domain: str | Path | None = None
    acceptance: Acceptance = USUAL


def read_record(
    source: xr.Dataset | xr.DataArray | str | Path, variable: str | None = None, **selection: Any
) -> Record:
    """Reads what is to be filled: one variable, see `read_records`."""
    return read_records(source, variable, **selection)[0]


def read_records(
    source: xr.Dataset | xr.DataArray | str | Path, variable: str | None = None, **chosen_by: Any
) -> tuple[Record, ...]:
    """Reads what is to be filled: one variable, or both components of a vector, each of which has the other for its partner.

    Arguments:
        source: A data set, a field, a file that `open_fields` reads, or `shipped:sst_scene`.
        variable: Which one, or `u,v`; may be left out where there is one, or a vector and nothing else.
        chosen_by: region, time, domain, acceptance: see `Selection`.

    Raises:
        DataError: nothing to fill, nothing seen, or a variable that is not there.
        TypeError: a selection by another name.
    """
    selection = Selection(**chosen_by)
    label = str(source) if isinstance(source, str | Path) else "the data set"
    if isinstance(source, str) and source.startswith(SHIPPED):
        source = _shipped(source.removeprefix(SHIPPED))
        label = str(source)
    dataset = _opened(source, label, selection.acceptance)
    names = _variables(dataset, variable, label)
    pair = names if len(names) == 2 else next((p for p in vector_pairs_of(dataset) if names[0] in p), None)
    name, *partner = [*names, *(n for n in pair or () if n not in names)]
    dated = "time" in dataset[name].dims
    if not dated:
        log.info("%s has no time axis: taken as one image", label)
        dataset = dataset.drop_vars("time", errors="ignore").expand_dims(time=[UNDATED])
        dataset = dataset.assign({n: a.isel(time=0) for n, a in dataset.data_vars.items() if n in ("domain", "mask")})
    chosen = _selected(dataset, [name, *partner], label, selection)
    record = _record(chosen, name, dated, label, selection)
    if not partner or pair is None:
        return (record,)
    if len(names) == 1 and not bool(chosen[partner[0]].notnull().any()):
        log.warning("%s, the other component of %s, has no value here: %s is filled alone", partner[0], name, name)
        return (record,)
    other = _record(chosen, partner[0], dated, label, selection)
    if other.field.dims != record.field.dims or other.quantity.logarithm or record.quantity.logarithm:
        raise DataError(
            f"{name!r} {record.field.dims} and {partner[0]!r} {other.field.dims} in {label} are no vector: expected two "
            "components with the same axes, of either sign. Name one variable."
        )
    log.info("%s and %s are taken for the components of a vector, eastward and northward", *pair)
    both = [replace(a, partner=b, pair=pair) for a, b in ((record, other), (other, record))]
    return tuple(both[: len(names)])


def _shipped(name: str) -> Path:
    """The file of a scene that comes with the package."""
    folder = Path(str(files("driftfield"))) / "shipped"
    known = {path.stem: path for path in sorted(folder.glob("*.nc"))}
    if name not in known:
        raise ConfigurationError(f"No shipped scene {name!r}: {suggest(name, known)}")
    return known[name]


def _opened(source: xr.Dataset | xr.DataArray | str | Path, label: str, acceptance: Acceptance) -> xr.Dataset:
    """With canonical axes and units."""
    if isinstance(source, str | Path):
        return open_fields(source, marks=True, acceptance=acceptance)
    if not isinstance(source, xr.Dataset | xr.DataArray):
        raise DataError(
            f"Found {type(source).__name__}: expected an xarray.Dataset, an xarray.DataArray or the name of a file. Give "
            "the array its latitudes and longitudes: xr.DataArray(array, coords={'lat': lat, 'lon': lon}, dims=('lat', 'lon'))."
        )
    dataset = source.to_dataset(name=source.name or "field") if isinstance(source, xr.DataArray) else source
    return canonical_units(canonical(dataset, source=label), source=label)


def _variables(dataset: xr.Dataset, asked: str | None, label: str) -> tuple[str, ...]:
    """The variable to fill, or the two components of a vector: named, or nothing else is there."""
    if asked is not None and "," in asked and asked not in dataset:
        both = tuple(name.strip() for name in asked.split(","))
        if len(set(both)) != 2:
            raise ConfigurationError(
                f"Found --variable {asked}: expected one name, or eastward,northward of a vector. Fill others one by one."
            )
        return tuple(_variable(dataset, name, label) for name in both)
    gridded = [n for n in state_variables(dataset) if n != "mask" and dataset[n].dtype.kind == "f"]
    pairs = vector_pairs_of(dataset)
    if asked is None and len(pairs) == 1 and set(pairs[0]) == set(gridded):
        return pairs[0]
    return (_variable(dataset, asked, label),)


def _variable(dataset: xr.Dataset, asked: str | None, label: str) -> str:
    """The variable to fill: named, or the only one with gaps."""
    names = [n for n in state_variables(dataset) if n != "mask" and dataset[n].dtype.kind == "f"]
    if asked is None and len(names) == 2:
        # one of two may be the error of the other
        names = [n for n in names if f"{n}_error" in with_named_error(dataset[names], n, label)] or names
    if asked is not None:
        if asked not in names:
            raise DataError(f"No variable {asked!r} to fill in {label}: {suggest(asked, names)}")
        return asked
    whole = [n for n in state_variables(dataset) if n != "mask" and dataset[n].dtype.kind in "iub"]
    if not names and whole:
        raise DataError(
            f"{', '.join(whole)} in {label} holds whole numbers, which cannot say what is missing: convert it to "
            "floating point, with NaN where nothing was seen."
        )
    if not names:
        raise DataError(f"No variable with lat and lon in {label}: found {sorted(map(str, dataset))}. Check the file.")
    if len(names) > 1:
        raise DataError(f"{label} holds {len(names)} variables, {', '.join(names)}: name one with --variable.")
    return names[0]


def _selected(dataset: xr.Dataset, names: Sequence[str], label: str, selection: Selection) -> xr.Dataset:
    """Some variables on a part of the grid and of the dates, in memory, with their errors and where they exist."""
    for name in names:
        dataset = with_named_error(dataset, name, label)
    dataset = with_own_mask(dataset, list(names), label)
    beside = [f"{name}_{what}" for name in names for what in ("error", "domain", "removed")]
    dataset = dataset[[*names, *(n for n in ("domain", *beside) if n in dataset)]]
    if selection.domain is not None:
        dataset = add_domain(dataset, open_fields(selection.domain), source=str(selection.domain))
    dataset = select_region(dataset, selection.region or {})
    if selection.time is not None:
        dataset = select_time(dataset, selection.time)
    chosen, _ = count_removed(dataset.load(), list(names), label)
    for name in names:
        if domain_of(chosen, name) is None:
            chosen[name] = without_still_land(chosen[name], label)
    return complete_errors(chosen, label)


def _in_words(selection: Selection) -> JSONObject:
    """What was asked for, as a record keeps it."""
    asked: JSONObject = {
        "region": dict(selection.region or {}),
        "time": list(selection.time or []),
        "domain": "" if selection.domain is None else str(selection.domain),
        "quality_level": selection.acceptance.quality_level,
        "reject_flags": [*selection.acceptance.reject],
    }
    return {key: value for key, value in asked.items() if value not in ("", None, [], {})}


def _record(dataset: xr.Dataset, name: str, dated: bool, label: str, selection: Selection) -> Record:
    odd = [str(d) for d in dataset[name].dims if d not in DIMS]
    if odd:
        raise DataError(f"{name!r} in {label} has the dimension(s) {odd}: select one element of each first.")
    field = dataset[name].transpose(*(d for d in DIMS if d in dataset[name].dims)).astype(np.float32)
    domain = _domain(dataset, name, field, label)
    outside = int((field.notnull() & ~domain).sum())
    if outside:
        log.warning("%d values of %s lie outside the domain: not looked at", outside, name)
    field = field.where(domain)
    if not bool(field.notnull().any()):
        raise DataError(f"{name!r} in {label} has no value here. Check the variable, the region and the dates.")
    check_plausible(field, inside=domain, source=label)
    quantity = recognise(field)
    if quantity.said:
        log.info("%s", quantity.said)
    filled_as = field.copy(data=quantity.forward(field.values).astype(np.float32))
    error = error_of(dataset, name)
    if error is not None:
        error = error.transpose(*(d for d in DIMS if d in error.dims)).fillna(0.0).astype(np.float32)
        if quantity.logarithm:
            with np.errstate(invalid="ignore", divide="ignore"):
                slope = np.maximum(field, quantity.floor) * np.log(10.0)
            error = (error / slope).fillna(0.0)
    return Record(filled_as, field, domain, error, quantity, dated, label, selection=_in_words(selection))


def _domain(dataset: xr.Dataset, name: str, field: xr.DataArray, label: str) -> xr.DataArray:
    """Boolean ([depth,] lat, lon)."""
    dims = [d for d in ("depth", "lat", "lon") if d in field.dims]
    stated = domain_of(dataset, name)
    if stated is not None:
        stated = stated.isel(time=0, drop=True) if "time" in stated.dims else stated
        if "depth" in dims and "depth" not in stated.dims:
            stated = stated & field.notnull().any("time")
        return stated.transpose(*dims).rename("domain")
    ever = field.notnull().any("time")
    if field.sizes["time"] == 1:
        log.info("%s says nowhere what is land: every cell of the image is filled (--domain FILE names a mask)", label)
        return xr.ones_like(ever, dtype=bool).transpose(*dims).rename("domain").drop_attrs()
    never = int((~ever).sum())
    if never:
        log.info(
            "%s says nowhere what is land: %d of %d cells were never seen and are taken for it (--domain FILE names a mask)",
            label,
            never,
            ever.size,
        )
    return ever.transpose(*dims).rename("domain").drop_attrs()
