"""Archives at an address are read as those in a folder, chunk by chunk; what runs code is refused, what is missing said."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from http_files import Served, served

from driftfield.data.sources import open_archive
from driftfield.errors import DataError, FileFormatError, UserError
from driftfield.gridded.gridded_files import expand_paths, open_fields, write_dataset
from driftfield.gridded.remote import address_of
from driftfield.observations.inspection import inspect_file

pytest.importorskip("aiohttp")
CHUNK = 4 * 32 * 32 * 2
"""Bytes; smaller ones than `lazy.SMALL` are read with their neighbours."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same fields as a store of each version."""
    folder = tmp_path_factory.mktemp("served")
    values = np.random.default_rng(0).normal(10, 2, (6, 2, 64, 96)).astype(np.float32)
    values[:, :, :3, :3] = np.nan
    fields = xr.Dataset(
        {"thetao": (("time", "depth", "lat", "lon"), values, {"units": "degC"})},
        coords={
            "time": np.datetime64("2001-01-01", "ns") + np.arange(6) * np.timedelta64(5, "D"),
            "depth": ("depth", [5.0, 50.0], {"units": "m", "positive": "down", "axis": "Z"}),
            "lat": ("lat", np.linspace(30, 45, 64), {"units": "degrees_north"}),
            "lon": ("lon", np.linspace(0, 23, 96), {"units": "degrees_east"}),
        },
    )
    chunks = {"chunks": (1, 2, 32, 32)}
    fields.to_zarr(folder / "three.zarr", consolidated=True, encoding={"thetao": {**chunks, "compressors": None}})
    fields.to_zarr(folder / "two.zarr", consolidated=True, zarr_format=2, encoding={"thetao": chunks})
    return folder


@pytest.fixture
def host(folder: Path) -> Iterator[Served]:
    with served(folder) as here:
        yield here


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("name", ["three.zarr", "two.zarr"])
def test_fields_at_an_address_are_those_of_the_folder(host: Served, folder: Path, name: str) -> None:
    there, here = open_fields(f"{host.address}/{name}"), open_fields(folder / name)
    assert there["thetao"].chunks is not None
    xr.testing.assert_identical(there.load().drop_encoding(), here.load().drop_encoding())
    # as the command line hands it over
    xr.testing.assert_equal(open_fields(Path(f"{host.address}/{name}")), here)
    archive = open_archive(f"{host.address}/{name}", ["thetao"], region={"lat": [31, 40], "lon": [2, 20]})
    assert archive.domain("thetao").equals(
        open_archive(folder / name, ["thetao"], region={"lat": [31, 40], "lon": [2, 20]}).domain("thetao")
    )


def test_what_we_write_others_open_without_a_warning_and_we_at_an_address(folder: Path, host: Served) -> None:
    fields = open_fields(folder / "three.zarr").load()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_dataset(fields, folder / "ours.zarr", overwrite=True)
        opened = xr.open_zarr(folder / "ours.zarr")
    with opened:
        np.testing.assert_array_equal(opened["thetao"].values, fields["thetao"].values)
    host.answers.clear()
    there = open_fields(f"{host.address}/ours.zarr")
    # what the store says of all its arrays comes at once
    assert {name for name, _ in host.answers if name.endswith("zarr.json")} == {"/ours.zarr/zarr.json"}
    np.testing.assert_array_equal(there["thetao"].values, fields["thetao"].values)


def test_only_the_chunks_that_are_asked_for_travel(host: Served) -> None:
    field = open_fields(f"{host.address}/three.zarr")["thetao"]
    host.answers.clear()
    field.isel(time=[3], lat=slice(0, 32), lon=slice(32, 64)).load()
    assert host.bytes_of("thetao/c/") == CHUNK
    host.answers.clear()
    field.isel(time=[3], lat=slice(16, 48), lon=slice(32, 64)).load()
    assert host.bytes_of("thetao/c/") == 2 * CHUNK


