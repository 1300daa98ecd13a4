"""The main job, end to end, on an ocean that the shipped model has never seen.

    simulate (another seed) -> hide 95 % of the columns and most of the surface -> reconstruct, with all peers -> evaluate

and, with --downscale, fine fields from coarse ones:

    simulate -> means over 4 x 4 cells -> learn on all dates but the last ones -> downscale these -> evaluate

Everything is written under one folder, by the same functions that the commands call.
"""

__all__ = ["DOWNSCALERS", "METHODS", "OBSERVE", "run_demo", "run_downscaling_demo"]

import time
from pathlib import Path

import xarray as xr

from driftfield.data.pairing import require_pair
from driftfield.data.prepare import prepare
from driftfield.data.sources import GriddedArchive, open_archive
from driftfield.data.twin import observe
from driftfield.evaluate.alignment import everything_held_out
from driftfield.evaluate.comparison import scores_table, skill_ratio
from driftfield.evaluate.evaluation import evaluate
from driftfield.evaluate.report import write_report_folder
from driftfield.files import refuse_existing
from driftfield.gridded.gridded_files import write_dataset
from driftfield.peers.downscaling.base import Downscaler
from driftfield.plain import JSONObject
from driftfield.registry import build
from driftfield.runs import load_reconstructor, shipped_run
from driftfield.worlds.ocean import simulate_ocean

METHODS = ("ocean_diffusion", "ocean_oi", "ocean_unet", "ocean_linear", "ocean_climatology")
OBSERVE = {"thetao": "profiles:0.95", "sst": "clouds:0.8"}
ERROR = 0.05
KERNEL: JSONObject = {"class": "KernelRegression", "centred": ["sst"], "folds": 6}
DOWNSCALERS: dict[str, JSONObject] = {
    "bilinear": {"class": "Bilinear"},
    "bicubic, conserving": {"class": "Conserving", "downscaler": {"class": "Bicubic"}},
    "PC regression, conserving": {
        "class": "Conserving",
        "downscaler": {"class": "PrincipalComponentRegression", "analogs": 48},
    },
    "kernel regression, conserving": {"class": "Conserving", "downscaler": KERNEL | {"analogs": 48}},
}
"""What `--downscale` compares; the last one is kept as a run."""
YEARS, EVERY_DAYS, FACTOR = 2.0, 4.0, 4
"""Of the ocean that they learn from."""


def run_demo(out: Path, *, cases: int = 12, members: int = 48, seed: int = 1, overwrite: bool = False) -> None:
    """Runs the demo and says where everything is.

    Arguments:
        out: Folder to write.
        cases: Dates, 30 days apart.
        members: Ensemble size of every method that has one.
        seed: Of the ocean, the masks and the members.
        overwrite: Replace what is there.
    """
    refuse_existing(out / "report", overwrite=overwrite)
    began = time.monotonic()
    archive, seen = _twin(out, cases, seed, overwrite=overwrite)
    outputs = _reconstructions(out, seen, members, seed, overwrite=overwrite)
    truth = archive.dataset[["thetao"]]
    evaluation = evaluate(truth, outputs, seen, variables=["thetao"])
    command = f"driftfield demo --seed {seed} --cases {cases} --members {members}"
    provenance = {"command": command, "ocean seed": seed}
    write_report_folder(
        evaluation, truth, outputs, seen, provenance=provenance, folder=out / "report", overwrite=overwrite
    )
    print("\n" + scores_table(evaluation))
    for score in ("crps", "rmse"):
        ratios = skill_ratio(evaluation.scores, "thetao", score)
        told = ", ".join(f"{peer} {ratio:.2f}" for peer, ratio in ratios.items())
        print(f"\n{score} of diffusion / peer, mean over levels: {told}")
    print(f"\nfinished in {time.monotonic() - began:.0f} s")
    print(f"reconstruction  {out / 'ocean_diffusion.nc'}\nscores          {out / 'report' / 'scores.json'}")
    print(f"figures         {out / 'report' / 'figures'}\nreport          {out / 'report' / 'report.html'}")


