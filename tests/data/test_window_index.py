"""The windows of a training are a table that a user can open; those larger than the grid are refused."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from driftfield.data.patches import Window, nodata_fractions, window_index, window_table
from driftfield.data.prepare import prepare
from driftfield.data.sources import write_dataset
from driftfield.errors import ConfigurationError
from driftfield.testing import tiny_ocean


def test_the_share_without_data_is_counted_cell_by_cell_also_round_the_globe() -> None:
    exists = np.random.default_rng(0).random((7, 9)) < 0.6
    windows, found = window_index(exists, (3, 4), (2, 3), periodic=True)
    assert any(window.col + window.width > 9 for window in windows)
    counted = [1 - exists[np.ix_(w.rows, w.columns(9))].mean() for w in windows]
    np.testing.assert_allclose(found, counted, atol=1e-12)
    np.testing.assert_allclose(nodata_fractions(exists, windows), counted, atol=1e-12)


def test_the_table_says_where_a_window_lies_and_how_much_of_it_is_land() -> None:
    exists = np.ones((4, 6), dtype=bool)
    exists[:2, :2] = False
    lat, lon = np.array([10.0, 11, 12, 13]), 358.0 + np.arange(6)
    text = window_table(exists, lat, lon, {"train": [Window(0, 0, 2, 4)], "validation": [Window(2, 2, 2, 2)]})
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["split"], first["row"], first["width"], first["nodata_fraction"]) == ("train", "0", "4", "0.5")
    assert (float(first["lat"]), float(first["lon"])) == (10.5, -0.5)
    assert (second["split"], float(second["nodata_fraction"])) == ("validation", 0)


@pytest.mark.parametrize("size", [[9, 12], [8, 13], 20])
def test_a_window_larger_than_the_grid_is_refused(tmp_path: Path, size: int | list[int]) -> None:
    write_dataset(tiny_ocean(times=20), tmp_path / "truth.nc")
    with pytest.raises(ConfigurationError, match="Choose a smaller size"):
        prepare(str(tmp_path / "truth.nc"), ["sst"], windows={"size": size})
