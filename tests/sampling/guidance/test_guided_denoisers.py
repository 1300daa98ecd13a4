"""The laws of guidance: what every method must keep, and where a method is exact, that it is."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.errors import ConfigurationError, DivergenceError
from driftfield.interfaces import Denoiser, Observation
from driftfield.linalg.covariance import Covariance, DenseCovariance, DiagonalCovariance
from driftfield.linalg.operators import FunctionOperator, MatrixOperator, Observed
from driftfield.linalg.solvers import GMRES, ConjugateGradients
from driftfield.registry import build
from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.guidance.base import GuidedDenoiser
from driftfield.sampling.guidance.dps import DPSDenoiser
from driftfield.sampling.guidance.guard import DivergenceGuard
from driftfield.sampling.guidance.look import Look
from driftfield.sampling.guidance.mmps import MMPSDenoiser
from driftfield.sampling.guidance.prior_covariance import PriorCovarianceDenoiser
from driftfield.sampling.guidance.pseudo_inverse import PseudoInverseDenoiser
from driftfield.sampling.guidance.sda import SDADenoiser
from driftfield.sampling.guidance.tmpd import TMPDDenoiser
from driftfield.testing import check_denoiser, numbered_noise

CELLS, N, SHAPE = 12, 5, (1, 1, 12)
SCHEDULE = LogLinearSchedule()
Make = Callable[[Denoiser, Observation], GuidedDenoiser]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


I = torch.arange(CELLS, dtype=torch.float64)  # noqa: E741
C = torch.exp(-(I[:, None] - I).abs() / 3)
MEAN = torch.sin(I)
PRIOR = GaussianDenoiser(SCHEDULE, MEAN, C)
H = normal(N, CELLS, seed=1)
ROOT = normal(N, N, seed=2)
R = 0.1 * (ROOT @ ROOT.T / N + torch.eye(N, dtype=torch.float64))
OBSERVATION = Observed(MatrixOperator(H, SHAPE), normal(N, seed=3), DenseCovariance(R))

CONVERGED: dict[str, Make] = {
    "mmps": lambda d, o: MMPSDenoiser(d, o, solver=ConjugateGradients(2 * N, 1e-13)),
    "mmps, gmres": lambda d, o: MMPSDenoiser(d, o, solver=GMRES(N)),
    "mmps, preconditioned": lambda d, o: MMPSDenoiser(d, o, prior=DenseCovariance(C)),
    "prior covariance": lambda d, o: PriorCovarianceDenoiser(d, o, DenseCovariance(C)),
    "prior covariance, iterated": lambda d, o: PriorCovarianceDenoiser(
        d, o, DenseCovariance(C), solver=ConjugateGradients(2 * N, 1e-13), direct=0
    ),
}
METHODS: dict[str, Make] = {
    **CONVERGED,
    "mmps, 3 iterations": lambda d, o: MMPSDenoiser(d, o, solver=ConjugateGradients(3)),
    "dps": lambda d, o: DPSDenoiser(d, o, zeta=1),
    "pseudo-inverse": PseudoInverseDenoiser,
    "sda": SDADenoiser,
    "tmpd": TMPDDenoiser,
}


def posterior(prior_mean: Tensor, c: Tensor, o: Observed, h: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    gain = torch.linalg.solve(h @ c @ h.T + r, h @ c).T
    return prior_mean + gain @ (o.y - h @ prior_mean), c - gain @ h @ c


def at_level(s: float, batch: int = 3, schedule: LogLinearSchedule = SCHEDULE) -> tuple[Tensor, Tensor]:
    """x_t, t at a noise level."""
    t = schedule.t(torch.full((batch,), -2 * math.log(s), dtype=torch.float64))
    alpha, sigma = (float(part[0]) for part in schedule.alpha_sigma(t))
    return alpha * (MEAN + normal(batch, *SHAPE, seed=4)) + sigma * normal(batch, *SHAPE, seed=5), t


@pytest.mark.parametrize("name", CONVERGED)
@pytest.mark.parametrize("s", [60.0, 3.0, 0.5, 0.02])
def test_converged_moment_matching_is_the_exact_posterior_mean_at_every_noise_level(name: str, s: float) -> None:
    """E[x | x_t, y]: y and z = x + s eps are both observations of a Gaussian x."""
    x_t, t = at_level(s)
    found = CONVERGED[name](PRIOR, OBSERVATION)(x_t, t).view(3, CELLS)
    both = torch.cat([H, torch.eye(CELLS, dtype=torch.float64)])
    errors = torch.block_diag(R, s**2 * torch.eye(CELLS, dtype=torch.float64))
    for one, z in zip(found, x_t.view(3, CELLS), strict=True):
        seen = Observed(MatrixOperator(both), torch.cat([OBSERVATION.y, z]), DenseCovariance(errors))
        torch.testing.assert_close(one, posterior(MEAN, C, seen, both, errors)[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["mmps", "prior covariance"])
def test_a_walk_finds_the_exact_posterior_mean_and_covariance(name: str) -> None:
    """The walk is affine in its noise: the origin and unit vectors give mean and covariance without sampling error."""
    schedule = LogLinearSchedule(0.002, 80.0)
    guided = CONVERGED[name](GaussianDenoiser(schedule, MEAN, C), OBSERVATION)
    noise = torch.cat([torch.zeros(1, CELLS), torch.eye(CELLS)]).double().view(-1, *SHAPE)
    drawn = DPMSolverPP2M(128).sample(guided, lambda draw: noise).double().view(-1, CELLS)
    mean, covariance = posterior(MEAN, C, OBSERVATION, H, R)
    torch.testing.assert_close(drawn[0], mean, rtol=0, atol=0.02)
    root = drawn[1:] - drawn[:1]
    torch.testing.assert_close(root.T @ root, covariance, rtol=0, atol=0.01)


@pytest.mark.parametrize("name", METHODS)
def test_without_observations_it_is_the_prior(name: str) -> None:
    x_t, t = at_level(0.7)
    nothing = Observed(
        MatrixOperator(torch.zeros(0, CELLS, dtype=torch.float64), SHAPE),
        torch.zeros(0, dtype=torch.float64),
        DiagonalCovariance(torch.zeros(0, dtype=torch.float64)),
    )
    assert torch.equal(METHODS[name](PRIOR, nothing)(x_t, t), PRIOR(x_t, t))


@pytest.mark.parametrize("name", [name for name in METHODS if name != "dps"])
def test_observations_that_say_nothing_change_nothing(name: str) -> None:
    """Errors a thousand times the field; DPS has a fixed length, whatever the errors."""
    x_t, t = at_level(0.7)
    vague = Observed(OBSERVATION.operator, OBSERVATION.y, DiagonalCovariance(torch.full((N,), 1e6)))
    torch.testing.assert_close(METHODS[name](PRIOR, vague)(x_t, t), PRIOR(x_t, t), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("mmps", 1e-5), ("mmps, gmres", 1e-5), ("prior covariance", 1e-5), ("pseudo-inverse", 0.01)]
)
def test_exact_observations_of_everything_are_the_answer(name: str, tolerance: float) -> None:
    y = normal(CELLS, seed=6)
    exact = Observed(
        MatrixOperator(torch.eye(CELLS, dtype=torch.float64), SHAPE),
        y,
        DiagonalCovariance(torch.zeros(CELLS, dtype=torch.float64)),
    )
    drawn = DPMSolverPP2M(20).sample(METHODS[name](PRIOR, exact), numbered_noise((4, *SHAPE)))
    torch.testing.assert_close(drawn.double().view(4, CELLS), y.expand(4, -1), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", METHODS)
def test_it_is_a_denoiser(name: str) -> None:
    check_denoiser(METHODS[name](PRIOR, OBSERVATION), (3, *SHAPE))


@pytest.mark.parametrize("name", METHODS)
def test_a_member_does_not_depend_on_the_size_of_the_batch(name: str) -> None:
    sampler, noise = DPMSolverPP2M(12), numbered_noise((6, *SHAPE))
    whole = sampler.sample(METHODS[name](PRIOR, OBSERVATION), noise)
    for part in (slice(0, 1), slice(2, 5)):
        alone = sampler.sample(METHODS[name](PRIOR, OBSERVATION), lambda draw, part=part: noise(draw)[part])
        torch.testing.assert_close(alone, whole[part], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("convention", ["variance_preserving", "flow"])
def test_the_convention_does_not_matter(name: str, convention: str) -> None:
    schedule = build("schedule", {"class": "LogLinearSchedule", "convention": convention})
    x_t, t = at_level(0.7)
    other, same = at_level(0.7, schedule=schedule)
    alpha = float(schedule.alpha_sigma(same)[0][0])
    found = METHODS[name](GaussianDenoiser(schedule, MEAN, C), OBSERVATION)(alpha * x_t, same)
    torch.testing.assert_close(found, METHODS[name](PRIOR, OBSERVATION)(x_t, t), rtol=1e-5, atol=1e-5)
    assert other.shape == x_t.shape


@pytest.mark.parametrize("name", METHODS)
def test_its_cost_is_what_it_says(name: str) -> None:
    """Network evaluations: the denoiser 1, a product with its Jacobian 2."""
    counting = Counting()
    guided = METHODS[name](counting, OBSERVATION)
    guided(*at_level(0.7))
    assert counting.forward + 2 * counting.backward <= guided.evaluations
    assert counting.forward == 1
    if name not in CONVERGED or "prior" in name:
        assert counting.forward + 2 * counting.backward == guided.evaluations


class Counting:
    """The prior, with its evaluations counted in both directions."""

    def __init__(self) -> None:
        self.schedule, self.forward, self.backward = SCHEDULE, 0, 0

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        self.forward += 1
        clean = PRIOR(x_t, t)
        if clean.requires_grad:
            clean.register_hook(self._count)
        return clean

    def _count(self, gradient: Tensor) -> None:
        self.backward += 1


@pytest.mark.parametrize("name", METHODS)
def test_it_works_where_gradients_are_switched_off(name: str) -> None:
    x_t, t = at_level(0.7)
    expected = METHODS[name](PRIOR, OBSERVATION)(x_t, t)
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            found = METHODS[name](PRIOR, OBSERVATION)(x_t.clone(), t)
        assert torch.equal(found, expected)
        assert not found.requires_grad


def test_a_nonlinear_observation_is_linearised_at_the_clean_estimate() -> None:
    x_t, t = at_level(0.5)

    def square_sums(x: Tensor) -> Tensor:
        return (x.flatten(1) ** 2) @ H.to(x).T

    seen = Observed(FunctionOperator(square_sums, SHAPE), normal(N, seed=3), DenseCovariance(R))
    found = MMPSDenoiser(PRIOR, seen, solver=ConjugateGradients(2 * N, 1e-13))(x_t, t).view(3, CELLS)
    clean = PRIOR(x_t, t).view(3, CELLS)
    v = torch.linalg.inv(torch.linalg.inv(C) + torch.eye(CELLS, dtype=torch.float64) / 0.5**2)
    for k in range(3):
        h = 2 * H * clean[k]
        gain = v @ h.T @ torch.linalg.inv(h @ v @ h.T + R)
        expected = clean[k] + gain @ (seen.y - H @ clean[k] ** 2)
        torch.testing.assert_close(found[k], expected, rtol=1e-6, atol=1e-6)


def test_forward_and_adjoint_of_the_linearisation_are_transposes() -> None:
    seen = Observed(
        FunctionOperator(lambda x: torch.sin(x.flatten(1)) @ H.to(x).T, SHAPE), normal(N), DenseCovariance(R)
    )
    clean = normal(2, *SHAPE, seed=7)
    look = Look(clean, clean, torch.ones(2, 1, 1, 1), torch.ones(2, 1), seen)
    v, u = normal(2, *SHAPE, seed=8), normal(2, N, seed=9)
    torch.testing.assert_close((look.forward(v) * u).sum(), (v * look.adjoint(u)).sum(), rtol=1e-12, atol=1e-12)
    step = (seen.apply(clean + 1e-6 * v) - seen.apply(clean - 1e-6 * v)) / 2e-6
    torch.testing.assert_close(look.forward(v), step, rtol=1e-7, atol=1e-7)


def test_a_prior_may_be_conditional_on_something_else() -> None:
    """A Gaussian that knows one observation, guided by the others, is the Gaussian that knows all."""
    first, rest = slice(0, 1), slice(1, N)
    one = Observed(MatrixOperator(H[first], SHAPE), OBSERVATION.y[first], DenseCovariance(R[first, first]))
    mean, c = posterior(MEAN, C, one, H[first], R[first, first])
    diagonal = torch.block_diag(R[first, first], R[rest, rest])
    others = Observed(MatrixOperator(H[rest], SHAPE), OBSERVATION.y[rest], DenseCovariance(R[rest, rest]))
    everything = Observed(OBSERVATION.operator, OBSERVATION.y, DenseCovariance(diagonal))
    x_t, t = at_level(0.7)
    found = CONVERGED["mmps"](GaussianDenoiser(SCHEDULE, mean, c), others)(x_t, t)
    torch.testing.assert_close(found, CONVERGED["mmps"](PRIOR, everything)(x_t, t), rtol=1e-6, atol=1e-6)


def test_a_denoiser_without_a_derivative_is_refused() -> None:
    guided = MMPSDenoiser(MMPSDenoiser(PRIOR, OBSERVATION), OBSERVATION)
    with pytest.raises(ConfigurationError, match=r"mmps needs.*Stack"):
        guided(*at_level(0.7))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DPSDenoiser(PRIOR, OBSERVATION, zeta=0), "zeta=0"),
        (lambda: SDADenoiser(PRIOR, OBSERVATION, sda_scale=-1), "sda_scale=-1"),
        (lambda: PseudoInverseDenoiser(PRIOR, OBSERVATION, sd=0), "sd=0"),
        (
            lambda: PriorCovarianceDenoiser(PRIOR, OBSERVATION, DiagonalCovariance(torch.ones(3)))(*at_level(1)),
            "3 cells",
        ),
        (lambda: DivergenceGuard(growth=1), "growth=1"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_dps_asks_for_errors() -> None:
    exact = Observed(OBSERVATION.operator, OBSERVATION.y, DiagonalCovariance(torch.zeros(N, dtype=torch.float64)))
    with pytest.raises(ConfigurationError, match="the method mmps"):
        DPSDenoiser(PRIOR, exact)(*at_level(0.7))


def test_numbers_that_are_not_finite_name_the_method_and_the_step() -> None:
    class Broken:
        schedule = SCHEDULE

        def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
            return PRIOR(x_t, t) * (torch.nan if float(t[0]) < 0.5 else 1)

    guided = MMPSDenoiser(Broken(), OBSERVATION)
    with pytest.raises(DivergenceError, match=r"mmps diverged at step 11 \(noise level .*not finite.*iterations"):
        DPMSolverPP2M(20).sample(guided, numbered_noise((2, *SHAPE)))


def test_every_method_takes_any_error_covariance() -> None:
    """A diagonal R and the same R by its eigenvectors give the same answer."""
    variances = torch.linspace(0.01, 1, N, dtype=torch.float64)
    x_t, t = at_level(0.7)
    kinds: list[Covariance] = [DiagonalCovariance(variances), DenseCovariance(torch.diag(variances))]
    for name, make in METHODS.items():
        a, b = (make(PRIOR, Observed(OBSERVATION.operator, OBSERVATION.y, kind))(x_t, t) for kind in kinds)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4, msg=name)
