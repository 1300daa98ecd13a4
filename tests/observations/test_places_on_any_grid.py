"""Points on grids with positions: gathered into the cell they lie in, and H interpolates between the cells around them."""

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.conventions import geometry_of
from driftfield.fields import Channel
from driftfield.geometry import Geometry
from driftfield.gridded.axes import canonical
from driftfield.observations.grid import ObservedPlaces, StateGrid
from driftfield.observations.gridded import table_of_cells
from driftfield.observations.readers.superobs import Target, bin_to_grid
from driftfield.observations.stencils import points
from driftfield.testing.grids import MEMBERS, member

PLANES = [kind for kind in MEMBERS if kind != "section"]


def fields_of(kind: str, seed: int = 3) -> xr.Dataset:
    return canonical(member(kind, seed, times=2).dataset)


def state_grid(geometry: Geometry) -> StateGrid:
    rows, columns = geometry.shape
    return StateGrid(
        np.arange(float(rows)), np.arange(float(columns)), (Channel("tos", None, 0),),
        np.ones((1, rows, columns), bool), days={0: 0.0}, positions=geometry,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", PLANES)
def test_h_interpolates_between_the_cells_around_a_place(kind: str, seed: int) -> None:
    """A field that is linear in rows and columns comes back at any place, to the curvature of the grid."""
    geometry = geometry_of(fields_of(kind, seed))
    rng = np.random.default_rng(seed)
    rows, columns = geometry.shape
    row, column = rng.uniform(4, rows - 1, 30), rng.uniform(5, columns - 1, 30)
    lat, lon = geometry.at(row, column)
    stencil = points(state_grid(geometry), ObservedPlaces.of("tos", lat, lon))
    assert stencil.usable.all()
    i, j = np.indices(geometry.shape)
    field = torch.from_numpy((2.0 + 0.3 * i - 0.2 * j)[None, None])
    np.testing.assert_allclose(stencil.operator()(field)[0].numpy(), 2.0 + 0.3 * row - 0.2 * column, atol=5e-3)
    away = points(state_grid(geometry), ObservedPlaces.of("tos", -lat, lon + 180.0))
    assert set(away.problem) == {"outside the grid"}


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_point_is_gathered_into_its_cell(kind: str) -> None:
    fields = fields_of(kind)
    geometry = geometry_of(fields)
    wet = np.argwhere(np.isfinite(fields["tos"].values[0]))
    row, column = wet[np.random.default_rng(0).choice(len(wet), 5, replace=False)].T
    where = geometry.latitude[row, column], geometry.longitude[row, column]
    n = row.size
    table = xr.Dataset(
        {"tos": ("observation", np.arange(5.0)), "tos_error": ("observation", np.full(n, 0.1)),
         "profile": ("observation", np.arange(n))},
        {"lat": ("observation", where[0]), "lon": ("observation", where[1] + 360), "depth": ("observation", np.zeros(n)),
         "time": ("observation", np.repeat(fields["time"].values[:1], n))},
    )  # fmt: skip
    axes = {name: fields[name].reset_coords(drop=True) for name in ("lat", "lon", "latitude", "longitude")}
    target = Target(
        lat=fields["lat"].values, lon=fields["lon"].values, times=fields["time"], levels={"tos": (None,)}, axes=axes
    )
    binned = bin_to_grid(table, target).dataset
    np.testing.assert_array_equal(binned["tos"].values[0, row, column], np.arange(5.0))
    assert int(binned["tos"].notnull().sum()) == 5
    np.testing.assert_allclose(binned["latitude"].values, geometry.latitude)


@pytest.mark.parametrize("kind", MEMBERS)
def test_observed_cells_become_rows_where_they_lie(kind: str) -> None:
    fields = fields_of(kind)
    table = table_of_cells(fields[["tos"]].isel(time=[0]), ["tos"])
    geometry, seen = geometry_of(fields), np.isfinite(fields["tos"].values[0])
    np.testing.assert_allclose(table.latitude, geometry.latitude[seen])
    np.testing.assert_allclose(table.longitude, geometry.longitude[seen])
