"""The U-Nets of diffusers: what they are shown, what a recipe may say, and what it costs not to have the library."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise_levels import LogNormalLevels
from driftfield.diffusion.parameterization import EDMParameterization
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.diffusion.weighting import EDMWeighting
from driftfield.errors import ConfigurationError, MissingExtraError
from driftfield.networks.diffusers_unet import MODELS, DiffusersUNet
from driftfield.registry import build
from driftfield.testing import check_denoiser, tiny_batch, tiny_recipe, tiny_training_data

pytest.importorskip("diffusers")
SMALL: dict[str, Any] = {"block_out_channels": [8, 16]}


def make(model: str = "UNet2DModel", **config: Any) -> DiffusersUNet:
    """A small network whose last layer is awake."""
    torch.manual_seed(0)
    network = DiffusersUNet(2, 1, model=model, config={**SMALL, **config})
    torch.nn.init.normal_(network.model.conv_out.weight, std=0.1)
    return network.eval()


def shown(network: DiffusersUNet, c_noise: Tensor | None = None, **changes: Tensor) -> dict[str, Any]:
    """What their model is called with."""
    batch = replace(tiny_batch(), **changes)
    seen: dict[str, Any] = {}

    def watch(_: object, arguments: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        seen.update(named, sample=arguments[0], timestep=arguments[1])

    handle = network.model.register_forward_pre_hook(watch, with_kwargs=True)
    with torch.no_grad():
        network(batch.target, torch.tensor([-0.5, 0.5]) if c_noise is None else c_noise, network.encode(batch))
    handle.remove()
    return seen


@pytest.mark.parametrize("model", MODELS)
def test_class_labels_and_encoder_states_are_really_passed(model: str) -> None:
    network = make(model)
    seen, later = shown(network), shown(network, date=tiny_batch().date + 0.3)
    assert seen["class_labels"].shape == (2, 4 * 8)
    assert not torch.equal(seen["class_labels"], later["class_labels"])
    if model == "UNet2DConditionModel":
        assert seen["encoder_hidden_states"].shape == (2, 4, 64)
        assert not torch.equal(seen["encoder_hidden_states"], later["encoder_hidden_states"])
    else:
        assert "encoder_hidden_states" not in seen
    assert torch.equal(seen["sample"], later["sample"])


@pytest.mark.parametrize("model", MODELS)
def test_each_way_in_reaches_the_answer(model: str) -> None:
    """Labels alone, and tokens alone, change what the model says."""
    network, batch = make(model), tiny_batch()
    c_noise = torch.zeros(2)
    with torch.no_grad():
        encoded = network.encode(batch)
        expected = network(batch.target, c_noise, encoded)
        for name in ("labels", "tokens") if model == "UNet2DConditionModel" else ("labels",):
            other = replace(encoded, **{name: getattr(encoded, name) + 1})
            assert float((network(batch.target, c_noise, other) - expected).abs().max()) > 1e-4, name


def test_parts_of_the_year_are_class_labels() -> None:
    date = torch.tensor([[0.0, 0.0], [0.99, 0.0]])
    network = make(num_class_embeds=12)
    seen = shown(network, date=date)
    assert seen["class_labels"].tolist() == [0, 11]
    assert seen["sample"].shape[1] == make().model.config["in_channels"] + 8
    moved = shown(network, date=date, position=tiny_batch().position + 5)
    assert not torch.equal(moved["sample"], seen["sample"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("embedding", ["positional", "fourier"])
def test_every_noise_level_is_told_apart(model: str, embedding: str) -> None:
    """Finite, and no two of 40 levels between .002 and 80 look alike."""
    network = make(model, time_embedding_type=embedding)
    c_noise = torch.linspace(-6.2, 4.4, 40) / 4
    batch = tiny_batch(shape=(4, 4))[:1].repeat(40)
    with torch.no_grad():
        answers = network(batch.target, c_noise, network.encode(batch)).flatten(1)
    assert torch.isfinite(answers).all()
    assert float(torch.pdist(answers).min()) > 1e-4


@pytest.mark.parametrize("model", MODELS)
def test_learns_as_a_diffusion_model(model: str) -> None:
    """Under our loss, and as a denoiser; a few steps bring the loss down."""
    torch.manual_seed(0)
    network = build("network", {"class": "DiffusersUNet", "model": model, "config": SMALL}, channels=2, covariates=1)
    diffusion = DiffusionModel(
        network,
        LogLinearSchedule(),
        parameterization=EDMParameterization(),
        noise_levels=LogNormalLevels(),
        weighting=EDMWeighting(),
    )
    batch = tiny_batch(4, shape=(8, 8))
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = diffusion.loss(batch, torch.Generator().manual_seed(0))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    diffusion.eval()
    with torch.no_grad():
        check_denoiser(diffusion.denoiser(batch), tuple(batch.target.shape))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "UNet2DMoodel"}, "Did you mean 'UNet2DModel'"),
        ({"config": {"block_out_chanels": [8]}}, "Did you mean 'block_out_channels'"),
        ({"config": {"in_channels": 3}}, "in_channels.*Leave it out"),
        ({"config": {"block_out_channels": [8.5]}}, "whole numbers"),
        ({"config": {"time_embedding_type": "learned"}}, "positional"),
        ({"config": {"down_block_types": ["DownBlock2D"]}}, "refused its arguments"),
        ({"config": {"block_out_channels": [8, 16], "norm_num_groups": 3}}, "refused its arguments"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build("network", {"class": "DiffusersUNet", **arguments}, channels=2)


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingExtraError, match=r"UNet2DModel needs diffusers.*pip install 'driftfield\[diffusers\]'"):
        DiffusersUNet(2)


def test_a_recipe_trains_samples_and_saves_it(tmp_path: Path) -> None:
    """Their network and their scheduler inside our reconstructor: trained, saved as arrays, loaded, the same fields."""
    pytest.importorskip("lightning")
    import driftfield.training  # noqa: F401
    from driftfield.data.twin import observe
    from driftfield.runs import load_reconstructor

    data = tiny_training_data()
    recipe = tiny_recipe(steps=2)
    recipe["reconstructor"]["network"] = {"class": "DiffusersUNet", "config": SMALL}
    recipe["reconstructor"]["sampler"] = {"class": "DiffusersSampler", "scheduler": "DDIMScheduler", "evaluations": 3}
    method = build("reconstructor", recipe["reconstructor"])
    method.fit(data, seed=1, trainer=build("trainer", recipe["trainer"]), folder=tmp_path / "training")
    method.save(tmp_path / "run")
    truth = data.archive.dataset.isel(time=data.test[:1])
    seen = observe(truth, {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, error=0.05, seed=2)
    drawn, again = (
        one.reconstruct(seen, members=2, seed=3)["thetao_member"]
        for one in (method, load_reconstructor(tmp_path / "run"))
    )
    np.testing.assert_allclose(drawn, again, rtol=1e-5)
    assert np.isfinite(drawn.where(truth["thetao"].notnull())).sum() == 2 * truth["thetao"].notnull().sum()
