"""Archives that do not fit in memory: a window reads the chunks that it touches and no others, statistics hold a block."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr.storage

from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import TwinDataset
from driftfield.data.normalise import Normalizer
from driftfield.data.observing import ObservingSystem
from driftfield.data.patches import Window
from driftfield.data.sources import GriddedArchive, open_archive, write_dataset
from driftfield.data.twin import observe
from driftfield.gridded import lazy
from driftfield.registry import build

DATES, LEVELS, ROWS, COLUMNS, CHUNK = 6, 4, 48, 96, 16
BYTES = LEVELS * CHUNK * CHUNK * 4
"""Of a chunk."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A field round the globe, a chunk a date and 16 x 16 columns of water, not compressed."""
    rng = np.random.default_rng(0)
    values = rng.normal(10, 2, (DATES, LEVELS, ROWS, COLUMNS)).astype(np.float32)
    fields = xr.Dataset(
        {"thetao": (("time", "depth", "lat", "lon"), values, {"units": "degC"})},
        coords={
            "time": np.datetime64("2001-01-01", "ns") + np.arange(DATES) * np.timedelta64(5, "D"),
            "depth": ("depth", [5.0, 50.0, 100.0, 200.0], {"units": "m", "positive": "down", "axis": "Z"}),
            "lat": ("lat", np.linspace(-47, 47, ROWS), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(COLUMNS) * 3.75, {"units": "degrees_east"}),
        },
    )
    path = tmp_path_factory.mktemp("store") / "fields.zarr"
    encoding = {"thetao": {"chunks": (1, LEVELS, CHUNK, CHUNK), "compressors": None}}
    fields.to_zarr(path, encoding=encoding, consolidated=False)
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each reading of a chunk has brought."""
    sizes: list[int] = []
    original = zarr.storage.LocalStore.get

    async def counted(self: Any, key: str, *arguments: Any, **options: Any) -> Any:
        found = await original(self, key, *arguments, **options)
        if found is not None and "/c/" in key:
            sizes.append(len(found))
        return found

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    return sizes


def lazily(store: Path) -> GriddedArchive:
    archive = open_archive(store, ["thetao"], in_memory_mib=0)
    assert archive.dataset["thetao"].chunks is not None
    assert archive.periodic
    return archive


def samples(archive: GriddedArchive, windows: list[Window]) -> TwinDataset:
    times = np.arange(DATES)
    codec = FieldCodec.fit(archive, times, ["thetao"], [], {"class": "ClimatologicalAnomaly"})
    observing = ObservingSystem({"thetao": ["random:0.5"]}, {"thetao": 0.1})
    return TwinDataset(archive, codec, observing, times=times, windows=windows, samples=4, seed=3)


@pytest.mark.parametrize(
    ("window", "chunks"),
    [
        (Window(0, 0, 16, 16), 1),
        (Window(16, 32, 32, 32), 4),
        (Window(7, 20, 32, 32), 9),
        # over the seam of the globe: the last column of chunks and the first
        (Window(16, COLUMNS - 8, 16, 16), 2),
    ],
)
def test_a_window_reads_the_chunks_that_it_touches_and_no_others(
    store: Path, read: list[int], window: Window, chunks: int
) -> None:
    dataset = samples(lazily(store), [window])
    read.clear()
    for index in range(len(dataset)):
        dataset[index]
        assert sum(read) == chunks * BYTES
        read.clear()


def test_a_window_of_a_lazy_archive_is_that_of_one_in_memory(store: Path) -> None:
    windows = [Window(7, 20, 32, 32), Window(0, COLUMNS - 5, 32, 32), Window(0, 0, ROWS, COLUMNS)]
    streamed, held = samples(lazily(store), windows), samples(open_archive(store, ["thetao"]), windows)
    for index in range(len(held)):
        one, other = streamed[index], held[index]
        for name in ("target", "held_out", "domain", "position"):
            np.testing.assert_array_equal(getattr(one, name).numpy(), getattr(other, name).numpy())
        np.testing.assert_array_equal(one.seen.value.numpy(), other.seen.value.numpy())
        np.testing.assert_array_equal(one.seen.error.numpy(), other.seen.error.numpy())


@pytest.mark.parametrize("name", ["ZScore", "ClimatologicalAnomaly", "Bounded"])
def test_statistics_hold_a_block_of_dates_and_are_the_same(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    dates, shape = 48, (2, 64, 128)
    values = np.random.default_rng(1).normal(10, 2, (dates, *shape)).astype(np.float32)
    stamps = np.datetime64("2001-01-01", "ns") + np.arange(dates) * np.timedelta64(5, "D")
    axes = {"time": stamps, "depth": [5.0, 50.0], "lat": np.linspace(-63, 63, 64), "lon": np.arange(128) * 2.0}
    field = xr.DataArray(values, coords=axes, name="thetao").chunk(time=1)
    domain = xr.ones_like(field.isel(time=0, drop=True), dtype=bool).compute()

    def fitted() -> tuple[Normalizer, int]:
        normalizer: Normalizer = build("normalizer", {"class": name})
        tracemalloc.start()
        normalizer.fit(field, domain, np.arange(dates))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return normalizer, peak

    fitted()  # what is imported and kept on the first call
    whole, most = fitted()
    monkeypatch.setattr(lazy, "BLOCK", 2 * 8 * int(np.prod(shape)))
    by_blocks, least = fitted()
    np.testing.assert_allclose(by_blocks.std, whole.std, rtol=1e-6)
    np.testing.assert_allclose(by_blocks.mean_at(stamps[[3]]), whole.mean_at(stamps[[3]]), rtol=1e-6)
    # all dates at once are 6 MiB in double precision, some times over; a climatology has twelve fields of its own
    assert least < 0.5 * most


def test_an_archive_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not twice, its chunks and what they are joined to; with fields of other chunks and a mask beside it."""
    shape = (60, 1, 32, 64)
    values = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    dims = ("time", "depth", "lat", "lon")
    held = xr.Dataset(
        {"x": (dims, values, {"units": "m"}), "y": (dims, values[:, :, ::-1] + 1), "domain": (dims[1:], values[0] > 0)}
    )

    def peak(most: int) -> tuple[xr.Dataset, int]:
        monkeypatch.setattr(lazy, "PLENTY", most)
        with xr.set_options(keep_attrs=True):  # computed, and no views of what is in memory
            lazily_held = held.chunk({"time": 4, "lat": 16}).map(
                lambda field: field if field.dtype == bool else field * 1
            )
        tracemalloc.start()
        found = lazy.loaded(lazily_held)
        needed = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found, needed

    peak(2**40)  # what is imported and kept on the first call
    (whole, twice), (by_blocks, once) = peak(2**40), peak(2**15)
    for found in (whole, by_blocks):
        xr.testing.assert_identical(found, held)
        assert not found.chunks
    assert twice > 1.7 * held.nbytes
    assert once < 1.5 * held.nbytes


