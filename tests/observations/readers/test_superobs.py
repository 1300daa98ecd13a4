"""Nothing is extrapolated, nothing is bridged too far, and cells hold the mean of what lies in them."""

from pathlib import Path

import cftime
import numpy as np
import pytest
import xarray as xr

from driftfield.errors import DataError
from driftfield.gridded.units import depth_of_pressure
from driftfield.observations.readers import read_points
from driftfield.observations.readers.places import nearest_cell, nearest_date
from driftfield.observations.readers.potential import potential_temperature, to_potential
from driftfield.observations.readers.superobs import Target, align, bin_to_grid

LEVELS = np.array([0.0, 5.0, 20.0, 50.0, 200.0, 1000.0])


@pytest.mark.parametrize("seed", range(40))
def test_a_profile_is_never_extrapolated_and_wide_gaps_stay_open(seed: int) -> None:
    rng = np.random.default_rng(seed)
    z = np.where(rng.random(12) < 0.2, rng.choice(LEVELS, 12), rng.uniform(0, 900, 12))[: rng.integers(1, 13)]
    max_gap = float(rng.uniform(0, 300))
    y, _, part = align(z, 3.0 - 0.01 * z, np.full(z.size, 0.1), LEVELS, max_gap=max_gap)
    seen = np.isfinite(y)
    assert (LEVELS[seen] >= z.min()).all()
    assert (LEVELS[seen] <= z.max()).all()
    for level in LEVELS[seen]:
        above, below = z[z <= level].max(), z[z >= level].min()
        assert below - above <= max(max_gap, 0.25 * level) or above == level
    np.testing.assert_allclose(y[seen], 3.0 - 0.01 * LEVELS[seen], atol=1e-9)  # a line is met exactly
    assert part.any() == seen.any()


def test_the_error_is_interpolated_with_the_value() -> None:
    y, e, part = align(
        np.array([30.0, 10.0, 10.0]), np.array([1.0, 3.0, 5.0]), np.array([0.3, 0.1, 0.1]), np.array([20.0]), max_gap=50
    )
    assert y == pytest.approx([2.5])
    assert e == pytest.approx([0.2])
    assert part.all()


