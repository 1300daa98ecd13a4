"""What the downscalers with a network share: fields to batches and back, an anchor, training, a run.

    z = ( T(x) - anchor - m ) / s                        m, s: of training dates, see `scaling`
    network( T(y) interpolated, first guess, static fields, maps, date ) -> z, or members of it
    x = T^-1( anchor + m + s z ), then projected onto the coarse means where `how` says so

anchor    none     0: the field itself                            (direct)
          coarse   T(y) interpolated                              (residual)
          {class}  T of the first guess of another downscaler, out of fold on training dates (`first_guess`)

All targets are answered together.
"""

__all__ = ["NetworkAnswer", "NetworkDownscaler", "SharedSettings"]

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypedDict

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.utils.data import Dataset

from driftfield.data.conditions import Conditions, check_labels
from driftfield.data.group_scaling import Scaling
from driftfield.data.pairing import require_pair
from driftfield.data.varying import z_score
from driftfield.errors import ConfigurationError, suggest
from driftfield.fields import FieldBatch, Seen
from driftfield.gridded.encodings import as_dates
from driftfield.interfaces import Ability, Cannot, TrainingData
from driftfield.linalg.regridding import Kind, Regridding
from driftfield.networks.weights import restore_weights, weight_arrays
from driftfield.peers.background import part as prefixed
from driftfield.peers.base import time_stamps
from driftfield.peers.downscaling.base import Date, Downscaler, Fitted, Samples, stacked
from driftfield.peers.downscaling.centring import (
    centred,
    check_centred,
    check_centred_of,
    levels_of,
    with_levels,
    without_levels,
)
from driftfield.peers.downscaling.conserving import check_how, conserved
from driftfield.peers.downscaling.first_guess import Guesses, OutOfFoldGuess
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.peers.downscaling.transform import Transform, check_transforms, transform_of
from driftfield.plain import JSONObject
from driftfield.reconstruction.output import Estimate
from driftfield.registry import build, lookup, parameters_of

ANCHORS = ("none", "coarse")


class SharedSettings(TypedDict, total=False):
    """Settings of every network that downscales, by name; `NetworkDownscaler` says what each means."""

    kind: Kind
    transform: Mapping[str, str] | None
    scaling: Mapping[str, str] | None
    how: Mapping[str, str] | None
    anchor: str | Mapping[str, Any]
    centred: Sequence[str]
    maps: bool
    labels: Sequence[str]


@dataclass(frozen=True)
class NetworkAnswer:
    """What a network says of one date, in network units.

    Arguments:
        mean: (channel, row, column).
        members: (member, channel, row, column), of a method that draws.
        draws: Members whose mean in physical units is the mean, where that is not the one above.
    """

    mean: Tensor
    members: Tensor | None = None
    draws: Tensor | None = None


