"""Worlds that can be simulated: an ocean, the systems of Lorenz, turbulence on a torus."""

__all__ = ["simulate_lorenz63", "simulate_lorenz96", "simulate_navier_stokes", "simulate_ocean"]

from typing import TYPE_CHECKING, Unpack

import xarray as xr

from driftfield.worlds.ocean import simulate_ocean as simulate_ocean

if TYPE_CHECKING:
    from driftfield.worlds.turbulence_record import TurbulenceOptions


def simulate_lorenz63(*, steps: int = 20_000, every: int = 5, seed: int = 0) -> xr.Dataset:
    """A record of the Lorenz-63 system.

    Example:
        >>> df.simulate_lorenz63(steps=10).sizes["time"]
        10
    """
    from driftfield.worlds.lorenz import Lorenz63, simulate_lorenz

    return simulate_lorenz(Lorenz63(), steps=steps, every=every, seed=seed)


def simulate_lorenz96(*, steps: int = 20_000, every: int = 1, seed: int = 0, forcing: float = 8.0) -> xr.Dataset:
    """A record of the Lorenz-96 system: 40 variables on a circle.

    Example:
        >>> df.simulate_lorenz96(steps=10).sizes["time"]
        10
    """
    from driftfield.worlds.lorenz import Lorenz96, simulate_lorenz

    return simulate_lorenz(Lorenz96(forcing=forcing), steps=steps, every=every, seed=seed)


def simulate_navier_stokes(**options: "Unpack[TurbulenceOptions]") -> xr.Dataset:
    """Vorticity of two-dimensional turbulence on a torus: Kolmogorov flow, or decaying.

    Example:
        >>> df.simulate_navier_stokes(size=16, frames=3, spin_up=0.5).sizes["time"]
        3

    Arguments:
        options: reynolds, drag (1 / viscosity, linear friction); forcing ("kolmogorov" or "none"); size, compute (points along
            each side that are stored, and while computing); trajectories, frames, every (flows behind one another, frames of
            each, time between them); spin_up, step (time before the first frame, longest time step); seed, start.

    Raises:
        ConfigurationError: a number that makes no sense.
    """
    from driftfield.worlds import turbulence_record

    return turbulence_record.simulate_navier_stokes(**options)
