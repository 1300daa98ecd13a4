"""A map at places of one's own: what the chosen method says there, not what lies in the cells around."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import driftfield as df
from driftfield.cli import app
from driftfield.errors import ConfigurationError, DataError
from driftfield.filling.point_targets import map_at, read_targets


def eddies(count: int, seed: int, *, centre: float = -58.0) -> pd.DataFrame:
    """Values of a wavy field of place and time."""
    rng = np.random.default_rng(seed)
    day, lat, lon = rng.uniform(0, 300, count), rng.uniform(42, 45, count), centre + rng.uniform(-2, 2, count)
    value = 10 + 2 * np.sin(2 * lat + day / 40) * np.cos(1.5 * (lon - centre))
    return pd.DataFrame(
        {
            "time": pd.Timestamp("2010-01-01") + pd.to_timedelta(day, unit="D"),
            "latitude": lat,
            "longitude": lon,
            "variable": "thetao",
            "value": value,
            "platform": [f"p{k}" for k in range(count)],
        }
    )


def places_of(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["time", "latitude", "longitude"]]


def test_rows_are_answered_in_their_order_where_they_lie() -> None:
    seen, new = eddies(250, 0), eddies(40, 1)
    rows = df.map_at(seen, places_of(new), method="kriging-smooth")
    assert len(rows) == 40
    np.testing.assert_allclose(rows["latitude"], new["latitude"])
    error = rows["thetao"] - new["value"]
    assert np.sqrt((error**2).mean()) < 0.5 * new["value"].std()
    assert (np.abs(error) < 1.645 * rows["thetao_sd"]).mean() > 0.7
    turned, _ = map_at(seen, places_of(new).iloc[::-1], method="kriging-smooth")
    np.testing.assert_allclose(turned["thetao"].to_numpy()[::-1], rows["thetao"], rtol=1e-5)


def test_a_row_is_what_the_choice_says_at_its_place_also_across_the_date_line() -> None:
    seen, new = eddies(120, 0), places_of(eddies(5, 1))
    here = df.map_at(seen, new, method="kriging-smooth")["thetao"]
    over = [frame.assign(longitude=(frame["longitude"] + 58.0 + 360.0) % 360.0 - 180.0) for frame in (seen, new)]
    assert {bool(s) for s in over[1]["longitude"] > 0} == {True, False}
    there = df.map_at(over[0], over[1], method="kriging-smooth")["thetao"]
    np.testing.assert_allclose(there, here, atol=0.05)


def test_the_command_writes_a_table(tmp_path: Path) -> None:
    eddies(60, 0).to_csv(tmp_path / "seen.csv", index=False)
    places_of(eddies(7, 1)).rename(columns={"latitude": "LAT", "longitude": "lon"}).to_csv(
        tmp_path / "at.csv", index=False
    )
    arguments = [
        "map",
        str(tmp_path / "seen.csv"),
        "--at",
        str(tmp_path / "at.csv"),
        "--out",
        str(tmp_path / "out.csv"),
    ]
    result = CliRunner().invoke(app, [*arguments, "--method", "climatology"])
    assert result.exit_code == 0, result.output
    assert list(pd.read_csv(tmp_path / "out.csv")) == ["latitude", "longitude", "time", "thetao", "thetao_sd"]
    assert (tmp_path / "out.tried.csv").is_file()
    refused = CliRunner().invoke(app, [*arguments, "--overwrite", "--every", "1M", "--members", "3"])
    assert isinstance(refused.exception, ConfigurationError)
    assert "--at and --every, --members" in str(refused.exception)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"time": ["2010-01-01"], "lat": [1.0]}), r"lacks the column\(s\) \['longitude'\]"),
        (pd.DataFrame({"time": [], "lat": [], "lon": []}), "has no row"),
        (pd.DataFrame({"time": ["2010-01-01", "never"], "lat": [1, 2], "lon": [1, 2]}), "1 of 2 rows .* row 2"),
        (pd.DataFrame({"time": ["2010-01-01"], "lat": [91], "lon": [1]}), "1 of 1 rows"),
        (pd.DataFrame({"time": ["2010-01-01"], "lat": [1], "lon": [1], "depth": [-5]}), "1 of 1 rows"),
    ],
)
def test_a_table_without_places_is_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_targets(frame)
