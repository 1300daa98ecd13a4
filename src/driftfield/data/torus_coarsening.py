"""Coarse fields from fine ones on a torus: the waves that the coarse grid can hold, or every n-th point.

    --by truncation   anti-aliased: a coarse field without anything that the fine waves fold back
    --by points       what instruments at single points see

Only for fields that say that both axes wrap (the attribute `torus`, which `driftfield simulate navier-stokes` writes) and
have no gaps.
"""

__all__ = ["WAYS", "coarsened_torus"]

import numpy as np
import xarray as xr

from driftfield.conventions import FORMAT, state_variables
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.linalg.torus import SeparableOperator, sampling, truncation

WAYS = ("mean", "truncation", "points")
"""How a field is made coarse; the first is `data.coarsening`."""


def coarsened_torus(fields: xr.Dataset, factor: float | tuple[float, float], by: str) -> xr.Dataset:
    """Every variable on a coarser grid of the same torus.

    Arguments:
        fields: Periodic in both directions, without gaps.
        factor: Points per coarse point, whole; in each direction, or in rows and columns.
        by: "truncation" or "points".

    Returns:
        A data set on the coarse grid, kind `coarse`, whose first point is the first of the fine one.

    Raises:
        ConfigurationError: an unknown way, or a factor that does not divide the grid.
        DataError: fields that are not said to be periodic, or that have gaps.
    """
    if by not in WAYS[1:]:
        raise ConfigurationError(f"Found by={by!r}: {suggest(by, WAYS)}")
    if str(fields.attrs.get("torus", "")).split() != ["lat", "lon"]:
        raise DataError(
            f"Coarse fields by {by} need a torus, and this file does not say that both of its axes wrap (torus = 'lat lon'). "
            "Take means over blocks, or set the attribute where it is true."
        )
    operator = _operator((fields.sizes["lat"], fields.sizes["lon"]), factor, by)
    output = xr.Dataset(attrs={**fields.attrs, "driftfield_format": FORMAT, "driftfield_kind": "coarse"})
    for name in state_variables(fields):
        values = fields[name].transpose(..., "lat", "lon")
        if not bool(np.isfinite(values).all()):
            raise DataError(f"{name} has gaps: a wave has none. Fill them first, or take means over blocks.")
        coarse = operator.apply_array(values.values.astype(np.float64)).astype(np.float32)
        attrs = fields[name].attrs | {"cell_methods": "area: point"} if by == "points" else fields[name].attrs
        output[name] = (values.dims, coarse, attrs)
    rows, columns = (many // few for many, few in zip(operator.shape[1:], operator.coarse[1:], strict=True))
    placed = fields.isel(lat=slice(None, None, rows), lon=slice(None, None, columns))
    return output.assign_coords(placed.coords)


def _operator(shape: tuple[int, int], factor: float | tuple[float, float], by: str) -> SeparableOperator:
    factors = factor if isinstance(factor, tuple) else (factor, factor)
    if any(f < 1 or f != int(f) or n % int(f) for n, f in zip(shape, factors, strict=True)):
        raise ConfigurationError(
            f"Found the factor {factors} for {shape[0]} x {shape[1]} points: by {by} it has to divide them."
        )
    coarse = [n // int(f) for n, f in zip(shape, factors, strict=True)]
    return truncation(shape, coarse) if by == "truncation" else sampling(shape, coarse)
