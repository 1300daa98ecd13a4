"""What the variables of a run are measured in: units travel with a run, and whatever is compared with it is converted or refused.

both have units      equal text passes, other text is converted (`gridded.units`), or refused
one side has none    the values are held against the run's own:  |x - mean| > 20 sd  for most of them is another unit
                     so is 6 sd, if another unit of the same dimension brings most of them within 3
"""

__all__ = ["Measure", "KnowsMeasures", "Measures", "in_units_of_run"]

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from driftfield.errors import DataError
from driftfield.gridded.quantities import quantity_of
from driftfield.gridded.units import in_units, relatives, same_units
from driftfield.plain import JSONObject

log = logging.getLogger(__name__)

_FAR, _ODD, _NEAR = 20.0, 6.0, 3.0
"""Standard deviations from the mean: another unit for sure; another unit if a known one explains it; explained."""
_DATES = 24
_SAMPLE = 2**20


@dataclass(frozen=True)
class Measure:
    """One variable.

    Arguments:
        units: As the archive had them in the program; empty if it said nothing.
        mean, sd: Of its values, in these units; NaN where unknown.
    """

    units: str
    mean: float = float("nan")
    sd: float = float("nan")


class Measures(Mapping[str, Measure]):
    """The measures of a run by variable; an old run has none, and nothing is compared.

    Arguments:
        measures: By variable.
        origin: Where they are from, for messages.
    """

    def __init__(self, measures: Mapping[str, Measure] | None = None, origin: str = "the archive of the run") -> None:
        self._measures, self._origin = dict(measures or {}), origin

    def __getitem__(self, name: str) -> Measure:
        return self._measures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._measures)

    def __len__(self) -> int:
        return len(self._measures)

    @classmethod
    def fit(
        cls,
        fields: xr.Dataset,
        names: Sequence[str],
        times: np.ndarray | None = None,
        *,
        origin: str = "the archive of the run",
    ) -> "Measures":
        """From an archive: units as it states them, mean and standard deviation of some dates.

        Arguments:
            fields: Variables (time, [depth,] lat, lon).
            names: Which of them.
            times: Indices of the dates to look at, of which two dozen are; all dates if not given.
            origin: What messages call it.
        """
        measures = {}
        for name in names:
            array = fields[name]
            if "time" in array.dims:
                chosen = np.arange(array.sizes["time"]) if times is None else np.asarray(times, dtype=int)
                array = array.isel(time=chosen[np.unique(np.linspace(0, len(chosen) - 1, _DATES).astype(int))])
            values = _finite(array)
            mean, sd = (float(values.mean()), float(values.std())) if values.size else (np.nan, np.nan)
            measures[name] = Measure(str(array.attrs.get("units", "")).strip(), mean, sd)
        return cls(measures, origin)

    def units(self) -> dict[str, str]:
        """Units by variable, of those that have any."""
        return {name: measure.units for name, measure in self.items() if measure.units}

    def to_json(self) -> JSONObject:
        """What `from_json` reads; NaN, which JSON does not know, as null."""
        return {
            name: {
                "units": measure.units,
                "mean": None if np.isnan(measure.mean) else measure.mean,
                "sd": None if np.isnan(measure.sd) else measure.sd,
            }
            for name, measure in self.items()
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any] | None) -> "Measures":
        """The inverse of `to_json`."""
        return cls(
            {
                name: Measure(
                    str(one["units"]), *(np.nan if one[key] is None else float(one[key]) for key in ("mean", "sd"))
                )
                for name, one in (written or {}).items()
            }
        )

    def brought(self, dataset: xr.Dataset, source: str = "the observations") -> xr.Dataset:
        """A data set in the units of the run, with errors, spread and members.

        Arguments:
            dataset: Canonical; variables that the run does not know are left alone.
            source: What messages call it.

        Raises:
            DataError: units that do not convert, or values that are in other units, to all appearances.
        """
        for name in (n for n in self if n in dataset):
            measure, stated = self[name], str(dataset[name].attrs.get("units", "")).strip()
            if stated and measure.units:
                if stated != measure.units:
                    dataset = self._converted(dataset, name, stated, source)
                continue
            self.check_scale(name, dataset[name], source)
            if measure.units:
                log.info("%s declares no units of %r: taken as %s, as it is known here", source, name, measure.units)
                dataset = dataset.assign({name: dataset[name].assign_attrs(units=measure.units)})
        return dataset

    def _converted(self, dataset: xr.Dataset, name: str, stated: str, source: str) -> xr.Dataset:
        wanted = self[name].units
        if same_units(stated, wanted):
            return dataset.assign({name: dataset[name].assign_attrs(units=wanted)})
        try:
            converted = in_units(dataset, name, wanted)
        except DataError as error:
            raise DataError(
                f"{name!r} is in {stated!r} in {source}, and the run knows it in {wanted!r}. {error}"
            ) from error
        log.info("%s: %r is converted from %s to %s, the units of the run", source, name, stated, wanted)
        return converted

    def check_scale(self, name: str, array: xr.DataArray, source: str = "the observations") -> None:
        """Holds values without units (or with units that the run does not know) against the mean and spread of the run.

        Raises:
            DataError: most of them are where no value of the run is.
        """
        measure, values = self[name], _finite(array)
        if not values.size or not np.isfinite([measure.mean, measure.sd]).all() or measure.sd <= 0:
            return
        far = np.abs(values - measure.mean) / measure.sd
        likely = _likely_units(values, measure, name)
        if (far > _FAR).mean() <= 0.5 and not ((far > _ODD).mean() > 0.5 and likely):
            return
        said = str(array.attrs.get("units", "")).strip()
        stated = f"declares {said!r}" if said else "declares no units"
        guess = (
            f" They look like {likely}: set the attribute units to {likely!r}."
            if likely
            else " Set the attribute units."
        )
        raise DataError(
            f"{name!r} in {source} {stated} and holds {np.median(values):.6g} in the middle (of {values.size} values): expected "
            f"about {measure.mean:.4g} with a standard deviation of {measure.sd:.3g}"
            f"{' ' + measure.units if measure.units else ''}, as in {self._origin}.{guess}"
        )


@runtime_checkable
class KnowsMeasures(Protocol):
    """A method that knows what its variables are measured in: every network and peer of the program."""

    @property
    def measures(self) -> Measures:
        """By variable."""
        ...


def in_units_of_run(method: object, dataset: xr.Dataset, source: str) -> xr.Dataset:
    """`Measures.brought` by a method; unchanged if the method, somebody else's, knows no units."""
    return method.measures.brought(dataset, source) if isinstance(method, KnowsMeasures) else dataset


def _likely_units(values: np.ndarray, measure: Measure, name: str) -> str:
    """The unit in which most values would lie near the mean of the run; empty if none does."""
    units = measure.units
    if not units and (quantity := quantity_of(xr.DataArray(0.0), name)) is not None:
        units = quantity.units
    for other, (scale, offset) in relatives(units).items():
        if (np.abs(values * scale + offset - measure.mean) <= _NEAR * measure.sd).mean() > 0.5:
            return other
    return ""


def _finite(array: xr.DataArray) -> np.ndarray:
    """Finite values of an array, a sample of a large one: first, middle and last dates."""
    if array.size > 16 * _SAMPLE and "time" in array.dims:
        array = array.isel(time=sorted({0, array.sizes["time"] // 2, array.sizes["time"] - 1}))
    values = np.asarray(array.values, dtype=np.float64).reshape(-1)
    values = values[:: max(1, values.size // _SAMPLE)]
    return values[np.isfinite(values)]
