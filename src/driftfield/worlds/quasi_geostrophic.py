r"""Two layers of quasi-geostrophic flow on a beta plane, driven by a jet that keeps becoming unstable.

    dq_i/dt + J(psi_i, q_i) + beta dpsi_i/dx = D_i                       i = 1 (upper), 2 (lower)
    q_1 = lap psi_1 - F_1 (psi_1 - psi_2),    D_1 = +F_1 (psi_1 - psi_2 - delta) / tau
    q_2 = lap psi_2 + F_2 (psi_1 - psi_2),    D_2 = -F_2 (psi_1 - psi_2 - delta) / tau - r lap psi_2
    dc/dt + J(psi_1, c) = (c* - c) / tau_c

F_i = f^2 / (g' H_i). Two layers have two vertical modes, the barotropic and the first baroclinic. The baroclinic one,
psi_1 - psi_2, is pulled towards delta(y), an eastward jet with a broad return flow; baroclinic instability makes it
meander and shed rings, and random stirring keeps eddies alive away from it. c is the share of warm-side water in the
upper layer, a tracer with a front at the jet's axis that is stirred into filaments. It falls by one across the box, and
what is periodic is c + y / L_y: a staircase without a seam.

The box is periodic both ways; the scheme is pseudo-spectral with the 2/3 rule, RK4 in time, and an eighth-order filter
takes up enstrophy at the smallest scales. Reference: G. K. Vallis, Atmospheric and Oceanic Fluid Dynamics (2017),
chapters 5, 9 and 12.
"""

__all__ = ["JetParameters", "QuasiGeostrophicJet"]

from dataclasses import dataclass

import numpy as np
from scipy import fft

from driftfield.errors import DivergenceError

DAY = 86400.0


@dataclass(frozen=True)
class JetParameters:
    """The jet and its ocean; the defaults resemble the Gulf Stream after it has left the coast.

    Arguments:
        size: Extent of the periodic box along and across the jet, m.
        cells: Grid cells along and across the jet.
        coriolis: f, 1/s.
        beta: Change of f across the jet, 1/(m s).
        reduced_gravity: g', m/s^2.
        thickness: H_1 and H_2, m.
        speed: Shear velocity psi_1 - psi_2 is relaxed to at the axis, m/s.
        width: Half width of the jet, m.
        relaxation: tau, s.
        drag: r, 1/s.
        tracer_relaxation: tau_c, s.
        stirring: Streamfunction that random stirring of mesoscale size (wind, eddies from afar) adds in a day, rms,
            m^2/s.
    """

    size: tuple[float, float] = (1280e3, 1536e3)
    cells: tuple[int, int] = (72, 90)
    coriolis: float = 8.8e-5
    beta: float = 1.8e-11
    reduced_gravity: float = 0.02
    thickness: tuple[float, float] = (800.0, 3200.0)
    speed: float = 1.6
    width: float = 55e3
    relaxation: float = 60 * DAY
    drag: float = 1 / (40 * DAY)
    tracer_relaxation: float = 90 * DAY
    stirring: float = 1.8e3

    @property
    def stretching(self) -> tuple[float, float]:
        """F_1 and F_2, 1/m^2."""
        f2 = self.coriolis**2 / self.reduced_gravity
        return f2 / self.thickness[0], f2 / self.thickness[1]

    @property
    def deformation_radius(self) -> float:
        """Of the first baroclinic mode, m."""
        return float(sum(self.stretching) ** -0.5)


