"""Where the spread of a run is lost, and what its calibration gives back: test settings of a comparison, raw and calibrated.

    python benchmarks/spread.py recipes/compare/ersst.yaml runs/ersst_diffusion --settings "random 50 %,clouds 75 %" --members 8

Every setting is reconstructed once; the calibration of the run, which was fitted to validation dates, is applied to the result.
Printed are RMSE, fair CRPS, spread-skill ratio and coverage of the 90 % interval, both with a block bootstrap over dates;
spread-skill in five bins of stated spread and in bins of the distance to the nearest observation; and how much of the squared
error the worst cells of the map hold.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from scipy.ndimage import distance_transform_edt

from driftfield.compare.reading import read_comparison
from driftfield.compare.recipe import Comparison, Setting
from driftfield.compare.settings import open_truth, setting_observations
from driftfield.conventions import domain_of, held_out_of
from driftfield.data.sources import GriddedArchive
from driftfield.evaluate.scores import ensembles
from driftfield.runs import load_reconstructor

DISTANCES = (1.0, 1.5, 3.0, 6.0, np.inf)
"""Edges of the bins of distance, cells."""
DRAWS = 500


def main() -> None:
    """Reads the command line, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--settings", default="", help="names, separated by commas; all by default")
    parser.add_argument("--members", type=int, default=0, help="size of the ensembles; the recipe's by default")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    comparison = read_comparison(asked.recipe)
    archive = open_truth(comparison)
    names = [name.strip() for name in asked.settings.split(",") if name.strip()]
    for setting in comparison.settings:
        if not names or setting.name in names:
            _judge(comparison, setting, archive, asked.run, asked.members or comparison.members)


def _judge(comparison: Comparison, setting: Setting, archive: GriddedArchive, run: Path, members: int) -> None:
    method = load_reconstructor(run)
    calibration, method.calibration = method.calibration, None
    seen = setting_observations(comparison, setting, archive)
    raw = method.reconstruct(seen, members=members, seed=comparison.seed)
    kinds = {"raw": raw} | ({} if calibration is None else {"calibrated": calibration.apply(raw)})
    for name in comparison.targets:
        truth = archive.dataset[name].sel(time=seen["time"])
        truth = truth.assign_coords({dim: raw[name][dim] for dim in truth.dims})
        where = held_out_of(seen, name) & domain_of(seen, name) & truth.notnull()
        distance = _distance(seen[name], domain_of(seen, name))
        for kind, result in kinds.items():
            members_of = result[f"{name}_member"].where(where)
            print(f"{setting.name:18} {name:8} {kind:10} {_line(members_of, truth.where(where), distance)}", flush=True)


def _line(members: xr.DataArray, truth: xr.DataArray, distance: xr.DataArray) -> str:
    error = members.mean("member") - truth
    bins = ensembles.spread_skill_bins(members, truth)["ratio"].values
    by_date = [_of_date(members.isel(time=[t]), truth.isel(time=[t])) for t in range(truth.sizes["time"])]
    far = []
    for near, beyond in pairwise(DISTANCES):
        inside = (distance >= near) & (distance < beyond)
        known = bool((inside & truth.notnull()).any())
        far.append(float(ensembles.spread_skill(members.where(inside), truth.where(inside))) if known else np.nan)
    squares = np.sort((error**2).values[np.isfinite(error.values)])[::-1]
    worst = squares[: max(1, squares.size // 100)].sum() / squares.sum()
    ratio, covered = (np.array([date[key] for date in by_date]) for key in ("squares", "covered"))
    return (
        f"RMSE {float(np.sqrt((error**2).mean())):.4g} CRPS {float(ensembles.crps_fair(members, truth)):.4g} "
        f"spread-skill {float(ensembles.spread_skill(members, truth)):.2f} {_interval(ratio, ratio=True)} "
        f"90 % {float(ensembles.coverage(members, truth)):.3f} {_interval(covered[:, None], ratio=False)} | by spread "
        f"{' '.join(f'{value:.2f}' for value in bins)} | by distance {' '.join(f'{value:.2f}' for value in far)} "
        f"| worst 1 % of the cells hold {worst:.0%} of the squared error"
    )


def _of_date(members: xr.DataArray, truth: xr.DataArray) -> dict[str, np.ndarray]:
    """What the dates are drawn again from: mean variance and mean squared error; coverage."""
    size = members.sizes["member"]
    variance = float(members.var("member", ddof=1).mean()) * (1 + 1 / size)
    error = float(((members.mean("member") - truth) ** 2).mean())
    return {"squares": np.array([variance, error]), "covered": np.array(float(ensembles.coverage(members, truth)))}


def _interval(dates: np.ndarray, *, ratio: bool) -> str:
    """5 and 95 % of a block bootstrap over dates (blocks of a fifth of them)."""
    rng, count = np.random.default_rng(0), len(dates)
    block = max(1, count // 5)
    starts = rng.integers(0, count, (DRAWS, -(-count // block)))
    drawn = ((starts[..., None] + np.arange(block)) % count).reshape(DRAWS, -1)[:, :count]
    means = np.nanmean(dates[drawn], axis=1)
    figures = np.sqrt(means[:, 0] / means[:, 1]) if ratio else means[:, 0]
    return "[{:.2f}, {:.2f}]".format(*np.quantile(figures, [0.05, 0.95]))


def _distance(seen: xr.DataArray, domain: xr.DataArray) -> xr.DataArray:
    """Cells to the nearest observation of the same date and level."""
    known = (seen.notnull() & domain).transpose(*seen.dims)
    flat = known.values.reshape(-1, *known.shape[-2:])
    far = [distance_transform_edt(~level) if level.any() else np.full(level.shape, np.inf) for level in flat]
    return known.copy(data=np.stack(far).reshape(known.shape))


if __name__ == "__main__":
    main()
