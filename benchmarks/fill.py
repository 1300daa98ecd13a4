"""`driftfield fill` on real records: blocks withheld with five seeds, against every built-in peer on the same cells.

    DRIFTFIELD_DATA=... python benchmarks/fill.py [--cases alboran,day,ersst,heaton] [--seeds 0,1,2,3,4] [--out fill.json]
    DRIFTFIELD_DATA=... python benchmarks/fill.py --by-hand [--cases ...] [--seeds ...]

    alboran   ten days of AVHRR under clouds; withheld: what was seen and lies under the clouds of the day 5, 3, 7, 4, 6 later
    day       the sixth of these days alone, with the same cells withheld
    ersst     ERSSTv5, 128 months; the last twelve under clouds of 75 %, drawn as `masks.reference_mask` does at t + 1000 seed;
              withheld: all that is under them
    heaton    the simulated image of Heaton et al. (2018) as it is, 30 % missing; withheld: rectangles, a quarter of the image

Nothing of what is withheld is seen by anyone; `fill` chooses among the methods by blocks that it hides itself. The peers are
fitted to the same record and scored with the spread that they state (without one the CRPS is the mean absolute error).
`--by-hand` scores kriging and space-time interpolation with their lengths made shorter and longer, as by somebody who could look
at the withheld cells; one factor for all seeds.
"""

import argparse
import json
import os
import time
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.data.masks import parse_pattern, reference_mask
from driftfield.data.transplant import transplant_clouds
from driftfield.filling.filling import fill_record
from driftfield.filling.methods import Knowledge, methods_for
from driftfield.filling.reading import read_record
from driftfield.filling.record import Record
from driftfield.filling.validation import Withheld, predict
from driftfield.gaussian.tuning import gaussian_crps

LAGS = (5, 3, 7, 4, 6)
BY_HAND = (0.5, 0.7, 1.0, 1.4, 2.0)
"""Times the length that a method found for itself."""


def record_of(case: str, data: Path) -> Record:
    """The record as a user would hand it over."""
    if case in ("alboran", "day"):
        time_ = ["2017-05-19", "2017-05-19"] if case == "day" else None
        return read_record(data / "sst/avhrr_alboran_L3_10days_clouds.nc", "SST", time=time_)
    if case == "ersst":
        return read_record(data / "sst/ersstv5_monthly_2010-2020_2deg.nc", "sst")
    return read_record(data / "spatial/heaton_simulated_gp.nc", "train")


def withheld_of(case: str, record: Record, seed: int, data: Path) -> np.ndarray:
    """Cells that nobody sees: boolean (time, lat, lon)."""
    if case in ("alboran", "day"):
        whole = record_of("alboran", data)
        hidden = transplant_clouds(whole.field, domain=whole.domain, lag=LAGS[seed]).values
        chosen = np.isin(whole.field["time"].values, record.field["time"].values)
        return hidden[chosen]
    if case == "ersst":
        hidden, domain, count = np.zeros(record.field.shape, dtype=bool), record.domain.values, len(record.field)
        for t in range(count - 12, count):
            seen = reference_mask("clouds", 0.75, t + 1000 * seed, domain, north_first=True)
            hidden[t] = domain & ~seen
        return hidden
    drawn = parse_pattern("blocks:0.25").draw(record.domain.values, np.random.default_rng(seed))
    return record.seen & ~drawn[None]


def scored(error: np.ndarray, sd: np.ndarray | None) -> dict[str, float]:
    """RMSE, CRPS and coverage of the 90 % interval."""
    rmse = float(np.sqrt((error**2).mean()))
    if sd is None:
        return {"rmse": rmse, "crps": float(np.abs(error).mean()), "coverage": float("nan")}
    crps = float(gaussian_crps(error, np.maximum(sd, 1e-9)).mean())
    return {"rmse": rmse, "crps": crps, "coverage": float((np.abs(error) <= 1.645 * sd).mean())}


def everything_of(case: str, seed: int, data: Path) -> tuple[Record, Withheld]:
    """The whole record; and what is seen and hidden of it."""
    record = record_of(case, data)
    hidden = withheld_of(case, record, seed, data) & record.seen
    truth = record.field.values[hidden]
    visible = record.without(hidden)
    visible = replace(visible, original=visible.original.where(xr.DataArray(~hidden, dims=visible.field.dims)))
    times = np.flatnonzero(hidden.reshape(len(hidden), -1).any(axis=1))
    return record, Withheld(visible, hidden, times, truth, np.zeros(truth.size))


