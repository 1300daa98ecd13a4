"""Scales on which a method learns: as it is, the square root, or the logarithm, for what is not negative.

square_root    z = x^(1/2),        x = max(z, 0)^2
log            z = ln(1 + x / s),  x = s (e^max(z, 0) - 1)            s: a scale in units of the variable, learnt
"""

__all__ = ["Transform", "check_transforms"]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftfield.errors import ConfigurationError, suggest

KINDS = ("none", "square_root", "log")


@dataclass(frozen=True)
class Transform:
    """One of them.

    Arguments:
        kind: none, square_root or log.
        scale: Of the logarithm, units of the variable.
    """

    kind: str = "none"
    scale: float = 1.0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Physical units -> scale of the method; what is below 0 counts as 0."""
        if self.kind == "none":
            return x
        x = np.maximum(x, 0.0)
        return np.sqrt(x) if self.kind == "square_root" else np.log1p(x / self.scale)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """And back."""
        if self.kind == "none":
            return z
        z = np.maximum(z, 0.0)
        return z**2 if self.kind == "square_root" else self.scale * np.expm1(z)


def check_transforms(transform: Mapping[str, str] | None) -> dict[str, str]:
    """{variable: kind}.

    Raises:
        ConfigurationError: a kind that does not exist.
    """
    kinds = dict(transform or {})
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise ConfigurationError(f"Found transform of {name}: {kind!r}: {suggest(str(kind), KINDS)}")
    return kinds


def transform_of(transforms: Mapping[str, str], name: str, fine: np.ndarray) -> Transform:
    """Of one variable; the scale of a logarithm is a tenth of the mean of what is above 0."""
    kind = transforms.get(name, "none")
    if kind != "log":
        return Transform(kind)
    above = fine[np.isfinite(fine) & (fine > 0)]
    return Transform(kind, 0.1 * float(above.mean()) if above.size else 1.0)
