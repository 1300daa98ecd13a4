"""Analyses: a run that draws p(x | condition) and observations that are no part of the condition, joined while sampling.

    y = H(x) + e,  e ~ N(0, (f r)²)        H from the rows of a date,  r their stated errors,  f the inflation

    rows --checked--> used | dropped        used --withheld--> guide the walk | margin | scored in observation space

The condition may be nothing at all (a prior), a cloudy surface, or gridded profiles; what guides must not be in it a second time.
Member m of a date is a function of (run, rows, seed, m, date), as in `DiffusionReconstructor`, whatever the batch size.
"""

__all__ = ["Analysis", "Assimilation"]

import copy
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from driftfield.data.encodings import as_dates, time_days
from driftfield.data.observing_operators.checks import Account, check
from driftfield.data.observing_operators.composition import in_network_units
from driftfield.data.observing_operators.gridded import table_of_cells
from driftfield.data.observing_operators.observe import network_scale, state_grid
from driftfield.data.observing_operators.operators import Observed
from driftfield.data.observing_operators.table import ObservationTable
from driftfield.data.observing_operators.tracks import tracks
from driftfield.data.observing_operators.withholding import Withholding
from driftfield.diffusion.covariance import Covariance, DiagonalCovariance, along_track
from driftfield.diffusion.model import to_residual
from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.observation_space import ObservationScores, score_observations
from driftfield.fields import FieldBatch
from driftfield.interfaces import Denoiser
from driftfield.reconstruct.assimilation.methods import guidance_method
from driftfield.reconstruct.assimilation.rows import DatedRows, row_days
from driftfield.reconstruct.diffusion import DiffusionReconstructor, Guide
from driftfield.reconstruct.unconditional import learnt_to_see_nothing, nothing_seen
from driftfield.sampling.base import conditional_mean

log = logging.getLogger(__name__)


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


