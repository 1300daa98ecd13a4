"""Constants of an interpolation in space and time by the gradient of what it makes of hidden cells.

    leaf       some hidden cells side by side, and the observations around them that are not hidden
    score      ln CRPS of N(W' y, s^2 (K_xx - W' K_ox)), W = (K_oo + R)^-1 K_ox, mean over all hidden cells of all leaves
    search     a coarse grid of lengths and time scales, then L-BFGS over the logarithms of all constants, gradient by
               automatic differentiation; the neighbours are chosen once more in between

The distances between the cells of a leaf are worked out once; what is left of an evaluation is a batch of small Cholesky factors,
so that a few dozen evaluations take seconds. One component of every smoothness, and two together, are tried.
"""

__all__ = ["Leaves", "StatedScales", "cut_leaves", "tune"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.gaussian.local_kriging import Scattered
from driftfield.gaussian.neighbours import Neighbourhood, leaves, padded
from driftfield.gaussian.space_time_covariance import Places
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


@dataclass(frozen=True)
class Task:
    """Hidden cells of one date with what may be seen of this and other dates, all standardised.

    Arguments:
        places: Cells of the grid that exist.
        seen: Observations; times and days relative to the date.
        hidden: Indices of the hidden cells (cell,).
        truth: Their values.
    """

    places: Places
    seen: Scattered
    hidden: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Leaves:
    """Hidden cells and their neighbours, as arrays: (leaf, neighbour or cell), neighbours first in `point`.

    Arguments:
        squares: Squared distances of all points of a leaf: chord (km^2), latitude, longitude (rad^2), log depth, days; each
            (leaf, point, point).
        values: Of the neighbours (leaf, neighbour), 0 where unused.
        noise: Variance of their errors.
        used: Whether a neighbour is one.
        truth: Of the hidden cells (leaf, cell), NaN where a leaf has fewer.
    """

    squares: tuple[Tensor, ...]
    values: Tensor
    noise: Tensor
    used: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return len(self.values)


def cut_leaves(
    tasks: Sequence[Task], constants: SpaceTimeConstants, *, most: int, count: int, size: int = 3, seed: int = 0
) -> Leaves:
    """Some leaves of every task, with the neighbours that the constants choose.

    Arguments:
        tasks: What is hidden.
        constants: Their metric decides who is near.
        most: Neighbours of a leaf.
        count: Leaves in all.
        size: Hidden cells of a leaf.
        seed: Of the choice of leaves.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 271]))
    total = sum(len(task.hidden) for task in tasks)
    parts = []
    for task in tasks:
        share = max(2, round(count * len(task.hidden) / max(total, 1)))
        parts.append(_cut(task, constants, most=most, count=share, size=size, rng=rng))
    width = max(part[1].shape[1] for part in parts)
    points = np.concatenate([_padded(part[0], part[1].shape[1], width) for part in parts])
    stacked = [np.concatenate([_widened(part[k], width) for part in parts]) for k in (1, 2, 3)]
    truth = np.concatenate([part[4] for part in parts])
    # relative to the leaf, so that single precision loses nothing; a dimension in which nothing differs costs nothing
    place = torch.from_numpy(points - points.mean(axis=1, keepdims=True)).float()
    apart = [(place[:, :, None, k] - place[:, None, :, k]).square() for k in range(points.shape[-1])]
    chord = apart[0] + apart[1] + apart[2]
    others = tuple(square if bool((square > 0).any()) else torch.zeros((), dtype=square.dtype) for square in apart[3:])
    values, noise, used = stacked
    return Leaves(
        (chord, *others),
        torch.from_numpy(values).double(),
        torch.from_numpy(noise).double(),
        torch.from_numpy(used),
        torch.from_numpy(truth).double(),
    )


def _cut(
    task: Task, constants: SpaceTimeConstants, *, most: int, count: int, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points (leaf, neighbour + cell, 7), values, noise and use of the neighbours, truth of the cells."""
    covariance = constants.covariance
    targets = covariance.embed(task.places[task.hidden], np.zeros(task.hidden.size))
    groups = leaves(targets[-1][:, :-1], size)
    chosen = rng.choice(len(groups), min(count, len(groups)), replace=False)
    cells = padded([groups[k] for k in chosen], size)
    doubled = np.zeros(cells.shape, dtype=bool)
    doubled[:, 1:] = cells[:, 1:] == cells[:, :-1]
    embedded = covariance.embed(task.places[task.seen.cell], task.seen.day)
    centres = [phi[cells].mean(axis=1) for phi in targets]
    near = Neighbourhood(embedded, most).find(centres, np.full((len(cells), 1), -1))
    here = _coordinates(task.places, task.hidden, np.zeros(task.hidden.size))[cells]
    around = _coordinates(task.places, task.seen.cell, task.seen.day)[near]
    used = near >= 0
    values = np.where(used, task.seen.innovations[near, 0], 0.0)
    noise = np.where(used, task.seen.noise[near], 0.0)
    truth = np.where(doubled, np.nan, task.truth[cells])
    return np.concatenate([around, here], axis=1), values, noise, used, truth


def _coordinates(places: Places, cells: np.ndarray, days: np.ndarray) -> np.ndarray:
    """On the sphere in km, latitude and longitude in radians, log depth, day: (point, 7)."""
    lat, lon = np.radians(places.lat[cells]), np.radians(places.lon[cells])
    sphere = EARTH_RADIUS_KM * np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    level = np.log1p(places.depth[cells] / 100.0)
    return np.concatenate([sphere, np.stack([lat, lon, level, days], axis=1)], axis=1)


def _padded(points: np.ndarray, neighbours: int, width: int) -> np.ndarray:
    """Room for more neighbours."""
    room = np.repeat(points[:, :1], width - neighbours, axis=1)
    return np.concatenate([points[:, :neighbours], room, points[:, neighbours:]], axis=1)


def _widened(values: np.ndarray, width: int) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])))


