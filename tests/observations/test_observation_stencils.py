"""What H must give: linear fields exactly, across the dateline too; land never; and the adjoint of every stencil."""

import dataclasses

import numpy as np
import pytest
import torch

from driftfield.errors import ConfigurationError, DataError
from driftfield.fields import Channel
from driftfield.observations.grid import ObservedPlaces, StateGrid, along_axis
from driftfield.observations.stencils import (
    Stencil,
    cells,
    coarse_means,
    footprints,
    points,
    vertical_means,
)

LEVELS = (5.0, 20.0, 60.0)


def grid(**changes: object) -> StateGrid:
    """thetao on three levels and zos, at two dates, on a globe of 15 x 24 cells, all sea."""
    lat, lon = np.linspace(-70, 70, 15), np.arange(0, 360, 15.0)
    channels = tuple(
        Channel(name, level, offset)
        for offset in (0, 1)
        for name, level in [*(("thetao", z) for z in LEVELS), ("zos", None)]
    )
    made = StateGrid(
        lat, lon, channels, np.ones((8, 15, 24), bool), periodic=True, days={0: 100.0, 1: 105.0}, step_days=5.0
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def linear(on: StateGrid) -> torch.Tensor:
    """3 + .2 lat + .1 depth + .4 day + .05 |lon - 180|, which is linear but at 0 and 180."""
    depth = np.array([0.0 if c.level is None else c.level for c in on.channels])
    day = np.array([on.days[c.offset] for c in on.channels])
    plane = 0.2 * on.lat[:, None] + 0.05 * np.abs(on.lon - 180.0)
    return torch.from_numpy(3 + plane + (0.1 * depth + 0.4 * day)[:, None, None])[None]


def expected(places: ObservedPlaces) -> np.ndarray:
    depth = np.where(places.variable == "zos", 0.0, places.depth)
    return 3 + 0.2 * places.lat + 0.1 * depth + 0.4 * places.days + 0.05 * np.abs(places.lon % 360 - 180)


def scattered(n: int = 200, seed: int = 0) -> ObservedPlaces:
    rng = np.random.default_rng(seed)
    lon = rng.uniform(0, 165, n) + 180 * rng.integers(0, 2, n) - 360 * rng.integers(0, 2, n)
    variable = np.where(rng.random(n) < 0.5, "thetao", "zos").astype(object)
    depth = np.where(variable == "zos", np.nan, rng.uniform(5, 60, n))
    return ObservedPlaces(variable, rng.uniform(-70, 70, n), lon, depth, rng.uniform(100, 105, n))


def stencils() -> dict[str, Stencil]:
    on, land = grid(), grid()
    land.domain[:, 3:7, 5:11] = False
    land.domain[2, 8:, :] = False
    deep = dataclasses.replace(scattered(), variable=np.full(200, "thetao", dtype=object), depth=np.full(200, 2.0))
    return {
        "points": points(on, scattered()),
        "points at a coast": points(land, scattered()),
        "disc": footprints(land, scattered(), 2500.0),
        "gaussian": footprints(land, scattered(), 900.0, gaussian=True),
        "vertical means": vertical_means(land, deep, 50.0),
        "coarse means": coarse_means(land, (4, 5)),
        "cells": cells(land, np.random.default_rng(0).random(land.shape) < 0.3),
    }


@pytest.mark.parametrize("name", list(stencils()))
def test_adjoint_sums_and_land(name: str) -> None:
    stencil = stencils()[name]
    operator = stencil.operator()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, *operator.shape, generator=generator, dtype=torch.float64)
    y = torch.randn(2, operator.size, generator=generator, dtype=torch.float64)
    assert operator.size > 50
    assert abs(float((operator(x) * y).sum() - (x * operator.adjoint(y)).sum())) < 1e-10
    # every observation is a mean: a constant is seen as it is
    torch.testing.assert_close(operator(torch.ones_like(x)), torch.ones_like(y))
    on = grid()
    if name not in ("points",):
        on.domain[:, 3:7, 5:11] = False
        on.domain[2, 8:, :] = False
        assert set(stencil.problem) - {""}
    dry = torch.where(torch.from_numpy(on.domain), x, torch.inf)
    torch.testing.assert_close(operator(torch.where(dry.isinf(), 1e6, x)), operator(x))
    # nothing of the land can be moved by an observation
    assert not operator.adjoint(y)[:, torch.from_numpy(~on.domain)].any()


