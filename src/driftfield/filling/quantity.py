"""In which units a field is filled: most as they are, some as logarithms, some between bounds.

    logarithm   f = 10^g, g filled;  g ~ N(m, s^2)  ->  mean exp(k m + k^2 s^2 / 2), sd = mean sqrt(exp(k^2 s^2) - 1),   k = ln 10
    bounds      mean and sd of the clamped normal distribution (`reconstruction.bounds`)

A quantity is recognised by its standard name, its name and units, and by its values: one that is negative somewhere is left
alone.
"""

__all__ = ["Quantity", "recognise"]

import re
from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.reconstruction.bounds import bounded
from driftfield.reconstruction.output import Estimate

_LOGARITHM = re.compile(
    r"chl|chlorophyll|turbidity|suspended|\bspm\b|\btsm\b|\bkd_?490\b|phytoplankton|zooplankton", re.I
)
_RAIN = re.compile(r"\brain|precip|^pr$|^tp$|\bpr\b|snowfall", re.I)
_SHARE = re.compile(r"ice.*(conc|area|frac)|siconc|^aice$|^sic$|^ci$|sea_ice|cloud.*(area|frac|cover)|fraction", re.I)
_K = np.log(10.0)


@dataclass(frozen=True)
class Quantity:
    """How values become what is filled, and back.

    Arguments:
        logarithm: Whether log10 is filled.
        lower, upper: Bounds, infinite where there is none.
        floor: The least value that a logarithm is taken of.
        said: What the user is told, empty where nothing is done.
    """

    logarithm: bool = False
    lower: float = -np.inf
    upper: float = np.inf
    floor: float = 0.0
    said: str = ""

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Values as they are filled."""
        return np.log10(np.maximum(values, self.floor)) if self.logarithm else values

    def back(self, estimate: Estimate) -> Estimate:
        """Mean, standard deviation and members in units of the file."""
        mean, sd, members = estimate.mean, estimate.sd, estimate.members
        if self.logarithm:
            assert mean is not None  # every method of this room states one
            spread = np.zeros_like(mean) if sd is None else sd
            # a spread of a whole decade says nothing more by being wider, but would carry the mean away
            spread = np.minimum(spread, 0.5)
            centre = np.exp(_K * mean + 0.5 * (_K * spread) ** 2)
            sd = None if sd is None else centre * np.sqrt(np.expm1((_K * spread) ** 2))
            return Estimate(centre, sd, None if members is None else 10.0**members)
        if np.isfinite(self.lower) or np.isfinite(self.upper):
            return bounded(estimate, self.lower, self.upper)
        return estimate


def recognise(field: xr.DataArray) -> Quantity:
    """What a variable is, from its name, units and values.

    Arguments:
        field: With its attributes, NaN where not seen.
    """
    values = field.values[np.isfinite(field.values)]
    name = " ".join([str(field.name), *(str(field.attrs.get(key, "")) for key in ("standard_name", "long_name"))])
    units = str(field.attrs.get("units", "")).strip()
    if values.size == 0 or values.min() < 0 or "log" in name.lower():
        return Quantity()
    if _LOGARITHM.search(name) and (values > 0).mean() > 0.5:
        floor = float(values[values > 0].min())
        return Quantity(
            True,
            floor=floor,
            said=f"{field.name} is filled as its logarithm: its name says that it is positive and skewed",
        )
    top = 100.0 if units in ("%", "percent") or values.max() > 1.5 else 1.0
    if _SHARE.search(name) and values.max() <= top * 1.001:
        return Quantity(lower=0.0, upper=top, said=f"{field.name} is kept between 0 and {top:g}: it is a share")
    if _RAIN.search(name):
        return Quantity(lower=0.0, said=f"{field.name} is kept at or above 0")
    if _heavy(values):
        floor = float(values.min())
        return Quantity(
            True, floor=floor, said=f"{field.name} is filled as its logarithm: its values are positive and skewed"
        )
    return Quantity()


def _heavy(values: np.ndarray) -> bool:
    """Whether positive values span decades and are far more symmetric as logarithms."""
    if values.min() <= 0 or values.max() / values.min() < 30 or values.size < 100:
        return False
    return _skewness(values) > 2 and abs(_skewness(np.log(values))) < 1


def _skewness(values: np.ndarray) -> float:
    departure = values.astype(np.float64) - values.mean(dtype=np.float64)
    return float((departure**3).mean() / max((departure**2).mean(), 1e-30) ** 1.5)
