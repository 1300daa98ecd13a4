r"""The filler of any field: weights that have seen many random worlds, and nothing of the user's data.

    observations of one field  --normalise by themselves-->  kriging by itself  -->  network  -->  mean and spread of every cell
    member = mean + spread e,     e = (z - kriging(z)) / spread of kriging

z is a random field of the covariance that the observations show (`gaussian.variogram`), seen in the same cells with the same
errors and completed by the same weights of kriging: e is the error of completing a field that is known, in units of the spread,
so members are coherent fields which agree with the observations (conditional simulation; Chiles and Delfiner 1999).

Every level of every variable is completed for itself, by the same weights; a section (one row or one column of places, several
depths) is one field of depth and distance. No position, date, unit or name is looked at.
"""

__all__ = ["AnyFieldReconstructor"]

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
import xarray as xr
from scipy import fft

from driftfield.checkpoint import read_run_of, write_run
from driftfield.conventions import DIMS, domain_of, error_of, state_variables
from driftfield.diffusion.noise import CellNoise
from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.field_kriging import FieldKriging
from driftfield.gaussian.variogram import FittedMatern, fit_matern
from driftfield.gridded.encodings import date_text
from driftfield.gridded.region import is_periodic
from driftfield.interfaces import Abilities, Cannot, TrainingData
from driftfield.models.any_field_samples import Normalised, krige, normalise
from driftfield.models.network_guess import NetworkGuess
from driftfield.networks.any_field import AnyFieldNetwork
from driftfield.networks.weights import restore_weights, weight_arrays
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.output import Estimate, assemble, joined
from driftfield.registry import build, register
from driftfield.worlds.random_fields import MaternFields, torus_of

log = logging.getLogger(__name__)

_AT_ONCE = Cannot("gives its answer in one look of the network")

_WRAP = 32
"""Columns repeated on either side where longitude wraps; fewer columns than that are repeated more than once."""


@dataclass(frozen=True)
class _Slice:
    """One horizontal field as the network sees it, all (lat, lon), and the units that it came in.

    Arguments:
        values: In network units, 0 where not observed.
        observed: Where they are.
        domain: Where the field exists.
        error: Standard deviation of the errors, network units, 0 where not observed.
        unit: Of the values.
        constant: Whether all observed values are equal.
        periodic: Whether the columns wrap.
    """

    values: np.ndarray
    observed: np.ndarray
    domain: np.ndarray
    error: np.ndarray
    unit: Normalised
    constant: bool
    periodic: bool


