"""Declared units: converted to the one unit that the program uses for a quantity, and held against what is possible.

    value in canonical units = (value + offset) * scale                290.15 K -> 17 degC,  45 cm -> 0.45 m

    quantity (by standard_name, else by name)    unit      possible
    temperature of the sea                       degC      -5 .. 50
    temperature of air or of a surface           K         100 .. 400
    salinity                                     1e-3      0 .. 60
    sea level above the geoid or its mean        m         -30 .. 30
    ...                                          (`quantities`)

A variable that is none of these keeps its units; what the table does not know, `unit_library` may convert. One without units
is taken as it is: nothing was declared.
Depth from pressure is a unit too: dbar -> m (`depth_of_pressure`).
"""

__all__ = [
    "canonical_units",
    "in_units",
    "check_plausible",
    "convert",
    "depth_of_pressure",
    "pressure_of_depth",
    "relatives",
    "same_units",
]

import logging
import re
from collections.abc import Sequence

import numpy as np
import xarray as xr

from driftfield.conventions import state_variables
from driftfield.errors import DataError, suggest
from driftfield.gridded.quantities import quantity_of
from driftfield.gridded.unit_library import linear_conversion

log = logging.getLogger(__name__)


# unit -> (dimension, scale, offset): (value + offset) * scale is in the first unit of its dimension
_KELVIN = ("temperature", 1.0, -273.15)
_UNITS: dict[str, tuple[str, float, float]] = {
    **dict.fromkeys(("degc", "deg c", "c", "celsius", "degree c", "degrees c", "degree celsius", "degrees celsius"),
                    ("temperature", 1.0, 0.0)),
    **dict.fromkeys(("°c", "deg celsius", "celcius", "degree celcius", "degrees celcius", "centigrade",
                     "degree centigrade", "degrees centigrade", "c degrees"), ("temperature", 1.0, 0.0)),
    **dict.fromkeys(("k", "kelvin", "kelvins", "degk", "deg k", "degree k", "degrees k", "degree kelvin",
                     "degrees kelvin"), _KELVIN),
    **dict.fromkeys(("degf", "deg f", "f", "°f", "fahrenheit", "degree fahrenheit", "degrees fahrenheit", "degree f",
                     "degrees f"), ("temperature", 5 / 9, -32.0)),
    **dict.fromkeys(("1e-3", "0.001", "psu", "pss", "pss-78", "pss78", "g kg-1", "ppt", "permil", "per mil", "‰",
                     "practical salinity unit", "practical salinity units"), ("per mille", 1.0, 0.0)),
    **dict.fromkeys(("kg kg-1",), ("per mille", 1000.0, 0.0)),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), ("length", 1.0, 0.0)),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), ("length", 0.01, 0.0)),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), ("length", 0.001, 0.0)),
    **dict.fromkeys(("km", "kilometer", "kilometers", "kilometre", "kilometres"), ("length", 1000.0, 0.0)),
    **dict.fromkeys(("ft", "feet", "foot"), ("length", 0.3048, 0.0)),
    **dict.fromkeys(("m s-1", "meter per second", "meters per second", "metre per second", "metres per second"),
                    ("velocity", 1.0, 0.0)),
    **dict.fromkeys(("cm s-1",), ("velocity", 0.01, 0.0)),
    **dict.fromkeys(("mm s-1",), ("velocity", 0.001, 0.0)),
    **dict.fromkeys(("km h-1",), ("velocity", 1 / 3.6, 0.0)),
    **dict.fromkeys(("knot", "knots", "kt", "kts"), ("velocity", 1852 / 3600, 0.0)),
    **dict.fromkeys(("pa", "pascal", "pascals", "n m-2"), ("pressure", 1.0, 0.0)),
    **dict.fromkeys(("hpa", "mb", "mbar", "millibar", "millibars", "hectopascal", "hectopascals"),
                    ("pressure", 100.0, 0.0)),
    **dict.fromkeys(("kpa", "kilopascal"), ("pressure", 1000.0, 0.0)),
    **dict.fromkeys(("dbar", "decibar", "decibars", "db"), ("pressure", 1e4, 0.0)),
    **dict.fromkeys(("bar", "bars"), ("pressure", 1e5, 0.0)),
    **dict.fromkeys(("1", "fraction", "(0 - 1)", "0-1"), ("share", 1.0, 0.0)),
    **dict.fromkeys(("%", "percent", "per cent"), ("share", 0.01, 0.0)),
}  # fmt: skip
_PARTS = {
    "_error": True,
    "_sd": True,
    "_member": False,
    "_quantile": False,
    "_lower": False,
    "_upper": False,
}
"""What lies beside a variable in its units, and whether it is a difference, which has no zero of its own."""


