"""Which values of a profile are believed, and the account of those that are not.

    read = kept + sum over reasons of dropped          the first reason that applies is the one that counts

Order of the reasons: mode, position, date, the value's own flag, its depth or pressure, a better copy of the profile, range,
spike, far from its neighbours or the climatology.

Flags are those of Argo (reference table 2): 1 good, 2 probably good, 3 probably bad, 4 bad, 5 changed, 8 estimated, 0 not
checked. Ranges are global (Argo quality control manual, test 6: -2.5..40 degC, 2..41) and, below 200 m, by depth: upper limits
after the profile envelope of GTSPP (Unesco manuals and guides 22), wide enough for the Red Sea (22 degC below 300 m), the
Mediterranean (14 degC below 3000 m) and the Sulu Sea (10 degC at 5000 m). Spikes: Argo test 9.
"""

__all__ = ["Ledger", "Quality", "in_range", "is_spike"]

from dataclasses import dataclass, field

import numpy as np

from driftfield.errors import ConfigurationError

MODES = ("D", "A", "R")
"""Delayed mode, real time adjusted, real time: the best first."""

# per quantity of `gridded.units`: (from this depth on in metres, least, greatest)
_RANGES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "temperature of the sea": (
        (0.0, -2.5, 40.0),
        (200.0, -2.5, 29.0),
        (300.0, -2.5, 27.0),
        (1000.0, -2.5, 24.0),
        (3000.0, -2.0, 15.0),
        (5500.0, -1.5, 12.0),
    ),
    "salinity": ((0.0, 0.0, 42.0), (500.0, 15.0, 41.5)),
    "sea level": ((0.0, -5.0, 5.0),),
}
# per quantity: threshold above and below 500 dbar
_SPIKES = {"temperature of the sea": (6.0, 2.0), "salinity": (0.9, 0.3)}


@dataclass(frozen=True)
class Quality:
    """What is asked of a value.

    Arguments:
        flags: Accepted flags; None accepts all of them.
        modes: Accepted modes of a profile.
        adjusted: Take the adjusted values of profiles in modes D and A (else the raw ones, with the raw flags).
        ranges: Drop values outside the ranges.
        spikes: Drop spikes.
        outliers: Drop what lies far from its neighbours or the climatology (`outliers.is_outlier`); else counted in a line.
        interpolated: Keep profiles whose position is interpolated (position flag 8): floats under ice, or out of reach of the
            satellites. They are left out by default, for the place may be off by a hundred kilometres and more.

    Raises:
        ConfigurationError: a flag or a mode that does not exist.
    """

    flags: tuple[int, ...] | None = (1, 2)
    modes: tuple[str, ...] = MODES
    adjusted: bool = True
    ranges: bool = True
    spikes: bool = False
    outliers: bool = False
    interpolated: bool = False

    def __post_init__(self) -> None:
        if self.flags is not None and (not self.flags or not set(self.flags) <= set(range(10))):
            raise ConfigurationError(f"Found the flags {self.flags}: expected some of 0 to 9, such as 1,2.")
        if not self.modes or not set(self.modes) <= set(MODES):
            raise ConfigurationError(f"Found the modes {self.modes}: expected some of {MODES}.")


@dataclass
class Ledger:
    """Counts what is dropped, and why.

    Arguments:
        kept: Which values are still believed (row,); a value that was never there is not counted.
    """

    kept: np.ndarray
    dropped: dict[str, int] = field(default_factory=dict)
    read: int = -1

    def __post_init__(self) -> None:
        self.kept = self.kept.copy()
        self.read = int(self.kept.sum())

    def drop(self, reason: str, wrong: np.ndarray) -> None:
        """Drops what is wrong and still kept."""
        hit = self.kept & wrong
        if hit.any():
            self.dropped[reason] = self.dropped.get(reason, 0) + int(hit.sum())
            self.kept &= ~wrong

    def drop_flags(self, what: str, flags: np.ndarray | None, accepted: tuple[int, ...] | None) -> None:
        """Drops values by flag; -1 is a flag that is not there.

        Arguments:
            what: Begins the reason, such as "position ".
            flags: (row,); None if the file has no such flags, which drops nothing.
            accepted: As `Quality.flags`.
        """
        if flags is None or accepted is None:
            return
        for flag in sorted(set(np.unique(flags).tolist()) - set(accepted)):
            self.drop(f"{what}flag {flag}" if flag >= 0 else f"{what}flag missing", flags == flag)


def in_range(values: np.ndarray, depth: np.ndarray, quantity: str | None) -> np.ndarray:
    """Whether values are possible at their depth; true for a quantity without a range, and at an unknown depth the widest.

    Arguments:
        values: (row,) in the units of `gridded.units`.
        depth: (row,) metres.
        quantity: Name of a `gridded.units.Quantity`.
    """
    steps = _RANGES.get(quantity or "")
    if steps is None:
        return np.ones(values.shape, dtype=bool)
    top, low, high = (np.array(column) for column in zip(*steps, strict=True))
    row = np.clip(np.searchsorted(top, np.nan_to_num(depth), side="right") - 1, 0, None)
    return (values >= low[row]) & (values <= high[row])


def is_spike(
    values: np.ndarray, depth: np.ndarray, cast: np.ndarray, kept: np.ndarray, quantity: str | None
) -> np.ndarray:
    """Argo test 9: |v - (above + below) / 2| - |above - below| / 2 beyond a threshold.

    Arguments:
        values, depth: (row,).
        cast: (row,) which profile; neighbours are those in depth among the kept ones of a profile.
        kept: (row,) what is looked at.
        quantity: Name of a `gridded.units.Quantity`.
    """
    spike = np.zeros(values.shape, dtype=bool)
    if quantity not in _SPIKES:
        return spike
    order = np.flatnonzero(kept)
    order = order[np.lexsort((depth[order], cast[order]))]
    v, z, of = values[order], depth[order], cast[order]
    if len(v) < 3:
        return spike
    above, here, below = v[:-2], v[1:-1], v[2:]
    size = np.abs(here - (above + below) / 2) - np.abs(below - above) / 2
    shallow, deep = _SPIKES[quantity]
    found = (size > np.where(z[1:-1] < 500.0, shallow, deep)) & (of[:-2] == of[1:-1]) & (of[2:] == of[1:-1])
    spike[order[1:-1][found]] = True
    return spike
