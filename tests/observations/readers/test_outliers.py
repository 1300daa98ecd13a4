"""Values far from their neighbours: found where they were put, and nowhere else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from driftfield.observations.readers import Quality, counts, read_points
from driftfield.observations.readers.outliers import is_outlier


def scattered(seed: int, count: int = 600, front: float = 0.0) -> dict[str, np.ndarray]:
    """Profiles of a smooth field with noise, perhaps with a front through it."""
    rng = np.random.default_rng(seed)
    lat, lon, days = rng.uniform(30, 36, count), rng.uniform(-40, -34, count), rng.uniform(0, 20, count)
    depth = rng.choice([5.0, 50.0, 200.0], count)
    values = 20 - 0.03 * depth + 0.5 * (lat - 33) + front * (lon > -37) + rng.normal(0, 0.3, count)
    return {"values": values, "lat": lat, "lon": lon, "depth": depth, "days": days, "cast": np.arange(count),
            "known": np.ones(count, dtype=bool)}  # fmt: skip


@pytest.mark.parametrize("front", [0.0, 6.0])
@pytest.mark.parametrize("seed", range(8))
def test_what_was_spoilt_is_found_and_nothing_else(seed: int, front: float) -> None:
    rows = scattered(seed, front=front)
    spoilt = np.random.default_rng([1, seed]).choice(600, 6, replace=False)
    rows["values"][spoilt] += 40.0
    found = is_outlier(**rows)
    assert set(np.flatnonzero(found)) == set(spoilt)


@pytest.mark.parametrize("seed", range(8))
def test_a_clean_table_keeps_everything(seed: int) -> None:
    assert not is_outlier(**scattered(seed, front=4.0)).any()


def test_few_neighbours_say_nothing() -> None:
    rows = scattered(0, count=7)
    rows["values"][3] = 1e3
    assert not is_outlier(**rows).any()


def test_a_profile_does_not_vouch_for_itself() -> None:
    """Forty levels of a broken sensor are outliers, though they agree with each other."""
    rows = scattered(2)
    rows["cast"][:40] = 0
    for name in ("lat", "lon", "days"):
        rows[name][:40] = rows[name][0] if name != "lat" else 33.0
    rows["lon"][:40] = -37.0
    rows["depth"][:40] = 50.0
    rows["values"][:40] = 70.0
    found = is_outlier(**rows)
    assert found[:40].all()
    assert not found[40:].any()


def lonely(seed: int, count: int = 300) -> dict[str, np.ndarray]:
    """Profiles over an ocean and ten years, too far apart to be neighbours, with a season and a slope in latitude."""
    rng = np.random.default_rng(seed)
    rows = scattered(seed, count)
    rows["lat"], rows["lon"] = rng.uniform(0, 50, count), rng.uniform(-70, -10, count)
    rows["days"] = 15_000 + rng.uniform(0, 3650, count)
    season = 3 * np.cos(2 * np.pi * rows["days"] / 365.25)
    rows["values"] = 28 - 0.4 * rows["lat"] + season - 0.03 * rows["depth"] + rng.normal(0, 0.8, count)
    return rows


@pytest.mark.parametrize("seed", range(8))
def test_a_value_without_neighbours_is_held_against_the_climatology(seed: int) -> None:
    rows = lonely(seed)
    assert not is_outlier(**rows).any()
    spoilt = np.random.default_rng([1, seed]).choice(300, 4, replace=False)
    rows["values"][spoilt] += np.array([15.0, -15.0, 30.0, 60.0])
    assert set(np.flatnonzero(is_outlier(**rows))) == set(spoilt)


def test_a_short_table_has_no_climatology() -> None:
    rows = lonely(0, count=60)
    rows["values"][3] = 1e3
    assert not is_outlier(**rows).any()


def test_a_gathered_table_counts_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = scattered(5)
    rows["values"][10] = 39.0  # inside every range
    frame = pd.DataFrame({name: rows[name] for name in ("lat", "lon", "depth")} | {"temp": rows["values"]})
    frame["time"] = (np.datetime64("2010-01-01") + (rows["days"] * 86400).astype("timedelta64[s]")).astype(str)
    frame.to_csv(tmp_path / "a.csv", index=False)
    caplog.set_level("INFO")
    count = counts(read_points(tmp_path / "a.csv", {"thetao": "temp"}, Quality(outliers=True)))["thetao"]
    assert count.dropped == {"far from its neighbours or the climatology": 1}
    assert not counts(read_points(tmp_path / "a.csv", {"thetao": "temp"}))["thetao"].dropped
    assert "1 of 600 values of 'thetao' lie far from their neighbours or the climatology: kept" in caplog.text
