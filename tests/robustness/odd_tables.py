"""Odd tables and files of points, met by `gather`, `assimilate`, `inspect` and `map`."""

__all__ = ["odd_table"]

from pathlib import Path

import numpy as np
from malformed import Rng

_TIMES = ("time", "TIME", "date", "OBS_TIMESTAMP", "JULD", "datetime")
_PLACES = (("latitude", "longitude"), ("LAT", "LON"), ("lat", "lon"), ("CLATH", "CLONH"), ("Y", "X"))
_DEPTHS = ("depth", "z", "pressure", "DEPTH_m", "height", "")


def odd_table(rng: Rng, place: Path, good: Path) -> list[str]:
    """A CSV with odd columns, numbers and marks, and the command that meets it."""
    path = place / f"odd{rng.choice(['.csv', '.txt', '.tsv'])}"
    path.write_bytes(_text(rng).encode(str(rng.choice(["utf-8", "utf-8-sig", "latin-1"])), errors="replace"))
    measured = "thetao=TEMP"
    calls = [
        ["gather", str(path), "--variable", measured, "--table", "out.nc", "--overwrite"],
        [
            "gather",
            str(path),
            "--variable",
            measured,
            "--like",
            str(good / "truth.nc"),
            "--out",
            "out.nc",
            "--overwrite",
        ],
        ["inspect", str(path)],
        [
            "assimilate",
            str(good / "model"),
            str(path),
            "--out",
            "out.nc",
            "--members",
            "2",
            "--variable",
            measured,
            "--overwrite",
        ],
    ]
    calls[3].append("--overwrite")
    return calls[rng.choice(4, p=[0.3, 0.35, 0.25, 0.1])]


def _text(rng: Rng) -> str:
    comma = str(rng.choice([",", ";", "\t"], p=[0.7, 0.2, 0.1]))
    lat, lon = _PLACES[rng.integers(len(_PLACES))]
    depth = str(rng.choice(_DEPTHS))
    header = [str(rng.choice(_TIMES)), lat, lon, *([depth] if depth else []), "TEMP", "TEMP_qc"][
        : int(rng.choice([4, 5, 6, 6, 6]))
    ]
    lines = [comma.join(header)]
    if rng.random() < 0.2:
        lines.append(comma.join(["", "degrees_north", "degrees_east", "m", "degC", "1"][: len(header)]))
    for _ in range(int(rng.integers(0, 30))):
        lines.append(comma.join(_row(rng, len(header), bool(depth))))
    if rng.random() < 0.1:
        lines.insert(
            int(rng.integers(len(lines) + 1)), str(rng.choice(["# a comment", "", '"', "\u202e", "1,2", "x" * 5000]))
        )
    return str(rng.choice(["\n", "\r\n"])).join(lines) + "\n"


def _row(rng: Rng, columns: int, deep: bool) -> list[str]:
    date = np.datetime64("2001-08-01") + int(rng.integers(0, 90))
    odd_date = str(rng.choice(["", "someday", "20010805", "99999", "1e400"]))
    when = str(rng.choice([str(date), f"{date}T06:00:00Z", f"{date} 18:00", odd_date], p=[0.5, 0.25, 0.15, 0.1]))
    odd_number = str(rng.choice(["", "nan", "-9999", "1e400", "--", "inf", "3,5", "99999"]))
    numbers = [
        rng.uniform(30, 34),
        rng.uniform(-40, -35),
        *([rng.uniform(-20, 60)] if deep else []),
        rng.uniform(8, 20),
    ]
    texts = [f"{number:.3f}" if rng.random() < 0.95 else odd_number for number in numbers]
    return [when, *texts, str(rng.integers(0, 10))][:columns]
