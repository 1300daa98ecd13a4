"""Centred targets: the coarse mean of the date is taken off before anything is learnt, and put back at the end.

    x' = x - mean y        y' = y - mean y        of one date

Fine fields then follow a shift of the coarse field exactly, and nothing knows how warm it is.
"""

__all__ = ["centred", "check_centred", "check_centred_of", "levels_of", "with_levels", "without_levels"]

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from driftfield.data.pairing import require_pair
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError, suggest
from driftfield.interfaces import TrainingData
from driftfield.reconstruction.output import Estimate


def levels_of(coarse: xr.Dataset, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The mean of the known coarse cells at each time: (time,) by name."""
    means = {}
    for name in names:
        space = [dim for dim in coarse[name].dims if dim != "time"]
        means[name] = coarse[name].astype(np.float64).mean(space).values
    return means


def centred(data: TrainingData, names: Sequence[str]) -> TrainingData:
    """The same data, fine and coarse fields of some targets less the coarse mean of their date."""
    if not names:
        return data
    pair = require_pair(data, "centred")
    levels = levels_of(pair.coarse, names)
    fine, coarse = data.archive.dataset, pair.coarse
    for name, level in levels.items():
        shift = xr.DataArray(level, dims="time")
        fine = fine.assign({name: (fine[name] - shift).assign_attrs(fine[name].attrs)})
        coarse = coarse.assign({name: (coarse[name] - shift).assign_attrs(coarse[name].attrs)})
    archive = GriddedArchive(fine, data.archive.domains, data.archive.periodic)
    return replace(data, archive=archive, pair=replace(pair, coarse=coarse))


def without_levels(coarse: xr.Dataset, levels: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Coarse fields less their means."""
    return coarse.assign({name: coarse[name] - xr.DataArray(level, dims="time") for name, level in levels.items()})


def with_levels(answers: Mapping[str, Estimate], levels: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Estimates ([member,] time, row, column) and the means again."""

    def raised(name: str) -> Estimate:
        level = levels[name][:, None, None]
        return answers[name].by_part(lambda array, _: (array + level).astype(np.float32))

    return {name: raised(name) if name in levels else answers[name] for name in answers}


def check_centred(
    names: Sequence[str], transform: Mapping[str, str], how: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The names.

    Raises:
        ConfigurationError: one that is transformed or conserved by factors too.
    """
    for name in names:
        if transform.get(name, "none") != "none" or (how or {}).get(name) == "multiplicative":
            raise ConfigurationError(
                f"Found {name!r} centred, and transformed or conserved by factors, which its 0 matters to: expected one "
                "of both. Leave one out."
            )
    return tuple(names)


def check_centred_of(names: Sequence[str], targets: Sequence[str], bounds: Mapping[str, object]) -> None:
    """Refuses what is no target, or has bounds.

    Raises:
        ConfigurationError: one of the names.
    """
    for name in names:
        if name not in targets:
            raise ConfigurationError(f"Found centred: {name!r}, which is no target: {suggest(name, targets)}")
        if name in bounds:
            raise ConfigurationError(
                f"Found {name!r} centred, and data.bounds of it: expected one of both. Leave one out."
            )
