"""Takes the pictures of docs/viewer.md: the viewer in five states, each of which is an address, in a headless Chromium.

    driftfield demo --out demo
    python scripts/viewer_pictures.py demo docs/images

Cut to 256 colours, so that a picture stays below 150 kB. Needs `chromium` on the path and Pillow.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

from PIL import Image

from driftfield.viewer.folder import ViewedFolder
from driftfield.viewer.server import ViewerServer

FIELDS = {"file": "ocean_diffusion.nc", "variable": "thetao", "time": "2040-03-15T00:00:00"}
PLACE = {"row": 17, "column": 30}
STATES: dict[str, tuple[dict[str, object], tuple[int, int]]] = {
    "mean": ({}, (700, 780)),
    "spread": ({"kind": "spread", "beside": "ocean_oi.nc"}, (1240, 1130)),
    "place": (PLACE, (1300, 1130)),
    "section": ({"row": 22, "column": 7, "to_row": 6, "to_column": 44}, (1300, 1480)),
    "observations": ({"observations": "observations.nc", "departures": "1"}, (760, 760)),
}
"""By name: what the address says, and the width and height of the window."""


def main(demo: Path, out: Path) -> None:
    """Serves the folder of a demo and takes a picture of every state."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("No Chromium on the path: install one (Debian: apt install chromium).")
    server = ViewerServer(ViewedFolder(demo, {"ocean_diffusion.nc": demo / "ocean_diffusion.nc"}))
    Thread(target=server.serve_forever, daemon=True).start()
    for name, (state, (width, height)) in STATES.items():
        address = f"{server.url}#{urlencode({**FIELDS, **state})}"
        picture = out / f"viewer_{name}.png"
        with tempfile.TemporaryDirectory() as profile:
            arguments = [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={profile}",
            ]
            arguments += [f"--window-size={width},{height}", "--virtual-time-budget=20000", f"--screenshot={picture}"]
            subprocess.run([browser, *arguments, address], check=True, capture_output=True, timeout=300)
        Image.open(picture).convert("RGB").quantize(256).save(picture, optimize=True)
        print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")
    server.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
