"""Static fields and class labels: from the recipe to a network that takes them, into its run and back; refused by the others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from commands import succeed
from jaxtyping import Float
from torch import Tensor, nn

from driftfield.conventions import LATITUDE, LONGITUDE
from driftfield.data.codec import FieldCodec
from driftfield.data.conditions import LABELS, Conditions, check_labels
from driftfield.data.observed_batch import observation_batch
from driftfield.data.prepare import prepare
from driftfield.data.sources import open_fields, write_dataset
from driftfield.errors import ConfigurationError, DataError
from driftfield.fields import FieldBatch
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.regression import RegressionReconstructor
from driftfield.networks.diffusers_unet import DiffusersUNet
from driftfield.networks.unet import ResidualUNet
from driftfield.recipe import as_recipe
from driftfield.reconstruction.fitting import fit_recipe
from driftfield.registry import register
from driftfield.testing import tiny_batch

SMALL: dict[str, Any] = {"class": "ResidualUNet", "widths": [8], "depths": [1], "condition_depths": [1]}
BLIND: dict[str, Any] = SMALL | {"position": "none", "date": False, "embedding": 16}
LAND = (slice(0, 3), slice(0, 4))
HEIGHT = np.random.default_rng(1).standard_normal((12, 16))


@register("network")
class HeightTimesMonth(nn.Module):
    """A toy: the static field, its sign that of the month; knows nothing else."""

    def __init__(self, channels: int, covariates: int, first_guess: bool, statics: int, labels: list[int]) -> None:
        super().__init__()
        assert (channels, covariates, first_guess, statics, labels) == (1, 0, False, 1, [12])
        self.weight = nn.Parameter(torch.ones(()))

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> Tensor:
        assert batch.statics is not None
        assert batch.labels is not None
        return batch.statics * torch.where(batch.labels < 6, 1.0, -1.0)[..., None, None]

    def forward(self, x: Tensor, c_noise: Tensor, encoded: Tensor) -> Float[Tensor, "batch channel lat lon"]:
        return self.weight * encoded


def fields() -> xr.Dataset:
    """`x` = height in the first half of the year, -height in the second; land in the south-west."""
    time = np.arange("2001-01-15", "2005-01-15", np.timedelta64(10, "D"), dtype="datetime64[D]").astype("datetime64[s]")
    axes = {
        "time": time,
        "lat": ("lat", 40 + np.arange(12) / 4, LATITUDE),
        "lon": ("lon", np.arange(16) / 4, LONGITUDE),
    }
    sign = np.where(xr.DataArray(time, dims="time").dt.month <= 6, 1.0, -1.0)
    x = sign[:, None, None] * HEIGHT
    x[:, *LAND] = np.nan
    return xr.Dataset({"x": (("time", "lat", "lon"), x.astype(np.float32), {"units": "1"})}, axes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("conditions")
    truth = fields()
    write_dataset(truth, place / "truth.nc")
    axes = {"lat": truth["lat"], "lon": truth["lon"]}
    beyond = HEIGHT.copy()
    beyond[LAND] = 1e6
    hole = HEIGHT.copy()
    hole[8, 8] = np.nan
    heights = {"orog": HEIGHT, "orog_on_land": beyond, "hole": hole, "flat": np.full_like(HEIGHT, 3.0)}
    xr.Dataset({name: (("lat", "lon"), values, {"units": "m"}) for name, values in heights.items()}, axes).to_netcdf(
        place / "statics.nc"
    )
    return place


def recipe(folder: Path, network: dict[str, Any], *, labels: list[str], statics: list[str], **more: Any) -> Any:
    data: dict[str, Any] = {"archive": str(folder / "truth.nc"), "targets": ["x"], "windows": {"size": 8, "stride": 2}}
    if statics:
        data["statics"] = {"file": str(folder / "statics.nc"), "variables": statics}
    spec = {"class": "RegressionReconstructor", "network": network, "observing": {"observe": {"x": "random:0.98"}}}
    trainer = {"class": "LightningTrainer", "steps": 2, "batch_size": 8, "validate_every": 100, "accelerator": "cpu"}
    plain = {"loggers": [], "precision": "float32", "ema": 0.9, "learning_rate": {"peak": 0.01, "plan": "constant"}}
    spec |= {"normalizer": {"class": "ZScore"}, "validation_samples": 4} | ({"labels": labels} if labels else {})
    return as_recipe(
        {"data": data, "reconstructor": spec, "trainer": trainer | plain | more.pop("trainer", {})} | more,
        Path("r.yaml"),
    )


def unseen() -> xr.Dataset:
    """One date of each half of a year, of which nothing was seen."""
    truth = fields().isel(time=[0, 20])
    return xr.Dataset({"x": truth["x"] * np.nan, "x_domain": truth["x"].notnull()}, attrs=truth.attrs)


def test_a_toy_network_gets_both_everywhere(folder: Path, tmp_path: Path) -> None:
    """In training, where its weight stays 1 since it is right already, and in a reconstruction from the run."""
    pytest.importorskip("lightning")
    toy = {"class": "HeightTimesMonth"}
    fit_recipe(recipe(folder, toy, labels=["month"], statics=["orog"]), tmp_path / "run", source="r.yaml")
    run = RegressionReconstructor.load(tmp_path / "run")
    assert run.codec.conditions.labels == ("month",)
    answer = run.reconstruct(unseen(), members=1)["x"].values
    expected = fields()["x"].isel(time=[0, 20]).values
    # z-scores of the height and of the field differ by a factor and a small offset
    inside = np.isfinite(expected[0])
    for date in (0, 1):
        assert np.corrcoef(answer[date][inside], expected[date][inside])[0, 1] > 0.9999


def test_a_real_network_learns_from_them(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    error = {}
    for name, statics, labels, steps in (("both", ["orog"], ["month"], 160), ("neither", [], [], 30)):
        asked = recipe(folder, BLIND, labels=labels, statics=statics, trainer={"steps": steps})
        fit_recipe(asked, tmp_path / name, source="r.yaml")
        answer = RegressionReconstructor.load(tmp_path / name).reconstruct(unseen(), members=1)["x"]
        error[name] = float(np.sqrt(((answer - fields()["x"].isel(time=[0, 20])) ** 2).mean()))
    assert error["both"] < 0.4
    assert error["neither"] > 0.8


def test_the_recipe_and_the_commands_do_it(folder: Path, tmp_path: Path) -> None:
    """Through train, mask and reconstruct, with samples; land values of the static field do not matter."""
    pytest.importorskip("lightning")
    import yaml

    made = {}
    for static in ("orog", "orog_on_land"):
        spec = recipe(folder, BLIND, labels=["month", "season"], statics=[static]).content
        spec["reconstructor"]["class"] = "DiffusionReconstructor"
        spec["reconstructor"]["sampler"] = {"class": "DPMSolverPP2M", "evaluations": 3}
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        succeed("train", tmp_path / "r.yaml", "--out", tmp_path / static)
        observed = tmp_path / "seen.nc"
        succeed(
            "mask",
            folder / "truth.nc",
            observed,
            "--observe",
            "x=random:0.5",
            "--time",
            "2004-12:2005-01",
            "--overwrite",
        )
        out = tmp_path / f"{static}.nc"
        succeed("reconstruct", tmp_path / static, observed, "--out", out, "--members", 2)
        made[static] = open_fields(out).load()
    np.testing.assert_array_equal(made["orog"]["x_member"], made["orog_on_land"]["x_member"])
    kept = DiffusionReconstructor.load(tmp_path / "orog").codec.conditions
    inside = fields()["x"].notnull().all("time").values
    np.testing.assert_allclose(kept.statics["orog"][inside].mean(), 0, atol=1e-12)
    assert not kept.statics["orog"][~inside].any()


def test_a_batch_holds_the_window_and_the_class_of_its_date(folder: Path) -> None:
    data = prepare(str(folder / "truth.nc"), ["x"], statics={"file": str(folder / "statics.nc"), "variables": ["orog"]})
    codec = FieldCodec.fit(data.archive, data.train, data.targets, (), {"class": "ZScore"})
    dates = data.archive.times[data.train]
    codec.conditions = Conditions.fit(data.statics, ["month"], exists=codec.exists, train=dates)
    part = unseen().isel(lat=slice(2, 10), lon=slice(3, 16))
    batch = observation_batch(codec, part, 1)
    assert batch.labels is not None
    assert batch.labels.tolist() == [[int(part["time"].dt.month[1]) - 1]]
    assert batch.statics is not None
    np.testing.assert_allclose(batch.statics[0, 0], codec.conditions.statics["orog"][2:10, 3:16], rtol=1e-6)
    again = FieldBatch.from_arrays(batch.repeat(3).to_arrays())
    assert again.statics is not None
    assert torch.equal(again.statics, batch.statics.expand(3, -1, -1, -1))
    restored = FieldCodec.from_arrays(*codec.to_arrays()).conditions
    assert restored.labels == ("month",)
    np.testing.assert_array_equal(restored.statics["orog"], codec.conditions.statics["orog"])


@pytest.mark.parametrize("name", list(LABELS))
def test_every_class_lies_within_its_number(name: str) -> None:
    times = xr.DataArray(
        np.arange("2000-01-01", "2001-01-01", np.timedelta64(7, "h"), dtype="datetime64[s]"), dims="time"
    )
    classes = Conditions(labels=(name,)).classes_at(times)[:, 0]
    assert set(classes.tolist()) == set(range(LABELS[name].classes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"class": "CircleUNet"}, "statics": ["orog"], "labels": []}, "CircleUNet takes no static fields"),
        (
            {"network": {"class": "GatedCircleNet"}, "labels": ["month"], "statics": []},
            "takes no class labels.*ResidualUNet",
        ),
        ({"labels": ["monht"], "statics": []}, "Unknown label 'monht': .*month"),
        ({"labels": ["month", "month"], "statics": []}, "expected every name once"),
        ({"labels": ["hour"], "statics": []}, "The label 'hour' is 0 at all"),
        ({"labels": [], "statics": ["flat"]}, "The static field 'flat' is 3 in all"),
        ({"labels": [], "statics": ["hole"]}, "'hole' is missing in 1 of 180 cells where a target exists"),
    ],
)
def test_what_says_nothing_or_is_not_taken_is_refused_by_name(
    folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    pytest.importorskip("lightning")
    with pytest.raises((ConfigurationError, DataError), match=message):
        fit_recipe(recipe(folder, **{"network": SMALL, **changes}), tmp_path / "run", source="r.yaml")
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("name", ["Climatology", "DINEOF"])
def test_a_peer_looks_at_no_static_field_and_says_so(folder: Path, tmp_path: Path, name: str) -> None:
    content = recipe(folder, SMALL, labels=[], statics=["orog"]).content
    del content["trainer"]
    peer = as_recipe(content | {"reconstructor": {"class": name}}, Path("r.yaml"))
    with pytest.raises(
        ConfigurationError, match=f"{name} looks at no static fields on the grid of its targets: found data.stat"
    ):
        fit_recipe(peer, tmp_path, source="r.yaml")


def test_statics_of_a_coarse_model_need_a_coarse_archive(folder: Path) -> None:
    section = {"file": str(folder / "statics.nc"), "variables": ["orog"], "coarse": "other.nc"}
    with pytest.raises(ConfigurationError, match=r"data\.statics\.coarse belongs to a pair"):
        prepare(str(folder / "truth.nc"), ["x"], statics=section)
    with pytest.raises(ConfigurationError, match="expected a list"):
        check_labels("month")


def test_a_network_that_was_built_for_others_says_so() -> None:
    batch = tiny_batch()
    with pytest.raises(ConfigurationError, match="built for 2 static fields, but the batch holds 0"):
        ResidualUNet(2, 1, widths=[4], depths=[1], condition_depths=[1], statics=2).encode(batch)
    with pytest.raises(ConfigurationError, match="built for 1 class labels, the batch holds 0"):
        ResidualUNet(2, 1, widths=[4], depths=[1], condition_depths=[1], labels=[12]).encode(batch)


def test_the_label_is_the_class_of_diffusers() -> None:
    pytest.importorskip("diffusers")
    from dataclasses import replace

    config = {"block_out_channels": [8, 16]}
    network = DiffusersUNet(2, 1, config=config, labels=[4])
    labels = torch.tensor([[3], [1]])
    assert network.encode(replace(tiny_batch(), labels=labels)).labels.tolist() == [3, 1]
    with pytest.raises(ConfigurationError, match="which the batch does not hold"):
        network.encode(tiny_batch())
    with pytest.raises(ConfigurationError, match="found 2 labels"):
        DiffusersUNet(2, 1, config=config, labels=[4, 12])
    with pytest.raises(ConfigurationError, match="found labels and num_class_embeds"):
        DiffusersUNet(2, 1, config=config | {"num_class_embeds": 3}, labels=[4])
