"""What the diffusion model and the regression network share: data to learn from, a network to fit, a run to keep.

fit:          archive -> windows, splits, codec -> training samples -> trainer -> averaged weights
reconstruct:  observations -> codec -> FieldBatch -> members in network units -> codec -> physical units -> data set
"""

__all__ = ["NetworkReconstructor", "Shared"]

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypedDict, cast

import numpy as np
import torch
import xarray as xr
from torch import nn

from driftfield.checkpoint import Run
from driftfield.data.codec import FieldCodec
from driftfield.data.conditions import Conditions, check_labels
from driftfield.data.context import check_offsets
from driftfield.data.dataset import TwinDataset
from driftfield.data.gaps import warn_of_gaps
from driftfield.data.observed_batch import observation_batch
from driftfield.data.observing import ObservingSystem
from driftfield.errors import ConfigurationError, suggest
from driftfield.fields import FieldBatch
from driftfield.gridded.encodings import date_text
from driftfield.interfaces import Abilities, Archive, TrainingData
from driftfield.models.barely_trained import crps_of_mean_field, said_of_training
from driftfield.models.conditioning import taken
from driftfield.models.first_guess import FirstGuess, check_keys
from driftfield.models.learner import Learner, Trained
from driftfield.models.network_guess import NetworkGuess
from driftfield.models.preview import shown_channels, write_preview
from driftfield.models.teaching import Teaching
from driftfield.models.training_samples import TrainingSamples
from driftfield.models.validation_scores import validation_scores
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import DatedWindow, Draws, NetworkEstimate
from driftfield.reconstruction.output import Estimate, assemble, domains_like, joined
from driftfield.reconstruction.settings import uncalibrated
from driftfield.registry import build

log = logging.getLogger(__name__)


class Shared(TypedDict, total=False):
    """Settings of every network that completes fields, by name; `NetworkReconstructor` says what each means."""

    normalizer: Mapping[str, Any] | None
    augment: Mapping[str, Any] | None
    first_guess: Mapping[str, Any] | None
    validation_samples: int
    context: Sequence[int]
    labels: Sequence[str]


