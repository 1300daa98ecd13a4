"""A run to assimilate with: nobody trained it, but it looks at everything."""

import pytest
import torch

from driftfield.data.codec import FieldCodec
from driftfield.reconstruct import DiffusionReconstructor
from driftfield.testing import tiny_training_data


@pytest.fixture(scope="session")
def untrained_run() -> DiffusionReconstructor:
    """A network with random weights for the tiny ocean; it may see profiles or nothing, and a cloudy surface."""
    data = tiny_training_data()
    made = DiffusionReconstructor(
        {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8},
        {"observe": {"thetao": ["none", "profiles:0.7"], "sst": "clouds:0.5"}},
        sampler={"class": "DPMSolverPP2M", "evaluations": 4},
    )
    made.codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, made.normalizer)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    made.model = made._build_model(made._build_network()).eval()
    with torch.no_grad():
        # what starts at 0 would hide the condition
        for weight in made.model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return made