@pytest.mark.parametrize("seed", range(20))
def test_a_point_lies_in_the_cell_with_the_nearest_centre(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres, x = rng.uniform(-180, 180) + 3.0 * np.arange(rng.integers(2, 13)), rng.uniform(-720, 720, 200)
    cell = nearest_cell(x, centres, 360.0)
    away = np.abs((x[:, None] - centres + 180) % 360 - 180)
    np.testing.assert_array_equal(cell >= 0, away.min(axis=1) < 1.5)
    inside = cell >= 0
    np.testing.assert_allclose(away[inside, cell[inside]], away[inside].min(axis=1), atol=1e-9)


def dates(*texts: str, calendar: str | None = None) -> xr.DataArray:
    if calendar is None:
        return xr.DataArray(np.array(texts, dtype="datetime64[ns]"), dims="time", name="time")
    made = [cftime.datetime(*map(int, text.split("-")), calendar=calendar) for text in texts]
    return xr.DataArray(np.array(made, dtype=object), dims="time", name="time")


def test_dates_take_what_is_nearest_and_months_what_is_in_them() -> None:
    found = np.array(["2001-01-30", "2001-02-01", "2001-02-28", "2001-05-01"], dtype="datetime64[us]")
    months = dates("2001-01-01", "2001-02-01", "2001-03-01")
    assert nearest_date(found, months).tolist() == [0, 1, 1, -1]
    five_days = dates("2001-01-28", "2001-02-02", "2001-02-07")
    assert nearest_date(found, five_days).tolist() == [0, 1, -1, -1]
    assert nearest_date(found, dates("2001-01-30")).tolist() == [0, -1, -1, -1]
    with_a_pause = dates("2001-01-28", "2001-01-29", "2001-01-30", "2001-04-30", "2001-05-01")
    assert nearest_date(found, with_a_pause).tolist() == [2, -1, -1, 4]
    lunar = dates("2001-1-28", "2001-1-29", "2001-1-30", "2001-2-1", calendar="360_day")
    assert nearest_date(np.array(["2001-01-31T00"], dtype="datetime64[us]"), lunar).tolist() == [2]


def target(**changes: object) -> Target:
    given = {
        "lat": np.array([40.0, 41.0, 42.0]),
        "lon": np.array([329.0, 330.0, 331.0]),
        "times": dates("2004-10-04", "2004-10-05", "2004-10-06"),
        "levels": {"thetao": (0.0, 8.0, 50.0, 2000.0)},
    }
    return Target(**(given | changes))  # type: ignore[arg-type]


def test_values_find_their_cell_level_and_date(argo: Path) -> None:
    table = read_points(argo, {"thetao": "TEMP"})
    binned = bin_to_grid(table, target(), representativeness=0.3, max_gap=100.0)
    field = binned.dataset["thetao"]
    assert field.dims == ("time", "depth", "lat", "lon")
    where = {tuple(map(int, i)) for i in np.argwhere(np.isfinite(field.values))}
    # profile 0: 5, 10, 500 m; 1: 5, 10, 100 m; 2 (mode R): 5, 500 m, a gap too wide
    assert where == {(0, 1, 0, 1), (1, 1, 1, 2), (1, 2, 1, 2)}
    z = depth_of_pressure(np.array([5.0, 10.0]), 40.0)
    assert float(field[0, 1, 0, 1]) == pytest.approx(np.interp(8.0, z, [19.9, 19.8]), abs=1e-4)
    assert float(binned.dataset["thetao_error"][0, 1, 0, 1]) == pytest.approx(np.hypot(0.002, 0.3), abs=1e-6)
    assert binned.read["thetao"] == 8 == binned.used["thetao"] + sum(binned.unused["thetao"].values())
    assert binned.used["thetao"] == 5
    assert "beside the levels" in binned.account("thetao")


def test_cells_hold_means_and_the_instruments_error_falls_with_their_number() -> None:
    n = 4
    table = xr.Dataset(
        {
            "sst": ("observation", np.array([10.0, 12.0, 14.0, 99.0]), {"units": "degC"}),
            "sst_error": ("observation", np.array([0.2, 0.2, 0.2, 0.2])),
            "profile": ("observation", np.arange(n)),
        },
        {
            "time": ("observation", np.full(n, np.datetime64("2004-10-04", "us"))),
            "lat": ("observation", [40.1, 39.9, 40.0, 42.0]),
            "lon": ("observation", [-31.0, -31.2, -30.9, -30.0]),
            "depth": ("observation", [0.0, 3.0, 5.0, 50.0]),
        },
    )
    exists = np.ones((1, 3, 3), dtype=bool)
    binned = bin_to_grid(
        table, target(levels={"sst": (None,)}, domains={"sst": exists}), representativeness={"sst": 0.3}
    )
    assert float(binned.dataset["sst"].sum()) == pytest.approx(12.0)
    assert binned.dataset["sst"].dims == ("time", "lat", "lon")
    assert float(binned.dataset["sst_error"].max()) == pytest.approx(np.sqrt(0.04 / 3 + 0.09))
    assert binned.unused["sst"]["beside the levels"] == 1
    exists[0, 0, 0] = False
    with pytest.raises(DataError, match="'degC'"):
        bin_to_grid(table, target(levels={"sst": (None,)}, attrs={"sst": {"units": "K"}}))
    dry = bin_to_grid(table, target(levels={"sst": (None,)}, domains={"sst": exists}))
    assert dry.unused["sst"]["where the variable does not exist"] == 3
    assert dry.used["sst"] == 0
    assert not dry.dataset["sst"].notnull().any()


def test_potential_temperature_is_the_published_check_value(argo: Path) -> None:
    # the value of EOS-80 (Unesco 44, p. 42), which TEOS-10 keeps to .015 degC at the end of its range
    one, nowhere = np.array(40.0), np.array(0.0)
    assert potential_temperature(one, one, np.array(10000.0), nowhere, nowhere) == pytest.approx(36.89073, abs=0.015)
    assert potential_temperature(one, one, nowhere, nowhere, nowhere) == pytest.approx(40.0, abs=1e-9)
    table = read_points(argo, {"thetao": "TEMP"})
    cooler = table["thetao"] - to_potential(table, "thetao")["thetao"]
    assert float(cooler.min()) >= 0
    assert float(cooler.max()) == pytest.approx(0.07, abs=0.03)
    known = table.assign(thetao=table["thetao"].assign_attrs(standard_name="sea_water_potential_temperature"))
    assert to_potential(known, "thetao") is known
