"""What an interaction with `driftfield view` takes on a whole globe, beside reading the same numbers with xarray.

    python benchmarks/viewer.py [--dates 8] [--repeats 5]

A Zarr store of 8 dates, 3 levels and 720 x 1440 cells with mean, spread and 4 members, in the chunks that Driftfield writes,
is made in a temporary folder and served. The page's requests are repeated for other dates and places; the largest of each kind is
printed. The goal is a second.
"""

import argparse
import tempfile
import time
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import xarray as xr

from driftfield.gridded.gridded_files import write_dataset
from driftfield.viewer.folder import ViewedFolder
from driftfield.viewer.server import ViewerServer

ROWS, COLUMNS, MEMBERS, LEVELS = 720, 1440, 4, (5.0, 50.0, 200.0)


def globe(dates: int) -> xr.Dataset:
    """Smooth fields with noise; land is a band."""
    rng = np.random.default_rng(0)
    lat, lon = -89.875 + 0.25 * np.arange(ROWS), 0.125 + 0.25 * np.arange(COLUMNS)
    season = 25 * np.cos(np.radians(lat))[:, None] + 2 * np.sin(np.radians(3 * lon))
    shape = (dates, len(LEVELS), ROWS, COLUMNS)
    mean = (season + rng.standard_normal(shape, dtype=np.float32)).astype(np.float32)
    mean[..., 300:360, 200:400] = np.nan
    coords = {
        "time": np.datetime64("2020-01-01", "ns") + np.arange(dates) * np.timedelta64(7, "D"),
        "depth": ("depth", list(LEVELS), {"units": "m", "positive": "down"}),
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    members = mean[:, None] + rng.standard_normal((dates, MEMBERS, *shape[1:]), dtype=np.float32)
    dims = ("time", "depth", "lat", "lon")
    return xr.Dataset(
        {
            "thetao": (dims, mean, {"units": "degC", "long_name": "potential temperature"}),
            "thetao_sd": (dims, np.where(np.isfinite(mean), 1.0, np.nan).astype(np.float32), {"units": "degC"}),
            "thetao_member": (("time", "member", *dims[1:]), members, {"units": "degC"}),
        },
        coords=coords,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dates", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "globe.zarr"
        write_dataset(globe(arguments.dates), store)
        server = ViewerServer(ViewedFolder(store.parent, {store.name: store}))
        Thread(target=server.serve_forever, daemon=True).start()
        seconds: dict[str, list[float]] = {}

        def ask(what: str, path: str, **asked: object) -> None:
            address = f"http://127.0.0.1:{server.server_address[1]}{path}?{urlencode({'file': store.name, **asked})}"
            began = time.perf_counter()
            with urlopen(Request(address, headers={"X-Driftfield-Token": server.token}), timeout=120) as answer:
                answer.read()
            seconds.setdefault(what, []).append(time.perf_counter() - began)

        ask("the page opens", "/api/about")
        rng = np.random.default_rng(1)
        stamps = xr.open_zarr(store)["time"].values
        for k in range(arguments.repeats):
            choice = {"variable": "thetao", "time": str(stamps[k % stamps.size])[:19]}
            place = {**choice, "row": int(rng.integers(400, 700)), "column": int(rng.integers(COLUMNS))}
            for kind, number in (("mean", 0), ("spread", 0), ("member", 1)):
                ask(f"map of {kind}", "/api/plane", **choice, kind=kind, number=number, depth=50.0)
            ask("profile at a click", "/api/line", **place, along="depth")
            ask("time series at a click", "/api/line", **place, along="time", depth=50.0)
            ask("section along a line", "/api/section", **place, to_row=410, to_column=int(rng.integers(COLUMNS)))
            began = time.perf_counter()
            with xr.open_zarr(store) as fields:
                np.asarray(fields["thetao"].isel(depth=1, time=k % stamps.size).values)
            seconds.setdefault("xarray reads that map", []).append(time.perf_counter() - began)
        server.shutdown()
    peer = max(seconds["xarray reads that map"])
    for kind, passed in seconds.items():
        print(f"{kind}: {max(passed):.3f} s at most, {max(passed) / peer:.1f} times xarray's map")


if __name__ == "__main__":
    main()
