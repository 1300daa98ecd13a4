r"""Lorenz's worlds: small chaotic systems whose every property is known.

    Lorenz-63           x' = s (y - x),   y' = x (r - z) - y,   z' = x y - b z
    Lorenz-96           x_i' = (x_(i+1) - x_(i-2)) x_(i-1) - x_i + F
    two-scale           x_i' = (x_(i+1) - x_(i-2)) x_(i-1) - x_i + F - (h c / b) sum_j y_ij
                        y_k' = -c b y_(k+1) (y_(k+2) - y_(k-1)) - c y_k + (h c / b) x_(i of k)

(Lorenz 1963; Lorenz 1996, "Predictability - a problem partly solved".) Steps are fourth-order Runge-Kutta. One unit of time of
Lorenz-96 stands for five days: a step of .05 for six hours. In the two-scale world the fast y are hidden: to who sees x alone,
the transition is truly stochastic.
"""

__all__ = ["Lorenz63", "Lorenz96", "LorenzWorld", "TwoScaleLorenz96", "runge_kutta", "simulate_lorenz"]

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.registry import register

STEP_HOURS = 6
"""What a time step of .05 stands for."""


def runge_kutta(tendency: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float) -> np.ndarray:
    """One classical fourth-order step."""
    k1 = tendency(x)
    k2 = tendency(x + step / 2 * k1)
    k3 = tendency(x + step / 2 * k2)
    k4 = tendency(x + step * k3)
    return x + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


class LorenzWorld(ABC):
    """A system dx/dt = f(x) with its time step; an `interfaces.Dynamics`."""

    step: float
    """Time step that is written."""

    variables_apart: ClassVar[tuple[str, ...]] = ()
    """Names of the variables where they are different things, each with a mean and a spread of its own; else places of one."""

    @property
    @abstractmethod
    def visible(self) -> int:
        """How many variables are written, the first ones of the state."""

    @property
    def size(self) -> int:
        """Length of a state."""
        return self.visible

    @property
    def step_days(self) -> float:
        """Days that a time step stands for: 63 has no dates of its own, its steps are counted as those of 96."""
        return self.step / 0.05 * STEP_HOURS / 24

    @property
    def substeps(self) -> int:
        """How many Runge-Kutta steps are made of one time step."""
        return 1

    @abstractmethod
    def tendency(self, state: np.ndarray) -> np.ndarray:
        """dx/dt (..., variable)."""

    @abstractmethod
    def start(self, members: int, rng: np.random.Generator) -> np.ndarray:
        """(member, variable) states near rest, to be spun up."""

    def advance(self, state: np.ndarray, steps: int = 1) -> np.ndarray:
        """(..., variable) -> (..., variable), `steps` time steps later."""
        for _ in range(steps * self.substeps):
            state = runge_kutta(self.tendency, state, self.step / self.substeps)
        return state


