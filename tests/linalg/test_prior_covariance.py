"""Covariances learned from fields are those that the fields have."""

import pytest
import torch

from driftfield.errors import ConfigurationError
from driftfield.linalg.prior_covariance import cosine_basis, eof_covariance, fourier_basis, spectral_covariance


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 7, 8])
@pytest.mark.parametrize("basis", [cosine_basis, fourier_basis])
def test_bases_are_orthonormal(basis, n: int) -> None:  # type: ignore[no-untyped-def]
    matrix, wavenumber = basis(n)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(n, dtype=torch.float64), atol=1e-12, rtol=0)
    assert float(wavenumber[0]) == 0
    assert (wavenumber <= 0.5).all()


def test_a_shift_along_a_circle_keeps_the_spectrum() -> None:
    matrix, wavenumber = fourier_basis(12)
    x = normal(12)
    for k in wavenumber.unique():
        power = (matrix @ x)[wavenumber == k].square().sum()
        torch.testing.assert_close((matrix @ x.roll(5))[wavenumber == k].square().sum(), power)


def test_eofs_and_remainder_keep_every_variance() -> None:
    fields = normal(200, 2, 3, 4) @ normal(4, 4, seed=1)
    for rank in (1, 5, 20):
        covariance = eof_covariance(fields, rank).dense()
        torch.testing.assert_close(covariance.diagonal(), fields.flatten(1).var(0))
    full = eof_covariance(fields, 24).dense()
    torch.testing.assert_close(full, torch.cov(fields.flatten(1).T), atol=1e-4, rtol=0)


def test_cells_outside_the_domain_do_no_harm() -> None:
    fields = normal(50, 1, 4, 4)
    fields[..., :2] = 0
    covariance = eof_covariance(fields, 3)
    assert torch.isfinite(covariance.solve(normal(2, 16))).all()
    assert float(covariance.matmul(torch.eye(16, dtype=torch.float64)).view(16, 4, 4)[..., :2].abs().max()) < 1e-5


@pytest.mark.parametrize("periodic", [False, True])
def test_a_spectrum_is_that_of_the_fields(periodic: bool) -> None:
    """Drawn from a spectrum, learned again; the draws of the learned one have the same variance."""
    rings = torch.tensor([4.0, 2.0, 1.0, 0.3], dtype=torch.float64)
    first = spectral_covariance(normal(5, 2, 8, 8), periodic=periodic, bins=4)
    level = spectral_covariance(normal(20000, 1, 8, 8), periodic=periodic, bins=4)
    assert first.size == 128
    torch.testing.assert_close(level.variances, torch.ones(64, dtype=torch.float64), atol=0.05, rtol=0)
    n, e = cosine_basis(8)[1], (fourier_basis(8) if periodic else cosine_basis(8))[1]
    k = torch.hypot(n[:, None], e[None])
    variances = rings[(k / k.max() * 4).long().clamp(max=3)].flatten()
    fields = level._back(normal(20000, 64, seed=2) * variances.sqrt()).view(-1, 1, 8, 8)
    torch.testing.assert_close(
        spectral_covariance(fields, periodic=periodic, bins=4).variances, variances, rtol=0.05, atol=0
    )


def test_what_the_domain_lacks_is_made_up_for() -> None:
    domain = torch.ones(1, 8, 8, dtype=torch.bool)
    domain[..., :4] = False
    covariance = spectral_covariance(normal(2000, 1, 8, 8) * domain, domain=domain)
    assert float(covariance.variances.mean()) == pytest.approx(1, abs=0.05)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="rank=5 with 5 samples"):
        eof_covariance(normal(5, 20), 5)
    with pytest.raises(ConfigurationError, match="1 sample"):
        spectral_covariance(normal(1, 1, 4, 4))
