"""A logarithm around a normaliser: invertible from 0 upwards, never below 0, and errors mapped by its slope."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.codec import FieldCodec, with_levels
from driftfield.data.dataset import ObservingSystem, TwinDataset
from driftfield.data.normalise import Bounded, ZScore, normalizer_from_arrays
from driftfield.data.observed_batch import observation_batch
from driftfield.data.patches import Window
from driftfield.data.transformed import LogTransform
from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import TrainingData
from driftfield.observations.observe import network_scale
from driftfield.registry import build

FLOOR = 0.01
INNER: list[dict[str, Any]] = [
    {"class": "ClimatologicalAnomaly"},
    {"class": "ClimatologicalAnomaly", "per": "domain"},
    {"class": "ZScore"},
    {"class": "Bounded"},
]
EACH = {"thetao": {"class": "LogTransform", "floor": FLOOR, "of": INNER[0]}, "sst": {"class": "ZScore"}}
WHOLE = Window(0, 0, 8, 12)
ROWS, COLUMNS = np.arange(8), np.arange(12)


def rain() -> tuple[xr.DataArray, xr.DataArray]:
    """Four years over five decades, a fifth of it exactly 0; land in the west."""
    rng = np.random.default_rng(0)
    values = np.exp(2 * rng.standard_normal((48, 6, 8))) * (rng.random((48, 6, 8)) > 0.2)
    values[24:] *= 2
    times = np.arange("2001-01", "2005-01", dtype="datetime64[M]").astype("datetime64[ns]")
    coords = {"time": times, "lat": np.linspace(0, 75, 6), "lon": np.arange(8.0)}
    array = xr.DataArray(values.astype(np.float32), dims=("time", "lat", "lon"), coords=coords, name="tp")
    domain = xr.ones_like(array.isel(time=0, drop=True), dtype=bool)
    domain[:, :2] = False
    return array, domain


def fitted(inner: dict[str, Any] | None = None) -> tuple[LogTransform, np.ndarray, np.ndarray]:
    """A transform, values (time, 1, lat, lon) and the offset of its logarithm."""
    array, domain = rain()
    found = LogTransform(FLOOR, inner).fit(array, domain, np.arange(36))
    return found, with_levels(array), found.mean_at(array["time"])


def codec_of(data: TrainingData, normalizer: dict[str, Any], **options: Any) -> FieldCodec:
    archive: Any = data.archive
    return FieldCodec.fit(archive, data.train, data.targets, data.covariates, normalizer, **options)


@pytest.mark.parametrize("inner", INNER, ids=lambda spec: "-".join(spec.values()))
def test_decoding_is_the_inverse_of_encoding_from_zero_upwards(inner: dict[str, Any]) -> None:
    log, values, mean = fitted(inner)
    code = log.encode(values, mean)
    np.testing.assert_allclose(log.decode(code, mean), values, rtol=1e-5, atol=1e-5 * FLOOR)
    tensor, offset = torch.from_numpy(values), torch.from_numpy(mean.copy())
    np.testing.assert_allclose(log.encode(tensor, offset).numpy(), code, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(log.decode(log.encode(tensor, offset), offset).numpy(), values, rtol=1e-5, atol=1e-6)
    again = normalizer_from_arrays(log.describe(), {key: array.copy() for key, array in log.to_arrays().items()})
    np.testing.assert_array_equal(again.encode(values, again.mean_at(rain()[0]["time"])), code)


def test_it_is_monotone_and_never_below_zero() -> None:
    log, values, mean = fitted()
    ladder = np.array([0, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 1e4], np.float32)[:, None, None, None]
    code = log.encode(np.broadcast_to(ladder, (8, *values.shape[1:])).copy(), mean[:1])
    assert (np.diff(code, axis=0) > 0).all()
    wild = np.sort(100 * np.random.default_rng(1).standard_normal((40, *values.shape[1:])).astype(np.float32), axis=0)
    found = log.decode(wild, mean[:1])
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=0) >= 0).all()
    # what an error brought below 0 counts as 0; what is unknown stays unknown
    np.testing.assert_array_equal(log.encode(-values, mean), log.encode(0 * values, mean))
    assert np.isnan(log.encode(np.full_like(values, np.nan), mean)).all()


def test_the_logarithm_is_what_is_normalised_and_land_has_no_say() -> None:
    log, values, mean = fitted({"class": "ZScore"})
    array, domain = rain()
    area = np.cos(np.radians(array["lat"].values))[:, None] * domain.values * np.ones((36, 1, 1, 1))
    code = log.encode(values, mean)[:36]
    assert np.average(code, weights=area) == pytest.approx(0, abs=1e-5)
    assert np.average(code**2, weights=area) == pytest.approx(1, abs=1e-5)
    spoiled = LogTransform(FLOOR, {"class": "ZScore"}).fit(array.where(domain, -5.0), domain, np.arange(36))
    np.testing.assert_array_equal(spoiled.std, log.std)


def test_the_slope_is_the_derivative_of_decoding() -> None:
    log, values, mean = fitted()
    code = torch.from_numpy(log.encode(values, mean)).double().requires_grad_()
    field = log.decode(code, torch.from_numpy(mean.copy()).double())
    (slope,) = torch.autograd.grad(field.sum(), code)
    inside = values > 1e-6
    np.testing.assert_allclose(log.slope(values)[inside], slope.numpy()[inside], rtol=1e-4)


def test_a_quantile_of_members_is_the_quantile_of_their_logarithm() -> None:
    """So that an ensemble that is calibrated in network units is in physical ones; its mean and spread are its own."""
    log, _, mean = fitted()
    z = np.random.default_rng(3).normal(0.3, 0.5, (40001, 1, 6, 8))
    members = log.decode(z, mean[:1].astype(np.float64))
    for part in (0.05, 0.5, 0.95):
        middle = np.quantile(z, part, axis=0, method="nearest")[None]
        np.testing.assert_allclose(
            np.quantile(members, part, axis=0, method="nearest"), log.decode(middle, mean[:1])[0]
        )
    centre, width = (0.3 * log.std + mean[:1])[0].astype(np.float64), 0.5 * log.std.astype(np.float64)
    lognormal = np.exp(centre + width**2 / 2) - FLOOR
    free = np.exp(z * log.std + mean[:1]) - FLOOR
    np.testing.assert_allclose(free.mean(0), lognormal, rtol=0.05, atol=0.01)
    assert (members.mean(0) > log.decode(np.full_like(z[:1], 0.3), mean[:1])[0]).all()


def test_an_error_is_the_same_in_training_and_in_a_file(training_data: TrainingData) -> None:
    data = training_data
    codec = codec_of(data, EACH)
    system = ObservingSystem({"thetao": "profiles:0.5", "sst": "all"}, error={"thetao": 0.5, "sst": 0.1})
    options: dict[str, Any] = {"times": data.train, "windows": [WHOLE], "samples": 1, "seed": 0, "training": False}
    sample = TwinDataset(data.archive, codec, system, **options).draw(3, WHOLE, np.random.default_rng(0))  # type: ignore[arg-type]
    seen, date = sample.seen.where[0].numpy(), data.archive.dataset["time"].values[[3]]
    y = codec.decode("thetao", sample.seen.value.numpy(), date, ROWS, COLUMNS)
    truth = codec.decode("thetao", sample.target.numpy(), date, ROWS, COLUMNS)
    assert (y - truth)[0][seen].std() == pytest.approx(0.5, rel=0.3)
    file = data.archive.dataset.isel(time=[3])
    file = file.assign(thetao=file["thetao"].copy(data=np.where(seen, y, np.nan)))
    file = file.assign(thetao_error=xr.full_like(file["thetao"], 0.5))
    read = observation_batch(codec, file, 0)
    assert torch.equal(read.seen.where, sample.seen.where)
    np.testing.assert_allclose(read.seen.value, sample.seen.value, atol=2e-4)
    np.testing.assert_allclose(read.seen.error, sample.seen.error, rtol=2e-4)
    spread = sample.seen.error[0].numpy()
    np.testing.assert_allclose(
        spread[seen], (0.5 / ((y[0] + FLOOR) * codec.normalizers["thetao"].std))[seen], rtol=2e-4
    )


def test_without_errors_an_observation_is_the_field(training_data: TrainingData) -> None:
    data = training_data
    system = ObservingSystem({"thetao": "profiles:0.5", "sst": "all"})
    options: dict[str, Any] = {"times": data.train, "windows": [WHOLE], "samples": 1, "seed": 0}
    sample = TwinDataset(data.archive, codec_of(data, EACH), system, **options).draw(2, WHOLE, np.random.default_rng(1))  # type: ignore[arg-type]
    assert torch.equal(sample.seen.value[sample.seen.where], sample.target[sample.seen.where])
    assert not sample.seen.error.any()


def test_bounds_hold_and_a_half_open_one_has_no_other_end(training_data: TrainingData) -> None:
    codec = codec_of(training_data, EACH, bounds={"thetao": (0.0, np.inf)})
    date = training_data.archive.dataset["time"].values[[3]]
    low, high = codec.bounds_at("thetao", date, ROWS, COLUMNS)
    assert np.isposinf(high).all()
    assert np.isfinite(low).all()
    np.testing.assert_allclose(codec.decode("thetao", low, date, ROWS, COLUMNS), 0, atol=1e-6)
    capped = codec_of(training_data, EACH, bounds={"thetao": (12.0, 16.0)})
    wild = 100 * np.random.default_rng(0).standard_normal((5, 2, 8, 12)).astype(np.float32)
    found = capped.decode("thetao", wild, date, ROWS, COLUMNS)
    assert (found.min(), found.max()) == (12.0, 16.0)
    assert capped.limits() == {"thetao": (12.0, 16.0)}
    assert codec_of(training_data, EACH).limits() == {"thetao": (0.0, np.inf)}
    assert codec_of(training_data, {"class": "ZScore"}).limits() == {}


def test_every_variable_may_have_a_normaliser_of_its_own(training_data: TrainingData) -> None:
    codec = codec_of(training_data, EACH)
    again = FieldCodec.from_arrays(*codec.to_arrays())
    assert isinstance(again.normalizers["thetao"], LogTransform)
    assert isinstance(again.normalizers["sst"], ZScore)
    assert again.normalizers["thetao"].describe() == codec.normalizers["thetao"].describe()
    with pytest.raises(ConfigurationError, match=r"lacks \['sst'\]"):
        codec_of(training_data, {"thetao": {"class": "ZScore"}})
    archive: Any = training_data.archive
    mixed = {"thetao": {"class": "ZScore"}, "sst": {"class": "ClimatologicalAnomaly"}}
    level = replace(
        archive,
        dataset=archive.dataset.isel(depth=0),
        domains={n: d.isel(depth=0, missing_dims="ignore") for n, d in archive.domains.items()},
    )
    with pytest.raises(ConfigurationError, match="two normalisers"):
        FieldCodec.fit(level, training_data.train, ("thetao", "sst"), (), mixed, [("thetao", "sst")])
    with pytest.raises(ConfigurationError, match="names 'ssh'"):
        codec_of(training_data, EACH | {"ssh": {"class": "ZScore"}})


def test_refusals(training_data: TrainingData) -> None:
    array, domain = rain()
    for floor in (0, -1.0, float("nan"), True, "low"):
        with pytest.raises(ConfigurationError, match="above 0"):
            build("normalizer", {"class": "LogTransform", "floor": floor})
    with pytest.raises(ConfigurationError, match="floor"):
        build("normalizer", {"class": "LogTransform"})
    with pytest.raises(ConfigurationError, match="one logarithm"):
        LogTransform(FLOOR, {"class": "LogTransform", "floor": FLOOR})
    with pytest.raises(DataError, match="needs 0 and above"):
        LogTransform(FLOOR).fit(array - 1.0, domain, np.arange(36))
    with pytest.raises(ConfigurationError, match="two signs"):
        LogTransform(FLOOR).fit(array, domain, np.arange(36), vector=True)
    assert isinstance(LogTransform(FLOOR, {"class": "Bounded"}).of, Bounded)
    with pytest.raises(ConfigurationError, match="guidance by observations"):
        network_scale(codec_of(training_data, EACH), training_data.archive.dataset["time"][:1])
