"""`driftfield download` against a server that fails on purpose: asked again, gone on with, checked, never half of a file."""

import re
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import xarray as xr
from commands import Command
from served_answers import Service, day, rows

from driftfield.data.sources import open_fields
from driftfield.errors import ConfigurationError, DataError, ExistsError, FileFormatError
from driftfield.sources.argo import ArgoSource
from driftfield.sources.asked import AskedBox, Piece
from driftfield.sources.downloading import download
from driftfield.sources.fetching import Fetcher, TryAgainError, client_errors
from driftfield.sources.oisst import OISSTSource

BOX = AskedBox((35.0, 45.0), (-70.0, -50.0), date(2015, 1, 1), date(2015, 2, 10), (0.0, 500.0))


def test_a_long_box_is_asked_in_windows_and_sides() -> None:
    pieces = ArgoSource().pieces(BOX, "https://x.org/a.nc")
    assert [piece.name for piece in pieces] == ["argo_2015-01-01_-70.nc", "argo_2015-01-31_-70.nc"]
    text = unquote(pieces[1].url)
    for constraint in ("time>=2015-01-31T00:00:00Z", "time<=2015-02-10T23:59:59Z", "latitude>=35", "longitude<=-50"):
        assert f"&{constraint}" in text
    assert "temp_adjusted_qc" in text
    across = AskedBox(BOX.lat, (170.0, -170.0), BOX.first, BOX.first)
    sides = [re.findall(r"longitude[><]=(-?\d+)", unquote(piece.url)) for piece in ArgoSource().pieces(across, "s")]
    assert sides == [["170", "180"], ["-180", "-170"]]


def test_windows_cover_every_day_once() -> None:
    asked = AskedBox(BOX.lat, BOX.lon, date(2015, 1, 1), date(2015, 12, 31))
    spans = [re.findall(r"time[><]=(\d{4}-\d\d-\d\d)", unquote(p.url)) for p in ArgoSource().pieces(asked, "s")]
    days = [np.arange(np.datetime64(first), np.datetime64(last) + 1) for first, last in spans]
    np.testing.assert_array_equal(
        np.concatenate(days), np.arange(np.datetime64("2015-01-01"), np.datetime64("2016-01-01"))
    )
    assert len(OISSTSource().pieces(asked, "s")) == 365


def test_failures_are_asked_again_after_longer_and_longer(service: Service, tmp_path: Path) -> None:
    service.files, service.failures = {"a.nc": b"CDF" + bytes(5000)}, ["500", "429", "503"]
    waits: list[float] = []
    piece = Piece(f"{service.url}/a.nc", "a.nc")
    path = Fetcher(first_wait=4.0, sleep=waits.append).fetch(piece, tmp_path)
    assert path.read_bytes() == service.files["a.nc"]
    # 4, 8, 16 of our own, and at least the 9 that the service asks for
    assert waits == [9.0, 9.0, 16.0]


def test_a_broken_piece_goes_on_where_it_ended(service: Service, tmp_path: Path) -> None:
    service.files, service.failures = {"a.nc": b"CDF" + bytes(range(256)) * 3}, ["break", "break"]
    path = Fetcher(sleep=lambda _: None).fetch(Piece(f"{service.url}/a.nc", "a.nc"), tmp_path)
    assert path.read_bytes() == service.files["a.nc"]
    assert [span for _, span in service.asked] == [None, "bytes=100-", "bytes=200-"]
    assert not list(tmp_path.glob("*.part"))


def test_what_never_comes_or_is_no_file_is_an_error(service: Service, tmp_path: Path) -> None:
    service.files = {"a.nc": b"<html>login</html>"}
    with pytest.raises(FileFormatError, match="no NetCDF file"):
        Fetcher().fetch(Piece(f"{service.url}/a.nc", "a.nc"), tmp_path)
    service.failures = ["500"] * 3
    with pytest.raises(DataError, match="failed 3 times"):
        Fetcher(tries=3, sleep=lambda _: None).fetch(Piece(f"{service.url}/a.nc", "a.nc"), tmp_path)
    service.failures = ["400"]
    with pytest.raises(DataError, match="refused with status 400"):
        Fetcher().fetch(Piece(f"{service.url}/a.nc", "a.nc"), tmp_path)
    with pytest.raises(DataError, match="status 404"):
        Fetcher().fetch(Piece(f"{service.url}/none.nc", "none.nc"), tmp_path)
    assert not (tmp_path / "a.nc").exists()


