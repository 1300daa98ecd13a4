"""What an observation file says is what a network is shown, and nothing else: no land, no gap, no other grid."""

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import ObservingSystem, TwinDataset
from driftfield.data.domain_files import add_domain
from driftfield.data.observed_batch import observation_batch
from driftfield.data.patches import Window
from driftfield.data.twin import observe
from driftfield.errors import DataError
from driftfield.fields import FieldBatch
from driftfield.interfaces import TrainingData

TIME = 4
PATTERNS = {"thetao": "profiles:0.7", "sst": "clouds:0.5"}


@pytest.fixture
def codec(training_data: TrainingData) -> FieldCodec:
    return FieldCodec.fit(
        training_data.archive, training_data.train, ["thetao"], ["sst"], {"class": "ClimatologicalAnomaly"}
    )


@pytest.fixture
def seen(ocean: xr.Dataset) -> xr.Dataset:
    return observe(ocean, PATTERNS, error=0.1, seed=3)


class _Given(ObservingSystem):
    """Sees what an observation file says."""

    seen: xr.Dataset

    def draw(  # type: ignore[override]
        self, name: str, domain: np.ndarray, rng: np.random.Generator, *, periodic: bool, **_: object
    ) -> np.ndarray:
        mask = self.seen[name].isel(time=TIME).notnull().values
        return mask if mask.ndim == 3 else mask[None]


