"""FieldCodec: between data sets in physical units and the channels that networks work on.

    data set (time, [depth,] lat, lon)  --encode: (x - mean(time, cell)) / scale-->  (time, channel, lat, lon)  --decode-->  back

It knows the grid that a run was made on, so that a reconstruction of a part of the grid finds its own climatology and noise.
"""

__all__ = ["FieldCodec", "bounds_from_json", "bounds_to_json", "with_levels"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import positions_of
from driftfield.data.conditions import Conditions
from driftfield.data.context import check_offsets, time_step
from driftfield.data.grid import Grid
from driftfield.data.normalise import Normalizer, normalizer_from_arrays
from driftfield.data.varying import refuse_still
from driftfield.errors import ConfigurationError, FileFormatError, suggest
from driftfield.fields import Channel
from driftfield.geometry import Geometry
from driftfield.gridded.encodings import date_fraction, is_monthly, time_days
from driftfield.gridded.measures import Measures
from driftfield.interfaces import Archive
from driftfield.plain import JSONObject
from driftfield.registry import build

BOUND_WIDTH = np.float32(1e-5)
"""Network units from a bound within which a value lies on it."""


class FieldCodec:
    """Normalisers of all variables on one grid, with the order of the channels.

    Arguments:
        grid: The grid of the archive.
        targets: Variables to reconstruct.
        covariates: Variables that are given.
        normalizers: One per variable.
        domains: (level, lat, lon) per variable: where it exists.
        vector_pairs: (eastward, northward) names of the components of vectors.
        context: Time offsets, in steps, of the neighbouring frames that are given too (`driftfield.data.context`).
        step_days: The time step of the archive, days.
        bounds: (lower, upper) of targets that have bounds, physical units, infinite where there is none.

    Raises:
        ConfigurationError: a bound of a component of a vector, which turns with its partner.
    """

    def __init__(
        self,
        grid: Grid,
        targets: Sequence[str],
        covariates: Sequence[str],
        normalizers: Mapping[str, Normalizer],
        domains: Mapping[str, np.ndarray],
        vector_pairs: Sequence[tuple[str, str]] = (),
        context: Sequence[int] = (),
        step_days: float = 1.0,
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self.context, self.step_days = check_offsets(context), float(step_days)
        self.grid, self.targets, self.covariates = grid, tuple(targets), tuple(covariates)
        self.normalizers, self.domains = dict(normalizers), dict(domains)
        self.measures, self.conditions = Measures(), Conditions()
        self.vector_pairs = [(u, v) for u, v in vector_pairs]
        self.bounds = {name: (float(low), float(high)) for name, (low, high) in (bounds or {}).items()}
        if turning := sorted({name for pair in self.vector_pairs for name in pair} & set(self.bounds)):
            raise ConfigurationError(
                f"{turning[0]!r} is part of a vector pair and has bounds: expected one of both. Drop one."
            )

    @classmethod
    def fit(
        cls,
        archive: Archive,
        train: np.ndarray,
        targets: Sequence[str],
        covariates: Sequence[str],
        normalizer: Mapping[str, Any],
        vector_pairs: Sequence[tuple[str, str]] = (),
        context: Sequence[int] = (),
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ) -> "FieldCodec":
        """Fits one normaliser per variable to the training times; the two of a vector get one scale and no uniform offset.

        `normalizer` is class and arguments of that of all variables, or one such mapping for each of them.

        Raises:
            ConfigurationError: a component of a vector without its partner beside it, or a variable without a normaliser.
        """
        variables = [*targets, *covariates]
        specs = _normalizer_specs(normalizer, variables)
        pairs = _whole_pairs(archive, vector_pairs, targets, covariates)
        turning = {name for pair in pairs for name in pair}
        grid = Grid(
            lat=archive.dataset["lat"].values.astype(np.float64),
            lon=archive.dataset["lon"].values.astype(np.float64),
            levels={name: archive.levels(name) for name in variables},
            periodic=bool(archive.periodic),
            monthly=bool(is_monthly(archive.times)),
            positions=positions_of(archive.dataset),
        )
        fitted = {
            name: build("normalizer", specs[name]).fit(
                archive.dataset[name], archive.domain(name), train, vector=name in turning
            )
            for name in variables
        }
        for name in covariates:
            inside = archive.dataset[name].isel(time=train[[0, -1]]).where(archive.domain(name))
            refuse_still(name, fitted[name].std, inside)
        for u, v in pairs:
            if specs[u] != specs[v]:
                raise ConfigurationError(
                    f"The vector pair {[u, v]} has two normalisers: expected the same one, or it cannot turn. Name it for both."
                )
            fitted[u].share_scale(fitted[v])
        domains = {name: _with_levels(archive.domain(name).values) for name in variables}
        step = time_step(time_days(archive.times))
        codec = cls(grid, targets, covariates, fitted, domains, vector_pairs, context, step, bounds)
        codec.measures = Measures.fit(archive.dataset, variables, train)
        return codec

    @property
    def exists(self) -> np.ndarray:
        """Where any target exists at any level: (lat, lon)."""
        return np.logical_or.reduce([self.domains[name].any(axis=0) for name in self.targets])

    def channels(self, variables: Sequence[str] | None = None) -> list[Channel]:
        """The channel table: every level of every variable (default: of the targets)."""
        names = self.targets if variables is None else variables
        partners = dict(self.vector_pairs) | {v: u for u, v in self.vector_pairs}
        northward = {v for _, v in self.vector_pairs}
        return [
            Channel(name, level, partner=partners.get(name), northward=name in northward)
            for name in names
            for level in self.grid.levels[name]
        ]

    def channel_names(self) -> list[str]:
        """The channels of the targets as the streams of random numbers are called."""
        return [f"{channel.variable}@{channel.level}" for channel in self.channels()]

    def given(self) -> list[Channel]:
        """The channel table of what is given and not reconstructed: covariates, then the frames of the time context."""
        now = self.channels(self.covariates)
        around = self.channels((*self.targets, *self.covariates))
        return now + [replace(channel, offset=offset) for offset in self.context for channel in around]

    def frames(self) -> list[tuple[str, int]]:
        """(variable, time offset) in the order of the channels: targets, covariates, then the time context."""
        names = (*self.targets, *self.covariates)
        return [(name, offset) for offset in (0, *self.context) for name in names]

    def encode(self, name: str, values: np.ndarray, times: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Physical units (time, level, lat, lon) -> network units; NaN stays NaN."""
        normalizer = self.normalizers[name]
        place = times, rows, columns
        return normalizer.encode(values, normalizer.mean_at(*place), normalizer.scale_at(*place)).astype(np.float32)

    def slope(self, name: str, values: np.ndarray, times: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Physical units in a network unit at physical values (time, level, lat, lon): what an error is divided by."""
        normalizer = self.normalizers[name]
        found = normalizer.slope(values, normalizer.scale_at(times, rows, columns))
        return np.broadcast_to(found, np.broadcast_shapes(found.shape, values.shape))

    def decode(
        self, name: str, values: np.ndarray, times: Any, rows: np.ndarray, columns: np.ndarray, *, bounded: bool = True
    ) -> np.ndarray:
        """Network units (time, level, lat, lon) -> physical units.

        Arguments:
            name, values, times, rows, columns: As of `encode`.
            bounded: Clamp to the bounds of the variable, and put on them what lies on them but for rounding; an observation may
                lie beyond them by its error, a field may not.
        """
        normalizer = self.normalizers[name]
        mean, scale = normalizer.mean_at(times, rows, columns), normalizer.scale_at(times, rows, columns)
        field = normalizer.decode(values, mean, scale).astype(np.float32)
        if not bounded or name not in self.bounds:
            return field
        low, high = self.bounds[name]
        # an end that is infinite has no room beside it
        over, under = (
            2 * BOUND_WIDTH * normalizer.slope(np.full((1, 1, 1), end if np.isfinite(end) else 0.0, np.float32), scale)
            for end in (low, high)
        )
        return np.where(field < low + over, low, np.where(field > high - under, high, field)).astype(np.float32)

    def disturbed(
        self,
        name: str,
        field: np.ndarray,
        errors: Sequence[tuple[float, np.ndarray | float]],
        times: Any,
        rows: np.ndarray,
        columns: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """A field as instruments see it, and the standard deviation of the first error, all in network units.

        Arguments:
            name: Variable.
            field: (level, lat, lon), network units.
            errors: Standard deviations in physical units, each with its standard normal draws.
            times: Date (1,).
            rows, columns: Place on the grid.
        """
        normalizer, stated = self.normalizers[name], errors[0][0]
        scale = normalizer.scale_at(times, rows, columns)
        scale = scale[0] if scale.ndim == 4 else scale
        if normalizer.affine:
            return sum((size / scale * draw for size, draw in errors), field), stated / scale
        mean = normalizer.mean_at(times, rows, columns)[0]
        off = sum(size * draw for size, draw in errors)
        seen = normalizer.decode(field, mean, scale) + off
        return np.where(off == 0, field, normalizer.encode(seen, mean, scale)), stated / normalizer.slope(seen, scale)

    def limits(self) -> dict[str, tuple[float, float]]:
        """(lower, upper) that no reconstruction leaves: the bounds, and the ends of what a normaliser can decode to."""
        ends = {name: self.bounds.get(name, (-np.inf, np.inf)) for name in self.targets}
        found = {name: (max(low, self.normalizers[name].lowest), high) for name, (low, high) in ends.items()}
        return {name: pair for name, pair in found.items() if np.isfinite(pair).any()}

    def bounds_at(self, name: str, times: Any, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound of a variable in network units, (time, level, lat, lon); infinite where there is none."""
        normalizer = self.normalizers[name]
        mean, scale = normalizer.mean_at(times, rows, columns), normalizer.scale_at(times, rows, columns)
        low, high = (
            normalizer.encode(np.full(mean.shape, end, np.float32), mean, scale).astype(np.float32)
            if np.isfinite(end)
            else np.full(mean.shape, end, np.float32)
            for end in self.bounds.get(name, (-np.inf, np.inf))
        )
        # a little inwards: packing and rounding leave what is meant to lie on a bound beside it
        return low + BOUND_WIDTH, high - BOUND_WIDTH

    def dates(self, times: Any) -> np.ndarray:
        """(time, 2) fractions of the year and of the day."""
        return date_fraction(times, monthly=self.grid.monthly)

    def to_arrays(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        """A JSON description and plain numbers."""
        description: JSONObject = {
            "targets": list(self.targets),
            "covariates": list(self.covariates),
            "levels": {name: list(levels) for name, levels in self.grid.levels.items()},
            "periodic": self.grid.periodic,
            "monthly": self.grid.monthly,
            "vector_pairs": [list(pair) for pair in self.vector_pairs],
            "context": list(self.context),
            "step_days": self.step_days,
            "normalizers": {name: normalizer.describe() for name, normalizer in self.normalizers.items()},
        }
        if self.grid.told is not None:
            description["told"] = list(self.grid.told)
        if self.bounds:
            description["bounds"] = bounds_to_json(self.bounds)
        if self.conditions.labels:
            description["labels"] = list(self.conditions.labels)
        if self.measures:
            description["measures"] = self.measures.to_json()
        arrays = {"lat": self.grid.lat, "lon": self.grid.lon} | self.conditions.to_arrays()
        if self.grid.positions is not None:
            arrays |= {"latitude": self.grid.positions.latitude, "longitude": self.grid.positions.longitude}
        for name, normalizer in self.normalizers.items():
            arrays |= {f"normalizer.{name}.{key}": array for key, array in normalizer.to_arrays().items()}
            arrays[f"domain.{name}"] = self.domains[name].astype(np.uint8)
        return description, arrays

    @classmethod
    def from_arrays(cls, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "FieldCodec":
        """The inverse of `to_arrays`.

        Raises:
            FileFormatError: a part is missing.
        """
        try:
            return cls._restored(description, arrays)
        except KeyError as error:
            raise FileFormatError(
                f"The run lacks {error} of its codec: it is damaged. Restore it, or train again."
            ) from error

    @classmethod
    def _restored(cls, description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "FieldCodec":
        grid = Grid(
            lat=arrays["lat"],
            lon=arrays["lon"],
            levels={name: tuple(levels) for name, levels in description["levels"].items()},
            periodic=description["periodic"],
            monthly=description["monthly"],
            positions=Geometry(arrays["latitude"], arrays["longitude"]) if "latitude" in arrays else None,
            told=(description["told"][0], description["told"][1]) if "told" in description else None,
        )
        names = [*description["targets"], *description["covariates"]]
        normalizers = {}
        for name in names:
            prefix = f"normalizer.{name}."
            mine = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
            normalizers[name] = normalizer_from_arrays(description["normalizers"][name], mine)
        domains = {name: arrays[f"domain.{name}"].astype(bool) for name in names}
        pairs = [(u, v) for u, v in description.get("vector_pairs", [])]
        around = description.get("context", []), description.get("step_days", 1.0)
        bounds = bounds_from_json(description.get("bounds", {}))
        codec = cls(
            grid, description["targets"], description["covariates"], normalizers, domains, pairs, *around, bounds
        )
        codec.measures = Measures.from_json(description.get("measures"))
        codec.conditions = Conditions.from_arrays(description.get("labels", ()), arrays)
        return codec


def bounds_to_json(bounds: Mapping[str, tuple[float, float]]) -> dict[str, list[float | None]]:
    """(lower, upper) by variable, None for infinity, which JSON does not know."""
    return {name: [end if np.isfinite(end) else None for end in ends] for name, ends in bounds.items()}


def bounds_from_json(written: Mapping[str, Sequence[float | None]]) -> dict[str, tuple[float, float]]:
    """The inverse of `bounds_to_json`."""
    return {n: (-np.inf if low is None else low, np.inf if up is None else up) for n, (low, up) in written.items()}


def _normalizer_specs(normalizer: Mapping[str, Any], variables: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Class and arguments of the normaliser of every variable."""
    if "class" in normalizer:
        return dict.fromkeys(variables, normalizer)
    for name in normalizer:
        if name not in variables:
            raise ConfigurationError(f"normalizer names {name!r}: {suggest(name, ('class', *variables))}")
    if missing := [name for name in variables if name not in normalizer]:
        raise ConfigurationError(
            f"normalizer lacks {missing}: expected a class for every variable, or one class for all. Add them."
        )
    return dict(normalizer)


def _whole_pairs(
    archive: Archive, pairs: Sequence[tuple[str, str]], targets: Sequence[str], covariates: Sequence[str]
) -> list[tuple[str, str]]:
    """The vectors among targets and covariates, whose components can turn with each other."""
    whole: list[tuple[str, str]] = []
    for pair in pairs:
        for kind, names in (("targets", targets), ("covariates", covariates)):
            inside = [name for name in pair if name in names]
            if len(inside) == 1:
                alone = next(name for name in pair if name not in names)
                raise ConfigurationError(
                    f"The vector pair {list(pair)} is broken: {alone!r} is not among the {kind}, where {inside[0]!r} is. "
                    "Name both there, or drop the pair."
                )
            if inside:
                whole.append(pair)
    names = [name for pair in whole for name in pair]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(f"{twice!r} is part of two vector pairs: expected one. Drop the other.")
    for u, v in whole:
        if archive.levels(u) != archive.levels(v):
            raise ConfigurationError(f"The vector pair {[u, v]} lies on different levels: expected the same of both.")
    return whole


def with_levels(array: xr.DataArray) -> np.ndarray:
    """(time, [depth,] lat, lon) -> (time, level, lat, lon) numbers."""
    order = [dim for dim in ("time", "depth", "lat", "lon") if dim in array.dims]
    values = np.asarray(array.transpose(*order).values)
    return values if "depth" in array.dims else np.expand_dims(values, -3)


def _with_levels(mask: np.ndarray) -> np.ndarray:
    return mask if mask.ndim == 3 else mask[None]
