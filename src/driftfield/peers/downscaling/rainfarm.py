"""RainFARM: the coarse rain times a random field of small scales, so that every coarse mean stays.

    x = conserve( interpolate(y) e^(sd g) )        g: Gaussian, power k^(-slope) beyond the coarse grid, variance 1

Slope: of the fine training fields' spectrum beyond the coarse scale. Sd: the one of the least fair CRPS on training dates.
Rebora et al. (2006), doi:10.1175/JHM517.1; amplitude fitted instead of being carried on from the coarse spectrum.
"""

__all__ = ["RainFARM"]

import numpy as np

from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import Cannot
from driftfield.linalg.regridding import Regridding
from driftfield.peers.downscaling.base import SPREADS, Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

AMPLITUDES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6)
_DATES, _MEMBERS = 40, 8


@register("downscaler")
class RainFARM(Downscaler):
    """A stochastic disaggregation of rain; members keep the coarse means and the zeros.

    Arguments:
        slope: Of the power spectrum per wavenumber vector; fitted if not given.
        sd: Of the logarithm of the factors; fitted if not given.
    """

    method = "RainFARM"
    abilities = SPREADS
    follows_shifts = Cannot("scales rain, whose 0 has a meaning")

    def __init__(self, slope: float | None = None, sd: float | None = None) -> None:
        if sd is not None and sd <= 0:
            raise ConfigurationError(f"Found sd: {sd}: expected a number above 0.")
        self.slope, self.sd = slope, sd

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """Slope and amplitude."""
        if np.nanmin(samples.fine) < 0 or samples.coarse.min() < 0:
            raise DataError(
                f"RainFARM needs fields that are not negative: found {np.nanmin(samples.fine):.4g}. Use it for rain."
            )
        slope = _spectral_slope(samples.fine, _width(regridding)) if self.slope is None else self.slope
        sd = self._amplitude(samples, regridding, slope) if self.sd is None else self.sd
        return {"slope": np.array([float(slope)]), "sd": np.array([float(sd)])}

    def _amplitude(self, samples: Samples, regridding: Regridding, slope: float) -> float:
        wet = np.argsort(-samples.coarse.mean(axis=(1, 2)), kind="stable")[: max(1, len(samples.coarse) // 2)]
        chosen = np.sort(wet[np.linspace(0, len(wet) - 1, min(_DATES, len(wet))).astype(int)])
        errors = []
        for sd in AMPLITUDES:
            rng = np.random.default_rng(0)
            total, count = 0.0, 0
            for index in chosen:
                fields = np.stack(
                    [
                        _field(samples.coarse[index], samples.coarse[index], regridding, slope, sd, rng)
                        for _ in range(_MEMBERS)
                    ]
                )
                known = np.isfinite(samples.fine[index])
                total += float(_fair_crps(fields[:, known], samples.fine[index][known]).sum())
                count += int(known.sum())
            errors.append(total / max(count, 1))
        return AMPLITUDES[int(np.argmin(errors))]

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """Members, whose mean is the answer."""
        slope, sd = float(fitted["slope"][0]), float(fitted["sd"][0])
        drawn = [_field(date.coarse, date.asked, regridding, slope, sd, date.random(m)) for m in range(date.members)]
        return Estimate(members=np.stack(drawn))


def _field(
    coarse: np.ndarray, asked: np.ndarray, regridding: Regridding, slope: float, sd: float, rng: np.random.Generator
) -> np.ndarray:
    base = np.maximum(regridding.interpolate(np.maximum(coarse, 0.0), "bilinear"), 0.0)
    factor = np.exp(sd * small_scales(regridding.fine.shape, _width(regridding), slope, rng))
    return regridding.rescale(base * factor, np.maximum(asked, 0.0))


def small_scales(shape: tuple[int, int], width: float, slope: float, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian field (row, column) of variance 1 with power k^-slope above half the coarse grid's largest wavenumber.

    Drawn on a torus that is two coarse cells larger, so that opposite borders know nothing of each other.
    """
    rows, columns = (int(size + 2 * np.ceil(width)) for size in shape)
    k = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None])
    power = np.where(k > 0.25 / width, np.where(k > 0, k, 1.0) ** (-slope), 0.0)
    amplitude = np.sqrt(power / power.mean())
    noise = np.fft.fft2(rng.standard_normal((rows, columns)))
    return np.asarray(np.fft.ifft2(noise * amplitude).real[: shape[0], : shape[1]])


def _width(regridding: Regridding) -> float:
    """Fine cells along the edge of a coarse one."""
    return float(np.sqrt(np.median(regridding.coarse.area) / np.median(regridding.fine.area)))


def _spectral_slope(fields: np.ndarray, width: float) -> float:
    """Of the power spectrum of the fields' logarithm-free values per wavenumber vector, beyond the coarse scale."""
    filled = np.nan_to_num(fields)
    wet = filled[filled.mean(axis=(1, 2)) > 0][:200]
    window = np.outer(np.hanning(fields.shape[1] + 2)[1:-1], np.hanning(fields.shape[2] + 2)[1:-1])
    power = (np.abs(np.fft.fft2((wet - wet.mean(axis=(1, 2), keepdims=True)) * window)) ** 2).mean(axis=0)
    k = np.hypot(np.fft.fftfreq(fields.shape[1])[:, None], np.fft.fftfreq(fields.shape[2])[None])
    used = (k > 0.25 / width) & (k < 0.45) & (power > 0)
    if used.sum() < 4:
        return 2.6
    return float(np.clip(-np.polyfit(np.log(k[used]), np.log(power[used]), 1)[0], 1.0, 5.0))


def _fair_crps(members: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of members (member, n)."""
    count = len(members)
    ordered = np.sort(members, axis=0)
    weight = (2 * np.arange(1, count + 1) - count - 1)[:, None]
    return np.abs(members - truth).mean(axis=0) - (weight * ordered).sum(axis=0) / (count * (count - 1))
