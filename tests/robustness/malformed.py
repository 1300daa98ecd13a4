"""Malformed inputs of many kinds, each drawn from a seed: what a user may hand to a command by accident.

    kind(rng, place, good) -> Case:   writes bad files into `place`, says which command meets them and what names the culprit

`good` is a folder of sound inputs that nobody may change; the outputs `out.nc`, `out.zarr`, `run` and `report` exist in `place`
already, and every command is given --overwrite, so that a half-done command would be noticed.
"""

__all__ = ["KINDS", "LISTS", "Case", "write_good_inputs"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

from driftfield.data.codec import FieldCodec
from driftfield.data.sources import write_dataset
from driftfield.data.twin import observe
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.learner import Learner
from driftfield.peers import Climatology
from driftfield.testing import tiny_ocean, tiny_recipe, tiny_training_data

Rng = np.random.Generator


@dataclass(frozen=True)
class Case:
    """One command line, and words of its message that name the culprit; `a|b` is one or the other."""

    arguments: list[str]
    culprits: list[str]


Kind = Callable[[Rng, Path, Path], Case]
KINDS: dict[str, Kind] = {}


LISTS: dict[str, list[Callable[[Path], Case]]] = {}
"""For kinds that choose from a list: every case of it."""


def kind(function: Kind) -> Kind:
    KINDS[function.__name__] = function
    return function


def listed(entries: Sequence[Any]) -> Callable[[Callable[[Any, Path], Case]], Kind]:
    """A kind that chooses from a list: (entry, good) -> Case."""

    def decorate(function: Callable[[Any, Path], Case]) -> Kind:
        LISTS[function.__name__] = [partial(function, entry) for entry in entries]

        def chosen(rng: Rng, place: Path, good: Path) -> Case:
            return function(entries[rng.integers(len(entries))], good)

        chosen.__name__ = function.__name__
        return kind(chosen)

    return decorate


def write_good_inputs(good: Path) -> None:
    """truth.nc, truth.zarr, obs.nc, recipes, a comparison, a run of a peer and one of a model, an output."""
    ocean = tiny_ocean(times=24)
    data = tiny_training_data(ocean)
    write_dataset(ocean, good / "truth.nc")
    write_dataset(ocean, good / "truth.zarr")
    seen = observe(ocean.isel(time=[20, 22]), {"thetao": "profiles:0.6", "sst": "clouds:0.5"}, error=0.05, seed=1)
    write_dataset(seen, good / "obs.nc")
    recipes = {"peer": tiny_recipe(method="Climatology"), "model": tiny_recipe()}
    for name, recipe in recipes.items():
        recipe["data"] |= {"archive": str(good / "truth.nc"), "windows": {"size": [8, 12], "stride": [8, 12]}}
        (good / f"{name}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    setting = {"observe": {"thetao": "random:0.5"}}
    compared = {"settings": {"half": setting}, "methods": {"climatology": {"class": "Climatology"}}}
    compared["truth"] = {"archive": str(good / "truth.nc"), "times": ["2001-08", "2001-10"]}
    compared["data"] = recipes["peer"]["data"]
    (good / "compare.yaml").write_text(yaml.safe_dump(compared), encoding="utf-8")
    peer = Climatology()
    peer.fit(data)
    peer.save(good / "peer")
    write_dataset(peer.reconstruct(seen, members=2), good / "out.nc")
    model = DiffusionReconstructor(**{k: v for k, v in recipes["model"]["reconstructor"].items() if k != "class"})
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, model.normalizer)  # type: ignore[arg-type]
    model.learner = Learner(codec, model.build_model(codec))
    model.save(good / "model")


# -- the commands that meet a file -------------------------------------------------------------------------------------


def as_archive(rng: Rng, path: Path | str, good: Path) -> list[str]:
    """A command that reads an archive."""
    if rng.random() < 0.6:
        return ["mask", str(path), "out.nc", "--observe", "thetao=random:0.5", "--overwrite"]
    return ["train", str(good / "peer.yaml"), "--out", "run", "--overwrite", "--set", f"data.archive={path}"]


def as_observations(rng: Rng, path: Path | str, good: Path) -> list[str]:
    """A command that reads observations."""
    run = good / str(rng.choice(["peer", "model"]))
    out = str(rng.choice(["out.nc", "out.zarr"]))
    return ["reconstruct", str(run), str(path), "--out", out, "--members", "2", "--overwrite"]


def as_truth(path: Path | str, good: Path) -> list[str]:
    """The command that reads everything."""
    seen = ["--observations", str(good / "obs.nc"), "--out", "report", "--overwrite"]
    return ["evaluate", str(path), str(good / "out.nc"), *seen]


def as_any(rng: Rng, path: Path | str, good: Path) -> list[str]:
    """A command that reads a gridded file."""
    number = rng.integers(3)
    if number == 2:
        return as_truth(path, good)
    return (as_archive, as_observations)[number](rng, path, good)


def as_run(rng: Rng, path: Path | str, good: Path) -> list[str]:
    """The command that reads a run."""
    return ["reconstruct", str(path), str(good / "obs.nc"), "--out", "out.nc", "--members", "2", "--overwrite"]


def as_recipe(path: Path | str, *settings: str) -> list[str]:
    """The command that reads a recipe."""
    return ["train", str(path), "--out", "run", "--overwrite", *(f"--set={one}" for one in settings)]


def fields(good: Path) -> xr.Dataset:
    with xr.open_dataset(good / "truth.nc") as dataset:
        return dataset.load().drop_encoding()


def seen(good: Path) -> xr.Dataset:
    with xr.open_dataset(good / "obs.nc") as dataset:
        return dataset.load().drop_encoding()


def written(dataset: xr.Dataset, path: Path) -> Path:
    """As it is, without the checks and the order of `write_dataset`."""
    dataset.to_netcdf(path) if path.suffix == ".nc" else dataset.to_zarr(path, consolidated=False)
    return path


def form(rng: Rng, place: Path, name: str = "bad") -> Path:
    return place / f"{name}{rng.choice(['.nc', '.zarr'])}"


def random_bytes(rng: Rng, size: int) -> bytes:
    return rng.integers(0, 256, size, dtype=np.uint8).tobytes()
