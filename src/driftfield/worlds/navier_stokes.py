r"""Two-dimensional turbulence on a torus: the vorticity w of an incompressible fluid, pseudo-spectral, in batches.

    dw/dt + u . grad w = nu lap w - drag w + curl f,      w = dv/dx - du/dy,      lap psi = w,  (u, v) = (-dpsi/dy, dpsi/dx)

    "kolmogorov"   f = sin(m y) e_x, so curl f = -m cos(m y)          m = 4
    "none"         f = 0: the flow decays

on [0, 2 pi)^2, x along the columns and y along the rows, point j at 2 pi j / n; nu = 1 / Re. Waves above the cut, a third of
the number of points, are 0 (the 2/3 rule): products of what is left fold nothing back. The linear part is exact (an
integrating factor), the rest is a classical Runge-Kutta step of fourth order:

    w(t + h) = E^2 w + h/6 (E^2 k1 + 2 E (k2 + k3) + k4),       E = exp(L h / 2),  L = -nu k^2 - drag

Reference: Boffetta and Ecke 2012, "Two-dimensional turbulence"; Chandler and Kerswell 2013 for the Kolmogorov flow at Re 40.
This world alone uses torch, for transforms in batches.
"""

__all__ = ["NavierStokes", "truncated"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from driftfield.errors import ConfigurationError, DivergenceError, suggest, whole_number
from driftfield.gaussian.counter_noise import key_of, word_of
from driftfield.gaussian.random_fields import PeriodicField, PowerLaw
from driftfield.registry import register

FORCINGS = ("kolmogorov", "none")
FIRST = PowerLaw(1 / 7, 2.5)
"""(-Laplacian + 49)^-2.5: the first flow, the choice of Li et al. 2021 (arXiv 2010.08895) in units of the torus's radius."""
FIRST_VORTICITY = 3.0
"""Its standard deviation."""


@register("dynamics")
@dataclass(frozen=True)
class NavierStokes:
    """A flow with its time step; an `interfaces.Dynamics` of states that are vorticity on `cells` x `cells` points.

    Arguments:
        cells: Points of a state along each side.
        compute: Points along each side while computing, `cells` or more; `cells` by default.
        reynolds: 1 / nu.
        drag: Linear friction.
        forcing: One of the module's table.
        forcing_waves: m.
        step: Time step of the scheme; by default .64 / compute.
        substeps: How many of them make one step of a state.

    Raises:
        ConfigurationError: a number that makes no sense.
    """

    cells: int = 64
    compute: int | None = None
    reynolds: float = 1000.0
    drag: float = 0.1
    forcing: str = "kolmogorov"
    forcing_waves: int = 4
    step: float | None = None
    substeps: int = 1

    def __post_init__(self) -> None:
        whole_number("cells", self.cells, 4)
        whole_number("substeps", self.substeps)
        whole_number("forcing_waves", self.forcing_waves)
        if self.compute is not None and whole_number("compute", self.compute, 4) < self.cells:
            raise ConfigurationError(
                f"Found compute={self.compute} and {self.cells} cells to store: expected at least as many to compute with."
            )
        if not 0 < self.reynolds < math.inf or not 0 <= self.drag < math.inf or not 0 < self.time_step < math.inf:
            raise ConfigurationError(
                f"Found reynolds={self.reynolds:g}, drag={self.drag:g} and step={self.time_step:g}: expected numbers above 0, "
                "and 0 or more of drag."
            )
        if self.forcing not in FORCINGS:
            raise ConfigurationError(f"Found forcing={self.forcing!r}: {suggest(self.forcing, FORCINGS)}")
        if self.forcing != "none" and self.forcing_waves > self.cut:
            raise ConfigurationError(
                f"The forcing has {self.forcing_waves} waves, and {self.points} points compute up to {self.cut}: use more points."
            )

    @property
    def points(self) -> int:
        """Along each side while computing."""
        return self.cells if self.compute is None else self.compute

    @property
    def cut(self) -> int:
        """The largest wavenumber that is computed, in each direction."""
        return (self.points - 1) // 3

    @property
    def time_step(self) -> float:
        """Of the scheme."""
        return 0.64 / self.points if self.step is None else self.step

    @property
    def size(self) -> int:
        """Length of a state."""
        return self.cells**2

    @property
    def step_days(self) -> float:
        """Days of a step of a state: a unit of time counts as one day."""
        return self.time_step * self.substeps

    def advance(self, state: np.ndarray, steps: int = 1) -> np.ndarray:
        """(..., variable) -> (..., variable), `steps` steps later.

        Raises:
            DivergenceError: the flow is too fast for the time step.
        """
        fields = torch.as_tensor(np.asarray(state, dtype=np.float64)).reshape(-1, self.cells, self.cells)
        later = self.fields(self.march(self.spectrum(fields), steps * self.substeps))
        return later.reshape(state.shape).numpy()

    def start(self, members: int, rng: np.random.Generator) -> np.ndarray:
        """(member, variable) random flows, to be spun up."""
        seed = int(rng.integers(2**31))
        return self.fields(self.first(range(members), seed)).flatten(1).numpy()

    def first(self, members: Sequence[int], seed: int) -> Complex[Tensor, "member ky kx"]:
        """Spectra of random flows: the same for a member at every resolution, as far as it holds the waves."""
        field = PeriodicField(FIRST, (256, 256), (2 * np.pi, 2 * np.pi)).on((self.points, self.points))
        channel = word_of("vorticity")
        noise = np.stack([field.keyed_noise(key_of(seed, member, "first"), channel, 0) for member in members])
        spectra = torch.fft.rfft2(torch.from_numpy(FIRST_VORTICITY * field.color(noise))) * self._waves.kept
        spectra[:, 0, 0] = 0
        return spectra

    def spectrum(self, fields: Float[Tensor, "batch y x"]) -> Complex[Tensor, "batch ky kx"]:
        """Of vorticity on any number of points, on the points of computing."""
        return torch.fft.rfft2(truncated(fields, self.points)) * self._waves.kept

    def fields(self, spectra: Complex[Tensor, "batch ky kx"], cells: int | None = None) -> Float[Tensor, "batch y x"]:
        """Vorticity on `cells` points, by Fourier truncation."""
        whole = torch.fft.irfft2(spectra, s=(self.points, self.points))
        return truncated(whole, self.cells if cells is None else cells)

    def march(self, w: Complex[Tensor, "batch ky kx"], steps: int) -> Complex[Tensor, "batch ky kx"]:
        """`steps` time steps of the scheme.

        Raises:
            DivergenceError: numbers stopped being finite.
        """
        h, waves = self.time_step, self._waves
        half = torch.exp(waves.linear * h / 2)
        whole = half**2
        for _ in range(steps):
            k1 = self._nonlinear(w)
            k2 = self._nonlinear(half * (w + h / 2 * k1))
            k3 = self._nonlinear(half * w + h / 2 * k2)
            k4 = self._nonlinear(whole * w + h * half * k3)
            w = whole * w + h / 6 * (whole * k1 + 2 * half * (k2 + k3) + k4)
        if not torch.isfinite(torch.view_as_real(w)).all():
            raise DivergenceError(
                f"The flow ran away with time steps of {h:g} on {self.points} points. Use a smaller step."
            )
        return w

    def _nonlinear(self, w: Tensor) -> Tensor:
        """-u . grad w + curl f, without the waves above the cut."""
        waves, n = self._waves, self.points
        parts = torch.stack([waves.to_u * w, waves.to_v * w, waves.along_x * w, waves.along_y * w])
        u, v, w_x, w_y = torch.fft.irfft2(parts, s=(n, n))
        return -torch.fft.rfft2(u * w_x + v * w_y) * waves.kept + waves.forcing

    def budget(self, w: Complex[Tensor, "batch ky kx"]) -> dict[str, Float[Tensor, " batch"]]:
        """Area means: energy |u|^2 / 2, enstrophy w^2 / 2, what viscosity and drag take of the energy, what the force gives."""
        waves, n = self._waves, self.points
        power = (w.abs() ** 2 * waves.counts) / n**4
        energy = (power * waves.inverse / 2).sum((-2, -1))
        force = (waves.forcing.conj() * waves.inverse * w).real * waves.counts / n**4
        return {
            "energy": energy,
            "enstrophy": power.sum((-2, -1)) / 2,
            "viscous": power.sum((-2, -1)) / self.reynolds,
            "drag": 2 * self.drag * energy,
            "input": force.sum((-2, -1)),
        }

    @cached_property
    def _waves(self) -> "_Waves":
        return _Waves(self)


class _Waves:
    """Wavenumbers of a flow, and what its spectra are multiplied by."""

    def __init__(self, flow: NavierStokes) -> None:
        n = flow.points
        kx = torch.arange(n // 2 + 1, dtype=torch.float64)[None, :]
        ky = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)[:, None]
        k2 = kx**2 + ky**2
        self.kept = ((kx.abs() <= flow.cut) & (ky.abs() <= flow.cut)).double()
        self.inverse = torch.where(k2 > 0, 1 / k2, 0)
        self.linear = -k2 / flow.reynolds - flow.drag
        self.along_x, self.along_y = 1j * kx, 1j * ky
        # psi = -w / k^2; u = -dpsi/dy, v = dpsi/dx
        self.to_u, self.to_v = 1j * ky * self.inverse, -1j * kx * self.inverse
        # the half spectrum stands for -kx too
        self.counts = torch.full((1, n // 2 + 1), 2.0, dtype=torch.float64)
        self.counts[0, 0] = 1.0
        if n % 2 == 0:
            self.counts[0, -1] = 1.0
        self.forcing = torch.zeros(n, n // 2 + 1, dtype=torch.complex128)
        if flow.forcing == "kolmogorov":
            m = flow.forcing_waves
            self.forcing[[m, n - m], 0] = -m * n**2 / 2


def truncated(fields: Float[Tensor, "*batch y x"], points: int) -> Float[Tensor, "*batch y2 x2"]:
    """The same waves on another number of points along each side; those at and above the smaller Nyquist wavenumber are lost."""
    n = fields.shape[-1]
    if points == n:
        return fields
    most = (min(n, points) - 1) // 2
    spectra = torch.fft.rfft2(fields, norm="forward")
    out = spectra.new_zeros(*fields.shape[:-2], points, points // 2 + 1)
    out[..., : most + 1, : most + 1] = spectra[..., : most + 1, : most + 1]
    out[..., points - most :, : most + 1] = spectra[..., n - most :, : most + 1]
    return torch.fft.irfft2(out, s=(points, points), norm="forward")
