"""A network sees a part of the grid at a time: the same fields where a tile holds the grid, one noise field where it does not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.models.tiled import parts_of
from driftfield.reconstruction.draws import DatedWindow, Draws
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.sampling.tiles import TilesAsked, Tiling

OLD = Path(__file__).parent.parent / "old_runs"


@pytest.fixture(scope="module")
def method() -> Any:
    return load_reconstructor(OLD / "diffusion")


@pytest.fixture(scope="module")
def observations() -> xr.Dataset:
    with xr.open_dataset(OLD / "ocean.nc") as dataset:
        return dataset.isel(time=[0]).load()


def completed(method: Any, observations: xr.Dataset, tiles: TilesAsked | None, **options: Any) -> np.ndarray:
    result: xr.Dataset = method.complete(observations, Draws(3, 7, tiles=tiles, **options))
    return np.asarray(result["thetao_member"].values)


@pytest.mark.parametrize("independent", [False, True])
def test_a_tile_as_large_as_the_grid_changes_no_bit(method: Any, observations: xr.Dataset, independent: bool) -> None:
    size = max(observations.sizes["lat"], observations.sizes["lon"])
    whole = completed(method, observations, None)
    assert completed(method, observations, TilesAsked(size, 2, independent)).tobytes() == whole.tobytes()


@pytest.mark.parametrize("independent", [False, True])
def test_tiles_fill_the_domain_with_members_that_do_not_depend_on_company(
    method: Any, observations: xr.Dataset, independent: bool
) -> None:
    whole = completed(method, observations, None)
    tiles = TilesAsked(4, 2, independent)
    parts = completed(method, observations, tiles)
    np.testing.assert_array_equal(np.isfinite(parts), np.isfinite(whole))
    assert parts.tobytes() != whole.tobytes()
    np.testing.assert_allclose(completed(method, observations, tiles, batch_size=1), parts, atol=1e-4)


def test_every_tile_has_the_noise_of_its_cells_and_is_told_its_place(method: Any, observations: xr.Dataset) -> None:
    batches: list[FieldBatch] = []
    encode = method.model.network.encode

    def watched(batch: FieldBatch, **options: Any) -> Any:
        batches.append(batch)
        return encode(batch, **options)

    method.model.network.encode = watched
    try:
        completed(method, observations, None)
        whole = batches.pop()
        completed(method, observations, TilesAsked(4, 2))
    finally:
        method.model.network.encode = encode
    grid, names = method.codec.grid, method.codec.channel_names()
    tiling = Tiling.of(whole.domain[0].any(0), 4, 2, periodic=grid.periodic)
    middles = [np.float32(grid.middle(tile.rows, tile.columns)).tolist() for tile in tiling.tiles]
    assert [batch.position[0].tolist() for batch in batches] == middles
    assert {tuple(batch.target.shape[-2:]) for batch in batches} == {(4, 4)}
    window = DatedWindow("2041-03-01", np.arange(grid.lat.size), np.arange(grid.lon.size))
    noise = window.noise(names, 7, [0, 3])(1)
    for tile, (part, place) in zip(tiling.tiles, parts_of(whole, window, tiling, method.codec), strict=True):
        assert torch.equal(place.noise(names, 7, [0, 3])(1), tile.cut(noise))
        assert torch.equal(part.seen.value, tile.cut(whole.seen.value))
        assert torch.equal(part.date, whole.date)


def test_independent_tiles_take_no_observations_of_the_whole_grid(method: Any, observations: xr.Dataset) -> None:
    def guide(denoiser: Any, batch: Any, noise: Any) -> Any:
        return denoiser, torch.zeros_like(noise)

    assert np.isfinite(completed(method, observations, TilesAsked(4, 2), guide=guide)).any()
    with pytest.raises(ConfigurationError, match="Leave independent tiles out"):
        completed(method, observations, TilesAsked(4, 2, independent=True), guide=guide)


def test_noise_with_a_colour_is_not_divided(
    method: Any, observations: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method.model, "noise", build("noise", {"class": "Matern", "length": 0.1}))
    with pytest.raises(ConfigurationError, match="tiles, which see a part of the noise"):
        completed(method, observations, TilesAsked(4, 2))
