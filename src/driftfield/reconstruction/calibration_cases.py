"""The twin experiment that a calibration is fitted to: the validation split, seen as the method expects to see it.

    validation times -> observe (the run's own patterns and errors) -> reconstruct, raw -> hidden cells with their truth

The test split is never read. A method that was fitted once more on training *and* validation (`refit`) would be judged on what
it knows: its twin without the validation split is fitted from the same data and calibrated in its place (`unseen`).
"""

__all__ = ["Calibratable", "calibrate"]

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr

from driftfield.conventions import domain_of, held_out_of
from driftfield.errors import ConfigurationError
from driftfield.evaluate.cells import cells_of, level_slice
from driftfield.evaluate.scores import ensembles
from driftfield.interfaces import TrainingData
from driftfield.plain import JSONObject
from driftfield.reconstruction.calibration import Calibration, CalibrationCells
from driftfield.reconstruction.calibration_fit import CellPlaces, fit_calibration
from driftfield.reconstruction.calibration_place import PlaceRecord, PlaceSums, place_folds
from driftfield.reconstruction.calibration_trial import Calibratable, Errors, Patterns, Trial
from driftfield.reconstruction.kept_cases import KeptCases

log = logging.getLogger(__name__)

CELLS = 800
"""Most cells of one level that one date gives; neighbours say the same."""

Samples = dict[str, dict[float | None, CalibrationCells]]


def calibrate(
    reconstructor: Calibratable,
    data: TrainingData,
    *,
    cases: int = 12,
    masks: int = 1,
    members: int = 16,
    seed: int = 0,
    patterns: Patterns | None = None,
    error: Errors | None = None,
    coverage: float | None = None,
    by_time: bool = False,
    bias: bool = True,
    keeper: KeptCases | None = None,
) -> Calibration:
    """Fits a calibration to a fitted reconstructor; the reconstructor is not changed.

    Arguments:
        reconstructor: A network or a peer.
        data: What it was fitted to.
        cases: Validation times, evenly spaced.
        masks: How many patterns of gaps each of them is seen through.
        members: Size of the ensembles; reconstruct with as many for intervals that hold what they state.
        seed: Of masks, noise and members.
        patterns: Per variable the patterns to choose from (`data.masks.parse_pattern`); those of the method by default.
        error: Per variable the standard deviation of the observation error, or [low, high]; that of the method by default.
        coverage, by_time, bias: See `calibration_fit.fit_calibration`.
        keeper: Remembers the cases.

    Raises:
        ConfigurationError: the method cannot be calibrated, states no patterns, or gives one answer without a spread.
        DataError: nothing was hidden, or too little for the coverage.
    """
    trial = Trial.of(reconstructor, data, cases, members, patterns, error)
    with TemporaryDirectory(prefix="driftfield-calibration-") as folder:
        gathered = _Gathered(data, Path(folder))
        for turn in range(masks):
            for number, (time, case, result) in enumerate(trial.cases(seed + turn, keeper)):
                count = len(trial.times)
                log.info("calibration: case %d of %d", turn * count + number + 1, masks * count)
                gathered.add(time, case, result, seed + turn)
        samples, places = gathered.samples(), gathered.places()
        about = {
            "cases": len(trial.times),
            **({"masks": masks} if masks > 1 else {}),
            "members": members,
            "seed": seed,
            "patterns": {name: list(texts) for name, texts in trial.observing.observe.items()},
            "scores": _before_and_after(samples, places, bias=bias),
        }
        return fit_calibration(samples, coverage=coverage, by_time=by_time, bias=bias, about=about, places=places)


class _Gathered:
    """Some hidden cells of every case, and what all of them add up to on the map, which lies on disk.

    Arguments:
        data: What the method was fitted to.
        folder: For the files of the map.
    """

    def __init__(self, data: TrainingData, folder: Path) -> None:
        self.data, self.folder = data, folder
        self.cells: dict[str, dict[float | None, list[CalibrationCells]]] = {}
        self.sums: dict[str, dict[float | None, PlaceRecord]] = {}

    def add(self, time: int, case: xr.Dataset, result: xr.Dataset, seed: int) -> None:
        """Of one case more."""
        for name, depth, cells, sums in _hidden(self.data, case, result, time, seed):
            self.cells.setdefault(name, {}).setdefault(depth, []).append(cells)
            records = self.sums.setdefault(name, {})
            if depth not in records:
                records[depth] = PlaceRecord(self.folder, f"{self.data.targets.index(name)}.{len(records)}")
            records[depth].add(sums)

    def samples(self) -> Samples:
        """The cells of all cases."""
        return {n: {d: CalibrationCells.join(some) for d, some in levels.items()} for n, levels in self.cells.items()}

    def places(self) -> dict[str, CellPlaces]:
        """The sums of all cases."""
        grid = {axis: self.data.to_validate.dataset[axis].values for axis in ("lat", "lon")}
        return {n: CellPlaces({d: r.read() for d, r in levels.items()}, **grid) for n, levels in self.sums.items()}


