"""Operators and their adjoints: <dH v, y> = <v, dH' y> for every one of them, and what composing them must give."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.functional import jvp

from driftfield.errors import ConfigurationError
from driftfield.interfaces import ErrorCovariance, Observation
from driftfield.linalg.composition import (
    Composed,
    Decoded,
    Rescaled,
    Stack,
    in_network_units,
)
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import (
    FunctionOperator,
    MatrixOperator,
    Observed,
    Operator,
    SparseOperator,
)

SHAPE = (2, 5, 6)
CELLS = 60


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sparse(size: int = 9, seed: int = 0) -> SparseOperator:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(0, size, 30), rng.integers(0, CELLS, 30)
    return SparseOperator(rows, columns, rng.normal(size=30), size=size, shape=SHAPE)


def speed() -> FunctionOperator:
    return FunctionOperator(lambda v: torch.sqrt(v[:, :4] ** 2 + v[:, 4:] ** 2 + 0.1), (8,))


def members() -> dict[str, Operator]:
    offset, scale = normal(*SHAPE, seed=3), normal(*SHAPE, seed=4).abs()
    widen = torch.nn.Upsample(scale_factor=1.0)
    return {
        "sparse": sparse(),
        "matrix": MatrixOperator(normal(7, CELLS), SHAPE),
        "function": FunctionOperator(lambda x: torch.tanh(x.flatten(1)[:, ::7]) ** 2, SHAPE),
        "linear function": FunctionOperator(lambda x: x.mean((-1, -2)), SHAPE, linear=True),
        "stack": Stack([sparse(), FunctionOperator(lambda x: x.flatten(1)[:, :3] ** 2, SHAPE), sparse(4, seed=1)]),
        "composed": Composed(speed(), sparse(8)),
        "rescaled": Rescaled(sparse(), scale, offset),
        "rescaled nonlinear": Rescaled(Composed(speed(), sparse(8)), scale, offset),
        "decoded": Decoded(sparse(), lambda x: widen(x).sinh(), SHAPE),
    }


@pytest.mark.parametrize("name", list(members()))
def test_the_adjoint_is_the_transpose_of_the_derivative(name: str) -> None:
    operator = members()[name]
    x, v, y = normal(3, *SHAPE, seed=5), normal(3, *SHAPE, seed=6), normal(3, operator.size, seed=7)
    seen, moved = jvp(operator, x, v)
    assert seen.shape == (3, operator.size)
    forth, back = (moved * y).sum(), (v * operator.adjoint(y, x)).sum()
    assert abs(float(forth - back)) <= 1e-10 * max(1.0, abs(float(forth)))
    with torch.inference_mode():
        torch.testing.assert_close(operator.adjoint(y, x), operator.adjoint(y, x))
    # what is called linear needs no x, and is linear
    if operator.linear:
        torch.testing.assert_close(operator.adjoint(y), operator.adjoint(y, x))
        torch.testing.assert_close(operator(2 * x - v), 2 * operator(x) - operator(v))
    # autograd agrees with the adjoint
    leaf = x.clone().requires_grad_()
    gradient = torch.autograd.grad(operator(leaf), leaf, y)[0]
    torch.testing.assert_close(gradient, operator.adjoint(y, x))


@pytest.mark.parametrize("name", ["sparse", "matrix", "composed", "decoded"])
def test_a_sample_does_not_know_its_batch(name: str) -> None:
    operator = members()[name]
    x, y = normal(5, *SHAPE).float(), normal(5, operator.size).float()
    for i in range(5):
        assert torch.equal(operator(x)[i], operator(x[i : i + 1])[0]) or name != "sparse"
        torch.testing.assert_close(operator(x)[i], operator(x[i : i + 1])[0])
        torch.testing.assert_close(operator.adjoint(y, x)[i], operator.adjoint(y[i : i + 1], x[i : i + 1])[0])


def test_sparse_weights_are_a_matrix() -> None:
    rows, columns, weights = [0, 2, 2, 2], [1, 0, 59, 59], [0.5, 1.0, 2.0, 3.0]
    operator = SparseOperator(np.array(rows), np.array(columns), np.array(weights), size=3, shape=SHAPE)
    matrix = torch.zeros(3, CELLS, dtype=torch.float64)
    matrix[0, 1], matrix[2, 0], matrix[2, 59] = 0.5, 1.0, 5.0
    x = normal(4, *SHAPE)
    torch.testing.assert_close(operator(x), x.flatten(1) @ matrix.mT)
    torch.testing.assert_close(operator(x.float()), (x.flatten(1) @ matrix.mT).float())
    by_row, by_cell = np.array([1.0, 2.0, 3.0]), np.random.default_rng(0).random((5, 6))
    scaled = operator.scaled(by_row, by_cell)
    expected = torch.from_numpy(by_row) * operator(x * torch.from_numpy(by_cell))
    torch.testing.assert_close(scaled(x), expected)
    # second derivatives and forward mode go through
    leaf = x.requires_grad_()
    first = torch.autograd.grad((operator(leaf) ** 3).sum(), leaf, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), leaf)[0]
    expected = 6 * operator(x).detach() * matrix.sum(1)
    torch.testing.assert_close(second, (expected @ matrix).view(x.shape))
    with forward_ad.dual_level():
        dual = operator(forward_ad.make_dual(x.detach(), normal(4, *SHAPE)))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, operator(normal(4, *SHAPE)))


def test_nothing_observed_is_a_vector_of_length_zero() -> None:
    none = np.array([], dtype=np.int64)
    operator = SparseOperator(none, none, none.astype(float), size=0, shape=SHAPE)
    assert operator(normal(2, *SHAPE)).shape == (2, 0)
    assert torch.equal(operator.adjoint(torch.zeros(2, 0)), torch.zeros(2, *SHAPE))


def test_an_observation_keeps_its_promises() -> None:
    operator = sparse()
    observed = Observed(operator, normal(9), DiagonalCovariance(torch.ones(9)))
    assert isinstance(observed, Observation)
    assert isinstance(observed.covariance, ErrorCovariance)
    assert observed.linear
    x = normal(2, *SHAPE)
    torch.testing.assert_close(observed.apply(x), operator(x))
    with pytest.raises(ConfigurationError, match="as many"):
        Observed(operator, normal(8), DiagonalCovariance(torch.ones(9)))
    with pytest.raises(ConfigurationError, match="finite"):
        Observed(operator, torch.full((9,), torch.nan), DiagonalCovariance(torch.ones(9)))


def test_a_normalised_field_gives_the_same_misfit() -> None:
    scale, offset = normal(*SHAPE, seed=3).abs() + 0.5, 20 + normal(*SHAPE, seed=4)
    x = normal(3, *SHAPE, seed=5)
    for operator in (sparse(), FunctionOperator(lambda z: z.flatten(1)[:, :9] ** 2, SHAPE)):
        physical = Observed(operator, normal(9), DiagonalCovariance(torch.ones(9)))
        network = in_network_units(physical, scale, offset)
        misfit = physical.y - physical.apply(offset + scale * x)
        torch.testing.assert_close(network.y - network.apply(x), misfit)
        if operator.linear:
            assert network.linear
            assert not network.apply(torch.zeros(1, *SHAPE)).any()


def test_messages_say_what_does_not_fit() -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        sparse()(normal(2, 1, 5, 6))
    with pytest.raises(ConfigurationError, match="depends on the field"):
        members()["function"].adjoint(normal(1, 9))
    with pytest.raises(ConfigurationError, match="one shape"):
        Stack([sparse(), speed()])
    with pytest.raises(ConfigurationError, match="expected the same"):
        Composed(speed(), sparse(9))
    with pytest.raises(ConfigurationError, match="Flatten"):
        FunctionOperator(lambda x: x, SHAPE)
    with pytest.raises(ConfigurationError, match="rows"):
        SparseOperator(np.array([3]), np.array([0]), np.array([1.0]), size=3, shape=SHAPE)
    with pytest.raises(ConfigurationError, match="finite"):
        SparseOperator(np.array([0]), np.array([0]), np.array([np.nan]), size=3, shape=SHAPE)
