"""Archives that are not complete: how much of the domain is missing, and who has to know.

share of gaps = cells of the domain that are NaN at a time / cells of the domain
"""

__all__ = ["gap_share", "warn_of_gaps"]

import logging
from collections.abc import Sequence

import numpy as np

from driftfield.data.splits import spread_over
from driftfield.interfaces import Archive

log = logging.getLogger(__name__)


def gap_share(archive: Archive, name: str, times: np.ndarray, *, most: int = 32) -> float:
    """Share of the domain that an archive does not know, from at most `most` of the times."""
    some = spread_over(times, most)
    exists = archive.domain(name) if archive.cells is None else archive.domain(name) & archive.cells
    known = archive.dataset[name].isel(time=some).notnull() & exists
    return float(1.0 - known.sum() / (exists.sum() * len(some)))


def warn_of_gaps(archive: Archive, times: np.ndarray, targets: Sequence[str], *, least: float = 0.001) -> None:
    """Says in the log which targets have gaps that a training is about to take for data."""
    for name in targets:
        share = gap_share(archive, name, times)
        if share > least:
            log.warning(
                "%.0f %% of the domain of %r is missing in the archive, and the training takes the noisy field there for data. "
                "Add 'visible: {%s: all}' under 'observing' to train on gappy fields as they are.",
                100 * share,
                name,
                name,
            )
