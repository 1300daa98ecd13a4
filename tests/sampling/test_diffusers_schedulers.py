"""The schedulers of diffusers drive our denoiser and give our answer at equal noise levels."""

import math
import sys
from typing import Any

import pytest
import torch

from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.errors import ConfigurationError, MissingExtraError
from driftfield.registry import build
from driftfield.sampling import DDPMSampler, DiffusersSampler
from driftfield.sampling.diffusers_schedulers import PEERS
from driftfield.testing import CountingDenoiser, exact_problems, numbered_noise

pytest.importorskip("diffusers")
PROBLEMS = exact_problems()
PAIRS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"class": "DDIMSampler"}, {"scheduler": "DDIMScheduler"}),
    ({"class": "DDIMSampler", "eta": 0.6, "bound": 0.0}, {"scheduler": "DDIMScheduler", "eta": 0.6}),
    ({"class": "DDPMSampler", "bound": 0.0}, {"scheduler": "DDIMScheduler", "eta": 1.0}),
    ({"class": "EulerSampler"}, {"scheduler": "EulerDiscreteScheduler"}),
    ({"class": "HeunSampler"}, {"scheduler": "HeunDiscreteScheduler"}),
    ({"class": "DPMSolverPP2M"}, {"scheduler": "DPMSolverMultistepScheduler"}),
    (
        {"class": "DPMSolverPP2MSDE"},
        {"scheduler": "DPMSolverMultistepScheduler", "config": {"algorithm_type": "sde-dpmsolver++"}},
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda spec: spec.get("class", ""))
@pytest.mark.parametrize("evaluations", [4, 21, 65])
def test_equal_at_equal_noise_levels(ours: dict[str, Any], theirs: dict[str, Any], evaluations: int) -> None:
    """Member by member, to single precision: z is 80 at the start, of which 1e-6 is left where steps are few."""
    problem = PROBLEMS["independent"]
    noise = numbered_noise((64, 1, 1, problem.cells))
    expected = build("sampler", {**ours, "evaluations": evaluations}).sample(problem.denoiser, noise)
    counting = CountingDenoiser(problem.denoiser)
    sampler = build("sampler", {"class": "DiffusersSampler", "evaluations": evaluations, **theirs})
    torch.testing.assert_close(sampler.sample(counting, noise), expected, rtol=2e-4, atol=2e-4)
    assert evaluations - sampler.calls_per_step < counting.calls <= evaluations


@pytest.mark.parametrize("convention", ["variance_preserving", "flow"])
@pytest.mark.parametrize("start", [0.6, 1.0])
def test_any_convention_and_any_start(convention: str, start: float) -> None:
    problem = exact_problems(LogLinearSchedule(convention=convention))["correlated"]  # type: ignore[arg-type]
    noise = numbered_noise((8, 1, 1, problem.cells))
    guess = problem.mean.expand(8, 1, 1, -1)
    for ours, theirs in PAIRS:
        expected, found = (
            build("sampler", {"evaluations": 15, **spec}).sample(problem.denoiser, noise, initial=guess, start=start)
            for spec in (ours, {"class": "DiffusersSampler", **theirs})
        )
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_ddpm_draws_from_the_same_distribution() -> None:
    """It takes a generator in place of noise: other numbers, the same spread; a member does not depend on its batch."""
    problem, draws = PROBLEMS["independent"], 4096
    noise = numbered_noise((draws, 1, 1, problem.cells))
    sampler = DiffusersSampler("DDPMScheduler", evaluations=30)
    found, expected = (one.sample(problem.denoiser, noise) for one in (sampler, DDPMSampler(30, bound=0.0)))
    ratio = found.double().std(0) / expected.double().std(0)
    assert float((ratio - 1).abs().max()) < 4 / math.sqrt(draws)
    assert float((found.mean(0) - expected.mean(0)).abs().max()) < 4 * 3 * math.sqrt(2 / draws)
    part = sampler.sample(problem.denoiser, lambda number: noise(number)[3:5])
    torch.testing.assert_close(part, found[3:5], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scheduler", PEERS)
def test_too_few_evaluations_are_refused(scheduler: str) -> None:
    with pytest.raises(ConfigurationError, match="needs at least"):
        DiffusersSampler(scheduler, evaluations=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheduler": "DDIMSheduler"}, "Did you mean 'DDIMScheduler'"),
        ({"config": {"solver_typ": "heun"}}, "Did you mean 'solver_type'"),
        ({"config": {"beta_start": 0.1}}, "beta_start.*grid decides"),
        ({"config": {"use_karras_sigmas": True}}, "use_karras_sigmas.*grid decides"),
        ({"config": {"prediction_type": "sample"}}, "prediction_type.*grid decides"),
        ({"eta": 1.5}, "eta"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build("sampler", {"class": "DiffusersSampler", **arguments})


def test_arguments_of_theirs_have_an_effect() -> None:
    problem = PROBLEMS["correlated"]
    noise = numbered_noise((4, 1, 1, problem.cells))
    one, other = (DiffusersSampler(config={"solver_type": kind}) for kind in ("midpoint", "heun"))
    assert float((one.sample(problem.denoiser, noise) - other.sample(problem.denoiser, noise)).abs().max()) > 1e-3


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(
        MissingExtraError, match=r"DDIMScheduler needs diffusers.*pip install 'driftfield\[diffusers\]'"
    ):
        DiffusersSampler("DDIMScheduler")