def test_points_are_exact_on_linear_fields() -> None:
    on, places = grid(), scattered()
    stencil = points(on, places)
    assert stencil.usable.all()
    found = stencil.operator()(linear(on))[0].numpy()
    np.testing.assert_allclose(found, expected(places), rtol=1e-12)
    # in a window that does not wrap, and in the other convention of longitude
    part = slice(2, 9)
    west = dataclasses.replace(on, lon=on.lon[part] - 360, domain=on.domain[..., part], periodic=False)
    inside = (places.lon % 360 >= 30) & (places.lon % 360 <= 120)
    stencil = points(west, places)
    np.testing.assert_allclose(
        stencil.operator(inside)(linear(on)[..., part])[0].numpy(), expected(places)[inside], rtol=1e-12
    )
    assert (stencil.problem[(places.lon % 360 < 22.4) | (places.lon % 360 > 127.6)] == "outside the grid").all()


def test_the_seam_of_longitude_is_not_there() -> None:
    on = grid()
    at = ObservedPlaces.of("zos", 0.0, np.array([352.5, -7.5, 712.5, 180.0, -180.0, 540.0]), days=100.0)
    field = torch.zeros(1, *on.shape, dtype=torch.float64)
    field[..., 0], field[..., 23], field[..., 12] = 1.0, 3.0, 7.0
    np.testing.assert_allclose(points(on, at).operator()(field)[0].numpy(), [2, 2, 2, 7, 7, 7])


def test_time_is_linear_between_dates_and_ends_half_a_step_beyond() -> None:
    on = grid()
    at = ObservedPlaces.of("zos", 0.0, 0.0, days=np.array([97.4, 97.5, 100.0, 102.0, 105.0, 107.5, 107.6, np.nan]))
    stencil = points(on, at)
    assert list(stencil.problem) == ["far from the dates", *[""] * 5, "far from the dates", ""]
    field = torch.zeros(1, *on.shape, dtype=torch.float64)
    field[:, 3], field[:, 7] = 10.0, 20.0
    np.testing.assert_allclose(stencil.operator()(field)[0].numpy(), [10, 10, 14, 20, 20, 10])
    timeless = dataclasses.replace(on, channels=on.channels[:4], domain=on.domain[:4], days={})
    assert points(timeless, at).usable.all()


def test_depth_is_linear_between_levels_and_never_made_up_below_the_floor() -> None:
    on = grid()
    on.domain[2::4, 8:] = False  # the deepest level exists in the south only
    depth = np.array([0.0, 5.0, 12.5, 60.0, 79.0, 81.0, np.nan])
    field = torch.zeros(1, *on.shape, dtype=torch.float64)
    field[:, :3] = torch.tensor([10.0, 8.0, 4.0])[:, None, None]
    stencil = points(on, ObservedPlaces.of("thetao", -30.0, 10.0, depth, 100.0))
    assert list(stencil.problem) == ["", "", "", "", "", "outside the levels", "outside the levels"]
    np.testing.assert_allclose(stencil.operator()(field)[0].numpy(), [10, 10, 9, 4, 4])
    stencil = points(on, ObservedPlaces.of("thetao", 30.0, 10.0, depth, 100.0))
    assert list(stencil.problem[:5]) == ["", "", "", "below the sea floor", "below the sea floor"]
    surface = points(on, ObservedPlaces.of("zos", 0.0, 0.0, np.array([0.0, 9.0, 11.0, np.nan]), 100.0))
    assert list(surface.problem) == ["", "", "outside the levels", ""]
    means = vertical_means(
        on, ObservedPlaces.of("thetao", -30.0, 10.0, np.array([0.0, 0.0, 12.5, 70.0]), 100.0), [12.5, 80, 40, 300]
    )
    assert list(means.problem) == ["", "", "", "outside the levels"]
    layers = (10 * 12.5 + 8 * 27.5 + 4 * 40) / 80
    np.testing.assert_allclose(means.operator()(field)[0].numpy(), [10, layers, 8])
    shallow = vertical_means(on, ObservedPlaces.of("thetao", 30.0, 10.0, np.array([0.0, 0.0]), 100.0), [60.0, 80.0])
    np.testing.assert_allclose(shallow.operator()(field)[0].numpy(), [(10 * 12.5 + 8 * 27.5) / 40] * 2)


