"""The dates that a calibration looks at: what is seen of them, and what a method makes of that.

    validation times -> observe (the run's own patterns and errors) -> reconstruct, raw

A case is a function of (method, data, seed, time), so that it may be made by any process, and kept.
"""

__all__ = ["Calibratable", "Errors", "Patterns", "Trial"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, Self, cast

import numpy as np
import xarray as xr

from driftfield.data.observing import ObservingSystem
from driftfield.data.splits import spread_over
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.interfaces import Reconstructor, TrainingData
from driftfield.reconstruction.calibration import Calibration
from driftfield.reconstruction.draws import Draws, TakesDraws
from driftfield.reconstruction.kept_cases import KeptCases
from driftfield.reconstruction.settings import check_ability

Patterns = Mapping[str, Sequence[str]]
Errors = Mapping[str, float | Sequence[float]]
"""Standard deviation of the observation error by variable, or [low, high]."""


class Calibratable(Reconstructor, Protocol):
    """Who says `abilities.calibration`."""

    calibration: Calibration | None
    """Applied to every reconstruction."""

    def expected_observations(self, data: TrainingData) -> tuple[Patterns, Errors]:
        """Patterns and errors of the observations that the method was made for, as far as it says so."""
        ...

    def unseen(self, data: TrainingData) -> Self:
        """The method as it was before anyone calibrated it, and without knowledge of the validation split.

        Arguments:
            data: What it was fitted to.
        """
        ...


@dataclass(frozen=True)
class Trial:
    """The twin experiment: which dates are seen, how, and by whom.

    Arguments:
        method: As it was without the validation split.
        data: What it was fitted to.
        observing: Patterns and errors.
        times: Of the cases.
        members: Size of the ensembles.
    """

    method: Calibratable
    data: TrainingData
    observing: ObservingSystem
    times: np.ndarray
    members: int

    @classmethod
    def of(
        cls,
        reconstructor: Calibratable,
        data: TrainingData,
        cases: int,
        members: int,
        patterns: Patterns | None,
        error: Errors | None,
    ) -> "Trial":
        """Arguments and errors as of `calibrate`."""
        check_ability(reconstructor, "calibration")
        made_for, expected_error = reconstructor.expected_observations(data)
        observing = ObservingSystem({**made_for, **(patterns or {})}, {**expected_error, **(error or {})})
        if missing := [name for name in data.targets if name not in observing.observe]:
            raise ConfigurationError(
                f"{type(reconstructor).__name__} does not say how {missing[0]!r} is observed: expected a pattern. "
                f"Pass --observe {missing[0]}=PATTERN."
            )
        times = spread_over(np.sort(np.asarray(data.validation)), cases)
        return cls(reconstructor.unseen(data), data, observing, times, members)

    def cases(self, seed: int, keeper: KeptCases | None = None) -> Iterator[tuple[int, xr.Dataset, xr.Dataset]]:
        """(time, observations, reconstruction) of every case."""
        if self.method.abilities.uses_other_times:
            yield from self._among_others(seed, keeper)
            return
        for time in self.times:
            case = _observed(self.data, [time], self.observing, seed)
            make = partial(self.method.reconstruct, case, members=self.members, seed=seed)
            yield int(time), case, make() if keeper is None else keeper.result(seed, int(time), case, make)

    def _among_others(self, seed: int, keeper: KeptCases | None) -> Iterator[tuple[int, xr.Dataset, xr.Dataset]]:
        """For a method that looks at other dates: the cases, reconstructed from the observations of the whole split."""
        validation = np.sort(np.asarray(self.data.validation))
        seen = _observed(self.data, validation, self.observing, seed)
        numbers = np.searchsorted(validation, self.times)
        chooses = self.method.abilities.chooses_times
        together: xr.Dataset | None = None

        def make(number: int) -> xr.Dataset:
            nonlocal together
            if chooses and keeper is not None:
                draws = Draws(self.members, seed, times=[int(numbers[number])])
                return cast(TakesDraws, self.method).complete(seen, draws)
            if together is None:
                together = self._together(seen, numbers, seed)
            return together.isel(time=[number])

        for number, time in enumerate(self.times):
            case = seen.isel(time=numbers[[number]])
            how = partial(make, number)
            yield int(time), case, how() if keeper is None else keeper.result(seed, int(time), case, how)

    def _together(self, seen: xr.Dataset, numbers: np.ndarray, seed: int) -> xr.Dataset:
        if self.method.abilities.chooses_times:
            draws = Draws(self.members, seed, times=[int(number) for number in numbers])
            return cast(TakesDraws, self.method).complete(seen, draws)
        return self.method.reconstruct(seen, members=self.members, seed=seed).isel(time=numbers)

    def at(self, time: int) -> "Trial":
        """With one of its cases alone."""
        return replace(self, times=np.array([time]))


def _observed(
    data: TrainingData, times: Sequence[int] | np.ndarray, observing: ObservingSystem, seed: int
) -> xr.Dataset:
    """Twin observations of some dates; each date draws its pattern and its error among those that there are."""
    archive = data.to_validate
    names = [name for name in (*data.targets, *data.covariates) if name in observing.observe]
    domains = {name: archive.domain(name) for name in names}
    cases = []
    for time in times:
        rng = np.random.default_rng((seed, int(time)))
        texts = {name: observing.observe[name][int(rng.integers(len(observing.observe[name])))] for name in names}
        errors = {name: observing.error_of(name, rng) for name in names}
        fields = archive.dataset[names].isel(time=[int(time)])
        cases.append(observe(fields, texts, error=errors, seed=seed, domain=domains))
    return xr.concat(cases, dim="time", data_vars="minimal", coords="minimal", compat="override", join="override")
