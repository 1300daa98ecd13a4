"""A Zarr store is left where it is: a page, a click and a section read the chunks that they show, counted byte by byte."""

import json
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pytest
import xarray as xr
from zarr.storage import LocalStore

from driftfield.viewer.folder import ViewedFolder
from driftfield.viewer.server import ViewerServer

TIMES, DEPTHS, ROWS, COLUMNS = 8, 2, 96, 128
CHUNK = 4 * DEPTHS * 32 * 32
"""Bytes of a chunk: one date, all levels, 32 x 32 cells; nothing is compressed."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every date and every 32 x 32 cells a chunk of its own."""
    path = tmp_path_factory.mktemp("lazy") / "large.zarr"
    dims = ("time", "depth", "lat", "lon")
    values = np.random.default_rng(0).normal(15, 1, (TIMES, DEPTHS, ROWS, COLUMNS)).astype("float32")
    coords = {
        "time": np.datetime64("2000-01-01", "ns") + np.arange(TIMES) * np.timedelta64(1, "D"),
        "depth": ("depth", [0.0, 10.0], {"units": "m", "positive": "down"}),
        "lat": ("lat", np.linspace(30, 42, ROWS), {"units": "degrees_north"}),
        "lon": ("lon", np.linspace(-40, -24, COLUMNS), {"units": "degrees_east"}),
    }
    fields = xr.Dataset({"thetao": (dims, values, {"units": "degC"})}, coords=coords)
    fields["thetao_sd"] = 0 * fields["thetao"] + 0.1
    layout = {"chunks": (1, DEPTHS, 32, 32), "compressors": None}
    fields.to_zarr(path, encoding={"thetao": layout, "thetao_sd": layout}, zarr_format=3, consolidated=False)
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of every chunk of a field that is read, as they come."""
    sizes: list[int] = []
    get = LocalStore.get

    async def counted(self, key, *arguments, **options):  # type: ignore[no-untyped-def]
        answer = await get(self, key, *arguments, **options)
        if answer is not None and key.startswith("thetao") and "/c/" in key:
            sizes.append(len(answer))
        return answer

    monkeypatch.setattr(LocalStore, "get", counted)
    return sizes


def test_a_click_reads_its_chunks_alone(store: Path, read: list[int]) -> None:
    server = ViewerServer(ViewedFolder(store.parent, {"large.zarr": store}))
    Thread(target=server.serve_forever, daemon=True).start()

    def bytes_of(path: str, **asked: object) -> int:
        read.clear()
        address = f"http://127.0.0.1:{server.server_address[1]}{path}?{urlencode({'file': store.name, **asked})}"
        with urlopen(Request(address, headers={"X-Driftfield-Token": server.token}), timeout=60) as answer:
            said = answer.read()
        assert said
        return sum(read)

    try:
        choice = {"variable": "thetao", "time": "2000-01-03T00:00:00"}
        place = {**choice, "row": 40, "column": 80}
        # once, when it is opened: three dates of a field are searched for numbers that stand for no value
        assert bytes_of("/api/about") <= 3 * (ROWS // 32) * (COLUMNS // 32) * CHUNK
        assert bytes_of("/api/about") == 0
        assert bytes_of("/api/plane", **choice) == (ROWS // 32) * (COLUMNS // 32) * CHUNK
        # mean and spread of one chunk; of one chunk a date
        assert bytes_of("/api/line", **place, along="depth") == 2 * CHUNK
        assert bytes_of("/api/line", **place, along="time", depth=0) == 2 * TIMES * CHUNK
        # a line within four chunks of one date
        assert bytes_of("/api/section", **place, to_row=72, to_column=100) <= 4 * CHUNK
    finally:
        server.shutdown()
        server.server_close()


def test_the_whole_would_be_counted(store: Path, read: list[int]) -> None:
    with xr.open_zarr(store, consolidated=False) as fields:
        fields["thetao"].load()
    assert sum(read) == TIMES * DEPTHS * ROWS * COLUMNS * 4
    assert json.loads((store / "thetao" / "zarr.json").read_text(encoding="utf-8"))["shape"][0] == TIMES
