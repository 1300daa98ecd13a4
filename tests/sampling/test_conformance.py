"""The fast version of docs/conformance.md: every sampler against exact answers, and the figures that others report."""

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from driftfield.sampling import PredictorCorrector
from driftfield.testing import drawn_sd


def _load() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "conformance.py"
    spec = importlib.util.spec_from_file_location("conformance", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


conformance = _load()
# relative error of the standard deviation on the Gaussian of variance .09 at 64 and at 256 evaluations; order
ALLOWED = {
    "Euler": (0.03, 0.008, 1),
    "Heun": (0.006, 0.0005, 2),
    "Heun, churn 10": (0.02, 0.0015, 2),
    "DDIM, eta 0": (0.03, 0.008, 1),
    "DDIM, eta 1": (0.001, 0.0003, None),
    "DDPM": (0.001, 0.0003, None),
    "DPM-Solver++ 2M": (0.002, 0.0002, 2),
    "DPM-Solver++ 2M SDE": (0.005, 0.0005, 2),
    "predictor-corrector": (0.004, 0.002, None),
}


@pytest.mark.parametrize("name", conformance.SAMPLERS)
def test_spread_of_a_gaussian(name: str) -> None:
    """Exact: no draw is made."""
    spec = conformance.SAMPLERS[name]
    at_64, at_256, order = ALLOWED[name]
    assert abs(conformance.spread_error(spec, 64)) < at_64
    assert abs(conformance.spread_error(spec, 256)) < at_256
    if order is not None:
        assert conformance.order(spec) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("name", conformance.SAMPLERS)
@pytest.mark.parametrize("variance", [0.01, 1.0, 9.0])
def test_small_and_large_structures_are_spread_alike(name: str, variance: float) -> None:
    """The grids do not favour one variance: at 64 evaluations no error is above 8 % between .01 and 9."""
    assert abs(conformance.spread_error(conformance.SAMPLERS[name], 64, variance)) < 0.08


@pytest.mark.parametrize("goal", conformance.GOALS, ids=lambda goal: f"{goal[0]} {goal[2]}")
def test_not_behind_what_others_report(goal: tuple) -> None:
    _, spec, evaluations, reference, _ = goal
    assert abs(conformance.spread_error(spec, evaluations)) < reference


@pytest.mark.parametrize("corrections", [1, 2])
def test_corrections_do_not_bias_the_limit(corrections: int) -> None:
    """With an equal share of new noise in every step, as is often seen, the error would grow to 3 %."""
    exact = conformance.gaussian(0.25)
    few, many = (drawn_sd(PredictorCorrector(n, corrections=corrections), exact) / 0.5 - 1 for n in (241, 961))
    assert abs(few) < 0.004
    assert abs(many) < 0.001


@pytest.mark.parametrize("variance", [0.01, 1.0, 9.0])
@pytest.mark.parametrize(("bound", "order"), [(0.0, 1), (0.5, 2), (1.0, 1)])
def test_new_noise_half_way_between_its_bounds_leaves_no_error_of_first_order(
    variance: float, bound: float, order: int
) -> None:
    """Whatever the variance of the data, on equal steps in ln s; either bound alone is a first-order method."""
    spec = {"class": "DDPMSampler", "bound": bound, "grid": {"class": "LogLinearSchedule"}}
    assert conformance.order(spec, 64, variance) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("variance", [0.01, 0.09, 1.0])
@pytest.mark.parametrize("evaluations", [16, 32, 64, 256])
def test_ancestral_walks_are_nearer_than_with_the_lower_bound(variance: float, evaluations: int) -> None:
    own, lower = (
        abs(conformance.spread_error({"class": "DDPMSampler", **bound}, evaluations, variance))
        for bound in ({}, {"bound": 0.0})
    )
    assert own < 0.3 * lower


@pytest.mark.parametrize("name", conformance.SAMPLERS)
def test_modes_of_a_mixture_are_visited_as_often_as_they_should(name: str) -> None:
    """chi2 / degrees of freedom at 64 evaluations, mean of 20 fixed seeds, which is 1 within .06 if all is right."""
    world = conformance.mixture()
    drawn = conformance.draws(world, conformance.sampler(conformance.SAMPLERS[name], 64), 20, 256)
    assert 0.85 < conformance.occupancy(world, drawn) < 1.15
    # the deterministic ones of first order are 1.7 % short
    allowed = 0.02 if name in ("Euler", "DDIM, eta 0") else 0.01
    assert abs(conformance.pooled_sd(drawn) - 1) < allowed + 3 / math.sqrt(2 * drawn.numel())


def test_a_wrong_noise_is_found() -> None:
    """The measure has teeth: a denoiser that takes the noise for the field leaves almost all modes empty."""
    world = conformance.mixture()

    class Wrong:
        schedule = conformance.SCHEDULE

        def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return x_t - world.denoiser(x_t, t)

    wrong = conformance.World(Wrong(), world.centres, world.weights, 1.0)
    drawn = conformance.draws(wrong, conformance.sampler(conformance.SAMPLERS["Euler"], 16), 2, 256)
    assert conformance.occupancy(world, drawn) > 10


@pytest.mark.parametrize("name", ["DDPM", "DPM-Solver++ 2M", "predictor-corrector"])
def test_a_finite_data_set_is_drawn_from_evenly(name: str) -> None:
    world = conformance.empirical()
    drawn = conformance.draws(world, conformance.sampler(conformance.SAMPLERS[name], 64), 20, 256)
    assert 0.85 < conformance.occupancy(world, drawn) < 1.15
    nearest = torch.cdist(drawn.flatten(0, 1), world.centres).amin(1)
    assert float(nearest.median()) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", conformance.SAMPLERS)
def test_every_sampler_visits_every_mode(name: str) -> None:
    """At 256 evaluations, too; eight seeds, whose mean is 1 within .1."""
    world = conformance.mixture()
    drawn = conformance.draws(world, conformance.sampler(conformance.SAMPLERS[name], 256), 8, 256)
    assert 0.85 < conformance.occupancy(world, drawn) < 1.15
