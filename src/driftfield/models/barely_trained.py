"""A network that has hardly learnt says so: its fields are worth no more than the mean field.

    CRPS on the validation samples  >=  0.9  CRPS of the normalised mean field with its spread        barely trained

N(0, 1) in network units is what an untrained diffusion model draws; without a spread it is the mean field alone, whose CRPS is
its mean absolute error. Where nothing is observed there is nothing to learn from, and nothing is said.
"""

__all__ = ["crps_of_mean_field", "said_of_training"]

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from driftfield.evaluate.scores.deterministic import mae
from driftfield.evaluate.scores.ensembles import crps_gaussian
from driftfield.fields import FieldBatch

ENOUGH = 0.9
"""A network that is worth its name has a smaller share than this of the CRPS of the mean field."""


def crps_of_mean_field(batch: FieldBatch, scale: np.ndarray, *, spread: bool) -> float | None:
    """CRPS over the held-out cells of what is known without any observation, None where nothing is observed or held out.

    Arguments:
        batch: Fixed samples.
        scale: (channel, 1, 1) standard deviation of a network unit in physical units.
        spread: Whether the method states one.
    """
    if not bool(batch.seen.where.any()) or not bool(batch.held_out.any()):
        return None
    dims = ("time", "channel", "lat", "lon")
    truth = xr.DataArray(batch.target.cpu().numpy() * scale, dims=dims)
    mask = xr.DataArray(batch.held_out.cpu().numpy(), dims=dims)
    sd = xr.DataArray(np.broadcast_to(scale, truth.shape).copy(), dims=dims)
    nothing = xr.zeros_like(truth)
    return float(crps_gaussian(nothing, sd, truth, mask=mask) if spread else mae(nothing, truth, mask=mask))


def said_of_training(history: Sequence[Mapping[str, Any]], reference: float | None) -> str:
    """A sentence about a network that has hardly learnt, empty for one that has.

    Arguments:
        history: Of the training: "validation_crps" at some steps.
        reference: What `crps_of_mean_field` said.
    """
    scores = [float(entry["validation_crps"]) for entry in history if "validation_crps" in entry]
    if not scores or not reference or min(scores) < ENOUGH * reference:
        return ""
    return (
        f"barely trained: the CRPS of its validation samples is {min(scores):.3g}, that of the mean field {reference:.3g}; "
        "train it for more steps"
    )
