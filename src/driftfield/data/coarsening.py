"""Coarse fields from fine ones: area-weighted means over blocks of cells, or over the cells of another grid.

    fields (time, [depth,] lat, lon) on any grid  --Regridding-->  the same on a coarser grid, with what was covered

A coarse cell is the mean of the part of it that is known, and missing where less than `least` of it is.
"""

__all__ = ["cell_grid_of", "coarsened", "regridding_by_factor", "regridding_onto"]

import logging

import numpy as np
import xarray as xr

from driftfield.conventions import FORMAT, is_mask, positions_of, state_variables
from driftfield.errors import DataError
from driftfield.linalg.cell_grid import CellGrid
from driftfield.linalg.regridding import Regridding

log = logging.getLogger(__name__)


def cell_grid_of(fields: xr.Dataset | xr.DataArray) -> CellGrid:
    """The cells around the positions of a data set, regular or not.

    Raises:
        DataError: positions from which no cells can be made.
    """
    positions = positions_of(fields)
    if positions is None:
        return CellGrid.around(fields["lat"].values.astype(np.float64), fields["lon"].values.astype(np.float64))
    return CellGrid.around(positions.latitude, positions.longitude)


def regridding_by_factor(fields: xr.Dataset, factor: float | tuple[float, float]) -> Regridding:
    """From the grid of some fields to blocks of its cells; says which cells are left over at the end."""
    regridding = Regridding.blocks(cell_grid_of(fields), factor)
    _say_cover(regridding)
    return regridding


def regridding_onto(fields: xr.Dataset, like: xr.Dataset) -> Regridding:
    """From the grid of some fields to that of another data set.

    Raises:
        DataError: the grids do not overlap, or the other one is not the coarser.
    """
    regridding = Regridding.overlap(cell_grid_of(fields), cell_grid_of(like))
    if not bool((regridding.cover > 0).any()):
        raise DataError(
            f"The two grids do not overlap: the fine one covers {_extent(fields)}, the other {_extent(like)}. Name a grid of "
            "the same region."
        )
    ratio = np.sqrt(np.median(regridding.coarse.area) / np.median(regridding.fine.area))
    if ratio < 1.0:
        raise DataError(
            f"The other grid is {1 / ratio:.1f} times as fine: expected a coarser one. Swap the two, or interpolate."
        )
    _say_cover(regridding)
    return regridding


def coarsened(
    fields: xr.Dataset, regridding: Regridding, *, like: xr.Dataset | None = None, least: float = 0.5
) -> xr.Dataset:
    """Coarse means of every variable.

    Arguments:
        fields: On the fine grid of `regridding`; NaN where missing.
        regridding: From `regridding_by_factor` or `regridding_onto`.
        like: Gives the coordinates of the coarse grid, where it is another data set's.
        least: Least known share of a coarse cell.

    Returns:
        A data set on the coarse grid, kind `coarse`.
    """
    names = state_variables(fields)
    left = [str(n) for n in fields.data_vars if n not in names]
    if left:
        log.info("left out, since means of them mean something else: %s", ", ".join(left))
    coordinates = _coordinates(fields, regridding) if like is None else _horizontal(like)
    output = xr.Dataset(attrs={"driftfield_format": FORMAT, "driftfield_kind": "coarse"})
    for name in names:
        if is_mask(name) or fields[name].dtype.kind not in "fiu":
            continue
        field = fields[name]
        means = xr.apply_ufunc(
            lambda x: regridding.apply_known(x, least)[0].astype(np.float32),
            field.transpose(..., "lat", "lon").rename(lat="row", lon="column"),
            input_core_dims=[["row", "column"]],
            output_core_dims=[["lat", "lon"]],
            dask="parallelized",
            dask_gufunc_kwargs={
                "output_sizes": dict(zip(("lat", "lon"), regridding.coarse.shape, strict=True)),
                "allow_rechunk": True,
            },
            output_dtypes=[np.float32],
        )
        means = means.drop_vars([c for c in means.coords if {"row", "column"} & set(means[c].dims)])
        attrs = {key: value for key, value in field.attrs.items() if key != "cell_methods"}
        output[name] = means.assign_attrs(attrs | {"cell_methods": "area: mean"})
    return output.assign_coords(coordinates)


def _horizontal(like: xr.Dataset) -> dict[str, xr.DataArray]:
    names = ("lat", "lon", "latitude", "longitude")
    return {
        name: like[name].drop_vars([c for c in like[name].coords if c not in names])
        for name in names
        if name in like.coords
    }


def _coordinates(fields: xr.Dataset, regridding: Regridding) -> dict[str, xr.DataArray]:
    """Centres of the blocks; of a grid with positions, also the means of the numbers of their rows and columns."""
    coarse = regridding.coarse
    if coarse.rectilinear:
        axes = {"lat": 0.5 * (coarse.lat[1:] + coarse.lat[:-1]), "lon": 0.5 * (coarse.lon[1:] + coarse.lon[:-1])}
        return {name: xr.DataArray(values, dims=name, attrs=fields[name].attrs) for name, values in axes.items()}
    coordinates = {}
    for axis, size in zip(("lat", "lon"), coarse.shape, strict=True):
        values = fields[axis].values.astype(np.float64)
        block = len(values) / size
        middle = (np.arange(size) + 0.5) * np.floor(block * 1e6 + 0.5) / 1e6 - 0.5
        coordinates[axis] = xr.DataArray(
            np.interp(middle, np.arange(len(values)), values), dims=axis, attrs=fields[axis].attrs
        )
    centres = coarse.centres
    places = {
        "latitude": np.rad2deg(np.arcsin(centres[..., 2])),
        "longitude": np.rad2deg(np.arctan2(centres[..., 1], centres[..., 0])),
    }
    for name, values in places.items():
        coordinates[name] = xr.DataArray(values, dims=("lat", "lon"), attrs=fields[name].attrs)
    return coordinates


def _say_cover(regridding: Regridding) -> None:
    """One line where cells of either grid have no partner."""
    alone = int((np.asarray(regridding.areas.sum(axis=0)).ravel() <= 0).sum())
    part = int(((regridding.cover > 0) & (regridding.cover < 0.999)).sum())
    empty = int((regridding.cover <= 0).sum())
    if alone or part or empty:
        log.info(
            "%d of %d fine cells lie in no coarse cell; of %d coarse cells %d are covered in part and %d not at all",
            alone,
            regridding.areas.shape[1],
            regridding.areas.shape[0],
            part,
            empty,
        )


def _extent(fields: xr.Dataset) -> str:
    corners = cell_grid_of(fields)
    return (
        f"{corners.lat.min():.1f} to {corners.lat.max():.1f} degrees north, {corners.lon.min():.1f} to "
        f"{corners.lon.max():.1f} degrees east"
    )
