"""Rows of several kinds in one table: each is seen as the operator of its kind sees it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from driftfield.errors import ConfigurationError
from driftfield.fields import Channel
from driftfield.observations.checks import check
from driftfield.observations.grid import ObservedPlaces, StateGrid
from driftfield.observations.reading import read_observations
from driftfield.observations.stated import as_stated
from driftfield.observations.stencils import Stencil, footprints, points, vertical_means
from driftfield.observations.table import ObservationTable

LEVELS = (5.0, 15.0, 30.0)
CHANNELS = (*(Channel("thetao", level) for level in LEVELS), Channel("sst", None))


@pytest.fixture
def grid() -> StateGrid:
    domain = np.random.default_rng(0).random((4, 6, 8)) < 0.95
    return StateGrid(np.arange(40.0, 46.0), np.arange(-20.0, -12.0), CHANNELS, domain)


def places(n: int = 60) -> ObservedPlaces:
    rng = np.random.default_rng(1)
    variable = np.where(np.arange(n) % 3 == 0, "sst", "thetao").astype(object)
    deep = (variable == "thetao") & (np.arange(n) % 2 == 0)
    depth = np.where(variable == "sst", np.nan, rng.uniform(3, 10, n))
    return ObservedPlaces(
        variable,
        rng.uniform(39.6, 45.4, n),
        rng.uniform(-20, -13, n),
        depth,
        np.full(n, np.nan),
        np.where(deep, rng.uniform(14, 34, n), np.nan),
    )


def dense(stencil: Stencil, cells: int) -> np.ndarray:
    matrix = np.zeros((len(stencil.problem), cells))
    np.add.at(matrix, (stencil.rows, stencil.columns), stencil.weights)
    return matrix


@pytest.mark.parametrize("radius", [None, 150.0, {"sst": 150.0}, {"sst": 150.0, "thetao": 220.0}])
def test_every_row_is_seen_as_its_kind(grid: StateGrid, radius: dict[str, float] | float | None) -> None:
    given = places()
    bottom = given.bottom
    assert bottom is not None
    found, cells = as_stated(grid, given, radius_km=radius), int(np.prod(grid.shape))
    named = dict.fromkeys(grid.variables, radius) if isinstance(radius, float) else (radius or {})
    for row in range(len(given)):
        one = given.select(np.array([row]))
        if np.isfinite(bottom[row]):
            wanted = vertical_means(grid, one, bottom[[row]])
        elif wide := named.get(one.variable[0]):
            wanted = footprints(grid, one, wide)
        else:
            wanted = points(grid, one)
        assert found.problem[row] == wanted.problem[0]
        np.testing.assert_array_equal(dense(found, cells)[row], dense(wanted, cells)[0])
    assert found.usable.any()
    np.testing.assert_allclose(dense(found, cells).sum(1), found.usable, atol=1e-12)


def test_points_alone_are_points(grid: StateGrid) -> None:
    given = places()
    plain = ObservedPlaces(given.variable, given.lat, given.lon, given.depth, given.days)
    for one in (plain, plain.select(np.zeros(0, int))):
        found, wanted = as_stated(grid, one), points(grid, one)
        for part in ("rows", "columns", "weights", "problem"):
            np.testing.assert_array_equal(getattr(found, part), getattr(wanted, part))


def test_a_bottom_survives_files_and_checks(grid: StateGrid, tmp_path: Path) -> None:
    """Two means from one depth are no duplicates of each other, nor of the point."""
    rows = ObservationTable.of(
        longitude=-15.5,
        latitude=42.5,
        depth=5.0,
        time="2020-01-01",
        variable="thetao",
        value=[11.0, 12.0, 13.0, 13.0],
        error=0.1,
        platform="float",
        bottom=[np.nan, 20.0, 30.0, 30.0],
    )
    rows.to_dataset().to_netcdf(tmp_path / "rows.nc")
    rows.to_frame().to_csv(tmp_path / "rows.csv", index=False)
    full = StateGrid(grid.lat, grid.lon, grid.channels, np.ones(grid.shape, bool))
    for name in ("rows.nc", "rows.csv"):
        back = read_observations([tmp_path / name])
        np.testing.assert_array_equal(back.bottom, rows.bottom)
        used, operator, account = check(back, full)
        assert account.total.dropped == {"duplicate": 1}
        assert len(used) == operator.size == 3
        # a field that is its depth: means of depths
        depth = np.array([5.0, 15.0, 30.0, 0.0])[:, None, None] * np.ones(full.shape)
        seen = operator(torch.from_numpy(depth)[None])[0].numpy()
        assert seen[0] == 5
        assert seen[0] < seen[1] < seen[2]


def test_messages(grid: StateGrid) -> None:
    with pytest.raises(ConfigurationError, match="0 km"):
        as_stated(grid, places(), radius_km=0)
    with pytest.raises(ConfigurationError, match=r"'theta'.*thetao"):
        as_stated(grid, places(), radius_km={"theta": 10})
