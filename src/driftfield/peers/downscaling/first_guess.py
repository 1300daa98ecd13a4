"""What a network that downscales starts from: another downscaler's field, on training dates out of fold.

    r_t = T(x_t) - T(g_t)        g_t: of a method that was fitted without the block of dates that t lies in

In sample a fitted method leaves less than it will leave tomorrow, and a network that learns from that draws too narrow.
Validation dates and whatever is asked later have the first guess of the method that all training dates taught.
"""

__all__ = ["OutOfFoldGuess"]

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.checkpoint import load_as, read_run
from driftfield.data.pairing import require_pair
from driftfield.errors import ConfigurationError, whole_number
from driftfield.interfaces import TrainingData
from driftfield.peers.downscaling.base import Downscaler
from driftfield.registry import build, lookup

log = logging.getLogger(__name__)

FOLDER = "first_guess"
"""Where a run keeps the method of its first guess."""

Guesses = dict[str, np.ndarray]
"""Fields (time, row, column) by target, in units of the target."""


class OutOfFoldGuess:
    """A downscaler, and how its residuals are made.

    Arguments:
        spec: Class and arguments of the downscaler; `folds` (8), how many blocks of training dates are left out one after
            the other; `trainer`, where the downscaler is a network.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        inner = dict(spec)
        self.folds, trainer = inner.pop("folds", 8), inner.pop("trainer", None)
        whole_number("anchor.folds", self.folds, 2)
        self.spec, self.trainer = inner, trainer
        if lookup("downscaler", str(inner.get("class"))).leaves_out:
            inner["folds"] = self.folds
        self.method: Downscaler = build("downscaler", inner)
        if self.method.abilities.needs_training != (trainer is not None):
            need = "needs anchor.trainer" if trainer is None else "is fitted at once: anchor.trainer has no meaning"
            raise ConfigurationError(f"The first guess {type(self.method).__name__} {need}.")

    def fit(self, data: TrainingData, seed: int, folder: Path) -> tuple[Guesses, Guesses]:
        """First guesses of the training dates, out of fold, and of the validation dates.

        Raises:
            ConfigurationError: fewer dates than folds.
        """
        if len(data.train) < 2 * self.folds:
            raise ConfigurationError(
                f"Found {len(data.train)} training dates: {self.folds} folds of the first guess need {2 * self.folds}. "
                "Give more, or fewer folds."
            )
        if self.method.leaves_out:
            self._teach(self.method, data, seed, folder / "whole")
            return {name: self.method.left_out(name) for name in data.targets}, _at(self.method, data, data.validation)
        train = np.asarray(data.train)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in data.targets}
        for number, block in enumerate(np.array_split(train, self.folds)):
            log.info("first guess: fold %d of %d", number + 1, self.folds)
            other: Downscaler = build("downscaler", self.spec)
            self._teach(other, replace(data, train=np.setdiff1d(train, block)), seed, folder / f"fold_{number}")
            for name, field in _at(other, data, block).items():
                parts[name].append(field)
        self._teach(self.method, data, seed, folder / "whole")
        return {name: np.concatenate(some) for name, some in parts.items()}, _at(self.method, data, data.validation)

    def _teach(self, method: Downscaler, data: TrainingData, seed: int, folder: Path) -> None:
        if self.trainer is None:
            method.fit(data, seed=seed)
            return
        teaching: Any = {"trainer": build("trainer", self.trainer), "folder": folder}
        method.fit(data, seed=seed, **teaching)

    def of(self, coarse: xr.Dataset) -> Guesses:
        """Of coarse fields that lie on the grid of the run already (`PairGrids.place`)."""
        return _means(self.method, coarse)

    def save(self, folder: Path) -> None:
        """Writes its run inside that of the network."""
        self.method.save(Path(folder) / FOLDER)

    def take(self, folder: Path) -> None:
        """Reads it again."""
        inner = Path(folder) / FOLDER
        self.method = load_as(lookup("downscaler", read_run(inner).class_name), inner)


def _at(method: Downscaler, data: TrainingData, times: np.ndarray) -> Guesses:
    coarse = require_pair(data, "A first guess").coarse.isel(time=times)
    return _means(method, method.grids.place(coarse))


def _means(method: Downscaler, placed: xr.Dataset) -> Guesses:
    """The mean fields, or the means of the members where a method states none."""
    fields = {}
    for name, estimate in method.estimates(placed, 1, 0).items():
        mean = estimate.mean if estimate.mean is not None else np.mean(np.asarray(estimate.members), axis=0)
        fields[name] = np.asarray(mean, dtype=np.float64)
    return fields
