"""How deep the gaps of a record are, and what is to be believed of a method in the middle of a wide one.

    d         distance of a cell to the nearest one that was seen on its date, in cells
    weight    of a hidden cell:  share of the missing cells at its d / share of the hidden cells there, within [1/4, 4]
    shrink    f'(x) = r(x) + w(d) (f(x) - r(x)),  0 <= w <= 1, falling in d;  r: the climatology or the mean of the box

w is the least squares answer on hidden cells, class by class; deeper than any of them it falls to 0 at twice their distance. What
extrapolates wildly far from observations ends at r, so that a wide gap is not worse than the mean. A few wide gaps say little:
nothing is drawn in unless draws of hidden cells are better by the w of the other draws, by more than chance over the dates.
"""

__all__ = ["DrawnIn", "Shrink", "alike", "deepest", "draw_in", "missing_distances", "shrunk"]

from dataclasses import dataclass
from typing import Self

import numpy as np

from driftfield.data.masks.alike import EDGES
from driftfield.filling.methods import REFERENCES, Method
from driftfield.filling.record import Record
from driftfield.filling.spread import classes_of
from driftfield.filling.validation import Scores, refitted, score
from driftfield.reconstruction.output import Estimate

_MOST = 4.0
_FEW = 50
"""Hidden cells of a class that have half the say in its weight; the other half says that the method is right."""

_LOSES = 0.9
"""Weight of the deepest class above which nothing is shrunk."""

_DOUBT = 2.0
"""Standard errors over dates by which a draw has to be better with the weights of the other draws."""


def missing_distances(record: Record) -> np.ndarray:
    """Of the cells that are missing on dates with any observation, (cell,)."""
    dates = [t for t, seen in enumerate(record.seen) if seen.any()]
    return record.distance[dates][record.domain.values & ~record.seen[dates]]


def deepest(distance: np.ndarray) -> float:
    """The distance that one cell in a hundred exceeds, 0 where there is none."""
    return float(np.quantile(distance, 0.99)) if distance.size else 0.0