@pytest.mark.parametrize("version", [2, 3])
def test_a_codec_that_runs_code_is_refused_before_a_chunk_travels(tmp_path: Path, version: int) -> None:
    field = xr.Dataset({"x": (("time", "lat", "lon"), np.zeros((1, 2, 2), np.float32))})
    field.to_zarr(tmp_path / "bad.zarr", consolidated=True, zarr_format=version)
    for path in (p for p in (tmp_path / "bad.zarr").rglob("*") if p.name in ("zarr.json", ".zmetadata", ".zarray")):
        described = json.loads(path.read_text())
        arrays = described.get("metadata") or (described.get("consolidated_metadata") or {}).get("metadata") or {}
        for part in (described, *arrays.values()):
            if "compressor" in part:
                part["filters"] = [{"id": "pickle"}]
            if "codecs" in part:
                part["codecs"].append({"name": "numcodecs.pickle", "configuration": {}})
        path.write_text(json.dumps(described))
    with served(tmp_path) as here, pytest.raises(UserError, match="pickle"):
        open_fields(f"{here.address}/bad.zarr")
    assert not here.bytes_of(r"/c/|/0\.0")


def test_what_is_not_there_is_said_in_one_line(host: Served) -> None:
    with pytest.raises(UserError, match=r"nothing\.zarr"):
        open_fields(f"{host.address}/nothing.zarr")
    with pytest.raises(DataError, match="only Zarr stores are read"):
        open_fields(f"{host.address}/fields.nc")
    with pytest.raises(DataError, match="nonsense"):
        open_fields("nonsense://host/fields.zarr")
    with pytest.raises(FileFormatError, match="Check the address"):
        open_fields("http://127.0.0.1:9/fields.zarr")


def test_an_address_is_told_from_a_file(tmp_path: Path) -> None:
    assert address_of("https://host/a/b.zarr") == address_of(Path("https://host/a/b.zarr")) == "https://host/a/b.zarr"
    assert address_of("s3://bucket/b.zarr") == "s3://bucket/b.zarr"
    for name in ("fields.nc", "/data/fields.zarr", "shipped:sst_scene", "C:/fields.nc", "a*.nc"):
        assert address_of(name) is None
    with pytest.raises(DataError, match="file of this machine"):
        expand_paths("https://host/points.csv")
    with pytest.raises(DataError, match="without the protocol"):
        open_fields(f"file://{tmp_path}/fields.zarr")


def test_a_store_at_an_address_is_inspected(host: Served) -> None:
    said = str(inspect_file(f"{host.address}/three.zarr"))
    assert "64 x 96 cells" in said
    assert "thetao" in said


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("version", [2, 3])
def test_zeros_at_an_address_are_what_they_are_in_the_folder(tmp_path: Path, version: int) -> None:
    """zarr's own fill value of 0 hides no rain, and a stated one does."""
    values = np.arange(12, dtype=np.float32).reshape(1, 3, 4) % 3
    axes = {"lat": ("lat", [1.0, 2.0, 3.0]), "lon": ("lon", [1.0, 2.0, 3.0, 4.0])}
    fields = xr.Dataset({"pr": (("time", "lat", "lon"), values)}, {"time": [np.datetime64("2001-01-01", "ns")], **axes})
    fields.to_zarr(tmp_path / "rain.zarr", zarr_format=version, consolidated=True)
    group = zarr.open_group(tmp_path / "rain.zarr", mode="a")
    for name, attrs in (("own", {}), ("stated", {"_FillValue": 0.0 if version == 2 else "AAAAAAAAAAA="})):
        names = {"dimension_names": ["time", "lat", "lon"]} if version == 3 else {}
        made = group.create_array(name, shape=values.shape, dtype=values.dtype, fill_value=0, **names)
        made[:] = values
        made.attrs.update(attrs if version == 3 else {"_ARRAY_DIMENSIONS": ["time", "lat", "lon"], **attrs})
    zarr.consolidate_metadata(tmp_path / "rain.zarr", zarr_format=version)
    with served(tmp_path) as host:
        there, here = open_fields(f"{host.address}/rain.zarr").load(), open_fields(tmp_path / "rain.zarr").load()
    np.testing.assert_array_equal(there["own"], values)
    assert int(there["stated"].isnull().sum()) == 4
    xr.testing.assert_equal(there, here)