# practical salinity has no dimension: CF gives it the unit 1
_SAME = {("share", "per mille"): "1"}


def convert(array: xr.DataArray, to: str, *, difference: bool = False) -> xr.DataArray:
    """The same field in other units, lazily where it is lazy.

    Arguments:
        array: Says its units in its attributes.
        to: The units wanted.
        difference: It is a difference or a standard deviation: scaled, not shifted.

    Returns:
        The converted array, `units` set to `to` and `units_of_file` to what the file declared.

    Raises:
        DataError: no units, unknown ones, or ones that measure something else.
    """
    stated = str(array.attrs.get("units", "")).strip()
    name = array.name if array.name is not None else "The field"
    if not stated:
        raise DataError(f"{name!r} declares no units: expected {to!r} or what converts to it. Set its attribute units.")
    if _spelled(stated) == _spelled(to):
        return array.assign_attrs(units=to)
    source, target = _UNITS.get(_spelled(stated)), _UNITS.get(_spelled(to))
    if source is None or target is None:
        linear = linear_conversion(stated, to)
        if linear is not None:
            return _scaled(array, linear[0], 0.0 if difference else linear[1], to, stated)
        unknown = stated if source is None else to
        raise DataError(
            f"Unknown units {unknown!r} of {name!r}: {suggest(unknown, _alternatives(to))} Correct the attribute units "
            "(or remove it, to take the numbers as they are)."
        )
    if source[0] != target[0]:
        if _spelled(stated) == _SAME.get((source[0], target[0])):
            return array.assign_attrs(units=to)
        raise DataError(
            f"{name!r} has the units {stated!r}, which do not convert to {to!r}: {suggest(stated, _alternatives(to))} "
            "Correct the attribute units, or choose another variable."
        )
    scale = source[1] / target[1]
    offset = 0.0 if difference else source[2] * source[1] / target[1] - target[2]
    return _scaled(array, scale, offset, to, stated)


def _scaled(array: xr.DataArray, scale: float, offset: float, to: str, found: str) -> xr.DataArray:
    if abs(scale - 1.0) < 1e-12 and offset == 0.0:
        return array.assign_attrs(units=to)
    converted = (array * _like(array, scale) + _like(array, offset)).assign_attrs(array.attrs)
    return converted.assign_attrs(units=to, units_of_file=found)


def same_units(first: str, other: str) -> bool:
    """Whether two texts are the same unit to the program's own table: 'psu' and '1e-3', 'm/s' and 'm s-1'."""
    if _spelled(first) == _spelled(other):
        return True
    source, target = _UNITS.get(_spelled(first)), _UNITS.get(_spelled(other))
    return source is not None and source == target