class NetworkReconstructor(NetworkGuess, Trained):
    """A reconstructor whose weights are trained.

    Arguments:
        network: Class and arguments of the backbone; channels and covariates are filled in.
        observing: Arguments of `ObservingSystem`: what is seen in training.
        normalizer: Class and arguments of the normaliser of every variable, or such a mapping for each variable.
        augment: `mix` and `out_of_fold` of `TwinDataset`, `symmetries`: arguments of `Augmentation` (not with a first guess).
        first_guess: {run: FOLDER or shipped:NAME, pool: N, folds: K or leave_out_days: D}: a fitted method whose residual is
            learnt, in N samples computed beforehand, out of fold.
        context: Time offsets, in steps of the archive, of the neighbouring frames that are seen too, such as [-1, 1].
        validation_samples: Fixed validation samples.
        labels: Classes of the date that the network is told: month, season, hour, day_of_year (`data.conditions`).
    """

    method: ClassVar[str]

    def __init__(
        self,
        network: Mapping[str, Any],
        observing: Mapping[str, Any],
        normalizer: Mapping[str, Any] | None = None,
        augment: Mapping[str, Any] | None = None,
        first_guess: Mapping[str, Any] | None = None,
        validation_samples: int = 32,
        context: Sequence[int] = (),
        labels: Sequence[str] = (),
    ) -> None:
        super().__init__(network, normalizer, validation_samples)
        self.observing_spec = dict(observing)
        self.augment = dict(augment or {})
        self.first_guess_spec = dict(first_guess or {})
        self.context, self.labels = check_offsets(context), check_labels(labels)
        known = ("mix", "out_of_fold", "symmetries")
        for key in self.augment:
            if key not in known:
                raise ConfigurationError(f"Unknown key {key!r} under 'augment': {suggest(key, known)}")
        check_keys(self.first_guess_spec)
        self.guess: FirstGuess | None = None

    @cached_property
    def observing(self) -> ObservingSystem:
        """What is seen in training; who completes fields with a run never asks."""
        system: ObservingSystem = build("observing", {"class": "ObservingSystem", **self.observing_spec})
        return system

    def check(self) -> None:
        """Refuses patterns and errors that make no sense; before anything is opened, and not whenever a run is loaded.

        Raises:
            ConfigurationError: there is one.
        """
        if not self.observing.observe:
            raise ConfigurationError(
                "'observe' is empty: expected a pattern for every variable, {thetao: profiles:0.9}."
            )

    def arguments(self) -> JSONObject:
        return super().arguments() | {
            "observing": self.observing_spec,
            "augment": self.augment,
            "first_guess": self.first_guess_spec,
            "context": list(self.context),
            **({"labels": list(self.labels)} if self.labels else {}),
        }

    @abstractmethod
    def objective(self, network: nn.Module, codec: FieldCodec) -> nn.Module:
        """The network with the loss that trains it."""

    def look_at(self, samples: TwinDataset) -> None:
        """Sees training samples before the training starts; nothing, where nothing is derived from them."""

    @abstractmethod
    def estimate(self, batch: FieldBatch, window: DatedWindow, draws: Draws) -> NetworkEstimate:
        """Members, and mean and standard deviation where they are stated, for a batch of one sample."""

    @property
    def spreads(self) -> bool:
        """Whether members differ."""
        return True

    def _estimate(self, batch: FieldBatch, window: DatedWindow, draws: Draws) -> NetworkEstimate:
        """`estimate` where the weights are: batches are made on the processor, and a trainer has moved the network."""
        return self.estimate(batch.to(self.device), window, draws)

    def to(self, device: str | torch.device) -> Self:
        """Moves the weights, as `torch.nn.Module.to` does; what is reconstructed comes back to the processor."""
        self.model.to(device)
        return self

    # -- learning ------------------------------------------------------------------------------------------------------

    def learn(self, data: TrainingData, teaching: Teaching) -> None:
        """Trains on the training split; the best weights are chosen on the validation split.

        Arguments:
            data: Archive and splits.
            teaching: Who fits the weights, where, and from which seed.

        Raises:
            ConfigurationError: a first guess together with what its samples, computed beforehand, do not have.
        """
        self._check_first_guess()
        self.check()
        trainer, seed, archive = teaching.trainer, teaching.seed, data.archive
        codec = self._fitted_codec(data)
        if trainer.preview_depth is not None:
            _say_shown(codec, trainer.preview_depth)
        if self.first_guess_spec:
            self.guess = FirstGuess.open(self.first_guess_spec, data, seed=seed, teaching=teaching)
        if self.method == "diffusion" and not self.observing.shown:
            warn_of_gaps(archive, np.concatenate([data.train, data.validation]), data.targets)
        torch.manual_seed(seed)
        self.learner = Learner(codec, self.build_model(codec))

        samples = TrainingSamples(
            data,
            codec,
            self.observing,
            augment=self.augment,
            guess=self.guess,
            pool=int(self.first_guess_spec.get("pool", 512)),
            folder=teaching.folder,
            seed=seed,
            keep=not trainer.helps,
        )
        train = samples.training(teaching.samples)
        self.look_at(train(0))
        fixed = samples.validation(self.validation_samples, trainer.batch_size)
        self.learner.train(
            teaching,
            train,
            fixed,
            wrap=samples.wraps,
            diagnose=lambda: self._diagnose(fixed[0][:8], seed),
            preview=partial(self._preview, fixed[0][:1], seed, self._units(archive), trainer.preview_depth),
        )
        self.extra["mean_field_crps"] = crps_of_mean_field(fixed[0][:8], self._scale(), spread=self.spreads)
        if said := self.barely_trained:
            log.warning("This network is %s", said)
        if self.guess is not None and self.guess.scale is not None:
            self.extra["first_guess_scale"] = self.guess.scale.tolist()

    def _fitted_codec(self, data: TrainingData) -> FieldCodec:
        variables = data.targets, data.covariates, self.normalizer, data.vector_pairs
        codec = FieldCodec.fit(data.archive, data.train, *variables, self.context, data.bounds)
        dates = data.archive.times[data.train]
        codec.conditions = Conditions.fit(data.statics, self.labels, exists=codec.exists, train=dates)
        return codec

    def _check_first_guess(self) -> None:
        # here and not in __init__: runs that were trained so before are still loaded
        if self.first_guess_spec and any((self.augment.get("symmetries") or {}).values()):
            raise ConfigurationError(
                "Found a first_guess together with augment.symmetries, which the samples of a first guess do not have: "
                "expected one of both. Leave out the other."
            )

    def build_model(self, codec: FieldCodec) -> nn.Module:
        network = build(
            "network",
            self.network_spec,
            channels=len(codec.channels()),
            covariates=len(codec.given()),
            first_guess=self.guess is not None,
            **({"visible": True} if self.observing_spec.get("visible") and self.method == "diffusion" else {}),
            **taken(self.network_spec, codec.conditions),
        )
        return self.objective(network.to(memory_format=torch.channels_last), codec)

    def _diagnose(self, batch: FieldBatch, seed: int) -> dict[str, float]:
        """Scores of a small ensemble of fixed samples."""
        draws = Draws(4 if self.spreads else 1, seed)
        return validation_scores(partial(self._estimate, draws=draws), batch, self._scale())

    def _units(self, archive: Archive) -> dict[str, str]:
        """Of the targets whose departures are in the units of the field, not in those of its logarithm."""
        fields, normalizers = archive.dataset, self.codec.normalizers
        return {n: str(fields[n].attrs.get("units", "")) for n in self.codec.targets if normalizers[n].affine}

    def _preview(
        self, batch: FieldBatch, seed: int, units: Mapping[str, str], depth: float | None, path: Path, title: str
    ) -> None:
        """A picture of one fixed sample."""
        estimate = partial(self._estimate, draws=Draws(8 if self.spreads else 1, seed))
        channels, scale = self.codec.channels(), self._scale()
        write_preview(estimate, batch, channels=channels, scale=scale, title=title, path=path, units=units, depth=depth)

    def _scale(self) -> np.ndarray:
        """(channel, 1, 1): standard deviation of a network unit in physical units, or those of a logarithm."""
        codec = self.codec
        return np.concatenate(
            [np.broadcast_to(codec.normalizers[n].std, (len(codec.grid.levels[n]), 1, 1)) for n in codec.targets]
        )

    # -- reconstructing ------------------------------------------------------------------------------------------------

    @property
    def abilities(self) -> Abilities:
        """Trained; looks at other dates in its context, or where its first guess does."""
        return Abilities(
            needs_training=True,
            checks_training=True,
            uses_other_times=bool(self.context) or (self.guess is not None and self.guess.uses_other_times),
            takes_draws=True,
            chooses_times=True,
            device=True,
            first_guess=True,
            statics=True,
        )

    def expected_observations(
        self, data: TrainingData
    ) -> tuple[dict[str, list[str]], dict[str, float | Sequence[float]]]:
        """Patterns and errors that were seen in training."""
        return self.observing.texts, self.observing.errors

    def unseen(self, data: TrainingData) -> Self:
        """The run without its calibration, its first guess without knowledge of the validation split."""
        method = uncalibrated(self)
        method.guess = None if self.guess is None else self.guess.without_validation(data)
        return method

    def reconstruct(
        self, observations: xr.Dataset, *, members: int, seed: int = 0, times: Sequence[int] | None = None
    ) -> xr.Dataset:
        """Completes an observation data set; see `interfaces.Reconstructor`.

        Arguments:
            observations: An observation file, opened: the grid of the run, a part of it, or more than it.
            members: Size of the ensemble.
            seed: Of the members.
            times: Indices of the dates to complete, all of them by default; the others are context.
        """
        return self.complete(observations, Draws(members, seed, times))

    def complete(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        """Completes an observation data set; see `reconstruction.draws.TakesDraws`."""
        codec = self.codec
        placed = self.learner.placed(observations)
        observations = placed.dataset
        rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
        stamps = observations["time"].values
        chosen = list(range(len(stamps)) if draws.times is None else draws.times)
        guesses = {} if self.guess is None else self.guess.encoded(observations, chosen, codec)
        dates: list[dict[str, Estimate]] = []
        for time in chosen:
            guess = guesses.get(time)
            # moved here: guidance asks for derivatives, which tensors made in inference mode have not
            batch = observation_batch(codec, observations, time, guess=guess).to(self.device)
            with torch.inference_mode():
                estimate = self.estimate(batch, DatedWindow(date_text(stamps[time]), rows, columns), draws)
            dates.append(self._decoded(estimate, stamps[[time]], rows, columns))
        result = assemble(
            observations if draws.times is None else observations.isel(time=chosen),
            {n: joined([one[n] for one in dates], "depth" in observations[n].dims) for n in codec.targets},
            method=self.method,
            seed=draws.seed,
            members=draws.members,
            attrs=self.provenance(),
            domains=domains_like(codec, observations, rows, columns),
        )
        return placed.cut(self.learner.finished(result))

    def _decoded(
        self, estimate: NetworkEstimate, date: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> dict[str, Estimate]:
        """The estimate of one date in physical units, per variable ([member,] level, lat, lon)."""
        codec, first = self.codec, 0
        decoded: dict[str, Estimate] = {}
        mean, sd = (None if part is None else part.cpu().numpy() for part in (estimate.mean, estimate.sd))
        members = estimate.members.cpu().numpy()
        for name in codec.targets:
            part = slice(first, first + len(codec.grid.levels[name]))
            first = part.stop
            affine = codec.normalizers[name].affine
            # what is stated of a logarithm decodes to no mean and no spread: the members have them
            stated = affine or len(members) == 1
            decoded[name] = Estimate(
                None if mean is None or not stated else codec.decode(name, mean[None, part], date, rows, columns)[0],
                None
                if sd is None or not affine
                else sd[part] * codec.slope(name, sd[None, part], date, rows, columns)[0],
                codec.decode(name, members[:, part], date, rows, columns),
            )
        return decoded

    @property
    def barely_trained(self) -> str:
        """What there is to say of a network that has hardly learnt, else nothing."""
        return said_of_training(self.history, cast(float | None, self.extra.get("mean_field_crps")))

    def provenance(self) -> JSONObject:
        """What an output says about who made it."""
        made_by = super().provenance()
        if said := self.barely_trained:
            log.warning("This network is %s", said)
            made_by["training"] = said
        return made_by

    # -- keeping -------------------------------------------------------------------------------------------------------

    def _beside(self, folder: Path) -> dict[str, np.ndarray]:
        if self.guess is not None:
            self.guess.save(folder / "first_guess")
        return {}

    def _take_back(self, run: Run, folder: Path) -> None:
        if (folder / "first_guess").is_dir():
            scale = run.extra.get("first_guess_scale")
            self.guess = FirstGuess.load(folder / "first_guess", self.first_guess_spec, scale=scale)


def _say_shown(codec: FieldCodec, depth: float) -> None:
    """Which levels the pictures of a training show."""
    channels = codec.channels()
    found = [channels[number] for number in shown_channels(channels, depth).values()]
    levels = [f"{channel.variable} at {channel.level:g} m" for channel in found if channel.level is not None]
    log.info("pictures show %s, nearest to preview_depth = %g m", ", ".join(levels), depth)
