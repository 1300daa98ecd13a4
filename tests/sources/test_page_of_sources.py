"""The commands of docs/sources.md, against the answers that the other tests of sources are given."""

from pathlib import Path

import pytest
from commands import Command
from faulty_files import FaultyFiles
from pages import commands_of, text_of
from running_pages import Stage, run_line
from served_answers import Marine, Service, day, rows


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_the_commands_of_the_page_of_sources_run(
    command: Command,
    service: Service,
    store: FaultyFiles,
    globe: FaultyFiles,
    archive: FaultyFiles,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Dates are those that the servers have; their addresses stand behind the names of the sources."""
    service.files = {"2015-01-01T": rows(tmp_path, "2015-01-05", [10.0, 9.0])}
    service.files |= {f"{text.replace('-', '')}": day(tmp_path, text, 4.0) for text in ("2015-01-30", "2015-01-31")}
    monkeypatch.setattr("driftfield.sources.marine.need", lambda *_: Marine())
    monkeypatch.setattr("driftfield.sources.fetching.LONGEST_WAIT", 0.0)
    stage = Stage(
        smaller={
            "2015-03-01:2015-03-31": "2015-01-30:2015-01-31",
            "lat=45:55,lon=0:15 --time 2021-03-01:2021-03-02": "lat=30:40,lon=-70:-60 --time 2015-01-30:2015-01-31",
            "download argo": f"download argo --server {service.url}/t.nc",
            "download oisst": f"download oisst --server {service.url}",
            "download era5 ": f"download era5 --server {globe.url}/era5.zarr ",
            "download nnja": f"download nnja --server {archive.url}",
        }
    )
    lines = list(commands_of(text_of("docs/sources.md")))
    assert [line.split()[2] for line in lines] == ["argo", "oisst", "glorys", "era5", "era5-cds", "cerra", "nnja"]
    for line in lines:
        run_line(line, stage)
