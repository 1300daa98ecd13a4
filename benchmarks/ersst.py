"""ERSSTv5, last twelve months out: every run beside the reference figures of a tuned optimal interpolation.

    python benchmarks/ersst.py [--runs runs] [--members 16]

Masks: rng = default_rng(100000 round(100 fraction) + t [+ 7000000 for clouds]); random hides a share of the ocean cells, clouds
hide what lies below a quantile of smoothed noise. Scores over hidden ocean cells, unweighted, degC.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.data.masks import reference_mask
from driftfield.data.sources import open_archive
from driftfield.evaluate.evaluation import evaluate
from driftfield.reconstruct import load_reconstructor

CASES = [("random", 0.5), ("random", 0.75), ("random", 0.95), ("clouds", 0.5), ("clouds", 0.75), ("clouds", 0.95)]
REFERENCE = {
    ("random", 0.5): (0.124, 0.039),
    ("random", 0.75): (0.146, 0.048),
    ("random", 0.95): (0.254, 0.111),
    ("clouds", 0.5): (0.436, 0.207),
    ("clouds", 0.75): (0.491, 0.254),
    ("clouds", 0.95): (0.502, 0.260),
}
"""RMSE and CRPS of the reference optimal interpolation."""


def observations(truth: xr.DataArray, domain: np.ndarray, kind: str, fraction: float, first: int) -> xr.Dataset:
    """The observation file of one setting; no observation error."""
    seen = np.stack([reference_mask(kind, fraction, first + i, domain, north_first=True) for i in range(len(truth))])
    inside = xr.DataArray(domain, dims=("lat", "lon"))
    held_out = xr.DataArray(domain & ~seen, dims=("time", "lat", "lon"))
    return xr.Dataset({"sst": truth.where(~held_out & inside), "domain": inside, "held_out": held_out})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--methods", nargs="*", default=["climatology", "linear", "oi", "unet", "diffusion"])
    parser.add_argument("--cases", nargs="*", default=[f"{kind}:{fraction}" for kind, fraction in CASES])
    arguments = parser.parse_args()
    data = os.environ.get("DRIFTFIELD_DATA")
    path = Path(data or "missing") / "sst" / "ersstv5_monthly_2010-2020_2deg.nc"
    runs = [arguments.runs / f"ersst_{name}" for name in arguments.methods]
    runs = [run for run in runs if (run / "run.json").exists()]
    if not path.exists() or not runs:
        print(f"skipped: needs {path} (set DRIFTFIELD_DATA) and runs/ersst_* made by recipes/ersst_*.yaml")
        sys.exit(0)
    archive = open_archive(path, ["sst"])
    first = archive.dataset.sizes["time"] - 12
    truth = archive.dataset["sst"].isel(time=slice(first, None)).load()
    methods = {run.name: load_reconstructor(run) for run in runs}
    print("| hidden | method | RMSE | CRPS | spread-skill | 90 % coverage | seconds |\n|---|---|---|---|---|---|---|")
    for kind, fraction in CASES:
        if f"{kind}:{fraction}" not in arguments.cases:
            continue
        seen = observations(truth, archive.domain("sst").values, kind, fraction, first)
        outputs, seconds = {}, {}
        for reconstructor in methods.values():
            start = time.perf_counter()
            outputs[reconstructor.method] = reconstructor.reconstruct(seen, members=arguments.members, seed=0)
            seconds[reconstructor.method] = time.perf_counter() - start
        scores = evaluate(truth.to_dataset(), outputs, seen, variables=["sst"]).scores
        label = f"{kind} {100 * fraction:.0f} %"
        rmse, crps = REFERENCE[kind, fraction]
        print(f"| {label} | reference OI | {rmse:.3f} | {crps:.3f} | | | |")
        for method, found in scores.items():
            s = found["sst"]
            spread, covered = (f"{s[k]:.2f}" if s[k] is not None else "" for k in ("spread_skill", "coverage_90"))
            row = (label, method, f"{s['rmse']:.4f}", f"{s['crps']:.4f}", spread, covered, f"{seconds[method]:.0f}")
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
