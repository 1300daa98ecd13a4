"""The constructor is the configuration: what a recipe names is registered, and what it says is checked."""

import subprocess
import sys

import pytest

import driftfield.diffusion
import driftfield.networks
import driftfield.sampling  # noqa: F401
from driftfield.errors import ConfigurationError, DataError
from driftfield.registry import _KINDS, build, lookup, names, parameters_of, register


def test_builds_with_arguments_and_given_objects() -> None:
    schedule = build("schedule", {"class": "KarrasSchedule", "s_max": 12.0, "rho": 3.0}, s_min=0.5)
    assert (schedule.s_min, schedule.s_max, schedule.rho) == (0.5, 12.0, 3.0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"class": "KarasSchedule"}, "KarrasSchedule"),
        ({"class": "KarrasSchedule", "sigma_max": 3}, "s_max"),
        ({"class": "os.system"}, "Unknown schedule"),
        ({"class": ["KarrasSchedule"]}, "Unknown schedule"),
        ({"s_max": 3}, "'class'"),
        ("KarrasSchedule", "'class'"),
        ({"class": "KarrasSchedule", "s_max": "much"}, "refused its arguments"),
        ({"class": "KarrasSchedule", "s_min": 9, "s_max": 3}, "0 < s_min < s_max"),
    ],
)
def test_a_mistake_is_named_with_the_nearest_choice(spec: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build("schedule", spec)  # type: ignore[arg-type]


def test_what_the_program_hands_over_cannot_be_configured() -> None:
    with pytest.raises(ConfigurationError, match="no argument 's_min'"):
        build("schedule", {"class": "KarrasSchedule", "s_min": 0.1}, s_min=0.5)


def test_missing_arguments_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"needs the argument\(s\) \['channels'\]"):
        build("network", {"class": "ResidualUNet"})


def test_a_users_error_keeps_its_kind() -> None:
    @register("test of the registry")
    class Picky:
        def __init__(self) -> None:
            raise DataError("no such file")

    try:
        assert names("test of the registry") == ["Picky"]
        with pytest.raises(DataError, match="no such file"):
            build("test of the registry", {"class": "Picky"})
    finally:
        del _KINDS["test of the registry"]


def test_every_class_is_found_by_its_name() -> None:
    for kind in ("schedule", "parameterization", "weighting", "noise_levels", "sampler", "network"):
        assert names(kind)
        for name in names(kind):
            assert lookup(kind, name).__name__ == name


def test_shared_settings_are_those_of_the_class_above_and_still_checked() -> None:
    members = {
        name: parameters_of(lookup("reconstructor", name))
        for name in ("DiffusionReconstructor", "RegressionReconstructor")
    }
    for parameters in members.values():
        assert {"network", "observing", "normalizer", "augment", "first_guess", "validation_samples", "context"} <= set(
            parameters
        )
        assert parameters["validation_samples"].default == 32
        assert "shared" not in parameters
    spec = {
        "class": "RegressionReconstructor",
        "network": {"class": "ResidualUNet"},
        "observing": {"observe": {"x": "all"}},
    }
    assert build("reconstructor", spec | {"validation_samples": 3}).validation_samples == 3
    with pytest.raises(ConfigurationError, match=r"no argument 'validation_sample': .*validation_samples"):
        build("reconstructor", spec | {"validation_sample": 3})
    with pytest.raises(ConfigurationError, match="no argument 'shared'"):
        build("reconstructor", spec | {"shared": 3})

    class Below(lookup("reconstructor", "RegressionReconstructor")):  # type: ignore[misc]
        """Adds nothing to the constructor."""

    assert parameters_of(Below).keys() == members["RegressionReconstructor"].keys()


def test_a_class_is_found_without_the_rest_of_its_family() -> None:
    code = (
        "import sys\n"
        "from driftfield.registry import lookup, members, near_at_hand\n"
        "assert lookup('reconstructor', 'DiffusionReconstructor').__module__ == 'driftfield.models.diffusion'\n"
        "assert near_at_hand('emulator', 'DiffusionReconstructor') is None\n"
        "others = {'driftfield.peers.kriging', 'driftfield.trajectories.trajectory', 'driftfield.assimilation.kalman'}\n"
        "assert not others & set(sys.modules), others & set(sys.modules)\n"
        "assert {'Kriging', 'TrajectoryReconstructor', 'DiffusionReconstructor'} <= set(members('reconstructor'))\n"
        "assert lookup('guidance', 'dps').__name__ == 'DPS'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
