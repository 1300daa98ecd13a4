r"""Averages of the weights with a power-function profile, whose width can be chosen after the training.

    average_g(t) = (g + 1) / t^(g + 1)  int_0^t  tau^g weights(tau) dtau,       width = sqrt(g + 1) / ((g + 2) sqrt(g + 3))

The width is the standard deviation of the profile as a share of the training so far, so that the average forgets the first
weights at any length. Snapshots of two averages span, nearly, those of every other width: the profile that is wanted is the
least-squares combination of the profiles that were kept (Karras et al. 2024, arXiv 2312.02696, section 3 and appendix C).
"""

__all__ = ["PowerEMA", "Snapshot", "combine", "exponent"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from driftfield.errors import ConfigurationError

WIDEST = 0.28
"""A flat profile (g = 0) has the width 1 / sqrt(12) = .289; wider ones would weigh the first weights most."""


def exponent(width: float) -> float:
    """g of a width: the positive root of  (g + 2)^2 (g + 3) width^2 = g + 1.

    Raises:
        ConfigurationError: no such profile.
    """
    if not 0 < width <= WIDEST:
        raise ConfigurationError(
            f"Found the EMA width {width}: expected a share of the training, above 0 and up to {WIDEST}."
        )
    # in k = width^-2:  g^3 + 7 g^2 + (16 - k) g + 12 - k = 0
    k = width**-2
    roots = np.roots([1, 7, 16 - k, 12 - k])
    return float(roots[np.isreal(roots)].real.max())


@dataclass(frozen=True)
class Snapshot:
    """An average as it was at some step.

    Arguments:
        step: Optimizer steps done.
        width: Of the average.
        weights: By name.
    """

    step: int
    width: float
    weights: Mapping[str, Tensor]


class PowerEMA:
    """Averages of a module's parameters, one per width.

    Arguments:
        module: Whose parameters are averaged.
        widths: Of the profiles; two are enough to make all others.
    """

    def __init__(self, module: nn.Module, widths: Sequence[float] = (0.05, 0.1)) -> None:
        self.module, self.widths = module, tuple(widths)
        self.exponents = [exponent(width) for width in self.widths]
        start = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
        self.averages = [{name: value.clone() for name, value in start.items()} for _ in self.widths]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After the optimizer's step number `step` (from 0)."""
        names, parameters = zip(*self.module.named_parameters(), strict=True)
        weights = [parameter.detach() for parameter in parameters]
        for average, g in zip(self.averages, self.exponents, strict=True):
            kept = (1 - 1 / (step + 1)) ** (g + 1)
            torch._foreach_lerp_([average[name] for name in names], weights, 1 - kept)

    def snapshots(self, step: int) -> list[Snapshot]:
        """Copies of all averages after `step` steps."""
        return [
            Snapshot(step, width, {name: value.clone() for name, value in average.items()})
            for width, average in zip(self.widths, self.averages, strict=True)
        ]


def combine(snapshots: Sequence[Snapshot], width: float, step: int | None = None) -> dict[str, Tensor]:
    """The average of another width (and step), from snapshots.

    Arguments:
        snapshots: Kept during the training, of one or more widths.
        width: That is wanted.
        step: At which it is wanted; the last one by default.

    Raises:
        ConfigurationError: no snapshots up to that step.
    """
    last = max((one.step for one in snapshots), default=0) if step is None else step
    used = [one for one in snapshots if one.step <= last]
    if not used:
        raise ConfigurationError(f"Found no snapshot of the weights up to step {last}. Keep some while training.")
    coefficients = profile_coefficients([(one.step, one.width) for one in used], width, last)
    names = used[0].weights.keys()
    return {
        name: sum(
            (c * one.weights[name].double() for c, one in zip(coefficients, used, strict=True)),
            start=torch.zeros((), dtype=torch.float64),
        ).to(used[0].weights[name].dtype)
        for name in names
    }


def profile_coefficients(kept: Sequence[tuple[int, float]], width: float, step: int) -> np.ndarray:
    """Least-squares coefficients of the profiles (step, width) that were kept, for the one that is wanted; they sum to one."""
    g = np.array([exponent(one) for _, one in kept])
    t = np.array([float(one) for one, _ in kept])
    wanted = _inner(t, g, np.array([float(step)]), np.array([exponent(width)]))[:, 0]
    gram = _inner(t, g, t, g)
    # profiles of neighbouring snapshots are nearly parallel: the smallest singular values carry nothing but rounding
    found = np.linalg.lstsq(gram * step, wanted * step, rcond=1e-12)[0]
    return found / found.sum()


def _inner(t_a: np.ndarray, g_a: np.ndarray, t_b: np.ndarray, g_b: np.ndarray) -> np.ndarray:
    """(a, b) integrals of the products of profiles (g + 1) tau^g / t^(g + 1) on [0, t]."""
    t_a, g_a, t_b, g_b = t_a[:, None], g_a[:, None], t_b[None], g_b[None]
    ratio = t_a / t_b
    shared = np.where(ratio <= 1, ratio**g_b, ratio ** (-g_a))
    return (g_a + 1) * (g_b + 1) * shared / ((g_a + g_b + 1) * np.maximum(t_a, t_b))
