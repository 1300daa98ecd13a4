"""Super-resolution of turbulence at equal training time: neural operators and coloured noise against what is simpler.

Kolmogorov flow at Re 1000 (`driftfield simulate navier-stokes`), truncated to 32 x 32 points; seen are means over 4 x 4 points,
of the same frame and of its two neighbours: a sixteenth of the numbers. Every network trains for the same seconds of the
processor, on one thread, from `recipes/turbulence.yaml` with another network, reconstructor or noise. Scored on dates
of trajectories that were never trained on:

    RMSE of the mean
    CRPS, fair, of 8 members; the mean absolute error of one field
    energy of a member over that of the truth in waves 1-3, 4-7, 8-11 and 12-15

    python benchmarks/turbulence.py ns.zarr FOLDER --seconds 90 [--only NAME]
    python benchmarks/turbulence.py ns.zarr FOLDER --prepare          only FOLDER/archive.zarr, for the recipe
    python benchmarks/turbulence.py ns.zarr FOLDER --figure FILE      draws what was trained
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import yaml
from matplotlib.figure import Figure
from scipy.ndimage import map_coordinates

from driftfield.data.prepare import prepare
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.training import LightningTrainer
from driftfield.training.callbacks import TrainingCallback
from driftfield.worlds.navier_stokes import truncated

POINTS, FACTOR, MEMBERS, DATES = 32, 4, 8, 24
BANDS = ((1, 3), (4, 7), (8, 11), (12, 15))
RECIPE = Path(__file__).parents[1] / "recipes" / "turbulence.yaml"
UNET = {"class": "ResidualUNet", "widths": [24, 48, 64], "depths": [1, 1, 1], "condition_depths": [1, 1, 1], "embedding": 64,
        "position": "none", "date": False}  # fmt: skip
FNO = {
    "class": "FourierOperator",
    "width": 32,
    "modes": 12,
    "layers": 4,
    "torus": True,
    "position": "none",
    "date": False,
}
WHITE = {"noise": {"class": "White"}}
NETWORKS: dict[str, dict[str, Any]] = {
    "hybrid operator, Matern noise": {},
    "U-Net, white noise": {"network": UNET, "diffusion": WHITE},
    "Fourier operator, regression": {"class": "RegressionReconstructor", "network": FNO, "diffusion": None},
    "U-Net, regression": {"class": "RegressionReconstructor", "network": UNET, "diffusion": None},
    "hybrid operator, white noise": {"diffusion": WHITE},
    "U-Net, Matern noise": {"network": UNET},
}


class ProcessorTime(TrainingCallback):
    """Ends a training after so many seconds of the processor: other programs do not count."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps, self._began = seconds, 0, 0.0

    def begin(self, step: int) -> None:
        self._began = time.process_time()

    def after_step(self, step: int, loss: float) -> bool:
        self.steps = step
        return time.process_time() - self._began > self.seconds


