"""A trained network as the first guess of another one.

guess          mean and spread of a small ensemble, of one date or of all
out of fold    a network that learnt from this archive has seen the answer: it is trained once more without each block of times,
               by the trainer of the recipe; one that learnt elsewhere, or that comes with the package, is taken as it is
"""

__all__ = ["NetworkGuess", "has_learnt_from", "without_times"]

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import xarray as xr

from driftfield.checkpoint import read_run
from driftfield.conventions import DIMS
from driftfield.gridded.fingerprint import ARCHIVE, fingerprint
from driftfield.interfaces import TrainingData
from driftfield.models.teaching import Teaching
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.output import Estimate

MEMBERS = 8
"""Size of the ensemble whose mean and spread are the guess."""


class _Completes(Protocol):
    """What answers as a guess."""

    def complete(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        """Completes an observation data set."""
        ...


class NetworkGuess:
    """What all networks have alike as a first guess (`models.first_guess.Guessing`): they keep nothing of an archive."""

    refit: bool = False

    def first_guess(
        self: _Completes, observations: xr.Dataset, *, only: int | None = None, leave_out_days: float | None = None
    ) -> Mapping[str, Estimate]:
        """Mean and standard deviation of a small ensemble, of one time or of all, physical units.

        Arguments:
            observations: An observation file, opened, on the grid of the run.
            only: The one time of the file that is asked for.
            leave_out_days: Has no say: no field of the archive is used.
        """
        result = self.complete(observations, Draws(MEMBERS, 0, None if only is None else [only]))
        names = [str(n) for n in result.data_vars if f"{n}_member" in result]
        return {name: Estimate(_values(result, name), _values(result, f"{name}_sd"), None) for name in names}

    def is_short(self, data: TrainingData) -> bool:
        """Never: a network knows no mean of the days around a date."""
        return False

    def remember(self, data: TrainingData, *, before: Any) -> None:
        """Nothing: a network has no memory of fields."""


class _Teachable(Protocol):
    """A network that can be made once more from its arguments."""

    def arguments(self) -> JSONObject:
        """Of its constructor."""
        ...

    def fit(self, data: TrainingData, *, seed: int, trainer: Any, folder: Path, resume: bool = False) -> None:
        """Trains."""
        ...

    def save(self, folder: Path) -> None:
        """Writes its run."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        ...


def without_times(
    peer: _Teachable, data: TrainingData, times: np.ndarray, teaching: Teaching, *, label: str
) -> _Teachable:
    """A twin of a network that has been trained on some times alone; one that a resumed training finds is read.

    Arguments:
        peer: The network.
        data: Archive and splits.
        times: To learn from.
        teaching: By whom, and where the runs of the folds lie.
        label: Of the fold.
    """
    folder = teaching.folder / f"first_guess_{label}"
    if teaching.resume and (folder / "run.json").is_file():
        return type(peer).load(folder)
    twin = type(peer)(**peer.arguments())
    resume = teaching.resume and (folder / "checkpoints").is_dir()
    twin.fit(replace(data, train=times), seed=teaching.seed, trainer=teaching.trainer, folder=folder, resume=resume)
    twin.save(folder)
    return twin


def has_learnt_from(folder: Path, data: TrainingData) -> bool:
    """Whether a run may have learnt from this archive: yes, unless it says that it was fitted to another one."""
    content = (read_run(folder).extra.get("made_of") or {}).get(ARCHIVE)
    return content is None or content == fingerprint(data.archive)


def _values(result: xr.Dataset, name: str) -> np.ndarray | None:
    if name not in result:
        return None
    return np.asarray(result[name].transpose(*(d for d in DIMS if d in result[name].dims)).values)
