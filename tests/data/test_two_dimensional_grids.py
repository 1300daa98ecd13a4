"""Two-dimensional latitude and longitude: read as rows and columns with positions, whatever the file calls them."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.conventions import cell_area, geometry_of, positions_of
from driftfield.data.sources import is_periodic, open_archive
from driftfield.data.twin import observe
from driftfield.errors import DataError
from driftfield.gridded.gridded_files import open_fields, write_dataset
from driftfield.testing.grids import MEMBERS, member

CASES = [(kind, seed) for kind in MEMBERS for seed in range(4)]


def apart(found: xr.Dataset | xr.DataArray, expected: object, where: np.ndarray) -> float:
    """Kilometres between positions, the largest in `where`."""
    return float(np.linalg.norm(geometry_of(found).points - expected.points, axis=-1)[where].max())  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["station", "station_lat", "depth", "member", "domain"])
def test_positions_may_be_called_anything(tmp_path: Path, name: str) -> None:
    made = member("nemo", 0, times=3)
    made.dataset.rename({"nav_lon": name}).to_netcdf(tmp_path / "a.nc")
    fields = open_fields(tmp_path / "a.nc")
    np.testing.assert_allclose(fields["tos"].values, made.values, rtol=1e-6)
    assert apart(fields, made.geometry, np.isfinite(made.values[0])) < 0.01


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_values_and_positions_come_back(tmp_path: Path, kind: str, seed: int) -> None:
    made = member(kind, seed, times=3)
    made.dataset.to_netcdf(tmp_path / "a.nc")
    fields = open_fields(tmp_path / "a.nc")
    assert fields["tos"].dims == ("time", "lat", "lon")
    np.testing.assert_allclose(fields["tos"].values, made.values, rtol=1e-6)
    assert apart(fields, made.geometry, np.isfinite(made.values[0])) < 0.01
    assert not is_periodic(fields["lon"])
    assert positions_of(fields["tos"]) is not None
    area = cell_area(fields).values
    wet = np.isfinite(made.values[0])[1:-1, 1:-1]
    if wet.size and kind != "nemo":  # of a neighbour that was left out nobody knows the distance
        ratio = area[1:-1, 1:-1] / made.geometry.area[1:-1, 1:-1]
        np.testing.assert_allclose(ratio / ratio.mean(), 1.0, rtol=1e-4)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_what_is_written_is_read_again(tmp_path: Path, kind: str, seed: int) -> None:
    """A twin experiment on it, in a file as CF has it: no axis called lat holds numbers of rows."""
    made = member(kind, seed, times=2)
    made.dataset.to_netcdf(tmp_path / "a.nc")
    archive = open_archive(tmp_path / "a.nc", ["tos"])
    seen = observe(archive.dataset, {"tos": "random:0.5"}, error=0.1, domain=archive.domains)
    name = "seen.nc" if seed % 2 else "seen.zarr"
    write_dataset(seen, tmp_path / name)
    with xr.open_dataset(tmp_path / name, **({} if seed % 2 else {"engine": "zarr", "consolidated": False})) as raw:
        wanted = 1 if kind == "section" else 2
        assert raw["lat"].ndim == raw["lon"].ndim == wanted
        assert raw["lat"].attrs["units"] == "degrees_north"
    again = open_fields(tmp_path / name)
    for variable in ("tos", "tos_error", "domain", "held_out"):
        np.testing.assert_array_equal(again[variable].values, seen[variable].values)
    np.testing.assert_allclose(again["lat"].values, archive.dataset["lat"].values)
    assert apart(again, made.geometry, np.isfinite(made.values[0])) < 0.01


@pytest.mark.parametrize("kind", [kind for kind in MEMBERS if kind != "section"])
def test_a_region_is_the_block_that_holds_it(tmp_path: Path, kind: str) -> None:
    made = member(kind, 7, times=2)
    made.dataset.to_netcdf(tmp_path / "a.nc")
    lat, lon = (float(part[4, 5]) for part in (made.geometry.latitude, made.geometry.longitude))
    reach = 1e-3
    region = {"lat": [lat - reach, lat + reach], "lon": [lon - reach, lon + reach]}
    found = open_archive(tmp_path / "a.nc", ["tos"], region=region).dataset
    assert (found.sizes["lat"], found.sizes["lon"]) == (1, 1)
    np.testing.assert_allclose(found["tos"].values[:, 0, 0], made.values[:, 4, 5], rtol=1e-6)
    with pytest.raises(DataError, match="holds no cell"):
        open_archive(tmp_path / "a.nc", ["tos"], region={"lat": [-lat - 1, -lat - 0.5]})


def test_axes_that_say_the_same_stay_axes(tmp_path: Path) -> None:
    """A regular grid may give its positions in two dimensions too."""
    lat, lon = 40 + 0.25 * np.arange(5), -10 + 0.25 * np.arange(6)
    lat2, lon2 = np.meshgrid(lat, lon, indexing="ij")
    dataset = xr.Dataset(
        {"tos": (("lat", "lon"), np.ones((5, 6))), "LAT": (("lat", "lon"), lat2, {"units": "degrees_north"}),
         "LON": (("lat", "lon"), lon2 + 360, {"units": "degrees_east"})},
        {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})},
    )  # fmt: skip
    dataset.to_netcdf(tmp_path / "a.nc")
    found = open_fields(tmp_path / "a.nc")
    assert positions_of(found) is None
    assert list(found.data_vars) == ["tos"]


def test_degrees_of_another_pole_are_never_taken_for_latitudes(tmp_path: Path) -> None:
    made = member("rotated_pole", 1).dataset
    bare = made.drop_vars(["rotated_pole", "lat", "lon"], errors="ignore")
    bare.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(DataError, match="two-dimensional latitude and longitude"):
        open_fields(tmp_path / "a.nc")
    numbers = (
        member("nemo", 0).dataset.drop_vars(["nav_lat", "nav_lon"]).assign_coords(y=np.arange(10), x=np.arange(12))
    )
    numbers.to_netcdf(tmp_path / "b.nc")
    with pytest.raises(DataError, match="two-dimensional latitude and longitude"):
        open_fields(tmp_path / "b.nc")


@pytest.mark.parametrize("width", [0, 1, 2])
def test_columns_that_close_the_circle_twice_are_dropped(tmp_path: Path, width: int) -> None:
    """A tripolar grid repeats one or two columns; without them the last column has the first for its neighbour."""
    j, i = np.meshgrid(np.arange(6.0), np.arange(24.0 + width), indexing="ij")
    lat, lon = -20 + 8 * j + 2 * np.sin(np.radians(15 * i)), (73 + 15 * i) % 360
    values = np.cos(np.radians(lon)) + j
    dims = ("y", "x")
    xr.Dataset(
        {"tos": (("time", *dims), values[None]), "nav_lat": (dims, lat, {"units": "degrees_north"}),
         "nav_lon": (dims, lon, {"units": "degrees_east"})},
        {"time": ("time", [0.0], {"units": "days since 2001-01-03"})},
    ).to_netcdf(tmp_path / "a.nc")  # fmt: skip
    found = open_fields(tmp_path / "a.nc")
    assert found.sizes["lon"] == 24
    assert is_periodic(found["lon"])
    np.testing.assert_allclose(found["tos"].values[0], values[:, :24])
