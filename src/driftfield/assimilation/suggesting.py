"""Where to observe next, from the members of a reconstruction, an assimilation or a forecast.

    members of one date --departures--> P = rho o A A^T / (members - 1) --gaussian.placement--> places, one after another

A small ensemble imagines correlations between places far apart, so rho fades them out (Gaspari and Cohn 1999). Its length is
stated, or the one with which the covariance of one half of the members foretells that of the other half best.
"""

__all__ = ["NextObservations", "suggest_places"]

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import xarray as xr

from driftfield.assimilation.kalman.localisation import Localisation, gaspari_cohn
from driftfield.conventions import cell_area, geometry_of, require
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gaussian.placement import BestPlaces, EnsemblePrior, best_places
from driftfield.geometry import EARTH_RADIUS_KM
from driftfield.gridded.choosing import dates_beginning, nearest_on_axis
from driftfield.gridded.region import select_region

log = logging.getLogger(__name__)

SPLITS, SAMPLED = 8, 500
"""Ways to halve the members, and places whose covariances are compared, to find the length of rho."""


@dataclass(frozen=True)
class NextObservations:
    """What is asked for, and what can be observed.

    Arguments:
        error: Standard deviation of an observation, units of the variable.
        number: Places to suggest.
        variable: That is observed; the first of the file by default.
        target: Whose variance shall fall; the observed one by default.
        region: Of the target: `{lat: [a, b], lon: [a, b]}`; everything by default.
        places: Region in which observations are possible.
        depths: Levels that an observation shows, metres, the nearest ones; whole columns by default.
        time: Beginning of a date, for a file with several.
        of_mean: The variance of the mean over the region, in place of the mean of the variances.
        localisation_km: c of Gaspari and Cohn; 0 for none; by default the one that the halves of the members agree on best.
    """

    error: float
    number: int = 20
    variable: str | None = None
    target: str | None = None
    region: Mapping[str, Sequence[float]] = field(default_factory=dict)
    places: Mapping[str, Sequence[float]] = field(default_factory=dict)
    depths: Sequence[float] | None = None
    time: str | None = None
    of_mean: bool = False
    localisation_km: float | None = None


def suggest_places(fields: xr.Dataset, asked: NextObservations) -> xr.Dataset:
    """The places whose observation would lower the expected variance most, one after another.

    Arguments:
        fields: With `<variable>_member`, from `reconstruct`, `assimilate`, `fill --members` or `forecast`.
        asked: What is asked for.

    Returns:
        A data set with `lat`, `lon`, `variance_left` and `spread_left` (place), what is asked for once the places up to this one
        are observed; `variance_before`; and the map `reduction` (row, column): by how much one observation alone would lower it.

    Raises:
        ConfigurationError: an option that makes no sense, or several dates and none chosen.
        DataError: no members, or fewer than four, or nothing left inside a region.
    """
    state = _EnsembleState.of(_one_date(fields, asked), asked)
    length = asked.localisation_km if asked.localisation_km is not None else state.agreed_length()
    if asked.localisation_km is None:
        log.info("localisation: %s, where halves of the members agree best", f"{length:.0f} km" if length else "none")
    prior = EnsemblePrior(state.departures, state.place, state.fade(length) if length else None)
    candidates = state.candidates(asked)
    placed = best_places(
        prior,
        candidates.rows,
        state.weights(asked),
        number=asked.number,
        error=np.full(candidates.rows.shape, asked.error),
        of_mean=asked.of_mean,
    )
    return state.described(placed, candidates.places, asked, length)


def _one_date(fields: xr.Dataset, asked: NextObservations) -> xr.Dataset:
    if not asked.error > 0 or asked.number < 1:
        raise ConfigurationError(
            f"Found error {asked.error:g} and number {asked.number}: expected an error above 0, in units of the variable, and "
            "one place or more."
        )
    if "time" not in fields.dims:
        return fields
    dates, chosen = dates_beginning(fields, asked.time)
    if len(chosen) != 1:
        raise ConfigurationError(
            f"{len(chosen)} of the {len(dates)} dates of the file ({dates[0]} ... {dates[-1]}) begin with {asked.time or ''!r}: "
            "places are suggested for one. Say which, such as --time " + dates[-1] + "."
        )
    return fields.isel(time=chosen[0])


