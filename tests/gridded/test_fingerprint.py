"""The fingerprint of an archive changes with its content, and with nothing else."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, coords, smooth, write

from driftfield.data.sources import open_archive
from driftfield.gridded.fingerprint import fingerprint


def field(times: int = 12) -> xr.Dataset:
    values = smooth(times, (4, 6), low=3.0, high=9.0).astype("f4")
    values[:, 0, :2] = np.nan
    values[2, 2, 2] = np.nan
    domain = np.isfinite(values).any(axis=0).astype("i1")
    return xr.Dataset({"x": (DIMS, values, {"units": "mg m-3"}), "domain": (DIMS[1:], domain)}, coords(times))


def of(path: Path | str, *, lazy: bool = False) -> str:
    return fingerprint(open_archive(path, ["x"], in_memory_mib=0 if lazy else 64))


def corrected(dataset: xr.Dataset) -> xr.Dataset:
    dataset["x"][7, 3, 3] += 0.01
    return dataset


def grown(dataset: xr.Dataset) -> xr.Dataset:
    return field(13)


def shifted(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.assign_coords(time=dataset["time"] + np.timedelta64(1, "D"))


def moved(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.assign_coords(lon=("lon", dataset["lon"].values + 0.5, dataset["lon"].attrs))


def opened_gap(dataset: xr.Dataset) -> xr.Dataset:
    dataset["x"][1, 1, 1] = np.nan
    return dataset


def other_domain(dataset: xr.Dataset) -> xr.Dataset:
    dataset["domain"][3, 5] = 0
    return dataset


def other_units(dataset: xr.Dataset) -> xr.Dataset:
    dataset["x"].attrs["units"] = "g m-3"
    return dataset


CHANGES = [corrected, grown, shifted, moved, opened_gap, other_domain, other_units]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_change_is_noticed(tmp_path: Path, change, lazy: bool) -> None:  # type: ignore[no-untyped-def]
    path = write(field(), tmp_path / "a")
    before = of(path, lazy=lazy)
    path.unlink()
    write(change(field()), tmp_path / "a")
    assert of(path, lazy=lazy) != before


def copied(path: Path) -> Path:
    return Path(shutil.copy(path, path.with_name("b.nc")))


def as_zarr(path: Path) -> Path:
    return write(field(), path.with_name("b"), "zarr3")


def packed_otherwise(path: Path) -> Path:
    field().to_netcdf(path.with_name("b.nc"), encoding={"x": {"zlib": True, "chunksizes": (1, 2, 3)}})
    return path.with_name("b.nc")


def in_parts(path: Path) -> str:
    for index, part in enumerate((slice(0, 5), slice(5, 12))):
        field().isel(time=part).to_netcdf(path.with_name(f"part{index}.nc"))
    return str(path.with_name("part*.nc"))


def with_history(path: Path) -> Path:
    return write(field().assign_attrs(history="copied yesterday"), path.with_name("b"))


@pytest.mark.parametrize("change", [copied, as_zarr, packed_otherwise, in_parts, with_history])
@pytest.mark.parametrize("lazy", [False, True])
def test_another_file_with_the_same_content_is_the_same(tmp_path: Path, change, lazy: bool) -> None:  # type: ignore[no-untyped-def]
    path = write(field(), tmp_path / "a")
    assert of(change(path), lazy=lazy) == of(path)


def test_a_large_archive_is_not_read_whole(tmp_path: Path) -> None:
    path = write(xr.Dataset({"x": (DIMS, smooth(400, (4, 6)), {"units": "1"})}, coords(400)), tmp_path / "a", "zarr3")
    archive = open_archive(path, ["x"], in_memory_mib=0)
    read: list[int] = []
    counted = archive.dataset["x"].data.map_blocks(lambda block: (read.append(block.shape[0]), block)[1], dtype="f4")
    chunked = counted.rechunk((1, 4, 6))
    dataset = archive.dataset.assign(x=(DIMS, chunked, archive.dataset["x"].attrs))
    fingerprint(type(archive)(dataset, archive.domains, archive.periodic))
    assert len(read) <= 40
