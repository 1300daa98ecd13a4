"""A method that errs by more than it says in some places is found out there, and nowhere else."""

from dataclasses import replace
from pathlib import Path

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
from driftfield.reconstruction.calibration_fit import Places, fit_calibration
from driftfield.reconstruction.calibration_place import PlaceMap, PlaceSums, choose_place
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_training_data

SHAPE, DATES = (24, 36), 16
ROUGH = np.zeros(SHAPE)
ROUGH[3:7, 4:12] = 1
"""Where a method errs by three times what it says."""


def errors(
    times: float, *, seed: int = 0, size: int = 0, dates: int = DATES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(error, sd, judged) of all dates: errors of the stated size, but for the rough places; half the cells are hidden."""
    rng = np.random.default_rng(seed)
    sd = np.exp(0.4 * rng.standard_normal((dates, *SHAPE)))
    widened = sd * np.where(ROUGH > 0, times, 1.0) * np.sqrt(1 + (1 / size if size else 0))
    return widened * rng.standard_normal(sd.shape), sd, rng.random(sd.shape) < 0.5


def sums_of(
    error: np.ndarray, sd: np.ndarray, judged: np.ndarray, *, size: int = 0, periodic: bool = False
) -> PlaceSums:
    return PlaceSums.join(
        [PlaceSums.of(error[t], sd[t], judged[t], size=size, time=t, periodic=periodic) for t in range(len(error))]
    )


@pytest.mark.parametrize("size", [0, 8])
def test_a_rough_place_is_found_the_better_the_more_dates_there_are(size: int) -> None:
    found = []
    for dates in (DATES, 8 * DATES):
        sums = sums_of(*errors(3.0, size=size, dates=dates), size=size)
        choice = choose_place([sums])
        assert choice is not None
        factor = sums.factor(choice)
        assert np.median(factor[ROUGH == 0]) == pytest.approx(1.0, abs=0.03)
        found.append(float(np.median(factor[4:6, 5:11])))
    assert 2.0 < found[0] < found[1]
    assert found[1] == pytest.approx(3.0, rel=0.1)


def test_an_honest_method_has_no_map() -> None:
    for seed in range(6):
        assert choose_place([sums_of(*errors(1.0, seed=seed))]) is None


def test_few_dates_say_nothing_of_places() -> None:
    sums = sums_of(*errors(3.0))
    assert choose_place([sums.at(np.arange(5))]) is None


def test_the_map_is_better_on_dates_that_it_never_saw() -> None:
    sums = sums_of(*errors(3.0))
    factor = sums.factor(choose_place([sums]))
    error, sd, judged = errors(3.0, seed=9)
    for place, ratio in ((ROUGH > 0, 0.9), (ROUGH == 0, 1.002)):
        scores = []
        for scale in (1.0, factor):
            where = judged & place
            mean, spread, truth = (xr.DataArray(a[where], dims="cell") for a in (0 * error, scale * sd, error))
            scores.append(float(crps_gaussian(mean, spread, truth)))
        assert scores[1] < ratio * scores[0]


def test_longitude_wraps_where_the_grid_does() -> None:
    error, sd, judged = errors(1.0)
    error[:, :, 0] *= 4
    at_the_edge = [
        sums_of(error, sd, judged, periodic=wraps).factor((3.0, 2.0))[:, -1].mean() for wraps in (True, False)
    ]
    assert at_the_edge[0] > 1.4 * at_the_edge[1]


def test_cells_that_were_not_hidden_or_are_land_change_nothing() -> None:
    error, sd, judged = errors(3.0)
    there = np.where(judged, error, 1e6), np.where(judged, sd, np.nan), judged
    assert np.array_equal(sums_of(*there).factor((3.0, 0.7)), sums_of(error, sd, judged).factor((3.0, 0.7)))


def cells_and_places(times: float) -> tuple[CalibrationCells, Places]:
    error, sd, judged = errors(times)
    time, row, column = np.nonzero(judged)
    cells = CalibrationCells(error[judged], 0 * error[judged], sd[judged], time, None, row * SHAPE[1] + column)
    return cells, Places({None: sums_of(error, sd, judged)}, np.arange(SHAPE[0]) * 1.0, np.arange(SHAPE[1]) * 1.0)


def test_what_the_map_knows_by_heart_does_not_narrow_the_rest() -> None:
    """Inflation beside the map is fitted on dates that the map did not see: right on other dates, to a few per cent."""
    cells, places = cells_and_places(3.0)
    fitted = fit_calibration({"t": {None: cells}}, places={"t": places})
    error, sd, judged = errors(3.0, seed=5)
    made = sd * fitted.places["t"].factor.values
    made = made * fitted.levels["t"][0].factor(made)
    assert np.sqrt((made[judged] ** 2).mean() / (error[judged] ** 2).mean()) == pytest.approx(1.0, abs=0.06)
    rough = judged & (ROUGH > 0)
    assert np.sqrt((made[rough] ** 2).mean() / (error[rough] ** 2).mean()) == pytest.approx(1.0, abs=0.25)


def test_a_map_is_taken_by_coordinates() -> None:
    lat, lon = np.arange(4.0), np.arange(5.0)
    factor = xr.DataArray(1 + np.arange(20.0).reshape(4, 5), {"lat": lat, "lon": lon}, ("lat", "lon"))
    place = PlaceMap(factor, 3.0, 0.7)
    field = xr.DataArray(np.zeros((1, 2, 4)), {"lat": [3.0, 1.0], "lon": [1.0, 2.0, 4.0, 77.0]}, ("time", "lat", "lon"))
    expected = [[*factor.values[3, [1, 2, 4]], 1.0], [*factor.values[1, [1, 2, 4]], 1.0]]
    assert np.array_equal(place.on(field).values, expected)


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
    factor = np.full([values.size for values in grid.values()], 1.0)
    row, column = (int(index) for index in np.argwhere(data.archive.domain("thetao").values.all(axis=0))[5])
    factor[:, row, column] = 2.0
    place = PlaceMap(xr.DataArray(factor, grid, ("depth", "lat", "lon")), 3.0, 0.7)
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
    ratio = (calibrated["thetao_sd"] / raw["thetao_sd"]).values
    apart = (calibrated["thetao_member"] - calibrated["thetao"]) / (raw["thetao_member"] - raw["thetao"])
    for scale in (ratio, apart.values):
        known = np.isfinite(scale)
        assert known[..., row, column].any()
        assert np.allclose(scale[known], np.broadcast_to(factor, scale.shape)[known], rtol=1e-3)
    write_calibration(tmp_path / "run", replace(found, places={}))
    assert set(read_run(tmp_path / "run").arrays) == set(before.arrays)
