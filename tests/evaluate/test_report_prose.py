"""The report says in sentences who made the fields, and its tables fit a screen."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from driftfield.evaluate.evaluation import evaluate
from driftfield.evaluate.method_prose import method_prose, remaining
from driftfield.evaluate.report import write_report

ATTRIBUTES = {
    "Conventions": "CF-1.10",
    "driftfield_version": "0.1.0",
    "method": "diffusion",
    "run": "shipped:ocean_diffusion",
    "observations": "seen.nc",
    "members": "16",
    "seed": "3",
    "created": "2026-12-01T11:50:17Z",
    "sampler": "DPMSolverPP2M",
    "network_evaluations": "20",
    "recipe_hash": "07c2",
    "history": "driftfield reconstruct",
}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def test_sentences_say_who_from_what_when_and_how() -> None:
    assert method_prose(ATTRIBUTES, 16) == (
        "Made by shipped:ocean_diffusion from seen.nc on 2026-12-01 with Driftfield 0.1.0. 16 members, drawn with seed 3. "
        "Each walked by DPMSolverPP2M in 20 looks of the network."
    )
    assert method_prose({}, 1) == "Made by a run that the file does not name. One field; no ensemble."


def test_nothing_is_said_twice_and_nothing_is_lost() -> None:
    rest = remaining(ATTRIBUTES)
    assert rest == {"recipe_hash": "07c2", "history": "driftfield reconstruct"}
    said = method_prose(ATTRIBUTES, 16)
    for name in set(ATTRIBUTES) - set(rest) - {"Conventions", "method", "created"}:
        assert ATTRIBUTES[name] in said, name


def test_a_name_in_a_file_cannot_become_markup(world: Any, tmp_path: Path) -> None:
    output = world.outputs["climatology"].assign_attrs(run="<b>bold</b>", observations="a\u202eb")
    found = evaluate(world.truth, {"c": output}, world.observations, variables=["ssh"])
    write_report(found, [], {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Made by &lt;b&gt;bold&lt;/b&gt;" in page
    assert "\u202e" not in page


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_no_table_is_wider_than_a_screen_of_1280(world: Any, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    found = evaluate(world.truth, world.outputs, world.observations)
    write_report(found, [], {}, tmp_path / "report.html")
    page = tmp_path / "report.html"
    measure = (
        "<script>document.title = [...document.querySelectorAll('details')].map(d => d.open = true) && "
        "[...document.querySelectorAll('.scroll')].map(t => t.scrollWidth - t.clientWidth).join(' ');</script></body>"
    )
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", measure), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--window-size=1280,900", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    widths = re.search(r"<title>([\d -]+)</title>", done.stdout)
    assert widths, done.stderr[-500:]
    assert max(map(int, widths[1].split())) <= 0, widths[1]
