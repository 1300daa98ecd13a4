r"""Averages of the weights with a power-function profile, whose width can be chosen after the training.

    average_g(t) = (g + 1) / t^(g + 1)  int_0^t  tau^g weights(tau) dtau,       width = sqrt(g + 1) / ((g + 2) sqrt(g + 3))

The width is the standard deviation of the profile as a share of the training so far, so that the average forgets the first
weights at any length. Snapshots of two averages span, nearly, those of every other width: the profile that is wanted is the
least-squares combination of the profiles that were kept (Karras et al. 2024, arXiv 2312.02696, section 3 and appendix C).
"""

__all__ = ["PowerEMA", "blend", "combine", "exponent", "profile_coefficients", "profile_error"]

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from driftfield.errors import ConfigurationError, whole_number
from driftfield.registry import register
from driftfield.training.ema import WeightAverage
from driftfield.training.snapshots import Snapshot

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


@register("ema")
class PowerEMA(WeightAverage):
    """Averages of a module's parameters, one per width.

    Arguments:
        module: Whose parameters are averaged.
        widths: Of the profiles, the one that validates first; two are enough to make all others.
        snapshots: How many are kept, evenly over the training.
    """

    def __init__(self, module: nn.Module, widths: Sequence[float] = (0.05, 0.1), snapshots: int = 16) -> None:
        if not widths or len(set(widths)) < len(widths):
            raise ConfigurationError(f"Found the EMA widths {list(widths)}: expected one or more, all different.")
        whole_number("snapshots", snapshots, 0)
        self.widths, self.count = tuple(widths), snapshots
        self.exponents = [exponent(width) for width in self.widths]
        super().__init__(module, len(self.widths))

    def shares(self, step: int) -> list[float]:
        return [1 - (1 - 1 / (step + 1)) ** (g + 1) for g in self.exponents]

    def tensors(self) -> dict[str, Tensor]:
        pairs = zip(self.widths, self.averages, strict=True)
        return {f"{width:g}/{name}": value for width, average in pairs for name, value in average.items()}

    def due(self, step: int, steps: int) -> list[Snapshot]:
        return self.snapshots(step) if step * self.count // steps > (step - 1) * self.count // steps else []

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
    last = max((snapshot.step for snapshot in snapshots), default=0) if step is None else step
    used = [snapshot for snapshot in snapshots if snapshot.step <= last]
    if not used:
        raise ConfigurationError(f"Found no snapshot of the weights up to step {last}. Keep some while training.")
    coefficients = profile_coefficients([(snapshot.step, snapshot.width) for snapshot in used], width, last)
    found = blend(zip(coefficients, (snapshot.weights for snapshot in used), strict=True))
    return {name: value.to(used[0].weights[name].dtype) for name, value in found.items()}


def blend(parts: Iterable[tuple[float, Mapping[str, Tensor]]]) -> dict[str, Tensor]:
    """Linear combination of weights, one after the other; float64."""
    total: dict[str, Tensor] = {}
    for coefficient, weights in parts:
        for name, value in weights.items():
            scaled = coefficient * value.double()
            total[name] = total[name] + scaled if name in total else scaled
    return total


def profile_coefficients(snapshots: Sequence[tuple[int, float]], width: float, step: int) -> np.ndarray:
    """Least-squares coefficients of the profiles (step, width) that were kept, for the one that is wanted; they sum to one."""
    g = np.array([exponent(one) for _, one in snapshots])
    t = np.array([float(one) for one, _ in snapshots])
    wanted = _inner(t, g, np.array([float(step)]), np.array([exponent(width)]))[:, 0]
    gram = _inner(t, g, t, g)
    # profiles of neighbouring snapshots are nearly parallel: the smallest singular values carry nothing but rounding
    found = np.linalg.lstsq(gram * step, wanted * step, rcond=1e-12)[0]
    return found / found.sum()


def profile_error(snapshots: Sequence[tuple[int, float]], coefficients: np.ndarray, width: float, step: int) -> float:
    """How far the combination is from the profile that was wanted: norm of the difference, as a share of the profile's."""
    t = np.array([float(one) for one, _ in snapshots] + [float(step)])
    g = np.array([exponent(one) for _, one in snapshots] + [exponent(width)])
    signed = np.append(coefficients, -1.0)
    gram = _inner(t, g, t, g)
    return float(np.sqrt(max(signed @ gram @ signed, 0.0) / gram[-1, -1]))


def _inner(t_a: np.ndarray, g_a: np.ndarray, t_b: np.ndarray, g_b: np.ndarray) -> np.ndarray:
    """(a, b) integrals of the products of profiles (g + 1) tau^g / t^(g + 1) on [0, t]."""
    t_a, g_a, t_b, g_b = t_a[:, None], g_a[:, None], t_b[None], g_b[None]
    ratio = t_a / t_b
    shared = np.where(ratio <= 1, ratio**g_b, ratio ** (-g_a))
    return (g_a + 1) * (g_b + 1) * shared / ((g_a + g_b + 1) * np.maximum(t_a, t_b))
