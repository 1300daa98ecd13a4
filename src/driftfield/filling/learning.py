"""`--learn`: a diffusion model of what the chosen method leaves, trained on the record itself within a time budget.

    first guess   the method that fills the record, its mean and spread refitted without each fifth of the dates
    samples       a date of the record under the gaps of another one, or under clouds; the noisy field is seen where it was
    test          the blocks of the first draw, which the network never sees: it fills the record only if it misses them by less

What is learnt are residuals in units of their spread, so a network that learns nothing returns the first guess.
"""

__all__ = ["Learning", "Learnt", "LearntMethod", "check_worth_learning", "learn", "minutes_of"]

import copy
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from driftfield.data.patches import Window, window_index
from driftfield.data.splits import spread_over
from driftfield.errors import ConfigurationError
from driftfield.filling.methods import Method
from driftfield.filling.record import Record
from driftfield.filling.validation import Scores, Withheld, predict, refitted, score
from driftfield.interfaces import Abilities, TrainingData
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.first_guess import FirstGuess
from driftfield.plain import JSONObject
from driftfield.registry import build

log = logging.getLogger(__name__)

LABEL = "diffusion"
MEMBERS = 16
"""Members that mean and spread are taken from."""

_LEAST_DATES = 6
_WINDOW = 64
_FOLDS = 5
_STEPS = 100_000
_GUESSES = 0.35
"""Share of the budget for first guesses."""


def minutes_of(text: str) -> float:
    """Minutes of "90s", "10min" or "1h".

    Raises:
        ConfigurationError: it is none of these.
    """
    stated = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", text)
    if stated is None or float(stated[1]) == 0:
        raise ConfigurationError(f"Found --learn {text!r}: expected how long, such as 90s, 10min or 1h.")
    return float(stated[1]) * {"s": 1 / 60, "min": 1.0, "h": 60.0}[stated[2]]


@dataclass(frozen=True)
class Learning:
    """What the user allows.

    Arguments:
        minutes: For first guesses and training together.
        folder: Where the run is kept.
    """

    minutes: float
    folder: Path


class LearntMethod:
    """A diffusion model of the record with its first guess, as one of the methods that fill it."""

    method: ClassVar[str] = LABEL

    def __init__(self, network: DiffusionReconstructor, peer: Any, base: Method) -> None:
        self.network, self.peer, self.base = network, peer, base

    @property
    def abilities(self) -> Abilities:
        """Those of the network; the first guess may look at other dates."""
        return replace(self.network.abilities, uses_other_times=True)

    def continued(self, record: Record, *, seed: int) -> Self:
        """The same weights over a first guess that has learnt from another record of the same grid."""
        peer = refitted(self.peer, self.base, record, seed=seed)
        network = copy.copy(self.network)
        assert network.guess is not None
        network.guess = FirstGuess(peer, scale=network.guess.scale)  # type: ignore[arg-type]
        return type(self)(network, peer, self.base)

    def reconstruct(self, observations: xr.Dataset, *, members: int, seed: int = 0) -> xr.Dataset:
        """Mean and spread of many members, of which as many as are asked for are handed back."""
        result = self.network.reconstruct(observations, members=max(members, MEMBERS), seed=seed)
        return result.isel(member=slice(0, members))


@dataclass(frozen=True)
class Learnt:
    """What came of it.

    Arguments:
        scores: Of the network on the blocks of the first draw.
        rival: Of what was chosen, on the same cells.
        method: As it is named in a recipe.
        folder: Of its run.
        steps: Of the training.
    """

    scores: Scores
    rival: Scores
    method: Method
    folder: Path
    steps: int

    @property
    def wins(self) -> bool:
        """Whether it fills the record."""
        return self.scores.crps < self.rival.crps

    @property
    def said(self) -> str:
        """For the user."""
        verdict = "it fills the file" if self.wins else "it is not used"
        return (
            f"a diffusion model learnt what the chosen method leaves, in {self.steps} steps: CRPS {self.scores.crps:.4g} against "
            f"{self.rival.crps:.4g} on {self.scores.error.size:,} hidden values, {verdict}; its run is {self.folder}"
        )


def check_worth_learning(record: Record, *, whole: bool) -> None:
    """Refuses, before anything is tried, a record that a network cannot learn from.

    Arguments:
        record: What was seen.
        whole: Whether nothing of it is missing.

    Raises:
        ConfigurationError: too few dates, or no gap.
    """
    dates = record.field.sizes["time"]
    if dates < _LEAST_DATES:
        raise ConfigurationError(
            f"Found --learn for {dates} date(s): a network learns nothing from so few, expected {_LEAST_DATES} or more. Leave "
            "it out."
        )
    if whole:
        raise ConfigurationError(
            f"Found --learn for {record.source}, of which nothing is missing: expected gaps. Leave it out."
        )


