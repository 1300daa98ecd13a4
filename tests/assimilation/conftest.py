"""Runs to assimilate with: one that nobody trained, but that looks at everything, and one whose prior is known."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive
from driftfield.diffusion.coloured_noise import MaternNoise
from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise import DiffusionNoise, WhiteNoise
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.fields import FieldBatch
from driftfield.interfaces import TrainingData
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.learner import Learner
from driftfield.testing import tiny_ocean, tiny_training_data

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}


@pytest.fixture(scope="session")
def untrained_run() -> DiffusionReconstructor:
    """A network with random weights for the tiny ocean; it may see profiles or nothing, and a cloudy surface."""
    data = tiny_training_data()
    made = DiffusionReconstructor(
        {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8},
        {"observe": {"thetao": ["none", "profiles:0.7"], "sst": "clouds:0.5"}},
        sampler={"class": "DPMSolverPP2M", "evaluations": 4},
    )
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, made.normalizer)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    made.learner = Learner(codec, made.build_model(codec).eval())
    with torch.no_grad():
        # what starts at 0 would hide the condition
        for weight in made.model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return made


class ExactModel(DiffusionModel):
    """A Gaussian prior whose denoiser is known, in the variable in which its noise is white."""

    def __init__(self, covariance: torch.Tensor, noise: DiffusionNoise | None = None) -> None:
        nn.Module.__init__(self)
        # says where the model is, as weights do
        self.somewhere = nn.Parameter(torch.zeros(1))
        self.prior, self.noise = covariance, WhiteNoise() if noise is None else noise

    def denoiser(self, batch: FieldBatch, *, members: int = 1, wrap: bool = False) -> Any:
        mean, shape = torch.zeros(len(self.prior), dtype=torch.float64), batch.target.shape[1:]
        half = self.noise.whiten(self.prior.view(-1, *shape)).flatten(1)
        whitened = self.noise.whiten(half.T.reshape(-1, *shape)).flatten(1)
        return GaussianDenoiser(LogLinearSchedule(s_min=0.01, s_max=80.0), mean, (whitened + whitened.T) / 2)


@pytest.fixture(scope="module")
def exact() -> DiffusionReconstructor:
    """A run with a smooth Gaussian prior over a sea without land."""
    return exact_run(WhiteNoise())


@pytest.fixture(scope="module")
def exact_in_colour() -> DiffusionReconstructor:
    """The same prior, drawn out of noise that is a random field."""
    return exact_run(MaternNoise(length=0.2, smoothness=0.5, boundary="neumann"))


def exact_run(noise: DiffusionNoise) -> DiffusionReconstructor:
    """A smooth Gaussian prior of two levels."""
    fields = tiny_ocean(times=20, shape=(6, 8)).ffill("lon").bfill("lon").ffill("depth").bfill("lat")
    data = tiny_training_data(fields)
    sampler = {"class": "DPMSolverPP2M", "evaluations": 30}
    run = DiffusionReconstructor(NETWORK, {"observe": {"thetao": "none", "sst": "none"}}, sampler=sampler)
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, {"class": "ClimatologicalAnomaly"})
    places = (
        torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in (2, 6, 8)), indexing="ij")).flatten(1).double()
    )
    distance = (places[:, :, None] - places[:, None, :]).square().sum(0)
    prior = torch.exp(-distance / (2 * 1.5**2)) + 1e-4 * torch.eye(96, dtype=torch.float64)
    run.learner = Learner(codec, ExactModel(prior, noise))
    return run


def wind(times: int = 20) -> xr.Dataset:
    """Two components around 6 and 4 m/s, whose sd is about 1."""
    rng = np.random.default_rng(7)
    dims = {"time": times, "lat": 5, "lon": 6}
    noise = {name: rng.standard_normal(tuple(dims.values())) for name in ("u", "v")}
    return xr.Dataset(
        {
            name: (tuple(dims), (level + noise[name]).astype(np.float32), {"units": "m s-1"})
            for name, level in (("u", 6.0), ("v", 4.0))
        },
        coords={
            "time": np.datetime64("2001-03-01", "ns") + np.arange(times) * np.timedelta64(1, "D"),
            "lat": ("lat", 40.0 + np.arange(5), {"units": "degrees_north"}),
            "lon": ("lon", -10.0 + np.arange(6), {"units": "degrees_east"}),
        },
    )


def wind_data() -> TrainingData:
    """What a run of wind is fitted to."""
    fields = wind()
    domains = {name: fields[name].notnull().any("time") for name in ("u", "v")}
    archive = GriddedArchive(fields, domains, periodic=False)
    return TrainingData(archive, np.arange(14), np.arange(14, 18), targets=("u", "v"))


@pytest.fixture(scope="module")
def winds() -> DiffusionReconstructor:
    """A run with a smooth Gaussian prior of two components, correlated by .5 in every cell."""
    return winds_run(WhiteNoise())


@pytest.fixture(scope="module")
def winds_in_colour() -> DiffusionReconstructor:
    """The same prior, drawn out of noise that is a random field."""
    return winds_run(MaternNoise(length=0.2, smoothness=0.5))


def winds_run(noise: DiffusionNoise) -> DiffusionReconstructor:
    """A smooth Gaussian prior of two components."""
    run = DiffusionReconstructor(
        NETWORK,
        {"observe": {"u": "none", "v": "none"}},
        normalizer={"class": "ZScore"},
        sampler={"class": "DPMSolverPP2M", "evaluations": 40},
    )
    data = wind_data()
    codec = FieldCodec.fit(data.archive, data.train, data.targets, (), {"class": "ZScore"})
    places = torch.stack(torch.meshgrid(torch.arange(5.0), torch.arange(6.0), indexing="ij")).flatten(1).double()
    distance = (places[:, :, None] - places[:, None, :]).square().sum(0)
    smooth = torch.exp(-distance / (2 * 1.5**2)) + 1e-4 * torch.eye(30, dtype=torch.float64)
    both = torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    run.learner = Learner(codec, ExactModel(torch.kron(both, smooth), noise))
    return run


@pytest.fixture(scope="session")
def untrained_winds() -> DiffusionReconstructor:
    """A network with random weights for two components."""
    data = wind_data()
    made = DiffusionReconstructor(
        NETWORK, {"observe": {"u": "none", "v": "none"}}, sampler={"class": "DPMSolverPP2M", "evaluations": 4}
    )
    torch.manual_seed(0)
    codec = FieldCodec.fit(data.archive, data.train, data.targets, (), made.normalizer)
    made.learner = Learner(codec, made.build_model(codec).eval())
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return made


@pytest.fixture
def winds_beside() -> xr.Dataset:
    """A coarser product of u: three cells of two by two degrees, one of them not seen."""
    values = np.array([[[7.0, 6.0], [8.0, np.nan]]])
    return xr.Dataset(
        {
            "u": (("time", "lat", "lon"), values, {"units": "m s-1"}),
            "u_error": (("time", "lat", "lon"), np.full((1, 2, 2), 0.3), {"units": "m s-1"}),
        },
        coords={
            "time": [np.datetime64("2001-03-05", "ns")],
            "lat": ("lat", [40.5, 42.5], {"units": "degrees_north"}),
            "lon": ("lon", [-9.5, -7.5], {"units": "degrees_east"}),
        },
    )
