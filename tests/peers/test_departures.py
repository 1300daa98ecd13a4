"""Leaving years out of the seasonal cycle is the same as never having seen them."""

import numpy as np
from gaussian_ocean import TinyArchive, tiny_ocean

from driftfield.data.climatology import MonthlyClimatology
from driftfield.gridded.encodings import time_days
from driftfield.peers.departures import Departures


def test_shift_is_the_climatology_of_the_other_years() -> None:
    archive: TinyArchive = tiny_ocean(5, 60)
    sst = archive.dataset["sst"].fillna(0.0)
    full = MonthlyClimatology.fit(sst)
    anomaly = (sst - full.at(sst["time"])).values.reshape(60, 1, -1)
    departures = Departures.fit(sst["time"], np.arange(60), lambda index: anomaly[index])
    day = float(time_days(sst["time"])[29])
    shift = departures.shift(day, 200.0)
    left = np.abs(time_days(sst["time"]) - day) <= 200.0
    assert left.sum() == 13
    others = MonthlyClimatology.fit(sst.isel(time=~left))
    np.testing.assert_allclose(
        full.mean.values.reshape(12, 1, -1) + shift, others.mean.values.reshape(12, 1, -1), atol=1e-4
    )
    assert not departures.shift(day + 1e5, 200.0).any()
