"""Analyses: a run that draws p(x | condition) and observations that are no part of the condition, joined while sampling.

    y = H(x) + e,  e ~ N(0, (f r)²)        H from the rows of a table,  r their stated errors,  f the inflation

    rows --checked--> used | dropped        used --withheld--> guide the walk | margin | scored in observation space

The condition may be nothing at all (a prior), a cloudy surface, or gridded profiles; what guides must not be in it a second time.
A diffusion model draws each date by itself (`date_by_date`), a prior of trajectories one course through all of them
(`whole_course`). Member m is a function of (run, rows, seed, m) and of the date, or the dates, whatever the batch size.
"""

__all__ = ["Analysis", "Assimilation"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from driftfield.assimilation.date_by_date import DateByDate
from driftfield.assimilation.drawing import Drawing, Drawn
from driftfield.assimilation.observation_errors import ObservationErrors
from driftfield.assimilation.provenance import provenance
from driftfield.assimilation.whole_course import WholeCourse
from driftfield.data.placing import GridPlacer, Placed
from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.observation_space import ObservationScores, score_observations
from driftfield.gridded.encodings import as_dates, time_days
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.unconditional import nothing_seen
from driftfield.observations.checks import Account, check
from driftfield.observations.derived import Derived, DerivedPlace, Place
from driftfield.observations.grid import ObservedPlaces, StateGrid
from driftfield.observations.gridded import table_of_cells
from driftfield.observations.measured import in_run_units
from driftfield.observations.observe import state_grid
from driftfield.observations.stated import as_stated
from driftfield.observations.stencils import Stencil
from driftfield.observations.table import ObservationTable
from driftfield.observations.withholding import Withholding
from driftfield.reconstruction.draws import Draws, Keeper
from driftfield.sampling.guidance.methods import guidance_method
from driftfield.trajectories.trajectory import TrajectoryReconstructor


@dataclass(frozen=True)
class Analysis:
    """What an assimilation found.

    Arguments:
        fields: A reconstruction data set.
        account: Which observations could be used at all.
        guided_by: How many of these constrained the fields of some date.
        withheld: Scores per variable of those that were kept back, empty if none were.
    """

    fields: xr.Dataset
    account: Account
    guided_by: int
    withheld: Mapping[str, ObservationScores]


@dataclass(frozen=True)
class _Ready:
    """Observations that can be used, divided, and what the network is shown.

    Arguments:
        guides, hidden: Rows; nothing is hidden where nothing is withheld.
        condition: Of the dates of the analyses.
        gridded: Whether the rows come from a gridded file.
        placed: That file on the grid of the run.
        account: What could be used.
        withholding: What is withheld, and why.
    """

    guides: ObservationTable
    hidden: ObservationTable
    condition: xr.Dataset
    gridded: bool
    placed: Placed | None
    account: Account
    withholding: Withholding | None


class Assimilation:
    """Draws analyses with a trained diffusion model or prior of trajectories; nothing is trained.

    Arguments:
        reconstructor: A run of `DiffusionReconstructor`, conditional or not, or of `TrajectoryReconstructor`.
        method: Name of a guidance method (registered as "guidance"); by default that of a prior of trajectories, else "mmps".
        options: Its constants; by default those that `driftfield assimilate --calibrate` was run with.
        inflation: Factor on the standard deviation of every observation error; by default what `--calibrate` found for this
            run and method, or 1.
        default_error: Standard deviation of the errors that are not stated, one for all or per variable.
        correlation_km: Length over which the errors of one track or profile hang together; independent if not given.
        window_days: An observation counts for a date that is up to so many calendar days away; 0 is the day itself. Where
            the run knows months it is the month itself. A prior of trajectories has no use for it: it sees between its dates.
        place: Makes the weights of H, such as `functools.partial(as_stated, radius_km=50)` for footprints
            (`observations.stated`).
        functions: What observations may be of beside the variables of the run, such as
            `{"speed": Derived.named("speed", ["u", "v"])}` (`observations.derived`).

    Raises:
        ConfigurationError: a run of another kind, an unknown method or option, functions of variables that the run has not, or
            numbers that make no sense.
    """

    def __init__(
        self,
        reconstructor: Any,
        method: str | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        inflation: float | None = None,
        default_error: Mapping[str, float] | float | None = None,
        correlation_km: float | None = None,
        window_days: float = 0.0,
        place: Callable[[StateGrid, ObservedPlaces], Stencil] = as_stated,
        functions: Mapping[str, Derived] | None = None,
    ) -> None:
        defaults = _own_guidance(reconstructor)
        self.method = method or defaults["method"]
        known = reconstructor.extra.get("assimilation", {}).get(self.method, {})
        constants = (
            {key: value for key, value in defaults.items() if key != "method"}
            if self.method == defaults["method"]
            else {}
        )
        guidance = guidance_method(self.method, constants | known.get("options", {}) | dict(options or {}))
        if inflation is None:
            inflation = float(known.get("inflation", 1.0))
        if not 0 <= window_days < np.inf:
            raise ConfigurationError(f"Found window_days={window_days:g}: expected a number of days, 0 or more.")
        errors = ObservationErrors(inflation, default_error, correlation_km)
        self.inflation, self.window_days, self.codec = inflation, window_days, reconstructor.codec
        self.derived = DerivedPlace(functions or {}, place)
        self.derived.check(self.codec.targets)
        sight: Place = self.derived if functions else place
        self.drawing: Drawing
        if isinstance(reconstructor, DiffusionReconstructor):
            self.drawing = DateByDate(reconstructor, guidance, errors, sight, window_days)
        elif window_days:
            raise ConfigurationError(
                f"Found window_days={window_days:g} for a prior of trajectories, which sees an observation where it lies between "
                "its dates. Leave it out."
            )
        else:
            self.drawing = WholeCourse(reconstructor, guidance, errors, sight)

    def analyse(
        self,
        observations: ObservationTable | xr.Dataset,
        *,
        condition: xr.Dataset | None = None,
        times: Any = None,
        members: int = 16,
        seed: int = 0,
        batch_size: int = 16,
        withhold: Callable[[ObservationTable], Withholding] | None = None,
        keeper: Keeper | None = None,
        share: Callable[[int], None] | None = None,
    ) -> Analysis:
        """Draws members of p(x | condition, observations) for one date or more.

        Arguments:
            observations: What guides: a table, or a gridded observation data set, of which every observed cell of a target guides
                and everything else is the condition.
            condition: Gridded observations that the network itself is shown; nothing is shown by default.
            times: Dates of the analyses: those of the condition, or every day (or month) with usable observations, unless
                others are given; of either a slice of dates takes a part, such as slice("2015-01", None). A prior of
                trajectories draws every step from the first observation to the last.
            members: Size of the ensemble.
            seed: Of the members.
            batch_size: Members at a time; does not change them.
            withhold: Chooses what is kept for scoring, such as `partial(withholding.withhold, fraction=0.1)`.
            keeper: Remembers batches of members, date by date.
            share: Is told how many dates there are before the first is drawn, so that others draw them (`draw_date`).

        Raises:
            DataError: no observation can be used.
            DivergenceError: the guided walk ran away; says what to change.
        """
        draws = Draws(members, seed, batch_size=batch_size, keeper=keeper)
        ready = self._ready(observations, condition, times, withhold)
        if share is not None:
            self.check_shared()
            share(ready.condition.sizes["time"])
        drawn = self.drawing.draw(ready.guides, ready.condition, gridded=ready.gridded, draws=draws)
        scores = {} if ready.withholding is None else self._scores(ready.hidden, drawn)
        told = provenance(self.method, self.drawing, drawn, ready.account, ready.withholding, scores) | {
            "window_days": float(self.window_days)
        }
        fields = drawn.fields if ready.placed is None else ready.placed.cut(drawn.fields)
        return Analysis(fields.assign_attrs(told), ready.account, drawn.guided, scores)

    def draw_date(
        self,
        index: int,
        observations: ObservationTable | xr.Dataset,
        draws: Draws,
        *,
        condition: xr.Dataset | None = None,
        times: Any = None,
        withhold: Callable[[ObservationTable], Withholding] | None = None,
    ) -> None:
        """Draws the members of one date of an analysis, for the keeper of `draws`; arguments as of `analyse`."""
        ready = self._ready(observations, condition, times, withhold)
        self.drawing.draw(ready.guides, ready.condition, gridded=ready.gridded, draws=replace(draws, times=[index]))

    def check_shared(self) -> None:
        """Raises `ConfigurationError` where there is but one thing to draw."""
        if isinstance(self.drawing, WholeCourse):
            raise ConfigurationError(
                "A prior of trajectories draws one course through all dates: there is nothing to share. Leave out --cluster."
            )

    def _ready(
        self,
        observations: ObservationTable | xr.Dataset,
        condition: xr.Dataset | None,
        times: Any,
        withhold: Callable[[ObservationTable], Withholding] | None,
    ) -> _Ready:
        """What is drawn from, checked."""
        if condition is not None and isinstance(self.drawing, WholeCourse):
            raise ConfigurationError("A prior of trajectories is shown nothing: guide it by all observations at once.")
        gridded, placed, measures = (
            isinstance(observations, xr.Dataset),
            None,
            self.derived.measures(self.codec.measures),
        )
        if isinstance(observations, xr.Dataset):
            if condition is not None:
                raise ConfigurationError("Gridded observations are their own condition: pass a table, or no condition.")
            placed = self._placer.place(measures.brought(observations))
            condition, observations = self._divided(placed.dataset)
        elif condition is not None:
            placed = self._placer.place(measures.brought(condition))
            condition = placed.dataset
        observations = in_run_units(observations, measures, self.derived.differences)
        grid = state_grid(self.codec, [np.datetime64("2000-01-01")], *self.drawing.cells(condition))
        units = measures.units() | ({} if condition is None else _units(condition, self.codec.targets))
        drawing = self.drawing
        used, _, account = check(
            observations, grid, place=drawing.place, default_error=drawing.errors.default, units=units
        )
        if not len(used):
            raise DataError(f"None of the observations can be used: {account}. {_remedy(account)}")
        condition = self._condition(condition, used, times)
        withholding = withhold(used) if withhold is not None else None
        guides = used if withholding is None else used.select(withholding.used)
        hidden = used if withholding is None else used.select(withholding.withheld)
        return _Ready(guides, hidden, condition, gridded, placed, account, withholding)

    @property
    def _placer(self) -> GridPlacer:
        """Lays gridded observations out on the grid of the run."""
        return GridPlacer(self.codec.grid.lat, self.codec.grid.lon, self.codec.domains, self.codec.grid.positions)

    def _divided(self, observations: xr.Dataset) -> tuple[xr.Dataset, ObservationTable]:
        """What the network is shown of a gridded file, and the cells that guide."""
        stamps = (time_days(as_dates(observations["time"])) * 86400e6).astype("datetime64[us]")
        targets = {name: observations[name] for name in self.codec.targets if name in observations}
        table = table_of_cells(observations, (*targets, *self.derived.derived), stamps)
        lacking = set(self.codec.targets) - set(targets)
        empty = nothing_seen(self.codec, observations["time"].values)
        if lacking and empty["lat"].size != observations["lat"].size:
            raise DataError(
                f"The observations lack {sorted(lacking)}, which this run knows. Add them, all NaN if unseen."
            )
        hidden = {name: field.where(False) for name, field in targets.items()}
        return observations.assign(hidden).assign({name: empty[name] for name in lacking}), table

    def _condition(self, condition: xr.Dataset | None, used: ObservationTable, times: Any) -> xr.Dataset:
        """What the network is shown, on the dates of the analyses."""
        if condition is None:
            dates = self._dates(used) if times is None or isinstance(times, slice) else as_dates(times).values
            condition = nothing_seen(self.codec, dates)
            for name in self.codec.targets:
                condition[name].attrs.update(used.attrs.get(name, {}))
        elif times is not None and not isinstance(times, slice):
            raise ConfigurationError(
                "The condition says which dates are analysed: select them there, or pass a slice of dates."
            )
        if isinstance(times, slice):
            try:
                condition = condition.sel(time=times)
            except (ValueError, TypeError, KeyError) as error:
                raise ConfigurationError(f"Cannot take the dates {times.start} to {times.stop}: {error}.") from error
        if not condition.sizes["time"]:
            raise DataError(
                "None of the dates that were asked for is there: nothing is left to analyse. Ask for others."
            )
        return condition

    def _dates(self, used: ObservationTable) -> np.ndarray:
        dated = used.time[~np.isnat(used.time)]
        if not dated.size:
            raise DataError("No observation has a date, and no dates were given: say which one is to be analysed.")
        return self.drawing.dates(dated)

    def _scores(self, hidden: ObservationTable, drawn: Drawn) -> dict[str, ObservationScores]:
        """Per variable; the error is the one that was assumed."""
        table, members = drawn.predicted(hidden)
        if not len(table):
            raise DataError(
                "Nothing that was withheld belongs to an analysed date. Withhold more, or analyse more dates."
            )
        scores, error = {}, self.drawing.errors.std(table)
        for name in dict.fromkeys(table.variable):
            mine = table.variable == name
            scores[str(name)] = score_observations(members[:, mine], table.value[mine], error[mine])
        return scores


def _remedy(account: Account) -> str:
    """What to do about the reason that most observations were dropped for."""
    dropped = account.total.dropped
    most = max(dropped, key=lambda reason: dropped[reason], default="")
    if most == "no error":
        return "State their errors, in the column 'error' or with --error (default_error)."
    if most == "not a variable of this state":
        return "Name the variables as the run does."
    return "Give observations of places and levels that the run knows." if most else "Give at least one."


def _own_guidance(reconstructor: Any) -> Mapping[str, Any]:
    """The method that a run is guided with by default, with its constants.

    Raises:
        ConfigurationError: the run cannot be guided.
    """
    if isinstance(reconstructor, TrajectoryReconstructor):
        return reconstructor.guidance_spec
    if not isinstance(reconstructor, DiffusionReconstructor):
        raise ConfigurationError(
            f"{type(reconstructor).__name__} cannot be guided by observations: expected a trained run of "
            "DiffusionReconstructor or TrajectoryReconstructor. Train one, or use `driftfield reconstruct`."
        )
    return {"method": "mmps"}


def _units(dataset: xr.Dataset, names: tuple[str, ...]) -> dict[str, str]:
    return {name: str(dataset[name].attrs.get("units", "")) for name in names if name in dataset}