def by_hand(case: str, seed: int, data: Path) -> dict[str, dict[str, float]]:
    """Scores of methods whose lengths are multiplied, by method and factor."""
    _, everything = everything_of(case, seed, data)
    scores = {}
    for method in methods_for(everything.visible, Knowledge()):
        if method.label not in ("kriging", "space-time interpolation"):
            continue
        fitted: Any = method.fitted_to(everything.visible, seed=0)
        for factor in BY_HAND:
            other = copy(fitted)
            other.constants = {n: replace(c, length=factor * c.length) for n, c in fitted.constants.items()}
            label = f"{method.label}, length x {factor:g}"
            scores[label] = scored(*_errors(predict(other, everything, seed=0), everything.truth))
    return scores


def run(case: str, seed: int, data: Path) -> dict[str, Any]:
    """One withholding: what `fill` made of it, and every peer."""
    record, everything = everything_of(case, seed, data)
    visible, hidden, truth = everything.visible, everything.hidden, everything.truth
    wall, cpu = time.perf_counter(), time.process_time()
    filled = fill_record(visible, seed=0)
    took = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    values = filled.dataset if record.dated else filled.dataset.expand_dims(time=record.field["time"])
    mean, sd = (values[n].transpose(*record.field.dims).values[hidden] for n in (record.name, f"{record.name}_sd"))
    ours = scored(mean - truth, sd)
    peers = {}
    for method in methods_for(visible, Knowledge()):
        fitted = method.fitted_to(visible, seed=0)
        peers[method.label] = scored(*_errors(predict(fitted, everything, seed=0), truth))
    return {
        "case": case,
        "seed": seed,
        "cells": int(truth.size),
        "chosen": filled.chosen,
        **ours,
        **took,
        "peers": peers,
    }


def _errors(found: tuple[np.ndarray, np.ndarray | None], truth: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    return found[0] - truth, found[1]


def _line(case: str, seed: int, row: dict[str, Any]) -> str:
    best = {key: min((p[key], label) for label, p in row["peers"].items()) for key in ("rmse", "crps")}
    parts = [f"{case} {seed}: {row['chosen']}"]
    parts += [f"{k.upper()} {row[k]:.4f} ({row[k] / best[k][0]:.3f} of {best[k][1]})" for k in ("rmse", "crps")]
    parts += [
        f"coverage {row['coverage']:.3f}",
        f"{row['seconds']:.0f} s ({row['cpu_seconds']:.0f} s of one processor)",
    ]
    return ", ".join(parts)


def _summary(case: str, rows: list[dict[str, Any]]) -> str:
    means = {key: float(np.mean([row[key] for row in rows])) for key in ("rmse", "crps", "coverage")}
    labels = set.intersection(*(set(row["peers"]) for row in rows))
    best = {
        key: min(np.mean([row["peers"][label][key] for row in rows]) for label in labels) for key in ("rmse", "crps")
    }
    return (
        f"{case}, mean of {len(rows)}: RMSE {means['rmse']:.4f}, CRPS {means['crps']:.4f}, coverage {means['coverage']:.3f}; "
        f"over the best peer with hindsight {means['rmse'] / best['rmse']:.3f}, {means['crps'] / best['crps']:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="alboran,day,ersst,heaton")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--by-hand", action="store_true")
    arguments = parser.parse_args()
    data = Path(os.environ["DRIFTFIELD_DATA"])
    if arguments.by_hand:
        for case in arguments.cases.split(","):
            tried = [by_hand(case, int(seed), data) for seed in arguments.seeds.split(",")]
            for label in tried[0]:
                means = (f"{k.upper()} {np.mean([row[label][k] for row in tried]):.4f}" for k in ("rmse", "crps"))
                print(f"{case}, mean of {len(tried)}: {label}: {', '.join(means)}", flush=True)
        return
    results = []
    for case in arguments.cases.split(","):
        rows = []
        for seed in map(int, arguments.seeds.split(",")):
            row = run(case, seed, data)
            rows.append(row)
            print(_line(case, seed, row), flush=True)
        results += rows
        print(_summary(case, rows), flush=True)
        if arguments.out is not None:
            arguments.out.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
