"""A method that errs by more than it says in some places is found out there, and nowhere else."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import xarray as xr

from driftfield.checkpoint import read_run
from driftfield.data.twin import observe
from driftfield.evaluate.scores.ensembles import crps_gaussian
from driftfield.interfaces import TrainingData
from driftfield.peers.climatology import Climatology
from driftfield.reconstruction.calibration import CalibrationCells, write_calibration
from driftfield.reconstruction.calibration_cases import calibrate
from driftfield.reconstruction.calibration_fit import CellPlaces, fit_calibration
from driftfield.reconstruction.calibration_place import PlaceMap, PlaceRecord, PlaceSums, choose_place, widened
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_training_data

SHAPE, DATES = (24, 36), 16
ROUGH = np.zeros(SHAPE, dtype=bool)
ROUGH[3:7, 4:12] = True
"""Where a method errs by more than it says."""
HEART = (slice(4, 6), slice(5, 11))
UNKNOWN = 6.0
"""The variance that it does not know of there; what it states is about 1."""


def errors(
    unknown: float, *, seed: int = 0, size: int = 0, dates: int = DATES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(error, sd, judged) of all dates: errors as stated, but for the rough places; half the cells are hidden."""
    rng = np.random.default_rng(seed)
    sd = np.exp(0.4 * rng.standard_normal((dates, *SHAPE)))
    true = np.sqrt((sd**2 + unknown * ROUGH) * (1 + (1 / size if size else 0)))
    return true * rng.standard_normal(sd.shape), sd, rng.random(sd.shape) < 0.5


def sums_of(
    error: np.ndarray, sd: np.ndarray, judged: np.ndarray, *, size: int = 0, periodic: bool = False
) -> PlaceSums:
    # the files are gone by name, and still there for who has them open
    with TemporaryDirectory() as folder:
        record = PlaceRecord(Path(folder), "level")
        for t in range(len(error)):
            record.add(PlaceSums.of(error[t], sd[t], judged[t], size=size, time=t, periodic=periodic))
        return record.read()


@pytest.mark.parametrize("size", [0, 8])
def test_a_rough_place_is_found_the_better_the_more_dates_there_are(size: int) -> None:
    found = []
    for dates in (DATES, 40 * DATES):
        sums = sums_of(*errors(UNKNOWN, size=size, dates=dates), size=size)
        choice = choose_place([sums])
        assert choice is not None
        variance = sums.variance(choice)
        assert np.median(variance[~ROUGH]) < 0.05
        found.append(float(np.median(variance[HEART])))
    assert 0.5 * UNKNOWN < found[0] < 1.3 * UNKNOWN
    assert found[1] == pytest.approx(UNKNOWN, rel=0.1)


def test_an_honest_method_has_no_map() -> None:
    for seed in range(6):
        assert choose_place([sums_of(*errors(0.0, seed=seed))]) is None


def test_few_dates_say_nothing_of_places() -> None:
    assert choose_place([sums_of(*errors(UNKNOWN)).at(np.arange(5))]) is None


def test_the_map_is_better_on_dates_that_it_never_saw() -> None:
    sums = sums_of(*errors(UNKNOWN))
    variance = sums.variance(choose_place([sums]))
    error, sd, judged = errors(UNKNOWN, seed=9)
    for place, ratio in ((ROUGH, 0.92), (~ROUGH, 1.005)):
        scores = []
        for scale in (1.0, widened(sd, variance)):
            where = judged & place
            mean, spread, truth = (xr.DataArray(a[where], dims="cell") for a in (0 * error, scale * sd, error))
            scores.append(float(crps_gaussian(mean, spread, truth)))
        assert scores[1] < ratio * scores[0]


def test_what_is_known_stays_known_and_members_are_not_torn_apart() -> None:
    sd = np.array([0.0, 1e-3, 1.0, 10.0])
    assert np.array_equal(widened(sd, np.full(4, 3.0)), [1.0, 8.0, 2.0, np.sqrt(1.03)])


def test_longitude_wraps_where_the_grid_does() -> None:
    error, sd, judged = errors(0.0)
    error[:, :, 0] *= 4
    edges = [sums_of(error, sd, judged, periodic=wraps).variance((1.0, 2.0))[:, -1].mean() for wraps in (True, False)]
    assert edges[0] > 4 * edges[1]


def test_cells_that_were_not_hidden_or_are_land_change_nothing() -> None:
    error, sd, judged = errors(UNKNOWN)
    there = np.where(judged, error, 1e6), np.where(judged, sd, np.nan), judged
    assert np.array_equal(sums_of(*there).variance((3.0, 0.7)), sums_of(error, sd, judged).variance((3.0, 0.7)))


def test_units_do_not_matter() -> None:
    error, sd, judged = errors(UNKNOWN)
    plain, large = (sums_of(scale * error, scale * sd, judged) for scale in (1.0, 1e3))
    assert choose_place([plain]) == choose_place([large])
    assert np.allclose(large.variance((3.0, 0.7)), 1e6 * plain.variance((3.0, 0.7)), rtol=1e-3)


