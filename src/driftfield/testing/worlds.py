"""Tiny worlds, made in milliseconds: an ocean, the data to learn it from, a recipe, and a batch of noise."""

__all__ = ["tiny_batch", "tiny_ocean", "tiny_recipe", "tiny_training_data"]


import numpy as np
import torch
import xarray as xr
from torch import Tensor

from driftfield.conventions import LATITUDE, LONGITUDE
from driftfield.data.sources import GriddedArchive
from driftfield.fields import FieldBatch, Guess, Seen
from driftfield.interfaces import TrainingData
from driftfield.plain import JSONObject


def tiny_ocean(
    *, times: int = 30, depths: int = 2, shape: tuple[int, int] = (8, 12), every_days: float = 12.0, seed: int = 0
) -> xr.Dataset:
    """A warm box with an island, a shelf, a season and slow eddies; made in milliseconds.

    Returns:
        `thetao` (time, depth, lat, lon) and `sst` (time, lat, lon), degC, float32, NaN on land and below the sea floor.
    """
    rng = np.random.default_rng(seed)
    height, width = shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    days = np.arange(times) * every_days
    eddies = np.zeros((times, height, width))
    for _ in range(6):
        k, speed, phase, size = *rng.uniform(0.5, 2.5, 2), *rng.uniform(0, 2 * np.pi, 2)
        wave = 2 * np.pi * (k * x + (3 - k) * y)[None] + (0.02 * speed * days)[:, None, None]
        eddies += 0.5 * np.sin(wave + phase) * np.cos(size + 0.013 * days)[:, None, None]
    season = 3 * np.cos(2 * np.pi * (days / 365.25 - 0.6))[:, None, None]
    surface = 18 - 6 * y + season + eddies
    depth = 10.0 * 4.0 ** np.arange(depths)
    fade = np.exp(-depth / 200)[None, :, None, None]
    thetao = 8 + (surface[:, None] - 8) * fade
    land = (y < 0.3) & (x < 0.3)
    shelf = x > 0.85
    thetao[:, :, land] = np.nan
    thetao[:, -1, shelf] = np.nan
    sst = np.where(land, np.nan, surface)
    dates = np.datetime64("2001-01-01", "s") + (days * 86400).astype("timedelta64[s]")
    coords = {
        "time": dates,
        "depth": ("depth", depth, {"units": "m", "positive": "down", "axis": "Z"}),
        "lat": ("lat", 30 + np.arange(height) * 0.5, LATITUDE),
        "lon": ("lon", -40 + np.arange(width) * 0.5, LONGITUDE),
    }
    attrs = {"units": "degC", "long_name": "temperature"}
    return xr.Dataset(
        {
            "thetao": (("time", "depth", "lat", "lon"), thetao.astype(np.float32), attrs),
            "sst": (("time", "lat", "lon"), sst.astype(np.float32), attrs),
        },
        coords,
    )


def tiny_training_data(fields: xr.Dataset | None = None) -> TrainingData:
    """A tiny ocean divided in time: what `Reconstructor.fit` takes."""
    fields = tiny_ocean() if fields is None else fields
    names = ("thetao", "sst")
    domains = {name: fields[name].notnull().any("time") for name in names}
    archive = GriddedArchive(fields, domains, periodic=False)
    steps = np.arange(fields.sizes["time"])
    cut = int(0.6 * steps.size), int(0.8 * steps.size)
    return TrainingData(
        archive=archive,
        train=steps[: cut[0]],
        validation=steps[cut[0] : cut[1]],
        test=steps[cut[1] :],
        targets=("thetao",),
        covariates=("sst",),
    )


def tiny_recipe(
    *,
    archive: str = "truth.nc",
    method: str = "DiffusionReconstructor",
    steps: int = 3,
    validate_every: int | None = None,
) -> JSONObject:
    """A recipe for a file that holds `tiny_ocean()`.

    Arguments:
        archive: Name of the file.
        method: A peer, which takes no arguments here, or the diffusion model, whose training takes seconds.
        steps: Of the training.
        validate_every: Steps between validations; one at the end if not given.
    """
    data: JSONObject = {
        "archive": archive,
        "targets": ["thetao"],
        "split": {"class": "TimeSplit", "validation": 0.2},
    }
    if method != "DiffusionReconstructor":
        return {"data": data, "reconstructor": {"class": method}}
    widths: JSONObject = {"widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
    return {
        "seed": 1,
        "data": data | {"covariates": ["sst"]},
        "reconstructor": {
            "class": method,
            "network": {"class": "ResidualUNet", **widths},
            "observing": {"observe": {"thetao": "profiles:0.5-0.9", "sst": "clouds:0.5"}, "error": 0.05},
            "sampler": {"class": "DPMSolverPP2M", "evaluations": 3},
            "validation_samples": 2,
        },
        "trainer": {
            "class": "LightningTrainer",
            "steps": steps,
            "batch_size": 2,
            "validate_every": validate_every or steps,
            "loggers": ["csv"],
            "precision": "float32",
            "accelerator": "cpu",
        },
    }


def tiny_batch(
    size: int = 2,
    *,
    channels: int = 2,
    covariates: int = 1,
    shape: tuple[int, int] = (16, 24),
    first_guess: bool = False,
    seed: int = 0,
) -> FieldBatch:
    """A random batch with land, observations and everything else a network may look at, in network units."""
    generator = torch.Generator().manual_seed(seed)

    def normal(count: int) -> Tensor:
        return torch.randn(size, count, *shape, generator=generator)

    def chance(count: int, probability: float) -> Tensor:
        return torch.rand(size, count, *shape, generator=generator) < probability

    domain, target = chance(channels, 0.8), normal(channels)
    observed = domain & chance(channels, 0.3)
    error = 0.1 * torch.rand(size, channels, *shape, generator=generator)
    covariates_observed = chance(covariates, 0.7)
    return FieldBatch(
        target=torch.where(domain, target, 0),
        seen=Seen(
            torch.where(observed, target + error * normal(channels), 0), observed, torch.where(observed, error, 0)
        ),
        domain=domain,
        held_out=domain & ~observed,
        given=Seen(
            torch.where(covariates_observed, normal(covariates), 0),
            covariates_observed,
            torch.zeros(size, covariates, *shape),
        ),
        presence=torch.ones(size, covariates),
        position=torch.rand(size, 2, generator=generator) * 60,
        date=torch.rand(size, 2, generator=generator),
        guess=Guess(
            torch.where(domain, normal(channels), 0), 0.5 + torch.rand(size, channels, *shape, generator=generator)
        )
        if first_guess
        else None,
    )
