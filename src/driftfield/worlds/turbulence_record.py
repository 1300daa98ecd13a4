"""A record of two-dimensional turbulence as a data set: trajectories behind one another, on a square patch at the equator.

A torus has no latitudes. Its square is written as `DEGREES` by `DEGREES` at the equator, where cells are equal to .4 %, its
first point in the south-west; one unit of time is one day. Trajectories follow one another with a gap of `GAP` steps, so
that no frame has a neighbour in another trajectory; the coordinate `trajectory` counts them. The global attribute `torus`
says that both axes wrap.
"""

__all__ = ["DEGREES", "GAP", "TurbulenceOptions", "simulate_navier_stokes"]

from typing import TypedDict

import numpy as np
import xarray as xr

from driftfield.errors import ConfigurationError, whole_number
from driftfield.worlds.navier_stokes import NavierStokes

DEGREES, GAP = 10.0, 10


class TurbulenceOptions(TypedDict, total=False):
    """What `simulate_navier_stokes` takes, which says what each means."""

    reynolds: float
    drag: float
    forcing: str
    size: int
    compute: int | None
    trajectories: int
    frames: int
    every: float
    spin_up: float | None
    step: float | None
    seed: int
    start: str


def simulate_navier_stokes(
    *,
    reynolds: float = 1000.0,
    drag: float = 0.1,
    forcing: str = "kolmogorov",
    size: int = 64,
    compute: int | None = None,
    trajectories: int = 1,
    frames: int = 50,
    every: float = 0.2,
    spin_up: float | None = None,
    step: float | None = None,
    seed: int = 0,
    start: str = "2000-01-01",
) -> xr.Dataset:
    """Vorticity of two-dimensional flows on a torus.

    Arguments:
        reynolds: 1 / viscosity.
        drag: Linear friction.
        forcing: "kolmogorov" (sin 4y along x) or "none" (decaying).
        size: Points along each side that are stored, by Fourier truncation.
        compute: Points along each side while computing; twice as many by default.
        trajectories: Flows, each from its own random beginning.
        frames: Of each.
        every: Time between frames; a whole number of time steps is made of it.
        spin_up: Time before the first frame: 20 by default, 0 for decaying flows.
        step: Longest time step; .64 / compute by default.
        seed: Of the beginnings.
        start: Date of the first frame; a unit of time counts as one day.

    Returns:
        `vorticity` (time, lat, lon), and which `trajectory` a date belongs to.

    Raises:
        ConfigurationError: a number that makes no sense.
        DivergenceError: the time step is too long.
    """
    for name, value in (("trajectories", trajectories), ("frames", frames)):
        whole_number(name, value)
    spin_up = (20.0 if forcing != "none" else 0.0) if spin_up is None else spin_up
    if not 1e-3 <= every < np.inf or not 0 <= spin_up < np.inf:
        raise ConfigurationError(
            f"Found every={every:g} and spin_up={spin_up:g}: expected .001 or more between frames, and 0 or more before."
        )
    compute = 2 * size if compute is None else compute
    longest = 0.64 / compute if step is None else step
    if not longest > 0:
        raise ConfigurationError(f"Found step={step!r}: expected a number above 0.")
    between = int(np.ceil(every / longest - 1e-9))
    flow = NavierStokes(size, compute, reynolds, drag, forcing, step=every / between)
    w = flow.march(flow.first(range(trajectories), seed), round(spin_up / flow.time_step))
    states = []
    for frame in range(frames):
        w = flow.march(w, between) if frame else w
        states.append(flow.fields(w).numpy())
    return _as_dataset(np.stack(states, axis=1), flow, every, seed, start)


def _as_dataset(states: np.ndarray, flow: NavierStokes, every: float, seed: int, start: str) -> xr.Dataset:
    """(trajectory, frame, y, x) -> trajectories behind one another."""
    count, frames, size = states.shape[:3]
    number = np.arange(frames) + np.arange(count)[:, None] * (frames + GAP)
    times = np.datetime64(start, "ms") + np.round(number.ravel() * every * 86_400_000).astype("timedelta64[ms]")
    lat, lon = np.arange(size) * DEGREES / size - DEGREES / 2, np.arange(size) * DEGREES / size
    coords = {
        "time": times.astype("datetime64[ns]"),
        "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
        "trajectory": ("time", np.repeat(np.arange(count), frames), {"long_name": "number of the trajectory"}),
    }
    attrs = {"units": "1", "long_name": "vorticity of two-dimensional turbulence"}
    data = {"vorticity": (("time", "lat", "lon"), states.reshape(-1, size, size).astype(np.float32), attrs)}
    return xr.Dataset(
        data,
        coords,
        {
            "title": "Two-dimensional turbulence on a torus, simulated",
            "torus": "lat lon",
            "reynolds": flow.reynolds,
            "drag": flow.drag,
            "forcing": f"sin({flow.forcing_waves} y) along x" if flow.forcing == "kolmogorov" else "none",
            "computed_points": flow.points,
            "dealiasing_cut": flow.cut,
            "time_step": flow.time_step,
            "comment": "the side of the torus is 2 pi and a unit of time one day; degrees only name the points",
            "seed": seed,
        },
    )
