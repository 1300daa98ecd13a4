"""What a user states of the covariance is used or refused; it does not make a method vanish from the choice."""

import numpy as np
import pytest
import xarray as xr

import driftfield as df
from driftfield.errors import ConfigurationError
from driftfield.filling.methods import Knowledge


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
