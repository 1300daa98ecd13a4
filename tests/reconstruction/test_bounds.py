"""Bounds of a variable: declared once in the recipe, kept by every method, and the moments beside them true."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import driftfield.runs  # noqa: F401 - registers the peers
from driftfield.data.codec import FieldCodec, with_levels
from driftfield.data.dataset import ObservingSystem, TwinDataset
from driftfield.data.observed_batch import observation_batch
from driftfield.data.patches import Window
from driftfield.data.prepare import prepare
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.interfaces import TrainingData
from driftfield.reconstruction.bounds import bounded, clipped
from driftfield.reconstruction.output import Estimate
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean, tiny_training_data

SYSTEM = {"observe": {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, "error": 0.05}
WHOLE = Window(0, 0, 8, 12)
LOW, HIGH = 12.0, 16.0


def bounded_data() -> TrainingData:
    """The tiny ocean with its temperatures between two bounds, many cells on either."""
    fields = tiny_ocean()
    fields["thetao"] = fields["thetao"].clip(LOW, HIGH)
    return replace(tiny_training_data(fields), bounds={"thetao": (LOW, HIGH)})


def codec_of(data: TrainingData, normalizer: str = "ClimatologicalAnomaly") -> FieldCodec:
    spec = {"class": normalizer}
    return FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, spec, bounds=data.bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize("normalizer", ["ClimatologicalAnomaly", "ZScore", "Bounded"])
def test_a_decoded_field_is_between_its_bounds(normalizer: str) -> None:
    data = bounded_data()
    codec, times = codec_of(data, normalizer), data.archive.dataset["time"].values[[3]]
    rows, columns = np.arange(8), np.arange(12)
    wild = 100 * np.random.default_rng(0).standard_normal((5, 2, 8, 12)).astype(np.float32)
    found = codec.decode("thetao", wild, times, rows, columns)
    assert (found.min(), found.max()) == (LOW, HIGH)
    free = codec.decode("thetao", wild, times, rows, columns, bounded=False)
    np.testing.assert_allclose(found, free.clip(LOW, HIGH), atol=1e-3)
    on_it = codec.bounds_at("thetao", times, rows, columns)
    assert set(np.unique(codec.decode("thetao", np.concatenate(on_it), times, rows, columns))) == {LOW, HIGH}
    again = FieldCodec.from_arrays(*codec.to_arrays())
    assert again.bounds == codec.bounds
    np.testing.assert_array_equal(again.decode("thetao", wild, times, rows, columns), found)


def test_a_half_open_bound_survives_being_written() -> None:
    data = replace(bounded_data(), bounds={"thetao": (LOW, math.inf)})
    codec = codec_of(data)
    description, arrays = codec.to_arrays()
    assert description["bounds"] == {"thetao": [LOW, None]}
    assert FieldCodec.from_arrays(description, arrays).bounds == codec.bounds


@pytest.mark.parametrize("normalizer", ["ClimatologicalAnomaly", "ZScore"])
@pytest.mark.parametrize("out_of_fold", [False, True])
def test_a_value_on_a_bound_lies_on_it_in_network_units_too(normalizer: str, out_of_fold: bool) -> None:
    data = bounded_data()
    codec = codec_of(data, normalizer)
    options: dict[str, Any] = {"times": data.train, "windows": [WHOLE], "samples": 9, "seed": 5}
    dataset = TwinDataset(data.archive, codec, ObservingSystem(**SYSTEM), **options, out_of_fold=out_of_fold)  # type: ignore[arg-type]
    for time in data.train[:4]:
        sample = dataset.draw(int(time), WHOLE, np.random.default_rng(0))
        truth = torch.from_numpy(with_levels(data.archive.dataset["thetao"].isel(time=[time])))
        assert sample.bounds is not None
        assert sample.bounds is not None
        exists = sample.domain
        assert torch.equal((sample.target <= sample.bounds.lower) & exists, (truth == LOW) & exists)
        assert torch.equal((sample.target >= sample.bounds.upper) & exists, (truth == HIGH) & exists)


def test_nothing_is_bounded_where_nothing_says_so(training_data: TrainingData) -> None:
    codec = codec_of(training_data)
    assert "bounds" not in codec.to_arrays()[0]
    seen = observe(training_data.archive.dataset.isel(time=[0]), SYSTEM["observe"], seed=0)  # type: ignore[arg-type]
    batch = observation_batch(codec, seen, 0)
    assert batch.bounds is None
    assert batch.bounds is None


@pytest.mark.parametrize("name", ["Climatology", "OptimalInterpolation", "LinearInterpolation"])
def test_every_peer_keeps_the_bounds(name: str, tmp_path: Path) -> None:
    data = bounded_data()
    truth = data.archive.dataset.isel(time=data.test[:2])
    seen = observe(truth, {"thetao": "profiles:0.7"}, error=1.0, seed=1)
    peer = build("reconstructor", {"class": name})
    peer.fit(data, seed=0)
    peer.save(tmp_path / "run")
    for one in (peer, load_reconstructor(tmp_path / "run")):
        result = one.reconstruct(seen, members=6, seed=0)
        for label in ("thetao", "thetao_member"):
            if label in result:
                assert float(result[label].min()) >= LOW
                assert float(result[label].max()) <= HIGH
    if "thetao_member" in result and "thetao_sd" in result:
        assert bool(result["thetao_member"].isin([LOW, HIGH]).any())


def test_stated_moments_are_those_of_the_clamped_error() -> None:
    rng = np.random.default_rng(0)
    mean, sd = np.array([0.5, 0.1, -0.4, np.nan, 0.2]), np.array([0.1, 0.3, 0.2, np.nan, 0.0])
    members = mean + sd * rng.standard_normal((100_000, 5))
    clamped = bounded(Estimate(mean, sd, members), 0.0, 1.0)
    m, s, x = clamped.mean, clamped.sd, clamped.members
    assert m is not None
    assert s is not None
    assert x is not None
    np.testing.assert_allclose(m, x.mean(axis=0), atol=3e-3)
    np.testing.assert_allclose(s, x.std(axis=0), atol=3e-3)
    alone = bounded(Estimate(mean), 0.0, 1.0).mean
    assert alone is not None
    assert alone[2] == 0


def test_a_calibration_cannot_push_beyond() -> None:
    result = xr.Dataset({"x": ("cell", [-0.2, 0.5]), "x_member": (("member", "cell"), [[-1.0, 2.0]])})
    result["x"].attrs["units"] = "1"
    found = clipped(result, {"x": (0.0, 1.0), "y": (0.0, 1.0)})
    assert found["x"].values.tolist() == [0.0, 0.5]
    assert found["x_member"].values.tolist() == [[0.0, 1.0]]
    assert found["x"].attrs == {"units": "1"}


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"sst": {"lower": 0}}, "'sst', which is no target"),
        ({"thetao": {"low": 0}}, "expected lower, upper or both"),
        ({"thetao": {}}, "expected lower, upper or both"),
        ({"thetao": [0, 1]}, "expected lower, upper or both"),
        ({"thetao": {"lower": 2, "upper": 1}}, "the lower below the upper"),
        ({"thetao": {"lower": "0"}}, "expected numbers"),
    ],
)
def test_a_mistake_in_the_bounds_is_named(tmp_path: Path, bounds: dict[str, Any], message: str) -> None:
    tiny_ocean().to_netcdf(tmp_path / "a.nc")
    with pytest.raises(ConfigurationError, match=message):
        prepare(str(tmp_path / "a.nc"), ["thetao"], bounds=bounds)


def test_a_recipe_reaches_the_training_data(tmp_path: Path) -> None:
    tiny_ocean().to_netcdf(tmp_path / "a.nc")
    data = prepare(str(tmp_path / "a.nc"), ["thetao"], bounds={"thetao": {"lower": -2}})
    assert data.bounds == {"thetao": (-2.0, math.inf)}


def test_a_component_of_a_vector_has_no_bounds(training_data: TrainingData) -> None:
    codec = codec_of(training_data)
    with pytest.raises(ConfigurationError, match="part of a vector pair"):
        FieldCodec(
            codec.grid,
            codec.targets,
            (),
            codec.normalizers,
            codec.domains,
            [("thetao", "v")],
            bounds={"thetao": (0, 1)},
        )


def test_mean_and_spread_follow_members_that_a_calibration_moved_out_of_bounds() -> None:
    rng = np.random.default_rng(0)
    members = xr.DataArray(rng.gamma(1.0, 1.0, (12, 40)), dims=("member", "cell"))
    raw = xr.Dataset({"chl_member": members, "chl": members.mean("member"), "chl_sd": members.std("member", ddof=1)})
    wide = raw["chl"] + 2 * (members - raw["chl"])
    moved = clipped(raw.assign(chl_member=wide, chl_sd=2 * raw["chl_sd"]), {"chl": (0.0, np.inf)})
    assert float(moved["chl_member"].min()) == 0
    assert bool((wide < 0).any("member").any())
    np.testing.assert_allclose(moved["chl"], moved["chl_member"].mean("member"))
    np.testing.assert_allclose(moved["chl_sd"], moved["chl_member"].std("member", ddof=1))
    # a mean that is not that of the members is clamped, and nothing else
    stated = clipped(raw.assign(chl_member=wide, chl=raw["chl"] + 0.5), {"chl": (0.0, np.inf)})
    np.testing.assert_array_equal(stated["chl"], raw["chl"] + 0.5)
    np.testing.assert_array_equal(stated["chl_sd"], raw["chl_sd"])
