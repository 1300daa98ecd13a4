"""Samples are made on the processor and weights may lie elsewhere: whoever asks a network brings the batch to it.

The device "meta" computes shapes alone, and refuses to meet a tensor of the processor, as a GPU does.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from driftfield.cli import main
from driftfield.data.sources import open_fields, write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.networked import NetworkReconstructor
from driftfield.models.regression import RegressionReconstructor
from driftfield.reconstruction.draws import DatedWindow, Draws, NetworkEstimate
from driftfield.registry import build
from driftfield.testing import tiny_ocean, tiny_training_data
from driftfield.trajectories.emulators import DeterministicEmulator

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
OBSERVING = {"observe": {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, "error": 0.05}
METHODS: dict[str, Callable[[], NetworkReconstructor]] = {
    "diffusion": lambda: DiffusionReconstructor(NETWORK, OBSERVING, validation_samples=2, start="marginal"),
    "regression": lambda: RegressionReconstructor(NETWORK, OBSERVING, validation_samples=2),
    "noisy regression": lambda: RegressionReconstructor(
        NETWORK, OBSERVING, validation_samples=2, output_noise="gaussian"
    ),
}


class Elsewhere:
    """A trainer that moves the network and asks for figures and a picture, as Lightning does on a GPU."""

    steps, batch_size, preview_depth, helps = 1, 2, None, False

    def __init__(self, folder: Path, device: str = "meta") -> None:
        self.folder, self.device, self.figures = folder, device, {}  # type: ignore[var-annotated]

    def fit(self, model: nn.Module, samples: Any, validation: Any, **given: Any) -> list[dict[str, float]]:
        model.to(self.device)
        self.figures = given["diagnose"]()
        given["preview"](self.folder / "step.png", "step 1")
        return []


class Once:
    """A walk of one evaluation: others look at numbers, which meta has none of."""

    evaluations = 1

    def sample(self, denoiser: Any, noise: Any, *, initial: Tensor, watcher: Any = None) -> Tensor:
        eps: Tensor = noise(0)
        found: Tensor = denoiser(eps + initial, torch.full((len(eps),), 0.5, device=eps.device))
        return found


def on_meta(method: NetworkReconstructor, seen: list[str]) -> None:
    """Its estimates are computed on meta, then replaced by zeros, which can be looked at."""
    estimate = method.estimate

    def watched(batch: FieldBatch, window: DatedWindow, draws: Draws) -> NetworkEstimate:
        parts = vars(estimate(batch, window, draws))
        seen.extend(part.device.type for part in (batch.target, *parts.values()) if part is not None)
        return NetworkEstimate(
            **{name: None if part is None else torch.zeros(part.shape) for name, part in parts.items()}
        )

    method.estimate = watched  # type: ignore[method-assign]
    if hasattr(method, "sampler"):
        method.sampler = Once()


@pytest.mark.parametrize("name", METHODS)
def test_figures_pictures_and_fields_of_a_network_that_was_moved(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # whether the domain is everywhere is a number too
    monkeypatch.setattr("driftfield.diffusion.denoiser.bool", lambda _: False, raising=False)
    method, trainer = METHODS[name](), Elsewhere(tmp_path)
    seen: list[str] = []
    on_meta(method, seen)
    method.fit(tiny_training_data(), trainer=trainer, folder=tmp_path)
    assert trainer.figures["validation_rmse"] > 0
    assert (tmp_path / "step.png").exists()
    asked = len(seen)
    found = method.reconstruct(observe(tiny_ocean(times=2), OBSERVING["observe"], seed=0), members=2)  # type: ignore[arg-type]
    assert np.isfinite(found["thetao"].values).any()
    assert len(seen) > asked
    assert set(seen) == {"meta"}
    assert method.device.type == "meta"


def test_an_emulator_is_asked_where_it_lies(tmp_path: Path) -> None:
    class Reached(Exception):
        pass

    emulator, trainer = DeterministicEmulator(NETWORK, validation_samples=2), Elsewhere(tmp_path)
    step = emulator.step

    def watched(batch: FieldBatch, noise: Any) -> Tensor:
        assert step(batch, noise).device.type == noise(0).device.type == "meta"
        raise Reached

    emulator.step = watched  # type: ignore[method-assign]
    ocean = tiny_ocean()
    data = tiny_training_data(ocean)
    alone = type(data)(**{**vars(data), "covariates": ()})
    with pytest.raises(Reached):
        emulator.fit(alone, trainer=trainer, folder=tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_fields_of_the_processor(tmp_path: Path) -> None:
    method, seen = METHODS["diffusion"](), observe(tiny_ocean(times=2), OBSERVING["observe"], seed=0)  # type: ignore[arg-type]
    method.fit(tiny_training_data(), trainer=Elsewhere(tmp_path, "cuda"), folder=tmp_path)
    there = method.reconstruct(seen, members=3)
    here = method.to("cpu").reconstruct(seen, members=3)
    scale = float(here["thetao_sd"].mean())
    np.testing.assert_allclose(there["thetao_member"].values, here["thetao_member"].values, atol=0.02 * scale)


def test_a_method_that_is_not_fitted_lies_nowhere() -> None:
    for ask in (lambda: METHODS["diffusion"]().device, lambda: METHODS["diffusion"]().to("cpu")):
        with pytest.raises(ConfigurationError, match="not fitted yet"):
            ask()


def test_the_command_says_which_devices_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    write_dataset(observe(tiny_ocean(times=2), OBSERVING["observe"], seed=0), Path("obs.nc"))  # type: ignore[arg-type]
    peer = build("reconstructor", {"class": "Climatology"})
    peer.fit(tiny_training_data(), seed=0)
    peer.save(Path("peer"))
    method = METHODS["regression"]()
    on_meta(method, [])
    method.fit(tiny_training_data(), trainer=Elsewhere(tmp_path, "cpu"), folder=tmp_path)
    method.save(Path("run"))

    def call(run: str, device: str) -> str:
        arguments = ["driftfield", "reconstruct", run, "obs.nc", "--out", f"{run}_{device}.nc", "--device", device]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as done:
            main()
        return capsys.readouterr().err if done.value.code else ""

    assert "Did you mean 'cuda'" in call("run", "cude")
    assert "PyTorch finds no GPU here" in call("run", "cuda")
    assert "Climatology computes on the processor" in call("peer", "cuda")
    for run in ("peer", "run"):
        assert not call(run, "auto")
        assert np.isfinite(open_fields(Path(f"{run}_auto.nc"))["thetao"].values).any()
