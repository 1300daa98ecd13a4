"""Every covariance agrees with the matrix that it stands for."""

import pytest
import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.linalg.covariance import (
    BlockCovariance,
    Covariance,
    DenseCovariance,
    DiagonalCovariance,
    LowRankCovariance,
    along_track,
)

N = 12


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def members() -> dict[str, tuple[Covariance, Tensor]]:
    """Each with its matrix, made another way."""
    variances = normal(N).exp()
    basis = torch.linalg.qr(normal(N, N, seed=1)).Q
    factors, noise = normal(N, 3, seed=2), 0.3 + normal(N, seed=3).abs()
    root = normal(N, N, seed=4)
    part = root[:5, :5] @ root[:5, :5].mT
    low = LowRankCovariance(factors[:7], noise[:7])
    to_and_back = (lambda x: torch.flip(x, (-1,)), lambda x: torch.flip(x, (-1,)))
    return {
        "diagonal": (DiagonalCovariance(variances), torch.diag(variances)),
        "in a basis": (DiagonalCovariance(variances, basis), basis @ torch.diag(variances) @ basis.mT),
        "by transforms": (DiagonalCovariance(variances, to_and_back), torch.diag(variances.flip(0))),
        "dense": (DenseCovariance(root @ root.mT), root @ root.mT),
        "low rank": (LowRankCovariance(factors, noise), factors @ factors.mT + torch.diag(noise)),
        "block": (
            BlockCovariance([DenseCovariance(part), low]),
            torch.block_diag(part, factors[:7] @ factors[:7].mT + torch.diag(noise[:7])),
        ),
        "block in another order": (
            BlockCovariance([DenseCovariance(part), low], torch.arange(N).flip(0)),
            torch.block_diag(part, factors[:7] @ factors[:7].mT + torch.diag(noise[:7])).flip(0, 1),
        ),
        "along track": (along_track(noise, TRACK, ALONG, length=2.0, share=0.7), track_matrix(noise)),
    }


TRACK = torch.tensor([3, 1, 3, 1, 1, 7, 3, 1, 3, 3, 9, 3])
ALONG = normal(N, seed=6)


def track_matrix(std: Tensor) -> Tensor:
    matrix = torch.diag(std**2)
    for i in range(N):
        for j in range(N):
            if i != j and TRACK[i] == TRACK[j]:
                matrix[i, j] = 0.7 * std[i] * std[j] * torch.exp(-(ALONG[i] - ALONG[j]).abs() / 2.0)
    return matrix


@pytest.fixture(params=list(members()))
def member(request: pytest.FixtureRequest) -> tuple[Covariance, Tensor]:
    return members()[request.param]


def test_it_is_its_matrix(member: tuple[Covariance, Tensor]) -> None:
    covariance, matrix = member
    assert covariance.size == N
    torch.testing.assert_close(covariance.dense(), matrix)
    x = normal(4, N, seed=5)
    torch.testing.assert_close(covariance.matmul(x), x @ matrix)


def test_it_solves_and_shrinks(member: tuple[Covariance, Tensor]) -> None:
    covariance, matrix = member
    x, eye = normal(4, N, seed=5), torch.eye(N, dtype=torch.float64)
    for shift in (0.5, torch.tensor([[0.1], [0.7], [3.0], [200.0]], dtype=torch.float64)):
        rows = torch.as_tensor(shift, dtype=torch.float64).expand(4, 1)
        expected = torch.stack(
            [torch.linalg.solve(matrix + float(v) * eye, one) for v, one in zip(rows, x, strict=True)]
        )
        torch.testing.assert_close(covariance.solve(x, shift), expected)
        torch.testing.assert_close(covariance.shrink(x, shift), expected @ matrix)


def test_its_determinant(member: tuple[Covariance, Tensor]) -> None:
    covariance, matrix = member
    shift = torch.tensor([[0.2], [5.0]], dtype=torch.float64)
    eye = torch.eye(N, dtype=torch.float64)
    expected = torch.stack([torch.logdet(matrix + float(v) * eye) for v in shift])
    torch.testing.assert_close(covariance.log_determinant(shift), expected)


def test_its_samples_have_it_as_covariance(member: tuple[Covariance, Tensor]) -> None:
    """`sample` is linear: A A' is the covariance of A eps, without sampling error."""
    covariance, matrix = member
    root = covariance.sample(torch.eye(N, dtype=torch.float64))
    torch.testing.assert_close(root.mT @ root, matrix)


def test_what_is_no_covariance_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="eigenvalue"):
        DenseCovariance(torch.diag(torch.tensor([1.0, -1.0])))
    with pytest.raises(ConfigurationError, match="symmetric"):
        DenseCovariance(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    with pytest.raises(ConfigurationError, match="positive"):
        LowRankCovariance(torch.ones(3, 1), torch.tensor([1.0, 0.0, 1.0]))
    with pytest.raises(ConfigurationError, match="0 or more"):
        DiagonalCovariance(torch.tensor([1.0, -0.1]))
    with pytest.raises(ConfigurationError, match="none"):
        BlockCovariance([])
    with pytest.raises(ConfigurationError, match="order"):
        BlockCovariance([DiagonalCovariance(torch.ones(2))], torch.tensor([0, 0]))
    one = torch.ones(3)
    for options in ({"length": 0.0}, {"length": 1.0, "share": 1.0}, {"length": 1.0, "longest": 0}):
        with pytest.raises(ConfigurationError, match="length"):
            along_track(one, one.long(), one, **options)
    with pytest.raises(ConfigurationError, match="positive"):
        along_track(0 * one, one.long(), one, length=1.0)


def test_long_tracks_are_cut_into_independent_pieces() -> None:
    std, track, along = torch.ones(7), torch.zeros(7, dtype=torch.long), torch.arange(7.0)
    matrix = along_track(std, track, along, length=10.0, share=0.5, longest=3).dense()
    sizes = [int(row.count_nonzero()) for row in matrix]
    assert max(sizes) <= 3
    assert sum(sizes) == sum(n**2 for n in (3, 3, 1))
    whole = along_track(std, track, along, length=10.0, share=0.5).dense()
    torch.testing.assert_close(torch.where(matrix == 0, 0, whole), matrix)
