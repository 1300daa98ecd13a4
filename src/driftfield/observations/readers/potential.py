"""From the temperature that an instrument meets to the potential temperature that models carry.

    theta(S, T, p) = T + integral from p to 0 of the adiabatic lapse rate Gamma(S, T, p) dp        (Runge-Kutta, one step)

Fofonoff and Millard (1983), Unesco technical papers in marine science 44, pp. 38-43, after Bryden (1973): theta(40, 40 degC,
10000 dbar) = 36.89073 degC. At 1000 m it is .1 degC colder than the water is, at 5000 m .5 degC.
"""

__all__ = ["is_potential", "potential_temperature", "to_potential"]

import logging
import re

import numpy as np
import xarray as xr

from driftfield.data.units import depth_of_pressure

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
    pressure = _pressure_of_depth(table["depth"].values, table["lat"].values)
    named = {"standard_name": "sea_water_potential_temperature", "long_name": "sea water potential temperature"}
    attrs = temperature.attrs | named
    theta = potential_temperature(salinity, temperature.values, pressure)
    return table.assign({name: (temperature.dims, theta, attrs)})


def potential_temperature(salinity: np.ndarray, temperature: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """Potential temperature at the surface, degC.

    Arguments:
        salinity: Practical.
        temperature: In situ, degC.
        pressure: dbar.
    """
    step = -np.asarray(pressure, dtype=np.float64)
    p, t = -step, np.asarray(temperature, dtype=np.float64)
    # Gill's variant of the fourth-order step, as published
    k = step * _lapse_rate(salinity, t, p)
    t, q, p = t + 0.5 * k, k, p + 0.5 * step
    k = step * _lapse_rate(salinity, t, p)
    t, q = t + 0.29289322 * (k - q), 0.58578644 * k + 0.121320344 * q
    k = step * _lapse_rate(salinity, t, p)
    t, q, p = t + 1.707106781 * (k - q), 3.414213562 * k - 4.121320344 * q, p + 0.5 * step
    k = step * _lapse_rate(salinity, t, p)
    return np.asarray(t + (k - 2.0 * q) / 6.0)


def _lapse_rate(salinity: np.ndarray, t: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Adiabatic lapse rate, degC per dbar."""
    s = np.asarray(salinity, dtype=np.float64) - 35.0
    pressure_squared = ((-2.1687e-16 * t + 1.8676e-14) * t - 4.6206e-13) * p * p
    pressure = (
        (2.7759e-12 * t - 1.1351e-10) * s + ((-5.4481e-14 * t + 8.733e-12) * t - 6.7795e-10) * t + 1.8741e-8
    ) * p
    surface = (-4.2393e-8 * t + 1.8932e-6) * s + ((6.6228e-10 * t - 6.836e-8) * t + 8.5258e-6) * t + 3.5803e-5
    return np.asarray(pressure_squared + pressure + surface)


def _pressure_of_depth(depth: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """The inverse of `depth_of_pressure`, to a millimetre."""
    pressure = np.asarray(depth, dtype=np.float64)
    for _ in range(6):
        pressure = pressure + (depth - depth_of_pressure(pressure, latitude))
    return pressure