def test_chunks_are_those_of_the_file_and_few() -> None:
    def chunks(shape: tuple[int, ...], preferred: dict[str, int]) -> tuple[int, ...]:
        dims = ("time", "depth", "lat", "lon")[-len(shape) :]
        variable = xr.Variable(dims, np.broadcast_to(np.float32(0), shape))
        variable.encoding["preferred_chunks"] = preferred
        return lazy._chunks(variable)

    assert chunks((100, 2, 64, 64), {"time": 1, "depth": 1, "lat": 32, "lon": 32}) == (1, 1, 32, 32)
    # tiny ones are joined, in space first, to some that are square
    assert chunks((100, 64, 64), {"depth": 1, "lat": 8, "lon": 8}) == (1, 32, 32)
    assert chunks((10_000, 1, 1), {"depth": 1, "lat": 1, "lon": 1}) == (1024, 1, 1)
    # a file that says nothing is read a date at a time, or some of them
    assert chunks((10_000, 2, 64, 64), {}) == (lazy.PLENTY // (2 * 64 * 64 * 4), 2, 64, 64)
    assert chunks((10, 50, 2000, 4000), {}) == (1, 1, 1048, 4000)
    many = chunks((100_000, 50, 2000, 4000), {"time": 1, "depth": 1, "lat": 100, "lon": 100})
    number = np.prod(-(-np.array((100_000, 50, 2000, 4000)) // np.array(many)))
    assert number <= lazy.MOST_CHUNKS


def test_what_hides_a_lazy_field_holds_a_date_and_hides_the_same(store: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {"error": 0.1, "seed": 3}
    streamed = observe(lazily(store).dataset, {"thetao": "profiles:0.5"}, **how)
    held = observe(open_archive(store, ["thetao"]).dataset, {"thetao": "profiles:0.5"}, **how)
    assert all(streamed[name].chunks is not None for name in ("thetao", "thetao_error", "held_out"))
    assert held["thetao"].chunks is None
    xr.testing.assert_identical(streamed.compute(), held)
    write_dataset(streamed, tmp_path / "seen.nc")
    xr.testing.assert_equal(xr.open_dataset(tmp_path / "seen.nc")["thetao"].load(), held["thetao"])
