"""Regridding conserves, has an adjoint, gives back what it should, and agrees with an independent library."""

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.errors import ConfigurationError, DataError
from driftfield.linalg.cell_grid import CellGrid
from driftfield.linalg.interpolation import interpolation_matrix
from driftfield.linalg.regridding import Regridding

RNG = np.random.default_rng(0)


def rotated(rows: int, columns: int, step: float = 0.5, pole: float = 39.25) -> CellGrid:
    """A rotated-pole grid, as regional climate models have it."""
    rlat, rlon = np.meshgrid(np.arange(rows) * step - 5, np.arange(columns) * step - 8, indexing="ij")
    phi, lam, tilt = np.deg2rad(rlat), np.deg2rad(rlon), np.deg2rad(90 - pole)
    x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)
    x, z = x * np.cos(tilt) - z * np.sin(tilt), x * np.sin(tilt) + z * np.cos(tilt)
    return CellGrid.around(np.rad2deg(np.arcsin(z)), np.rad2deg(np.arctan2(y, x)))


def regular(rows: int, columns: int, lat: tuple[float, float], lon: tuple[float, float]) -> CellGrid:
    return CellGrid(np.linspace(*lat, rows + 1), np.linspace(*lon, columns + 1))


FINE = regular(24, 36, (30, 42), (-10, 8))
TURNED = rotated(6, 7, 0.6, pole=39.5)
MAPS = {
    "blocks of 4": Regridding.blocks(FINE, 4),
    "blocks of 2.4 x 4.5": Regridding.blocks(FINE, (2.4, 4.5)),
    "another regular grid": Regridding.overlap(FINE, regular(5, 7, (30, 42), (-10, 8))),
    "blocks of a rotated grid": Regridding.blocks(rotated(12, 16), 4),
    "a rotated grid over a regular one": Regridding.overlap(rotated(20, 26, 0.25), regular(3, 4, (46, 49), (-8, -4))),
    "a rotated grid over another": Regridding.overlap(
        rotated(20, 26, 0.25), CellGrid(TURNED.lat[1:, 1:], TURNED.lon[1:, 1:])
    ),
    "the globe, round the date line": Regridding.overlap(
        regular(18, 36, (-90, 90), (0, 360)), regular(6, 8, (-90, 90), (-180, 180))
    ),
}
every = pytest.mark.parametrize("name", MAPS)


@every
def test_constants_stay_and_area_integrals_are_conserved(name: str) -> None:
    grids = MAPS[name]
    covered = grids.cover > 1e-6
    np.testing.assert_allclose(grids.apply(np.ones(grids.fine.shape))[covered], 1.0, atol=1e-12)
    x = RNG.standard_normal(grids.fine.shape)
    means, inside = grids.apply(x), np.asarray(grids.areas.sum(axis=1)).reshape(grids.coarse.shape)
    part = np.asarray(grids.areas.sum(axis=0)).reshape(grids.fine.shape)
    np.testing.assert_allclose(np.nansum(means * inside), (x * part).sum(), rtol=1e-10, atol=1e-12)


def test_full_cover_is_full_and_areas_are_those_of_the_sphere() -> None:
    for name in ("blocks of 4", "another regular grid", "the globe, round the date line"):
        grids = MAPS[name]
        np.testing.assert_allclose(grids.cover, 1.0, atol=1e-9)
        np.testing.assert_allclose(grids.fine.area.sum(), grids.coarse.area.sum(), rtol=1e-12)
    np.testing.assert_allclose(MAPS["the globe, round the date line"].fine.area.sum(), 4 * np.pi, rtol=1e-12)
    # cells of a curvilinear grid: polygons in the plane against the exact area of the same cells
    lat, lon = np.meshgrid(np.linspace(30, 42, 25), np.linspace(-10, 8, 37), indexing="ij")
    np.testing.assert_allclose(CellGrid(lat, lon).area, FINE.area, rtol=2e-4)


def test_clipped_polygons_agree_with_the_exact_overlap_of_bands() -> None:
    coarse = regular(5, 7, (30, 42), (-10, 8))
    lat, lon = np.meshgrid(np.linspace(30, 42, 25), np.linspace(-10, 8, 37), indexing="ij")
    exact = Regridding.overlap(FINE, coarse).matrix.toarray()
    clipped = Regridding.overlap(CellGrid(lat, lon), coarse).matrix.toarray()
    np.testing.assert_allclose(clipped, exact, atol=2e-4)


