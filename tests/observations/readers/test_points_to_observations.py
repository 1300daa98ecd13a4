"""What the readers deliver becomes a table of observations."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from driftfield.data.sources import write_dataset
from driftfield.errors import DataError
from driftfield.observations.readers import Quality, read_points
from driftfield.observations.reading import read_observations


def test_argo_comes_through_the_readers(argo_file: Callable[..., Path], tmp_path: Path) -> None:
    path = argo_file(tmp_path / "6900001_prof.nc")
    found = read_observations(path, {"thetao": "TEMP"}, potential=())
    # the flags of the file leave out one value of profile 0 and the hole; the raw one is for profile 2
    assert set(found.flag) <= {1, 2}
    assert set(found.platform) == {"6900001"}
    assert found.attrs["thetao"]["units"] == "degC"
    assert len(read_observations(path, {"thetao": "TEMP"}, Quality(flags=None))) > len(found)
    deep = found.depth > 400
    # what models call potential temperature becomes it, unless another choice is stated
    for theta in (
        read_observations(path, {"thetao": "TEMP"}),
        read_observations(path, {"temp": "TEMP"}, potential=("temp",)),
    ):
        assert (theta.value[deep] < found.value[deep]).all()
    same = read_observations(path, {"temp": "TEMP"})
    np.testing.assert_array_equal(same.value, found.value)
    # the table that `driftfield gather --table` writes
    write_dataset(read_points(path, {"thetao": "TEMP"}), tmp_path / "points.nc")
    for gathered in (
        read_observations(tmp_path / "points.nc"),
        read_observations(tmp_path / "points.nc", {"thetao": "thetao"}),
    ):
        pd.testing.assert_frame_equal(gathered.to_frame(), found.to_frame())
    both = read_observations([path], {"thetao": "TEMP"})
    assert len(both) == len(found)
    with pytest.raises(DataError, match="which variables"):
        read_observations(path)
