"""A method says in one line what it is, with what arguments, and what it is fitted to."""

import inspect

import pytest

import driftfield as df
from driftfield.registry import build, members
from driftfield.testing import tiny_training_data


def test_a_peer_says_its_arguments_and_what_it_is_fitted_to() -> None:
    assert repr(build("reconstructor", {"class": "Cubic"})) == "Cubic(): not fitted"
    peer = build("reconstructor", {"class": "OptimalInterpolation", "samples": 30, "patterns": ["random:0.5"]})
    assert repr(peer) == "OptimalInterpolation(patterns=['random:0.5'], samples=30): not fitted"
    climatology = build("reconstructor", {"class": "Climatology"})
    climatology.fit(tiny_training_data(), seed=0)
    assert repr(climatology) == "Climatology(): fitted to thetao; 8 x 12 cells"


@pytest.mark.parametrize("name", ["ocean_oi", "ocean_diffusion", "ocean_unet"])
def test_a_shipped_run_says_so_too(name: str) -> None:
    said = repr(df.load(f"shipped:{name}"))
    assert "fitted to thetao with sst" in said
    assert len(said) < 900
    assert "\n" not in said


def test_every_method_that_needs_no_argument_has_one() -> None:
    for name, member in members("reconstructor").items():
        required = [p for p in inspect.signature(member).parameters.values() if p.default is p.empty]
        if not [p for p in required if p.kind is p.POSITIONAL_OR_KEYWORD or p.kind is p.KEYWORD_ONLY]:
            said = repr(member())
            assert said.startswith(f"{member.__name__}("), f"{name}: {said}"
