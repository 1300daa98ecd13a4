"""A network that is conditional on surface data and gridded observations, guided by points that it was never trained for."""

import torch

from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise_levels import LogNormalLevels
from driftfield.diffusion.parameterization import EDMParameterization
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.diffusion.weighting import EDMWeighting
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import Observed, SparseOperator
from driftfield.registry import build
from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.guidance import ConjugateGradients, MMPSDenoiser
from driftfield.testing import numbered_noise, tiny_batch

SMALL = {"widths": [8, 16], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 16}
SHAPE = (2, 16, 24)


def model() -> DiffusionModel:
    torch.manual_seed(0)
    network = build("network", {"class": "ResidualUNet", **SMALL, "channels": 2, "covariates": 1})
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(std=0.05)
    return DiffusionModel(
        network,
        LogLinearSchedule(),
        parameterization=EDMParameterization(),
        noise_levels=LogNormalLevels(),
        weighting=EDMWeighting(),
    ).eval()


def points(domain: torch.Tensor) -> Observed:
    """Means of two neighbouring ocean cells, in four places."""
    cells = domain.flatten().nonzero().flatten()[:8].numpy()
    rows = [0, 0, 1, 1, 2, 2, 3, 3]
    operator = SparseOperator(rows, cells, [0.5] * 8, size=4, shape=SHAPE)
    return Observed(operator, torch.tensor([1.0, -1.0, 2.0, 0.5]), DiagonalCovariance(torch.full((4,), 0.01)))


def test_points_are_met_land_stays_land_and_members_stay_themselves() -> None:
    batch, prior = tiny_batch(1), model()
    observation = points(batch.domain[0])
    noise = numbered_noise((3, *SHAPE))

    def draw(part: slice, guided: bool = True) -> torch.Tensor:
        eps = noise(0)[part].float()
        denoiser = prior.denoiser(batch, members=len(eps))
        if guided:
            denoiser = MMPSDenoiser(denoiser, observation, solver=ConjugateGradients(3))
        with torch.no_grad():
            return DPMSolverPP2M(12).sample(denoiser, lambda draw: eps)

    alone, together = draw(slice(1, 2)), draw(slice(0, 3))
    torch.testing.assert_close(alone[0], together[1], rtol=1e-4, atol=1e-4)
    assert torch.equal(together[:, ~batch.domain[0]], torch.zeros_like(together[:, ~batch.domain[0]]))
    misfit, before = (
        float((observation.y - observation.apply(fields)).square().mean().sqrt())
        for fields in (together, draw(slice(0, 3), guided=False))
    )
    assert misfit < 0.15 < 0.5 < before
    assert all(parameter.grad is None for parameter in prior.parameters())