def relatives(units: str) -> dict[str, tuple[float, float]]:
    """Units that values may be in by mistake: name -> (scale, offset) that bring them to `units`; of one dimension only."""
    target = _UNITS.get(_spelled(units))
    if target is None:
        return {}
    named = ("degC", "K", "degF", "1e-3", "kg kg-1", "m", "cm", "mm", "km", "ft", "m s-1", "cm s-1", "mm s-1", "km h-1", "knot",
             "Pa", "hPa", "kPa", "dbar", "bar", "1", "%")  # fmt: skip
    return {
        name: (source[1] / target[1], source[2] * source[1] / target[1] - target[2])
        for name in named
        if (source := _UNITS[_spelled(name)])[0] == target[0] and source != target
    }


def canonical_units(
    dataset: xr.Dataset, *, asked: Sequence[str] | None = None, source: str = "the data set"
) -> xr.Dataset:
    """Converts every variable that we know, with its error, spread and members, to the program's units.

    Arguments:
        dataset: Canonical axes.
        asked: Variables that the user named: unknown units of one of these are an error, of others a line in the log.
        source: What messages call the data set.

    Raises:
        DataError: a variable that was asked for has units that do not convert.
    """
    changed: dict[str, xr.DataArray] = {}
    for name in state_variables(dataset):
        array = dataset[name]
        quantity = quantity_of(array)
        if quantity is None or not str(array.attrs.get("units", "")).strip():
            changed |= _parts_in_units(dataset, name, str(array.attrs.get("units", "")).strip(), source)
            continue
        try:
            changed[name] = convert(array, quantity.units)
        except DataError as error:
            if name in (asked or ()):
                raise DataError(f"{source}: {error}") from error
            log.info("%s: %r keeps its units: %s", source, name, error)
            continue
        declared = array.attrs["units"]
        for part, difference in _PARTS.items():
            if (label := f"{name}{part}") in dataset:
                own = dataset[label] if "units" in dataset[label].attrs else dataset[label].assign_attrs(units=declared)
                changed[label] = convert(own, quantity.units, difference=difference)
    return dataset.assign(changed)


def in_units(dataset: xr.Dataset, name: str, units: str) -> xr.Dataset:
    """A variable and its errors, spread, members and quantiles in other units.

    Raises:
        DataError: they do not convert.
    """
    declared = str(dataset[name].attrs.get("units", "")).strip()
    changed = {name: convert(dataset[name], units)}
    for part, difference in _PARTS.items():
        if (label := f"{name}{part}") in dataset:
            own = dataset[label] if dataset[label].attrs.get("units") else dataset[label].assign_attrs(units=declared)
            changed[label] = convert(own, units, difference=difference)
    return dataset.assign(changed)


def _parts_in_units(dataset: xr.Dataset, name: str, units: str, source: str) -> dict[str, xr.DataArray]:
    """Errors, spreads and members of a variable in its own units, where they state others."""
    changed = {}
    for part, difference in _PARTS.items():
        array = dataset.get(f"{name}{part}")
        stated = "" if array is None else str(array.attrs.get("units", "")).strip()
        if array is None or not stated or not units or same_units(stated, units):
            continue
        try:
            changed[f"{name}{part}"] = convert(array, units, difference=difference)
        except DataError as error:
            raise DataError(f"{source}: {error}") from error
    return changed


