"""The gallery is drawn when the site is built: every script is run, in a process and on one thread of its own.

    docs/gallery/NAME.py  ->  docs/generated/gallery/NAME.png

A figure is drawn again when its script, or any file of the package, has changed since; `figures.json` remembers what it
was drawn with, and the seconds. A script that fails, or takes longer than `LONGEST`, ends the build.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from generate import DOCS, GENERATED, NEEDS_A_RUN, ROOT

LONGEST = 180
"""Seconds that a script may take on a busy machine; on an idle one none takes 20."""


def draw_all(say=print) -> float:  # type: ignore[no-untyped-def]
    """Draws what has changed; returns the seconds that it took.

    Arguments:
        say: Is told of every script that was run.
    """
    folder, began = GENERATED / "gallery", time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / "figures.json"
    drawn: dict[str, list] = json.loads(journal.read_text(encoding="utf-8")) if journal.exists() else {}
    package = package_hash()
    for script in sorted((DOCS / "gallery").glob("*.py")):
        if script.stem in NEEDS_A_RUN:
            continue
        mark = hashlib.sha256(package.encode() + script.read_bytes()).hexdigest()
        picture = folder / f"{script.stem}.png"
        if picture.exists() and drawn.get(script.stem, [""])[0] == mark:
            continue
        seconds = draw(script, folder)
        say(f"gallery: {script.stem} in {seconds:.0f} s")
        drawn[script.stem] = [mark, round(seconds, 1)]
        journal.write_text(json.dumps(drawn, indent=1), encoding="utf-8")
    return time.monotonic() - began


def package_hash() -> str:
    """Of every file that a figure may depend on."""
    total = hashlib.sha256()
    for path in sorted((ROOT / "src" / "driftfield").rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def draw(script: Path, folder: Path) -> float:
    """Runs one script; returns how long it took.

    Raises:
        RuntimeError: it failed, or made no figure.
    """
    began = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(script), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=LONGEST)
    if done.returncode or not (folder / f"{script.stem}.png").exists():
        raise RuntimeError(f"docs/gallery/{script.name} drew nothing:\n{done.stderr[-3000:]}")
    return time.monotonic() - began