def run_downscaling_demo(
    out: Path, *, cases: int = 12, members: int = 48, seed: int = 1, overwrite: bool = False
) -> None:
    """Surface temperature of a simulated ocean from means over 4 x 4 cells.

    Arguments:
        out: Folder to write.
        cases: Dates at the end of the record, which nothing is learnt from.
        members: Ensemble size of every method that has one; 48 at most.
        seed: Of the ocean and the members.
        overwrite: Replace what is there.

    Raises:
        ConfigurationError: more members than analogs.
    """
    refuse_existing(out / "report", overwrite=overwrite)
    began = time.monotonic()
    simulated = simulate_ocean(years=YEARS, every_days=EVERY_DAYS, start="2040-01-15", seed=seed)
    dates = simulated.sizes["time"]
    print(f"1  simulate {dates} dates, {EVERY_DAYS:g} days apart, of the ocean with seed {seed}")
    write_dataset(simulated[["sst"]], out / "fine.zarr", overwrite=overwrite)
    split = {"class": "TimeSplit", "validation": 0.05, "test": cases / dates}
    data = prepare(str(out / "fine.zarr"), ["sst"], coarse={"factor": FACTOR}, split=split)
    coarse = require_pair(data, "the demo").coarse.isel(time=data.test)
    write_dataset(coarse, out / "coarse.nc", overwrite=overwrite)
    learnt, asked = len(data.train), coarse.sizes["time"]
    print(f"2  means over {FACTOR} x {FACTOR} cells; learn from {learnt} dates, downscale the last {asked}")
    truth = open_archive(out / "fine.zarr", ["sst"]).dataset[["sst"]].isel(time=data.test)
    outputs = {}
    for label, spec in DOWNSCALERS.items():
        method: Downscaler = build("downscaler", spec)
        start = time.monotonic()
        method.fit(data, seed=seed)
        made = method.reconstruct(coarse, members=members if method.abilities.spreads else 1, seed=seed)
        print(f"3  {label}: {time.monotonic() - start:.1f} s")
        outputs[label] = made
    method.save(out / "run")
    write_dataset(made, out / "downscaled.nc", overwrite=overwrite)
    seen = everything_held_out(truth, outputs)
    evaluation = evaluate(truth, outputs, seen, variables=["sst"])
    provenance = {"command": f"driftfield demo --downscale --seed {seed}", "ocean seed": seed}
    write_report_folder(
        evaluation, truth, outputs, seen, provenance=provenance, folder=out / "report", overwrite=overwrite
    )
    print("\n" + scores_table(evaluation))
    print(f"\nfinished in {time.monotonic() - began:.0f} s")
    print(f"once more       driftfield downscale {out / 'run'} {out / 'coarse.nc'} --members 10 --out fine.nc")
    print(f"report          {out / 'report' / 'report.html'}")


def _twin(out: Path, cases: int, seed: int, *, overwrite: bool) -> tuple[GriddedArchive, xr.Dataset]:
    """The simulated truth, and what was seen of it."""
    ocean = f"the ocean with seed {seed} (the shipped model learnt from seed 0)"
    print(f"1  simulate {cases} dates, 30 days apart, of {ocean}")
    simulated = simulate_ocean(years=30 * cases / 365.25, every_days=30, start="2040-01-15", seed=seed)
    write_dataset(simulated, out / "truth.zarr", overwrite=overwrite)
    archive = open_archive(out / "truth.zarr", list(OBSERVE))
    patterns = ", ".join(f"{name} {pattern}" for name, pattern in OBSERVE.items())
    print(f"2  hide most of it: {patterns}, error {ERROR} degC")
    seen = observe(archive.dataset, OBSERVE, error=ERROR, seed=seed, domain=archive.domains)
    write_dataset(seen, out / "observations.nc", overwrite=overwrite)
    return archive, seen


def _reconstructions(out: Path, seen: xr.Dataset, members: int, seed: int, *, overwrite: bool) -> dict[str, xr.Dataset]:
    """What every shipped run answers, by method."""
    outputs = {}
    for name in METHODS:
        start = time.monotonic()
        reconstructor = load_reconstructor(shipped_run(name))
        result = reconstructor.reconstruct(seen, members=members, seed=seed)
        write_dataset(result, out / f"{name}.nc", overwrite=overwrite)
        outputs[reconstructor.method] = result
        print(f"3  {name}: {seen.sizes['time']} dates in {time.monotonic() - start:.1f} s")
    return outputs
