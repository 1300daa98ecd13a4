import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from commands import Command, hearing_all
from faulty_files import FaultyFiles, faulty_files
from served_answers import Service, store_answer, write_globe, write_stations
from serving import QuietHandler, serving


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """`driftfield ARGUMENTS` in a folder of its own, which never waits for a service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("driftfield.sources.fetching.LONGEST_WAIT", 0.0)
    return hearing_all(capsys)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FaultyFiles]:
    """A folder behind http:// that fails on purpose."""
    (tmp_path / "served").mkdir()
    with faulty_files(tmp_path / "served") as state:
        yield state


@pytest.fixture
def service() -> Iterator[Service]:
    state = Service()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            state.asked.append((path, self.headers.get("Range")))
            failure, body = (state.failures.pop(0) if state.failures else ""), state.body(path)
            if failure.isdecimal():
                self.send_response(int(failure))
                self.send_header("Retry-After", "9")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if body is None:
                self.send_error(404, "Your query produced no matching results.")
                return
            begin = int(re.sub(r"\D", "", self.headers.get("Range", "0")))
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(body) - begin))
            self.end_headers()
            self.wfile.write(body[begin : begin + 100] if failure == "break" else body[begin:])

    with serving(Handler) as state.url:
        yield state


@pytest.fixture
def globe(files: FaultyFiles) -> FaultyFiles:
    """A store of the layout of ARCO-ERA5, coarse: hours since 1900, latitudes from the north, 0 to 360."""
    pytest.importorskip("aiohttp")
    write_globe(files.folder)
    files.asked.clear()
    files.faulty = "2m_temperature/[0-9]"
    return files


@pytest.fixture
def archive(files: FaultyFiles) -> FaultyFiles:
    """A catalogue, a description and two days of rows."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("aiohttp")
    write_stations(files.folder)
    files.faulty = "parquet$"
    return files


@pytest.fixture
def store(files: FaultyFiles, monkeypatch: pytest.MonkeyPatch) -> FaultyFiles:
    """The Climate Data Store as its client sees it."""
    pytest.importorskip("cdsapi")
    monkeypatch.setenv("CDSAPI_URL", f"{files.url}/api")
    monkeypatch.setenv("CDSAPI_KEY", "a-token")
    jobs: list[dict[str, Any]] = []
    requests: list[dict[str, Any]] = []
    base = f"{files.url}/api/retrieve/v1"

    def job(number: int) -> dict[str, Any]:
        links = [
            {"rel": rel, "href": f"{base}/jobs/{number}{end}"}
            for rel, end in (("monitor", ""), ("results", "/results"))
        ]
        return {"jobID": f"{number}", "status": "successful", "processID": "x", "links": links, "metadata": {}}

    def execute(content: dict[str, Any]) -> dict[str, Any]:
        requests.append(content["inputs"])
        path = store_answer(content["inputs"], files.folder)
        jobs.append(
            {"href": f"{files.url}/{path.name}", "file:size": path.stat().st_size, "type": "application/netcdf"}
        )
        return job(len(jobs) - 1)

    process = "/api/retrieve/v1/processes/([a-z0-9-]+)"
    described = [{"rel": "self", "href": f"{base}/processes/x"}]
    files.posts = {
        f"{process}/execution": execute,
        process: lambda _: {"id": "x", "links": described},
        "/api/retrieve/v1/jobs/\\d+": lambda _: job(len(jobs) - 1),
        "/api/retrieve/v1/jobs/\\d+/results": lambda _: {"asset": {"value": jobs[-1]}},
        "/requests": lambda _: requests,
    }
    files.faulty = "execution"
    return files