def cells_and_places() -> tuple[CalibrationCells, CellPlaces]:
    error, sd, judged = errors(UNKNOWN)
    time, row, column = np.nonzero(judged)
    cells = CalibrationCells(error[judged], 0 * error[judged], sd[judged], time, None, row * SHAPE[1] + column)
    return cells, CellPlaces({None: sums_of(error, sd, judged)}, np.arange(SHAPE[0]) * 1.0, np.arange(SHAPE[1]) * 1.0)


def test_what_the_map_knows_by_heart_does_not_narrow_the_rest() -> None:
    """Inflation beside the map is fitted on dates that the map did not see: right on other dates, to a few per cent."""
    cells, places = cells_and_places()
    fitted = fit_calibration({"t": {None: cells}}, places={"t": places})
    error, sd, judged = errors(UNKNOWN, seed=5)
    made = sd * widened(sd, fitted.places["t"].variance.values)
    made = made * fitted.levels["t"][0].factor(made)
    for where, within in ((judged, 0.06), (judged & ROUGH, 0.25), (judged & ~ROUGH, 0.06)):
        assert np.sqrt((made[where] ** 2).mean() / (error[where] ** 2).mean()) == pytest.approx(1.0, abs=within)


def test_a_map_is_taken_by_coordinates() -> None:
    lat, lon = np.arange(4.0), np.arange(5.0)
    variance = xr.DataArray(1 + np.arange(20.0).reshape(4, 5), {"lat": lat, "lon": lon}, ("lat", "lon"))
    field = xr.DataArray(np.zeros((1, 2, 4)), {"lat": [3.0, 1.0], "lon": [1.0, 2.0, 4.0, 77.0]}, ("time", "lat", "lon"))
    expected = [[*variance.values[row, [1, 2, 4]], 0.0] for row in (3, 1)]
    assert np.array_equal(PlaceMap(variance, 3.0, 0.7).on(field).values, expected)


@pytest.fixture
def data() -> TrainingData:
    return tiny_training_data()


def test_it_is_kept_in_a_run_and_applied(data: TrainingData, tmp_path: Path) -> None:
    peer = Climatology()
    peer.fit(data)
    peer.save(tmp_path / "run")
    before = read_run(tmp_path / "run")
    hide = {"thetao": ["random:0.5"], "sst": ["random:0.5"]}
    found = calibrate(peer, data, cases=8, masks=2, patterns=hide)
    assert found.about["masks"] == 2
    grid = {axis: data.archive.dataset[axis].values for axis in ("depth", "lat", "lon")}
    variance = np.zeros([values.size for values in grid.values()])
    row, column = (int(index) for index in np.argwhere(data.archive.domain("thetao").values.all(axis=0))[5])
    variance[:, row, column] = 0.25
    place = PlaceMap(xr.DataArray(variance, grid, ("depth", "lat", "lon")), 3.0, 0.7)
    levels = {
        name: tuple(replace(level, bias=0.0, power=1.0, inflation=1.0) for level in maps)
        for name, maps in found.levels.items()
    }
    found = replace(found, levels=levels, places={"thetao": place})
    write_calibration(tmp_path / "run", found)
    after = read_run(tmp_path / "run")
    assert set(after.arrays) - set(before.arrays) == {f"place.thetao{part}" for part in ("", ".depth", ".lat", ".lon")}
    loaded = load_reconstructor(tmp_path / "run")
    assert loaded.calibration == found
    seen = observe(data.archive.dataset.isel(time=data.test[:2]), {"thetao": "random:0.9"}, domain=data.archive.domains)
    calibrated = loaded.reconstruct(seen, members=8, seed=3)
    raw = peer.reconstruct(seen, members=8, seed=3)
    spread = raw["thetao_sd"].values
    expected = widened(spread, np.broadcast_to(variance, spread.shape))
    apart = (calibrated["thetao_member"] - calibrated["thetao"]) / (raw["thetao_member"] - raw["thetao"])
    assert np.allclose(calibrated["thetao_sd"], expected * spread, rtol=1e-4, equal_nan=True)
    assert np.nanmax(np.abs(apart.values / expected - 1)) < 1e-2
    assert np.nanmax(expected[..., row, column]) > 1.05
    write_calibration(tmp_path / "run", replace(found, places={}))
    assert set(read_run(tmp_path / "run").arrays) == set(before.arrays)


def test_maps_of_many_levels_take_the_memory_of_one() -> None:
    levels = {float(depth): sums_of(*errors(UNKNOWN, seed=depth)) for depth in range(16)}
    held = {
        depth: replace(s, error=np.array(s.error), stated=np.array(s.stated), time=s.time)
        for depth, s in levels.items()
    }
    axes = {"lat": np.arange(SHAPE[0]), "lon": np.arange(SHAPE[1])}
    some = np.arange(DATES - 3)
    total = sum(s.error.nbytes + s.stated.nbytes for s in held.values())
    expected = choose_place([s.at(np.isin(s.time, some)) for s in held.values()])
    tracemalloc.start()
    places = CellPlaces(levels, **axes).at(some)
    choice = choose_place(places.sums.values())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert choice == expected is not None
    assert choice is not None
    np.testing.assert_array_equal(
        places.map(choice).variance.values, CellPlaces(held, **axes).at(some).map(choice).variance.values
    )
    assert peak < total / 2
