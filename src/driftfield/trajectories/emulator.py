"""Emulators: p(x_(t+1) | x_t) learnt from an archive, one time step after the other.

    x_t  --encode-->  network  --draw-->  z  --decode-->  x_(t+1) = x_t + mean + std z  -->  x_(t+2)  -->  ...

z is the normalised increment (`networks.codecs.IncrementCodec`); `emulators.py` has those who draw it.
"""

__all__ = ["Emulator", "load_emulator"]

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from driftfield.checkpoint import Run, load_as, read_run
from driftfield.data.codec import FieldCodec
from driftfield.diffusion.model import to_residual
from driftfield.diffusion.noise import CellNoise
from driftfield.errors import ConfigurationError, DivergenceError, once_fitted
from driftfield.fields import FieldBatch
from driftfield.gridded.encodings import date_text
from driftfield.interfaces import Abilities, Cannot, TrainingData
from driftfield.models.learner import Learner, Trained
from driftfield.models.teaching import Teaching, remaining
from driftfield.networks.codecs import IncrementCodec
from driftfield.reconstruction.draws import Keeper
from driftfield.registry import build, lookup
from driftfield.sampling.base import Noise
from driftfield.trajectories.transitions import TransitionDataset, successors, transition_batch
from driftfield.trajectories.whole_states import check_whole_grid, encoded_states

_PREFIX = "increments."