def _hidden(
    data: TrainingData, observations: xr.Dataset, result: xr.Dataset, time: int, seed: int
) -> list[tuple[str, float | None, CalibrationCells, PlaceSums]]:
    """Some of the hidden cells of one date, per variable and level; and what all of them add up to on the map."""
    archive = data.to_validate
    inside, hidden = _validated(data, observations), []
    for name in data.targets:
        held_out, domain = held_out_of(observations, name), domain_of(observations, name)
        if f"{name}_sd" not in result:
            raise ConfigurationError(
                f"The method gives one answer for {name!r} and no spread: there is nothing to calibrate. "
                "Calibrate a method that draws members or states an error."
            )
        if held_out is None or domain is None:
            continue
        truth = archive.dataset[name].isel(time=[time]).load()
        truth = truth.assign_coords({dim: result[name][dim] for dim in truth.dims})
        depths = [float(depth) for depth in truth["depth"].values] if "depth" in truth.dims else [None]
        for index, depth in enumerate(depths):
            mask = cells_of(truth, domain & held_out & inside, index)
            where = np.flatnonzero(mask)
            if where.size > CELLS:
                where = np.sort(np.random.default_rng((seed, time, index)).choice(where, CELLS, replace=False))
            cells = _picked(truth, result, name, index, where, time)
            size = len(cells.members) if cells.members is not None and cells.sampled else 0
            hidden.append((name, depth, cells, _place_sums(data, truth, result, name, index, mask[0], size, time)))
    return hidden


def _place_sums(
    data: TrainingData,
    truth: xr.DataArray,
    result: xr.Dataset,
    name: str,
    index: int,
    mask: np.ndarray,
    size: int,
    time: int,
) -> PlaceSums:
    """All hidden cells of one level and date."""
    error, sd = (
        level_slice(a, index).values[0].astype(np.float64) for a in (truth - result[name], result[f"{name}_sd"])
    )
    return PlaceSums.of(error, sd, mask, size=size, time=time, periodic=data.to_validate.periodic)


def _picked(
    truth: xr.DataArray, result: xr.Dataset, name: str, index: int, where: np.ndarray, time: int
) -> CalibrationCells:
    """The cells of one level at flat indices."""

    def flat(array: xr.DataArray) -> np.ndarray:
        values = level_slice(array, index).values.astype(np.float64)
        return values.reshape(*values.shape[:-3], -1)[..., where]

    ensemble = result.get(f"{name}_member")
    return CalibrationCells(
        truth=flat(truth),
        mean=flat(result[name]),
        sd=flat(result[f"{name}_sd"]),
        time=np.full(where.size, time),
        members=None if ensemble is None or ensemble.sizes["member"] < 2 else flat(ensemble),
        place=where,
    )


def _validated(data: TrainingData, observations: xr.Dataset) -> xr.DataArray:
    """Cells of the validation windows (lat, lon): with a split in space the rest was learnt from."""
    lat, lon = observations["lat"], observations["lon"]
    inside = np.full((lat.size, lon.size), not data.validation_windows)
    for window in data.validation_windows:
        inside[np.ix_(np.arange(lat.size)[window.rows], window.columns(lon.size))] = True
    return xr.DataArray(inside, dims=("lat", "lon"), coords={"lat": lat, "lon": lon})


def _before_and_after(
    samples: Samples, places: Mapping[str, CellPlaces], *, bias: bool = True
) -> dict[str, dict[str, JSONObject]]:
    """Scores of the raw and of the calibrated fields; each date is calibrated by a fit to the others."""
    dates = np.unique(np.concatenate([cells.time for levels in samples.values() for cells in levels.values()]))
    if len(dates) < 2:
        return {}
    raw, after = {name: [] for name in samples}, {name: [] for name in samples}  # type: ignore[var-annotated]
    for fold in place_folds(dates):
        rest = {
            name: {depth: cells.at(~np.isin(cells.time, fold)) for depth, cells in levels.items()}
            for name, levels in samples.items()
        }
        others = np.setdiff1d(dates, fold)
        fitted = fit_calibration(rest, bias=bias, places={name: part.at(others) for name, part in places.items()})
        for name, levels in samples.items():
            for number, ((_, cells), level) in enumerate(zip(levels.items(), fitted.levels[name], strict=True)):
                left_out = cells.at(np.isin(cells.time, fold))
                raw[name].append(left_out)
                placed = fitted.places.get(name)
                after[name].append(level(left_out if placed is None else left_out.by_place(placed.level(number))))
    return {name: {"raw": _scores(raw[name]), "calibrated": _scores(after[name])} for name in samples}


def _scores(parts: Sequence[CalibrationCells]) -> JSONObject:
    """CRPS, spread over skill (overall and in five bins of spread) and coverage of all cells together."""
    cells = CalibrationCells.join(parts)
    truth, mean, sd = (xr.DataArray(a, dims="cell") for a in (cells.truth, cells.mean, cells.sd))
    if cells.members is None:
        fields: tuple[xr.DataArray, ...] = (mean, sd, truth)
        names = ("crps_gaussian", "spread_skill_gaussian", "coverage_gaussian", "spread_skill_bins_gaussian")
    else:
        fields = (xr.DataArray(cells.members, dims=("member", "cell")), truth)
        names = ("crps_fair", "spread_skill", "coverage", "spread_skill_bins")
    crps, ratio, covered, bins = (getattr(ensembles, name)(*fields) for name in names)
    numbers = {
        "rmse": float(np.sqrt(((mean - truth) ** 2).mean())),
        "bias": float((mean - truth).mean()),
        "crps": float(crps),
        "spread_skill": float(ratio),
        "coverage_90": float(covered),
    }
    by_spread = [_finite(float(ratio)) for ratio in bins["ratio"]]
    return {**{name: _finite(value) for name, value in numbers.items()}, "spread_skill_bins": by_spread}


def _finite(value: float) -> float | None:
    """As JSON knows it."""
    return value if np.isfinite(value) else None
