"""What was learnt and its life, in one place: trained, moved, saved, loaded, calibrated, kept within its bounds.

    train    codec, model --Trainer--> weights, history
    save     codec, weights, extra, calibration --> run.json, arrays.safetensors          load    the way back
    finish   reconstruction --calibration--> --bounds--> what is handed back

Whoever is fitted by a trainer is `Taught`: `fit` is written here, and `learn` says what is learnt from what.
Who completes fields, draws courses or steps states with trained weights is `Trained`: it *has* a learner, and says how its model
is built and what it keeps beside it.
"""

__all__ = ["Learner", "Taught", "Trained"]

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
import xarray as xr
from torch import nn

from driftfield.checkpoint import Run, read_run_of, write_run
from driftfield.data.codec import FieldCodec
from driftfield.data.observation_files import complete_errors
from driftfield.data.placing import GridPlacer, Placed
from driftfield.errors import ConfigurationError, once_fitted, whole_number
from driftfield.fields import FieldBatch
from driftfield.gridded.measures import Measures
from driftfield.interfaces import TrainingData
from driftfield.models.teaching import Preview, SamplesFrom, Teaching, Trainer
from driftfield.networks.weights import restore_weights, weight_arrays
from driftfield.plain import JSONObject
from driftfield.reconstruction.bounds import calibrated
from driftfield.reconstruction.calibration import Calibration
from driftfield.registry import shown


@dataclass
class Learner:
    """A codec, a model between its network units, and what is known of both.

    Arguments:
        codec: Between physical and network units.
        model: With the weights, on the processor unless it is moved.
        extra: What `run.json` says beyond arguments, codec and calibration: history, seed, recipe hash.
        calibration: Applied to every reconstruction.
    """

    codec: FieldCodec
    model: nn.Module
    extra: JSONObject = field(default_factory=dict)
    calibration: Calibration | None = None

    def train(
        self,
        teaching: Teaching,
        samples: SamplesFrom,
        validation: Sequence[FieldBatch],
        *,
        wrap: bool,
        diagnose: Callable[[], dict[str, float]] | None = None,
        preview: Preview | None = None,
    ) -> None:
        """Fits the weights, and remembers how that went; the others as of `Trainer.fit`."""
        fit = partial(teaching.trainer.fit, folder=teaching.folder, seed=teaching.seed, resume=teaching.resume)
        history = fit(self.model, samples, validation, wrap=wrap, diagnose=diagnose, preview=preview)
        self.extra |= {"history": history, "seed": teaching.seed}
        self.model.eval()

    @property
    def device(self) -> torch.device:
        """Where the weights are: after a training or `load`, on the processor."""
        return next(self.model.parameters()).device

    @cached_property
    def placer(self) -> GridPlacer:
        """Lays observations out on the grid of the run."""
        grid = self.codec.grid
        return GridPlacer(grid.lat, grid.lon, self.codec.domains, grid.positions)

    def placed(self, observations: xr.Dataset) -> Placed:
        """Observations in the units of the run, their errors complete, on its whole grid."""
        stated = complete_errors(self.codec.measures.brought(observations), "the file of observations")
        return self.placer.place(stated)

    def finished(self, result: xr.Dataset) -> xr.Dataset:
        """A reconstruction, calibrated and within the bounds."""
        return calibrated(result, self.calibration, self.codec.limits())

    def save(
        self,
        folder: Path,
        class_name: str,
        arguments: Mapping[str, Any],
        *,
        beside: Mapping[str, np.ndarray],
        dtype: str = "float32",
    ) -> None:
        """Writes the run.

        Arguments:
            folder: Where to.
            class_name: Whose run it is.
            arguments: Of its constructor.
            beside: Further arrays.
            dtype: Of the weights in the file.
        """
        description, arrays = self.codec.to_arrays()
        arrays |= beside
        arrays |= {name: array.astype(dtype) for name, array in weight_arrays(self.model).items()}
        extra = self.extra | {"codec": description}
        if self.calibration is not None:
            extra["calibration"], maps = self.calibration.kept()
            arrays |= maps
        write_run(folder, class_name, arguments, arrays, extra)

    @classmethod
    def load(cls, run: Run, folder: Path, build_model: Callable[[FieldCodec], nn.Module]) -> Self:
        """What a run holds.

        Arguments:
            run: That was read.
            folder: From where, for messages.
            build_model: The model without its weights.

        Raises:
            FileFormatError: the weights do not fit the model, or a part is missing.
        """
        codec = FieldCodec.from_arrays(run.extra["codec"], run.arrays)
        model = build_model(codec)
        restore_weights(model, run.arrays, folder)
        extra = {key: value for key, value in run.extra.items() if key not in ("codec", "calibration")}
        return cls(codec, model.eval(), extra, Calibration.of_run(run))