def assert_same(a: FieldBatch, b: FieldBatch, *, but: tuple[str, ...] = ()) -> None:
    first, second = a.to_arrays(), b.to_arrays()
    assert first.keys() == second.keys()
    for name, one in first.items():
        if name in but:
            continue
        if one.dtype == bool:
            np.testing.assert_array_equal(one, second[name], err_msg=name)
        else:
            np.testing.assert_allclose(one, second[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_file_is_read_as_training_would_draw_it(
    ocean: xr.Dataset, training_data: TrainingData, codec: FieldCodec
) -> None:
    file = observe(ocean, PATTERNS, error=0.0, seed=3)
    system = _Given(PATTERNS, covariate_dropout=0.0)
    system.seen = file
    dataset = TwinDataset(
        training_data.archive, codec, system, times=np.arange(30), windows=[Window(0, 0, 8, 12)], samples=1, seed=0
    )
    drawn = dataset.draw(TIME, Window(0, 0, 8, 12), np.random.default_rng(0))
    # the truth is what a reconstruction is not told
    assert_same(observation_batch(codec, file, TIME), drawn, but=("target", "held_out"))


def test_target_and_held_out_cells_stay_empty(codec: FieldCodec, seen: xr.Dataset) -> None:
    batch = observation_batch(codec, seen, TIME)
    assert not batch.held_out.any()
    assert (batch.target == 0).all()
    without = seen.drop_vars(["held_out", "sst_held_out"])
    assert_same(observation_batch(codec, without, TIME), batch)


def test_errors_are_in_network_units_where_observed(codec: FieldCodec, seen: xr.Dataset) -> None:
    batch = observation_batch(codec, seen, TIME)
    scale = torch.from_numpy(codec.normalizers["thetao"].std)
    stated = (batch.seen.error * scale)[batch.seen.where]
    torch.testing.assert_close(stated, torch.full_like(stated, 0.1))
    assert (batch.seen.error[~batch.seen.where] == 0).all()


def test_no_stated_error_means_exact(codec: FieldCodec, seen: xr.Dataset) -> None:
    batch = observation_batch(codec, seen.drop_vars("thetao_error"), TIME)
    assert batch.seen.where.any()
    assert (batch.seen.error == 0).all()


@pytest.mark.parametrize("value", [1e9, -9999.0, np.inf, 0.0])
def test_values_on_land_change_nothing(codec: FieldCodec, seen: xr.Dataset, value: float) -> None:
    painted = seen.copy()
    painted["thetao"] = seen["thetao"].where(seen["domain"], value)
    painted["sst"] = seen["sst"].where(seen["domain"].isel(depth=0, drop=True), value)
    assert_same(observation_batch(codec, painted, TIME), observation_batch(codec, seen, TIME))


def test_a_missing_covariate_is_absent_not_average(codec: FieldCodec, seen: xr.Dataset) -> None:
    batch = observation_batch(codec, seen.drop_vars(["sst", "sst_error"]), TIME)
    assert float(batch.presence) == 0
    assert not batch.given.where.any()
    assert_same(observation_batch(codec, seen.assign(sst=seen["sst"] * np.nan), TIME), batch)
    assert float(observation_batch(codec, seen, TIME).presence) == 1


def test_further_variables_dask_and_the_order_of_axes_do_not_matter(codec: FieldCodec, seen: xr.Dataset) -> None:
    batch = observation_batch(codec, seen, TIME)
    assert_same(observation_batch(codec, seen.assign(salinity=seen["thetao"] * 2), TIME), batch)
    assert_same(observation_batch(codec, seen.chunk({"time": 7}), TIME), batch)
    assert_same(observation_batch(codec, seen.transpose("lon", "lat", "depth", "time"), TIME), batch)
    assert_same(observation_batch(codec, seen.assign_coords(lon=seen["lon"] % 360), TIME), batch)


def test_the_domain_is_that_of_the_file_or_else_of_the_run(codec: FieldCodec, seen: xr.Dataset) -> None:
    own = torch.from_numpy(codec.domains["thetao"])[None]
    assert torch.equal(observation_batch(codec, seen.drop_vars("domain"), TIME).domain, own)
    smaller = seen["domain"].copy()
    smaller[:, 4:, :] = False
    batch = observation_batch(codec, seen.assign(domain=smaller), TIME)
    assert torch.equal(batch.domain[0], torch.from_numpy(smaller.values))
    assert not batch.seen.where[:, :, 4:].any()


def test_a_part_of_the_grid_is_the_part_of_the_batch(codec: FieldCodec, seen: xr.Dataset) -> None:
    part = observation_batch(codec, seen.isel(lat=slice(1, 7), lon=slice(2, 9)), TIME)
    all_of_it = observation_batch(codec, seen, TIME)
    assert torch.equal(part.seen.value, all_of_it.seen.value[..., 1:7, 2:9])
    assert torch.equal(part.domain, all_of_it.domain[..., 1:7, 2:9])


def negative_errors(seen: xr.Dataset) -> xr.Dataset:
    return seen.assign(thetao_error=-seen["thetao_error"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda seen: seen.drop_vars("thetao"), "lack 'thetao'"),
        (lambda seen: seen.isel(depth=[0]), r"levels \[10.0\] m; this run knows \[10.0, 40.0\] m"),
        (lambda seen: seen.assign_coords(depth=[10.0, 60.0]), r"\[10.0, 60.0\] m"),
        (lambda seen: seen.assign_coords(lat=seen["lat"] + 0.2), "not on the grid of the run"),
        (lambda seen: seen.isel(lat=slice(None, None, -1)), "latitude .* backwards"),
        (lambda seen: seen.isel(lon=slice(None, None, 2)), "longitude .* leaves out cells"),
        (negative_errors, "negative"),
    ],
)
def test_observations_of_something_else_are_refused(codec: FieldCodec, seen: xr.Dataset, change, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=message):
        observation_batch(codec, change(seen), TIME)


# -- the domain from another file --------------------------------------------------------------------------------------


def world(seen: xr.Dataset) -> xr.Dataset:
    """A larger domain in the other convention of longitude, which leaves out the cell (0, 5, 6)."""
    mask = seen["domain"].copy()
    mask[0, 5, 6] = False
    larger = mask.pad(lat=(2, 2), lon=(3, 3), constant_values=False)
    lat, lon = 29.0 + 0.5 * np.arange(12), (-41.5 + 0.5 * np.arange(18)) % 360
    return larger.assign_coords(lat=lat, lon=lon).to_dataset(name="domain")


def test_a_domain_is_found_in_a_larger_file(seen: xr.Dataset) -> None:
    bare = seen.drop_vars("domain")
    found = add_domain(bare, world(seen))
    expected = seen["domain"].values.copy()
    expected[0, 5, 6] = False
    assert found["thetao_domain"].dtype == bool
    np.testing.assert_array_equal(found["thetao_domain"].values, expected)
    np.testing.assert_array_equal(found["sst_domain"].values, expected[0])


def test_the_observations_own_domain_goes_first(seen: xr.Dataset) -> None:
    xr.testing.assert_identical(add_domain(seen, world(seen)), seen)


def test_a_domain_elsewhere_is_refused(seen: xr.Dataset) -> None:
    bare, other = seen.drop_vars("domain"), world(seen)
    with pytest.raises(DataError, match=r"not on the domain in mask\.nc"):
        add_domain(bare, other.isel(lat=slice(0, 5)), source="mask.nc")
    with pytest.raises(DataError, match="holds no 'domain'"):
        add_domain(bare, other.rename(domain="mask"), source="mask.nc")
    with pytest.raises(DataError, match="sea floor"):
        add_domain(bare, other.isel(depth=0, drop=True), source="mask.nc")
