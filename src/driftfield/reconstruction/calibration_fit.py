"""How a calibration is found: bias, inflation and power from hidden cells of validation times, quantiles for intervals.

    v:    where a method errs by more than it says       `calibration_place`
    a:    <(y - m')^2> = (1 + 1/M) <(a g s)^2>          the spread is as large as the error
    p:    least CRPS, a as it may be                   candidates from 0.5 to 1.5
    b:    <y - m>

A dozen dates are few: b is shrunk by its own uncertainty toward 0, log a toward that of all levels, and that toward 0. An
honest method is left alone. The cells of a date are widened by the map of the other dates before a, p and b are looked for:
the map of all dates knows their errors by heart. M members are few, too: their s is noisy, and a power learnt from it would
learn the noise. p is therefore judged on one half of the members with the spread of the other half, and stays 1 unless the
dates agree that it should not.
"""

__all__ = ["CellPlaces", "conformal_quantile", "fit_calibration", "fit_level"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import minimize_scalar

from driftfield.errors import DataError
from driftfield.evaluate.scores.ensembles import crps_gaussian
from driftfield.reconstruction.calibration import Calibration, CalibrationCells, LevelMap, bend
from driftfield.reconstruction.calibration_place import Choice, PlaceMap, PlaceSums, choose_place, of_size, place_folds

POWERS = np.round(np.arange(0.5, 1.51, 0.1), 1)
"""p is one of these: a calibration bends the pattern of the spread, it does not turn it over."""
MOST = 5.0
"""Largest inflation, and 1 / MOST the smallest."""
DOUBT = 2.0
"""Standard errors over dates that a fitted number must exceed: there are many levels."""
DOUBT_OF_ALL = 1.0
"""And for the inflation of all levels together, which is one number."""
FEW_CELLS, FEW_TIMES = 200, 3
"""A level with less than this takes the inflation of its variable as a whole, and no bias."""


def fit_calibration(
    samples: Mapping[str, Mapping[float | None, CalibrationCells]],
    *,
    coverage: float | None = None,
    by_time: bool = False,
    bias: bool = True,
    about: Mapping[str, Any] | None = None,
    places: "Mapping[str, CellPlaces] | None" = None,
) -> Calibration:
    """Fits every level of every variable.

    Arguments:
        samples: Hidden cells per variable and depth (None: surface).
        places: What the cells of the map add up to, per variable; no map without it.
        coverage: Of conformal intervals, such as 0.9; none by default.
        by_time: Take the dates, not the cells, as what is exchangeable (`conformal_quantile`).
        bias: Whether the mean is shifted.
        about: Kept as it is.

    Raises:
        DataError: a variable has no hidden cell, or there are too few for the coverage.
    """
    levels, maps_of = {}, {}
    for name, depths in samples.items():
        if places and (choice := choose_place(places[name].sums.values())) is not None:
            maps_of[name] = places[name].map(choice)
            depths = {
                depth: _by_other_dates(cells, places[name].sums[depth], choice) for depth, cells in depths.items()
            }
        filled = {depth: cells for depth, cells in depths.items() if len(cells)}
        if not filled:
            raise DataError(f"No cell of {name!r} was hidden: expected gaps to calibrate on. Choose another pattern.")
        whole = CalibrationCells.join(list(filled.values()))
        # in units of each level's spread, so that no level rules; it says nothing of a level's own bias or pattern
        scaled = CalibrationCells.join([cells.in_spreads() for cells in filled.values()])
        common = fit_level(None, scaled, powers=(1.0,), bias=bias, doubts=DOUBT_OF_ALL).inflation
        maps = []
        for depth, cells in depths.items():
            enough = len(cells) >= FEW_CELLS and np.unique(cells.time).size >= FEW_TIMES
            level_map = LevelMap(depth, 0.0, common, 1.0, 0.0, 0.0, 0.0, 0)
            if enough:
                level_map = fit_level(depth, cells, toward=common, bias=bias)
            if coverage is not None:
                source = cells if enough else whole
                level_map = replace(
                    level_map, quantile=_interval_quantile(source, coverage, by_time=by_time, name=name)
                )
            maps.append(level_map)
        levels[name] = tuple(maps)
    facts = dict(about or {}) | ({} if coverage is None else {"conformal_by": "time" if by_time else "cell"})
    return Calibration(levels, coverage, facts, maps_of)


@dataclass(frozen=True)
class CellPlaces:
    """What the cells of the map add up to, for one variable.

    Arguments:
        sums: By depth (None: surface).
        lat, lon: Of the cells, degrees.
    """

    sums: Mapping[float | None, PlaceSums]
    lat: np.ndarray
    lon: np.ndarray

    def map(self, choice: Choice) -> PlaceMap:
        """Of all dates."""
        variances, grid = [sums.variance(choice) for sums in self.sums.values()], {"lat": self.lat, "lon": self.lon}
        if None in self.sums:
            return PlaceMap(xr.DataArray(variances[0], grid, ("lat", "lon")), *choice)
        coordinates = {"depth": list(self.sums), **grid}
        return PlaceMap(xr.DataArray(np.stack(variances), coordinates, ("depth", "lat", "lon")), *choice)

    def at(self, times: np.ndarray) -> "CellPlaces":
        """Of a part of the dates alone."""
        return replace(self, sums=_AtTimes(self.sums, times))


class _AtTimes(Mapping[float | None, PlaceSums]):
    """Sums of some dates, level by level when they are asked for: together they may be more than memory holds."""

    def __init__(self, sums: Mapping[float | None, PlaceSums], times: np.ndarray) -> None:
        self.sums, self.times = sums, times

    def __getitem__(self, depth: float | None) -> PlaceSums:
        sums = self.sums[depth]
        return sums.at(np.isin(sums.time, self.times))

    def __iter__(self) -> Iterator[float | None]:
        return iter(self.sums)

    def __len__(self) -> int:
        return len(self.sums)


def _by_other_dates(cells: CalibrationCells, sums: PlaceSums, choice: Choice) -> CalibrationCells:
    """The cells, those of every date widened by a map of other dates."""
    parts = []
    for fold in place_folds(sums.time):
        out = np.isin(cells.time, fold)
        if out.any():
            parts.append(cells.at(out).by_place(sums.at(~np.isin(sums.time, fold)).variance(choice)))
    return CalibrationCells.join(parts)


def fit_level(
    depth: float | None,
    cells: CalibrationCells,
    *,
    powers: Sequence[float] | np.ndarray = POWERS,
    toward: float = 1.0,
    bias: bool = True,
    doubts: float = DOUBT,
) -> LevelMap:
    """Bias, inflation and power on hidden cells; see the module.

    Arguments:
        depth: Metres, None for a surface field.
        cells: Of at least one date; cells of one date are taken to err together.
        powers: Candidates for p; 1 must be one of them.
        toward: The inflation that holds where the dates do not speak against it.
        bias: Whether the mean is shifted.
        doubts: Standard errors that the inflation must exceed.
    """
    low, middle, high = (float(q) for q in np.quantile(cells.sd, [0.02, 0.5, 0.98]))
    shift = _shrunken_bias(cells.truth - cells.mean, cells.time) if bias else 0.0
    level_map = LevelMap(depth, shift, 1.0, 1.0, low, middle, high, len(cells))
    rest = replace(cells, truth=cells.truth - level_map.shift(cells.sd))
    power = _choose_power(rest, level_map, powers) if low > 0 else 1.0
    plain, doubt = _log_inflation(rest, np.ones(len(cells)))
    bent, _ = _log_inflation(rest, bend(cells.sd, power, low, middle, high))
    log = np.log(toward) + _shrunken(plain - np.log(toward), doubt, doubts) + bent - plain
    return replace(level_map, power=power, inflation=float(np.clip(np.exp(log), 1 / MOST, MOST)))


def conformal_quantile(scores: np.ndarray, coverage: float, groups: np.ndarray | None = None) -> float:
    """The q that a new score stays below with at least the stated probability; infinity where the data are too few.

    Split conformal prediction (Lei et al. 2018, doi:10.1080/01621459.2017.1307116, section 2.2): the ceil((n + 1)
    coverage)-th smallest of n scores, if they are exchangeable with the new one. Cells of one date are not, but dates may
    be: with `groups`, every one of K dates has the weight 1 / (K + 1), shared by its cells, and infinity has the last
    (Lee, Barber and Willett 2023, arXiv 2306.06342, hierarchical conformal prediction), which is then wide for few dates.

    Arguments:
        scores: (cell).
        coverage: Between 0 and 1.
        groups: Date of every cell (cell).
    """
    order = np.argsort(scores, kind="stable")
    if groups is None:
        rank = int(np.ceil((scores.size + 1) * coverage - 1e-9))
        return float(scores[order[rank - 1]]) if rank <= scores.size else float("inf")
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    reached = np.cumsum(1.0 / ((counts.size + 1) * counts[inverse[order]]))
    index = int(np.searchsorted(reached, coverage - 1e-9))
    return float(scores[order[index]]) if index < scores.size else float("inf")


def _interval_quantile(cells: CalibrationCells, coverage: float, *, by_time: bool, name: str) -> float:
    """The quantile of |y - m| / s; a cell that is off without any spread has an infinite score."""
    error = np.abs(cells.truth - cells.mean)
    scores = np.divide(error, cells.sd, out=np.where(error > 0, np.inf, 0.0), where=cells.sd > 0)
    quantile = conformal_quantile(scores, coverage, cells.time if by_time else None)
    if not np.isfinite(quantile):
        found = f"{np.unique(cells.time).size} dates" if by_time else f"{len(cells)} cells"
        raise DataError(
            f"{found} of {name!r} are too few for intervals of {coverage:g}: expected {coverage / (1 - coverage):.0f} or "
            "more, and a spread above zero. Ask for more cases or a smaller coverage."
        )
    return quantile


def _shrunken(value: float, uncertainty: float, doubts: float = DOUBT) -> float:
    """The value, less what chance explains: v max(0, 1 - (d e / v)^2).

    The positive-part estimate of James and Stein, with d times the standard error e: a value within its own doubt is 0,
    and once it has been corrected nothing is left to find.
    """
    return value * max(0.0, 1.0 - (doubts * uncertainty / value) ** 2) if value else 0.0


def _shrunken_bias(error: np.ndarray, time: np.ndarray) -> float:
    """The mean error of the dates, shrunk; 0 where the dates are too few."""
    dates, inverse = np.unique(time, return_inverse=True)
    if dates.size < FEW_TIMES:
        return 0.0
    means = np.bincount(inverse, weights=error) / np.bincount(inverse)
    return _shrunken(float(means.mean()), _standard_error(means))


def _standard_error(series: np.ndarray) -> float:
    """Of the mean of a few dates in order, which remember each other: s / n_e^(1/2), n_e = n (1 - r) / (1 + r).

    r is the lag-one correlation, freed of the bias that it has in short series (Marriott and Pope 1954) and held between
    0 and 0.9. A slow mode of the ocean that fills the validation period is thus not taken for an error of the method.
    """
    count, departure = series.size, series - series.mean()
    total = float((departure**2).sum())
    found = float((departure[1:] * departure[:-1]).sum()) / total if total > 0 else 0.0
    memory = float(np.clip(found + (1 + 3 * found) / count, 0.0, 0.9))
    return float(np.sqrt(total / (count - 1) / count * (1 + memory) / (1 - memory)))


def _log_inflation(cells: CalibrationCells, bent_by: np.ndarray) -> tuple[float, float]:
    """log a of spread over skill 1, a^2 = <(y - m')^2> / <(1 + 1/M) (g s)^2>, and its standard error.

    The error is that of a ratio of two means over dates (Cochran 1977, Sampling Techniques, section 6.3); with too few
    dates nothing is known of it and it is 0.
    """
    dates, inverse = np.unique(cells.time, return_inverse=True)
    squares = (
        (cells.truth - cells.mean) ** 2,
        (bent_by * cells.sd) ** 2 * of_size(_size(cells)),
    )
    error, spread = (np.bincount(inverse, weights=square) / np.bincount(inverse) for square in squares)
    if not spread.mean() > 0 or not error.mean() > 0:
        return 0.0, 0.0
    ratio = error.mean() / spread.mean()
    doubt = _standard_error(error - ratio * spread) / error.mean() / 2 if dates.size >= FEW_TIMES else 0.0
    return float(np.log(ratio) / 2), float(doubt)


def _choose_power(cells: CalibrationCells, level: LevelMap, powers: Sequence[float] | np.ndarray) -> float:
    """The power nearest to 1 whose CRPS is within two standard errors (over dates) of the best one's."""
    bends = (level.low, level.middle, level.high)
    halves = [(cells.sd, cells)]
    if cells.sampled and cells.members is not None:
        if len(cells.members) < 4:
            return 1.0
        parts = cells.members[0::2], cells.members[1::2]
        pairs = ((parts[0], parts[1]), (parts[1], parts[0]))
        halves = [(spreads.std(axis=0, ddof=1), replace(cells, members=judged)) for spreads, judged in pairs]
    dates, inverse = np.unique(cells.time, return_inverse=True)
    if dates.size < FEW_TIMES:
        return 1.0
    losses = {}
    for power in map(float, powers):
        loss = np.zeros(len(cells))
        for spread, half in halves:
            loss += _crps(half, bend(spread, power, *bends), _size(cells)) / len(halves)
        losses[power] = np.bincount(inverse, weights=loss) / np.bincount(inverse)
    best = losses[min(losses, key=lambda power: losses[power].mean())]

    def within(power: float) -> bool:
        worse = losses[power] - best
        return bool(worse.mean() <= DOUBT * _standard_error(worse))

    return min((power for power in losses if within(power)), key=lambda power: abs(power - 1.0))


def _crps(cells: CalibrationCells, bent_by: np.ndarray, size: int) -> np.ndarray:
    """CRPS of every cell with the best common inflation of a bent spread.

    Members are turned about the mean of the *others*, m + d_i - d_i size / (size - 1), with d_i = x_i - m: about a mean
    that they are a part of, 16 perfect members would gain by 14 % more spread.

    Arguments:
        cells: Of members, or of a Gaussian.
        bent_by: g (cell).
        size: How many members made the mean, 0 where it does not come from members.
    """
    error = cells.truth - cells.mean
    members = cells.members
    if members is None or len(members) < 2:

        def score(inflation: float) -> np.ndarray:
            mean, sd, truth = (xr.DataArray(a, dims="cell") for a in (0 * error, inflation * bent_by * cells.sd, error))
            return crps_gaussian(mean, sd, truth, dims=()).values
    else:
        deviation, count = members - cells.mean, len(members)
        weight = 2.0 * np.arange(1, count + 1) - count - 1
        # half the mean difference of two members, from the sorted ones: see `ensembles.crps_fair`
        apart = bent_by * (weight @ np.sort(deviation, axis=0)) / (count * (count - 1))

        def score(inflation: float) -> np.ndarray:
            factor = inflation * bent_by
            factor = (factor * size - 1) / (size - 1) if size else factor
            return np.abs(factor * deviation - error).mean(axis=0) - inflation * apart

    limits = (-np.log(MOST), np.log(MOST))
    found = minimize_scalar(lambda log: score(float(np.exp(log))).mean(), bounds=limits, options={"xatol": 1e-4})
    return score(float(np.exp(found.x)))


def _size(cells: CalibrationCells) -> int:
    """How many members made the mean; 0 where it does not come from members."""
    return len(cells.members) if cells.members is not None and cells.sampled else 0