def learn(
    record: Record,
    fold: Withheld,
    weights: np.ndarray,
    best: Scores,
    base: tuple[Scores, Method],
    learning: Learning,
    *,
    seed: int,
) -> Learnt:
    """Trains on the visible part of one draw of blocks and tests on its hidden part.

    Arguments:
        record: What was seen.
        fold: The first draw; `base` is fitted to its visible part.
        weights: Of its hidden cells.
        best: Scores of what was chosen; the cells of this draw come first.
        base: The method that gives the first guess: the heaviest part of a blend.
        learning: Budget and folder.
        seed: Of weights, samples and members.

    Raises:
        ConfigurationError: a method that cannot be a first guess.
    """
    scores, method = base
    dates = record.field.sizes["time"]
    if not scores.fitted.abilities.first_guess or not scores.fitted.abilities.learns:
        raise ConfigurationError(
            f"Found --learn over {method.label}, which is no first guess that can be refitted: name a peer with --method."
        )
    began, seconds = time.monotonic(), 60 * learning.minutes
    trainer_spec = trainer_of(seconds)
    trainer = build("trainer", trainer_spec)
    scores.fitted.save(learning.folder / "base")
    data = _training(fold.visible, max(1, dates // 6))
    each = _seconds_of_a_guess(scores.fitted, fold.visible)
    pool = int(np.clip(_GUESSES * seconds / max(each, 1e-3), 8, 400))
    spec = _spec(fold.visible, learning.folder / "base", pool, together=scores.fitted.abilities.uses_other_times)
    network: DiffusionReconstructor = build("reconstructor", spec)
    log.info("learning: %d first guesses of %.1f s each, and training until %.0f s have passed", pool, each, seconds)
    network.fit(data, seed=seed, trainer=trainer, folder=learning.folder)
    network.save(learning.folder)
    learnt = LearntMethod(network, scores.fitted, method).continued(fold.visible, seed=seed)
    mean, sd = predict(learnt, fold, seed=seed)  # type: ignore[arg-type]
    cells = slice(0, fold.truth.size)
    rival = score(best.label, best.error[cells], best.sd[cells], fold.distance, weights)
    label = f"{LABEL} of what {method.label} leaves"
    took = time.monotonic() - began
    tested = score(label, mean - fold.truth, sd, fold.distance, weights, seconds=took, fitted=learnt)
    made_of = Method(label, {**spec, "trainer": trainer_spec})
    return Learnt(tested, rival, made_of, learning.folder, int(network.history[-1]["step"]))


def trainer_of(seconds: float) -> JSONObject:
    """The trainer of a recipe: as many steps as there is time for."""
    limit: JSONObject = {"class": "TimeLimit", "hours": round(seconds / 3600, 5), "at_once": True, "preparing": True}
    rate: JSONObject = {"peak": 5.0e-4, "plan": "constant", "warm_up": 50}
    return {
        "class": "LightningTrainer",
        "steps": _STEPS,
        "batch_size": 8,
        "learning_rate": rate,
        "ema": 0.99,
        "validate_every": 100,
        "monitor": "validation_crps",
        "loggers": [],
        "callbacks": [limit],
    }


def _training(record: Record, validation: int) -> TrainingData:
    """Some dates all over the record, none of those that were seen least, validate; windows where the grid is large."""
    count = record.seen.reshape(len(record.seen), -1).sum(axis=1)
    times = np.flatnonzero(count > 0)
    checked = spread_over(times[count[times] >= np.median(count[times])], validation)
    data = replace(record.training(), train=np.setdiff1d(times, checked), validation=checked)
    domain = record.domain.values
    size = [min(_WINDOW, side) for side in domain.shape[-2:]]
    windows: Sequence[Window] = ()
    if size != list(domain.shape[-2:]):
        windows, _ = window_index(domain, size, 16, periodic=record.periodic, max_nodata_fraction=0.8)
    return replace(data, train_windows=tuple(windows), validation_windows=tuple(windows))


def _spec(record: Record, base: Path, pool: int, *, together: bool) -> JSONObject:
    """The reconstructor of a recipe; `together` says whether the first guess looks at other dates."""
    name, sizes = record.name, record.field.sizes
    share = 1 - record.seen.reshape(len(record.seen), -1).sum(axis=1) / max(int(record.domain.sum()), 1)
    gappy = share[(share > 0.01) & (share < 1)]
    typical = float(np.clip(np.median(gappy), 0.2, 0.9)) if gappy.size else 0.5
    clouds = f"clouds:{max(0.1, typical - 0.2):.2f}-{min(0.95, typical + 0.05):.2f}"
    # the gaps of another date hide something of most dates only where most dates have gaps
    patterns = ["own", clouds] if gappy.size > 0.5 * share.size else [clouds]
    levels = 3 if min(sizes["lat"], sizes["lon"]) >= 16 else 2
    widths = [24, 48, 96][:levels]
    network: JSONObject = {
        "class": "ResidualUNet",
        "widths": widths,
        "depths": [1] * levels,
        "condition_depths": [1] * levels,
    }
    guess: JSONObject = {"run": str(base), "pool": pool, "folds": min(_FOLDS, sizes["time"] // 2)}
    observing: JSONObject = {"observe": {name: patterns}, "visible": {name: ["all"]}}
    return {
        "class": "DiffusionReconstructor",
        "network": network,
        "normalizer": {"class": "ClimatologicalAnomaly", "per": "domain" if sizes["time"] < 60 else "cell"},
        "observing": observing,
        "first_guess": guess | ({"around": 12} if together else {}),
        "validation_samples": _validation(pool),
        "sampler": {"class": "DPMSolverPP2M", "evaluations": 10},
    }


def _validation(pool: int) -> int:
    """Samples that validate."""
    return max(4, min(16, pool // 4))


def _seconds_of_a_guess(peer: Any, record: Record) -> float:
    """What the first guess of one date takes."""
    seen = record.seen.reshape(len(record.seen), -1).sum(axis=1)
    observations, middle = record.observations(), int(np.argsort(seen)[seen.size // 2])
    began = time.monotonic()
    peer.first_guess(observations, only=middle)
    return time.monotonic() - began
