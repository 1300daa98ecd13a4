"""How a record is estimated by what was chosen: one method or a blend, fitted to everything once more.

mean     of all dates with gaps; what was observed without an error stays
spread   as it holds on hidden blocks; of a blend, that of all together
members  of the method, about its mean; smooth noise as wide as the gaps for a method that has none
"""

__all__ = ["errors_of", "estimated", "without_holes"]

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from driftfield.filling.blending import Blend, mixed
from driftfield.filling.learning import LearntMethod
from driftfield.filling.methods import Method
from driftfield.filling.record import Record
from driftfield.filling.spread import Spread
from driftfield.filling.trying import side_by_side
from driftfield.filling.validation import Scores, refitted
from driftfield.interfaces import Reconstructor
from driftfield.peers.base import member_generator, time_stamps
from driftfield.peers.kriging import Kriging
from driftfield.peers.space_time import SpaceTimeOptimalInterpolation
from driftfield.peers.vector_kriging import VectorKriging
from driftfield.reconstruction.output import Estimate


def estimated(
    record: Record,
    parts: list[tuple[Scores, float]],
    together: Blend | None,
    known: dict[str, Method],
    members: int,
    seed: int,
) -> Estimate:
    """Weighted mean, spread that holds, and members, as the record is filled."""
    shape = record.field.shape
    drawn = np.zeros((members, *shape), dtype=np.float32)
    distance = record.distance

    def part(scores: Scores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        fitted = _on(record, scores.fitted, known, scores.label, seed)
        return _reconstructed(fitted, record, scores.spread, distance, members, seed)

    means, sds, ensembles = zip(*side_by_side(part, [scores for scores, _ in parts]), strict=True)
    for (_, weight), mean_of, ensemble in zip(parts, means, ensembles, strict=True):
        drawn += np.float32(weight) * (ensemble - mean_of.astype(np.float32))
    share = np.array([weight for _, weight in parts])
    mean, sd = mixed(np.stack(means), np.stack(sds), share, together.apart if together else 0.0)
    if together is not None:
        # independent draws of several methods average out: their departures are widened to the spread of the blend
        variance = np.tensordot(share**2, np.stack(sds) ** 2, axes=1)
        sd = together.scores.spread(sd, distance)
        drawn *= (sd / np.sqrt(np.maximum(variance, 1e-30))).astype(np.float32)
    exact = record.seen & (errors_of(record) == 0) & ~_analysed(parts)
    mean = np.where(exact, record.field.values, mean)
    sd = np.where(exact, 0.0, sd)
    drawn = np.where(exact, 0.0, drawn) + mean.astype(np.float32)
    return Estimate(mean, sd, drawn if members else None)


def _on(record: Record, fitted: Any, known: dict[str, Method], label: str, seed: int) -> Any:
    """A method that has learnt from all of this record, its constants too: what was hidden to choose it says much of them.

    Weights of a network stay, over a first guess that has learnt from all. So do the constants of space-time interpolation: what
    its spread is multiplied by belongs to them, and others that are as good state another one.
    """
    if isinstance(fitted, LearntMethod):
        return fitted.continued(record, seed=seed)
    if isinstance(fitted, SpaceTimeOptimalInterpolation):
        return refitted(fitted, known[label], record, seed=seed)
    return known[label].fitted_to(record, seed=seed, before=fitted)


def without_holes(record: Record, estimate: Estimate, seed: int) -> tuple[Estimate, int]:
    """The mean of what was seen, and the spread about it, in cells that a method leaves empty; and the number of these."""
    mean, sd, members = estimate.mean, estimate.sd, estimate.members
    assert mean is not None
    assert sd is not None
    holes = record.domain.values & ~np.isfinite(mean)
    if not holes.any():
        return estimate, 0
    values = record.field.values[record.seen].astype(np.float64)
    mean, sd = np.where(holes, values.mean(), mean), np.where(holes, values.std(), sd)
    if members is not None:
        offset = np.random.default_rng(np.random.SeedSequence([seed, 31])).standard_normal(len(members)) * values.std()
        offset = offset.reshape(-1, *[1] * mean.ndim)
        members = np.where(holes, values.mean() + offset, members).astype(np.float32)
    return Estimate(mean, sd, members), int(holes.sum())


def _analysed(parts: list[tuple[Scores, float]]) -> bool:
    """Whether the user said that observations have errors, so that they are not kept."""
    return any(isinstance(s.fitted, Kriging) and s.fitted.noise is not None for s, _ in parts)


def _reconstructed(
    fitted: Reconstructor, record: Record, spread: Spread, distance: np.ndarray, members: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, spread that holds and members of all dates with gaps, in the shape of the record; the others are what was seen."""
    shape, name = record.field.shape, record.name
    flat = (record.domain.values & ~record.seen).reshape(len(record.field), -1)
    times = np.flatnonzero(flat.any(axis=1) | (errors_of(record) > 0).reshape(len(flat), -1).any(axis=1))
    if isinstance(fitted, Kriging) and fitted.noise is not None:
        times = np.arange(len(flat))
    mean, sd = np.nan_to_num(record.field.values).astype(np.float64), np.zeros(shape)
    drawn = np.zeros((members, *shape), dtype=np.float32) + mean.astype(np.float32)
    if not times.size:
        return mean, sd, drawn
    vector = isinstance(fitted, VectorKriging)
    if isinstance(fitted, SpaceTimeOptimalInterpolation | VectorKriging) and not members:
        exact = errors_of(record) == 0
        if isinstance(fitted, Kriging) and fitted.noise is not None:
            exact = np.zeros_like(exact)
        wanted = record.domain.values & ~(record.seen & exact)
        centre, own_spread = fitted.estimate_cells(record.observations(vector=vector), name, wanted)
        mean[times] = np.where(wanted, centre, mean)[times]
        sd[times] = spread(np.nan_to_num(own_spread)[times], distance[times])
        return mean, sd, drawn
    if fitted.abilities.uses_other_times:
        observations = record.observations(vector=vector)
        result = fitted.reconstruct(observations, members=max(1, members), seed=seed).isel(time=times)
    else:
        result = fitted.reconstruct(record.observations(times), members=max(1, members), seed=seed)
    mean[times] = np.where(record.domain.values, result[name].values, 0.0)
    stated = np.nan_to_num(result[f"{name}_sd"].values) if f"{name}_sd" in result else None
    sd[times] = spread(stated, distance[times])
    if members:
        ensemble = np.nan_to_num(result[f"{name}_member"].values)
        if len(ensemble) == members and stated is not None and spread.distances is None:
            centre = mean[times].astype(np.float32)
            drawn[:, times] = centre + spread.factors(distance[times]).astype(np.float32) * (ensemble - centre)
        else:
            drawn[:, times] = mean[times] + _noise(record, times, members, seed, distance) * sd[times]
    return mean, sd, drawn


def _noise(record: Record, times: np.ndarray, members: int, seed: int, distance: np.ndarray) -> np.ndarray:
    """Unit fields as smooth as the gaps are wide: members of a method that has none of its own (member, time, ...)."""
    missing = distance[times][(record.domain.values & ~record.seen)[times]]
    width = float(np.clip(np.median(missing) if missing.size else 1.0, 0.5, 30.0))
    stamps = time_stamps(record.field["time"].isel(time=times))
    fields = np.zeros((members, len(times), *record.field.shape[1:]), dtype=np.float32)
    mode = ["reflect", "wrap" if record.periodic else "reflect"]
    for m in range(members):
        for t, stamp in enumerate(stamps):
            white = member_generator(seed, m, stamp, record.name).standard_normal(record.field.shape[1:])
            smooth = gaussian_filter(
                white, (*[0.0] * (white.ndim - 2), width, width), mode=["reflect"] * (white.ndim - 2) + mode
            )
            fields[m, t] = smooth / max(float(smooth.std()), 1e-12)
    return fields


def errors_of(record: Record) -> np.ndarray:
    """Stated observation errors, 0 where none is."""
    if record.error is None:
        return np.zeros(record.field.shape)
    return np.broadcast_to(np.nan_to_num(record.error.values), record.field.shape)
