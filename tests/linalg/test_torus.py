"""Fewer points on a torus: the adjoint, truncations of truncations, and what single points see of fine waves."""

import math

import numpy as np
import pytest
import torch

from driftfield.errors import ConfigurationError
from driftfield.linalg.torus import SeparableOperator, sampling, truncation

SHAPE, COARSE = (12, 16), (6, 8)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def field_of(operator: SeparableOperator, x: torch.Tensor) -> torch.Tensor:
    return operator(x).view(len(x), *operator.coarse)


@pytest.mark.parametrize(
    "operator", [truncation(SHAPE, COARSE, 2), truncation((9, 14), (4, 5)), sampling(SHAPE, (3, 16), 3)]
)
def test_the_adjoint(operator: SeparableOperator) -> None:
    x, y = noise(4, *operator.shape), noise(4, operator.size)
    torch.testing.assert_close((operator(x) * y).sum(), (x * operator.adjoint(y)).sum())


def test_the_truncation_keeps_the_waves_that_fit_and_no_other() -> None:
    y, x = (2 * math.pi * torch.arange(n, dtype=torch.float64) / n for n in SHAPE)
    few_y, few_x = (2 * math.pi * torch.arange(n, dtype=torch.float64) / n for n in COARSE)

    def wave(ky: int, kx: int, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.cos(ky * y[:, None] + kx * x[None, :] + 0.3)[None, None]

    operator = truncation(SHAPE, COARSE)
    for ky, kx in [(0, 0), (2, 3), (-2, 1), (1, -3)]:
        torch.testing.assert_close(field_of(operator, wave(ky, kx, y, x)), wave(ky, kx, few_y, few_x))
    for ky, kx in [(3, 0), (0, 4), (2, 5), (5, 1)]:
        assert float(operator(wave(ky, kx, y, x)).abs().max()) < 1e-12
        assert float(sampling(SHAPE, COARSE)(wave(ky, kx, y, x)).abs().max()) > 0.5  # folded back


def test_a_truncation_of_a_truncation_is_one() -> None:
    x = noise(2, 1, 24, 32)
    in_two = field_of(truncation((12, 16), (5, 8)), field_of(truncation((24, 32), (12, 16)), x))
    torch.testing.assert_close(in_two, field_of(truncation((24, 32), (5, 8)), x))


def test_points_of_a_band_limited_field_are_its_truncation() -> None:
    smooth = truncation(COARSE, COARSE)
    wide = field_of(truncation(SHAPE, (5, 7)), noise(1, 1, *SHAPE))
    lifted = truncation(SHAPE, (5, 7)).adjoint(wide.flatten(1)) * (12 * 16) / (5 * 7)  # the same waves on the fine grid
    torch.testing.assert_close(field_of(sampling(SHAPE, COARSE), lifted), field_of(truncation(SHAPE, COARSE), lifted))
    torch.testing.assert_close(field_of(smooth, noise(1, 1, *COARSE)), noise(1, 1, *COARSE))


def test_arrays_are_treated_alike() -> None:
    x = noise(3, 1, *SHAPE)
    operator = truncation(SHAPE, COARSE)
    np.testing.assert_allclose(operator.apply_array(x.numpy()), field_of(operator, x).numpy())


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Truncate instead"):
        sampling((12, 16), (5, 8))
    with pytest.raises(ConfigurationError, match="expected fewer"):
        truncation((12, 16), (24, 16))
