"""Methods that are tried side by side: the numbers of one after the other, and errors that arrive."""

import threading

import numpy as np
import pytest
import torch
import xarray as xr
from threadpoolctl import threadpool_info

from driftfield.filling.filling import _folds
from driftfield.filling.methods import Knowledge, Method, methods_for
from driftfield.filling.reading import read_record
from driftfield.filling.record import Record
from driftfield.filling.trying import processors, side_by_side, try_all


@pytest.fixture(scope="module")
def record() -> Record:
    """Six dates of a moving wave, a third hidden."""
    rng = np.random.default_rng(0)
    time, lat, lon = np.arange(6), np.linspace(40, 44, 20), np.linspace(0, 6, 24)
    field = np.sin(lon[None, None] + 0.3 * time[:, None, None]) + np.cos(2 * lat[None, :, None])
    field = np.where(rng.random((6, 5, 6)).repeat(4, axis=1).repeat(4, axis=2) < 0.35, np.nan, field)
    stamps = np.datetime64("2020-01-01", "ns") + time * np.timedelta64(1, "D")
    coords = {"time": stamps, "lat": lat, "lon": lon}
    return read_record(xr.DataArray(field.astype(np.float32), dims=("time", "lat", "lon"), coords=coords, name="sst"))


def test_scores_are_those_of_one_after_the_other(record: Record) -> None:
    folds, weights = _folds(record, 0)
    methods = [m for m in methods_for(record, Knowledge()) if m.label != "space-time interpolation"]
    said: list[float] = []
    alone, failed = try_all(methods, folds, weights, 0, lambda what, share: said.append(share), workers=1)
    together, failed_too = try_all(methods, folds, weights, 0, lambda what, share: None, workers=3)
    assert (
        [s.label for s in together] == [s.label for s in alone] == [m.label for m in methods if m.label not in failed]
    )
    assert failed == failed_too
    for one_by_one, beside in zip(alone, together, strict=True):
        np.testing.assert_array_equal(beside.error, one_by_one.error)
        np.testing.assert_array_equal(beside.sd, one_by_one.sd)
    assert said == sorted(said)
    assert said[-1] == pytest.approx(0.8)


def test_what_cannot_be_fitted_is_named_and_costs_nothing_else(record: Record) -> None:
    folds, weights = _folds(record, 0)
    methods = [Method("a run", {"class": "DiffusionReconstructor"}), Method("linear", {"class": "LinearInterpolation"})]
    scores, failed = try_all(methods, folds, weights, 0, lambda what, share: None)
    assert [s.label for s in scores] == ["linear"]
    assert list(failed) == ["a run"]


def test_results_come_in_the_order_of_the_items_and_from_several_threads() -> None:
    assert processors() >= 1
    barrier = threading.Barrier(3, timeout=30)

    def task(k: int) -> int:
        barrier.wait()  # passes only with three threads at a time
        return k * k

    finished: list[int] = []
    assert side_by_side(task, [3, 1, 2], workers=3, done=finished.append) == [9, 1, 4]
    assert sorted(finished) == [0, 1, 2]

    begun: list[int] = []

    def fails(k: int) -> float:
        begun.append(k)
        threading.Event().wait(0.02 * (k > 0))
        return 1 / k

    with pytest.raises(ZeroDivisionError):
        side_by_side(fails, [0, *range(1, 2000)], workers=1)
    assert len(begun) < 2000


def test_linear_algebra_leaves_a_processor_to_every_thread_and_gets_its_own_back() -> None:
    def blas() -> list[int]:
        return [part["num_threads"] for part in threadpool_info() if part["user_api"] == "blas"]

    torch_before, blas_before, share = torch.get_num_threads(), blas(), max(1, processors() // 2)

    def task(k: int) -> tuple[int, list[int]]:
        return torch.get_num_threads(), blas()

    for threads, of_blas in side_by_side(task, [0, 1], workers=2):
        assert threads <= share
        assert all(count <= share for count in of_blas)
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda k: k // 0, [0, 1], workers=2)
    assert (torch.get_num_threads(), blas()) == (torch_before, blas_before)
