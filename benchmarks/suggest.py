"""`driftfield suggest`: twenty suggested profiles against twenty at random and twenty where the spread is largest.

    python benchmarks/suggest.py

A simulated ocean that the shipped model never saw, ten dates of it, 98 in 100 columns and most of the surface hidden. The members
of `shipped:ocean_diffusion` suggest twenty columns for the whole field; those are observed with the same error, and everything is
reconstructed again, with the same seed. Scored are cells that none of the ways observed. Intervals are of a bootstrap over dates.
"""

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.assimilation.suggesting import NextObservations, suggest_places
from driftfield.data.sources import open_archive, write_dataset
from driftfield.data.twin import observe
from driftfield.runs import load_reconstructor, shipped_run
from driftfield.worlds.ocean import simulate_ocean

NUMBER, MEMBERS, ERROR, DATES = 20, 16, 0.05, 10
OBSERVE = {"thetao": "profiles:0.98", "sst": "clouds:0.8"}


def columns_of(name: str, answer: xr.Dataset, free: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flat indices of twenty columns that were not observed yet."""
    if name == "random":
        return rng.permutation(np.flatnonzero(free))[:NUMBER]
    if name == "largest spread":
        variance = (answer["thetao_sd"] ** 2).isel(time=0).sum("depth").values.ravel()
        return np.argsort(np.where(free, -variance, np.inf))[:NUMBER]
    found = suggest_places(answer.isel(time=0), NextObservations(error=ERROR, number=NUMBER))
    rows = np.searchsorted(answer["lat"].values, found["lat"].values - 1e-6)
    columns = np.searchsorted(answer["lon"].values, found["lon"].values - 1e-6)
    return rows * answer.sizes["lon"] + columns


def added(seen: xr.Dataset, truth: xr.DataArray, columns: np.ndarray, noise: np.ndarray) -> xr.Dataset:
    """The observations with further columns."""
    more = np.zeros(seen["thetao"].shape[-2:], dtype=bool)
    more.flat[columns] = True
    noisy = truth.transpose(*seen["thetao"].dims) + ERROR * noise
    together = seen.assign(thetao=xr.where(more, noisy, seen["thetao"]).transpose(*seen["thetao"].dims))
    if "thetao_error" in seen and seen["thetao_error"].ndim > 1:
        together["thetao_error"] = seen["thetao_error"].where(np.isnan(together["thetao"]), ERROR)
    return together


def scores(answer: xr.Dataset, truth: xr.DataArray, where: np.ndarray) -> tuple[float, float]:
    """(mean square error, mean fair CRPS) over cells, degC."""
    members = answer["thetao_member"].transpose("time", "member", "depth", "lat", "lon").values[0]
    target = truth.transpose("depth", "lat", "lon").values
    good = np.isfinite(target) & np.isfinite(members).all(0) & where
    members, target = members[:, good], target[good]
    apart = np.abs(members[:, None] - members[None]).sum((0, 1)) / (2 * len(members) * (len(members) - 1))
    return float(((members.mean(0) - target) ** 2).mean()), float((np.abs(members - target).mean(0) - apart).mean())


def main() -> int:
    """Prints all rows; 1 if suggested profiles are not the best."""
    simulated = simulate_ocean(years=30 * DATES / 365.25, every_days=30, start="2040-01-15", seed=5)
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(simulated, Path(folder) / "truth.nc")
        archive = open_archive(Path(folder) / "truth.nc", list(OBSERVE))
        archive.dataset.load()
    seen = observe(archive.dataset, OBSERVE, error=ERROR, seed=5, domain=archive.domains)
    method = load_reconstructor(shipped_run("ocean_diffusion"))
    names = ("none", "random", "largest spread", "suggested")
    table = np.full((len(names), DATES, 2), np.nan)
    for date in range(DATES):
        rng = np.random.default_rng(date)
        here, truth = seen.isel(time=[date]), archive.dataset["thetao"].isel(time=[date])
        first = method.reconstruct(here, members=MEMBERS, seed=date)
        surface = here["thetao"].isel(time=0).transpose("depth", "lat", "lon").values[0]
        free = (
            np.isnan(surface) & np.isfinite(first["thetao"].isel(time=0).transpose("depth", "lat", "lon").values[0])
        ).ravel()
        noise = rng.standard_normal(here["thetao"].shape)
        chosen = {name: columns_of(name, first, free, rng) for name in names[1:]}
        scored = free.copy()
        scored[np.concatenate(list(chosen.values()))] = False
        answers = {"none": first}
        for name, columns in chosen.items():
            answers[name] = method.reconstruct(added(here, truth, columns, noise), members=MEMBERS, seed=date)
        for number, name in enumerate(names):
            table[number, date] = scores(answers[name], truth.isel(time=0), scored.reshape(surface.shape))
        said = ", ".join(
            f"{name} {np.sqrt(table[n, date, 0]):.3f}/{table[n, date, 1]:.3f}" for n, name in enumerate(names)
        )
        print(f"date {date + 1}: RMSE/CRPS {said}", flush=True)
    draws = np.random.default_rng(0).integers(0, DATES, (2000, DATES))
    best = True
    for number, name in enumerate(names):
        rmse, crps = np.sqrt(table[number, :, 0].mean()), table[number, :, 1].mean()
        line = f"{name:15} RMSE {rmse:.4f} degC, CRPS {crps:.4f} degC"
        if name in ("random", "largest spread"):
            resampled = table[:, draws].mean(2)
            for score, part in (("RMSE", np.sqrt(resampled[..., 0])), ("CRPS", resampled[..., 1])):
                low, high = np.quantile(part[-1] / part[number], [0.05, 0.95])
                line += f"; suggested / {name} {score} in [{low:.3f}, {high:.3f}]"
                best &= bool(high < 1)
        print(line)
    print("passed" if best else "MISSED")
    return 0 if best else 1


if __name__ == "__main__":
    raise SystemExit(main())
