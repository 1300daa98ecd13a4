"""A prior held to coarse means: every member has them, zeros stay zeros, and the walk sees the constraint; by the commands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from coarse_world import coarse_world
from commands import Doing, hearing_apart

from driftfield.assimilation.prior_downscaler import PriorDownscaler, _Conserving
from driftfield.data.coarsening import coarsened, regridding_by_factor
from driftfield.data.prepare import prepare
from driftfield.errors import ConfigurationError
from driftfield.runs import load_downscaler

pytest.importorskip("lightning")
SPLIT = {"class": "TimeSplit", "validation": 0.1, "test": 0.2}
DATA = {"archive": "fine.nc", "targets": ["tas", "pr"], "bounds": {"pr": {"lower": 0}}, "split": SPLIT}
PRIOR = {
    "data": DATA,
    "reconstructor": {
        "class": "DiffusionReconstructor",
        "network": {
            "class": "ResidualUNet",
            "widths": [4, 8],
            "depths": [1, 1],
            "condition_depths": [1, 1],
            "embedding": 8,
        },
        "observing": {"observe": {"tas": "none", "pr": "none"}},
        "normalizer": {"tas": {"class": "Standard", "by": "month"}, "pr": {"class": "SquareRoot"}},
        "sampler": {"class": "DPMSolverPP2M", "evaluations": 6},
        "validation_samples": 2,
    },
    "trainer": {"class": "LightningTrainer", "steps": 4, "batch_size": 4, "validate_every": 4, "accelerator": "cpu"},
}
HOLDING: dict[str, Any] = {
    "data": {**DATA, "coarse": {"factor": 4}},
    "downscaler": {"class": "PriorDownscaler", "run": "prior"},
}


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Doing:
    """The command line in this process."""
    return hearing_apart(capfd)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    world = coarse_world(60)
    world.to_netcdf("fine.nc")
    coarsened(world, regridding_by_factor(world, 4)).isel(time=slice(50, 54)).to_netcdf("coarse.nc")
    for name, recipe in (("prior", PRIOR), ("holding", HOLDING)):
        Path(f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def test_members_of_a_prior_have_the_coarse_means(place: Path, command: Doing, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("train", "prior.yaml", "--out", "prior"), ("train", "holding.yaml", "--out", "run"),
                  ("downscale", "run", "coarse.nc", "--members", 3, "--out", "made.nc")):  # fmt: skip
        done = command(*words)
        assert done.code == 0, done.err
    coarse, made = (xr.open_dataset(name).load() for name in ("coarse.nc", "made.nc"))
    method = load_downscaler(place / "run")
    for name in ("tas", "pr"):
        members = made[f"{name}_member"].transpose("member", "time", "lat", "lon").values.astype(np.float64)
        means = method.grids.regridding.apply(members)
        np.testing.assert_allclose(means, np.broadcast_to(coarse[name].values, means.shape), rtol=1e-5, atol=2e-3)
        assert members.std(axis=0).max() > 0.01
    # factors: nothing below 0, and what is dry stays dry
    rain = made["pr_member"].transpose("member", "time", "lat", "lon").values
    assert rain.min() >= 0
    dry = np.kron(coarse["pr"].values == 0, np.ones((1, 4, 4), dtype=bool))
    assert dry.any()
    assert (rain[:, dry] == 0).all()
    # a date alone, by Python, to the bit
    again = method.reconstruct(coarse.isel(time=[2]), members=3, seed=0)
    np.testing.assert_array_equal(
        again["tas_member"].transpose("member", "time", "lat", "lon").values[:, 0],
        made["tas_member"].transpose("member", "time", "lat", "lon").values[:, 2],
    )
    # every clean estimate of the walk has the means, in physical units
    real, looks = _Conserving.project, []

    def looked_at(self: _Conserving, clean: torch.Tensor) -> torch.Tensor:
        held = real(self, clean)
        for channel, name in enumerate(self.codec.targets):
            x = self.codec.decode(name, held[:, channel, None].numpy(), self.date, self.rows, self.columns)[:, 0]
            expected = np.broadcast_to(coarse[name].values[2], (3, 3, 4))
            np.testing.assert_allclose(
                method.grids.regridding.apply(x.astype(np.float64)), expected, rtol=1e-4, atol=2e-3
            )
        looks.append(float((held - clean).abs().max()))
        return held

    monkeypatch.setattr(_Conserving, "project", looked_at)
    method.reconstruct(coarse.isel(time=[2]), members=3, seed=0)
    assert len(looks) >= 6
    assert max(looks) > 0.1
    monkeypatch.undo()
    monkeypatch.chdir(place)
    refusals(place)


def refusals(place: Path) -> None:
    """What is no such prior is refused in a sentence; the folder holds a trained one."""
    data = prepare(str(place / "fine.nc"), ["tas"], coarse={"factor": 4}, split=SPLIT)
    with pytest.raises(ConfigurationError, match=r"a prior of .*'tas', 'pr'.* expected \['tas'\]"):
        PriorDownscaler(str(place / "prior")).fit(data)
    part = {**DATA, "archive": str(place / "fine.nc"), "region": {"lat": [40, 41.9]}}
    small = prepare(**part, coarse={"factor": 4})
    with pytest.raises(ConfigurationError, match="a prior on 12 x 16 cells, and the fine grid has 8 x 16"):
        PriorDownscaler(str(place / "prior")).fit(small)
    with pytest.raises(ConfigurationError, match="expected a run of DiffusionReconstructor"):
        PriorDownscaler(str(place / "peer")).fit(peer(place))


def peer(place: Path) -> Any:
    """A run of something else, and data for a downscaler."""
    from driftfield.peers.climatology import Climatology

    climatology = Climatology()
    climatology.fit(prepare(**{**DATA, "archive": str(place / "fine.nc")}))
    climatology.save(place / "peer")
    return prepare(**{**DATA, "archive": str(place / "fine.nc")}, coarse={"factor": 4})