def alike(hidden: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Weights of hidden cells, with mean 1, that make their distances those of the missing ones, as far as may be."""
    if not missing.size or not hidden.size:
        return np.ones(hidden.size)
    label = np.digitize(hidden, EDGES) - 1
    ours = np.bincount(label, minlength=EDGES.size) / hidden.size
    # the deepest that are hidden speak for all that lie deeper
    within = np.minimum(missing, hidden.max())
    theirs = np.bincount(np.digitize(within, EDGES) - 1, minlength=EDGES.size) / missing.size
    ratio = np.clip(theirs / np.maximum(ours, 1e-12), 1 / _MOST, _MOST)[label]
    return np.asarray(ratio / ratio.mean())


@dataclass(frozen=True)
class Shrink:
    """Share of a method's departure from a reference that is believed, by distance.

    Arguments:
        distance: Rising, from 0.
        weight: There, falling from 1; linear in between.
    """

    distance: np.ndarray
    weight: np.ndarray

    @classmethod
    def fit(cls, error: np.ndarray, reference: np.ndarray, distance: np.ndarray, *, classes: int = 8) -> Self | None:
        """None where the method is to be believed at all distances.

        Arguments:
            error, reference: Errors of the method and of the reference on hidden cells (cell,).
            distance: Of the cells.
        """
        _, label = classes_of(distance, classes)
        departure = error - reference
        middle, weight = [0.0], [1.0]
        for k in np.unique(label):
            part = label == k
            square = float((departure[part] ** 2).sum())
            agreed = -float((reference[part] * departure[part]).sum())
            best = float(np.clip(agreed / square, 0.0, 1.0)) if square > 0 else 1.0
            count = int(part.sum())
            middle.append(float(distance[part].mean()))
            weight.append((count * best + _FEW) / (count + _FEW))
        falling = np.minimum.accumulate([*weight, weight[-1], 0.0])
        if falling[-2] >= _LOSES:
            return None
        deepest_hidden = max(float(distance.max()), middle[-1] + 1e-6)
        return cls(np.array([*middle, deepest_hidden, 2 * deepest_hidden]), falling)

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """At some distances."""
        return np.interp(distance, self.distance, self.weight)

    def spread(self, sd: np.ndarray, reference: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Standard deviation of both together, as if they erred independently."""
        w = self(distance)
        return np.asarray(np.hypot(w * sd, (1 - w) * reference))

    def of(self, values: np.ndarray, reference: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Values, or errors, drawn to those of the reference."""
        return np.asarray(reference + self(distance) * (values - reference))


@dataclass(frozen=True)
class DrawnIn:
    """What was chosen, drawn to a reference in the middle of wide gaps.

    Arguments:
        shrink: How far.
        reference: Scores of the climatology or the box mean.
        scores: Of what was chosen, once it is drawn; their spread is that of what was chosen, then by distance.
    """

    shrink: Shrink
    reference: Scores
    scores: Scores


def draw_in(
    best: Scores,
    scores: dict[str, Scores],
    distance: np.ndarray,
    weights: np.ndarray,
    draw: np.ndarray,
    date: np.ndarray,
) -> DrawnIn | None:
    """How far what was chosen is drawn to the better reference, if hidden blocks say that it should be.

    Arguments:
        best: Scores of what was chosen.
        scores: Of all methods by label.
        distance, weights: Of the hidden cells (cell,).
        draw, date: In which draw of hidden cells and on which date a cell was hidden (cell,), integers.
    """
    references = [scores[label] for label in REFERENCES if label in scores and label != best.label]
    if not references or best.label in REFERENCES:
        return None
    far = distance >= np.quantile(distance, 0.75)
    reference = min(references, key=lambda s: float((s.error[far] ** 2).mean()))
    shrink = Shrink.fit(best.error, reference.error, distance)
    if shrink is None or not _better_left_out(best.error, reference.error, distance, weights, draw, date):
        return None
    error = shrink.of(best.error, reference.error, distance)
    sd = shrink.spread(best.sd, reference.sd, distance)
    drawn = score(best.label, error, sd, distance, weights, seconds=best.seconds, fitted=best.fitted)
    return DrawnIn(shrink, reference, drawn) if drawn.rmse < best.rmse else None


def _better_left_out(
    error: np.ndarray,
    reference: np.ndarray,
    distance: np.ndarray,
    weights: np.ndarray,
    draw: np.ndarray,
    date: np.ndarray,
) -> bool:
    """Whether the squared error of a draw is lower with the weights of the other draws, by more than chance over the dates."""
    gain = np.zeros(error.size)
    for left_out in np.unique(draw):
        out = draw == left_out
        if out.all():
            return False
        shrink = Shrink.fit(error[~out], reference[~out], distance[~out])
        if shrink is not None:
            gain[out] = error[out] ** 2 - shrink.of(error[out], reference[out], distance[out]) ** 2
    _, block = np.unique(np.stack([draw, date]), axis=1, return_inverse=True)
    gains = np.bincount(block.ravel(), weights=weights * gain)
    return bool(gains.size > 1 and gains.mean() > _DOUBT * gains.std(ddof=1) / np.sqrt(gains.size))


def shrunk(estimate: Estimate, drawn: DrawnIn, record: Record, method: Method, seed: int) -> Estimate:
    """The estimate, drawn to the reference by distance; what was seen stays."""
    mean, sd, members = estimate.mean, estimate.sd, estimate.members
    assert mean is not None and sd is not None  # noqa: PT018 - every method here states both
    distance = record.distance
    fitted = refitted(drawn.reference.fitted, method, record, seed=seed)
    result = fitted.reconstruct(record.observations(), members=1, seed=seed)
    reference = np.nan_to_num(result[record.name].values)
    spread_of = result.get(f"{record.name}_sd")
    stated = None if spread_of is None else np.nan_to_num(spread_of.values)
    both = drawn.shrink.spread(sd, drawn.reference.spread(stated, distance), distance)
    open_cells = sd > 0
    centre = np.where(open_cells, drawn.shrink.of(mean, reference, distance), mean)
    spread = np.where(open_cells, drawn.scores.spread(both, distance), 0.0)
    if members is not None:
        ratio = spread / np.maximum(sd, 1e-30)
        members = (centre + (members - mean) * ratio).astype(np.float32)
    return Estimate(centre, spread, members)
