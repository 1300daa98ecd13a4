"""A codec is invertible, finds its own place for a part of the grid, and survives being written down."""

import numpy as np
import pytest
import xarray as xr

from driftfield.data.codec import FieldCodec, with_levels
from driftfield.data.grid import locate
from driftfield.errors import DataError, FileFormatError
from driftfield.fields import Channel
from driftfield.interfaces import TrainingData

NORMALIZERS = [
    {"class": "ClimatologicalAnomaly", "per": "cell"},
    {"class": "ClimatologicalAnomaly", "per": "domain"},
    {"class": "ZScore"},
    {"class": "Bounded"},
]


def fitted(data: TrainingData, normalizer: dict[str, str] | None = None) -> FieldCodec:
    return FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, normalizer or NORMALIZERS[0])


def whole(codec: FieldCodec) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=lambda n: "-".join(n.values()))
@pytest.mark.parametrize("name", ["thetao", "sst"])
def test_decode_undoes_encode(training_data: TrainingData, normalizer: dict[str, str], name: str) -> None:
    codec = fitted(training_data, normalizer)
    field = training_data.archive.dataset[name]
    values, times = with_levels(field), field["time"].values
    back = codec.decode(name, codec.encode(name, values, times, *whole(codec)), times, *whole(codec))
    assert (np.isnan(back) == np.isnan(values)).all()
    np.testing.assert_allclose(back, values, rtol=2e-6, atol=2e-5)


def test_training_fields_have_mean_0_and_variance_1(training_data: TrainingData) -> None:
    codec = fitted(training_data, {"class": "ZScore"})
    field = training_data.archive.dataset["thetao"].isel(time=training_data.train)
    code = codec.encode("thetao", with_levels(field), field["time"].values, *whole(codec))
    area = np.cos(np.radians(codec.grid.lat))[:, None] * np.isfinite(code)
    mean = np.nansum(code * area, axis=(0, 2, 3)) / area.sum(axis=(0, 2, 3))
    np.testing.assert_allclose(mean, 0, atol=1e-4)
    np.testing.assert_allclose(np.nansum(code**2 * area, axis=(0, 2, 3)) / area.sum(axis=(0, 2, 3)), 1, atol=1e-3)


def test_a_part_of_the_grid_is_coded_like_the_whole(training_data: TrainingData) -> None:
    codec = fitted(training_data)
    field = training_data.archive.dataset["thetao"].isel(time=[3])
    part = field.isel(lat=slice(2, 6), lon=slice(5, 9))
    rows, columns = codec.grid.rows(part["lat"].values), codec.grid.columns(part["lon"].values)
    assert list(rows) == [2, 3, 4, 5]
    assert list(columns) == [5, 6, 7, 8]
    all_of_it = codec.encode("thetao", with_levels(field), field["time"].values, *whole(codec))
    np.testing.assert_array_equal(
        codec.encode("thetao", with_levels(part), part["time"].values, rows, columns), all_of_it[..., 2:6, 5:9]
    )


def test_longitude_is_found_in_either_convention(training_data: TrainingData) -> None:
    codec = fitted(training_data)
    assert (codec.grid.lon < 0).any()
    assert list(codec.grid.columns(codec.grid.lon % 360)) == list(range(codec.grid.lon.size))


@pytest.mark.parametrize(("axis", "shift"), [("rows", 0.1), ("columns", 0.1), ("rows", 30.0), ("columns", 90.0)])
def test_cells_between_those_of_the_grid_are_refused(training_data: TrainingData, axis: str, shift: float) -> None:
    codec = fitted(training_data)
    own = codec.grid.lat if axis == "rows" else codec.grid.lon
    with pytest.raises(DataError, match=r"not on the grid of the run .* values\)"):
        getattr(codec.grid, axis)(own + shift)


def test_rounding_of_coordinates_does_not_matter() -> None:
    known = np.arange(0.125, 20, 0.25)
    found = locate(known.astype(np.float32) + np.float32(1e-5), known, "latitude", 0.0)
    assert list(found) == list(range(known.size))


def test_channels_are_the_levels_of_the_targets_in_order(training_data: TrainingData) -> None:
    codec = fitted(training_data)
    assert codec.channels() == [Channel("thetao", 10.0), Channel("thetao", 40.0)]
    assert codec.channels(codec.covariates) == [Channel("sst", None)]


def test_what_is_written_down_comes_back(training_data: TrainingData) -> None:
    codec = fitted(training_data)
    again = FieldCodec.from_arrays(*codec.to_arrays())
    field = training_data.archive.dataset["thetao"]
    values, times = with_levels(field), field["time"].values
    for name in ("encode", "decode"):
        np.testing.assert_array_equal(
            getattr(again, name)("thetao", values, times, *whole(codec)),
            getattr(codec, name)("thetao", values, times, *whole(codec)),
        )
    assert again.channels() == codec.channels()
    assert (again.targets, again.covariates) == (codec.targets, codec.covariates)
    assert (again.grid.periodic, again.grid.monthly) == (codec.grid.periodic, codec.grid.monthly)
    for name, domain in codec.domains.items():
        np.testing.assert_array_equal(again.domains[name], domain)


@pytest.mark.parametrize("lost", ["lat", "domain.thetao", "normalizer.thetao.std"])
def test_a_run_that_lacks_numbers_is_damaged(training_data: TrainingData, lost: str) -> None:
    description, arrays = fitted(training_data).to_arrays()
    del arrays[lost]
    with pytest.raises(FileFormatError, match="damaged"):
        FieldCodec.from_arrays(description, arrays)


def test_it_learns_from_the_training_times_alone(ocean: xr.Dataset, training_data: TrainingData) -> None:
    changed = ocean.copy(deep=True)
    changed["thetao"][training_data.validation] += 100
    before = fitted(training_data).to_arrays()[1]
    archive = type(training_data.archive)(changed, training_data.archive.domains, False)
    after = FieldCodec.fit(archive, training_data.train, ["thetao"], ["sst"], NORMALIZERS[0]).to_arrays()[1]
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)
