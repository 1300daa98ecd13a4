"""What a user should know of a filled record, a sentence each: references as good, dates without observations, deep gaps."""

__all__ = ["remarks"]

import numpy as np
import xarray as xr

from driftfield.filling.blending import Blend
from driftfield.filling.depth import DrawnIn
from driftfield.filling.methods import REFERENCES
from driftfield.filling.record import Record
from driftfield.filling.validation import Scores

_FEW = 30
"""Hidden values below which scores say little."""

_DEEP = 0.01
"""Share of the missing cells that may lie deeper in a gap than all hidden ones and is not said."""


def remarks(
    record: Record,
    best: Scores,
    scores: dict[str, Scores],
    dataset: xr.Dataset,
    together: Blend | None,
    drawn: DrawnIn | None,
    distance: np.ndarray,
) -> tuple[str, ...]:
    """All that is to be said.

    Arguments:
        record: What was filled.
        best: Scores of what filled it.
        scores: Of everything that was tried.
        dataset: The filled record.
        together: The methods that were blended, if any were.
        drawn: How it was drawn to a reference, if it was.
        distance: Of the hidden cells, in cells.
    """
    return (*_lines(record, best, scores, dataset, together), *_depth_lines(drawn), *_untested(record, distance))


def _lines(
    record: Record, best: Scores, scores: dict[str, Scores], dataset: xr.Dataset, together: Blend | None
) -> tuple[str, ...]:
    """What a user should know."""
    lines = []
    if together is not None:
        shares = ", ".join(f"{weight:.0%}" for _, weight in together.parts)
        lines.append(f"{best.label} are blended ({shares}): together they miss less than any of them alone")
    for label in REFERENCES:
        if label in scores and label != best.label and scores[label].rmse <= best.rmse:
            lines.append(
                f"{best.label} has no lower error than the {label} on the hidden blocks ({best.rmse:.3g} against "
                f"{scores[label].rmse:.3g}): the observations say little of the gaps, or this is not their method"
            )
    unseen = [k for k, seen in enumerate(record.seen) if not seen.any()]
    if unseen:
        stamps = ", ".join(str(record.field["time"].values[k])[:16] for k in unseen[:5])
        lines.append(f"{len(unseen)} date(s) without any observation are filled from the others: {stamps}")
    certain = dataset[f"{record.name}_sd"].values.reshape(record.seen.shape) == 0
    if (record.seen & certain).any():
        lines.append("what was observed is kept as it is, with spread 0: --noise SD says that it has errors")
    missing = record.domain.values & ~record.seen
    estimated = missing | (np.nan_to_num(dataset[f"{record.name}_sd"].values).reshape(missing.shape) > 0)
    share = float(estimated.sum()) / max(int(record.domain.sum()) * len(record.seen), 1)
    values = dataset[record.name].values.reshape(missing.shape)
    empty = int((record.domain.values & ~np.isfinite(values)).sum())
    rest = f"{empty} cells of it have neither" if empty else "every cell of it has a value and a spread"
    lines.append(f"{share:.0%} of the domain is estimated, {rest}")
    return tuple(lines)


def _depth_lines(drawn: DrawnIn | None) -> list[str]:
    if drawn is None:
        return []
    share = 1 - float(drawn.shrink.weight[-2])
    return [
        f"far from what was seen the field is drawn to the {drawn.reference.label}, by {share:.0%} "
        f"{drawn.shrink.distance[-2]:.0f} cells away: hidden blocks as deep were missed by more without it"
    ]


def _untested(record: Record, hidden: np.ndarray) -> list[str]:
    """What the hidden blocks do not show: too few of them, or missing cells that lie deeper in a gap (distances in cells)."""
    lines = []
    if hidden.size < _FEW:
        lines.append(
            f"only {hidden.size} values were hidden: neither the choice of the method nor its spread is tested by so few"
        )
    missing = record.distance[record.domain.values & ~record.seen]
    beyond = missing > hidden.max()
    # a date without any observation is said by a line of its own
    deepest = missing[np.isfinite(missing)].max(initial=0.0)
    if np.isfinite(missing[beyond]).any() and beyond.mean() > _DEEP:
        lines.append(
            f"{beyond.mean():.0%} of the missing cells lie farther from what was seen (up to {deepest:.0f} "
            f"cells) than any that was hidden ({hidden.max():.0f}): neither their values nor their spread is tested"
        )
    return lines