def test_a_killed_download_goes_on_and_another_request_is_refused(service: Service, tmp_path: Path) -> None:
    service.files = {"2015-01-01T": rows(tmp_path, "2015-01-05", [10.0, 9.0])}
    service.failures = ["", "500", "500"]
    source, out = ArgoSource(), tmp_path / "argo.nc"
    pieces, quick = source.pieces(BOX, f"{service.url}/t.nc"), Fetcher(tries=2, sleep=lambda _: None)
    with pytest.raises(DataError, match="failed 2 times"):
        download(source, pieces, BOX, out, fetcher=quick)
    assert not out.exists()
    other = AskedBox(BOX.lat, BOX.lon, BOX.first, BOX.first)
    with pytest.raises(ExistsError, match="another request"):
        download(source, source.pieces(other, f"{service.url}/t.nc"), other, out, fetcher=quick)
    service.asked.clear()
    # the second window holds no profile, which the service says with 404
    assert download(source, pieces, BOX, out, fetcher=quick) == 1
    assert len(service.asked) == 1
    assert xr.open_dataset(out).sizes == {"row": 2}
    assert not out.with_name("argo.nc.parts").exists()


def test_profiles_come_as_a_table_that_gather_reads(command: Command, service: Service, tmp_path: Path) -> None:
    service.files = {
        "2015-01-31T": rows(tmp_path, "2015-02-05", [8.0]),
        "2015-01-01T": rows(tmp_path, "2015-01-05", [10.0, 9.0]),
    }
    asked = ["--region", "lat=35:45,lon=-70:-50", "--time", "2015-01-01:2015-02-10", "--server", f"{service.url}/t.nc"]
    code, said = command("download", "argo", *asked, "--out", "argo.nc")
    assert code == 0, said
    assert "2 requests" in said
    table = xr.open_dataset("argo.nc")
    assert np.all(np.diff(table["time"].values).astype(float) >= 0)
    assert "driftfield download argo" in table.attrs["history"]
    code, said = command("gather", "argo.nc", "--variable", "thetao=temp", "--table", "points.nc")
    assert code == 0, said
    assert sorted(np.round(xr.open_dataset("points.nc")["thetao"].values, 1)) == [8.0, 9.0, 10.0]


def test_daily_fields_are_cut_and_joined(command: Command, service: Service, tmp_path: Path) -> None:
    service.files = {f"2015030{n}.nc": day(tmp_path, f"2015-03-0{n}", 10.0 + n) for n in (1, 2)}
    asked = ["--region", "lat=30:40,lon=-70:-60", "--time", "2015-03-01:2015-03-02", "--server", service.url]
    code, said = command("download", "oisst", *asked, "--out", "sst.nc")
    assert code == 0, said
    fields = open_fields("sst.nc")
    assert fields["sst"].squeeze().dims == ("time", "lat", "lon")
    assert fields["lat"].values.min() >= 30
    assert fields["lat"].values.max() <= 40
    expected = np.array([11.0, 12.0])[:, None] + 0.01 * fields["lat"].values
    np.testing.assert_allclose(fields["sst"].squeeze().isel(lon=0).values, expected, atol=1e-5)


def test_a_dry_run_asks_nothing_and_says_how_much(command: Command, service: Service) -> None:
    asked = ["--region", "lat=30:40,lon=-70:-60", "--time", "2015-03-01:2015-03-10", "--server", service.url]
    code, said = command("download", "oisst", *asked, "--out", "sst.nc", "--dry-run")
    assert code == 0
    assert said.count("oisst-avhrr-v02r01.201503") == 10
    assert "10 requests, about 17 MB" in said
    assert service.asked == []
    assert not Path("sst.nc").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["argos", "--time", "2015-01-01:2015-01-02"], "Did you mean 'argo'"),
        (["oisst", "--time", "2015-01-01:2015-01-02", "--depth", "0:10"], "takes none of such"),
        (["argo", "--time", "2015:2016"], "expected FIRST:LAST days"),
        (["argo", "--time", "2015-02-01:2015-01-01"], "the first before the last"),
        (["argo", "--time", "2015-01-01:2015-01-02", "--depth", "10"], "SHALLOWEST:DEEPEST"),
        (["argo", "--time", "2015-01-01:2015-01-02", "--server", "file:///etc"], "https://"),
    ],
)
def test_what_makes_no_sense_is_refused(command: Command, arguments: list[str], message: str) -> None:
    code, said = command("download", *arguments, "--region", "lat=30:40,lon=-70:-60", "--out", "a.nc", "--dry-run")
    assert code == 2
    assert message in said


def test_a_box_without_a_profile_is_said(service: Service, tmp_path: Path) -> None:
    pieces = ArgoSource().pieces(BOX, f"{service.url}/t.nc")
    with pytest.raises(DataError, match="No Argo profile"):
        download(ArgoSource(), pieces, BOX, tmp_path / "a.nc", fetcher=Fetcher())
    with pytest.raises(ConfigurationError, match="south before north"):
        AskedBox((45.0, 35.0), (0.0, 1.0), BOX.first, BOX.last)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ConfigurationError("ours"), ConfigurationError("ours")),
        (TryAgainError("later"), TryAgainError("later")),
        (ConnectionError("the line broke"), TryAgainError("the line broke")),
        (ValueError("no such day"), DataError("refused: no such day")),
    ],
)
def test_what_a_client_raises_is_asked_again_told_as_it_is_or_refused(raised: Exception, expected: Exception) -> None:
    with pytest.raises(type(expected), match=f"^{expected}$"), client_errors(lambda error: f"refused: {error}"):
        raise raised
