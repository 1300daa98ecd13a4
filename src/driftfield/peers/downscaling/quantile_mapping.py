"""Quantile mapping, cell by cell: the place of the interpolated value in its training distribution is looked up in the fine one.

    x = F_fine^-1( F_coarse( interpolate(y) ) )

Distributions are quantiles of the training dates (of the group). Beyond the outermost ones the difference (additive) or the ratio
(multiplicative: rain, zeros stay zeros) of those goes on. Fine and coarse dates need not be the same: it works without pairs.
Panofsky and Brier (1968); Maraun (2013), doi:10.1175/JCLI-D-12-00821.1, on what it does to trends and variance.
"""

__all__ = ["QuantileMapping"]

import numpy as np

from driftfield.data.date_groups import check_by, group_of, groups_of, refuse_untrained
from driftfield.errors import ConfigurationError
from driftfield.interfaces import Cannot
from driftfield.linalg.regridding import Kind, Regridding
from driftfield.peers.downscaling.base import Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register


@register("downscaler")
class QuantileMapping(Downscaler):
    """Gives every fine cell the distribution of its training values; deterministic.

    Arguments:
        kind: Of the interpolation before it: nearest, bilinear or bicubic.
        by: Dates that have distributions of their own: none, hour, month or season.
        quantiles: How many.
        beyond: What goes on beyond the outermost quantiles: their difference (additive) or their ratio (multiplicative).
    """

    method = "quantile mapping"
    follows_shifts = Cannot("maps each value by its place in the distribution of training")
    needs_pairs = False

    def __init__(
        self, kind: Kind = "bilinear", by: str = "none", quantiles: int = 100, beyond: str = "additive"
    ) -> None:
        if beyond not in ("additive", "multiplicative"):
            raise ConfigurationError(f"Found beyond: {beyond!r}: expected additive or multiplicative.")
        if quantiles < 2:
            raise ConfigurationError(f"Found {quantiles} quantiles: expected 2 or more.")
        self.kind, self.by, self.quantiles, self.beyond = kind, check_by(by), quantiles, beyond

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """Quantiles of both by group: (group, quantile, row, column)."""
        up = regridding.interpolate(samples.coarse, self.kind)
        fine_group, coarse_group = (groups_of(d, self.by) for d in (samples.dates, samples.coarse_dates))
        trained = np.intersect1d(fine_group, coarse_group)
        probabilities = (np.arange(self.quantiles) + 0.5) / self.quantiles
        fine = np.stack([_quantiles(samples.fine[fine_group == g], probabilities) for g in trained])
        coarse = np.stack([_quantiles(up[coarse_group == g], probabilities) for g in trained])
        return {"groups": trained, "fine": fine.astype(np.float32), "coarse": coarse.astype(np.float32)}

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The interpolated value, mapped in every cell."""
        place = refuse_untrained(group_of(date.time, self.by), fitted["groups"], self.by, type(self).__name__)
        coarse, fine = (fitted[key][place].astype(np.float64).reshape(self.quantiles, -1) for key in ("coarse", "fine"))
        value = regridding.interpolate(date.coarse, self.kind).ravel()
        return Estimate(self._mapped(value, coarse, fine).reshape(regridding.fine.shape))

    def _mapped(self, value: np.ndarray, coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
        """Linear between quantiles (quantile, cell); ties, such as many dry days, go to the first of them."""
        below = np.clip((coarse < value[None]).sum(axis=0) - 1, 0, self.quantiles - 2)
        cell = np.arange(value.size)
        low, high = coarse[below, cell], coarse[below + 1, cell]
        share = np.where(high > low, (value - low) / np.where(high > low, high - low, 1.0), 0.0)
        mapped = fine[below, cell] + np.clip(share, 0.0, 1.0) * (fine[below + 1, cell] - fine[below, cell])
        for beyond, end in ((value > coarse[-1], -1), (value < coarse[0], 0)):
            if self.beyond == "additive":
                mapped = np.where(beyond, fine[end] + value - coarse[end], mapped)
            else:
                ratio = np.where(coarse[end] != 0, fine[end] / np.where(coarse[end] != 0, coarse[end], 1.0), 1.0)
                mapped = np.where(beyond, value * ratio, mapped)
        return mapped


def _quantiles(fields: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(quantile, row, column) over the first axis, of what is finite; 0 in cells without a value."""
    known = np.isfinite(fields).any(axis=0)
    filled = np.where(known, fields, 0.0)
    if np.isfinite(filled).all():
        return np.quantile(filled, probabilities, axis=0)
    return np.asarray(np.nanquantile(filled, probabilities, axis=0))
