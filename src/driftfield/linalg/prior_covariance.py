"""Covariances of complete fields, learned from an archive: what guidance without a Jacobian believes of p(x).

    EOFs        C = U U' + diag(d)         U the leading patterns times their standard deviation, d what they leave in a cell
    spectrum    C = B diag(v) B'           B cosines along latitude and longitude, or sines and cosines where that wraps

EOFs know where things happen and which channels go together, as far as the samples tell; a spectrum is the same everywhere (but
for the walls, at which cosines are reflected) and small samples do for it, v being averaged over directions.
"""

__all__ = ["cosine_basis", "eof_covariance", "fourier_basis", "spectral_covariance"]

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.linalg.covariance import DiagonalCovariance, LowRankCovariance


def eof_covariance(fields: Float[Tensor, "sample *cells"], rank: int) -> LowRankCovariance:
    """Leading EOFs and a remainder of independent cells.

    Arguments:
        fields: Complete fields in network units, 0 outside the domain; the axes after the first run together.
        rank: EOFs to keep; a few tens, and fewer than the samples.

    Raises:
        ConfigurationError: fewer samples than EOFs.
    """
    samples = fields.flatten(1)
    if not 1 <= rank < min(len(samples), samples.shape[1] + 1):
        raise ConfigurationError(
            f"Found rank={rank} with {len(samples)} samples of {samples.shape[1]} cells: expected 1 or more EOFs, fewer than "
            "samples and no more than cells."
        )
    anomalies = samples - samples.mean(0)
    _, singular, patterns = torch.linalg.svd(anomalies, full_matrices=False)
    factors = patterns[:rank].mT * singular[:rank] / math.sqrt(len(samples) - 1)
    total = anomalies.square().sum(0) / (len(samples) - 1)
    rest = total - factors.square().sum(1)
    # a cell outside the domain has no variance: it needs some to be solved with, and so little does no harm
    return LowRankCovariance(factors, rest.clamp(min=1e-6 * float(total.mean()) + 1e-12))


def spectral_covariance(
    fields: Float[Tensor, "sample channel lat lon"],
    *,
    periodic: bool = False,
    domain: Bool[Tensor, "channel lat lon"] | None = None,
    bins: int | None = None,
) -> DiagonalCovariance:
    """Variance by wavenumber, averaged over directions; channels are independent.

    Arguments:
        fields: Complete fields in network units, 0 outside the domain.
        periodic: Whether longitude wraps.
        domain: Where the field exists; what is missing is made up for by its share.
        bins: Rings in wavenumber space; half the shorter side by default.
    """
    samples, channels, rows, columns = fields.shape
    if samples < 2:
        raise ConfigurationError(f"Found {samples} sample(s): a covariance needs 2 or more.")
    (north, m), (east, n) = cosine_basis(rows), fourier_basis(columns) if periodic else cosine_basis(columns)
    shape = (channels, rows, columns)

    def to(x: Tensor) -> Tensor:
        field = x.unflatten(-1, shape)
        return (north.to(x) @ field @ east.to(x).mT).flatten(-3)

    def back(x: Tensor) -> Tensor:
        field = x.unflatten(-1, shape)
        return (north.to(x).mT @ field @ east.to(x)).flatten(-3)

    anomalies = fields - fields.mean(0)
    power = to(anomalies.flatten(1)).square().sum(0).unflatten(-1, shape) / (samples - 1)
    if domain is not None:
        power = power / domain.to(power).mean((-2, -1), keepdim=True).clamp(min=1 / (rows * columns))
    wavenumber = torch.hypot(m[:, None], n[None, :])
    rings = max(1, min(rows, columns) // 2) if bins is None else bins
    ring = (wavenumber / wavenumber.max() * rings).long().clamp(max=rings - 1).flatten()
    count = torch.bincount(ring, minlength=rings).to(power)
    mean = torch.zeros(channels, rings).to(power).index_add_(1, ring, power.flatten(1)) / count.clamp(min=1)
    return DiagonalCovariance(mean[:, ring].flatten(), (to, back))


def cosine_basis(n: int) -> tuple[Float[Tensor, "n n"], Float[Tensor, " n"]]:
    """Orthonormal cosines (DCT-II) in rows, and their wavenumbers in cycles per cell; float64."""
    k, i = torch.arange(n, dtype=torch.float64), torch.arange(n, dtype=torch.float64)
    basis = torch.cos(math.pi * k[:, None] * (i[None, :] + 0.5) / n) * math.sqrt(2 / n)
    basis[0] /= math.sqrt(2)
    return basis, k / (2 * n)


def fourier_basis(n: int) -> tuple[Float[Tensor, "n n"], Float[Tensor, " n"]]:
    """Orthonormal cosines and sines of a circle in rows, and their wavenumbers in cycles per cell; float64."""
    i = torch.arange(n, dtype=torch.float64)
    rows, wavenumbers = [torch.full((n,), 1 / math.sqrt(n), dtype=torch.float64)], [0.0]
    for k in range(1, n // 2 + 1):
        phase = 2 * math.pi * k * i / n
        if 2 * k == n:
            rows.append(torch.cos(phase) / math.sqrt(n))
        else:
            rows += [torch.cos(phase) * math.sqrt(2 / n), torch.sin(phase) * math.sqrt(2 / n)]
        wavenumbers += [k / n] * (1 if 2 * k == n else 2)
    return torch.stack(rows), torch.tensor(wavenumbers, dtype=torch.float64)
