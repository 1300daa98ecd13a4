"""Noise with the colour of the data: what it saves, and in which variable a diffusion should be written.

Exact denoisers, no training. The data are a Gaussian field with the spectrum of simulated Kolmogorov flow (Re 1000, 64 x 64
points, unit variance). For each noise:

1. whitening near the Nyquist wavenumber: the condition of its covariance, and what single precision leaves of whiten(color(z))
2. preconditioning: the variance, wave by wave, of what a network would be shown and of what it would have to predict (EDM),
   over all levels, with one number for all waves: in x, and in whitened variables. With a number of each wave all are 1
3. evaluations: standard deviation of drawn fields by DPM-Solver++ 2M, in all and in the worst shell
4. the same walk in whitened variables: largest difference

    python benchmarks/coloured_noise.py
"""

import numpy as np
import torch
from scipy import fft

from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.gaussian.random_fields import Matern, PeriodicField, SquaredExponential
from driftfield.gaussian.random_fields.cover import NoiseCover, noise_cover
from driftfield.sampling import DPMSolverPP2M
from driftfield.worlds.turbulence_record import simulate_navier_stokes

N = 64
NOISES = {
    "white": None,
    "exponential .1": PeriodicField(Matern(0.1, 0.5), (N, N)),
    "Matern 3/2 .05": PeriodicField(Matern(0.05, 1.5), (N, N)),
    "squared exponential .05": PeriodicField(SquaredExponential(0.05), (N, N)),
}
EVALUATIONS = (6, 8, 12, 16)


class WaveDenoiser:
    """The exact denoiser of independent waves: x of variance v under noise of variance s^2 lambda each."""

    def __init__(self, schedule: LogLinearSchedule, signal: torch.Tensor, noise: torch.Tensor) -> None:
        self.schedule, self.signal, self.noise = schedule, signal, noise

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha, sigma = (part.view(-1, 1) for part in self.schedule.alpha_sigma(t))
        return self.signal / (self.signal + (sigma / alpha) ** 2 * self.noise) * x_t / alpha


def single_precision_error(field: PeriodicField | None) -> tuple[float, float]:
    """Condition, and the largest relative error of a shell after colouring and whitening in float32."""
    if field is None:
        return 1.0, 0.0
    z = np.random.default_rng(0).standard_normal((8, N, N)).astype(np.float32)
    root = np.sqrt(np.maximum(field.eigenvalues, 1e-300)).astype(np.float32)
    colored = fft.irfft2(fft.rfft2(z) * root, s=(N, N)).astype(np.float32)
    back = fft.irfft2(fft.rfft2(colored) / np.maximum(root, 1e-30), s=(N, N))
    difference, whole = (noise_cover(part + 1e-12 * z).signal for part in (back - z, z))
    return field.condition, float(np.sqrt(difference / whole).max())


def preconditioned(cover: NoiseCover, levels: np.ndarray) -> list[tuple[float, float]]:
    """Smallest and largest variance of a shell, over all levels, of input and target of an EDM network: in x, then whitened."""
    s2, weight = levels[:, None] ** 2, cover.wavenumber
    out = []
    for signal, noise in ((cover.signal, cover.noise), (cover.signal / cover.noise, np.ones_like(cover.noise))):
        sd2 = float((weight * signal).sum() / weight.sum())  # a shell has as many waves as its number
        noisy, best = signal + s2 * noise, signal / (signal + s2 * noise)
        seen = noisy / (sd2 + s2)
        skip, scale = sd2 / (sd2 + s2), s2 * sd2 / (sd2 + s2)
        # what a network can know of the target, (best - skip) z / c_out, and what it cannot
        target = ((best - skip) ** 2 * noisy + best * s2 * noise) / scale
        out += [(float(part.min()), float(part.max())) for part in (seen, target)]
    return out


def drawn(
    signal: np.ndarray, noise: np.ndarray, cover: NoiseCover, evaluations: int, whitened: bool = False
) -> np.ndarray:
    """Standard deviation of every wave, truth 1; linear walks need no draws."""
    schedule = LogLinearSchedule(s_min=float(cover.equal.min()) / 8, s_max=8 * float(cover.equal.max()))
    v, n = (torch.from_numpy(part)[None] for part in (signal, noise))
    if whitened:
        v, n = v / n, torch.ones_like(n)
    sampler = DPMSolverPP2M(evaluations=evaluations)
    draw = sampler.sample(WaveDenoiser(schedule, v, n), lambda _: n.sqrt()).double()
    return (draw / v.sqrt())[0].numpy()


def main() -> None:
    record = simulate_navier_stokes(size=N, compute=96, trajectories=3, frames=8, every=2.0)["vorticity"].values
    record = record / record.std()
    asked = " | ".join(f"{number} evaluations" for number in EVALUATIONS)
    print(f"| noise | condition | whitened in float32: worst shell | s_max, s_min needed | {asked} |")
    print("|---|---|---|---|" + "---|" * len(EVALUATIONS))
    tables = []
    for name, field in NOISES.items():
        cover = noise_cover(record, field)
        last = 21  # the data were computed with 31 waves, and are stored with those of the 2/3 rule of their grid
        cover = NoiseCover(cover.wavenumber[:last], cover.signal[:last], cover.noise[:last])
        condition, error = single_precision_error(field)
        counts = 2 * np.pi * cover.wavenumber
        cells, differ = [], 0.0
        for evaluations in EVALUATIONS:
            sd = drawn(cover.signal, cover.noise, cover, evaluations)
            differ = max(differ, float(np.abs(sd - drawn(cover.signal, cover.noise, cover, evaluations, True)).max()))
            total = np.sqrt((counts * cover.signal * sd**2).sum() / (counts * cover.signal).sum())
            cells.append(f"{total:.3f}, {sd[np.abs(sd - 1).argmax()]:.2f}")
        print(
            f"| {name} | {condition:.1e} | {error:.1e} | {cover.s_max:.3g}, {cover.s_min:.2g} | "
            + " | ".join(cells)
            + " |"
        )
        levels = np.exp(np.linspace(np.log(cover.s_min), np.log(cover.s_max), 60))
        parts = [f"{low:.1e} to {high:.1e}" for low, high in preconditioned(cover, levels)]
        tables.append(f"| {name} | " + " | ".join(parts) + f" | {differ:.0e} |")
    print(
        "\n| noise | in x: input | in x: target | whitened: input | whitened: target | walk in whitened waves differs by |"
    )
    print("|---|---|---|---|---|---|")
    print("\n".join(tables))


if __name__ == "__main__":
    main()
