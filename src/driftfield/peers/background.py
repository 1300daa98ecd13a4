"""The seasonal cycle and the domain of the variables on the grid that a peer was fitted on; anomalies are measured from it.

y'(t, x) = y(t, x) - c(month of t, x)
"""

__all__ = ["Background", "canonical", "observed_domain", "part", "stated_errors"]

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import xarray as xr

from driftfield.conventions import DIMS, domain_of, error_of, positions_of, require
from driftfield.data.climatology import MonthlyClimatology
from driftfield.errors import DataError
from driftfield.gaussian.covariance import EmbeddedGrid
from driftfield.geometry import Geometry
from driftfield.gridded.measures import Measures
from driftfield.interfaces import TrainingData

log = logging.getLogger(__name__)

_RTOL, _ATOL = 1e-4, 1e-3
"""How far coordinates of the same place may differ."""


def _run_of(times: np.ndarray) -> np.ndarray | slice:
    """Indices that follow each other as a slice, which copies nothing of an archive in memory."""
    if times.size and np.array_equal(times, np.arange(times[0], times[0] + times.size)):
        return slice(int(times[0]), int(times[-1]) + 1)
    return times


@dataclass(frozen=True)
class Background:
    """Seasonal cycle and domain of the variables of a grid.

    Arguments:
        climatologies: Per variable, targets first.
        domains: Per variable ([depth,] lat, lon), boolean.
        targets: Which of them are to be reconstructed.
        periodic: Whether longitude wraps.
        bounds: (lower, upper) of targets that have bounds, infinite where there is none.
        measures: What the variables are measured in.
    """

    climatologies: dict[str, MonthlyClimatology]
    domains: dict[str, xr.DataArray]
    targets: tuple[str, ...]
    periodic: bool
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    measures: Measures = field(default_factory=Measures)

    @classmethod
    def fit(cls, data: TrainingData, times: np.ndarray, *, covariates: bool = False) -> Self:
        """Learns the seasonal cycle of the targets (and the covariates) from the given time indices."""
        names = (*data.targets, *(data.covariates if covariates else ()))
        require(data.archive.dataset, names, "the archive")
        return cls(
            climatologies={n: MonthlyClimatology.fit(data.archive.dataset[n].isel(time=_run_of(times))) for n in names},
            domains={n: canonical(data.archive.domain(n)).astype(bool) for n in names},
            targets=tuple(data.targets),
            periodic=bool(data.archive.periodic),
            bounds=dict(data.bounds),
            measures=Measures.fit(data.archive.dataset, names, times),
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """Targets, then covariates."""
        return tuple(self.climatologies)

    @property
    def target_domains(self) -> list[xr.DataArray]:
        """Where the targets exist."""
        return [self.domains[name] for name in self.targets]

    @property
    def lat(self) -> np.ndarray:
        """Degrees north, ascending."""
        return self.domains[self.targets[0]]["lat"].values.astype(np.float64)

    @property
    def lon(self) -> np.ndarray:
        """Degrees east."""
        return self.domains[self.targets[0]]["lon"].values.astype(np.float64)

    @cached_property
    def positions(self) -> Geometry | None:
        """Where the cells lie, if the axes do not say it."""
        return positions_of(self.domains[self.targets[0]])

    @cached_property
    def grid(self) -> EmbeddedGrid:
        """The cells and their distances."""
        return EmbeddedGrid(self.lat, self.lon, self.periodic, self.positions)

    def mean(self, name: str, times: xr.DataArray) -> np.ndarray:
        """The seasonal cycle on these dates: (time, [depth,] lat, lon)."""
        return self.climatologies[name].at(times).values

    def anomaly(self, field: xr.DataArray, name: str) -> np.ndarray:
        """Departure from the seasonal cycle: (time, [depth,] lat, lon), NaN where not seen or outside the domain."""
        field = canonical(field)
        return np.where(self.domains[name].values, field.values - self.mean(name, field["time"]), np.nan)

    def departures(self, observations: xr.Dataset) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Observed anomalies of all variables, and the standard deviations of their errors, 0 where none is stated.

        A variable that was not observed is NaN everywhere.
        """
        n_times = observations[self.targets[0]].sizes["time"]
        anomalies, errors = {}, {}
        for name in self.variables:
            shape = (n_times, *self.domains[name].shape)
            given = name in observations
            anomalies[name] = self.anomaly(observations[name], name) if given else np.full(shape, np.nan)
            errors[name] = stated_errors(observations, name, shape)
        return anomalies, errors

    def on_own_grid(self, observations: xr.Dataset) -> xr.Dataset:
        """The observations on the longitudes of the fit, if theirs are the same places in another convention, such as 0..360.

        Of a grid with positions: on the rows and columns of the fit, if its cells lie at the same places. Anything else comes
        back as it is; `check` says what is wrong with it.
        """
        if self._same_places(observations):
            axes = {n: (n, values, observations[n].attrs) for n, values in (("lat", self.lat), ("lon", self.lon))}
            return observations.assign_coords(axes)
        columns = self._columns(observations)
        if columns is None:
            return observations
        return observations.isel(lon=columns).assign_coords(lon=("lon", self.lon, observations["lon"].attrs))

    def _same_places(self, observations: xr.Dataset) -> bool:
        """Whether both grids have positions, and those are the same.

        Raises:
            DataError: both have positions of as many cells, and they are others.
        """
        theirs = positions_of(observations)
        if self.positions is None or theirs is None or theirs.shape != self.positions.shape:
            return False
        self.positions.cells(theirs)
        return True

    def _columns(self, observations: xr.Dataset) -> np.ndarray | None:
        """Where the longitudes of the fit lie among those of the observations; None if they are equal, or other places."""
        theirs = observations["lon"].values if "lon" in observations.coords else np.array([])
        if self.positions is not None or theirs.shape != self.lon.shape or _near(self.lon, theirs):
            return None
        apart = np.abs((theirs[None].astype(np.float64) - self.lon[:, None] + 180.0) % 360.0 - 180.0)
        columns: np.ndarray = apart.argmin(axis=1)
        same = np.allclose(apart.min(axis=1), 0.0, atol=_ATOL + 180.0 * _RTOL)
        return columns if same and np.unique(columns).size == columns.size else None

    def check(self, observations: xr.Dataset) -> None:
        """Refuses observations that lack a target, a time axis, or lie on another grid.

        Raises:
            DataError: as said.
        """
        require(observations, self.targets, "the observations")
        for name in (n for n in self.variables if n in observations):
            field, domain = observations[name], self.domains[name]
            if "time" not in field.dims:
                raise DataError(f"{name!r} has no time axis, found {field.dims}: add one, the season must be known.")
            for axis in domain.dims:
                ours = domain[axis].values
                theirs = field[axis].values if axis in field.coords else np.array([])
                if ours.shape != theirs.shape or not _near(ours, theirs):
                    raise DataError(
                        f"{name!r} lies on another grid: {axis} is {_span(theirs)}, expected {_span(ours)} as in "
                        "training. Interpolate the observations to that grid, or train on theirs."
                    )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors; keys `climatology.<variable>.*` and `domain.<variable>`."""
        arrays = {f"domain.{n}": d.values.astype(np.uint8) for n, d in self.domains.items()}
        if self.positions is not None:
            arrays |= {"latitude": self.positions.latitude, "longitude": self.positions.longitude}
        for name, climatology in self.climatologies.items():
            arrays |= {f"climatology.{name}.{key}": value for key, value in climatology.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        *,
        variables: list[str],
        targets: list[str],
        periodic: bool,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        measures: Measures | None = None,
    ) -> Self:
        """The inverse of `to_arrays`."""
        climatologies = {n: MonthlyClimatology.from_arrays(part(arrays, f"climatology.{n}.")) for n in variables}
        domains = {}
        for name, climatology in climatologies.items():
            like = climatology.mean.isel(month=0, drop=True)
            domain = xr.DataArray(arrays[f"domain.{name}"].astype(bool), dims=like.dims, coords=like.coords)
            places = {n: (("lat", "lon"), arrays[n]) for n in ("latitude", "longitude") if n in arrays}
            domains[name] = domain.assign_coords(places)
        return cls(climatologies, domains, tuple(targets), periodic, dict(bounds or {}), measures or Measures())


def _near(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return bool(np.allclose(ours, theirs, rtol=_RTOL, atol=_ATOL))


def canonical(field: xr.DataArray) -> xr.DataArray:
    """Axes in the order of the conventions."""
    return field.transpose(*(d for d in DIMS if d in field.dims))


def observed_domain(background: Background, observations: xr.Dataset, name: str) -> np.ndarray:
    """Where the variable exists: as the observations say, else as the archive said. Boolean ([depth,] lat, lon)."""
    domain = domain_of(observations, name)
    return (background.domains[name] if domain is None else canonical(domain)).values


def _span(values: np.ndarray) -> str:
    return f"{values.size} values" + (f" from {values[0]:g} to {values[-1]:g}" if values.size else "")


def stated_errors(observations: xr.Dataset, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard deviation of the observation error of a variable, 0 where none is stated; `shape` as of the variable.

    Raises:
        DataError: a negative one.
    """
    error = error_of(observations, name)
    if error is None:
        return np.zeros(shape)
    stated = np.nan_to_num(canonical(error).values)
    if (stated < 0).any():
        raise DataError(f"{name}_error holds negative numbers: expected standard deviations. Correct the file.")
    return np.broadcast_to(stated, shape)


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose name starts with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
