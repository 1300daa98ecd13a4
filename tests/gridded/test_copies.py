"""The same place twice: a copied column is dropped where it holds the same, refused where it does not, and never leaks."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, coords, smooth, write

from driftfield.data.sources import is_periodic, open_archive, open_fields
from driftfield.data.twin import observe
from driftfield.errors import DataError

GRIDS = [
    (start, step, halo)
    for start in (0.0, -180.0, 20.5)
    for step in (30.0, 45.0, 10.0)
    for halo in ((0, 1), (1, 1), (0, 2))
]


def globe(start: float, step: float, halo: tuple[int, int], **attrs: object) -> xr.Dataset:
    """A field round the globe with columns of it repeated before its first and after its last."""
    count = round(360 / step)
    base = smooth(4, (4, count), low=3.0, high=9.0)
    base[2, 1, :3] = np.nan
    columns = np.arange(-halo[0], count + halo[1])
    return xr.Dataset(
        {"x": (DIMS, base[..., columns % count], {"units": "1"} | attrs)}, coords(4, lon=start + step * columns)
    )


@pytest.mark.parametrize(("start", "step", "halo"), GRIDS)
def test_copies_are_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, start: float, step: float, halo: tuple[int, int]
) -> None:
    path = write(globe(start, step, halo), tmp_path / "a")
    with caplog.at_level(logging.INFO):
        archive = open_archive(path, ["x"])
    expected = globe(start, step, (0, 0))
    assert archive.periodic
    assert archive.dataset.sizes["lon"] == expected.sizes["lon"]
    found = archive.dataset["x"].assign_coords(lon=(archive.dataset["lon"] - start) % 360.0).sortby("lon")
    np.testing.assert_allclose(found["lon"], step * np.arange(expected.sizes["lon"]), atol=1e-9)
    np.testing.assert_allclose(found.values, expected["x"].values, rtol=1e-6)
    assert f"dropped {sum(halo)} column(s)" in caplog.text


@pytest.mark.parametrize(("start", "step", "halo"), GRIDS[::4])
@pytest.mark.parametrize("change", ["value", "gap", "mask"])
def test_copies_that_differ_are_refused(
    tmp_path: Path, start: float, step: float, halo: tuple[int, int], change: str
) -> None:
    dataset = globe(start, step, halo)
    if change == "mask":
        dataset["held_out"] = dataset["x"] > 6
        dataset["held_out"][2, 2, -1] = ~dataset["held_out"][2, 2, -1]
        dataset["held_out"] = dataset["held_out"].astype("i1")
    else:
        dataset["x"][2, 2, -1] = np.nan if change == "gap" else 4.321
    with pytest.raises(DataError, match=r"the same place, and .* differs between them"):
        open_fields(write(dataset, tmp_path / "a"))


@pytest.mark.parametrize("step", [30.0, 45.0])
@pytest.mark.parametrize("pattern", ["random:0.5", "clouds:0.5"])
def test_a_twin_hides_no_place_that_it_shows(tmp_path: Path, step: float, pattern: str) -> None:
    archive = open_archive(write(globe(0.0, step, (0, 1)), tmp_path / "a"), ["x"])
    seen = observe(archive.dataset, {"x": pattern}, seed=3, domain=archive.domains)
    place = np.unique(seen["lon"].values % 360.0)
    assert place.size == seen.sizes["lon"]
    assert not bool((seen["held_out"] & seen["x"].notnull()).any())


@pytest.mark.parametrize(
    "lon", [np.arange(0.0, 351.0, 30.0), np.arange(-30.0, 31.0, 10.0), np.array([0.0, 359.5]), np.array([5.0])]
)
def test_places_that_are_no_copies_stay(tmp_path: Path, lon: np.ndarray) -> None:
    path = write(xr.Dataset({"x": (DIMS, smooth(3, (4, lon.size)))}, coords(3, lon=lon)), tmp_path / "a")
    found = open_fields(path)
    assert found.sizes["lon"] == lon.size
    assert is_periodic(found["lon"]) == (lon.size == 12)