def test_land_corners_are_dropped_and_the_others_share_their_weight() -> None:
    on = grid()
    on.domain[:, 7, 2] = False  # the cell at 0 N, 30 E
    field = torch.zeros(1, *on.shape, dtype=torch.float64)
    field[..., 7, 1], field[..., 7, 2], field[..., 8, 1], field[..., 8, 2] = 1.0, torch.inf, 2.0, 3.0
    field = torch.where(torch.from_numpy(on.domain), field, 1e9)
    at = ObservedPlaces.of("zos", np.array([2.0, 5.0, 0.0]), np.array([18.0, 22.5, 29.0]), days=100.0)
    stencil = points(on, at)
    assert list(stencil.problem) == ["", "", "on land"]
    w = np.array([0.8 * 0.8, 0.2 * 0.8, 0.2 * 0.2])
    found = stencil.operator()(field)[0].numpy()
    np.testing.assert_allclose(found, [w @ [1, 2, 3] / w.sum(), 2.0])
    assert not points(on, at, least=0.9).usable.any()


def test_footprints_are_means_and_tend_to_points() -> None:
    on, places = grid(), scattered()
    field = torch.randn(1, *on.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    small = footprints(on, places, 0.001).operator()(field)
    torch.testing.assert_close(small, points(on, places).operator()(field))
    # a footprint as large as the Earth is the mean of all cells, weighted by their area
    whole = footprints(on, ObservedPlaces.of("zos", 10.0, 20.0, days=100.0), 20100.0).operator()(field)[0, 0]
    area = torch.from_numpy(on.cell_area().copy())
    torch.testing.assert_close(whole, (field[0, 3] * area).sum() / area.sum())
    # symmetric about the point, also across the seam
    disc = footprints(on, ObservedPlaces.of("zos", 0.0, 0.0, days=100.0), 2000.0).operator()
    seen = disc.adjoint(torch.ones(1, 1, dtype=torch.float64))[0, 3]
    torch.testing.assert_close(seen[:, 1:], seen[:, 1:].flip(1))
    assert int((seen > 0).sum()) == 9
    with pytest.raises(ConfigurationError, match="radius"):
        footprints(on, places, 0.0)


def test_coarse_means_of_a_coarse_field() -> None:
    on = grid()
    on.domain[:, 0:3, 0:4] = False
    on.domain[:, 3, 0] = False
    coarse = torch.randn(1, 8, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fine = coarse.repeat_interleave(3, 2).repeat_interleave(4, 3)
    stencil = coarse_means(on, (3, 4))
    assert (stencil.problem.reshape(8, 5, 6)[:, 0, 0] == "on land").all()
    assert int((~stencil.usable).sum()) == 8
    torch.testing.assert_close(stencil.operator()(fine)[0], coarse.flatten()[torch.from_numpy(stencil.usable)])


def test_selected_cells_are_the_cells() -> None:
    on = grid()
    chosen = np.random.default_rng(1).random(on.shape) < 0.2
    field = torch.randn(1, *on.shape, dtype=torch.float64)
    assert torch.equal(cells(on, chosen).operator()(field)[0], field[0][torch.from_numpy(chosen)])


def test_what_a_grid_cannot_be() -> None:
    on = grid()
    for changes, words in (
        ({"domain": on.domain[:3]}, "shape"),
        ({"lat": on.lat[::-1]}, "ascend"),
        ({"channels": (on.channels[0],) * 8}, "twice"),
        ({"days": {0: 1.0}}, "time offsets"),
    ):
        with pytest.raises(DataError, match=words):
            dataclasses.replace(on, **changes)
    with pytest.raises(DataError, match="Did you mean 'thetao'"):
        on.table_of("theta")
    assert list(points(on, ObservedPlaces.of(["so"], np.array([0.0]), np.array([0.0]))).problem) == [
        "not a variable of this state"
    ]
    with pytest.raises(ConfigurationError, match="least"):
        points(on, scattered(), least=0.0)
    with pytest.raises(ConfigurationError, match="blocks"):
        coarse_means(on, 0)
    with pytest.raises(ConfigurationError, match="shape"):
        cells(on, np.ones((1, 1, 1), bool))


def test_along_an_axis_of_one_cell() -> None:
    left, right, weight, inside = along_axis(np.array([-1.0, 0.2, np.nan]), np.array([0.0]), below=0.5, above=0.5)
    assert left.tolist() == right.tolist() == [0, 0, 0]
    assert not weight.any()
    assert inside.tolist() == [False, True, False]
