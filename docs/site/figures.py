"""Gallery and tutorials are run when the site is built: every script in a process and on one thread of its own.

    docs/gallery/NAME.py    ->  docs/generated/gallery/NAME.png
    docs/tutorials/NAME.py  ->  docs/generated/tutorials/NAME.md, NAME.ipynb, figures       (by notebooks.py)

A script is run again when it, or any file of the package, has changed since; `made.json` remembers what it
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

LONGEST = 300
"""Seconds that a script may take on a busy machine; on an idle one none takes 30."""


def draw_all(say=print) -> float:  # type: ignore[no-untyped-def]
    """Runs what has changed; returns the seconds that it took.

    Arguments:
        say: Is told of every script that was run.
    """
    began, package = time.monotonic(), package_hash()
    for kind, product in (("gallery", "png"), ("tutorials", "md")):
        folder = GENERATED / kind
        folder.mkdir(parents=True, exist_ok=True)
        journal = folder / "made.json"
        made: dict[str, list] = json.loads(journal.read_text(encoding="utf-8")) if journal.exists() else {}
        for script in sorted((DOCS / kind).glob("*.py")):
            mark = hashlib.sha256(package.encode() + script.read_bytes()).hexdigest()
            current = (folder / f"{script.stem}.{product}").exists() and made.get(script.stem, [""])[0] == mark
            if current or script.stem in NEEDS_A_RUN:
                continue
            seconds = draw(script, folder, product)
            say(f"{kind}: {script.stem} in {seconds:.0f} s")
            made[script.stem] = [mark, round(seconds, 1)]
            journal.write_text(json.dumps(made, indent=1), encoding="utf-8")
    return time.monotonic() - began


def package_hash() -> str:
    """Of every file that a figure may depend on."""
    total = hashlib.sha256()
    for path in sorted((ROOT / "src" / "driftfield").rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def draw(script: Path, folder: Path, product: str = "png") -> float:
    """Runs one script; returns how long it took.

    Raises:
        RuntimeError: it failed, or made nothing.
    """
    began = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    runner = [str(Path(__file__).with_name("notebooks.py"))] if product == "md" else []
    command = [sys.executable, *runner, str(script), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=LONGEST)
    if done.returncode or not (folder / f"{script.stem}.{product}").exists():
        raise RuntimeError(f"{script.relative_to(ROOT)} made nothing:\n{done.stderr[-3000:]}")
    return time.monotonic() - began
