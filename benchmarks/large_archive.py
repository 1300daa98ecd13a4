"""Peak memory of the commands on an archive that does not fit into memory, measured from outside.

    python benchmarks/large_archive.py [--gigabytes 3] [--limit 2.5] [--folder DIR] [--only train,peer]

An archive of that size is written date by date: a noisy, seasonal ocean round the globe, not compressed. Each command is a
process of its own, whose largest resident memory the kernel has counted when it ends (`wait4`; Linux and macOS). Exits
with 1 where one of them needs more than the limit.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

DEPTHS, ROWS, COLUMNS, CHUNK = (5.0, 50.0, 100.0, 200.0), 360, 720, 90
WINDOW = 64
COMMAND = ("-m", "driftfield")
"""What `python` is told before the words of a command."""

NETWORK = {"class": "ResidualUNet", "widths": [8, 16], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 16}

METER = """
import os, sys
child = os.fork()
if not child:
    os.dup2(2, 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) and 1)
"""
"""Starts a process, waits for it, and prints what it needed at most."""


@dataclass(frozen=True)
class Measured:
    """What a process has needed."""

    gigabytes: float
    seconds: float
    said: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--limit", type=float, default=float("inf"), help="Gigabytes that a command may need.")
    parser.add_argument("--steps", type=int, default=100, help="Of the training.")
    parser.add_argument("--folder", type=Path, help="Where the archive is made, and left if it was there before.")
    parser.add_argument("--only", default="", help="Some of train, peer, mask, reconstruct, evaluate (commas).")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free / 1e9
        if free < 2 * asked.gigabytes + 5:
            sys.exit(
                f"{folder} has {free:.0f} GB left: expected {2 * asked.gigabytes + 5:.0f} or more. Name another --folder."
            )
        dates = make_archive(folder / "archive.zarr", asked.gigabytes)
        rows = measure(folder, dates, asked.steps, [word for word in asked.only.split(",") if word])
    print(f"archive of {asked.gigabytes:g} GB, {dates} dates of {len(DEPTHS)} x {ROWS} x {COLUMNS} cells")
    print("| command | peak memory [GB] | seconds |\n|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row.gigabytes:.2f} | {row.seconds:.0f} |")
    if over := [name for name, row in rows.items() if row.gigabytes > asked.limit]:
        sys.exit(f"more than {asked.limit:g} GB: {', '.join(over)}")


def make_archive(path: Path, gigabytes: float) -> int:
    """Writes fields round the globe, a week of dates or 32 MB at a time.

    Returns:
        How many dates there are.
    """
    size = len(DEPTHS) * ROWS * COLUMNS * 4
    dates = max(int(gigabytes * 1e9 / size) // 8 * 8, 40)
    if path.exists():
        return int(xr.open_zarr(path, consolidated=False).sizes["time"])
    rng = np.random.default_rng(0)
    lat = -90 + (np.arange(ROWS) + 0.5) * 180 / ROWS
    lon = (np.arange(COLUMNS) + 0.5) * 360 / COLUMNS
    land = (np.abs(lat)[:, None] < 60) & (np.abs(lon[None, :] - 40) < 25)
    base = 8 + 20 * np.cos(np.deg2rad(lat))[:, None] * np.exp(-np.array(DEPTHS) / 300)[:, None, None]
    coordinates = {
        "depth": ("depth", list(DEPTHS), {"units": "m", "positive": "down", "axis": "Z"}),
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    unfinished = path.with_name("unfinished.zarr")
    shutil.rmtree(unfinished, ignore_errors=True)
    piece = max(8, 2**25 // size // 8 * 8)
    for first in range(0, dates, piece):
        days = np.arange(first, min(first + piece, dates))
        season = 4 * np.sin(2 * np.pi * days / 365.25)[:, None, None, None] * np.sign(lat)[:, None]
        waves = 2 * np.cos(np.deg2rad(6 * lon) - days[:, None] / 10)[:, None, None, :]
        noise = rng.standard_normal((len(days), len(DEPTHS), ROWS, COLUMNS), dtype=np.float32)
        values = np.where(land, np.nan, base + season + waves + 0.5 * noise).astype(np.float32)
        stamps = np.datetime64("1990-01-01", "ns") + days * np.timedelta64(1, "D")
        attributes = {"units": "degC", "standard_name": "sea_water_potential_temperature"}
        part = xr.Dataset(
            {"thetao": (("time", "depth", "lat", "lon"), values, attributes)}, coords={"time": stamps, **coordinates}
        )
        if first:
            part.to_zarr(unfinished, append_dim="time", consolidated=False)
        else:
            chunks = {"thetao": {"chunks": (8, len(DEPTHS), CHUNK, CHUNK), "compressors": None}}
            chunks["time"] = {"units": "days since 1990-01-01", "chunks": (max(dates, 1),)}
            part.to_zarr(unfinished, encoding=chunks, consolidated=False)
    unfinished.rename(path)
    return dates


def measure(folder: Path, dates: int, steps: int, only: list[str]) -> dict[str, Measured]:
    """Every command, in the order in which one needs the other."""
    write_recipes(folder, steps)
    days = np.datetime64("1990-01-01") + np.arange(dates)
    third, last = f"{days[dates // 2]}:{days[dates // 2 + dates // 4]}", f"{days[-12]}:{days[-1]}"
    pattern = ("--observe", "thetao=profiles:0.95", "--error", "0.1", "--overwrite")
    commands = {
        "train": ("train", "network.yaml", "--out", "network", "--raw", "--overwrite"),
        "peer": ("train", "peer.yaml", "--out", "peer", "--overwrite"),
        "mask": ("mask", "archive.zarr", "many.zarr", "--time", third, *pattern),
        "reconstruct": ("reconstruct", "peer", "seen.zarr", "--members", "8", "--out", "fields.zarr", "--overwrite"),
        "evaluate": (
            "evaluate",
            "archive.zarr",
            "fields.zarr",
            "--observations",
            "seen.zarr",
            "--out",
            "report",
            "--overwrite",
        ),
    }
    measured = {}
    for name, words in commands.items():
        if only and name not in only:
            continue
        if name == "reconstruct":
            run(("mask", "archive.zarr", "seen.zarr", "--time", last, *pattern), folder)
        measured[name] = run(words, folder)
        print(f"{name}: {measured[name].gigabytes:.2f} GB, {measured[name].seconds:.0f} s", file=sys.stderr, flush=True)
    return measured


def write_recipes(folder: Path, steps: int) -> None:
    """A small network that learns from windows, and a climatology."""
    data = {
        "archive": "archive.zarr",
        "targets": ["thetao"],
        "split": {"class": "TimeSplit", "validation": 0.1},
    }
    network: dict[str, Any] = {
        "class": "DiffusionReconstructor",
        "network": NETWORK,
        "observing": {"observe": {"thetao": "profiles:0.9"}, "error": 0.1},
        "sampler": {"class": "DPMSolverPP2M", "evaluations": 4},
        "validation_samples": 4,
    }
    trainer = {"class": "LightningTrainer", "steps": steps, "batch_size": 4, "validate_every": steps, "loggers": []}
    windows = {"windows": {"size": [WINDOW, WINDOW], "stride": 32}}
    recipes = {
        "network": {"data": data | windows, "reconstructor": network, "trainer": trainer | {"accelerator": "cpu"}},
        "peer": {"data": data, "reconstructor": {"class": "Climatology"}},
    }
    for name, recipe in recipes.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"seed": 0, **recipe}), encoding="utf-8")


def run(words: tuple[str, ...], folder: Path) -> Measured:
    """A command of its own, and what the kernel says of its memory."""
    return metered((*COMMAND, *words), folder)


def metered(words: tuple[str, ...], folder: Path) -> Measured:
    """What a process of Python needs, which is asked of the kernel when it has ended."""
    began = time.perf_counter()
    with (folder / "said.txt").open("w+", encoding="utf-8") as said:
        # a small process starts it: the kernel counts what a parent held when it started another one as that one's
        meter = [sys.executable, "-S", "-c", METER, sys.executable, *words]
        done = subprocess.run(meter, cwd=folder, stdout=subprocess.PIPE, stderr=said, text=True)
        said.seek(0)
        text = said.read()
    if done.returncode:
        sys.exit(f"python {' '.join(words)} ended with {done.returncode}: {text[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(int(done.stdout) * unit / 1e9, time.perf_counter() - began, text)


if __name__ == "__main__":
    main()
