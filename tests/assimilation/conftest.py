"""Runs to assimilate with: one that nobody trained, but that looks at everything, and one whose prior is known."""

from typing import Any

import pytest
import torch
from torch import nn

from driftfield.data.codec import FieldCodec
from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.fields import FieldBatch
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
    """A Gaussian prior whose denoiser is known."""

    def __init__(self, covariance: torch.Tensor) -> None:
        nn.Module.__init__(self)
        # says where the model is, as weights do
        self.somewhere = nn.Parameter(torch.zeros(1))
        self.prior = covariance

    def denoiser(self, batch: FieldBatch, *, members: int = 1, wrap: bool = False) -> Any:
        mean = torch.zeros(len(self.prior), dtype=torch.float64)
        return GaussianDenoiser(LogLinearSchedule(s_min=0.01, s_max=80.0), mean, self.prior)


@pytest.fixture(scope="module")
def exact() -> DiffusionReconstructor:
    """A run with a smooth Gaussian prior over a sea without land."""
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
    run.learner = Learner(codec, ExactModel(prior))
    return run