def predictions(constants: dict[str, Tensor], shapes: tuple[float, ...], part: Leaves) -> tuple[Tensor, Tensor]:
    """Mean and variance of the hidden cells (leaf, cell), standardised."""
    n = part.values.shape[1]
    smooth = 1.0 - constants["nugget"]
    single = {name: value.float() for name, value in constants.items()}
    total = _between(single, shapes, part.squares).double() * smooth
    pairs = part.used[:, :, None] & part.used[:, None]
    among = torch.where(pairs, total[:, :n, :n], 0.0)
    own = torch.where(part.used, constants["nugget"] + part.noise + 1e-8, 1.0)
    # the diagonal of an unused neighbour is its own 1 and nothing besides
    cross = torch.where(part.used[:, :, None], total[:, :n, n:], 0.0)
    factor, _ = torch.linalg.cholesky_ex(among + torch.diag_embed(own))
    right = torch.cat([cross, part.values[:, :, None]], dim=2)
    half = torch.linalg.solve_triangular(factor, right, upper=False)
    mean = torch.einsum("bnc,bn->bc", half[:, :, :-1], half[:, :, -1])
    variance = 1.0 - half[:, :, :-1].square().sum(dim=1)
    return mean, variance.clamp_min(1e-8)


def _between(constants: dict[str, Tensor], shapes: tuple[float, ...], squares: Sequence[Tensor]) -> Tensor:
    """Smooth part of the covariance, of unit variance: (leaf, point, point)."""
    first = _component(constants, shapes[0], squares, 1.0, 1.0)
    if len(shapes) == 1:
        return first
    second = _component(constants, shapes[1], squares, constants["second_length"], constants["second_days"])
    return (1 - constants["second"]) * first + constants["second"] * second


def _component(
    constants: dict[str, Tensor], shape: float, squares: Sequence[Tensor], part: Tensor | float, slower: Tensor | float
) -> Tensor:
    """rho of one component, as `space_time_covariance.Component` embeds it."""
    chord, lat, lon, level, days = squares
    root = constants["aspect"].sqrt()
    zonal, meridional = part * constants["length"] * root, part * constants["length"] / root
    wide = bool(zonal >= meridional)
    long, short = (zonal, meridional) if wide else (meridional, zonal)
    excess = EARTH_RADIUS_KM**2 * (short**-2 - long**-2).clamp_min(0.0)
    stretched = lat if wide else constants["cosine"] ** 2 * lon
    squared = chord / long**2 + stretched * excess + level / constants["vertical"] ** 2
    squared = squared + days / (constants["days"] * slower) ** 2
    if np.isinf(shape):
        return torch.exp(-0.5 * squared)
    # the root has no slope at 0
    d = torch.sqrt(2 * shape * squared + 1e-9)
    decay = torch.exp(-d)
    if shape == 0.5:
        return decay
    return decay * (1 + d) if shape == 1.5 else decay * (1 + d + d**2 / 3)


def crps(error: Tensor, sd: Tensor) -> Tensor:
    """Of a normal forecast."""
    z = error / sd
    density = torch.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return sd * (z * torch.erf(z / np.sqrt(2.0)) + 2 * density - 1 / np.sqrt(np.pi))


def tune(
    tasks: Sequence[Task],
    *,
    levels: int,
    stated: StatedScales = StatedScales(),
    most: int = 60,
    count: int = 480,
    seed: int = 0,
    start: SpaceTimeConstants | None = None,
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
        progress: Is told what is done.
    """
    several = any((task.seen.time != 0).any() for task in tasks)
    if start is not None:
        part = cut_leaves(tasks, start, most=most, count=count, seed=seed + 1)
        return _refined(start, part, levels, stated, several, steps=15)
    coarse = min(
        (_scored(start, tasks, most=most // 2, count=count // 3, seed=seed) for start in _starts(tasks, stated)),
        key=lambda pair: pair[1],
    )[0]
    progress("lengths and time scales, coarsely")
    part = cut_leaves(tasks, coarse, most=most // 2, count=count // 2, seed=seed)
    starts = _structures(coarse, stated, several=several)
    trials = [_refined(start, part, levels, stated, several, steps=12) for start in starts]
    # half a hundredth is no reason for a second component
    trials.sort(key=lambda pair: pair[1] + (0.005 if pair[0].second > 0 else 0.0))
    progress("smoothness and number of components")
    # the same leaves for both: from one choice of leaves to another the score moves by more than they differ
    part = cut_leaves(tasks, trials[0][0], most=most, count=count, seed=seed + 1)
    finalists = [_refined(trial, part, levels, stated, several, steps=15) for trial, _ in trials[:2]]
    return min(finalists, key=lambda pair: pair[1])


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


def _refined(
    start: SpaceTimeConstants, part: Leaves, levels: int, stated: StatedScales, several: bool, *, steps: int
) -> tuple[SpaceTimeConstants, float]:
    """From some constants downhill."""
    shapes, fixed = _shapes(start), _numbers(start)
    names = ["nugget"] * (not stated.noise) + ["length", "aspect"] * (stated.length_km is None)
    names += ["days"] * (stated.days is None and several) + ["vertical"] * (levels > 1)
    if len(shapes) > 1:
        names += ["second", "second_length"] + ["second_days"] * several
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
        (slope,) = torch.autograd.grad(result, logs)
        return result.item(), np.nan_to_num(slope.numpy())

    x = np.array([*(np.log(np.clip(fixed[name], *_BOUNDS[name])) for name in names), 0.0])
    bounds = [tuple(np.log(_BOUNDS[name])) for name in names] + [(-3.0, 3.0)]
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
