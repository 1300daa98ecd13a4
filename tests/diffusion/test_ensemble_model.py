"""The almost fair CRPS, and the model that it trains."""

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.diffusion.ensemble_model import EnsembleModel, almost_fair_crps
from driftfield.evaluate.scores.ensembles import crps_fair
from driftfield.fields import FieldBatch, Seen
from driftfield.registry import build


def test_it_is_the_formula() -> None:
    """Lang et al. (2024), eq. 4, pair by pair; fair at 1, the CRPS of the members as they are at 0."""
    rng = torch.Generator().manual_seed(0)
    x, truth = torch.randn(3, 4, 5, generator=rng), torch.randn(3, 5, generator=rng)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[0, 0] = False
    for level in (0.0, 0.5, 0.95, 1.0):
        eps, total = (1 - level) / 4, torch.zeros(3, 5)
        for j in range(4):
            for k in range(4):
                if j != k:
                    apart = (x[:, j] - truth).abs() + (x[:, k] - truth).abs()
                    total += (apart - (1 - eps) * (x[:, j] - x[:, k]).abs()) / (2 * 4 * 3)
        assert float(almost_fair_crps(x, truth, mask, level)) == pytest.approx(float(total[mask].mean()), abs=1e-6)
    members, field = (
        xr.DataArray(x[1:].numpy(), dims=("c", "member", "x")),
        xr.DataArray(truth[1:].numpy(), dims=("c", "x")),
    )
    fair = float(almost_fair_crps(x[1:], truth[1:], mask[1:], 1.0))
    assert fair == pytest.approx(float(crps_fair(members, field)), abs=1e-6)
    plain = (x - truth[:, None]).abs().mean(1) - (x[:, :, None] - x[:, None]).abs().mean((1, 2)) / 2
    assert float(almost_fair_crps(x, truth, mask, 0.0)) == pytest.approx(float(plain[mask].mean()), abs=1e-6)


def test_it_is_least_for_members_of_the_truths_distribution() -> None:
    """Two members are enough: their expected score over widths has its minimum at the width of the truth."""
    rng = torch.Generator().manual_seed(0)
    truth, x = torch.randn(400_000, 1, generator=rng), torch.randn(400_000, 2, 1, generator=rng)
    mask = torch.ones_like(truth, dtype=torch.bool)
    widths = np.linspace(0.6, 1.4, 9)
    scores = [float(almost_fair_crps(width * x, truth, mask, 1.0)) for width in widths]
    assert widths[int(np.argmin(scores))] == pytest.approx(1.0)
    collapsed = [float(almost_fair_crps(width * x, truth, mask, 0.0)) for width in widths]
    assert widths[int(np.argmin(collapsed))] < 0.9


def batch_of(count: int) -> FieldBatch:
    shape = (count, 2, 8, 8)
    target = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    domain = torch.ones(shape, dtype=torch.bool)
    domain[:, :, :2] = False
    given = Seen(torch.zeros(count, 1, 8, 8), torch.ones(count, 1, 8, 8, dtype=torch.bool), torch.zeros(count, 1, 8, 8))
    return FieldBatch(target * domain, Seen.nothing(*shape), domain, domain, given, torch.ones(count, 1), torch.zeros(count, 2),
                      torch.zeros(count, 2))  # fmt: skip


@pytest.mark.parametrize("noise", ["both", "film", "field"])
def test_members_differ_by_what_their_noise_comes_through(noise: str) -> None:
    torch.manual_seed(0)
    spec = {"class": "ResidualUNet", "widths": [8], "depths": [1], "condition_depths": [1], "embedding": 8}
    model = EnsembleModel(build("network", spec, channels=2, covariates=1, first_guess=False, latent=4), 4, noise=noise)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    batch, generator = batch_of(3), torch.Generator().manual_seed(0)
    z, eps = torch.randn(6, 4, generator=generator), torch.randn(6, 2, 8, 8, generator=generator)
    base = model(batch, z, eps).detach()
    assert base.shape == (6, 2, 8, 8)
    assert float(base[~batch.domain.repeat_interleave(2, 0)].abs().max()) == 0
    moved = {"film": model(batch, -z, eps), "field": model(batch, z, -eps)}
    for way, other in moved.items():
        assert torch.equal(other, base) == (noise not in (way, "both"))
    a, b = (model.loss(batch, torch.Generator().manual_seed(seed)) for seed in (0, 0))
    assert float(a) == float(b)
    a.backward()  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