def check_plausible(
    array: xr.DataArray, name: str | None = None, *, inside: xr.DataArray | None = None, source: str = ""
) -> None:
    """Refuses infinite numbers, and values that are impossible in the units that the variable declares.

    A large field that is not in memory is looked at in its first, middle and last time only.

    Arguments:
        array: In canonical units, or as a file has it.
        name: What messages call it, if not `array.name`.
        inside: Where the variable exists (boolean); nothing else is looked at. Everywhere if not given.
        source: The file it comes from, for the message.

    Raises:
        DataError: one such value, with the variable, its units and the range; or units that do not convert.
    """
    name = str(array.name if name is None else name)
    where = f" in {source}" if source else ""
    if array.dtype.kind not in "fiu" or array.size == 0:
        return
    if array.chunks is not None and "time" in array.dims and array.nbytes > 2**28:
        array = array.isel(time=sorted({0, array.sizes["time"] // 2, array.sizes["time"] - 1}))
    smallest, largest = _extremes(array, inside)
    if np.isinf([smallest, largest]).any():
        raise DataError(f"{name!r}{where} holds infinite numbers. Write NaN where a value is missing.")
    quantity = quantity_of(array, name)
    units = str(array.attrs.get("units", "")).strip()
    if quantity is None or not units:
        return
    ends = xr.DataArray([smallest, largest], name=name, attrs=array.attrs)
    low, high = convert(ends, quantity.units).values
    if low < quantity.low or high > quantity.high:
        worst, text = (high, "reaches") if high > quantity.high else (low, "goes down to")
        declared = array.attrs.get("units_of_file", units)
        raise DataError(
            f"{name!r}{where} {text} {worst:g} {quantity.units} ({declared!r} declared), impossible for the "
            f"{quantity.name}: expected {quantity.low:g} to {quantity.high:g} {quantity.units}. Correct the attribute "
            "units, or declare the number that stands for missing as _FillValue."
        )


def _extremes(array: xr.DataArray, inside: xr.DataArray | None) -> tuple[float, float]:
    """Least and greatest value, NaN if there is none; block by block, so that a large field is never copied as a whole."""
    dim = array.dims[0] if array.ndim else None
    step = max(1, int(2**26 // max(array.nbytes // max(array.shape[0], 1), 1))) if array.ndim else 1
    smallest, largest = np.nan, np.nan
    for start in range(0, array.shape[0] if array.ndim else 1, step):
        block = array if dim is None else array.isel({dim: slice(start, start + step)})
        if inside is not None:
            block = block.where(inside if dim not in inside.dims else inside.isel({dim: slice(start, start + step)}))
        values = block.values
        # fmin and fmax leave NaN out, and stay silent where there is nothing else
        smallest = float(np.fmin(smallest, np.fmin.reduce(values, axis=None)))
        largest = float(np.fmax(largest, np.fmax.reduce(values, axis=None)))
    return smallest, largest


def depth_of_pressure(pressure: np.ndarray, latitude: np.ndarray | float) -> np.ndarray:
    """Depth in metres of a pressure in dbar, for an ocean at 0 degC and a standard salinity (TEOS-10, by `gsw`).

    True densities change it by a few metres at most.

    Arguments:
        pressure: dbar, 0 at the surface.
        latitude: Degrees.
    """
    import gsw

    return np.asarray(-gsw.z_from_p(np.asarray(pressure, dtype=np.float64), latitude))


def pressure_of_depth(depth: np.ndarray, latitude: np.ndarray | float) -> np.ndarray:
    """The inverse of `depth_of_pressure`: dbar of metres."""
    import gsw

    return np.asarray(gsw.p_from_z(-np.asarray(depth, dtype=np.float64), latitude))


def _spelled(units: str) -> str:
    """One spelling of a unit: 'Degrees_C', 'deg. C', 'm/s', 'm.s**-1' -> 'degrees c', 'deg c', 'm s-1', 'm s-1'."""
    text = units.strip().lower().replace("_", " ").replace("**", "").replace("^", "")
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", " ", text)
    text = re.sub(r"\s*(?:/|\bper\b)\s*(s|sec|second|kg|h|hr|hour)\b", r" \1-1", text)
    text = re.sub(r"\b(?:sec|second)-?1\b", "s-1", text).replace("hr-1", "h-1").replace("hour-1", "h-1")
    return " ".join(text.split())


def _alternatives(to: str) -> list[str]:
    wanted = _UNITS.get(_spelled(to))
    return [to] if wanted is None else sorted({to} | {u for u, known in _UNITS.items() if known[0] == wanted[0]})[:12]


def _like(array: xr.DataArray, number: float) -> np.generic | float:
    """A number that does not widen a float32 field."""
    return array.dtype.type(number) if array.dtype.kind == "f" else number
