"""A diffusion model of complete fields from fields with gaps, by expectation-maximisation.

    start   any fitted method                                (SpaceTimeOptimalInterpolation by default)
    E       fill the gaps of every training field with draws from p(field | what was seen of it) of the present model
    M       train on the filled fields as if they were the truth, from the weights of the round before

Rozet et al. (2024), "Learning diffusion priors from observations by expectation maximization" (arXiv 2405.13712), with a model
that is conditional on observations already, so that the E step is a reconstruction like any other. Draws and not means: a mean
is too smooth, and a model of means learns a spread that is too small. In the filled fields x_t is complete in training as it
is in sampling; a training on the gappy fields themselves (`diffusion.loss`) has that only where gaps leave clear stretches.

Validation fields keep their gaps: scored are cells that were seen, and hidden further.
"""

__all__ = ["ExpectationMaximisation", "fill_gaps"]

import copy
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import xarray as xr

from driftfield.checkpoint import find_run, read_run
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError, suggest, whole_number
from driftfield.interfaces import Abilities, Cannot, Reconstructor, TrainingData
from driftfield.models.learner import Taught
from driftfield.models.teaching import Teaching
from driftfield.plain import JSONObject
from driftfield.reconstruction.calibration import Calibration
from driftfield.reconstruction.draws import Draws
from driftfield.registry import build, lookup, register

log = logging.getLogger(__name__)


