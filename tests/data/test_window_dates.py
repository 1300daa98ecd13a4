"""Windows as fields of their own: whole ones alone, in reading order, each with a date, and what cannot be is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coarse_world import coarse_world

from driftfield.data.prepare import prepare
from driftfield.data.sources import GriddedArchive, open_archive
from driftfield.data.window_dates import windows_as_dates
from driftfield.errors import ConfigurationError, DataError


@pytest.fixture
def archive(tmp_path: Path) -> GriddedArchive:
    coarse_world(5).to_netcdf(tmp_path / "fine.nc")
    return open_archive(tmp_path / "fine.nc", ["pr", "tas"])


def test_every_whole_window_is_a_date(archive: GriddedArchive) -> None:
    made = windows_as_dates(archive, ["pr", "tas"], {"size": 4})
    assert dict(made.dataset.sizes) == {"time": 5 * 3 * 4, "lat": 4, "lon": 4}
    pr = archive.dataset["pr"].values
    # as one reads: the first is in the north-west, the second east of it
    np.testing.assert_array_equal(made.dataset["pr"].values[0], pr[0, 8:12, 0:4])
    np.testing.assert_array_equal(made.dataset["pr"].values[1], pr[0, 8:12, 4:8])
    np.testing.assert_array_equal(made.dataset["tas"].values[12 + 4], archive.dataset["tas"].values[1, 4:8, 0:4])
    times = made.times.values
    assert len(np.unique(times)) == times.size
    assert (times[13] - archive.times.values[1]) == np.timedelta64(1, "s")
    assert np.allclose(np.diff(made.dataset["lat"]), 0.25)
    assert made.dataset["pr"].attrs["units"] == "mm day-1"


def test_windows_with_gaps_or_too_little_are_left_out(archive: GriddedArchive) -> None:
    values = archive.dataset["pr"].values.copy()
    values[0, 0, 0] = np.nan
    gappy = replace(archive, dataset=archive.dataset.assign(pr=archive.dataset["pr"].copy(data=values)))
    assert windows_as_dates(gappy, ["pr"], {"size": 4}).times.size == 59
    made = windows_as_dates(archive, ["pr"], {"size": 4, "holding": {"above": 1.0, "share": 0.3}})
    blocks = archive.dataset["pr"].values.reshape(5, 3, 4, 4, 4)
    assert made.times.size == int(((blocks > 1.0).mean(axis=(2, 4)) > 0.3).sum()) < 60


@pytest.mark.parametrize(
    ("windows", "error", "said"),
    [
        ({"size": 4, "max_nodata_fraction": 0.5}, ConfigurationError, "windows are complete fields"),
        ({"stride": 4}, ConfigurationError, "lacks its size"),
        ({"size": 40}, ConfigurationError, "Choose a smaller size"),
        ({"size": 4, "holding": {"above": 1.0}}, ConfigurationError, "more than this share"),
        ({"size": 4, "holding": {"above": 1e9, "share": 0.1}}, DataError, "None of 60 windows"),
    ],
)
def test_what_makes_no_sense(archive: GriddedArchive, windows: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        windows_as_dates(archive, ["pr"], windows)


def test_a_recipe_learns_from_them(tmp_path: Path) -> None:
    coarse_world(5).to_netcdf(tmp_path / "fine.nc")
    data = prepare(
        str(tmp_path / "fine.nc"), ["pr"], windows={"size": 8}, coarse={"factor": 4}, split={"class": "WholeRecord"}
    )
    assert data.train.size == data.pair.coarse.sizes["time"] == 5 * 2 * 2
    assert data.pair.regridding.coarse.shape == (2, 2)
    with pytest.raises(ConfigurationError, match=r"expected data\.coarse"):
        prepare(str(tmp_path / "fine.nc"), ["pr"], windows={"size": 8, "holding": {"above": 0, "share": 0}})
