"""How far the noise has to reach: s_max against the largest structure of the fields that a model learns to draw.

A walk starts as noise of standard deviation s_max. A structure (a unit vector u over all cells) whose amplitude u . x is not far
below that is only partly drowned there, and every start of a walk (`sampling.starting`) is then an approximation; training levels
must reach as far. The largest amplitude is the root of the largest eigenvalue of E[x x^T] over the fields, in network units.
"""

__all__ = ["amplitude_of_samples", "checked_range", "covering", "first_samples", "largest_amplitude"]

import inspect
import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import Dataset

from driftfield.diffusion.model import DiffusionModel, known_cells, to_residual
from driftfield.diffusion.noise_levels import ScheduleLevels
from driftfield.fields import FieldBatch
from driftfield.plain import JSONObject
from driftfield.registry import lookup

log = logging.getLogger(__name__)

SAMPLES, NUMBERS = 64, 30_000_000
"""Fields that are looked at, unless they are so large that fewer make this many numbers."""
MARGIN, LEAST = 4.0, 20.0
"""s_max in units of the largest amplitude, and never less."""


def largest_amplitude(fields: Float[Tensor, "field *cells"], known: Bool[Tensor, "field *cells"]) -> float:
    """Root of the largest eigenvalue of E[x x^T], of four fields or more.

    The leading vector u of one half of the fields is held against the other half, and the other way round: measured where it was
    found, white noise of many cells would look like a structure. Where a field has gaps its amplitude is that of least squares,
    sum u x / sum u^2 over what is known.
    """
    x, where = torch.where(known, fields, 0).flatten(1), known.flatten(1)
    squares = []
    for here, there in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        weights = torch.linalg.eigh(x[here] @ x[here].mT).eigenvectors[:, -1]
        u = weights @ x[here]
        u = u / u.norm().clamp_min(1e-30)
        covered = where[there].to(u) @ u**2
        # a field that shows a hundredth of the structure says nothing of its size
        enough = covered > 0.01
        squares.append(((x[there] @ u)[enough] / covered[enough]) ** 2)
    return math.sqrt(float(torch.cat(squares).mean())) if sum(map(len, squares)) else 0.0


def amplitude_of_samples(samples: Dataset[FieldBatch]) -> float:
    """`largest_amplitude` of the first training samples, which any index draws: of residuals, where there is a first guess."""
    batch = first_samples(samples)
    return largest_amplitude(to_residual(batch, batch.target), known_cells(batch))


def first_samples(samples: Dataset[FieldBatch]) -> FieldBatch:
    """As many as are looked at before a training."""
    first = samples[0]
    count = max(8, min(SAMPLES, NUMBERS // first.target.numel()))
    return FieldBatch.stack([samples[index] for index in range(count)])


def covering(spec: Mapping[str, Any], amplitude: float) -> JSONObject:
    """The section `diffusion` of a recipe with what it does not say of the range: s_max, and training levels up to it."""
    schedule = dict(spec.get("schedule") or {"class": "LogLinearSchedule"})
    arguments = inspect.signature(lookup("schedule", str(schedule["class"]))).parameters
    if "s_max" not in arguments or "s_max" in schedule:
        return dict(spec)
    schedule["s_max"] = float(f"{max(LEAST, MARGIN * amplitude):.2g}")
    filled = dict(spec) | {"schedule": schedule}
    if schedule["class"] != "AdaptiveSchedule":
        std = round(max(1.7, math.log(schedule["s_max"]) / 2.5), 2)
        filled.setdefault("noise_levels", {"class": "LogNormalLevels", "mean": 0.0, "std": std})
    return filled


def checked_range(model: DiffusionModel, amplitude: float) -> list[str]:
    """Sentences on a range of noise that is too short for the largest amplitude; none where it is not."""
    said, s_max = [], model.schedule.s_max
    if s_max < 2 * amplitude:
        said.append(
            f"Found diffusion.schedule.s_max {s_max:g}: the largest structure of the training fields has an amplitude of "
            f"{amplitude:.3g} in network units, so that a walk starts {_short(amplitude / s_max):.1%} too narrow there. Expected "
            f"{2 * amplitude:.2g} or more, better {MARGIN * amplitude:.2g}; leave s_max out, and it is derived from the fields."
        )
    if not model.adaptive and not isinstance(model.noise_levels, ScheduleLevels):
        u = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
        share = float(
            (model.noise_levels.gamma(u, model.schedule) < -2 * math.log(max(amplitude, 1.0))).double().mean()
        )
        if share < 0.002:
            said.append(
                f"Found diffusion.noise_levels of which {share:.2%} lie above {amplitude:.3g}, the amplitude of the largest "
                "structure of the training fields: the network hardly learns to draw it. Expected .2 % or more: raise "
                "their std or mean."
            )
    return said


def _short(ratio: float) -> float:
    """Share by which the standard deviation of the start "marginal" is too small, for a structure of ratio s_max."""
    k = ratio**2 / (1 + ratio**2)
    return 1 - (1 + k / 2 + 3 * k**2 / 8) * math.sqrt(1 - k)
