"""Networks that downscale, held against what is known: the exact posterior of Gaussian fields, and the laws of the family."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from driftfield.data.prepare import prepare
from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.errors import ConfigurationError
from driftfield.evaluate.scores.ensembles import spread_skill
from driftfield.fields import FieldBatch
from driftfield.interfaces import TrainingData
from driftfield.peers.downscaling.diffusion import _conditional_mean
from driftfield.registry import build
from driftfield.runs import load_downscaler
from driftfield.testing.posteriors import PosteriorScores, score_members

pytest.importorskip("lightning")
ROWS = 8
NETWORK = {
    "class": "ResidualUNet",
    "widths": [24, 32],
    "depths": [1, 1],
    "condition_depths": [0, 1],
    "embedding": 16,
    "position": "none",
    "date": False,
}
LINEAR = {"class": "PrincipalComponentRegression", "components": 64, "residual": "none", "folds": 4}


class GaussianWorld:
    """Fields of a rough Gaussian process on ROWS x ROWS cells around 280 K, seen as means over 4 x 4 cells."""

    def __init__(self, folder: Path, days: int, length: float = 3.0) -> None:
        row, column = (part.ravel() for part in np.meshgrid(np.arange(ROWS), np.arange(ROWS), indexing="ij"))
        apart = np.hypot(row[:, None] - row, column[:, None] - column) / length
        self.covariance = torch.from_numpy((1 + np.sqrt(3) * apart) * np.exp(-np.sqrt(3) * apart))  # Matern 3/2
        root = torch.linalg.cholesky(self.covariance + 1e-9 * torch.eye(ROWS**2))
        noise = torch.randn(days, ROWS**2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        fields = 280.0 + (noise @ root.mT).reshape(days, ROWS, ROWS).numpy()
        coords = {
            "time": pd.date_range("2001-01-01", periods=days),
            "lat": ("lat", 0.25 * np.arange(ROWS), {"units": "degrees_north"}),
            "lon": ("lon", 5.0 + 0.25 * np.arange(ROWS), {"units": "degrees_east"}),
        }
        xr.Dataset({"tas": (("time", "lat", "lon"), fields, {"units": "K"})}, coords).to_netcdf(folder / "fine.nc")
        self.file = folder / "fine.nc"
        split = {"class": "TimeSplit", "validation": 0.1, "test": 0.1}
        self.data: TrainingData = prepare(str(folder / "fine.nc"), ["tas"], split=split, coarse={"factor": 4})
        self.h = torch.from_numpy(self.data.pair.regridding.matrix.toarray())
        c_h = self.covariance @ self.h.mT
        self.gain = torch.linalg.solve(self.h @ c_h, c_h.mT).mT
        self.posterior = self.covariance - self.gain @ c_h.mT
        self.sd = self.posterior.diagonal().clamp_min(1e-12).sqrt()

    def mean(self, coarse: Any) -> torch.Tensor:
        """E[x | y], (cells,)."""
        return 280.0 + self.gain @ (torch.as_tensor(np.asarray(coarse, dtype=np.float64)).flatten() - 280.0)

    def scores(self, method: Any, dates: int, members: int) -> PosteriorScores:
        """Of an ensemble beside the posterior, the truth averaged over."""
        coarse = self.data.pair.coarse.isel(time=self.data.test[:dates])
        made = method.reconstruct(coarse, members=members, seed=1)["tas_member"].transpose(
            "time", "member", "lat", "lon"
        )
        drawn = [torch.from_numpy(fields)[:, None] for fields in made.values]
        return score_members(self, drawn, list(coarse["tas"].values), paired=False)  # type: ignore[arg-type]

    def truth(self, dates: int) -> np.ndarray:
        """Of the first test dates, from the file: the archive hides them."""
        with xr.open_dataset(self.file) as fields:
            return np.asarray(fields["tas"].values[self.data.test[:dates]])


def taught(data: TrainingData, folder: Path, steps: int, **spec: Any) -> Any:
    from driftfield.training import LightningTrainer

    method = build("downscaler", spec)
    rate = {"peak": 3e-3, "warm_up": 20, "plan": "cosine"}
    trainer = LightningTrainer(
        steps=steps, batch_size=32, validate_every=steps, accelerator="cpu", loggers=(), ema=0.99, learning_rate=rate
    )
    method.fit(data, seed=1, trainer=trainer, folder=folder)
    return method


class ExactModel:
    """In the units of a fitted direct downscaler the posterior itself, whatever the network has learnt."""

    def __init__(self, world: GaussianWorld, method: Any) -> None:
        fitted = method.fitted["tas"]
        self.world, self.regridding = world, method.grids.regridding
        self.up, self.out = ((fitted[f"{part}.mean"][0], fitted[f"{part}.sd"][0]) for part in ("coarse", "residual"))

    def denoiser(self, batch: FieldBatch, members: int = 1) -> GaussianDenoiser:
        y = self.regridding.apply(batch.given.value[0, 0].numpy() * self.up[1] + self.up[0])
        m, s = (torch.from_numpy(part.ravel()) for part in self.out)
        mean, c = (self.world.mean(y) - m) / s, self.world.posterior / (s[:, None] * s)
        return GaussianDenoiser(LogLinearSchedule(0.02, 40.0), mean, c + 1e-9 * torch.eye(len(m), dtype=torch.float64))


@pytest.mark.parametrize("how", ["none", "additive"])
def test_exact_gaussian_downscaling_has_the_exact_crps(how: str, tmp_path: Path) -> None:
    """Sampler, start, units and projection cost less than 2 %; the projection leaves a posterior with these means alone."""
    world = GaussianWorld(tmp_path, 200)
    spec = {"class": "DiffusionDownscaler", "network": NETWORK, "anchor": "none", "kind": "nearest", "calibrate": False}
    method = taught(world.data, tmp_path / "run", 1, **spec, how={"tas": how})
    method.model = ExactModel(world, method)
    found = world.scores(method, 6, 64)
    assert found.crps == pytest.approx(1.0, abs=0.02)
    assert found.spread == pytest.approx(1.0, abs=0.03)
    coarse = world.data.pair.coarse.isel(time=world.data.test[:6])
    result = method.reconstruct(coarse, members=2)
    for index in range(6):
        mean = world.mean(coarse["tas"].values[index]).numpy()
        np.testing.assert_allclose(result["tas"].values[index].ravel(), mean, atol=0.01)


def test_two_looks_at_the_last_noise_level_give_the_mean() -> None:
    """Short of it by k^2, k = c / (c + s^2) = 1 / 17; one look is short by k."""
    denoiser = GaussianDenoiser(LogLinearSchedule(0.02, 8.0), torch.tensor(1.0), torch.full((16,), 4.0))
    found = _conditional_mean(denoiser, torch.zeros(2, 1, 4, 4))
    torch.testing.assert_close(found, torch.full_like(found, 1 - 1 / 17**2), rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("anchor", ["first guess"])
def test_learned_gaussian_downscaling_comes_near_the_exact_crps(anchor: str, tmp_path: Path) -> None:
    world = GaussianWorld(tmp_path, 1500)
    spec = {"class": "DiffusionDownscaler", "network": NETWORK, "anchor": LINEAR if anchor == "first guess" else anchor}
    method = taught(world.data, tmp_path / "run", 500, **spec, maps=True, how={"tas": "additive"})
    found = world.scores(method, 24, 16)
    assert found.crps < 1.05
    assert found.spread == pytest.approx(1.0, abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["both"])
def test_a_one_step_ensemble_comes_near_the_exact_crps(noise: str, tmp_path: Path) -> None:
    world = GaussianWorld(tmp_path, 1500)
    spec = {"class": "EnsembleRegression", "network": NETWORK, "anchor": LINEAR, "noise": noise, "calibrate": False}
    method = taught(world.data, tmp_path / "run", 500, **spec, maps=True)
    found = world.scores(method, 24, 16)
    assert found.crps < 1.06
    coarse = world.data.pair.coarse.isel(time=world.data.test[:100])
    members = method.reconstruct(coarse, members=16)["tas_member"]
    truth = xr.DataArray(world.truth(100), dims=("time", "lat", "lon"))
    assert float(spread_skill(members.drop_vars(list(members.coords)), truth)) == pytest.approx(1.0, abs=0.1)


def test_residuals_are_those_out_of_fold(tmp_path: Path) -> None:
    """The scale of what is learnt is that of dates which the first guess has not seen."""
    world = GaussianWorld(tmp_path, 60)
    anchor = {**LINEAR, "components": 40}
    method = taught(
        world.data, tmp_path / "run", 1, **{"class": "DiffusionDownscaler", "network": NETWORK, "anchor": anchor}
    )
    peer = build(
        "downscaler", {**anchor, "residual": "analogs", "folds": 4} | {"class": "PrincipalComponentRegression"}
    )
    peer.fit(world.data)
    mean, sd = (method.fitted["tas"][f"residual.{part}"] for part in ("mean", "sd"))
    learnt = float(np.sqrt((sd**2 + mean**2).mean()))
    out_of_fold, in_sample = (float(peer.fitted["tas"][key][0]) for key in ("residual_sd", "in_sample_sd"))
    assert learnt == pytest.approx(out_of_fold, rel=0.01)
    assert in_sample < 0.93 * learnt


def test_members_follow_a_shift_where_the_target_is_centred(tmp_path: Path) -> None:
    """+5 K in gives +5 K out, member by member, through a first guess that multiplies and a network that looks."""
    world = GaussianWorld(tmp_path, 120)
    coarse = world.data.pair.coarse.isel(time=world.data.test[:3])
    warmer = coarse.assign(tas=(coarse["tas"] + 5.0).assign_attrs(coarse["tas"].attrs))
    for name in ("DiffusionDownscaler", "EnsembleRegression"):
        spec = {"class": name, "network": NETWORK, "anchor": LINEAR}
        method = taught(world.data, tmp_path / f"{name}_centred", 8, **spec, centred=["tas"])
        assert method.follows_shifts is True
        cold, warm = (method.reconstruct(c, members=3, seed=2)["tas_member"].values for c in (coarse, warmer))
        np.testing.assert_allclose(warm, cold + 5.0, atol=2e-4)
        other = taught(world.data, tmp_path / name, 8, **spec)
        cold, warm = (other.reconstruct(c, members=3, seed=2)["tas_member"].values for c in (coarse, warmer))
        assert np.abs(warm - cold - 5.0).max() > 0.01


def test_members_have_the_coarse_means_where_they_are_conserved(tmp_path: Path) -> None:
    world = GaussianWorld(tmp_path, 120)
    coarse = world.data.pair.coarse.isel(time=world.data.test[:3])
    for name in ("DiffusionDownscaler", "EnsembleRegression"):
        for how, off in (("additive", 0.0), ("none", 0.01)):
            spec = {"class": name, "network": NETWORK, "how": {"tas": how}}
            method = taught(world.data, tmp_path / f"{name}_{how}", 5, **spec)
            made = method.reconstruct(coarse, members=3)["tas_member"].values.astype(np.float64)
            error = np.abs(world.data.pair.regridding.apply(made) - coarse["tas"].values).max()
            assert (error < 1e-4) if off == 0 else (error > off)


def test_members_are_widened_to_the_errors_of_validation_dates(tmp_path: Path) -> None:
    """Members drawn half as wide as the truth departs get a factor of 2, kept by the run; without calibration they get none."""
    world = GaussianWorld(tmp_path, 400)
    spec = {"class": "DiffusionDownscaler", "network": NETWORK, "anchor": "none", "kind": "nearest"}
    method = taught(world.data, tmp_path / "run", 1, **spec)
    exact = ExactModel(world, method)
    world.posterior = 0.25 * world.posterior
    method.model = exact
    coarse, fine = (
        part.isel(time=world.data.validation) for part in (world.data.pair.coarse, world.data.archive.dataset)
    )
    method.look_back(method._batch(coarse, None, fine), 0)
    assert method.extra["widening"]["tas"] == pytest.approx(2.0, rel=0.05)
    date = coarse.isel(time=[0])
    wide = method.reconstruct(date, members=4)["tas_member"].values
    method.extra["widening"] = {"tas": 1.0}
    narrow, mean = (method.reconstruct(date, members=4)[name].values for name in ("tas_member", "tas"))
    np.testing.assert_allclose(wide - mean, 2.0 * (narrow - mean), rtol=0.06, atol=0.01)
    raw = taught(world.data, tmp_path / "raw", 1, **spec, calibrate=False)
    assert "widening" not in raw.extra


def test_a_run_comes_back_with_its_first_guess(tmp_path: Path) -> None:
    world = GaussianWorld(tmp_path, 120)
    coarse = world.data.pair.coarse.isel(time=world.data.test[:2])
    teacher = {"class": "LightningTrainer", "steps": 2, "batch_size": 4, "accelerator": "cpu", "loggers": []}
    network = {"class": "NetworkRegression", "network": NETWORK, "folds": 2, "trainer": teacher}
    for number, anchor in enumerate((LINEAR, network)):
        spec = {"class": "DiffusionDownscaler", "network": NETWORK, "anchor": anchor, "labels": ["month"]}
        method = taught(world.data, tmp_path / str(number), 2, **spec)
        method.save(tmp_path / str(number))
        expected = method.reconstruct(coarse, members=2)
        again = load_downscaler(tmp_path / str(number))
        xr.testing.assert_identical(again.reconstruct(coarse, members=2).drop_attrs(), expected.drop_attrs())
        assert again.extra["widening"] == method.extra["widening"]


def test_the_mean_knows_all_draws(tmp_path: Path) -> None:
    """Of a one-step ensemble it is that of `draws` members, however few are asked for."""
    world = GaussianWorld(tmp_path, 120)
    method = taught(
        world.data, tmp_path / "run", 20, **{"class": "EnsembleRegression", "network": NETWORK, "draws": 24}
    )
    coarse = world.data.pair.coarse.isel(time=world.data.test[:2])
    few, many = (method.reconstruct(coarse, members=members) for members in (2, 24))
    np.testing.assert_array_equal(few["tas"], many["tas"])
    np.testing.assert_array_equal(few["tas_member"], many["tas_member"].isel(member=[0, 1]))
    np.testing.assert_allclose(many["tas"], many["tas_member"].mean("member"), atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"anchor": "corse"}, "Did you mean 'coarse'"),
        ({"anchor": {**LINEAR, "folds": 1}}, "anchor.folds"),
        ({"anchor": {"class": "NetworkRegression", "network": NETWORK}}, "needs anchor.trainer"),
        ({"anchor": {**LINEAR, "trainer": {"class": "LightningTrainer"}}}, "has no meaning"),
        ({"centred": ["tas"], "transform": {"tas": "log"}}, "centred, and transformed"),
        ({"diffusion": {"loss_over": "domain"}}, "observes no fine cell"),
        ({"diffusion": {"loss_exponent": 0.2}}, "from 0.5 to 1"),
        ({"diffusion": {"noises": 1}}, "Unknown key 'noises'"),
        ({"diffusion": {"noise": {"class": "Matern"}}}, "knows white noise only"),
    ],
)
def test_what_has_no_meaning_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        build("downscaler", {"class": "DiffusionDownscaler", "network": NETWORK, **changes})


def test_ensembles_that_are_none_are_refused() -> None:
    spec = {"class": "EnsembleRegression", "network": NETWORK}
    for changes, says in (({"members": 5}, "2 to 4"), ({"noise": "flim"}, "film"), ({"level": 2.0}, "0 to 1")):
        with pytest.raises(ConfigurationError, match=says):
            build("downscaler", {**spec, **changes})


def test_what_a_network_would_not_hear_is_refused(tmp_path: Path) -> None:
    world = GaussianWorld(tmp_path, 120)
    network = {"class": "FourierOperator"}
    with pytest.raises(ConfigurationError, match="takes no random numbers of a member"):
        taught(world.data, tmp_path / "a", 1, **{"class": "EnsembleRegression", "network": network})
    with pytest.raises(ConfigurationError, match="'pr', which is no target"):
        taught(world.data, tmp_path / "b", 1, **{"class": "DiffusionDownscaler", "network": NETWORK, "centred": ["pr"]})
