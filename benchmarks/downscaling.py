"""Downscaling where there is no file of pairs: rain by tiles of a large radar image, and a climate model that runs freely.

Rain: MRMS rain rate of the contiguous United States, .01 degrees, three times of one day. Tiles of 128 x 128 cells with
    full coverage and
more than 5 % rain; those west of 97 W are learnt from, 200 of those east of 90 W are the test; the coarse fields are means
over 8 x 8 and
16 x 16 cells. Methods that look at a neighbourhood work on a grid of any size, so a tile is a date to them.

Temperature: daily maxima of a free-running model (4 x 4 cells, no leap years) against gridded observations (26 x 26 cells,
    two years):
quantile mapping learns the first year's distribution and is judged by that of the second.

    DRIFTFIELD_DATA=... python benchmarks/downscaling.py [rain] [temperature]
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.data.pairing import make_pair
from driftfield.data.prepare import prepare
from driftfield.data.sources import open_archive, open_fields
from driftfield.evaluate.structure import spectrum_beyond
from driftfield.interfaces import TrainingData
from driftfield.registry import build

SIZE, MEMBERS = 128, 16
RAIN = {
    "nearest": {"class": "NearestCell"},
    "bilinear": {"class": "Bilinear"},
    "bilinear, conserving": {"class": "Conserving", "downscaler": {"class": "Bilinear"}},
    "bicubic": {"class": "Bicubic"},
    "local regression": {"class": "LocalRegression", "transform": {"rain": "square_root"}},
    "local regression, conserving": {
        "class": "Conserving",
        "downscaler": {"class": "LocalRegression", "transform": {"rain": "square_root"}},
    },
    "RainFARM": {"class": "RainFARM"},
    "analog blocks": {"class": "AnalogBlocks"},
}


def tiles(path: Path) -> xr.Dataset:
    """Training tiles, then test tiles, each as a date, on a grid of .01 degrees at the equator; `train` counts the first."""
    fields = open_fields(path)["precip_rate"]
    values, lon = fields.values[:, ::-1], fields["lon"].values
    parts: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    for image in values:
        for row in range(0, image.shape[0] - SIZE + 1, SIZE):
            for column in range(0, image.shape[1] - SIZE + 1, SIZE):
                tile = image[row : row + SIZE, column : column + SIZE]
                where = lon[column + SIZE // 2]
                part = "train" if where < -97 else "test" if where > -90 else None
                if part and np.isfinite(tile).all() and (tile > 0.1).mean() > 0.05:
                    parts[part].append(tile)
    rng = np.random.default_rng(0)
    test = [parts["test"][index] for index in rng.permutation(len(parts["test"]))[:200]]
    both = np.stack(parts["train"] + test).astype(np.float32)
    axis = 0.01 * (np.arange(SIZE) - SIZE / 2)
    coords = {"time": pd.date_range("2000-01-01", periods=len(both)), "lat": axis, "lon": axis}
    rain = xr.DataArray(both, coords, ("time", "lat", "lon"), attrs={"units": "mm h-1"})
    return xr.Dataset({"rain": rain}, attrs={"train": len(parts["train"])})


def fair_crps(members: np.ndarray, truth: np.ndarray) -> float:
    count = len(members)
    error = np.abs(members - truth).mean()
    if count == 1:
        return float(error)
    weight = (2 * np.arange(1, count + 1) - count - 1)[:, None, None, None]
    between = (weight * np.sort(members, axis=0)).sum(axis=0) / (count * (count - 1))
    return float(error - between.mean())


def rain(root: Path) -> None:
    path = root / "precipitation/mrms_preciprate_conus_20190610_3times.nc"
    if not path.exists():
        print(f"no {path}: skipped")
        return
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "tiles.nc"
        dataset = tiles(path)
        dataset.to_netcdf(written)
        archive = open_archive(written, ["rain"])
    count = int(dataset.attrs["train"])
    print(f"{count} tiles to learn from, {archive.times.size - count} to test on; {MEMBERS} members")
    for factor in (8, 16):
        fine, pair = make_pair(archive, {"factor": factor})
        bounds = {"rain": (0.0, np.inf)}
        data = TrainingData(fine, np.arange(count), np.arange(0), ("rain",), bounds=bounds, pair=pair)
        coarse = pair.coarse.isel(time=slice(count, None))
        truth = fine.dataset["rain"].values[count:].astype(np.float64)
        top = np.quantile(truth, 0.999)
        print(f"\nx{factor}\n| method | RMSE | CRPS | P99.9 ({top:.1f}) | log10 spectrum beyond | fit s | draw s |")
        print("|---|---|---|---|---|---|---|")
        for label, spec in RAIN.items():
            method = build("downscaler", spec)
            began = time.process_time()
            method.fit(data)
            fitted = time.process_time()
            out = method.reconstruct(coarse, members=MEMBERS if method.abilities.spreads else 1)
            drawn = time.process_time()
            mean = out["rain"].values.astype(np.float64)
            members = out["rain_member"].values.astype(np.float64) if "rain_member" in out else mean[None]
            rmse = np.sqrt(np.mean((members.mean(axis=0) - truth) ** 2))
            print(
                f"| {label} | {rmse:.3f} | {fair_crps(members, truth):.3f} | {np.quantile(members, 0.999):.1f} | "
                f"{spectrum_beyond(members[0], truth, factor):+.2f} | {fitted - began:.1f} | {drawn - fitted:.1f} |",
                flush=True,
            )


def temperature(root: Path) -> None:
    fine, coarse = (
        root / f"bias_correction/climdown_{name}_nunavut.nc" for name in ("anusplin_tasmax", "bnu-esm_tasmax")
    )
    if not fine.exists():
        print(f"no {fine}: skipped")
        return
    split = {
        "class": "TimeSplit",
        "train": ["1969-12", "1970-12"],
        "validation": ["1971-01", "1971-01"],
        "test": ["1971-02", "1972-01"],
    }
    data = prepare(str(fine), ["tasmax"], coarse={"archive": str(coarse), "paired": False}, split=split)
    truth = data.archive.domain("tasmax").values
    observed = open_archive(fine, ["tasmax"]).dataset["tasmax"].sel(time=slice("1971-02", "1972-01"))
    model = data.pair.coarse.isel(time=slice(None, 365 * 10))
    print(
        "\n| method | mean absolute difference of the distributions in a cell, K | of the mean | of P95 |\n|---|---|---|---|"
    )
    for label, spec in {
        "bilinear": {"class": "Bilinear"},
        "quantile mapping": {"class": "QuantileMapping"},
        "quantile mapping by season": {"class": "QuantileMapping", "by": "season"},
        "quantile mapping by month": {"class": "QuantileMapping", "by": "month"},
    }.items():
        method = build("downscaler", spec)
        method.fit(data)
        made = method.reconstruct(model, members=1)["tasmax"].values[:, truth]
        seen = observed.values[:, truth]
        levels = (np.arange(100) + 0.5) / 100
        apart = np.abs(np.quantile(made, levels, axis=0) - np.quantile(seen, levels, axis=0)).mean()
        of_mean = np.abs(made.mean(axis=0) - seen.mean(axis=0)).mean()
        of_top = np.abs(np.quantile(made, 0.95, axis=0) - np.quantile(seen, 0.95, axis=0)).mean()
        print(f"| {label} | {apart:.2f} | {of_mean:.2f} | {of_top:.2f} |", flush=True)


def main() -> None:
    root = os.environ.get("DRIFTFIELD_DATA")
    if not root:
        print("DRIFTFIELD_DATA is not set: skipped")
        return
    asked = sys.argv[1:] or ["rain", "temperature"]
    for name, part in {"rain": rain, "temperature": temperature}.items():
        if name in asked:
            part(Path(root))


if __name__ == "__main__":
    main()
