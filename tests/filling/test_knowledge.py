"""What a user states of the covariance is used or refused; it does not make a method vanish from the choice."""

import numpy as np
import pytest
import xarray as xr

import driftfield as df
from driftfield.errors import ConfigurationError
from driftfield.filling.methods import Knowledge, Method, said_of_knowledge
from driftfield.filling.reading import read_record


@pytest.mark.parametrize("name", ["length_km", "days", "noise"])
@pytest.mark.parametrize("value", [-5.0, 0.0, float("nan"), float("inf")])
def test_a_scale_that_is_not_positive_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match="expected a positive number"):
        Knowledge(**{name: value})


@pytest.mark.parametrize("noise", [None, 0.3])
def test_a_stated_noise_is_not_asked_for_again(noise: float | None) -> None:
    rng = np.random.default_rng(0)
    field = np.add.outer(np.linspace(0, 3, 10), np.linspace(0, 2, 12)) + 0.3 * rng.standard_normal((10, 12))
    field[3:7, 4:8] = np.nan
    axes = {"lat": 40.0 + np.arange(10), "lon": 1.0 * np.arange(12)}
    fields = df.fill(
        xr.Dataset({"t": (("lat", "lon"), field, {"units": "1"})}, axes), "t", method="kriging", noise=noise
    )
    spread = fields["t_sd"].values[np.isfinite(field)]
    assert (spread > 0).any() == (noise is not None)
    assert ("kept as it is" in fields.attrs["comment"]) == (noise is None)


def six_days() -> xr.Dataset:
    """Six images with a hole each."""
    rng = np.random.default_rng(0)
    field = np.add.outer(np.linspace(0, 3, 10), np.linspace(0, 2, 12)) + 0.3 * rng.standard_normal((6, 10, 12))
    for day in range(6):
        field[day, day : day + 4, day : day + 4] = np.nan
    axes = {"time": np.datetime64("2020-01-01", "ns") + np.arange(6) * np.timedelta64(1, "D")}
    axes |= {"lat": 40.0 + np.arange(10), "lon": 1.0 * np.arange(12)}
    return xr.Dataset({"t": (("time", "lat", "lon"), field, {"units": "1"})}, axes)


@pytest.mark.parametrize("stated", [{"noise": 0.2}, {"length_km": 200.0, "days": 3.0}])
def test_a_method_that_does_not_use_what_is_stated_is_refused(stated: dict[str, float]) -> None:
    options = ", ".join(f"--{name.replace('_', '-')}" for name in stated)
    with pytest.raises(ConfigurationError, match=f"Found {options} with --method linear"):
        df.fill(six_days(), "t", method="linear", **stated)  # type: ignore[arg-type]


def test_who_is_not_tried_because_of_it_and_who_does_not_use_it_is_said() -> None:
    record = read_record(six_days(), "t")
    kriging = Method("kriging", {"class": "Kriging", "noise": 0.2})
    (missing,) = said_of_knowledge(record, Knowledge(noise=0.2), [kriging])
    assert missing == "not tried, since kriging alone takes --noise: any field, space-time interpolation"
    _, unused = said_of_knowledge(record, Knowledge(noise=0.2), [Method("linear", {"class": "LinearInterpolation"})])
    assert unused == "--noise is not used: linear takes none; --method kriging does"
    assert said_of_knowledge(record, Knowledge(), [kriging]) == ()


@pytest.mark.slow
def test_a_filled_file_says_it() -> None:
    fields = df.fill(six_days(), "t", length_km=200.0)
    assert "not tried, since kriging alone takes --length-km" in fields.attrs["comment"]