class NetworkDownscaler(Downscaler):
    """A downscaler whose weights are trained.

    Arguments:
        network: Class and arguments.
        kind: Of the interpolation: nearest, bilinear or bicubic.
        transform: {variable: none | square_root | log}.
        scaling: {per: cell | domain | land, by: none | hour | month | season}: the scales of what is learnt (`scaling.Scaling`).
        how: {variable: additive | multiplicative | none}: the projection onto the coarse means (`Conserving`); none by default.
        anchor: What is subtracted: none, coarse, or class and arguments of a downscaler (`first_guess.OutOfFoldGuess`).
        centred: Targets of which the coarse mean of the date is taken off first and put back at the end: fine fields follow a
            shift of the coarse field exactly, and nothing knows how warm it is.
        maps: Whether the network sees row, column, and the maps of the constants (mean field, sd of what is learnt).
        labels: Classes of the date that the network is told: month, season, hour, day_of_year.
    """

    def __init__(
        self,
        network: Mapping[str, Any],
        kind: Kind = "bilinear",
        transform: Mapping[str, str] | None = None,
        scaling: Mapping[str, str] | None = None,
        how: Mapping[str, str] | None = None,
        anchor: str | Mapping[str, Any] = "coarse",
        centred: Sequence[str] = (),
        maps: bool = False,
        labels: Sequence[str] = (),
    ) -> None:
        self.network, self.kind, self.maps = dict(network), kind, maps
        self.scaling = None if scaling is None else dict(scaling)
        self._scaling = Scaling.of(scaling)
        self.transform, self.how = check_transforms(transform), check_how(how)
        if isinstance(anchor, str) and anchor not in ANCHORS:
            raise ConfigurationError(f"Found anchor: {anchor!r}: {suggest(anchor, ANCHORS)}")
        self.anchor = anchor if isinstance(anchor, str) else dict(anchor)
        self.first_guess = None if isinstance(anchor, str) else OutOfFoldGuess(anchor)
        self.centred, self.labels = check_centred(centred, self.transform, self.how), check_labels(labels)
        self.extra: dict[str, Any] = {}
        self.model: Any = None
        self._guesses: Guesses | None = None

    @property
    def follows_shifts(self) -> Ability:  # type: ignore[override]
        """Where the targets are centred."""
        return bool(self.centred) or Cannot("asks a network, which sees how warm it is unless its target is centred")

    # -- what a kind of network says of itself -------------------------------------------------------------------------

    @abstractmethod
    def objective(self, network: nn.Module) -> nn.Module:
        """The model without weights that were learnt."""

    @abstractmethod
    def answer(self, batch: FieldBatch, members: int, seed: int, stamp: int) -> NetworkAnswer:
        """Of a batch of one date."""

    def look_at(self, batch: FieldBatch) -> None:
        """Looks at all training dates before the training; nothing, for most."""

    def look_back(self, validation: FieldBatch, seed: int) -> None:
        """Looks at the validation dates after it; nothing, for most."""

    # -- learning ------------------------------------------------------------------------------------------------------

    def fit(
        self,
        data: TrainingData,
        *,
        seed: int = 0,
        trainer: Any = None,
        folder: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Trains on the training dates; the best weights are chosen on the validation dates.

        Raises:
            ConfigurationError: no trainer or no folder, or no pairs.
        """
        if trainer is None or folder is None:
            raise ConfigurationError(f"{type(self).__name__}.fit needs a trainer and a folder: pass both.")
        check_centred_of(self.centred, data.targets, data.bounds)
        data = centred(data, self.centred)
        train, validation = self._first_guesses(data, seed, folder)
        self._guesses = train
        super().fit(data, seed=seed)
        pair = require_pair(data, type(self).__name__)
        fine, coarse = data.archive.dataset, pair.coarse
        batch, held = (
            self._batch(coarse.isel(time=times), guess, fine.isel(time=times))
            for times, guess in ((data.train, train), (data.validation, validation))
        )
        torch.manual_seed(seed)
        self.model = self.built()
        self.look_at(batch)
        total = trainer.steps * trainer.batch_size
        history = trainer.fit(
            self.model,
            lambda start: _Shuffled(batch, seed, start, total),
            [held[start : start + 64] for start in range(0, len(held), 64)],
            folder=folder,
            seed=seed,
            resume=resume,
        )
        self.extra |= {"history": history}
        self.model.eval()
        self.look_back(held, seed)

    def _first_guesses(self, data: TrainingData, seed: int, folder: Path) -> tuple[Guesses | None, Guesses | None]:
        """Of training and validation dates."""
        if self.first_guess is None:
            return None, None
        return self.first_guess.fit(data, seed, Path(folder) / "first_guess_folds")

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """Constants of one variable: of what the anchor leaves, and of the interpolated coarse field and the first guess."""
        transform = transform_of(self.transform, samples.name, samples.fine)
        up = regridding.interpolate(transform(samples.coarse), self.kind)
        fine, land = transform(samples.fine), self._land()
        constants = {"scale": np.array([transform.scale])}
        anchor = up if self.anchor == "coarse" else 0.0
        if self._guesses is not None:
            anchor = transform(self._guesses[samples.name][samples.places])
            guess = self._scaling.fit(anchor, samples.dates, land)
            constants |= {f"guess.{key}": values for key, values in guess.items()}
        scales = {
            "residual": self._scaling.fit(fine - anchor, samples.dates, land),
            "coarse": self._scaling.fit(up, samples.coarse_dates, land),
        }
        constants |= {f"{part}.{key}": values for part, found in scales.items() for key, values in found.items()}
        if self.maps:
            known = np.isfinite(fine)
            constants["map.mean"] = np.where(known, fine, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return constants

    def _land(self) -> np.ndarray | None:
        """Where a static field says that there is more than half land."""
        for name in ("sftlf", "lsm"):
            if name in self.grids.statics.fine:
                share = self.grids.statics.fine[name]
                return np.asarray(share > (50.0 if np.nanmax(share) > 1.5 else 0.5))
        return None

    def _scales(self, name: str, part: str, dates: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (time, row, column) on some dates."""
        constants = prefixed(self.fitted[name], f"{part}.")
        places = self._scaling.places(dates, constants, type(self).__name__)
        return constants["mean"][places], constants["sd"][places]

    def built(self) -> nn.Module:
        """The model without weights that were learnt."""
        count = len(self.grids.targets)
        given = count * (1 + (self.first_guess is not None)) + len(self._fixed())
        parts: dict[str, Any] = {"channels": count, "covariates": given, "first_guess": False, **self.of_network()}
        if self.labels:
            parts["labels"] = Conditions(labels=self.labels).classes
        _refuse_untaken(self.network, parts)
        return self.objective(build("network", self.network, **parts))

    def of_network(self) -> JSONObject:
        """Further arguments of the network."""
        return {}

    # -- fields to batches and back ------------------------------------------------------------------------------------

    def _transform(self, name: str) -> Transform:
        return Transform(self.transform.get(name, "none"), float(self.fitted[name]["scale"][0]))

    def _upon(self, coarse: np.ndarray, name: str) -> np.ndarray:
        """Interpolated coarse fields (time, row, column), on the scale of the method."""
        regridding = self.grids.map_of(name)
        return regridding.interpolate(self._transform(name)(regridding.fill_coarse(coarse)), self.kind)

    def _anchor(self, name: str, up: np.ndarray, guess: Guesses | None) -> np.ndarray:
        """What is subtracted: (time, row, column), on the scale of the method."""
        if guess is not None:
            return self._transform(name)(guess[name])
        return up if self.anchor == "coarse" else np.zeros_like(up)

    def _fixed(self) -> np.ndarray:
        """Channels that are the same at all dates: (channel, row, column)."""
        grids = self.grids
        anywhere = np.any(list(grids.domains.values()), axis=0)
        statics = grids.statics.channels(grids.regridding, anywhere)
        if not self.maps:
            return statics
        rows, columns = grids.regridding.fine.shape
        places = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
        learnt = []
        for name in grids.targets:
            for label, values in (("mean", self.fitted[name]["map.mean"]), ("sd", self.fitted[name]["residual.sd"][0])):
                if values[grids.domains[name]].std() > 1e-6 * max(1.0, float(np.abs(values).max())):
                    learnt.append(z_score(values, grids.domains[name], f"{label} of {name}"))
        return np.concatenate([statics, np.stack([*places, *learnt])])

    def _batch(self, coarse: xr.Dataset, guess: Guesses | None, fine: xr.Dataset | None = None) -> FieldBatch:
        """All dates as one batch; without fine fields the target is 0 and counts nowhere."""
        grids, names = self.grids, self.grids.targets
        dates = as_dates(coarse["time"])
        ups = {n: self._upon(coarse[n].values, n) for n in names}
        shown = [_scaled(ups[n], self._scales(n, "coarse", dates)) for n in names]
        if guess is not None:
            shown += [_scaled(self._anchor(n, ups[n], guess), self._scales(n, "guess", dates)) for n in names]
        fixed = self._fixed()
        channels = np.concatenate([np.stack(shown, axis=1), np.broadcast_to(fixed, (dates.size, *fixed.shape))], axis=1)
        domain = np.broadcast_to(
            np.stack(list(grids.domains.values())), (dates.size, len(names), *grids.regridding.fine.shape)
        )
        target = np.full(domain.shape, np.nan)
        for index, name in enumerate(names if fine is not None else ()):
            assert fine is not None
            values = self._transform(name)(fine[name].transpose("time", "lat", "lon").values.astype(np.float64))
            residual = values - self._anchor(name, ups[name], guess)
            target[:, index] = _scaled(residual, self._scales(name, "residual", dates))
        known = np.isfinite(target) & domain
        where = torch.ones(channels.shape, dtype=torch.bool)
        year = (dates.dt.dayofyear.values - 1 + dates.dt.hour.values / 24.0) / 366.0
        labels = Conditions(labels=self.labels).classes_at(dates)
        return FieldBatch(
            target=_tensor(np.where(known, target, 0.0)),
            seen=Seen.nothing(*target.shape),
            domain=torch.from_numpy(domain.copy()),
            held_out=torch.from_numpy(known),
            given=Seen(_tensor(channels), where, torch.zeros(channels.shape)),
            presence=torch.ones(channels.shape[:2]),
            position=torch.zeros(dates.size, 2),
            date=_tensor(np.stack([year, dates.dt.hour.values / 24.0], axis=1)),
            labels=torch.from_numpy(labels) if self.labels else None,
        )

    def estimates(self, coarse: xr.Dataset, members: int, seed: int) -> dict[str, Estimate]:
        """All targets of every date, date by date."""
        assert self.model is not None
        levels = levels_of(coarse, self.centred)
        coarse = without_levels(coarse, levels)
        guesses = None if self.first_guess is None else self.first_guess.of(coarse)
        parts: dict[str, list[Estimate]] = {name: [] for name in self.grids.targets}
        for index, stamp in enumerate(time_stamps(coarse["time"])):
            date = coarse.isel(time=[index])
            guess = None if guesses is None else {name: fields[[index]] for name, fields in guesses.items()}
            with torch.no_grad():
                answer = self.answer(self._batch(date, guess), members, seed, stamp)
            for name in self.grids.targets:
                parts[name].append(self._decoded(answer, name, date, guess))
        return with_levels({name: stacked(some) for name, some in parts.items()}, levels)

    def _decoded(self, answer: NetworkAnswer, name: str, date: xr.Dataset, guess: Guesses | None) -> Estimate:
        """One target of one date in physical units; a mean is decoded only where decoding is affine, or there is no other."""
        channel, how = self.grids.targets.index(name), self.how.get(name, "none")
        transform = self._transform(name)
        mean, sd = (part[0] for part in self._scales(name, "residual", as_dates(date["time"])))
        start = self._anchor(name, self._upon(date[name].values, name), guess)[0] + mean
        asked = np.where(self.grids.known[name], date[name].values[0], np.nan)

        def physical(z: Tensor) -> np.ndarray:
            field = transform.inverse(start + sd * z[..., channel, :, :].numpy().astype(np.float64))
            return conserved(field, asked, self.grids.map_of(name), how)

        members = None if answer.members is None else physical(answer.members)
        if answer.draws is not None:
            return Estimate(physical(answer.draws).mean(axis=0), members=members)
        affine = transform.kind == "none" and how != "multiplicative" and name not in self.grids.bounds
        return Estimate(physical(answer.mean) if affine or members is None else None, members=members)

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """Never asked for: the targets of a date are answered together."""
        raise NotImplementedError

    # -- what is kept --------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Constants and weights."""
        arrays, extra = super().state()
        assert self.model is not None
        return arrays | weight_arrays(self.model), extra | self.extra

    def take(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any], grids: PairGrids) -> None:
        """Takes back what `state` gave."""
        super().take(arrays, extra, grids)
        self.extra = {key: value for key, value in extra.items() if key not in ("grids", "seed", "method")}
        self.model = self.built()
        restore_weights(self.model, arrays, Path("the run"))
        self.model.eval()

    def save(self, folder: Path) -> None:
        """Writes the run, and that of its first guess inside it."""
        super().save(folder)
        if self.first_guess is not None:
            self.first_guess.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        method = super().load(folder)
        if method.first_guess is not None:
            method.first_guess.take(folder)
        return method