def archive(source: Path, out: Path) -> xr.Dataset:
    """Both fields on one grid; written once."""
    if out.exists():
        return xr.open_zarr(out).load()
    with xr.open_zarr(source) as record:
        fields = truncated(torch.from_numpy(record["vorticity"].values).double(), POINTS).numpy().astype(np.float32)
        blocks = fields.reshape(len(fields), POINTS // FACTOR, FACTOR, POINTS // FACTOR, FACTOR).mean((2, 4))
        low = blocks.repeat(FACTOR, 1).repeat(FACTOR, 2)
        step = record.sizes["lat"] // POINTS
        coords = {"time": record["time"].values} | {n: record[n][::step] for n in ("lat", "lon")}
        dims, units = ("time", "lat", "lon"), {"units": "1"}
        made = xr.Dataset({"vorticity": (dims, fields, units), "vorticity_low": (dims, low, units)}, coords)
    made.to_zarr(out)
    return made


def energy(fields: np.ndarray, bands: Sequence[tuple[int, int]] = BANDS) -> np.ndarray:
    """Power by band of waves."""
    power = np.abs(np.fft.fft2(fields, norm="forward")) ** 2
    k = np.abs(np.fft.fftfreq(POINTS) * POINTS)
    shell = np.round(np.hypot(k[:, None], k[None, :]))
    return np.array([power[..., (shell >= a) & (shell <= b)].sum(-1).mean() for a, b in bands])


def scores(members: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Of (member, date, row, column)."""
    m = len(members)
    found = np.abs(members - truth).mean()
    if m > 1:
        pairs = sum(np.abs(members[i] - members[j]).mean() for i in range(m) for j in range(i))
        found -= pairs / (m * (m - 1))
    bands = energy(members) / energy(truth)
    return {"rmse": float(np.sqrt(((members.mean(0) - truth) ** 2).mean())), "crps": float(found)} | {
        f"waves {a}-{b}": float(value) for (a, b), value in zip(BANDS, bands, strict=True)
    }


def bicubic(record: xr.Dataset, data: Any, dates: np.ndarray) -> np.ndarray:
    coarse = record["vorticity_low"].values[dates][:, ::FACTOR, ::FACTOR]
    at = (np.arange(POINTS) + 0.5) / FACTOR - 0.5
    places = np.stack(np.meshgrid(at, at, indexing="ij"))
    return np.stack([map_coordinates(one, places, order=3, mode="grid-wrap") for one in coarse])[None]


def ridge(record: xr.Dataset, data: Any, dates: np.ndarray) -> np.ndarray:
    """Principal components from the three coarse frames by ridge regression, and residuals of the validation dates as members."""
    fields = record["vorticity"].values.reshape(len(record["time"]), -1).astype(np.float64)
    stamps = record["time"].values.astype("datetime64[ms]").astype(np.int64)
    low = record["vorticity_low"].values[:, ::FACTOR, ::FACTOR].reshape(len(fields), -1).astype(np.float64)

    def neighbour(times: np.ndarray, k: int) -> np.ndarray:
        """The frame itself where a trajectory ends."""
        near = np.clip(times + k, 0, len(low) - 1)
        return np.where(np.abs(stamps[near] - stamps[times]) < 1.5 * np.median(np.diff(stamps)), near, times)

    def frames(times: np.ndarray) -> np.ndarray:
        return np.concatenate([low[neighbour(times, k)] for k in (-1, 0, 1)], axis=1)

    train, held = data.train, data.validation
    mean, basis = (
        fields[train].mean(0),
        np.linalg.svd(fields[train] - fields[train].mean(0), full_matrices=False)[2][:200],
    )
    x, centre = frames(train), frames(train).mean(0)
    best: tuple[float, np.ndarray] | None = None
    for penalty in 10.0 ** np.arange(-1, 6):
        gram = (x - centre).T @ (x - centre) + penalty * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, (x - centre).T @ ((fields[train] - mean) @ basis.T)) @ basis
        error = float(((mean + (frames(held) - centre) @ weights - fields[held]) ** 2).mean())
        if best is None or error < best[0]:
            best = (error, weights)
    assert best is not None
    residuals = fields[held] - mean - (frames(held) - centre) @ best[1]
    chosen = np.random.default_rng(0).integers(len(held), size=(MEMBERS, len(dates)))
    drawn = mean + (frames(dates) - centre) @ best[1] + residuals[chosen]
    return drawn.reshape(MEMBERS, len(dates), POINTS, POINTS)


def trained(name: str, folder: Path, data: Any, seconds: float) -> tuple[Any, int, float]:
    """A network of the recipe with other parts, and how many steps it had."""
    recipe = yaml.safe_load(RECIPE.read_text())
    spec = {key: value for key, value in (recipe["reconstructor"] | NETWORKS[name]).items() if value is not None}
    limit = ProcessorTime(seconds)
    options = {k: v for k, v in recipe["trainer"].items() if k != "class"} | {
        "steps": 100_000,
        "validate_every": 100_000,
    }
    trainer = LightningTrainer(**options, loggers=(), accelerator="cpu", precision="float32", callbacks=[limit])
    method = build("reconstructor", spec)
    began = time.process_time()
    method.fit(data, seed=0, trainer=trainer, folder=folder / "work")
    method.save(folder / "run")
    return method, limit.steps, time.process_time() - began


def drawn(method: Any, record: xr.Dataset, dates: np.ndarray) -> np.ndarray:
    asked = record.assign(vorticity=xr.full_like(record["vorticity"], np.nan))
    result = method.reconstruct(asked, members=MEMBERS, seed=1, times=dates.tolist())
    name = "vorticity_member" if "vorticity_member" in result else "vorticity"
    values = result[name].values
    return values if values.ndim == 4 else values[None]


def folder_of(name: str) -> str:
    """Of the run of a network."""
    return name.replace(",", "").replace(" ", "_")


def picture(folder: Path, record: xr.Dataset, dates: np.ndarray, out: Path) -> None:
    """A field of every network that was trained, and the energy of all by wave."""
    truth = record["vorticity"].values[dates]
    shown = {"truth": truth[0], "means over 4 x 4 points": record["vorticity_low"].values[dates[0]]}
    spectra = {"truth": truth[None]}
    for name in NETWORKS:
        if (folder / folder_of(name) / "run" / "run.json").exists():
            method: Any = load_reconstructor(folder / folder_of(name) / "run")
            if "noise" in name:
                method.sampler = build("sampler", {"class": "DPMSolverPP2M", "evaluations": 6})
            spectra[name] = drawn(method, record, dates)
            shown[name] = spectra[name][0, 0]
    figure = Figure(figsize=(3 * len(shown) + 4, 3.4), layout="constrained")
    panels = figure.subplots(1, len(shown) + 1, width_ratios=[*[1] * len(shown), 1.3])
    for panel, (name, field) in zip(panels, shown.items(), strict=False):
        panel.imshow(field, origin="lower", cmap="RdBu_r", vmin=-12, vmax=12)
        panel.set(title=name, xticks=[], yticks=[])
    for name, fields in spectra.items():
        style = "k--" if name == "truth" else "-"
        panels[-1].loglog(
            range(1, POINTS // 2), energy(fields, [(k, k) for k in range(1, POINTS // 2)]), style, label=name
        )
    panels[-1].set(xlabel="wavenumber", title="power of a member")
    panels[-1].legend(fontsize="x-small")
    figure.savefig(out, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--only", action="append")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    record = archive(asked.source, asked.folder / "archive.zarr")
    if asked.prepare:
        return
    recipe = yaml.safe_load(RECIPE.read_text())
    data = prepare(**recipe["data"] | {"archive": str(asked.folder / "archive.zarr")})
    # at the ends of a trajectory a neighbour is missing, and marked so for the networks
    inner = np.asarray(data.test)[1:-1]
    dates = inner[np.linspace(0, len(inner) - 1, DATES).round().astype(int)]
    truth = record["vorticity"].values[dates].astype(np.float64)
    if asked.figure:
        picture(asked.folder, record, dates[:: DATES // 6], asked.figure)
        return
    table: dict[str, dict[str, float]] = {}
    peers: dict[str, Callable[[xr.Dataset, Any, np.ndarray], np.ndarray]] = {"bicubic": bicubic, "PC ridge": ridge}
    for name, peer in peers.items():
        table[name] = scores(peer(record, data, dates), truth)
        print(name, table[name], flush=True)
    for name in asked.only or NETWORKS:
        folder = asked.folder / folder_of(name)
        method, steps, took = trained(name, folder, data, asked.seconds)
        weights = sum(p.numel() for p in method.model.parameters())
        for looks in (8, 16) if "noise" in name else (1,):
            if looks > 1:
                method.sampler = build("sampler", {"class": "DPMSolverPP2M", "evaluations": looks - 2})
            began = time.process_time()
            found = scores(drawn(method, record, dates), truth)
            cost = (time.process_time() - began) / len(dates) / (MEMBERS if looks > 1 else 1)
            row = found | {"steps": steps, "seconds": took, "weights": weights, "seconds a member": cost}
            table[f"{name}, {looks}"] = row
            print(f"{name}, {looks}", row, flush=True)
        (asked.folder / "table.json").write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
