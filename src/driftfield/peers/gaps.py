"""Gaps drawn over known fields, to choose a peer's constants by what it makes of the hidden cells.

    validation times x patterns  ->  (seen anomalies, true anomalies)        scored where hidden and known

A pattern is one that the recipe names, else what is usual for the data: whole profiles where the fields have depth, random
cells and clouds where they have not. Truth that is itself gappy is scored where it was measured.
"""

__all__ = ["Gappy", "draw_gaps", "tuning_split", "usual_patterns"]

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.data.masks import parse_pattern
from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background


@dataclass(frozen=True)
class Gappy:
    """One variable at one time under one pattern of gaps.

    Arguments:
        pattern: Which.
        name: The variable.
        time: Index in the archive.
        seen: Anomalies ([depth,] lat, lon), NaN where hidden, unknown or outside the domain.
        truth: Anomalies, NaN where unknown or outside the domain.
    """

    pattern: str
    name: str
    time: int
    seen: np.ndarray
    truth: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        """Cells to score: known but not shown."""
        return np.isfinite(self.truth) & ~np.isfinite(self.seen)


def usual_patterns(domains: Iterable[xr.DataArray]) -> tuple[str, ...]:
    """Patterns of gaps for a recipe that names none, from where the fields exist."""
    if any("depth" in domain.dims for domain in domains):
        return ("profiles:0.9", "profiles:0.95")
    return ("random:0.75", "random:0.95", "clouds:0.75")


def tuning_split(data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    """Times to learn from and times to choose constants on; without a validation split the last sixth of the training."""
    train, validation = np.asarray(data.train, dtype=int), np.asarray(data.validation, dtype=int)
    if validation.size or train.size < 2:
        return train, validation
    cut = max(1, len(train) // 6)
    return train[:-cut], train[-cut:]


def draw_gaps(
    background: Background, data: TrainingData, times: np.ndarray, patterns: Sequence[str], *, seed: int
) -> Iterator[Gappy]:
    """Every target at every time under every pattern; the same for the same seed."""
    for name in background.targets:
        domain = background.domains[name].values
        for i, t in enumerate(times):
            truth = background.anomaly(data.to_validate.dataset[name].isel(time=[t]), name)[0]
            for p, pattern in enumerate(patterns):
                rng = np.random.default_rng(np.random.SeedSequence([seed, p, i]))
                observed = parse_pattern(pattern).draw(domain, rng, periodic=background.periodic)
                yield Gappy(pattern, name, int(t), np.where(observed, truth, np.nan), truth)
