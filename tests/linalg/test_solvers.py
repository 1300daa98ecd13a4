"""Solvers find A^-1 b, gather the field that belongs to it, and never mix samples."""

import pytest
import torch

from driftfield.errors import ConfigurationError
from driftfield.linalg.solvers import GMRES, ConjugateGradients, Product, Solver

N, BATCH = 7, 5
SOLVERS = [ConjugateGradients, GMRES]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


ROOT = normal(N, N)
MATRIX = ROOT @ ROOT.T + torch.eye(N, dtype=torch.float64)
FIELD = normal(N, 2 * 3, seed=1)
B = normal(BATCH, N, seed=2)


def product(matrix: torch.Tensor) -> Product:
    """A p and a field (batch, 1, 2, 3) that is linear in p."""
    return lambda p: (p @ matrix.to(p).T, (p @ FIELD.to(p)).view(-1, 1, 2, 3))


@pytest.mark.parametrize("solver", SOLVERS)
def test_as_many_iterations_as_unknowns_are_enough(solver: type[Solver]) -> None:
    u, field = solver(N, 1e-12).solve(product(MATRIX), B)
    torch.testing.assert_close(u, torch.linalg.solve(MATRIX, B.T).T)
    torch.testing.assert_close(field, (u @ FIELD).view(BATCH, 1, 2, 3))


def test_gmres_does_not_need_symmetry() -> None:
    matrix = MATRIX + 2 * (normal(N, N, seed=3) - normal(N, N, seed=3).T)
    torch.testing.assert_close(GMRES(N).solve(product(matrix), B)[0], torch.linalg.solve(matrix, B.T).T)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_field_belongs_to_u_after_any_number_of_iterations(solver: type[Solver]) -> None:
    u, field = solver(2).solve(product(MATRIX), B)
    torch.testing.assert_close(field, (u @ FIELD).view(BATCH, 1, 2, 3))


@pytest.mark.parametrize("solver", SOLVERS)
def test_systems_that_end_early(solver: type[Solver]) -> None:
    """The identity is solved after one product; where A is 0 there is nothing to find, and what is found is finite."""
    eye = torch.eye(N, dtype=torch.float64)
    torch.testing.assert_close(solver(5).solve(product(eye), B)[0], B)
    for found in solver(5).solve(product(0 * eye), B):
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_sample_without_misfit_gets_nothing(solver: type[Solver]) -> None:
    b = B.clone()
    b[1] = 0
    u, _ = solver(5).solve(product(MATRIX), b)
    assert torch.equal(u[1], torch.zeros_like(u[1]))
    assert torch.isfinite(u).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_sample_does_not_depend_on_the_others(solver: type[Solver]) -> None:
    """Nor on when they arrive: the last sample is an eigenvector, and has arrived at once."""
    b = torch.cat([B, torch.linalg.eigh(MATRIX).eigenvectors[:1]])
    together = solver(4).solve(product(MATRIX), b)[0]
    for k in range(len(b)):
        torch.testing.assert_close(solver(4).solve(product(MATRIX), b[k : k + 1])[0][0], together[k])


def test_conjugate_gradients_stop_where_a_is_not_positive() -> None:
    indefinite = torch.diag(torch.tensor([3.0, 1, 1, 1, 1, 1, -50], dtype=torch.float64))
    u, _ = ConjugateGradients(N).solve(product(indefinite), B)
    assert torch.isfinite(u).all()
    assert float(u.abs().max()) < 10 * float(B.abs().max())


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_preconditioner_that_is_the_inverse_needs_one_iteration(solver: type[Solver]) -> None:
    u, field = solver(1).solve(product(MATRIX), B, lambda r: torch.linalg.solve(MATRIX, r.T).T)
    torch.testing.assert_close(u, torch.linalg.solve(MATRIX, B.T).T)
    torch.testing.assert_close(field, (u @ FIELD).view(BATCH, 1, 2, 3))


@pytest.mark.parametrize("solver", SOLVERS)
def test_any_preconditioner_leads_to_the_same_answer(solver: type[Solver]) -> None:
    scale = torch.linspace(1, 9, N, dtype=torch.float64)
    u, _ = solver(N, 1e-12).solve(product(MATRIX), B, lambda r: r / scale)
    torch.testing.assert_close(u, torch.linalg.solve(MATRIX, B.T).T)


@pytest.mark.parametrize("solver", SOLVERS)
def test_impossible_settings_are_refused(solver: type[Solver]) -> None:
    with pytest.raises(ConfigurationError, match="iterations=0"):
        solver(0)
    with pytest.raises(ConfigurationError, match="tolerance=-1"):
        solver(3, -1.0)
