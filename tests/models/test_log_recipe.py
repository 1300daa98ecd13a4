"""A positive variable from recipe to reconstruction: its logarithm is learnt, and mean and spread are those of the members."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from driftfield.cli import main
from driftfield.data.codec import FieldCodec
from driftfield.data.sources import open_fields, write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.interfaces import TrainingData
from driftfield.models.first_guess import FirstGuess
from driftfield.models.learner import Learner
from driftfield.models.regression import RegressionReconstructor
from driftfield.reconstruction.draws import NetworkEstimate
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean, tiny_recipe, tiny_training_data

LOG = {"class": "LogTransform", "floor": 0.01, "of": {"class": "ClimatologicalAnomaly", "per": "domain"}}
EACH = {"chl": LOG, "sst": {"class": "ZScore"}}
OTHER = {"thetao": LOG, "sst": {"class": "ZScore"}}


def bloom() -> xr.Dataset:
    """Chlorophyll over three decades, more of it where it is cold, and the temperature of the surface."""
    fields = tiny_ocean()
    chlorophyll = np.exp(0.9 * (14.0 - fields["thetao"])).clip(max=20.0).astype(np.float32)
    attrs = {"standard_name": "mass_concentration_of_chlorophyll_in_sea_water", "units": "mg m-3"}
    return fields.drop_vars("thetao").assign(chl=chlorophyll.assign_attrs(attrs))


def blooming() -> TrainingData:
    return tiny_training_data(bloom().rename(chl="thetao"))


@pytest.mark.parametrize("method", ["DiffusionReconstructor", "RegressionReconstructor"])
def test_from_recipe_to_reconstruction(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning")
    monkeypatch.chdir(tmp_path)
    truth, recipe = bloom(), tiny_recipe()
    write_dataset(truth, tmp_path / "truth.nc")
    seen = observe(truth.isel(time=[25]), {"chl": "profiles:0.7", "sst": "all"}, error=0.05, seed=0)
    write_dataset(seen, tmp_path / "obs.nc")
    recipe["reconstructor"] |= {"normalizer": EACH, "class": method, "validation_samples": 2}
    if method == "RegressionReconstructor":
        recipe["reconstructor"] |= {"output_noise": "gaussian"}
        del recipe["reconstructor"]["sampler"]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe).replace("thetao", "chl"), encoding="utf-8")

    def command(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["driftfield", *arguments])
        with suppress(SystemExit):
            main()

    command("train", "recipe.yaml", "--out", "run")
    command("reconstruct", "run", "obs.nc", "--out", "out.nc", "--members", "5", "--seed", "3")
    described = json.loads((tmp_path / "run/run.json").read_text(encoding="utf-8"))
    assert described["arguments"]["normalizer"] == EACH
    found = xr.load_dataset(tmp_path / "out.nc")
    members, inside = found["chl_member"], found["chl"].notnull()
    assert bool(inside.any())
    assert float(members.min()) >= 0
    assert bool((members.notnull() == inside).all())
    np.testing.assert_allclose(found["chl"], members.mean("member"), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["chl_sd"], members.std("member", ddof=1), rtol=1e-4, atol=1e-6)

    # a calibration that moves the members does not move them below 0
    run: Any = load_reconstructor(tmp_path / "run")
    run.calibration = SimpleNamespace(version=1, apply=lambda result: result - 2 * float(found["chl"].max()))
    moved = run.reconstruct(open_fields(tmp_path / "obs.nc"), members=2, seed=3)
    assert float(moved["chl_member"].min()) == float(moved["chl"].min()) == 0


def test_what_is_stated_of_a_logarithm_gives_way_to_the_members() -> None:
    data = blooming()
    run = RegressionReconstructor({"class": "ResidualUNet"}, {"observe": {"thetao": "all", "sst": "all"}})
    archive: Any = data.archive
    codec = FieldCodec.fit(archive, data.train, data.targets, data.covariates, OTHER)
    run.learner = Learner(codec, torch.nn.Identity())
    date, place = archive.dataset["time"].values[[3]], (np.arange(8), np.arange(12))
    mean, sd = torch.full((2, 8, 12), 0.5), torch.full((2, 8, 12), 0.4)
    members = mean + sd * torch.randn(4000, 2, 8, 12, generator=torch.Generator().manual_seed(0))
    found = run._decoded(NetworkEstimate(members, mean, sd), date, *place)["thetao"]
    assert found.mean is None
    assert found.sd is None
    # of one member nothing can be taken: what is stated is the middle of what is possible
    alone = run._decoded(NetworkEstimate(members[:1], mean, sd), date, *place)["thetao"]
    assert alone.sd is None
    assert alone.mean is not None
    assert found.members is not None
    np.testing.assert_allclose(np.median(found.members, axis=0), alone.mean, rtol=0.1, atol=1e-3)
    assert (found.members.mean(0) > alone.mean).mean() > 0.99


def test_a_first_guess_of_a_positive_variable_is_mapped_by_the_slope() -> None:
    data = blooming()
    peer = build("reconstructor", {"class": "Climatology"})
    peer.fit(data, seed=0)
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, OTHER)  # type: ignore[arg-type]
    times = data.archive.dataset["time"].values[[3]]
    guess = FirstGuess(peer)
    seen = observe(data.archive.dataset.isel(time=[3]), {"thetao": "all", "sst": "all"}, seed=0)
    estimate = guess.estimate(seen)
    encoded, scale = guess.encode(estimate, codec, times)
    inside = codec.domains["thetao"][None]
    mean, sd = estimate["thetao"].mean, estimate["thetao"].sd
    assert mean is not None
    assert sd is not None
    place = np.arange(8), np.arange(12)
    np.testing.assert_allclose(
        codec.decode("thetao", encoded, times, *place)[inside], mean[inside], rtol=1e-4, atol=1e-5
    )
    above = np.broadcast_to(scale > 0.021, inside.shape) & inside
    assert above.any()
    expected = sd / ((mean + 0.01) * codec.normalizers["thetao"].std)
    np.testing.assert_allclose(scale[above], expected[above], rtol=1e-4)


def test_a_peer_works_in_physical_units_and_says_so() -> None:
    with pytest.raises(ConfigurationError, match="has no argument 'normalizer'"):
        build("reconstructor", {"class": "OptimalInterpolation", "normalizer": LOG})
