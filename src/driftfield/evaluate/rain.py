"""What matters of rain beside its error in each place: how often, how much at most, how long, and whether near misses count.

    wet-day share     share of values >= wet            quantiles     of all values
    FSS               1 - <(p - q)^2> / (<p^2> + <q^2>)   p, q: shares of values >= threshold in a square of cells
    Rx1day            mean over cells of the largest value       CDD, CWD     of the longest dry and wet spell, days
    coverage          of the truth by the 90 % interval where the coarse field is wet: a dry coarse cell has members without width

Roberts and Lean (2008), doi:10.1175/2007MWR2123.1 (FSS); ETCCDI (Rx1day, CDD, CWD).
"""

__all__ = ["fss", "longest_spell", "rain_scores"]

import numpy as np
from scipy.ndimage import uniform_filter

QUANTILES = (0.5, 0.95, 0.99, 0.999)
WINDOW = 5
"""Cells along the square of the fractions skill score."""


def fss(made: np.ndarray, truth: np.ndarray, threshold: float, window: int = WINDOW) -> float:
    """Fractions skill score of fields (..., row, column); 1 is perfect, NaN where nothing reaches the threshold in either.

    Arguments:
        made, truth: Of one shape.
        threshold: Of an event, units of the fields.
        window: Cells along a square.
    """
    size = (0,) * (made.ndim - 2) + (window, window)
    p, q = (uniform_filter((x >= threshold).astype(np.float64), size, mode="constant") for x in (made, truth))
    worst = float(np.mean(p**2) + np.mean(q**2))
    return 1.0 - float(np.mean((p - q) ** 2)) / worst if worst > 0 else float("nan")


def longest_spell(event: np.ndarray, breaks: np.ndarray | None = None) -> np.ndarray:
    """Dates of the longest uninterrupted run of an event, per cell.

    Arguments:
        event: Boolean (time, row, column).
        breaks: Boolean (time,): a date that does not follow the one before it.
    """
    run, longest = np.zeros(event.shape[1:], dtype=int), np.zeros(event.shape[1:], dtype=int)
    for index, now in enumerate(event):
        if breaks is not None and breaks[index]:
            run = np.zeros_like(run)
        run = np.where(now, run + 1, 0)
        longest = np.maximum(longest, run)
    return longest


def rain_scores(
    members: np.ndarray,
    truth: np.ndarray,
    *,
    wet: float = 1.0,
    breaks: np.ndarray | None = None,
    coarse_wet: np.ndarray | None = None,
) -> dict[str, float]:
    """Every figure of the made fields beside that of the truth.

    Arguments:
        members: (member, time, row, column), without holes.
        truth: (time, row, column).
        wet: From which value on a date is wet.
        breaks: As of `longest_spell`.
        coarse_wet: Boolean (time, row, column): where the coarse field is wet.
    """
    found = {"wet_share": float((members >= wet).mean()), "wet_share_truth": float((truth >= wet).mean())}
    for p in QUANTILES:
        name = f"p{100 * p:g}"
        found[name], found[f"{name}_truth"] = float(np.quantile(members, p)), float(np.quantile(truth, p))
    for name, threshold in (("fss_wet", wet), ("fss_p95", float(np.quantile(truth, 0.95)))):
        found[name] = float(np.nanmean([fss(member, truth, threshold) for member in members]))
    figures = {
        "rx1day": lambda x: x.max(axis=0).mean(),
        "cdd": lambda x: longest_spell(x < wet, breaks).mean(),
        "cwd": lambda x: longest_spell(x >= wet, breaks).mean(),
    }
    for name, figure in figures.items():
        found[name] = float(np.mean([figure(member) for member in members]))
        found[f"{name}_truth"] = float(figure(truth))
    if coarse_wet is not None and len(members) > 1:
        mean, sd = members.mean(axis=0), members.std(axis=0, ddof=1)
        inside = np.abs(truth - mean) < 1.645 * sd * np.sqrt(1 + 1 / len(members))
        found["coverage_90_wet"] = float(inside[coarse_wet].mean()) if coarse_wet.any() else float("nan")
    return found
