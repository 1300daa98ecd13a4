"""Where the field exists, from another file than the observations: `--domain FILE`."""

__all__ = ["add_domain"]

import numpy as np
import xarray as xr

from driftfield.conventions import domain_of, positions_of, state_variables
from driftfield.data.grid import locate
from driftfield.errors import DataError


def add_domain(observations: xr.Dataset, stated: xr.Dataset, *, source: str = "the file") -> xr.Dataset:
    """Takes `domain` and `<variable>_domain` from another data set, for the variables whose domain the observations lack.

    Arguments:
        observations: Canonical observation data set.
        stated: Canonical data set with masks on the same cells, or on more of them; longitude in either convention.
        source: What messages call it.

    Raises:
        DataError: it holds no domain, or none on these cells and levels.
    """
    names = [str(name) for name in stated.data_vars if str(name) == "domain" or str(name).endswith("_domain")]
    if not names:
        raise DataError(
            f"{source} holds no 'domain' variable: found {sorted(map(str, stated))}. Name a file that has one."
        )
    domains = {}
    for name in state_variables(observations):
        mask = stated.get(f"{name}_domain", stated.get("domain"))
        if domain_of(observations, name) is not None or mask is None:
            continue
        field = observations[name]
        if "depth" in mask.dims and "depth" not in field.dims:
            mask = mask.isel(depth=0, drop=True)
        if "depth" in field.dims and "depth" not in mask.dims:
            raise DataError(
                f"{mask.name!r} in {source} has no depth and does not know the sea floor, but {name!r} has depth. "
                "Give it (depth, lat, lon), or leave it out: the run knows its own domain."
            )
        dims = [str(dim) for dim in ("depth", "lat", "lon") if dim in mask.dims]
        mask = _on_cells(mask, field, source)
        periods = {"depth": ("depth", 0.0), "lat": ("latitude", 0.0), "lon": ("longitude", 360.0)}
        places = {
            dim: locate(field[dim].values, mask[dim].values, *periods[dim], grid=f"the domain in {source}")
            for dim in dims
        }
        mask = (mask.any("time") if "time" in mask.dims else mask).isel(places).transpose(*dims)
        domains[f"{name}_domain"] = xr.DataArray(
            np.nan_to_num(mask.values).astype(bool), dims=dims, coords={dim: field[dim] for dim in dims}
        )
    return observations.assign(domains)


def _on_cells(mask: xr.DataArray, field: xr.DataArray, source: str) -> xr.DataArray:
    """The part of a mask on a grid with positions that lies where the field does; any other mask as it is."""
    theirs, ours = positions_of(mask), positions_of(field)
    if theirs is None or ours is None:
        return mask
    rows, columns = theirs.cells(ours, grid=f"the grid of the domain in {source}")
    part = mask.isel(lat=rows, lon=columns)
    return part.assign_coords({axis: field[axis] for axis in ("lat", "lon")})
