"""Draws from a prior of trajectories: courses in time that no observation constrains.

    nothing seen at any date  --TrajectoryReconstructor, unguided-->  members of p(course)

Longer courses than a window forget faster than the world does; see `diffusion.trajectory`.
"""

__all__ = ["draw_courses"]

from dataclasses import dataclass
from typing import Any, ClassVar

import xarray as xr
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.gridded.encodings import as_dates
from driftfield.interfaces import Denoiser
from driftfield.linalg.operators import Observed
from driftfield.models.unconditional import nothing_seen, read_date
from driftfield.reconstruction.draws import Draws, Keeper
from driftfield.reconstruction.settings import uncalibrated
from driftfield.sampling.guidance.methods import DrawPrior, GuidanceMethod
from driftfield.trajectories.courses import course
from driftfield.trajectories.trajectory import TrajectoryReconstructor


def draw_courses(
    reconstructor: TrajectoryReconstructor,
    *,
    members: int,
    states: int | None = None,
    seed: int = 0,
    date: Any = "2000-01-01",
    batch_size: int | None = None,
    keeper: Keeper | None = None,
) -> xr.Dataset:
    """Courses in time out of a prior of windows, without any observation; member m depends on (seed, m) and on nothing else.

    Arguments:
        reconstructor: A prior of trajectories.
        members: How many.
        states: Their length in steps of the run; one window unless it is given.
        seed: Of the members.
        date: Of the first state.
        batch_size: Windows at a time; does not change them.
        keeper: Remembers batches of members.

    Raises:
        ConfigurationError: fewer states than a window has.
    """
    length = reconstructor.states if states is None else states
    if length < reconstructor.states:
        raise ConfigurationError(
            f"Found {length} states: expected {reconstructor.states} or more, which is the window that this run has learnt."
        )
    # its calibration was fitted to reconstructions from observations
    run, codec = uncalibrated(reconstructor), reconstructor.codec
    run.guidance = _Unguided()
    dates = course(as_dates(read_date(date)), codec.step_days, states=length, monthly=codec.grid.monthly).dates
    drawn = run.complete(nothing_seen(codec, dates.values), Draws(members, seed, batch_size=batch_size, keeper=keeper))
    return drawn.assign_attrs(observations="none", guidance="none")


@dataclass(frozen=True)
class _Unguided(GuidanceMethod):
    """The prior itself."""

    products: ClassVar[int] = 0

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        return denoiser