@dataclass(frozen=True)
class _Candidates:
    """Places that can be observed, and the rows of the state that each shows (-1: below the floor)."""

    places: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class _EnsembleState:
    """Numbers of the observed and the target variable that lie in their domain.

    Arguments:
        template: (lat, lon) of the file.
        departures: (state, member).
        place, level, name: Of every number: flat index on (lat, lon), index of the level, variable.
        depth: Levels of each variable, or None.
        units: Of each variable.
    """

    template: xr.DataArray
    departures: np.ndarray
    place: np.ndarray
    level: np.ndarray
    name: np.ndarray
    depth: Mapping[str, np.ndarray | None]
    units: Mapping[str, str]

    @classmethod
    def of(cls, fields: xr.Dataset, asked: NextObservations) -> "_EnsembleState":
        with_members = [str(name)[: -len("_member")] for name in fields.data_vars if str(name).endswith("_member")]
        if not with_members:
            raise DataError(
                "The file has no members (<variable>_member). Ask `reconstruct` or `fill` for --members 16 or more."
            )
        observed = asked.variable or with_members[0]
        names = list(dict.fromkeys([observed, asked.target or observed]))
        for name in names:
            if name not in with_members:
                raise ConfigurationError(f"The file has no members of {name!r}: {suggest(name, with_members)}")
        require(fields, [f"{name}_member" for name in names], "the file")
        parts, place, level, of = [], [], [], []
        depth: dict[str, np.ndarray | None] = {}
        for name in names:
            members = fields[f"{name}_member"]
            levels = "depth" in members.dims
            depth[name] = members["depth"].values if levels else None
            array = members if levels else members.expand_dims("depth")
            values = array.transpose("member", "depth", "lat", "lon").values
            if len(values) < 4:
                raise DataError(f"Found {len(values)} members of {name}: a covariance needs four or more, better 16.")
            there = np.isfinite(values).all(0)
            where = np.nonzero(there)
            parts.append(values[:, there].T.astype(np.float64))
            level.append(where[0])
            place.append(np.ravel_multi_index(where[1:], there.shape[1:]))
            of.append(np.full(len(where[0]), name, dtype=object))
        stacked = np.concatenate(parts)
        template = fields[f"{observed}_member"].isel(member=0, drop=True)
        template = template.isel(depth=0, drop=True) if "depth" in template.dims else template
        return cls(
            template.transpose("lat", "lon"),
            stacked - stacked.mean(1, keepdims=True),
            np.concatenate(place),
            np.concatenate(level),
            np.concatenate(of),
            depth,
            {name: str(fields[f"{name}_member"].attrs.get("units", "")) for name in names},
        )

    def points(self) -> np.ndarray:
        """(place, 3) on the sphere, km."""
        return geometry_of(self.template).points.reshape(-1, 3)

    def fade(self, length: float) -> "partial[np.ndarray]":
        points = self.points()
        near = Localisation(length)
        return partial(lambda some: near.weights(points[some], points))

    def agreed_length(self) -> float:
        """c with which rho o (covariance of one half of the members) is nearest to that of the other half; 0 for no rho."""
        rng = np.random.default_rng(0)
        sampled = rng.permutation(len(self.departures))[:SAMPLED]
        a, members = self.departures[sampled], self.departures.shape[1]
        points = self.points()[self.place[sampled]]
        apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
        spacing = geometry_of(self.template).spacing
        lengths = np.geomspace(2 * spacing, 2 * EARTH_RADIUS_KM, 24)
        lengths = np.append(lengths[lengths < 2 * apart.max()], np.inf)
        loss = np.zeros(len(lengths))
        for _ in range(SPLITS):
            halves = np.array_split(rng.permutation(members), 2)
            first, second = (_covariance(a[:, part]) for part in halves)
            for number, length in enumerate(lengths):
                faded = first if np.isinf(length) else first * gaspari_cohn(apart / length)
                loss[number] += float(((faded - second) ** 2).mean())
        best = float(lengths[int(np.argmin(loss))])
        return 0.0 if np.isinf(best) else best

    def _inside(self, region: Mapping[str, Sequence[float]], what: str) -> np.ndarray:
        """(place,) whether it lies in a region."""
        numbered = xr.DataArray(
            np.arange(self.template.size).reshape(self.template.shape), dims=("lat", "lon"), coords=self.template.coords
        )
        try:
            chosen = select_region(numbered.to_dataset(name="place"), region)["place"].values
        except DataError as error:
            raise DataError(f"{what}: {error}") from error
        inside = np.zeros(self.template.size, dtype=bool)
        inside[chosen.ravel()] = True
        return inside

    def candidates(self, asked: NextObservations) -> _Candidates:
        """Places of the observed variable, with the rows of the state that an observation shows."""
        observed = self.name[0]
        shown = np.arange(1 if (depth := self.depth[observed]) is None else len(depth))
        if asked.depths is not None:
            if depth is None:
                raise ConfigurationError(f"{observed} has no levels: leave out --depth.")
            axis = xr.Dataset(coords={"depth": depth})
            shown = np.unique([nearest_on_axis(axis, "depth", wanted) for wanted in asked.depths])
        inside = self._inside(asked.places, "the region of possible places")
        usable = (self.name == observed) & np.isin(self.level, shown) & inside[self.place]
        if not usable.any():
            raise DataError("No cell of the field can be observed there: the places are all outside its domain.")
        places, number = np.unique(self.place[usable], return_inverse=True)
        rows = np.full((len(places), len(shown)), -1)
        rows[number, np.searchsorted(shown, self.level[usable])] = np.flatnonzero(usable)
        return _Candidates(places, rows)

    def weights(self, asked: NextObservations) -> np.ndarray:
        """(state,) area of the target's cells inside the region, with a sum of 1."""
        target = (self.name == (asked.target or self.name[0])) & self._inside(asked.region, "the region")[self.place]
        if not target.any():
            raise DataError(
                "The target has no cell inside the region: it lies outside its domain. Choose another --region."
            )
        area = cell_area(self.template.to_dataset(name="field")).broadcast_like(self.template)
        weights: np.ndarray = np.where(target, area.transpose("lat", "lon").values.ravel()[self.place], 0.0)
        return weights / weights.sum()

    def described(self, placed: BestPlaces, places: np.ndarray, asked: NextObservations, length: float) -> xr.Dataset:
        """The suggestion with its map, units and account."""
        target = asked.target or self.name[0]
        what = f"the variance of the mean of {target}" if asked.of_mean else f"the mean variance of {target}"
        what += f" in {dict(asked.region)}" if asked.region else ""
        units = self.units[target]
        squared, plain = ({"units": f"({units})2"}, {"units": units}) if units else ({}, {})
        reduction = np.full(self.template.size, np.nan)
        reduction[places] = placed.first_gain
        chosen, geometry = places[placed.chosen], geometry_of(self.template)
        axes = {
            "lat": (geometry.latitude, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": (geometry.longitude, {"units": "degrees_east", "standard_name": "longitude"}),
        }
        suggestion = xr.Dataset(
            {
                **{name: ("place", degrees.ravel()[chosen], attrs) for name, (degrees, attrs) in axes.items()},
                "variance_left": ("place", placed.left[1:], {"long_name": f"{what}, then", **squared}),
                "spread_left": ("place", np.sqrt(np.maximum(placed.left[1:], 0)), plain),
                "variance_before": ((), placed.left[0], {"long_name": f"{what} before", **squared}),
                "reduction": (("row", "column"), reduction.reshape(self.template.shape), squared),
            },
            coords={
                "place": ("place", np.arange(1, len(chosen) + 1), {"long_name": "order of the place", "units": "1"}),
                "latitude": (("row", "column"), *axes["lat"]),
                "longitude": (("row", "column"), *axes["lon"]),
            },
        )
        suggestion["spread_left"].attrs["long_name"] = f"root of {what}, then"
        suggestion["reduction"].attrs["long_name"] = f"fall of {what} by one observation here"
        numbers = {"observation_error": asked.error, "members": self.departures.shape[1], "localisation_km": length}
        return suggestion.assign_attrs(observed=self.name[0], target=target, asked=what, **numbers)


def _covariance(members: np.ndarray) -> np.ndarray:
    """(place, place) of some members, about their own mean."""
    departures = members - members.mean(1, keepdims=True)
    return np.asarray(departures @ departures.T / (members.shape[1] - 1))
