"""From the temperature that an instrument meets to the potential temperature that models carry.

McDougall and Barker (2011), Gibbs SeaWater Oceanographic Toolbox of TEOS-10. At 1000 m potential temperature is .1 degC colder
than the water is, at 5000 m .5 degC.
"""

__all__ = ["is_potential", "potential_temperature", "to_potential"]

import logging
import re

import numpy as np
import xarray as xr

from driftfield.gridded.units import pressure_of_depth

log = logging.getLogger(__name__)

_SALINITY = 35.0
"""Where no salinity was measured: 1 more or less changes theta by .003 degC at 1000 m."""


def is_potential(name: str, standard_name: str = "") -> bool:
    """Whether a variable of a grid is potential temperature: by its standard name, else as models call it."""
    if standard_name:
        return standard_name == "sea_water_potential_temperature"
    return re.fullmatch(r"thetao|votemper|potemp|theta", name.lower()) is not None


def to_potential(table: xr.Dataset, name: str) -> xr.Dataset:
    """A table of points whose `name`, measured as temperature in situ, is potential temperature.

    A salinity in the same table (a variable with such a standard name) is used where it is believed, else 35.
    """
    temperature = table[name]
    if temperature.attrs.get("standard_name", "sea_water_temperature") != "sea_water_temperature":
        return table
    salinity = np.full(temperature.shape, _SALINITY)
    for other, array in table.data_vars.items():
        if re.fullmatch(r"sea_water_(practical_)?salinity", str(array.attrs.get("standard_name", ""))):
            salinity = np.where(np.isfinite(array.values), array.values, _SALINITY)
            log.info("%s: potential temperature with the salinity %s", name, other)
    log.info("%s: temperature in situ becomes potential temperature", name)
    lat, lon = table["lat"].values, table["lon"].values
    pressure = pressure_of_depth(table["depth"].values, lat)
    named = {"standard_name": "sea_water_potential_temperature", "long_name": "sea water potential temperature"}
    attrs = temperature.attrs | named
    theta = potential_temperature(salinity, temperature.values, pressure, lon, lat)
    return table.assign({name: (temperature.dims, theta, attrs)})


def potential_temperature(
    salinity: np.ndarray, temperature: np.ndarray, pressure: np.ndarray, longitude: np.ndarray, latitude: np.ndarray
) -> np.ndarray:
    """Potential temperature at the surface, degC (TEOS-10, by `gsw`).

    Arguments:
        salinity: Practical.
        temperature: In situ, degC.
        pressure: dbar.
        longitude, latitude: Degrees; the composition of sea water differs a little from place to place.
    """
    import gsw

    absolute = gsw.SA_from_SP(salinity, pressure, longitude, latitude)
    return np.asarray(gsw.pt0_from_t(absolute, temperature, pressure))
