"""Scales per cell, domain and land, by dates: what they are fitted to has mean 0 and variance 1, and nothing else counts."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.data.group_scaling import Scaling
from driftfield.errors import ConfigurationError, DataError


@pytest.fixture
def values() -> np.ndarray:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.5, 3, (4, 6))
    return scale * rng.standard_normal((120, 4, 6)) + 10 * scale


DATES = xr.DataArray(pd.date_range("2001-01-01", periods=120), dims="time")
LAND = np.arange(24).reshape(4, 6) % 3 == 0


@pytest.mark.parametrize("per", ["cell", "domain", "land"])
@pytest.mark.parametrize("by", ["none", "month", "season"])
def test_every_class_and_group_has_mean_0_and_variance_1(values: np.ndarray, per: str, by: str) -> None:
    scaling = Scaling.of({"per": per, "by": by})
    fitted = scaling.fit(values, DATES, LAND)
    places = scaling.places(DATES, fitted, "A method")
    z = (values - fitted["mean"][places]) / fitted["sd"][places]
    cells = {
        "cell": [np.eye(24, dtype=bool)[k].reshape(4, 6) for k in range(24)],
        "domain": [np.ones((4, 6), bool)],
        "land": [LAND, ~LAND],
    }
    for group in np.unique(places):
        for chosen in cells[per]:
            part = z[places == group][:, chosen]
            assert part.mean() == pytest.approx(0, abs=1e-9)
            assert part.std() == pytest.approx(1, abs=1e-9)
    assert len(fitted["groups"]) == {"none": 1, "month": 4, "season": 2}[by]


def test_months_without_training_are_named(values: np.ndarray) -> None:
    scaling = Scaling.of({"by": "month"})
    fitted = scaling.fit(values[:59], DATES[:59])
    with pytest.raises(DataError, match="no training data of month 3: found 1, 2"):
        scaling.places(DATES, fitted, "A method")


def test_gaps_do_not_count_and_a_still_cell_is_not_blown_up(values: np.ndarray) -> None:
    holes = values.copy()
    holes[::2, 0, 0] = np.nan
    fitted = Scaling().fit(holes, DATES)
    assert fitted["mean"][0, 0, 0] == pytest.approx(values[1::2, 0, 0].mean())
    still = values.copy()
    still[:, 1, 1] = 7.0
    fitted = Scaling().fit(still, DATES)
    assert fitted["sd"][0, 1, 1] > 0


def test_words_that_do_not_exist_are_refused(values: np.ndarray) -> None:
    for spec, said in (
        ({"per": "cel"}, "Did you mean 'cell'"),
        ({"by": "week"}, "expected one of"),
        ({"pre": "cell"}, "Unknown key 'pre'"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            Scaling.of(spec)
    with pytest.raises(DataError, match="share of land"):
        Scaling.of({"per": "land"}).fit(values, DATES)
