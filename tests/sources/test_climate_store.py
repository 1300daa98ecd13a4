"""ERA5 and CERRA from a Climate Data Store on this machine, which the real cdsapi talks to and which fails on purpose."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from faulty_files import FaultyFiles
from fetched_sources import BOX, fetched

from driftfield.data.sources import open_fields
from driftfield.errors import DataError
from driftfield.sources.asked import AskedBox
from driftfield.sources.climate_store import CERRA, ERA5_STORE


def test_a_month_and_a_variable_are_a_request_and_failures_are_asked_again(store: FaultyFiles, tmp_path: Path) -> None:
    store.failures = [500, 429, 0, 503]
    asked = AskedBox(BOX.lat, BOX.lon, BOX.first, BOX.last, variables=BOX.variables, hours=(0, 12))
    fields, waits = fetched(ERA5_STORE, asked, "cds", tmp_path / "t.nc")
    assert [r["month"] for r in store.posts["/requests"](None)] == [["01"], ["02"]]
    assert [r["day"] for r in store.posts["/requests"](None)] == [["30", "31"], ["01", "02"]]
    assert store.posts["/requests"](None)[0]["area"] == [40.0, -70.0, 30.0, -60.0]
    assert waits == [3.0, 3.0, 3.0]  # what the service asks for
    assert fields["t2m"].dims == ("time", "lat", "lon")
    assert fields.sizes["time"] == 8
    assert bool((np.diff(fields["lat"]) > 0).all())
    hours = (fields["time"].values - np.datetime64("2015-01-01", "ns")) / np.timedelta64(1, "h")
    np.testing.assert_allclose(fields["t2m"].sel(lat=35).isel(lon=0).values, 283.5 + 0.01 * hours, atol=1e-3)
    assert {h["PRIVATE-TOKEN"] for h in store.headers if "PRIVATE-TOKEN" in h} == {"a-token"}


def test_levels_are_variables_and_preliminary_dates_are_said(
    store: FaultyFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = AskedBox(
        BOX.lat, BOX.lon, BOX.first, BOX.first, variables=("temperature",), levels=(500, 850), hours=(0, 6)
    )
    fields, _ = fetched(ERA5_STORE, asked, "cds", tmp_path / "t.nc")
    assert set(fields.data_vars) == {"t_500", "t_850"}
    np.testing.assert_allclose(fields["t_500"] - fields["t_850"], 3.5, atol=1e-3)
    assert "at 850 hPa" in fields["t_850"].attrs["long_name"]
    assert "1 of 2 dates are preliminary" in caplog.text
    assert open_fields(tmp_path / "t.nc")["t_500"].dims == ("time", "lat", "lon")


def test_requests_stay_below_the_limit() -> None:
    asked = AskedBox(
        BOX.lat,
        BOX.lon,
        date(2015, 1, 1),
        date(2015, 1, 31),
        levels=tuple(range(100, 1000, 100)),
        hours=tuple(range(24)),
    )
    pieces = ERA5_STORE.pieces(asked, "cds")
    sizes = [len(r["day"]) * len(r["time"]) * len(r["pressure_level"]) for r in (p.request["request"] for p in pieces)]
    assert sum(sizes) == 31 * 24 * 9
    assert max(sizes) <= 1000
    # CERRA lies on a cone, which the store does not cut
    (piece,) = CERRA.pieces(AskedBox(BOX.lat, BOX.lon, BOX.first, BOX.first, hours=(0,)), "cds")
    assert "area" not in piece.request["request"]
    assert piece.bytes == 4 * 1069 * 1069


def test_a_refused_request_says_what_the_store_said(
    store: FaultyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = next(iter(store.posts))
    store.posts[process] = lambda _: (403, {"title": "required licences not accepted", "detail": "visit the page"})
    with pytest.raises(DataError, match=r"refused the request: 403 .* required licences not accepted"):
        fetched(ERA5_STORE, BOX, "cds", tmp_path / "t.nc")
    store.failures = [500] * 9
    with pytest.raises(DataError, match=r"failed 2 times\. What was fetched is kept"):
        fetched(ERA5_STORE, BOX, "cds", tmp_path / "t.nc", tries=2)
    monkeypatch.delenv("CDSAPI_KEY")
    monkeypatch.setenv("CDSAPI_RC", "/nowhere")
    with pytest.raises(DataError, match="knows no such account"):
        fetched(ERA5_STORE, BOX, "cds", tmp_path / "t.nc")
    assert not (tmp_path / "t.nc").exists()


def test_a_grid_on_a_cone_is_cut_here(store: FaultyFiles, tmp_path: Path) -> None:
    asked = AskedBox((40.0, 45.0), (2.0, 8.0), BOX.first, BOX.last, hours=(0, 21))
    fields, _ = fetched(CERRA, asked, "cds", tmp_path / "t.nc")
    assert store.posts["/requests"](None)[0]["level_type"] == "surface_or_atmosphere"
    assert fields["t2m"].dims == ("time", "y", "x")
    assert fields.sizes["time"] == 8
    # a block of rows and columns that holds every cell of the region, and not the whole domain
    assert 8 < fields.sizes["y"] < 20
    inside = (fields["lat"] >= 40) & (fields["lat"] <= 45) & (fields["lon"] >= 2) & (fields["lon"] <= 8)
    assert int(inside.sum()) > 50
    assert open_fields(tmp_path / "t.nc")["t2m"].dims == ("time", "lat", "lon")