@register("dynamics")
@dataclass(frozen=True)
class Lorenz63(LorenzWorld):
    """Three variables: the butterfly.

    Arguments:
        sigma, rho, beta: Prandtl number, Rayleigh number over its critical value, geometric factor.
        step: Time step.
    """

    sigma: float = 10.0
    rho: float = 28.0
    beta: float = 8.0 / 3.0
    step: float = 0.01

    variables_apart: ClassVar[tuple[str, ...]] = ("x", "y", "z")

    @property
    def visible(self) -> int:
        return 3

    def tendency(self, state: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(state, -1, 0)
        return np.stack([self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z], axis=-1)

    def start(self, members: int, rng: np.random.Generator) -> np.ndarray:
        return np.array([1.0, 1.0, 25.0]) + rng.standard_normal((members, 3))


@register("dynamics")
@dataclass(frozen=True)
class Lorenz96(LorenzWorld):
    """Variables on a circle of latitude.

    Arguments:
        variables: Their number, 4 or more.
        forcing: F.
        step: Time step.
    """

    variables: int = 40
    forcing: float = 8.0
    step: float = 0.05

    def __post_init__(self) -> None:
        if self.variables < 4:
            raise ConfigurationError(f"Found {self.variables} variables: Lorenz-96 needs 4 or more.")

    @property
    def visible(self) -> int:
        return self.variables

    def tendency(self, state: np.ndarray) -> np.ndarray:
        x = state
        return (np.roll(x, -1, -1) - np.roll(x, 2, -1)) * np.roll(x, 1, -1) - x + self.forcing

    def start(self, members: int, rng: np.random.Generator) -> np.ndarray:
        return self.forcing + rng.standard_normal((members, self.variables))


@register("dynamics")
@dataclass(frozen=True)
class TwoScaleLorenz96(LorenzWorld):
    """Slow variables, each coupled to some fast ones that nobody sees.

    Arguments:
        variables: Slow ones.
        fast: Fast ones per slow one.
        forcing: F.
        coupling, ratio, amplitude: h, c (time scales) and b (amplitudes).
        step: Time step that is written; the fast variables take `substeps` of it.
        substeps: How many steps are made of one.
    """

    variables: int = 36
    fast: int = 10
    forcing: float = 10.0
    coupling: float = 1.0
    ratio: float = 10.0
    amplitude: float = 10.0
    step: float = 0.05
    substeps: int = 20

    @property
    def visible(self) -> int:
        return self.variables

    @property
    def size(self) -> int:
        return self.variables * (1 + self.fast)

    def tendency(self, state: np.ndarray) -> np.ndarray:
        """d(x, y)/dt (..., variable (1 + fast)), slow variables first."""
        x, y = state[..., : self.variables], state[..., self.variables :]
        pull = self.coupling * self.ratio / self.amplitude
        c, b = self.ratio, self.amplitude
        groups = y.reshape(*y.shape[:-1], self.variables, self.fast)
        slow = (np.roll(x, -1, -1) - np.roll(x, 2, -1)) * np.roll(x, 1, -1) - x + self.forcing - pull * groups.sum(-1)
        quick = -c * b * np.roll(y, -1, -1) * (np.roll(y, -2, -1) - np.roll(y, 1, -1)) - c * y
        return np.concatenate([slow, quick + pull * np.repeat(x, self.fast, axis=-1)], axis=-1)

    def start(self, members: int, rng: np.random.Generator) -> np.ndarray:
        slow = self.forcing + rng.standard_normal((members, self.variables))
        return np.concatenate([slow, 0.1 * rng.standard_normal((members, self.variables * self.fast))], axis=-1)


def simulate_lorenz(
    world: LorenzWorld, *, steps: int, every: int = 1, spin_up: int = 1000, seed: int = 0, start: str = "2000-01-01"
) -> xr.Dataset:
    """A record of one trajectory on the attractor.

    Arguments:
        world: Which one.
        steps: States to write.
        every: Time steps between them.
        spin_up: Time steps before the first.
        seed: Of the initial state.
        start: First date; a step of .05 counts as six hours.

    Returns:
        `x` (time, lat, lon): one row of latitude, the variables equally spaced round the circle; or, where these are different
        things (`variables_apart`), one variable each at a single place.

    Raises:
        ConfigurationError: a number makes no sense.
    """
    for name, value, least in (("steps", steps, 1), ("every", every, 1), ("spin_up", spin_up, 0)):
        if value < least:
            raise ConfigurationError(f"Found {name}={value}: expected {least} or more.")
    state = world.advance(world.start(1, np.random.default_rng(seed)), spin_up)
    states = np.empty((steps, world.visible))
    for row in range(steps):
        states[row] = state[0, : world.visible]
        if row + 1 < steps:
            state = world.advance(state, every)
    seconds = np.arange(steps) * round(every * world.step_days * 86400)
    times = np.datetime64(start, "s") + seconds.astype("timedelta64[s]")
    return _as_dataset(states, times, type(world).__name__, seed, world.variables_apart)


def _as_dataset(states: np.ndarray, times: np.ndarray, world: str, seed: int, apart: tuple[str, ...]) -> xr.Dataset:
    lon = np.arange(states.shape[1]) * 360.0 / states.shape[1] if not apart else np.array([0.0])
    attrs = {"units": "1", "long_name": f"state of {world}"}
    coords = {
        "time": times,
        "lat": ("lat", [0.0], {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    columns = {name: states[:, [number]] for number, name in enumerate(apart)} or {"x": states}
    data = {
        name: (("time", "lat", "lon"), values[:, None].astype(np.float32), attrs) for name, values in columns.items()
    }
    return xr.Dataset(data, coords, {"title": f"{world}, simulated", "seed": seed})
