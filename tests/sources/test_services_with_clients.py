"""Sources behind client libraries: what all of them share, and the Copernicus Marine Service.

copernicusmarine cannot be pointed to another server: its `subset` is replaced by one with its signature.
"""

import inspect
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from commands import Command
from fetched_sources import BOX, fetched
from served_answers import Marine

from driftfield.errors import DataError
from driftfield.sources.asked import AskedBox, Piece, cells_in, eastward, spans
from driftfield.sources.downloading import SOURCES
from driftfield.sources.fetching import Fetcher, transient
from driftfield.sources.marine import GLORYSSource


def test_spans_cover_every_day_once_and_end_with_months() -> None:
    parts = spans(date(2015, 1, 20), date(2016, 3, 3), 25, within_months=True)
    days = np.concatenate([np.arange(np.datetime64(a), np.datetime64(b) + 1) for a, b in parts])
    np.testing.assert_array_equal(days, np.arange(np.datetime64("2015-01-20"), np.datetime64("2016-03-04")))
    assert all(a.month == b.month and (b - a).days < 25 for a, b in parts)
    assert eastward(170, -170) == (170, 190)
    assert eastward(-70, -60) == (-70, -60)
    assert eastward(0, 360) == (-180, 180)
    assert cells_in(BOX, 0.25) == 41 * 41


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_source_says_terms_account_and_pieces_that_differ(name: str) -> None:
    source = SOURCES[name]
    asked = AskedBox(BOX.lat, BOX.lon, BOX.first, BOX.last, variables=("a", "b"), dataset="x" if name == "nnja" else "")
    pieces = source.pieces(asked, source.server)
    assert "cite doi:" in source.terms
    assert "account" in source.account
    assert len({piece.name for piece in pieces}) == len({piece.url for piece in pieces}) == len(pieces)


def test_what_may_be_better_later_is_told_from_what_never_will() -> None:
    class Answer:
        status_code, headers = 429, {"Retry-After": "7"}

    class Told(Exception):
        response = Answer()

    class Amazon(Exception):
        response: ClassVar[Any] = {"ResponseMetadata": {"HTTPStatusCode": 503}}

    again = transient(Told())
    assert again is not None
    assert (again.reason, again.seconds) == ("status 429", 7.0)
    assert transient(Amazon()) is not None
    Answer.status_code = 403
    assert transient(Told()) is None
    assert transient(ConnectionResetError("gone")) is not None
    assert transient(ValueError("no such variable")) is None
    outer = RuntimeError("wrapped")
    outer.__cause__ = TimeoutError("slow")
    assert transient(outer) is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["era5", "--depth", "0:10"], "Found --depth for era5, which takes --level and --hours"),
        (["argo", "--level", "500"], "Found --level for argo, which takes --depth"),
        (["era5", "--hours", "0,24"], "expected different hours"),
        (["cerra", "--hours", "1"], "every 3 from 0 on"),
        (["nnja"], "expected --dataset"),
        (["glorys", "--server", "https://x.org"], "a setting of its client copernicusmarine"),
    ],
)
def test_what_a_service_does_not_take_is_refused(command: Command, arguments: list[str], message: str) -> None:
    where = ["--region", "lat=30:40,lon=-70:-60", "--time", "2015-01-01:2015-01-02", "--out", "a.nc", "--dry-run"]
    code, said = command("download", *arguments, *where)
    assert (code, message in said) == (2, True), said


def test_glorys_is_asked_in_pieces_and_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = Marine()
    monkeypatch.setattr("driftfield.sources.marine.need", lambda *_: client)
    client.failures = [ConnectionError("reset"), TimeoutError("slow")]
    asked = AskedBox((-60.0, 60.0), (170.0, -170.0), BOX.first, BOX.last, (0.0, 100.0), ("thetao",))
    pieces = GLORYSSource().pieces(asked, "copernicusmarine")
    assert all(piece.bytes is not None and piece.bytes <= 200_000_000 for piece in pieces)
    fields, waits = fetched(GLORYSSource(), asked, "copernicusmarine", tmp_path / "g.nc")
    assert waits == [1.0, 2.0]
    assert fields["thetao"].sizes == {"time": 4, "depth": 2, "lat": 121, "lon": 21}
    assert (client.calls[0]["minimum_longitude"], client.calls[0]["maximum_longitude"]) == (170.0, 190.0)
    assert {"username", "password"}.isdisjoint(client.calls[0])

    class InvalidUsernameOrPassword(Exception):
        pass

    client.failures = [InvalidUsernameOrPassword()]
    with pytest.raises(DataError, match="knows no such account"):
        fetched(GLORYSSource(), asked, "copernicusmarine", tmp_path / "h.nc")
    client.failures = [ValueError("no such dataset")]
    with pytest.raises(DataError, match="refused the request: ValueError: no such dataset"):
        fetched(GLORYSSource(), asked, "copernicusmarine", tmp_path / "i.nc")


def test_the_client_takes_what_it_is_asked() -> None:
    client = pytest.importorskip("copernicusmarine")
    (piece, *_) = GLORYSSource().pieces(AskedBox(BOX.lat, BOX.lon, BOX.first, BOX.last, (0.0, 10.0)), "")
    more = {"output_directory": "", "output_filename": "", "overwrite": True, "disable_progress_bar": True}
    inspect.signature(client.subset).bind(**piece.request, **more)


def test_more_depth_and_more_variables_are_more_bytes() -> None:
    def size(depth: tuple[float, float], *names: str) -> int:
        pieces = GLORYSSource().pieces(AskedBox(BOX.lat, BOX.lon, BOX.first, BOX.last, depth, names), "")
        return sum(piece.bytes or 0 for piece in pieces)

    assert size((0, 1), "thetao") == 4 * 4 * 121 * 121
    assert size((0, 6000), "thetao", "zos") == 4 * 4 * 121 * 121 * 51
    (piece, *_) = GLORYSSource().pieces(AskedBox(BOX.lat, BOX.lon, BOX.first, BOX.last, dataset="other"), "")
    assert piece.bytes is None


def test_pieces_that_are_there_are_not_asked_for_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = Marine()
    monkeypatch.setattr("driftfield.sources.marine.need", lambda *_: client)
    source = GLORYSSource()
    asked = AskedBox((-60.0, 60.0), (-180.0, 180.0), date(2015, 1, 1), date(2015, 1, 2), (0.0, 100.0), ("thetao",))
    pieces: list[Piece] = source.pieces(asked, "")
    assert len(pieces) == 2
    fetcher = Fetcher(source.carrier(""), tries=1)
    client.failures = []
    fetcher.fetch(pieces[0], _folder(tmp_path))
    again = [fetcher.fetch(piece, _folder(tmp_path)) for piece in pieces]
    assert [path.name for path in again] == [piece.name for piece in pieces]
    assert len(client.calls) == 2


def _folder(path: Path) -> Path:
    (path / "pieces").mkdir(exist_ok=True)
    return path / "pieces"
