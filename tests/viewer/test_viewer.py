"""The viewer over HTTP: what a click shows is what the file holds; no token, no other host, no other folder."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import xarray as xr
from commands import exit_code

from driftfield.data.sources import open_fields, write_dataset
from driftfield.errors import DataError
from driftfield.testing import tiny_ocean
from driftfield.viewer import viewed_file
from driftfield.viewer.folder import OutsideError, ViewedFolder
from driftfield.viewer.server import ViewerServer
from driftfield.viewer.viewed_file import PlaneChoice, ViewedFile


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with members, a Zarr store beside it, something that is no field, and a file outside."""
    place = tmp_path_factory.mktemp("viewer") / "files"
    place.mkdir()
    truth = tiny_ocean(times=5)[["thetao"]]
    noise = np.random.default_rng(0).normal(size=(4, *truth["thetao"].shape))
    members = (truth["thetao"].expand_dims(member=np.arange(4)) + 0.3 * noise).transpose("time", "member", ...)
    fields = xr.Dataset(
        {
            "thetao": members.mean("member", skipna=False),
            "thetao_sd": members.std("member", ddof=1, skipna=False),
            "thetao_member": members,
            "thetao_quantile": members.quantile([0.1, 0.9], "member", skipna=False).transpose("time", "quantile", ...),
        }
    ).astype("float32")
    fields["thetao"].attrs = dict(truth["thetao"].attrs)
    write_dataset(fields, place / "fields.nc")
    write_dataset(truth, place / "truth.zarr")
    write_dataset(truth, place.parent / "secret.nc")
    (place / "notes.txt").write_text("no field", encoding="utf-8")
    (place / "link.nc").symlink_to(place.parent / "secret.nc")
    return place