class Emulator(Trained):
    """One step of a world, learnt.

    Arguments:
        network: Class and arguments of the backbone; channels are filled in.
        normalizer: Class and arguments of the normaliser of every variable.
        validation_samples: Fixed pairs for validation.
    """

    method: ClassVar[str]
    abilities: ClassVar[Abilities] = Abilities(
        needs_training=True, batch_size=True, calibration=Cannot("steps states and completes no fields")
    )

    def __init__(
        self, network: Mapping[str, Any], normalizer: Mapping[str, Any] | None = None, validation_samples: int = 256
    ) -> None:
        super().__init__(network, normalizer, validation_samples)
        self._increments: IncrementCodec | None = None

    def look_at(self, pairs: TransitionDataset) -> None:
        """Sees training pairs before the training starts; nothing, where nothing is derived from them."""

    @abstractmethod
    def objective(self, network: nn.Module) -> nn.Module:
        """The network with the loss that trains it."""

    @abstractmethod
    def step(self, batch: FieldBatch, noise: Noise) -> Tensor:
        """x_(t+1) (batch, channel, lat, lon) of a `transition_batch`, network units; 0 outside the domain."""

    # -- learning ------------------------------------------------------------------------------------------------------

    def learn(self, data: TrainingData, teaching: Teaching) -> None:
        """Trains on pairs of the training split; the best weights are chosen on pairs of the validation split.

        Arguments:
            data: Archive and splits.
            teaching: Who fits the weights, where, and from which seed.

        Raises:
            ConfigurationError: covariates, or windows that are not the whole grid.
            DataError: a split without consecutive dates.
        """
        if data.covariates:
            raise ConfigurationError(f"An emulator knows no covariates, found {list(data.covariates)}. Leave them out.")
        check_whole_grid(data, "an emulator")
        archive = data.archive
        parts = (data.targets, (), self.normalizer, data.vector_pairs)
        codec = FieldCodec.fit(archive, data.train, *parts, bounds=data.bounds)
        states, dates = encoded_states(archive, codec), codec.dates(archive.times)
        train, checked = (successors(archive, part) for part in (data.train, data.validation))
        self._increments = IncrementCodec.fit(states[train[1]], states[train[0]])
        seed = teaching.seed
        torch.manual_seed(seed)
        self.learner = Learner(codec, self.build_model(codec))
        transitions = partial(TransitionDataset, states, codec=codec, increments=self._increments, dates=dates)
        pairs = transitions(train, samples=teaching.samples, seed=seed)
        held = transitions(checked, samples=self.validation_samples, seed=seed + 1_000_003)
        self.look_at(pairs)
        fixed = held.__getitems__(range(self.validation_samples))

        self.learner.train(
            teaching,
            remaining(pairs),
            fixed,
            wrap=codec.grid.periodic,
            diagnose=lambda: self._diagnose(fixed[0], seed),
        )

    def build_model(self, codec: FieldCodec) -> nn.Module:
        channels = len(codec.channels())
        network: Any = build("network", self.network_spec, channels=channels, covariates=0, first_guess=True)
        return self.objective(network.to(memory_format=torch.channels_last))

    def _diagnose(self, batch: FieldBatch, seed: int) -> dict[str, float]:
        """Error of one step, in standard deviations of the increments."""
        # a trainer has moved the network
        batch = batch.to(self.device)
        rows, columns = (np.arange(size) for size in batch.target.shape[-2:])
        names = [f"{channel.variable}@{channel.level}" for channel in self.codec.channels()]
        noise = CellNoise(seed, [0] * len(batch), range(len(batch)), names, rows, columns, batch.target.device)
        with torch.inference_mode():
            error = to_residual(batch, self.step(batch, noise)) - to_residual(batch, batch.target)
        return {"validation_rmse": float(error[batch.held_out].square().mean().sqrt())}

    # -- stepping ------------------------------------------------------------------------------------------------------

    def roll_out(
        self,
        states: np.ndarray,
        starts: Sequence[Any],
        members: Sequence[int],
        *,
        steps: int,
        seed: int = 0,
        batch_size: int = 512,
        keeper: Keeper | None = None,
    ) -> np.ndarray:
        """Goes on from complete states; a state's future depends on (seed, its start, its member) and on itself alone.

        Arguments:
            states: (case, channel, lat, lon) in network units, NaN outside the domain.
            starts: Date of each case, datetime64 or cftime.
            members: Member number of each case.
            steps: How many time steps.
            seed: Of every draw.
            batch_size: Cases at a time; does not change them.
            keeper: Remembers the courses of some cases, by their numbers.

        Returns:
            (case, step, channel, lat, lon), network units, 0 outside the domain.

        Raises:
            DivergenceError: numbers stopped being finite; names the step.
        """
        walked = []
        for first in range(0, len(states), batch_size):
            part, cases = slice(first, first + batch_size), range(first, min(first + batch_size, len(states)))
            if keeper is not None and (known := keeper.recall(cases)) is not None:
                walked.append(known.numpy())
                continue
            walked.append(self._walk(states[part], starts[part], members[part], steps, seed))
            if keeper is not None:
                keeper.keep(cases, torch.from_numpy(walked[-1]))
        return np.concatenate(walked)

    def valid_dates(self, start: Any, steps: int) -> np.ndarray:
        """The dates of the `steps` states after `start`, of its own kind."""
        seconds = round(self.codec.step_days * 86400)
        if isinstance(start, np.datetime64):
            # seconds reach further than the 584 years of nanoseconds
            return start.astype("datetime64[s]") + np.arange(1, steps + 1) * np.timedelta64(seconds, "s")
        return np.array([start + timedelta(seconds=seconds * lead) for lead in range(1, steps + 1)])

    def _walk(
        self, states: np.ndarray, starts: Sequence[Any], members: Sequence[int], steps: int, seed: int
    ) -> np.ndarray:
        rows, columns = np.arange(states.shape[-2]), np.arange(states.shape[-1])
        names = [f"{channel.variable}@{channel.level}" for channel in self.codec.channels()]
        origins = [date_text(start) for start in starts]
        valid = np.stack([self.valid_dates(start, steps) for start in starts])
        walked = np.empty((len(states), steps, *states.shape[1:]), np.float32)
        now = states
        for lead in range(steps):
            batch = transition_batch(self.codec, self.increments, now, self.codec.dates(valid[:, lead]))
            stamps = [f"{origin} + {lead + 1}" for origin in origins]
            with torch.inference_mode():
                walked[:, lead] = self.step(batch, CellNoise(seed, members, stamps, names, rows, columns)).numpy()
            if not np.isfinite(walked[:, lead]).all():
                raise DivergenceError(
                    f"The forecast met numbers that are not finite at step {lead + 1} of {steps}. Start from states like those "
                    "that the run was trained on, or train it longer."
                )
            now = np.where(batch.domain.numpy(), walked[:, lead], np.nan)
        return walked

    # -- keeping -------------------------------------------------------------------------------------------------------

    @property
    def increments(self) -> IncrementCodec:
        """Mean and scale of the increments, network units."""
        return once_fitted(self, self._increments)

    def _beside(self, folder: Path) -> dict[str, np.ndarray]:
        return {f"{_PREFIX}{name}": array for name, array in self.increments.to_arrays().items()}

    def _take_back(self, run: Run, folder: Path) -> None:
        mine = {name.removeprefix(_PREFIX): array for name, array in run.arrays.items() if name.startswith(_PREFIX)}
        self._increments = IncrementCodec.from_arrays(mine)


def load_emulator(folder: Path) -> Emulator:
    """Loads a run of any registered emulator.

    Raises:
        FileFormatError: the folder is no run.
        ConfigurationError: it is a run of something else.
    """
    name = read_run(Path(folder)).class_name
    try:
        run_class: type[Emulator] = lookup("emulator", name)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{folder} is a run of {name}, which does not step in time. Name a run that was trained with a recipe that has "
            "an 'emulator'."
        ) from error
    return load_as(run_class, folder)
