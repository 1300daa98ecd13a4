"""Windows composed to trajectories, against autoregressive processes whose denoiser is known for every length."""

import pytest
import torch

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.diffusion.trajectory import WindowedDenoiser
from driftfield.errors import ConfigurationError
from driftfield.sampling import DPMSolverPP2M
from driftfield.testing import check_denoiser

SCHEDULE = LogLinearSchedule(0.001, 80.0)
A = 0.9


def covariance(length: int) -> torch.Tensor:
    """Of x_(i+1) = A x_i + noise with variance 1."""
    i = torch.arange(length, dtype=torch.float64)
    return A ** (i[:, None] - i).abs()


def autoregressive(length: int) -> GaussianDenoiser:
    return GaussianDenoiser(SCHEDULE, torch.zeros(length, dtype=torch.float64), covariance(length))


def composed(half: int) -> WindowedDenoiser:
    states = 2 * half + 1
    return WindowedDenoiser(autoregressive(states), states)


def time_of(s: float, count: int) -> torch.Tensor:
    return SCHEDULE.t(torch.full((count,), -2 * torch.tensor(s, dtype=torch.float64).log().item(), dtype=torch.float64))


def score_matrices(half: int, length: int, s: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(D(z) - z) / s^2 as a matrix: composed and exact."""
    eye = torch.eye(length, dtype=torch.float64)
    t = time_of(s, length)
    alpha = SCHEDULE.alpha_sigma(t)[0][:, None]
    return tuple((d(alpha * eye, t) - eye) / s**2 for d in (composed(half), autoregressive(length)))


@pytest.mark.parametrize("half", [1, 2, 3])
def test_the_score_is_exact_as_the_noise_goes(half: int) -> None:
    errors = []
    for s in (0.3, 0.1, 0.03, 0.01):
        found, exact = score_matrices(half, 12, s)
        errors.append(float((found - exact).abs().max() / exact.abs().max()))
    assert errors[-1] < 1e-3
    # what a window misses falls with s^(2k), the noise of the states in between
    assert errors[2] < errors[1] / 8
    assert errors[3] < errors[2] / 8


def test_more_states_in_a_window_miss_less() -> None:
    errors = [(lambda f, e: float((f - e).abs().max()))(*score_matrices(half, 15, 1.0)) for half in (1, 2, 3, 5)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 5


def test_a_trajectory_of_one_window_is_that_window() -> None:
    z = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(composed(2)(z, t), autoregressive(5)(z, t))


def test_states_keep_their_channels_and_their_place() -> None:
    """A window denoiser that answers with its input: every state comes back from where it was."""

    class Same:
        schedule = SCHEDULE

        def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            assert x_t.shape[1:] == (6, 2, 4)
            assert len(t) == len(x_t)
            return x_t

    x = torch.arange(2 * 14 * 8, dtype=torch.float32).view(2, 14, 2, 4)
    denoiser = WindowedDenoiser(Same(), 3, channels=2)
    assert denoiser.windows(7) == 5
    torch.testing.assert_close(denoiser(x, torch.tensor([0.2, 0.7])), x)


@pytest.mark.parametrize("length", [5, 7, 12])
def test_backwards_it_is_a_covariance_and_forwards_it_stays_what_it_is(length: int) -> None:
    check_denoiser(composed(2), (3, length))
    z = torch.randn(1, length, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    t = time_of(0.5, 1)
    with_graph = z.clone().requires_grad_()
    answer = composed(2)(with_graph, t)
    torch.testing.assert_close(answer.detach(), composed(2)(z, t))
    rows = [torch.autograd.grad(answer[0, i], with_graph, retain_graph=True)[0][0] for i in range(length)]
    jacobian = torch.stack(rows)
    torch.testing.assert_close(jacobian, jacobian.mT)
    assert float(torch.linalg.eigvalsh(jacobian).min()) > 0
    if length == 5:  # one window: its own Jacobian
        eye = torch.eye(5, dtype=torch.float64)
        torch.testing.assert_close(jacobian, autoregressive(5)(eye, t.repeat(5)))


def test_states_further_apart_than_a_window_do_not_meet() -> None:
    z = torch.randn(1, 11, dtype=torch.float64, requires_grad=True)
    (back,) = torch.autograd.grad(composed(2)(z, time_of(0.5, 1))[0, 5], z)
    assert (back[0, 1:10] != 0).all()
    assert (back[0, [0, 10]] == 0).all()


def drawn_covariance(half: int, length: int) -> torch.Tensor:
    """Of the sampler's answer, which is linear in its noise: one walk from every unit vector."""
    eye = torch.eye(length, dtype=torch.float64)
    answer = DPMSolverPP2M(32).sample(composed(half), lambda draw: eye).double()
    return answer.mT @ answer


def test_drawn_trajectories_have_the_covariance_of_the_process_where_windows_are_long() -> None:
    torch.testing.assert_close(drawn_covariance(2, 5), covariance(5), atol=0.03, rtol=0)
    errors = [float((drawn_covariance(half, 24) - covariance(24)).abs().max()) for half in (1, 3, 8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1


def test_messages() -> None:
    with pytest.raises(ConfigurationError, match="odd number of states"):
        WindowedDenoiser(autoregressive(4), 4)
    with pytest.raises(ConfigurationError, match="Draw 5 states and keep the first 3"):
        composed(2)(torch.zeros(1, 3), torch.zeros(1))
    with pytest.raises(ConfigurationError, match="no whole number of states"):
        WindowedDenoiser(autoregressive(6), 3, channels=2)(torch.zeros(1, 7), torch.zeros(1))
