"""Bounds of a variable, such as 0 of a concentration: no field of a reconstruction leaves them.

    members                        clamped
    mean, sd of a normal error     mean and sd of clamp(N(mean, sd^2)), in closed form
    mean alone                     clamped

What is stated of a cell that may lie on a bound is then true: the mean of what is possible moves inwards, its spread shrinks.
"""

__all__ = ["bounded", "calibrated", "clipped"]

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr

from driftfield.networks.codecs.distributions import Normal, clamped_moments
from driftfield.reconstruction.calibration import Calibration
from driftfield.reconstruction.output import Estimate

Bounds = Mapping[str, tuple[float, float]]
"""(lower, upper) by variable, infinite where there is none."""


def bounded(estimate: Estimate, lower: float, upper: float) -> Estimate:
    """One variable of an estimate between its bounds, the moments those of a normal distribution that is clamped."""
    mean, sd, members = estimate.mean, estimate.sd, estimate.members
    if members is not None:
        members = np.clip(members, lower, upper)
    if mean is not None and sd is not None:
        m, s = (torch.from_numpy(np.asarray(part, dtype=np.float64)) for part in (mean, sd))
        # a cell that is known has no spread: it is clamped and nothing else
        known = ~(s > 0)
        first, second = clamped_moments(
            Normal(), m, torch.where(known, 1.0, s), torch.tensor(lower), torch.tensor(upper)
        )
        mean = torch.where(known, m.clamp(lower, upper), first).numpy()
        sd = torch.where(known, s, second).numpy()
    elif mean is not None:
        mean = np.clip(mean, lower, upper)
    return Estimate(mean, sd, members)


def calibrated(result: xr.Dataset, calibration: Calibration | None, bounds: Bounds) -> xr.Dataset:
    """What a method hands back at last: calibrated where it has a calibration, and still within its bounds."""
    if calibration is None:
        return result
    return clipped(calibration.apply(result), bounds, follow=calibration.version > 1)


def clipped(result: xr.Dataset, bounds: Bounds, *, follow: bool = True) -> xr.Dataset:
    """A reconstruction whose mean and members are clamped once more, after a calibration has moved them.

    Arguments:
        result: As a calibration made it.
        bounds: By variable.
        follow: Where a mean is that of the members, it and the standard deviation are, in the cells where one of them was
            clamped, those of the clamped members; without, as runs were calibrated in the beginning, the mean is clamped.
    """
    fields: dict[str, xr.DataArray] = {}
    for name, ends in bounds.items():
        if name not in result:
            continue
        mean, members, sd = result[name], result.get(f"{name}_member"), result.get(f"{name}_sd")
        fields[name] = mean.clip(*ends, keep_attrs=True)
        if members is None:
            continue
        inside = fields[f"{name}_member"] = members.clip(*ends, keep_attrs=True)
        if (
            follow
            and sd is not None
            and np.allclose(mean, members.mean("member"), rtol=1e-3, atol=1e-6, equal_nan=True)
        ):
            moved = (inside != members).any("member") & mean.notnull()
            fields[name] = fields[name].where(~moved, inside.mean("member")).astype(mean.dtype)
            fields[f"{name}_sd"] = sd.where(~moved, inside.std("member", ddof=1)).astype(sd.dtype)
    for label, field in fields.items():
        field.attrs, field.encoding = result[label].attrs, result[label].encoding
    return result.assign(fields)