@register("reconstructor")
class ExpectationMaximisation(Taught):
    """Fits another reconstructor to gappy fields in rounds; what is saved is that reconstructor's run.

    Arguments:
        reconstructor: Class and arguments of what is trained.
        rounds: Rounds of filling and training; each trains for all the steps of the trainer.
        members: Draws per training field: so many times as many filled fields.
        start: What fills for the first time: class and arguments of a method that is fitted at once, or {run: FOLDER}.
        error: Standard deviation of the error of the archive's own values, physical units, for all or per target; where it is
            0, what was seen keeps its value.
    """

    def __init__(
        self,
        reconstructor: Mapping[str, Any],
        rounds: int = 3,
        members: int = 2,
        start: Mapping[str, Any] | None = None,
        error: float | Mapping[str, float] = 0.0,
    ) -> None:
        for name, value in (("rounds", rounds), ("members", members)):
            whole_number(name, value)
        self.spec, self.rounds, self.members, self.error = dict(reconstructor), rounds, members, error
        self.start = dict(start or {"class": "SpaceTimeOptimalInterpolation"})
        # a wrong key is found before hours of work, not after
        self.inner: Any = build("reconstructor", self.spec)
        if not self.inner.abilities.needs_training:
            raise ConfigurationError(
                f"{self.spec['class']} is fitted at once and has no use for filled fields: expected DiffusionReconstructor "
                "or another one that is trained."
            )
        self._begin()

    @property
    def method(self) -> str:
        """That of the reconstructor inside."""
        return str(self.inner.method)

    @property
    def abilities(self) -> Abilities:
        """Those of the reconstructor inside, as whose run it is kept."""
        declared: Abilities = self.inner.abilities
        return replace(declared, first_guess=Cannot("is kept as a run of the method inside, which may be one"))

    def check(self) -> None:
        """That of the reconstructor inside, which has one if it says so."""
        self.inner.check()

    @property
    def calibration(self) -> Calibration | None:
        """That of the reconstructor inside."""
        inside: Calibration | None = self.inner.calibration
        return inside

    @calibration.setter
    def calibration(self, calibration: Calibration | None) -> None:
        self.inner.calibration = calibration

    def expected_observations(
        self, data: TrainingData
    ) -> tuple[dict[str, list[str]], dict[str, float | Sequence[float]]]:
        """Those of the reconstructor inside."""
        expected: tuple[dict[str, list[str]], dict[str, float | Sequence[float]]] = self.inner.expected_observations(
            data
        )
        return expected

    def unseen(self, data: TrainingData) -> Self:
        """The same with a reconstructor inside that was not calibrated."""
        method = copy.copy(self)
        method.inner = self.inner.unseen(data)
        return method

    def to(self, device: str | torch.device) -> Self:
        """Moves the reconstructor inside."""
        self.inner.to(device)
        return self

    @property
    def extra(self) -> JSONObject:
        """What run.json says beyond the arguments."""
        inner: JSONObject = self.inner.extra
        return inner

    def learn(self, data: TrainingData, teaching: Teaching) -> None:
        """Alternates between filling and training.

        Arguments:
            data: Archive and splits; the fields may have gaps.
            teaching: Who fits the weights, anew in every round, and where the rounds are kept; a resume goes on after the last
                round that was finished, or in the middle of one.
        """
        trainer, folder, seed, resume = teaching.trainer, teaching.folder, teaching.seed, teaching.resume
        rounds = [Path(folder) / "checkpoints" / f"round_{number + 1}" for number in range(self.rounds)]
        if not resume:  # rounds of an older training would be resumed in place of these
            shutil.rmtree(Path(folder) / "checkpoints", ignore_errors=True)
        done = [place for place in rounds if resume and (place / "run.json").exists()]
        model = self._load(done[-1]) if done else self._fitted_start(data, seed)
        for number in range(len(done), self.rounds):
            log.info("round %d of %d: filling gaps with %s", number + 1, self.rounds, type(model).__name__)
            filled = fill_gaps(model, data, members=self.members, seed=seed + 7919 * number, error=self.error)
            model, place = build("reconstructor", self.spec), rounds[number]
            begun = resume and (place / "checkpoints" / "last").exists()
            warm = trainer if number == 0 else trainer.starting_from(rounds[number - 1])
            model.fit(filled, seed=seed + number, trainer=warm, folder=place, resume=begun)
            model.save(place)
        self.inner = model
        self.extra["expectation_maximisation"] = self._arguments()

    def reconstruct(self, observations: xr.Dataset, *, members: int, seed: int = 0) -> xr.Dataset:
        """As the reconstructor that was fitted."""
        result: xr.Dataset = self.inner.reconstruct(observations, members=members, seed=seed)
        return result

    def complete(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        """As the reconstructor that was fitted, see `reconstruction.draws.TakesDraws`."""
        result: xr.Dataset = self.inner.complete(observations, draws)
        return result

    def save(self, folder: Path) -> None:
        """Writes the run of the reconstructor that was fitted; nobody who loads it needs to know how it was."""
        self.inner.save(Path(folder))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; `load_reconstructor` gives the reconstructor itself."""
        run = read_run(Path(folder))
        loaded = cls({"class": run.class_name, **run.arguments}, **run.extra.get("expectation_maximisation", {}))
        loaded.inner = loaded._load(Path(folder))
        return loaded

    def _arguments(self) -> JSONObject:
        return {"rounds": self.rounds, "members": self.members, "start": self.start, "error": self.error}

    def _begin(self) -> Any:
        """The method that fills for the first time, not fitted."""
        if "run" in self.start:
            if len(self.start) > 1:
                raise ConfigurationError(f"start names a run, and {sorted(self.start)} besides. Leave out the rest.")
            return None
        method = build("reconstructor", self.start)
        if method.abilities.needs_training:
            raise ConfigurationError(
                f"{self.start['class']} has weights to train and cannot start: train it beforehand, and name its run: "
                "start: {run: FOLDER}."
            )
        return method

    def _fitted_start(self, data: TrainingData, seed: int) -> Any:
        method = self._begin()
        if method is None:
            return self._load(find_run(self.start["run"]))
        method.fit(data, seed=seed)
        return method

    @staticmethod
    def _load(folder: Path) -> Any:
        return lookup("reconstructor", read_run(folder).class_name).load(folder)


def fill_gaps(
    model: Reconstructor,
    data: TrainingData,
    *,
    members: int = 1,
    seed: int = 0,
    error: float | Mapping[str, float] = 0.0,
    block: int = 32,
) -> TrainingData:
    """The E step: every training field, its gaps filled with draws from the model's posterior.

    Arguments:
        model: Fitted.
        data: Archive and splits.
        members: Draws per field.
        seed: Of the draws.
        error: Standard deviation of the error of the archive's values, physical units, for all or per target; where it is 0,
            what was seen keeps its value.
        block: Times that are reconstructed at once.

    Returns:
        The same data with `members` filled copies of every training time; validation and test keep their gaps.

    Raises:
        ConfigurationError: an error of a variable that is no target.
    """
    if isinstance(error, Mapping) and (unknown := [name for name in error if name not in data.targets]):
        raise ConfigurationError(f"An error of {unknown[0]!r}, which is no target: {suggest(unknown[0], data.targets)}")
    archive = data.archive
    others = [(data.to_validate, data.validation)] + ([] if data.test is None else [(data.archive, data.test)])
    fields = archive.dataset[[*data.targets, *data.covariates]].isel(time=np.asarray(data.train, dtype=int))
    errors = {n: float(error.get(n, 0.0)) if isinstance(error, Mapping) else float(error) for n in data.targets}
    seen = fields.assign({f"{name}_domain": archive.domain(str(name)) for name in fields.data_vars})
    for name, sd in errors.items():
        seen[f"{name}_error"] = xr.where(fields[name].notnull(), np.float32(sd), np.float32(np.nan))
    together = model.abilities.uses_other_times
    length = fields.sizes["time"] if together else block
    parts = [
        _filled(model, seen.isel(time=slice(start, start + length)), data, errors, members, seed)
        for start in range(0, fields.sizes["time"], length)
    ]
    copies = [xr.concat([part[m] for part in parts], "time") for m in range(members)]
    rest = xr.concat([part.dataset[list(fields.data_vars)].isel(time=times) for part, times in others], "time")
    dataset = xr.concat([*copies, rest], "time")
    # patterns that borrow the gaps of the record need to find them
    measured = xr.concat([*[fields.notnull()] * members, rest.notnull()], "time")
    count = members * len(data.train)
    places = count + np.arange(rest.sizes["time"])
    domains = {str(name): archive.domain(str(name)) for name in fields.data_vars}
    return replace(
        data,
        validation_archive=None,
        archive=GriddedArchive(dataset, domains, archive.periodic, {name: measured[name] for name in domains}),
        train=np.arange(count),
        validation=places[: len(data.validation)],
        test=None if data.test is None else places[len(data.validation) :],
    )


def _filled(
    model: Reconstructor, seen: xr.Dataset, data: TrainingData, errors: Mapping[str, float], members: int, seed: int
) -> list[xr.Dataset]:
    """One data set per member."""
    drawn = model.reconstruct(seen, members=members, seed=seed)
    parts = []
    for m in range(members):
        fields = seen[[*data.targets, *data.covariates]]
        for name in data.targets:
            ensemble = drawn.get(f"{name}_member")
            # a method without members gives the same field every time
            field = drawn[name] if ensemble is None else ensemble.isel(member=m % ensemble.sizes["member"], drop=True)
            field = field.transpose(*seen[name].dims).astype(np.float32)
            filled = field if errors[name] > 0 else seen[name].where(seen[name].notnull(), field)
            fields = fields.assign({name: filled.where(seen[f"{name}_domain"])})
        parts.append(fields.reset_coords(drop=True).load())
    return parts
