"""Quantities whose units are told by their standard name, long name or name, with the range that is plausible."""

__all__ = ["QUANTITIES", "PhysicalQuantity", "quantity_of"]

import re
from dataclasses import dataclass

import xarray as xr


@dataclass(frozen=True)
class PhysicalQuantity:
    """Something that can be measured.

    Arguments:
        name: What messages call it.
        units: The unit that the program uses.
        low, high: What is possible, in this unit; generous, so that only a wrong unit or a fill value falls outside.
        standard_names: Pattern of CF standard names.
        names: Pattern of variable names, for files without standard names.
    """

    name: str
    units: str
    low: float
    high: float
    standard_names: str
    names: str


QUANTITIES = (
    PhysicalQuantity(
        "temperature of the sea",
        "degC",
        -5.0,
        50.0,
        r"sea_(water|surface)(_\w+)?_temperature(_at_sea_floor)?",
        r"thetao|bigthetao|tos|sst|analysed_sst|votemper|sosstsst|bottomt|sea_(water|surface)_temperature",
    ),
    PhysicalQuantity(
        "temperature of air or of a surface",
        "K",
        100.0,
        400.0,
        r"(air|surface|land_surface_skin)_temperature",
        r"t2m|tas|air_temperature|surface_temperature|skt",
    ),
    PhysicalQuantity(
        "salinity",
        "1e-3",
        0.0,
        60.0,
        r"sea_(water|surface)(_\w+)?_salinity(_at_sea_floor)?",
        r"so|sos|sss|psal|salt|salinity|vosaline",
    ),
    PhysicalQuantity(
        "sea level",
        "m",
        -30.0,
        30.0,
        r"sea_surface_(height|elevation)_above_(geoid|sea_level|mean_sea_level)|sea_surface_elevation",
        r"zos|adt|sla|msla|sossheig",
    ),
    PhysicalQuantity("height of the sea surface", "m", -120.0, 120.0, r"sea_surface_height_above_\w*ellipsoid", r"ssh"),
    PhysicalQuantity(
        "velocity of the sea",
        "m s-1",
        -20.0,
        20.0,
        r"\w*sea_(water|ice)_(x_|y_)?velocity(_\w+)?",
        r"uo|vo|wo|ugosa?|vgosa?|vozocrtx|vomecrty",
    ),
    PhysicalQuantity(
        "pressure at the surface",
        "Pa",
        30000.0,
        120000.0,
        r"air_pressure_at_(mean_)?sea_level|surface_air_pressure",
        r"slp|msl|psl",
    ),
    PhysicalQuantity("share of sea ice", "1", -0.01, 1.01, r"sea_ice_area_fraction", r"siconc|sic|ice_concentration"),
)


def quantity_of(array: xr.DataArray, name: str | None = None) -> PhysicalQuantity | None:
    """What a variable measures, by its standard name, else by its name; None if it is nothing we know, or an anomaly.

    Arguments:
        array: With its attributes.
        name: Its name, if not `array.name`.
    """
    name = str(array.name if name is None else name)
    standard = str(array.attrs.get("standard_name", "")).strip().lower()
    text, pattern = (standard, "standard_names") if standard else (name.lower(), "names")
    quantity = next((q for q in QUANTITIES if re.fullmatch(getattr(q, pattern), text)), None)
    if quantity is None and standard:  # a standard name of somebody's own, such as "unknown"
        quantity = next((q for q in QUANTITIES if re.fullmatch(q.names, name.lower())), None)
    said = f"{standard} {array.attrs.get('long_name', '')}".lower()
    shifted = quantity is not None and quantity.units in ("degC", "K")
    # a difference of temperatures has no zero to be converted to
    return None if shifted and re.search(r"anomal|departure|difference|tendency", said) else quantity