@every
def test_the_adjoint_is_the_adjoint(name: str) -> None:
    grids = MAPS[name]
    x, y = RNG.standard_normal((2, *grids.fine.shape)), RNG.standard_normal((2, *grids.coarse.shape))
    left = np.nansum(grids.apply(x) * y)
    np.testing.assert_allclose(left, (x * grids.adjoint(np.where(grids.cover > 1e-6, y, 0))).sum(), rtol=1e-12)
    operator = grids.operator()
    seen = operator(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(seen, grids.apply(x)[:, grids.cover > 1e-6], rtol=1e-12)
    second = grids.operator(channel=1, channels=2)
    both = torch.from_numpy(np.stack([0 * x, x], axis=1))
    np.testing.assert_array_equal(second(both).numpy(), seen)
    np.testing.assert_array_equal(second.adjoint(operator(torch.from_numpy(x)))[:, 0].numpy(), 0 * x)


def test_blocks_of_blocks_are_larger_blocks() -> None:
    x = RNG.standard_normal(FINE.shape)
    four = Regridding.blocks(FINE, 4)
    two = Regridding.blocks(FINE, 2)
    again = Regridding.blocks(two.coarse, 2)
    np.testing.assert_allclose(again.apply(two.apply(x)), four.apply(x), rtol=1e-12)
    # by index and by overlap: the same map
    np.testing.assert_allclose(
        Regridding.overlap(FINE, four.coarse).matrix.toarray(), four.matrix.toarray(), atol=1e-12
    )
    np.testing.assert_allclose(Regridding.blocks(FINE, 1).apply(x), x, rtol=1e-12)


def test_weights_are_those_of_an_independent_library() -> None:
    """In the coordinate sin(latitude) areas are those of a plane, which is what the library computes without approximation."""
    pytest.importorskip("xarray_regrid", reason="xarray-regrid is not installed")

    def centres(rows: int, columns: int) -> dict[str, np.ndarray]:
        height, width = np.linspace(0.1, 0.7, rows + 1), np.linspace(-10, 8, columns + 1)
        return {"height": 0.5 * (height[1:] + height[:-1]), "width": 0.5 * (width[1:] + width[:-1])}

    def cells(rows: int, columns: int) -> CellGrid:
        return CellGrid(np.rad2deg(np.arcsin(np.linspace(0.1, 0.7, rows + 1))), np.linspace(-10, 8, columns + 1))

    x = xr.DataArray(RNG.standard_normal((24, 36)), dims=("height", "width"), coords=centres(24, 36))
    theirs = x.regrid.conservative(xr.Dataset(coords=centres(5, 7)), latitude_coord=None)
    np.testing.assert_allclose(Regridding.overlap(cells(24, 36), cells(5, 7)).apply(x.values), theirs.values, atol=1e-6)


@every
def test_projection_meets_the_means_and_changes_nothing_twice(name: str) -> None:
    grids = MAPS[name]
    covered = grids.cover > 1e-6
    x, y = RNG.standard_normal((3, *grids.fine.shape)), RNG.standard_normal((3, *grids.coarse.shape))
    projected = grids.project(x, y)
    np.testing.assert_allclose(grids.apply(projected)[:, covered], y[:, covered], atol=1e-8)
    np.testing.assert_allclose(grids.project(projected, y), projected, atol=1e-8)
    np.testing.assert_allclose(grids.project(x, grids.apply(x)), x, atol=1e-8)
    # the change is orthogonal to what the means do not see: no nearer field meets them
    other = grids.project(RNG.standard_normal(x.shape), y)
    change, along = projected - x, projected - other
    inner = (grids.fine.area * change * along).sum()
    assert abs(inner) < 1e-8 * np.sqrt((grids.fine.area * change**2).sum() * (grids.fine.area * along**2).sum())


@every
def test_factors_keep_signs_and_zeros_and_meet_the_means(name: str) -> None:
    grids = MAPS[name]
    covered = grids.cover > 1e-6
    x = np.maximum(RNG.standard_normal(grids.fine.shape), 0.0)
    y = np.where(covered, np.nan_to_num(grids.apply(x)) * RNG.uniform(0.5, 2.0, grids.coarse.shape), 0.0)
    scaled = grids.rescale(x, y)
    nested = "blocks of 4" in name or ("rotated grid" in name and "over" not in name)
    np.testing.assert_allclose(grids.apply(scaled)[covered], y[covered], rtol=1e-9 if nested else 2e-2, atol=1e-9)
    assert (scaled >= 0).all()
    np.testing.assert_array_equal(scaled == 0, x == 0)


def test_rain_that_has_nowhere_to_go_is_spread_over_its_block() -> None:
    grids = Regridding.blocks(FINE, 4)
    y = np.zeros(grids.coarse.shape)
    y[2, 3] = 5.0
    np.testing.assert_allclose(grids.rescale(np.zeros(FINE.shape), y), np.kron(y, np.ones((4, 4))))
    with pytest.raises(DataError, match="additive"):
        grids.rescale(np.ones(FINE.shape), -y)


def test_missing_cells_renormalise_and_their_share_is_told() -> None:
    grids = Regridding.blocks(FINE, 4)
    x = np.full(FINE.shape, 3.0)
    x[:4, :4] = np.nan
    x[4:8, :1] = np.nan
    means, share = grids.apply_known(x)
    assert np.isnan(means[0, 0])
    assert share[0, 0] == 0.0
    np.testing.assert_allclose([means[1, 0], share[1, 0]], [3.0, 0.75], atol=1e-9)
    assert np.isnan(grids.apply(x)[1, 0])


@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic"])
def test_interpolation_keeps_constants_and_linear_fields(kind: str) -> None:
    grids = Regridding.blocks(FINE, 4)
    y = np.ones(grids.coarse.shape)
    np.testing.assert_allclose(grids.interpolate(y, kind), 1.0, atol=1e-12)  # type: ignore[arg-type]
    if kind == "nearest":
        np.testing.assert_array_equal(grids.interpolate(np.arange(54.0).reshape(6, 9), "nearest"),
                                      np.kron(np.arange(54.0).reshape(6, 9), np.ones((4, 4))))  # fmt: skip
        return
    lat, lon = (0.5 * (e[1:] + e[:-1]) for e in (grids.coarse.lat, grids.coarse.lon))
    fine_lat, fine_lon = (0.5 * (e[1:] + e[:-1]) for e in (FINE.lat, FINE.lon))
    linear = 2.0 * lat[:, None] - 0.7 * lon[None]
    inner = slice(8, -8)
    expected = (2.0 * fine_lat[:, None] - 0.7 * fine_lon[None])[inner, inner]
    np.testing.assert_allclose(grids.interpolate(linear, kind)[inner, inner], expected, atol=1e-10)  # type: ignore[arg-type]
    np.testing.assert_allclose(Regridding.blocks(FINE, 1).interpolate(linear_fine := RNG.standard_normal(FINE.shape), kind),  # type: ignore[arg-type]
                               linear_fine, atol=1e-12)  # fmt: skip


@pytest.mark.parametrize("kind", ["bilinear", "nearest", "bicubic"])
def test_block_centres_lie_where_they_should(kind: str) -> None:
    """Half a cell off would be `align_corners`; the cubic of torch has the constant -3/4, and ours is another."""
    grids = Regridding.blocks(FINE, 4)
    y = RNG.standard_normal(grids.coarse.shape)
    options = {} if kind == "nearest" else {"align_corners": False}
    up = torch.nn.functional.interpolate(torch.from_numpy(y)[None, None], scale_factor=4, mode=kind, **options)
    found = grids.interpolate(y, kind, constant=-0.75)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, up[0, 0].numpy(), atol=1e-12)
    if kind == "bicubic":
        assert np.abs(grids.interpolate(y, kind) - found).max() > 0.01  # type: ignore[arg-type]


