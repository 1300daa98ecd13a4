"""Values at places of one's own: exact where a field is linear, with a spread that knows how neighbours vary together."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from commands import hearing_all

from driftfield.errors import DataError
from driftfield.filling.extracting import extract

TIMES = pd.date_range("2015-01-01", periods=5, freq="10D")
LAT, LON, DEPTH = np.arange(30.0, 36.0), np.arange(-70.0, -60.0), np.array([5.0, 50.0, 200.0])


def linear(time: np.ndarray, depth: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    return 3 + 0.1 * time - 0.01 * depth + 0.5 * lat + 0.25 * lon


@pytest.fixture
def fields() -> xr.Dataset:
    days = (TIMES - TIMES[0]).days.to_numpy(float)
    mean = linear(days[:, None, None, None], DEPTH[:, None, None], LAT[:, None], LON)
    rng = np.random.default_rng(0)
    # members that differ by one number each: perfectly correlated over the grid
    offsets = rng.standard_normal(6)
    members = mean + (offsets - offsets.mean())[:, None, None, None, None]
    dims = ("time", "depth", "lat", "lon")
    return xr.Dataset(
        {
            "thetao": (dims, mean),
            "thetao_member": (("member", *dims), members),
            "thetao_sd": (dims, np.full(mean.shape, offsets.std(ddof=1))),
        },
        {"time": TIMES, "depth": DEPTH, "lat": LAT, "lon": LON, "member": np.arange(6)},
    )


def table(n: int = 40, **changed: object) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = {
        "time": TIMES[0] + pd.to_timedelta(rng.uniform(0, 40, n), unit="D"),
        "latitude": rng.uniform(30, 35, n),
        "longitude": rng.uniform(-70, -61, n),
        "depth": rng.uniform(5, 200, n),
    }
    return pd.DataFrame(rows | changed)


def test_it_is_exact_where_the_field_is_linear(fields: xr.Dataset) -> None:
    rows = table()
    days = (rows["time"] - TIMES[0]).dt.total_seconds().to_numpy() / 86400
    expected = linear(days, rows["depth"].to_numpy(), rows["latitude"].to_numpy(), rows["longitude"].to_numpy())
    found = extract(fields, rows)
    np.testing.assert_allclose(found["thetao"], expected, atol=1e-6)
    np.testing.assert_allclose(found["thetao_sd"], fields["thetao_sd"].values.flat[0], rtol=1e-6)
    assert (found["problem"] == "").all()


@pytest.mark.parametrize("turned", [{"lat": slice(None, None, -1)}, {"time": [0]}])
def test_axes_and_dates_of_any_kind(fields: xr.Dataset, turned: dict[str, object]) -> None:
    rows = table(time=[TIMES[0]] * 40)
    np.testing.assert_allclose(extract(fields.isel(turned), rows)["thetao"], extract(fields, rows)["thetao"])
    east = rows.assign(longitude=rows["longitude"] + 360)
    np.testing.assert_allclose(extract(fields, east)["thetao"], extract(fields, rows)["thetao"])


def test_dates_are_those_of_the_calendar_of_the_fields(fields: xr.Dataset) -> None:
    """A model calendar counts other days since 1970: a row of a date is answered at that date all the same."""
    rows = table(time=[pd.Timestamp("2015-01-11")] * 40)
    model = fields.convert_calendar("noleap", use_cftime=True)
    np.testing.assert_allclose(extract(model, rows)["thetao"], extract(fields, rows)["thetao"])


def test_the_spread_knows_how_neighbours_vary_together(fields: xr.Dataset) -> None:
    rng = np.random.default_rng(2)
    noise = fields["thetao_member"].copy(data=rng.standard_normal(fields["thetao_member"].shape))
    drawn = fields["thetao"] + noise
    independent = fields.assign(thetao_member=drawn, thetao_sd=drawn.std("member", ddof=1))
    middle = pd.DataFrame(
        {"time": [TIMES[0]] * 9, "latitude": 32.5, "longitude": np.arange(-69.5, -60.6), "depth": 5.0}
    )
    # the mean of four independent cells varies half as much as each of them
    assert extract(independent, middle)["thetao_sd"].mean() == pytest.approx(0.5, abs=0.15)
    assert extract(independent.drop_vars("thetao_member"), middle)["thetao_sd"].mean() > 0.8


def test_land_and_what_lies_outside_is_said(fields: xr.Dataset, caplog: pytest.LogCaptureFixture) -> None:
    land = fields.where(fields["lat"] > 31.5)
    places = pd.DataFrame(
        {
            "time": [TIMES[1]] * 4,
            "latitude": [34.0, 30.2, 50.0, 32.0],
            "longitude": [-65.0] * 4,
            "depth": [5.0, 5.0, 5.0, 900.0],
        }
    )
    found = extract(land, places)
    assert np.isfinite(found["thetao"]).tolist() == [True, False, False, False]
    assert (found["problem"] != "").tolist() == [False, True, True, True]
    assert "rows have no value" in caplog.text


def test_a_surface_field_needs_no_depth_and_one_with_depths_does(fields: xr.Dataset) -> None:
    surface = fields.isel(depth=0, drop=True)
    assert np.isfinite(extract(surface, table().drop(columns="depth"))["thetao"]).all()
    with pytest.raises(DataError, match="no column 'depth'"):
        extract(fields, table().drop(columns="depth"))


def test_the_command(fields: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = hearing_all(capsys)
    fields.to_netcdf(tmp_path / "fields.nc")
    table(7).to_csv(tmp_path / "places.csv", index=False)
    arguments = ("extract", tmp_path / "fields.nc", "--at", tmp_path / "places.csv", "--out", tmp_path / "values.csv")
    code, said = command(*arguments, "--members")
    assert code == 0, said
    written = pd.read_csv(tmp_path / "values.csv")
    np.testing.assert_allclose(written["thetao"], extract(fields, table(7))["thetao"], rtol=1e-5)
    assert [name for name in written if "member" in name] == [f"thetao_member_{n}" for n in range(6)]
    assert command(*arguments)[0] == 2
    assert command(*arguments, "--overwrite", "--variable", "salt")[0] == 2