class _Shuffled(Dataset[FieldBatch]):
    """Dates in a random order, every one once before any comes again; sample i depends on the seed and i alone.

    Arguments:
        batch: All training dates.
        seed: Of the order.
        start: Index of the first sample.
        total: How many samples a whole training takes.
    """

    def __init__(self, batch: FieldBatch, seed: int, start: int, total: int) -> None:
        self.batch, self.seed, self.start, self.total = batch, seed, start, total
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=int))

    def __len__(self) -> int:
        return max(0, self.total - self.start)

    def __getitem__(self, index: int) -> FieldBatch:
        epoch, place = divmod(self.start + index, len(self.batch))
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.batch))
        chosen = int(self._order[1][place])
        return self.batch[chosen : chosen + 1]


def _refuse_untaken(network: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    """Refuses what a network is to be told and would not listen to.

    Raises:
        ConfigurationError: class labels, or random numbers of a member, for a network that takes none.
    """
    takes = parameters_of(lookup("network", str(network.get("class"))))
    for argument, what in (("labels", "class labels"), ("latent", "random numbers of a member")):
        if argument in parts and argument not in takes:
            raise ConfigurationError(f"{network['class']} takes no {what}. Use ResidualUNet, or leave them out.")


def _scaled(values: np.ndarray, scales: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    mean, sd = scales
    return (values - mean) / sd


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