class QuasiGeostrophicJet:
    """The flow and its tracer, carried forward by `advance`.

    Arguments:
        rng: Of the eddies that the flow starts with and of the stirring.
        parameters: The jet and its ocean.
        spin_up: Time that passes before the first state, s: the random start is forgotten and rings are shed.

    Attributes:
        strength: Factor on the forcing jet; may be changed between calls of `advance`.
        shift: Displacement of the forcing jet across its axis, m; likewise.
    """

    def __init__(
        self, rng: np.random.Generator, *, parameters: JetParameters | None = None, spin_up: float = 120 * DAY
    ) -> None:
        self.parameters = p = parameters or JetParameters()
        nx, ny = p.cells
        self._shape = (ny, nx)
        # spectra hold the waves along the jet that the 2/3 rule keeps, (ny, nx / 3); across it the rest is set to zero
        kx = 2 * np.pi / p.size[0] * np.arange(-(-nx // 3))
        ky = 2 * np.pi / p.size[1] * fft.fftfreq(ny, 1 / ny)
        dealiased = (np.abs(fft.fftfreq(ny, 1 / ny)) < ny / 3)[:, None]
        self._ky = ky
        self._ikx = (1j * kx[None, :] * dealiased).astype(np.complex64)
        self._iky = (1j * ky[:, None] * dealiased).astype(np.complex64)
        self._k2 = (kx[None, :] ** 2 + ky[:, None] ** 2).astype(np.float32)
        self._k_max = max(kx[-1], np.abs(ky[dealiased[:, 0]]).max())
        self._kept = dealiased
        self._invert_by = _inversion(self._k2, *p.stretching)
        self.strength, self.shift = 1.0, 0.0
        self._force()
        self._rng = rng
        self._band = _eddy_band(self._k2, 3.5 * p.deformation_radius, nx * ny) * dealiased
        self._state = np.concatenate(
            [self._vorticity(self._eddies(0.25 * p.speed * p.width)), self._tracer_target[None]]
        )
        self._state[:2] += self._vorticity(np.stack([self._thickness_target, 0 * self._thickness_target]))
        self.advance(spin_up)

    @property
    def x(self) -> np.ndarray:
        """Cell positions along the jet, m: 0 in the middle of the box."""
        return _axis(self.parameters.size[0], self.parameters.cells[0])

    @property
    def y(self) -> np.ndarray:
        """Cell positions across the jet, m: 0 at its axis, positive on the cold side."""
        return _axis(self.parameters.size[1], self.parameters.cells[1])

    @property
    def streamfunction(self) -> np.ndarray:
        """psi_1 and psi_2, m^2/s: (2, y, x)."""
        return self._real(self._streamfunction(self._state))

    @property
    def potential_vorticity(self) -> np.ndarray:
        """q_1 and q_2 without the planetary part, 1/s: (2, y, x)."""
        return self._real(self._state[:2])

    @property
    def tracer(self) -> np.ndarray:
        """Share of warm-side water in the upper layer, about 0 to 1 within the box: (y, x)."""
        return self._real(self._state[2]) - (self.y / self.parameters.size[1])[:, None]

    def energy(self) -> float:
        """Kinetic and available potential energy per area, m^3/s^2; conserved without forcing, drag and filter."""
        p = self.parameters
        psi = self._streamfunction(self._state)
        kinetic = sum(h * self._mean(self._k2 * np.abs(part) ** 2) for h, part in zip(p.thickness, psi, strict=True))
        potential = p.stretching[0] * p.thickness[0] * self._mean(np.abs(psi[0] - psi[1]) ** 2)
        return 0.5 * float(kinetic + potential)

    def advance(self, duration: float) -> None:
        """Carries the flow forward by `duration` seconds.

        Raises:
            DivergenceError: the flow is not finite any more.
        """
        self._force()
        left = duration
        while left > 1.0:
            slope, rate = self._tendency(self._state)
            if not np.isfinite(rate):
                raise DivergenceError("The quasi-geostrophic flow is not finite. Choose a weaker jet or finer cells.")
            step = left / np.ceil(left / (2.7 / rate))  # RK4 is stable up to 2.8 on the imaginary axis
            self._state = self._runge_kutta(slope, np.float32(step))
            if self.parameters.stirring > 0:
                self._state[:2] += self._vorticity(self._eddies(self.parameters.stirring * (step / DAY) ** 0.5))
            left -= step

    def _runge_kutta(self, slope: np.ndarray, step: np.float32) -> np.ndarray:
        state, half = self._state, np.float32(0.5) * step
        total = slope
        for weight, ahead in ((2, half), (2, half), (1, step)):
            slope, _ = self._tendency(state + ahead * slope)
            total = total + np.float32(weight) * slope
        return (state + step / np.float32(6) * total) * self._filter(float(step))

    def _tendency(self, state: np.ndarray) -> tuple[np.ndarray, float]:
        """dq_1/dt, dq_2/dt, dc/dt, and the fastest rate: the flow across the smallest wave, the longest Rossby wave."""
        p = self.parameters
        psi = self._streamfunction(state)
        fields = self._real(np.concatenate([-self._iky * psi, self._ikx * psi, state]))
        flow, carried = fields[:4].reshape(2, 2, *self._shape), fields[4:]
        flux = np.empty((2, 3, *self._shape), np.float32)
        np.multiply(flow, carried[:2], out=flux[:, :2])
        np.multiply(flow[:, 0], carried[2], out=flux[:, 2])
        flux_hat = self._spectrum(flux)
        slope = -self._ikx * flux_hat[0] - self._iky * flux_hat[1]
        slope[:2] -= np.float32(p.beta) * self._ikx * psi
        warm = (psi[0] - psi[1] - self._thickness_target) / np.float32(p.relaxation)
        slope[0] += np.float32(p.stretching[0]) * warm
        slope[1] += np.float32(p.drag) * self._k2 * psi[1] - np.float32(p.stretching[1]) * warm
        slope[2] += self._ikx * psi[0] / np.float32(p.size[1])
        slope[2] += (self._tracer_target - state[2]) / np.float32(p.tracer_relaxation)
        rate = float(np.abs(flow).sum(axis=0).max() * self._k_max)
        return slope * self._kept, rate + p.beta * max(p.size) / (2 * np.pi)

    def _filter(self, step: float) -> np.ndarray:
        """Damping of the smallest waves, e-folding in a day."""
        return np.exp(-(step / DAY) * (self._k2 / self._k_max**2) ** 4).astype(np.float32)

    def _force(self) -> None:
        """Spectra of delta(y) and c*(y) for the present `strength` and `shift`."""
        p = self.parameters
        jet = -p.speed * p.width * np.tanh(self.y / p.width)
        jump = jet[-1] - jet[0]
        self._thickness_target = self._zonal(self.strength * (jet - jump * self.y / p.size[1]))
        front = 0.5 * (1 - np.tanh(self.y / (0.7 * p.width)))
        # beyond its front the water changes slowly all the way to the edge, so that eddies find something to stir
        share = 0.75 * (front + self.y / p.size[1]) + 0.125
        self._tracer_target = self._zonal(share + self.shift / p.size[1])

    def _zonal(self, profile: np.ndarray) -> np.ndarray:
        """Spectrum of a function of y, shifted across the jet."""
        spectrum = np.zeros(self._k2.shape, np.complex64)
        spectrum[:, 0] = fft.fft(profile) * np.exp(-1j * self._ky * self.shift) * self._shape[1]
        return spectrum * self._kept

    def _eddies(self, rms: float) -> np.ndarray:
        """Random psi_1 and psi_2 = psi_1 / 2 of mesoscale size, spectra; psi_1 has the given rms."""
        psi = self._spectrum(self._rng.standard_normal(self._shape).astype(np.float32)) * self._band * np.float32(rms)
        return np.stack([psi, np.float32(0.5) * psi])

    def _vorticity(self, psi: np.ndarray) -> np.ndarray:
        """q_1 and q_2 of a streamfunction, spectra."""
        warm = psi[0] - psi[1]
        f1, f2 = map(np.float32, self.parameters.stretching)
        return np.stack([-self._k2 * psi[0] - f1 * warm, -self._k2 * psi[1] + f2 * warm])

    def _streamfunction(self, state: np.ndarray) -> np.ndarray:
        (a, b), (c, d) = self._invert_by
        return np.stack([a * state[0] + b * state[1], c * state[0] + d * state[1]])

    def _real(self, spectrum: np.ndarray) -> np.ndarray:
        return fft.irfft(fft.ifft(spectrum, axis=-2), n=self._shape[1])  # irfft fills up with zeros

    def _spectrum(self, field: np.ndarray) -> np.ndarray:
        return fft.fft(fft.rfft(field)[..., : self._k2.shape[1]], axis=-2)

    def _mean(self, power: np.ndarray) -> float:
        """Area mean of a squared field from the power of its half spectrum."""
        weight = np.full(power.shape[-1], 2.0)
        weight[0] = 1.0
        return float((power * weight).sum() / (self._shape[0] * self._shape[1]) ** 2)


def _axis(size: float, cells: int) -> np.ndarray:
    return (np.arange(cells) + 0.5) * (size / cells) - 0.5 * size


def _eddy_band(k2: np.ndarray, scale: float, waves: int) -> np.ndarray:
    """Filter from white noise of unit variance to isotropic waves around 2 pi `scale`, again of unit variance."""
    band = k2 * scale**2 * np.exp(-k2 * scale**2)
    both_signs = (band**2).sum() + (band[:, 1:] ** 2).sum()  # the half spectrum stands for -kx too
    return (band / np.sqrt(both_signs / waves)).astype(np.float32)


def _inversion(
    k2: np.ndarray, f1: float, f2: float
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The 2 x 2 matrices that turn (q_1, q_2) into (psi_1, psi_2); zero for the mean, which moves nothing."""
    wave = k2.astype(np.float64)
    wave[0, 0] = 1.0
    by = -1 / (wave * (wave + f1 + f2))
    by[0, 0] = 0.0
    a, b, c, d = ((part * by).astype(np.float32) for part in (wave + f2, f1 + 0 * wave, f2 + 0 * wave, wave + f1))
    return (a, b), (c, d)
