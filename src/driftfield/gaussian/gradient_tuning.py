"""Constants of an interpolation in space and time by the gradient of what it makes of hidden cells.

    score      ln CRPS of N(m, s^2 v), mean over all hidden cells; m and v by their neighbours (`hidden_leaves`)
    search     a coarse grid of lengths and time scales, then L-BFGS over the logarithms of all constants; the neighbours are
               chosen once more in between

One component of every smoothness, and two together, are tried.
"""

__all__ = ["E_FOLDING", "StatedScales", "refine", "tune"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize

from driftfield.gaussian.hidden_leaves import Leaves, Task, crps, cut_leaves, predictions
from driftfield.gaussian.space_time_tuning import SpaceTimeConstants

E_FOLDING = {0.5: 1.0, 1.5: 1.2391, 2.5: 1.2990, float("inf"): 2.0**0.5}
"""Distance, in lengths of a component, at which its correlation is 1 / e."""

_BOUNDS = {
    "length": (1e-2, 2e4),
    "aspect": (0.25, 4.0),
    "days": (1e-3, 1e5),
    "vertical": (0.01, 20.0),
    "second": (0.02, 0.95),
    "second_length": (0.02, 1.0),
    "second_days": (0.02, 8.0),
    "nugget": (1e-5, 0.8),
}


@dataclass(frozen=True)
class StatedScales:
    """What a user knows of the covariance; None is tuned.

    Arguments:
        length_km: Distance at which the correlation is 1 / e.
        days: Time after which it is.
        noise: Whether the errors of the observations are stated, so that there is no white part besides.
    """

    length_km: float | None = None
    days: float | None = None
    noise: bool = False


def tune(
    tasks: Sequence[Task],
    *,
    levels: int,
    stated: StatedScales = StatedScales(),
    most: int = 60,
    count: int = 480,
    seed: int = 0,
    start: SpaceTimeConstants | None = None,
    periodic: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[SpaceTimeConstants, float]:
    """The constants of least CRPS, and its logarithm.

    Arguments:
        tasks: What is hidden.
        levels: Depths of the field.
        stated: What is known.
        most: Neighbours of a leaf.
        count: Leaves.
        seed: Of the choice of leaves.
        start: Constants of nearly the same record: their structure stays, and the walk begins there.
        periodic: Whether longitude wraps: no length may be longer along a meridian then.
        progress: Is told what is done.
    """
    walk = _Descent(levels, stated, several=_several(tasks), periodic=periodic)
    if start is not None:
        part = cut_leaves(tasks, start, most=most, count=count, seed=seed + 1)
        return walk.downhill(start, part, steps=15)
    coarse = min(
        (_scored(start, tasks, most=most // 2, count=count // 3, seed=seed) for start in _starts(tasks, stated)),
        key=lambda pair: pair[1],
    )[0]
    progress("lengths and time scales, coarsely")
    part = cut_leaves(tasks, coarse, most=most // 2, count=count // 2, seed=seed)
    starts = _structures(coarse, stated, several=walk.several)
    trials = [walk.downhill(start, part, steps=12) for start in starts]
    # half a hundredth is no reason for a second component
    trials.sort(key=lambda pair: pair[1] + (0.005 if pair[0].second > 0 else 0.0))
    progress("smoothness and number of components")
    # the same leaves for both: from one choice of leaves to another the score moves by more than they differ
    part = cut_leaves(tasks, trials[0][0], most=most, count=count, seed=seed + 1)
    finalists = [walk.downhill(trial, part, steps=15) for trial, _ in trials[:2]]
    return min(finalists, key=lambda pair: pair[1])


def refine(
    start: SpaceTimeConstants,
    tasks: Sequence[Task],
    *,
    levels: int,
    periodic: bool,
    most: int,
    size: int,
    steps: int = 15,
    report: Callable[[float], None] = lambda score: None,
) -> SpaceTimeConstants:
    """Constants downhill from some that are nearly right, on all hidden cells.

    Arguments:
        start: Where the walk begins; the structure stays.
        tasks: What is hidden.
        levels: Depths of the field.
        periodic: Whether longitude wraps.
        most: Neighbours of a leaf.
        size: Hidden cells of a leaf.
        steps: At most.
        report: Is told the logarithm of the CRPS of every trial.
    """
    part = cut_leaves(tasks, start, most=most, count=sum(len(task.hidden) for task in tasks), size=size)
    walk = _Descent(levels, StatedScales(), several=_several(tasks), periodic=periodic, report=report)
    return walk.downhill(start, part, steps=steps)[0]


def _several(tasks: Sequence[Task]) -> bool:
    """Whether other dates than the one that is estimated were seen."""
    return any((task.seen.time != 0).any() for task in tasks)


def _scored(
    constants: SpaceTimeConstants, tasks: Sequence[Task], *, most: int, count: int, seed: int
) -> tuple[SpaceTimeConstants, float]:
    part = cut_leaves(tasks, constants, most=most, count=count, seed=seed)
    with torch.no_grad():
        values = {name: torch.tensor(v, dtype=torch.float64) for name, v in _numbers(constants).items()}
        mean, variance = predictions(values, _shapes(constants), part)
        known = part.truth.isfinite()
        error, sd = (mean - part.truth)[known], variance.sqrt()[known]
        scale = (error.square() / sd.square()).mean().sqrt()
        return constants, float(crps(error, sd * scale).mean().log())


def _starts(tasks: Sequence[Task], stated: StatedScales) -> list[SpaceTimeConstants]:
    """Lengths from some cells to the whole field, scales from one step to many."""
    places = max((task.places for task in tasks), key=len)
    middle = float(0.5 * (places.lat.min() + places.lat.max()))
    cosine = np.cos(np.radians(middle))
    extent = 111.2 * float(np.hypot(np.ptp(places.lat), cosine * min(np.ptp(places.lon), 180.0)))
    spacing = extent / max(np.sqrt(len(places)), 2.0)
    days = np.unique(np.abs(np.concatenate([task.seen.day for task in tasks])))
    step = float(days[days > 0].min()) if (days > 0).any() else 1.0
    scales = step * np.array([1.5, 5.0, 20.0]) if (days > 0).any() else np.array([1.0])
    lengths = np.geomspace(3 * spacing, max(0.5 * extent, 6 * spacing), 4)
    lengths = lengths if stated.length_km is None else np.array([stated.length_km])
    scales = scales if stated.days is None else np.array([stated.days])
    nugget = 1e-4 if stated.noise else 0.02
    return [SpaceTimeConstants(float(a), float(b), nugget=nugget, middle=middle) for a in lengths for b in scales]


def _structures(start: SpaceTimeConstants, stated: StatedScales, *, several: bool) -> list[SpaceTimeConstants]:
    """One component, rough or smoother, and two of them; what is stated is one component.

    Of two, the second is finer than the first, or as wide and of its own date alone: an offset of a scene, such as the hour of
    a pass or the skin of a warm day, which no walk from a finer component finds.
    """
    alone = [_as_stated(replace(start, shape=shape), stated) for shape in (0.5, 1.5)]
    if stated.length_km is not None or stated.days is not None:
        return alone
    pair = replace(start, length=2 * start.length, days=2 * start.days, second=0.45, second_length=0.2)
    finer = [replace(pair, shape=a, second_shape=b) for a, b in ((0.5, 0.5), (1.5, 0.5), (1.5, 1.5))]
    if not several:
        return [*alone, *finer]
    scene = replace(start, days=4 * start.days, second=0.15, second_length=0.9, second_days=0.05, nugget=0.005)
    return [*alone, *finer, *(replace(scene, shape=a, second_shape=0.5) for a in (0.5, 1.5))]


def _as_stated(constants: SpaceTimeConstants, stated: StatedScales) -> SpaceTimeConstants:
    """Lengths such that the correlation is 1 / e where the user says."""
    fold = E_FOLDING[constants.shape]
    length = constants.length if stated.length_km is None else stated.length_km / fold
    return replace(constants, length=length, days=constants.days if stated.days is None else stated.days / fold)


@dataclass(frozen=True)
class _Descent:
    """Which constants are walked along.

    Arguments:
        levels: Depths of the field.
        stated: What is known, and stays.
        several: Whether other dates are seen.
        periodic: Whether longitude wraps.
        report: Is told the logarithm of the CRPS of every trial.
    """

    levels: int
    stated: StatedScales
    several: bool
    periodic: bool = False
    report: Callable[[float], None] = lambda score: None

    def _names(self, components: int) -> list[str]:
        names = ["nugget"] * (not self.stated.noise) + ["length", "aspect"] * (self.stated.length_km is None)
        names += ["days"] * (self.stated.days is None and self.several) + ["vertical"] * (self.levels > 1)
        if components > 1:
            names += ["second", "second_length"] + ["second_days"] * self.several
        return names

    def _bounds(self, name: str) -> tuple[float, float]:
        low, high = _BOUNDS[name]
        return (1.0, high) if name == "aspect" and self.periodic else (low, high)

    def downhill(self, start: SpaceTimeConstants, part: Leaves, *, steps: int) -> tuple[SpaceTimeConstants, float]:
        """From some constants, and the logarithm of the CRPS there."""
        shapes, fixed = _shapes(start), _numbers(start)
        names = self._names(len(shapes))
        known = part.truth.isfinite()

        def score(x: np.ndarray) -> tuple[float, np.ndarray]:
            logs = torch.tensor(x, dtype=torch.float64, requires_grad=True)
            values = {key: torch.tensor(v, dtype=torch.float64) for key, v in fixed.items()}
            values |= {key: logs[k].exp() for k, key in enumerate(names)}
            mean, variance = predictions(values, shapes, part)
            error = (mean - part.truth.nan_to_num())[known]
            result = crps(error, variance.sqrt()[known] * logs[-1].exp()).mean().log()
            if not bool(result.isfinite()):
                return 1e3, np.zeros_like(x)
            self.report(result.item())
            (slope,) = torch.autograd.grad(result, logs)
            return result.item(), np.nan_to_num(slope.numpy())

        x = np.array([*(np.log(np.clip(fixed[name], *self._bounds(name))) for name in names), 0.0])
        bounds = [tuple(np.log(self._bounds(name))) for name in names] + [(-3.0, 3.0)]
        best = minimize(score, x, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
        chosen = {name: float(np.exp(value)) for name, value in zip(names, best.x[:-1], strict=True)}
        return replace(start, **chosen), float(best.fun)


def _shapes(constants: SpaceTimeConstants) -> tuple[float, ...]:
    return (constants.shape,) if constants.second == 0 else (constants.shape, constants.second_shape)


def _numbers(constants: SpaceTimeConstants) -> dict[str, float]:
    """What the covariance of a leaf is worked out from."""
    names = ("length", "days", "aspect", "vertical", "second", "second_length", "second_days", "nugget")
    return {name: float(getattr(constants, name)) for name in names} | {
        "cosine": float(np.cos(np.radians(constants.middle)))
    }