@pytest.fixture(scope="module")
def fields(folder: Path) -> xr.Dataset:
    return open_fields(folder / "fields.nc").load()


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ViewerServer]:
    server = ViewerServer(ViewedFolder(folder, {"fields.nc": folder / "fields.nc"}))
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def answer(
    server: ViewerServer, path: str, headers: dict[str, str] | None = None, **parameters: Any
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers; with the token if no headers are named."""
    line = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    line.request(
        "GET",
        f"{path}?{urlencode(parameters)}",
        headers={"X-Driftfield-Token": server.token} if headers is None else headers,
    )
    said = line.getresponse()
    body = said.read()
    line.close()
    return said.status, body, dict(said.getheaders())


def said(server: ViewerServer, path: str, **parameters: Any) -> dict[str, Any]:
    status, body, _ = answer(server, path, **parameters)
    assert status == 200, body
    result: dict[str, Any] = json.loads(body)
    return result


def date(fields: xr.Dataset, index: int) -> str:
    return f"{np.datetime_as_string(fields['time'].values[index], unit='s')}"


def test_about_says_what_there_is(server: ViewerServer, fields: xr.Dataset) -> None:
    about = said(server, "/api/about", file="fields.nc")
    variable = about["variables"]["thetao"]
    assert variable["kinds"] == ["mean", "spread", "member", "quantile"]
    assert (variable["members"], variable["quantiles"]) == ([0, 1, 2, 3], [0.1, 0.9])
    assert variable["units"] == "degC"
    assert about["times"] == [date(fields, n) for n in range(5)]
    np.testing.assert_array_equal(about["lat"], fields["lat"])
    assert said(server, "/api/files")["files"] == ["fields.nc", "link.nc", "truth.zarr"]


@pytest.mark.parametrize(("kind", "number"), [("mean", 0), ("spread", 0), ("member", 3), ("quantile", 1)])
def test_a_plane_is_that_of_the_file(server: ViewerServer, fields: xr.Dataset, kind: str, number: int) -> None:
    where = {"time": date(fields, 2), "depth": float(fields["depth"][1])}
    status, body, headers = answer(
        server, "/api/plane", file="fields.nc", variable="thetao", kind=kind, number=number, **where
    )
    assert status == 200
    rows, columns = int(headers["X-Rows"]), int(headers["X-Columns"])
    values = np.frombuffer(body, "<f4", rows * columns).reshape(rows, columns)
    suffix = {"mean": "", "spread": "_sd", "member": "_member", "quantile": "_quantile"}[kind]
    expected = fields[f"thetao{suffix}"].isel(time=2, depth=1).isel({kind: number}, missing_dims="ignore")
    np.testing.assert_array_equal(values, expected.transpose("lat", "lon").values)
    inside = np.frombuffer(body, np.uint8, offset=4 * rows * columns).reshape(rows, columns)
    np.testing.assert_array_equal(inside.astype(bool), np.isfinite(expected.values))


def test_a_click_gives_the_numbers_of_the_file(server: ViewerServer, fields: xr.Dataset) -> None:
    place = {"file": "fields.nc", "variable": "thetao", "row": 3, "column": 5}
    profile = said(server, "/api/line", **place, along="depth", time=date(fields, 4))
    here = fields.isel(lat=3, lon=5, time=4)
    np.testing.assert_array_equal(profile["mean"], here["thetao"].values)
    np.testing.assert_array_equal(profile["sd"], here["thetao_sd"].values)
    np.testing.assert_array_equal(profile["members"], here["thetao_member"].values)
    np.testing.assert_array_equal(profile["quantiles"], here["thetao_quantile"].values)
    assert profile["place"] == {"row": 3, "column": 5, "lat": float(fields["lat"][3]), "lon": float(fields["lon"][5])}
    series = said(server, "/api/line", **place, along="time", depth=float(fields["depth"][1]))
    np.testing.assert_array_equal(series["mean"], fields["thetao"].isel(lat=3, lon=5, depth=1).values)
    assert series["places"] == [date(fields, n) for n in range(5)]


def test_of_a_long_record_the_dates_around_the_one_shown(fields: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewed_file, "MOST_DATES", 3)
    line = ViewedFile(fields, "fields.nc").line(PlaneChoice("thetao", time=date(fields, 3)), 3, 5, "time")
    assert line["places"] == [date(fields, n) for n in (2, 3, 4)]
    assert line["of"] == 5
    np.testing.assert_array_equal(line["mean"], fields["thetao"].isel(lat=3, lon=5, depth=0, time=slice(2, 5)).values)


def test_of_a_large_plane_every_nth_cell(fields: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewed_file, "MOST_CELLS", 5)
    values, inside, step = ViewedFile(fields, "fields.nc").plane(PlaneChoice("thetao"))
    assert step == 3
    np.testing.assert_array_equal(values, fields["thetao"].isel(time=0, depth=0).values[::3, ::3])
    assert inside.shape == values.shape


def test_a_section_goes_through_the_cells_of_its_line(server: ViewerServer, fields: xr.Dataset) -> None:
    ends = {"row": 6, "column": 2, "to_row": 3, "to_column": 8}
    cut = said(server, "/api/section", file="fields.nc", variable="thetao", kind="spread", time=date(fields, 1), **ends)
    assert (cut["rows"][0], cut["columns"][0], cut["rows"][-1], cut["columns"][-1]) == (6, 2, 3, 8)
    sd = fields["thetao_sd"].isel(time=1).transpose("depth", "lat", "lon").values
    values = np.array([[np.nan if v is None else v for v in level] for level in cut["values"]])
    np.testing.assert_array_equal(values, sd[:, cut["rows"], cut["columns"]])
    assert cut["distance"][0] == 0
    assert np.all(np.diff(cut["distance"]) > 0)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/api/files", {"X-Driftfield-Token": "wrong"}, 403),
        ("/api/about", {"X-Driftfield-Token": "ümlaut".encode().decode("latin-1")}, 403),
        ("/static/page.js", {}, 200),
        ("/static/../server.py", None, 404),
        ("/static/page.html", None, 404),
        ("/nothing", None, 404),
    ],
)
def test_only_who_holds_the_token(server: ViewerServer, path: str, headers: dict[str, str] | None, status: int) -> None:
    found, body, more = answer(server, path, headers)
    assert found == status
    assert b"secret" not in body
    assert "default-src 'self'" in more["Content-Security-Policy"]


def test_no_other_host_and_no_other_interface(server: ViewerServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    asked = {"X-Driftfield-Token": server.token, "Host": "evil.example:80"}
    assert answer(server, "/api/files", asked)[0] == 403


@pytest.mark.parametrize(
    "name", ["../secret.nc", "link.nc", "/etc/passwd", "..", "", ".", "files/../../secret.nc", "a\0b.nc", "n" * 5000]
)
def test_no_path_leads_out_of_the_folder(server: ViewerServer, folder: Path, name: str) -> None:
    status, body, _ = answer(server, "/api/about", file=name)
    assert status in (400, 403), body
    assert "error" in json.loads(body)
    with pytest.raises((OutsideError, DataError)):
        ViewedFolder(folder, {}).path_of(name)


@pytest.mark.parametrize(
    ("path", "parameters", "message"),
    [
        ("/api/about", {"file": "notes.txt"}, "No file of fields 'notes.txt'"),
        ("/api/plane", {"variable": "theta"}, "Did you mean 'thetao'"),
        ("/api/plane", {"variable": "thetao", "kind": "median"}, "expected one of ['mean'"),
        ("/api/plane", {"variable": "thetao", "kind": "member", "number": 4}, "expected 0 to 3"),
        ("/api/plane", {"variable": "thetao", "time": "1999-01-01T00:00:00"}, "no date 1999"),
        ("/api/plane", {"variable": "thetao", "depth": "deep"}, "expected a number"),
        ("/api/plane", {}, "no 'variable'"),
        ("/api/line", {"variable": "thetao", "row": -1, "column": 2, "along": "time"}, "row='-1'"),
        ("/api/line", {"variable": "thetao", "row": 800, "column": 2, "along": "time"}, "expected 0 to 7"),
        ("/api/line", {"variable": "thetao", "row": 1, "column": 2, "along": "lon"}, "along 'lon'"),
    ],
)
def test_a_bad_request_is_told_why(server: ViewerServer, path: str, parameters: dict[str, Any], message: str) -> None:
    status, body, _ = answer(server, path, **{"file": "fields.nc", **parameters})
    assert status == 400
    assert message in json.loads(body)["error"]


def test_twenty_sessions_at_once(server: ViewerServer, fields: xr.Dataset) -> None:
    """200 requests for the parts of the page and 100 for numbers, all answered, all right."""
    expected = fields["thetao"].isel(time=0, depth=0).transpose("lat", "lon").values

    def session(number: int) -> None:
        for name in ("page.js", "page.css", "charts.js") * 3 + ("page.js",):
            assert answer(server, f"/static/{name}")[0] == 200
        for _ in range(5):
            _, body, _ = answer(server, "/api/plane", file="fields.nc", variable="thetao")
            np.testing.assert_array_equal(np.frombuffer(body, "<f4", expected.size).reshape(expected.shape), expected)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(session, range(20)))


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    room = Path(viewed_file.__file__).parent
    for name in ("page.html", "page.css", "page.js", "charts.js"):
        text = (room / name).read_text(encoding="utf-8")
        assert "http://" not in text
        assert "https://" not in text
        assert "style=" not in text, "the policy of the page refuses it"


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code("view", "none.nc", "--no-browser") == 2
    assert exit_code("view", "none.nc", "--port", "70000") == 2
