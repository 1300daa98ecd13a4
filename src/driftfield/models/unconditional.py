"""Draws from a prior: what a diffusion model makes of no observations at all.

    nothing seen anywhere  --DiffusionReconstructor-->  members of p(x)

It can be asked of any run that has learnt what it is to see nothing: with the pattern `none` for every variable, alone or among
others. A prior of trajectories has learnt nothing else, see `prior_courses`.
"""

__all__ = ["check_unconditional", "draw_unconditionally", "learnt_to_see_nothing", "nothing_seen", "read_date"]

from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import Coordinate
from driftfield.data.codec import FieldCodec
from driftfield.data.masks import Nothing
from driftfield.errors import ConfigurationError
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.reconstruction.draws import Draws, Keeper
from driftfield.reconstruction.settings import uncalibrated


def draw_unconditionally(
    reconstructor: DiffusionReconstructor,
    *,
    members: int,
    seed: int = 0,
    date: Any = "2000-01-01",
    batch_size: int = 64,
    keeper: Keeper | None = None,
) -> xr.Dataset:
    """Members of p(x) on the grid of a run; member m depends on (seed, m, date) and on nothing else.

    Arguments:
        reconstructor: A run that was trained with the pattern `none`.
        members: How many.
        seed: Of the members.
        date: Whose climatology and season; it has no meaning for worlds without seasons.
        batch_size: Members at a time; does not change them.
        keeper: Remembers batches of members.

    Raises:
        ConfigurationError: a run that was always shown observations, or that needs a first guess.
    """
    check_unconditional(reconstructor)
    # its calibration was fitted to reconstructions from observations
    run = uncalibrated(reconstructor)
    draws = Draws(members, seed, batch_size=batch_size, keeper=keeper)
    return run.complete(_nothing(reconstructor, date), draws).assign_attrs(observations="none")


def check_unconditional(reconstructor: Any) -> None:
    """Raises `ConfigurationError` unless this is a run that has learnt what it is to see nothing."""
    if not isinstance(reconstructor, DiffusionReconstructor):
        raise ConfigurationError(
            f"{type(reconstructor).__name__} draws no samples: expected a run of DiffusionReconstructor. Train one."
        )
    if reconstructor.guess is not None:
        raise ConfigurationError(
            "This run draws what its first guess lacks, and without observations there is none to make."
        )
    for name in reconstructor.observing.patterns:
        if not learnt_to_see_nothing(reconstructor, name):
            raise ConfigurationError(
                f"This run was always shown some of {name!r} ({reconstructor.observing.observe[name]}): it has not learnt to see "
                f"nothing. Train one with 'observe: {{{name}: none}}', or with none among its patterns."
            )


def learnt_to_see_nothing(reconstructor: DiffusionReconstructor, variable: str) -> bool:
    """Whether a run was trained with no observation of a variable, alone or among other patterns."""
    return any(isinstance(pattern, Nothing) for pattern in reconstructor.observing.patterns.get(variable, ()))


def nothing_seen(codec: FieldCodec, times: np.ndarray) -> xr.Dataset:
    """An observation data set on the whole grid of a run in which no cell of a target was seen.

    Arguments:
        codec: Of the run.
        times: Dates (time,).
    """
    fields = {}
    for name in codec.targets:
        levels = codec.grid.levels[name]
        deep = levels != (None,)
        dims = ("time", "depth", "lat", "lon") if deep else ("time", "lat", "lon")
        shape = (len(times), *((len(levels),) if deep else ()), codec.grid.lat.size, codec.grid.lon.size)
        coords: dict[str, Coordinate] = {"time": times, **codec.grid.coordinates()}
        coords |= {"depth": np.array(levels, dtype=float)} if deep else {}
        fields[name] = xr.DataArray(np.full(shape, np.nan, np.float32), dims=dims, coords=coords)
    return xr.Dataset(fields)


def _nothing(reconstructor: DiffusionReconstructor, date: Any) -> xr.Dataset:
    """Nothing seen on one date."""
    return nothing_seen(reconstructor.codec, read_date(date))


def read_date(date: Any) -> np.ndarray:
    """One date (1,) of its text; raises `ConfigurationError`."""
    try:
        return np.array([date], dtype="datetime64[s]")
    except ValueError as error:
        raise ConfigurationError(f"Cannot read the date {date!r}: expected one such as 2000-01-31.") from error