def test_interpolation_on_a_rotated_grid() -> None:
    fine, coarse = rotated(16, 16, 0.25), rotated(8, 8, 0.5)
    rows = interpolation_matrix(coarse, fine, "bilinear")
    np.testing.assert_allclose(np.asarray(rows.sum(axis=1)).ravel(), 1.0, atol=1e-12)
    linear = (coarse.centres @ [0.3, -1.0, 0.5]).ravel()
    found = (rows @ linear).reshape(fine.shape)[3:-3, 3:-3]
    np.testing.assert_allclose(found, (fine.centres @ [0.3, -1.0, 0.5])[3:-3, 3:-3], atol=2e-5)
    with pytest.raises(ConfigurationError, match="bilinear"):
        interpolation_matrix(coarse, fine, "bicubic")


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected 1 to 24"):
        Regridding.blocks(FINE, 25)
    with pytest.raises(DataError, match="do not rise"):
        CellGrid(np.array([3.0, 2.0]), np.array([0.0, 1.0]))
    with pytest.raises(DataError, match="this map takes"):
        Regridding.blocks(FINE, 4).apply(np.zeros((3, 3)))
    with pytest.raises(ConfigurationError, match="Unknown interpolation"):
        interpolation_matrix(FINE, FINE, "cubic")