class Taught(ABC):
    """Learns from an archive by a trainer that is handed over."""

    @abstractmethod
    def learn(self, data: TrainingData, teaching: Teaching) -> None:
        """`fit`, once all that it needs is there."""

    def fit(
        self,
        data: TrainingData,
        *,
        seed: int = 0,
        trainer: Trainer | None = None,
        folder: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Trains on the training split; the best weights are chosen on the validation split.

        Arguments:
            data: Archive and splits.
            seed: Of weights, samples and noise.
            trainer: Fits the weights.
            folder: Where checkpoints and logs go.
            resume: Go on from the last checkpoint in `folder`.

        Raises:
            ConfigurationError: no trainer or no folder, or data that the method does not learn from, see `learn`.
        """
        if trainer is None or folder is None:
            raise ConfigurationError(f"{type(self).__name__}.fit needs a trainer and a folder: pass both.")
        self.learn(data, Teaching(trainer, folder, seed, resume))


class Trained(Taught):
    """Has a learner once it is fitted, or loaded.

    Arguments:
        network: Class and arguments of the backbone.
        normalizer: Class and arguments of the normaliser of every variable, or such a mapping for each.
        validation_samples: How many samples validate, always the same ones.

    Raises:
        ConfigurationError: a number of validation samples that is none.
    """

    _learner: Learner | None = None

    def __init__(
        self, network: Mapping[str, Any], normalizer: Mapping[str, Any] | None, validation_samples: int
    ) -> None:
        whole_number("validation_samples", validation_samples)
        self.network_spec = dict(network)
        self.normalizer = dict(normalizer or {"class": "ClimatologicalAnomaly"})
        self.validation_samples = validation_samples

    def arguments(self) -> JSONObject:
        """The constructor's arguments, for `run.json`."""
        made_of: JSONObject = {"network": self.network_spec, "normalizer": self.normalizer}
        return made_of | {"validation_samples": self.validation_samples}

    @abstractmethod
    def build_model(self, codec: FieldCodec) -> nn.Module:
        """The model without weights that were learnt."""

    def _beside(self, folder: Path) -> dict[str, np.ndarray]:
        """Arrays that are kept beside codec and weights; runs inside this one are written into its folder."""
        return {}

    def _take_back(self, run: Run, folder: Path) -> None:
        """Takes back what `_beside` gave, before the model is built; nothing, where there is nothing."""

    def __repr__(self) -> str:
        """Its arguments but the defaults, and what it is fitted to."""
        if self._learner is None:
            return shown(self, self.arguments(), "not fitted")
        codec = self._learner.codec
        beside = f" with {', '.join(codec.covariates)}" if codec.covariates else ""
        return shown(self, self.arguments(), f"fitted to {', '.join(codec.targets)}{beside}")

    @property
    def learner(self) -> Learner:
        """What was learnt.

        Raises:
            ConfigurationError: nothing yet.
        """
        return once_fitted(self, self._learner)

    @learner.setter
    def learner(self, learner: Learner) -> None:
        self._learner = learner

    @property
    def codec(self) -> FieldCodec:
        """Between physical and network units."""
        return self.learner.codec

    @property
    def measures(self) -> Measures:
        """What the variables of the run are measured in."""
        return self.codec.measures

    @property
    def model(self) -> nn.Module:
        """With the weights."""
        return self.learner.model

    @property
    def extra(self) -> JSONObject:
        """What `run.json` says beyond arguments, codec and calibration."""
        return self.learner.extra

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """The validations of the training, a record each: "step", and scores by their names."""
        return cast(Sequence[Mapping[str, Any]], self.extra.get("history", ()))

    @property
    def calibration(self) -> Calibration | None:
        """Applied to every reconstruction; `reconstruction.calibration_cases.calibrate` fits it."""
        return None if self._learner is None else self._learner.calibration

    @calibration.setter
    def calibration(self, calibration: Calibration | None) -> None:
        # a copy of who has it keeps its own
        self.learner = replace(self.learner, calibration=calibration)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.learner.device

    def provenance(self) -> JSONObject:
        """What an output says about who made it."""
        return {"run_class": type(self).__name__, "recipe_hash": self.extra.get("recipe_hash", "")}

    def save(self, folder: Path, *, dtype: str = "float32") -> None:
        """Writes the run; the weights may be stored as float16 to halve the file."""
        learner, folder = self.learner, Path(folder)
        learner.save(folder, type(self).__name__, self.arguments(), beside=self._beside(folder), dtype=dtype)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            FileFormatError: no run of this class, or its weights do not fit its network.
        """
        folder = Path(folder)
        run = read_run_of(cls.__name__, folder)
        loaded = cls(**run.arguments)
        loaded._take_back(run, folder)
        loaded.learner = Learner.load(run, folder, loaded.build_model)
        return loaded