@register("reconstructor")
class AnyFieldReconstructor(NetworkGuess):
    """Completes any gridded field from its own observations, without training, recipe or archive.

    Arguments:
        network: Class and arguments of the network; `driftfield.networks.any_field.AnyFieldNetwork`.
        symmetries: Over how many flips and turns of the plane mean and spread are averaged: 1, 2, 4, or 8, which makes them
            turn and flip with the field exactly.
    """

    method: ClassVar[str] = "anyfield"
    abilities: ClassVar[Abilities] = Abilities(
        # a date on which nothing was seen of a variable is given the mean and the spread of the others
        uses_other_times=True,
        takes_draws=True,
        chooses_times=True,
        learns=False,
        first_guess=True,
        sampler=_AT_ONCE,
        precision=_AT_ONCE,
        replacement=_AT_ONCE,
        batch_size=_AT_ONCE,
        device=True,
        calibration=Cannot("is fitted to no archive, and has no validation split to be calibrated on"),
    )

    def __init__(self, network: Mapping[str, Any], symmetries: int = 1) -> None:
        if symmetries not in (1, 2, 4, 8):
            raise ConfigurationError(f"Found symmetries={symmetries!r}: expected 1, 2, 4 or 8 flips and turns.")
        self.network_spec = dict(network)
        self.symmetries = symmetries
        self.network: AnyFieldNetwork = build("network", self.network_spec)
        self.network.eval()
        self.extra: JSONObject = {}

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """There is nothing to fit.

        Raises:
            ConfigurationError: always; `scripts/train_anyfield.py` makes the weights.
        """
        raise ConfigurationError(
            "AnyFieldReconstructor learns from random worlds, not from an archive: expected one of the other reconstructors "
            "in a recipe. Use the run that comes with the package, shipped:anyfield, as it is."
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def to(self, device: str | torch.device) -> Self:
        """Moves the weights; what is reconstructed comes back to the processor."""
        self.network.to(device)
        return self

    def reconstruct(
        self, observations: xr.Dataset, *, members: int, seed: int = 0, times: Sequence[int] | None = None
    ) -> xr.Dataset:
        """Completes every variable of an observation data set; see `interfaces.Reconstructor`.

        Arguments:
            observations: An observation file, opened; a variable that states no domain is taken to exist everywhere.
            members: Size of the ensemble.
            seed: Of the members.
            times: Indices of the dates to complete, all of them by default.

        Raises:
            ConfigurationError: fewer than one member.
            DataError: no variable with time, latitude and longitude, or one of which nothing was seen on any date.
        """
        if members < 1:
            raise ConfigurationError(f"Found members={members}: expected 1 or more.")
        names = [name for name in state_variables(observations) if "time" in observations[name].dims]
        if not names:
            raise DataError(
                f"No variable with time, lat and lon in the observations: found {sorted(map(str, observations))}."
            )
        chosen = list(range(observations.sizes["time"]) if times is None else times)
        estimates = {name: self._complete(observations, name, chosen, members, seed) for name in names}
        return assemble(
            observations.isel(time=chosen),
            estimates,
            method=self.method,
            seed=seed,
            members=members,
            domains={name: _domain(observations, name) for name in names},
        )

    def complete(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        """See `reconstruction.draws.TakesDraws`."""
        draws.refuse(self, "batch_size", "watcher", "keeper", "guide", "tiles")
        return self.reconstruct(observations, members=draws.members, seed=draws.seed, times=draws.times)

    def _complete(
        self, observations: xr.Dataset, name: str, chosen: Sequence[int], members: int, seed: int
    ) -> Estimate:
        """Mean, spread and members ([member,] time, [depth,] lat, lon) of one variable, in its units."""
        field = observations[name].transpose(*(d for d in DIMS if d in observations[name].dims))
        if domain_of(observations, name) is None:
            log.warning("%s states no domain: completed in all %d cells of the grid", name, field[0].size)
        domains, depth = _domain(observations, name), "depth" in field.dims
        section = depth and 1 in field.shape[-2:]
        error, levels = error_of(observations, name), [None] if section else _levels(field)
        periodic = is_periodic(field["lon"])
        parts: list[Estimate] = []
        unseen = 0
        for time in chosen:
            values, domain = _planes(field, time, section), _planes(domains, time, section)
            stated = np.zeros_like(values) if error is None else _planes(error.transpose(*field.dims), time, section)
            planes = zip(values, np.nan_to_num(stated), domain, strict=True)
            slices = [_slice(*plane, periodic=periodic) for plane in planes]
            fallback = _fallback(slices, field, domain)
            stamp = date_text(field["time"].values[time])
            unseen += sum(part is None for part in slices)
            level_parts = [
                _unseen(fallback, plane.shape, _Noise(seed, stamp, f"{name}@{level}", periodic), members)
                if part is None
                else self._one(part, _Noise(seed, stamp, f"{name}@{level}", periodic), members)
                for part, level, plane in zip(slices, levels, domain, strict=True)
            ]
            mean, sd, drawn = (np.stack(part) for part in zip(*level_parts, strict=True))
            shape = (-1, *field.shape[-2:])
            drawn = drawn.swapaxes(0, 1).reshape(members, *shape)
            parts.append(Estimate(mean.reshape(shape), sd.reshape(shape), drawn))
        if unseen:
            log.warning(
                "%s: nothing was seen in %d of %d horizontal fields: the mean and the spread of the others stand there",
                name,
                unseen,
                len(chosen) * len(levels),
            )
        return joined(parts, depth)

    def unseen(self, data: TrainingData) -> Self:
        """Itself: it has learnt from nobody's archive."""
        return self

    # -- one horizontal field ------------------------------------------------------------------------------------------

    def _one(self, part: _Slice, noise: "_Noise", members: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, spread (lat, lon) and members (member, lat, lon) in the units of the observations."""
        mean, sd, model = self._averaged(part)
        if part.constant:  # by symmetry: what is said of y is said of -y
            mean = np.zeros_like(mean)
        wide = _wrapped(part)
        kriging = FieldKriging(model, wide.observed, wide.error)
        errors = [_error(kriging, part, *noise.draw(model, part.values.shape, m)) for m in range(members)]
        drawn = mean + sd * np.stack(errors)
        centre, scale = part.unit.centre, part.unit.scale
        return centre + scale * mean, abs(scale) * sd, centre + scale * drawn

    def _averaged(self, part: _Slice) -> tuple[np.ndarray, np.ndarray, FittedMatern]:
        """Mean and spread in network units, averaged over flips and turns, and the covariance of the field as it lies."""
        wide, margin = _wrapped(part), (_WRAP if part.periodic else 0)
        means, variances, models = [], [], []
        for turn in range(self.symmetries):
            planes = (_turned(plane, turn) for plane in (wide.values, wide.observed, wide.domain, wide.error))
            mean, sd, model = self._network(*map(np.ascontiguousarray, planes))
            columns = slice(margin, margin + part.values.shape[1])
            means.append(_turned_back(mean, turn)[:, columns])
            variances.append(_turned_back(sd, turn)[:, columns] ** 2)
            models.append(model)
        return np.mean(means, axis=0), np.sqrt(np.mean(variances, axis=0)), models[0]

    def _network(
        self, values: np.ndarray, observed: np.ndarray, domain: np.ndarray, error: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, FittedMatern]:
        """Mean and spread (lat, lon) in network units, and the covariance that the first guess has."""
        kriging = krige(values, observed, error)
        planes = (values, observed, domain, error, kriging.mean(values), kriging.sd)
        with torch.inference_mode():
            mean, sd = self.network(*(torch.from_numpy(plane)[None].to(self.device) for plane in planes))
        return mean[0].cpu().double().numpy(), sd[0].cpu().double().numpy(), kriging.model

    # -- what is kept --------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes run.json and arrays.safetensors into `folder`."""
        arguments = {"network": self.network_spec, "symmetries": self.symmetries}
        write_run(Path(folder), type(self).__name__, arguments, weight_arrays(self.network), self.extra)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; raises `FileFormatError` where the folder holds no run of this class."""
        run = read_run_of(cls.__name__, Path(folder))
        filler = cls(**run.arguments)
        restore_weights(filler.network, run.arrays, Path(folder))
        filler.extra = dict(run.extra)
        return filler


def _slice(values: np.ndarray, error: np.ndarray, domain: np.ndarray, *, periodic: bool) -> _Slice | None:
    """A horizontal field in its own units; None where nothing was seen."""
    observed = np.isfinite(values) & domain
    if not observed.any():
        return None
    known = values[observed].astype(np.float64)
    unit = normalise(known, float(np.sqrt((error[observed].astype(np.float64) ** 2).mean())))
    normal = np.where(observed, (np.where(observed, values, 0).astype(np.float64) - unit.centre) / unit.scale, 0)
    scaled = np.where(observed, error / abs(unit.scale), 0)
    constant = bool(np.ptp(known) <= 1e-7 * abs(unit.centre))
    return _Slice(normal.astype(np.float32), observed, domain, scaled.astype(np.float32), unit, constant, periodic)


def _wrapped(part: _Slice) -> _Slice:
    """The field with some of its columns repeated on either side, where longitude wraps."""
    if not part.periodic:
        return part
    planes = (part.values, part.observed, part.domain, part.error)
    values, observed, domain, error = (_wide(plane) for plane in planes)
    return _Slice(values, observed, domain, error, part.unit, part.constant, periodic=False)


def _wide(plane: np.ndarray) -> np.ndarray:
    return np.pad(plane, ((0, 0), (_WRAP, _WRAP)), mode="wrap")


def _error(kriging: FieldKriging, part: _Slice, field: np.ndarray, white: np.ndarray) -> np.ndarray:
    """The error of completing a random field that is known, in units of the spread (lat, lon); 0 where nothing is unknown."""
    seen, columns = np.where(part.observed, field + part.error * white, 0.0), slice(0, field.shape[1])
    if part.periodic:
        seen, columns = _wide(seen), slice(_WRAP, _WRAP + field.shape[1])
    error = (field - kriging.mean(seen)[:, columns]) / kriging.sd[:, columns]
    return np.where(part.observed & (part.error == 0), 0.0, error)


@dataclass(frozen=True)
class _Noise:
    """Random fields that are a function of seed, member, date and level.

    Arguments:
        seed: The user's seed.
        stamp: The date.
        channel: Variable and level.
        periodic: Whether the columns wrap.
    """

    seed: int
    stamp: str
    channel: str
    periodic: bool

    def draw(self, fitted: FittedMatern, shape: tuple[int, int], member: int) -> tuple[np.ndarray, np.ndarray]:
        """A field of the fitted covariance, and white noise of variance 1, both (lat, lon)."""
        torus = torus_of(shape, periodic=self.periodic)
        rows, columns = (np.arange(side) for side in torus)
        cells = CellNoise(self.seed, [member], [self.stamp], [self.channel], rows, columns)
        near = CellNoise(self.seed, [member], [self.stamp], [self.channel], rows[: shape[0]], columns[: shape[1]])
        matern = MaternFields.single(fitted.length, fitted.smoothness, fitted.stretch, fitted.angle)
        root = np.sqrt(matern.spectrum(torus)[0])
        field = fft.irfft2(fft.rfft2(cells(0)[0, 0].numpy()) * root, s=torus)[: shape[0], : shape[1]]
        fine, white = near(1)[0, 0].numpy(), near(2)[0, 0].numpy()
        field = np.sqrt(1 - fitted.nugget) * field + np.sqrt(fitted.nugget) * fine
        return np.sqrt(fitted.sill) * field, white


def _unseen(
    fallback: tuple[float, float], shape: tuple[int, int], noise: _Noise, members: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is said of a field of which nothing was seen: the same mean and spread everywhere, and smooth members."""
    mean, sd = fallback
    convention = fit_matern(np.zeros(shape), np.zeros(shape, dtype=bool))
    drawn = np.stack([mean + sd * noise.draw(convention, shape, member)[0] for member in range(members)])
    return np.full(shape, mean), np.full(shape, sd), drawn


def _fallback(slices: Sequence[_Slice | None], field: xr.DataArray, domain: np.ndarray) -> tuple[float, float]:
    """Mean and spread for a level where nothing was seen: of the other levels of the date, else of the other dates."""
    if all(part is not None for part in slices):
        return 0.0, 1.0
    units = [part.unit for part in slices if part is not None]
    if not units:
        inside = np.where(domain if "depth" in field.dims else domain[0], field.values, np.nan)
        if not (known := inside[np.isfinite(inside)]).size:
            raise DataError(
                f"Nothing was seen of {field.name!r} on any date: expected at least one observation. Leave the variable out."
            )
        units = [normalise(known)]
    centres = [unit.centre for unit in units]
    return float(np.mean(centres)), float(np.sqrt(np.mean([unit.scale**2 for unit in units]) + np.var(centres)))


def _turned(plane: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight flips and turns: bit 1 flips rows, bit 2 columns, bit 4 exchanges the axes."""
    plane = plane[::-1] if turn & 1 else plane
    plane = plane[:, ::-1] if turn & 2 else plane
    return plane.T if turn & 4 else plane


def _turned_back(plane: np.ndarray, turn: int) -> np.ndarray:
    plane = plane.T if turn & 4 else plane
    plane = plane[:, ::-1] if turn & 2 else plane
    return plane[::-1] if turn & 1 else plane


def _domain(observations: xr.Dataset, name: str) -> xr.DataArray:
    """Where the variable exists ([depth,] lat, lon): what the file says, else everywhere."""
    like = observations[name].isel(time=0, drop=True)
    like = like.transpose(*(d for d in DIMS if d in like.dims))
    domain = domain_of(observations, name)
    if domain is None:
        return xr.ones_like(like, dtype=bool)
    if "time" in domain.dims:
        domain = domain.isel(time=0, drop=True) if domain.sizes["time"] == 1 else domain
    dims = [dim for dim in ("time", *like.dims) if dim in (*domain.dims, *like.dims)]
    return domain.broadcast_like(like).transpose(*dims).astype(bool)


def _planes(field: xr.DataArray, time: int, section: bool) -> np.ndarray:
    """One date, or what is the same on all of them, as (level, lat, lon); a section as one plane of depth and distance."""
    values = (field.isel(time=time) if "time" in field.dims else field).values
    return values.reshape(1, len(values), -1) if section else values.reshape(-1, *values.shape[-2:])


def _levels(field: xr.DataArray) -> list[float | None]:
    return [float(depth) for depth in field["depth"].values] if "depth" in field.dims else [None]
