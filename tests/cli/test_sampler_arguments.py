"""`--sampler` reaches every argument of a sampler."""

import pytest

from driftfield.cli.shared import read_sampler
from driftfield.errors import ConfigurationError


def test_arguments_of_a_sampler_are_read() -> None:
    heun = read_sampler("HeunSampler:63,churn=20,churn_range=[0.1, 2.0]")
    assert (heun.evaluations, heun.churn, tuple(heun.churn_range)) == (63, 20, (0.1, 2.0))
    assert read_sampler("DDIMSampler:50,eta=0.5").eta == 0.5
    grid = read_sampler("EulerSampler,grid={class: KarrasSchedule, rho: 5.0}").grid
    assert grid == {"class": "KarrasSchedule", "rho": 5.0}
    assert read_sampler("DPMSolverPP2M:19").evaluations == 19


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HeunSampler:63,chrun=20", "churn"),
        ("DDIMSampler:50,eta=2", "eta"),
        ("DDIMSampler:50,eta=0.1,eta=0.2", "twice"),
        ("Heun:63", "HeunSampler"),
        ("EulerSampler,grid={class: EDMSchedule}", "Unknown schedule"),
        ("EulerSampler,grid={class: KarrasSchedule, r: 5}", "rho"),
        ("HeunSampler:1.5", "whole number"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_sampler(text)