class Assimilation:
    """Draws analyses with a trained diffusion model; nothing is trained.

    Arguments:
        reconstructor: A run of the diffusion model, conditional or not.
        method: Name of a guidance method (`methods.METHODS`).
        options: Its constants.
        inflation: Factor on the standard deviation of every observation error; by default what `driftfield assimilate
            --calibrate` found for this run and method, or 1.
        default_error: Standard deviation of the errors that are not stated, one for all or per variable.
        correlation_km: Length over which the errors of one track or profile hang together; independent if not given.
        window_days: An observation counts for a date that is up to so many calendar days away; 0 is the day itself. Where
            the run knows months it is the month itself.

    Raises:
        ConfigurationError: a run of another kind, an unknown method or option, or numbers that make no sense.
    """

    def __init__(
        self,
        reconstructor: Any,
        method: str = "mmps",
        options: Mapping[str, Any] | None = None,
        *,
        inflation: float | None = None,
        default_error: Mapping[str, float] | float | None = None,
        correlation_km: float | None = None,
        window_days: float = 0.0,
    ) -> None:
        if not isinstance(reconstructor, DiffusionReconstructor) or reconstructor.codec is None:
            raise ConfigurationError(
                f"{type(reconstructor).__name__} cannot be guided by observations: expected a trained run of "
                "DiffusionReconstructor. Train one, or use `driftfield reconstruct`."
            )
        self.guidance, self.method = guidance_method(method, options), method
        if inflation is None:
            known = reconstructor.extra.get("assimilation", {}).get(method, {})
            inflation = float(known.get("inflation", 1.0))
        for name, value in (
            ("inflation", inflation),
            ("correlation_km", 1 if correlation_km is None else correlation_km),
        ):
            if not 0 < value < np.inf:
                raise ConfigurationError(f"Found {name}={value:g}: expected a number above 0.")
        if not 0 <= window_days < np.inf:
            raise ConfigurationError(f"Found window_days={window_days:g}: expected a number of days, 0 or more.")
        self.inflation, self.default_error = inflation, default_error
        self.correlation_km, self.window_days = correlation_km, window_days
        self.codec = reconstructor.codec
        # a copy, for the run is the caller's; its calibration belongs to reconstructions from gridded observations
        self.run = copy.copy(reconstructor)
        self.run.calibration = None
        self.run.sampler = self.guidance.sampler(reconstructor.sampler)

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
    ) -> Analysis:
        """Draws members of p(x | condition, observations) for one date or more.

        Arguments:
            observations: What guides: a table, or a gridded observation data set, of which every observed cell of a target guides
                and everything else is the condition.
            condition: Gridded observations that the network itself is shown; nothing is shown by default.
            times: Dates of the analyses: those of the condition, or every day (or month) with usable observations, unless
                others are given; of either a slice of dates takes a part, such as slice("2015-01", None).
            members: Size of the ensemble.
            seed: Of the members.
            batch_size: Members at a time; does not change them.
            withhold: Chooses what is kept for scoring, such as `partial(withholding.withhold, fraction=0.1)`.

        Raises:
            DataError: no observation can be used.
            DivergenceError: the guided walk ran away; says what to change.
        """
        if members < 1:
            raise ConfigurationError(f"Found members={members}: expected 1 or more.")
        gridded = isinstance(observations, xr.Dataset)
        if isinstance(observations, xr.Dataset):
            if condition is not None:
                raise ConfigurationError("Gridded observations are their own condition: pass a table, or no condition.")
            condition, observations = self._divided(observations)
        rows, columns = self._cells(condition)
        grid = state_grid(self.codec, [np.datetime64("2000-01-01")], rows, columns)
        units = {} if condition is None else _units(condition, self.codec.targets)
        used, _, account = check(observations, grid, default_error=self.default_error, units=units)
        if not len(used):
            raise DataError(f"None of the observations can be used: {account}. State their errors, if that lacks.")
        condition = self._condition(condition, used, times)
        self._warn(condition)
        dates = as_dates(condition["time"])
        days = row_days(used, dates, monthly=self.codec.grid.monthly, gridded=gridded)
        checked = DatedRows(used, days, grid)
        kept = withhold(used) if withhold is not None else None
        guides = checked if kept is None else checked.select(kept.used)
        near = guides.away(dates) <= self.window_days
        parts = []
        with _frozen(self.run.model):
            for index, date in enumerate(dates.values):
                guide = self._guide(guides.select(near[:, index]), date, (rows, columns), seed, batch_size)
                options = {"batch_size": batch_size, "guide": guide}
                parts.append(self.run.reconstruct(condition, members=members, seed=seed, times=[index], **options))
        scores = {} if kept is None else self._scores(checked.select(kept.withheld), parts, dates)
        fields = xr.concat(parts, "time", data_vars="all", combine_attrs="override")
        guided = int(near.any(1).sum())
        told = self._provenance(account, guided, len(guides) - guided, kept, scores)
        return Analysis(fields.assign_attrs(told), account, guided, scores)

    # -- which observations, when --------------------------------------------------------------------------------------

    def _divided(self, observations: xr.Dataset) -> tuple[xr.Dataset, ObservationTable]:
        """What the network is shown of a gridded file, and the cells that guide."""
        stamps = (time_days(as_dates(observations["time"])) * 86400e6).astype("datetime64[us]")
        targets = {name: observations[name] for name in self.codec.targets if name in observations}
        table = table_of_cells(observations, tuple(targets), stamps)
        lacking = set(self.codec.targets) - set(targets)
        empty = nothing_seen(self.codec, observations["time"].values)
        if lacking and empty["lat"].size != observations["lat"].size:
            raise DataError(
                f"The observations lack {sorted(lacking)}, which this run knows. Add them, all NaN if unseen."
            )
        hidden = {name: field.where(False) for name, field in targets.items()}
        return observations.assign(hidden).assign({name: empty[name] for name in lacking}), table

    def _cells(self, condition: xr.Dataset | None) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the run's grid."""
        grid = self.codec.grid
        if condition is None:
            return np.arange(grid.lat.size), np.arange(grid.lon.size)
        return grid.rows(condition["lat"].values), grid.columns(condition["lon"].values)

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
        return np.unique(dated.astype("datetime64[M]" if self.codec.grid.monthly else "datetime64[D]")).astype(
            "datetime64[s]"
        )

    # -- guiding -------------------------------------------------------------------------------------------------------

    def _guide(
        self, seen: DatedRows, date: Any, where: tuple[np.ndarray, np.ndarray], seed: int, batch_size: int
    ) -> Guide | None:
        """What the sampler is told on one date; None if nothing was seen."""
        if not len(seen):
            return None
        rows, columns = where
        found: dict[str, Any] = {}

        def guide(denoiser: Denoiser, batch: FieldBatch, eps: Tensor) -> tuple[Denoiser, Tensor]:
            if "observed" not in found:
                found["observed"] = self._observed(seen, batch, date, rows, columns)

            def prior(samples: int) -> Tensor:
                if "prior" not in found:
                    # streams of their own: no member is what its covariance was learned from
                    drawn = self.run.draw(
                        batch,
                        members=range(samples),
                        seed=seed,
                        stamp=f"{date} prior",
                        rows=rows,
                        columns=columns,
                        batch_size=batch_size,
                    )
                    found["prior"] = to_residual(batch.repeat(samples), drawn)
                return found["prior"]

            guided = self.guidance.guide(denoiser, found["observed"], eps, prior)
            return guided, conditional_mean(guided if self.guidance.starts_at_posterior else denoiser, eps)

        return guide

    def _observed(
        self, seen: DatedRows, batch: FieldBatch, date: Any, rows: np.ndarray, columns: np.ndarray
    ) -> Observed:
        """y, H and R of what the network draws: normalised anomalies, or residuals of a first guess."""
        guess = None
        if batch.first_guess is not None and batch.first_guess_scale is not None:
            guess = batch.first_guess[0].cpu().numpy(), batch.first_guess_scale[0].cpu().numpy()
        scale, offset = network_scale(self.codec, [date], rows, columns, guess=guess)
        operator = seen.operator
        physical = Observed(operator, torch.from_numpy(seen.table.value), self._covariance(seen.table))
        network = in_network_units(physical, scale, offset)
        folded = operator.scaled(by_cell=scale.numpy())
        return Observed(folded, network.y.float().to(batch.target.device), network.covariance)

    def _covariance(self, table: ObservationTable) -> Covariance:
        error = torch.from_numpy(self.inflation * table.error)
        if self.correlation_km is None:
            return DiagonalCovariance(error**2)
        track, along = (torch.from_numpy(part) for part in tracks(table))
        return along_track(error, track, along, length=self.correlation_km)

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def _scores(
        self, hidden: DatedRows, parts: Sequence[xr.Dataset], dates: xr.DataArray
    ) -> dict[str, ObservationScores]:
        """Per variable, each row on the date that is nearest; the error is the one that was assumed."""
        away = hidden.away(dates)
        of = np.where(away.min(1) <= self.window_days, away.argmin(1), -1)
        shown = [(hidden.select(of == index), part) for index, part in enumerate(parts) if (of == index).any()]
        if not shown:
            raise DataError(
                "Nothing that was withheld belongs to an analysed date. Withhold more, or analyse more dates."
            )
        table = ObservationTable.join([rows.table for rows, _ in shown])
        members = np.concatenate([rows.predicted(part) for rows, part in shown], axis=1)
        found = {}
        for name in dict.fromkeys(table.variable):
            mine = table.variable == name
            error = self.inflation * table.error[mine]
            found[str(name)] = score_observations(members[:, mine], table.value[mine], error)
        return found

    def _warn(self, condition: xr.Dataset) -> None:
        for name in self.codec.targets:
            blind = name not in condition or not bool(condition[name].notnull().any())
            if blind and not learnt_to_see_nothing(self.run, name):
                log.warning(
                    "this run was always shown some of %r while it learnt: guided from nothing it extrapolates. Train one with "
                    "none among its patterns",
                    name,
                )

    def _provenance(
        self,
        account: Account,
        guided: int,
        far: int,
        kept: Withholding | None,
        scores: Mapping[str, ObservationScores],
    ) -> dict[str, Any]:
        guidance, calls = self.guidance, self.run.sampler.evaluations + 1
        backward = guidance.products * (calls - (not guidance.starts_at_posterior))
        total = account.total
        told: dict[str, Any] = {
            "method": f"assimilation_{self.method}",
            "guidance": self.method,
            "guidance_options": json.dumps(guidance.options(), sort_keys=True),
            "error_inflation": float(self.inflation),
            "network_evaluations": calls + 2 * backward,
            "network_evaluations_forward": calls,
            "network_evaluations_backward": backward,
            "observations_read": total.read,
            "observations_usable": total.kept,
            "observations_used": guided,
            "observations_far_from_dates": far,
            "observations_dropped": json.dumps(dict(total.dropped), sort_keys=True),
            "window_days": float(self.window_days),
        }
        if kept is not None:
            told |= {
                "observations_withheld": int(kept.withheld.sum()),
                "observations_in_margin": int(kept.margin.sum()),
            }
            told["withheld_scores"] = json.dumps({name: one.to_json() for name, one in scores.items()}, sort_keys=True)
        return told


def _units(dataset: xr.Dataset, names: tuple[str, ...]) -> dict[str, str]:
    return {name: str(dataset[name].attrs.get("units", "")) for name in names if name in dataset}


@contextmanager
def _frozen(model: nn.Module | None) -> Iterator[None]:
    """Weights that keep no graph: only the derivative by the noisy field is asked for."""
    wanted = [] if model is None else [weight for weight in model.parameters() if weight.requires_grad]
    for weight in wanted:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in wanted:
            weight.requires_grad_(True)
