"""Where a walk starts: with the exact denoiser of one Gaussian mode, at every size of it that s_max still drowns."""

import pytest
import torch

from driftfield.diffusion.exact import GaussianDenoiser, MixtureDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.errors import ConfigurationError
from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.starting import STARTS, conditional_mean, marginal, start_named

S_MIN, S_MAX = 0.01, 80.0
SIZES = [0.1, 0.5, 2.0, 10.0, S_MAX / 4]
EPS = torch.tensor([[0.0], [1.0]], dtype=torch.float64)


def denoiser_of(mean: float, sd: float, convention: str = "edm") -> GaussianDenoiser:
    schedule = LogLinearSchedule(S_MIN, S_MAX, convention)  # type: ignore[arg-type]
    return GaussianDenoiser(schedule, *(torch.tensor(value, dtype=torch.float64) for value in (mean, sd**2)))


def walked(denoiser: GaussianDenoiser, start: torch.Tensor, evaluations: int) -> tuple[float, float]:
    """(mean, standard deviation) of what a walk makes of the noises 0 and 1: it is linear in them."""
    middle, above = DPMSolverPP2M(evaluations).sample(denoiser, lambda _: EPS, initial=start)[:, 0].tolist()
    return middle, above - middle


def exactly(mean: float, sd: float) -> torch.Tensor:
    """What lies beyond s eps in a draw of N(mean, sd^2 + s^2)."""
    return mean + ((sd**2 + S_MAX**2) ** 0.5 - S_MAX) * EPS


@pytest.mark.parametrize("mean", [0.0, 10.0])
@pytest.mark.parametrize("sd", SIZES)
@pytest.mark.parametrize("convention", ["edm", "variance_preserving", "flow"])
def test_64_evaluations_have_the_spread_of_the_field(sd: float, mean: float, convention: str) -> None:
    denoiser = denoiser_of(mean, sd, convention)
    middle, spread = walked(denoiser, marginal(denoiser, EPS), 64 - STARTS["marginal"].evaluations)
    assert spread == pytest.approx(sd, rel=0.005)
    assert middle == pytest.approx(mean, abs=0.01 * max(mean, sd))


@pytest.mark.parametrize("mean", [0.0, 10.0])
@pytest.mark.parametrize("sd", SIZES)
def test_20_evaluations_are_those_from_the_exact_marginal(sd: float, mean: float) -> None:
    denoiser = denoiser_of(mean, sd)
    _, spread = walked(denoiser, marginal(denoiser, EPS), 20 - STARTS["marginal"].evaluations)
    assert spread == pytest.approx(
        walked(denoiser, exactly(mean, sd), 20 - STARTS["marginal"].evaluations)[1], rel=0.002
    )


def test_the_other_starts_are_too_wide_and_too_narrow() -> None:
    """Why there is a third: one mode of .7 s_max, at any number of evaluations."""
    denoiser = denoiser_of(0.0, 57.0)
    spreads = {name: walked(denoiser, start.beyond_noise(denoiser, EPS), 200)[1] / 57 for name, start in STARTS.items()}
    assert spreads["mean"] > 1.08
    assert spreads["zero"] < 0.83
    assert spreads["marginal"] == pytest.approx(1, abs=0.015)


def test_each_looks_as_often_as_it_says() -> None:
    exact = denoiser_of(3.0, 2.0)
    for start in STARTS.values():
        looks = []

        class Counting:
            schedule = exact.schedule

            def __call__(self, x_t: torch.Tensor, t: torch.Tensor, looks: list[int] = looks) -> torch.Tensor:
                looks.append(1)
                return exact(x_t, t)

        start.beyond_noise(Counting(), EPS)
        assert len(looks) == start.evaluations


def test_two_modes_keep_their_shares() -> None:
    """What is not Gaussian is drawn as well: sixty of a hundred members near +6, the others near -4."""
    schedule = LogLinearSchedule(S_MIN, S_MAX)
    denoiser = MixtureDenoiser(
        schedule, torch.tensor([0.6, 0.4]), torch.tensor([[6.0], [-4.0]]), [torch.tensor([1.0])] * 2
    )
    eps = torch.special.ndtri((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000)[:, None]
    drawn = DPMSolverPP2M(62).sample(denoiser, lambda _: eps, initial=marginal(denoiser, eps))
    assert float((drawn > 1).double().mean()) == pytest.approx(0.6, abs=0.01)
    assert float(drawn.mean()) == pytest.approx(2.0, abs=0.1)


def test_the_mean_of_a_large_structure_is_kept() -> None:
    mean = 50.0
    denoiser = denoiser_of(mean, 1.0)
    eps = torch.zeros(1, 1, dtype=torch.float64)
    start = conditional_mean(denoiser, eps)
    # exact: mu s^2 / (s^2 + 1) for a noise of nothing
    torch.testing.assert_close(start, torch.full_like(start, mean * S_MAX**2 / (S_MAX**2 + 1)))
    cold, warm = (DPMSolverPP2M(20).sample(denoiser, lambda _: eps, initial=i) for i in (None, start))
    assert abs(float(cold) - mean) > 0.5
    assert abs(float(warm) - mean) < 0.001


def test_another_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="marginal, mean, zero"):
        start_named("best")
