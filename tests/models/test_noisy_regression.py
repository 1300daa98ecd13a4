"""The regression network with output noise: laws of the family, a spread that is right, exact resume, and bounds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.checkpoint import read_run
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.interfaces import TrainingData
from driftfield.models.noisy_regression import NoisyRegressionModel
from driftfield.models.regression import RegressionReconstructor
from driftfield.networks.codecs import GaussianNoise, LaplaceNoise, NoisePerVariable
from driftfield.runs import load_reconstructor
from driftfield.testing import check_reconstructor, tiny_batch, tiny_ocean, tiny_training_data

pytest.importorskip("lightning")

from driftfield.training import LightningTrainer

NETWORK = {"class": "ResidualUNet", "widths": [8, 16], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
OBSERVING = {"observe": {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, "error": 0.05}


def fitted(
    folder: Path, data: TrainingData, *, steps: int = 4, resume: bool = False, stop: int | None = None, **options: Any
) -> RegressionReconstructor:
    method = RegressionReconstructor(NETWORK, OBSERVING, validation_samples=4, **options)
    settings: dict[str, Any] = {"batch_size": 4, "validate_every": 2 if steps < 20 else steps, "loggers": ()}
    settings |= {"accelerator": "cpu", "precision": "float32", "ema": 0.9, "learning_rate": {"peak": 3e-3}}
    trainer = LightningTrainer(steps=steps, **settings)
    if stop is not None:
        _stop_after(trainer, stop)
    method.fit(data, seed=1, trainer=trainer, folder=folder, resume=resume)
    return method


def _stop_after(trainer: LightningTrainer, samples: int) -> None:
    """A training that dies at a sample."""
    fit = trainer.fit

    def cut(model: Any, samples_from: Any, *rest: Any, **options: Any) -> Any:
        def dying(start: int) -> torch.utils.data.Dataset[FieldBatch]:
            whole = samples_from(start)
            whole_item = type(whole).__getitem__

            class Dying(type(whole)):  # type: ignore[misc]
                def __getitem__(self, index: int) -> FieldBatch:
                    if index >= samples:
                        raise RuntimeError("killed")
                    return whole_item(self, index)

            whole.__class__ = Dying
            return whole

        return fit(model, dying, *rest, **options)

    trainer.fit = cut  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return tiny_training_data(tiny_ocean(times=40))


@pytest.fixture(scope="module")
def observations(data: TrainingData) -> xr.Dataset:
    truth = data.archive.dataset.isel(time=data.test[:3])  # type: ignore[index]
    return observe(truth, OBSERVING["observe"], error=0.05, seed=2)  # type: ignore[arg-type]


@pytest.mark.parametrize("noise", ["gaussian", "laplace", {"thetao": "laplace"}])
def test_keeps_the_laws_of_the_family(noise: Any, data: TrainingData, observations: xr.Dataset, tmp_path: Path) -> None:
    method = fitted(tmp_path / "training", data, output_noise=noise)
    check_reconstructor(method, observations, data.archive.dataset.isel(time=data.test[:3]))  # type: ignore[index]
    method.save(tmp_path / "run")
    loaded = load_reconstructor(tmp_path / "run")
    assert isinstance(loaded, RegressionReconstructor)
    assert loaded.output_noise == noise
    for name in ("thetao", "thetao_sd", "thetao_member"):
        expected = method.reconstruct(observations, members=3, seed=4)[name].values
        np.testing.assert_array_equal(loaded.reconstruct(observations, members=3, seed=4)[name].values, expected)


def test_without_noise_there_is_one_field(data: TrainingData, observations: xr.Dataset, tmp_path: Path) -> None:
    method = fitted(tmp_path, data)
    assert "output_noise" not in method.arguments()
    result = method.reconstruct(observations, members=5)
    assert result.sizes["member"] == 1
    assert "thetao_sd" not in result


def test_mean_and_spread_are_exact_and_not_of_the_members(
    data: TrainingData, observations: xr.Dataset, tmp_path: Path
) -> None:
    method = fitted(tmp_path, data, output_noise="gaussian")
    few, many = (method.reconstruct(observations, members=count, seed=3) for count in (2, 400))
    for name in ("thetao", "thetao_sd"):
        np.testing.assert_array_equal(few[name].values, many[name].values)
    away = (many["thetao_member"].mean("member") - many["thetao"]) / many["thetao_sd"]
    assert float(np.sqrt((away**2).mean())) == pytest.approx(1 / np.sqrt(400), rel=0.1)
    ratio = many["thetao_member"].std("member", ddof=1) / many["thetao_sd"]
    np.testing.assert_allclose(float(ratio.mean()), 1, atol=0.01)


def test_a_resumed_training_tracks_the_same_scale(data: TrainingData, tmp_path: Path) -> None:
    fitted(tmp_path / "whole", data, steps=6, output_noise="laplace")
    with pytest.raises(RuntimeError, match="killed"):
        fitted(tmp_path / "cut", data, steps=6, stop=4 * 5, output_noise="laplace")
    fitted(tmp_path / "cut", data, steps=6, resume=True, output_noise="laplace")
    whole, cut = (read_run(tmp_path / part / "checkpoints" / "last").arrays for part in ("whole", "cut"))
    assert {"weights.hidden.total", "weights.seen.cells"} <= whole.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(cut[name], array, err_msg=name)


class Constant(torch.nn.Module):
    """A network that answers with zero."""

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> None: ...

    def forward(self, x: torch.Tensor, c_noise: torch.Tensor, encoded: None) -> torch.Tensor:
        return torch.zeros_like(x)


@pytest.mark.parametrize("kind", [GaussianNoise, LaplaceNoise])
@pytest.mark.parametrize("first_guess", [False, True])
def test_the_scale_is_that_of_the_residuals(kind: Any, first_guess: bool) -> None:
    batch = tiny_batch(8, first_guess=first_guess)
    model = NoisyRegressionModel(Constant(), kind(2), kind(2))
    model.train()
    model.loss(batch, torch.Generator())
    residual = batch.target
    if batch.guess is not None:
        residual = (residual - batch.guess.mean) / batch.guess.scale
    for noise, mask in ((model.hidden, batch.held_out), (model.seen, batch.seen.where & batch.domain)):
        p = kind.standard.power
        for channel in range(2):
            chosen = residual[:, channel][(mask & batch.domain)[:, channel]].abs()
            assert float(noise.scale[channel]) == pytest.approx(float((chosen**p).mean() ** (1 / p)), rel=1e-4)
    before = {name: value.clone() for name, value in model.named_parameters()}
    model.eval()
    model.loss(batch, torch.Generator())
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_noise_per_variable_needs_a_word_for_each(data: TrainingData, tmp_path: Path) -> None:
    for wrong, message in (
        ("cauchy", "expected one of"),
        ({"thetao": "normal"}, "expected one of"),
        ({}, "expected one of"),
        (True, "expected one of"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            RegressionReconstructor(NETWORK, OBSERVING, output_noise=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="no target"):
        fitted(tmp_path, data, output_noise={"theta": "laplace"})
    model = fitted(tmp_path, data, output_noise={"thetao": "laplace"}).model
    assert isinstance(model, NoisyRegressionModel)
    assert isinstance(model.hidden, NoisePerVariable)


def test_a_mix_of_fields_keeps_no_bounds(data: TrainingData, tmp_path: Path) -> None:
    given = replace(data, bounds={"thetao": (0.0, np.inf)})
    with pytest.raises(ConfigurationError, match="mix"):
        fitted(tmp_path, given, output_noise="gaussian", augment={"mix": True})


@pytest.mark.slow
def test_a_bounded_variable_is_learned_with_its_point_mass(tmp_path: Path) -> None:
    """Half of the cells lie on the lower bound: members do as often, the spread is right, and the CRPS beats the one field's."""
    fields = tiny_ocean(times=120)
    generator = np.random.default_rng(0)
    rough = generator.standard_normal(fields["thetao"].shape).astype(np.float32)
    middle = float(fields["thetao"].median())
    fields["thetao"] = ((fields["thetao"] - middle) + rough).clip(min=0.0)
    data = replace(tiny_training_data(fields), bounds={"thetao": (0.0, np.inf)})
    truth = data.archive.dataset.isel(time=data.test)
    seen = observe(truth, OBSERVING["observe"], error=0.05, seed=2)  # type: ignore[arg-type]
    hidden = seen["held_out"]
    y = truth["thetao"].where(hidden)
    noisy = fitted(tmp_path / "noisy", data, steps=160, output_noise="gaussian").reconstruct(seen, members=40, seed=0)
    plain = fitted(tmp_path / "plain", data, steps=160).reconstruct(seen, members=1)
    x = noisy["thetao_member"].where(hidden)
    assert float(x.min()) == 0
    share = [float((part == 0).where(part.notnull()).mean()) for part in (y, x)]
    assert share[1] == pytest.approx(share[0], abs=0.08)
    crps = abs(x - y).mean() - 0.5 * abs(x - x.roll(member=1)).mean()
    assert float(crps) < 0.8 * float(abs(plain["thetao"].where(hidden) - y).mean())
    inside = (x.quantile(0.05, "member") <= y) & (y <= x.quantile(0.95, "member"))
    assert 0.82 < float(inside.where(y.notnull()).mean()) < 0.99
