"""Starting at the conditional mean: a walk does not lose the mean of a structure that s_max drowns only in part."""

import torch

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.base import conditional_mean


def test_the_mean_of_a_large_structure_is_kept() -> None:
    mean, s_max = 50.0, 80.0
    denoiser = GaussianDenoiser(LogLinearSchedule(0.01, s_max), torch.tensor(mean), torch.tensor(1.0))
    eps = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    start = conditional_mean(denoiser, eps)
    # exact: mu s^2 / (s^2 + 1) for a noise of nothing
    torch.testing.assert_close(start, torch.full_like(start, mean * s_max**2 / (s_max**2 + 1)))
    cold, warm = (DPMSolverPP2M(20).sample(denoiser, lambda _: eps, initial=i) for i in (None, start))
    assert abs(float(cold) - mean) > 0.5
    assert abs(float(warm) - mean) < 0.001
