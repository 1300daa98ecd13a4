"""All variables and levels as one state: a peer that knows how they go together reconstructs them together.

    z_r(x) = (f_r(x) - c_r(x, month)) / s_r(x)        row r: a level of a target, then the surface covariates
                                                      column x: a cell of the grid, flat index

c is the seasonal cycle, s the standard deviation of the anomaly, smoothed from cell to cell. Where an archive has gaps,
what is not known is neither learnt from nor scored.
"""

__all__ = ["StatePeer", "observed_part", "smooth_sd"]

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from driftfield.data.masks import parse_pattern
from driftfield.data.splits import spread_over
from driftfield.errors import DataError
from driftfield.gaussian.conditioning import SeenCells
from driftfield.gaussian.covariance import EmbeddedGrid
from driftfield.gaussian.smoothing import gaussian_sum
from driftfield.gaussian.tuning import SpreadPower, TuningCase
from driftfield.interfaces import Archive, TrainingData
from driftfield.peers.background import Background, observed_domain
from driftfield.peers.base import Peer
from driftfield.peers.climatology import anomaly_sd
from driftfield.peers.gaps import tuning_split, usual_patterns
from driftfield.reconstruction.output import Estimate


class StatePeer(Peer):
    """What peers of the whole state share: rows and cells, standardised, there and back.

    Arguments:
        patterns: Gaps of the targets that constants are chosen for; if not given, the usual ones of the data.
        covariate_pattern: Gaps of the covariates meanwhile.
    """

    abilities = replace(Peer.abilities, covariates=True)
    covariate_pattern: str
    _sd: np.ndarray
    """s of all rows: (row, cell)."""
    _tuned_spread: SpreadPower

    def __init__(self, patterns: Sequence[str] | None, covariate_pattern: str) -> None:
        self.patterns = None if patterns is None else tuple(patterns)
        self.covariate_pattern = covariate_pattern
        for pattern in (*(patterns or ()), covariate_pattern):
            parse_pattern(pattern)

    @property
    def _grid(self) -> EmbeddedGrid:
        return self.background.grid

    @property
    def _targets(self) -> int:
        """Number of target rows."""
        return sum(int(np.prod(self.background.domains[n].shape[:-2])) for n in self.background.targets)

    @property
    def _domain(self) -> np.ndarray:
        """Where the rows exist: (row, cell)."""
        return self._stack({n: d.values[None] for n, d in self.background.domains.items()})[0]

    # From fields to rows

    def _begin(self, data: TrainingData, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Learns the background of the training times; gives them, and the times to choose constants on.

        Raises:
            DataError: the archive lacks a variable or a time axis, or has fewer than eight training times.
        """
        self.seed = seed
        train, validation = tuning_split(data)
        if len(train) < 8:
            raise DataError(f"{len(train)} training times are too few for a covariance: expected 8 or more.")
        self._learn_background(data, train)
        return train, validation

    def _learn_background(self, data: TrainingData, times: np.ndarray) -> None:
        self.background = Background.fit(data, times, covariates=True)
        sds = []
        for name in self.background.variables:
            raw = anomaly_sd(self.background, data, name, times)
            domain = self.background.domains[name].values
            smooth = smooth_sd(raw, domain, periodic=self.background.periodic)
            sds.append(smooth.reshape(-1, domain.shape[-2] * domain.shape[-1]))
        self._sd = np.concatenate(sds).astype(np.float32)

    def _stack(self, fields: Mapping[str, np.ndarray]) -> np.ndarray:
        """(time, [depth,] lat, lon) of every variable -> (time, row, cell)."""
        return np.concatenate(
            [f.reshape(len(f), -1, f.shape[-2] * f.shape[-1]) for f in (fields[n] for n in self.background.variables)],
            axis=1,
        )

    def _known(self, archive: Archive, times: np.ndarray) -> np.ndarray:
        """Standardised anomalies of an archive (time, row, cell), NaN where not known or outside the domain."""
        chosen = archive.dataset.isel(time=times)
        anomalies = {n: self.background.anomaly(chosen[n], n).astype(np.float32) for n in self.background.variables}
        return self._stack(anomalies) / self._sd

    def _fields(self, data: TrainingData, times: np.ndarray) -> np.ndarray:
        """The same, 0 where not known."""
        return np.nan_to_num(self._known(data.archive, times))

    def _standardised(self, observations: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Standardised observations, NaN where not seen, and the variance of their errors: (time, row, cell) each."""
        anomalies, errors = self.background.departures(observations)
        noise = (self._stack(errors) / self._sd) ** 2
        return (self._stack(anomalies) / self._sd).astype(np.float32), noise.astype(np.float32)

    def _wanted(self, observations: xr.Dataset) -> np.ndarray:
        """Cells in which any target exists."""
        names = self.background.targets
        domains = [observed_domain(self.background, observations, n) for n in names]
        return np.any([d.reshape(-1, d.shape[-2] * d.shape[-1]).any(axis=0) for d in domains], axis=0)

    # And back

    def _inflation(self, seen: SeenCells, sd: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Factor on the standardised spread (row, cell); what was measured keeps its own."""
        factor = self._tuned_spread.apply(sd, prior) / np.maximum(sd, 1e-6)
        own = seen.rows < len(sd)
        factor[seen.rows[own], seen.cells[own]] = 1.0
        return factor

    def _per_variable(self, result: np.ndarray, times: xr.DataArray) -> dict[str, Estimate]:
        """Splits rows into variables, adds the season: (mean, sd, members) each."""
        output: dict[str, Estimate] = {}
        start = 0
        for name in self.background.targets:
            shape = self.background.domains[name].shape
            count = int(np.prod(shape[:-2]))
            own = result[:, :, start : start + count].reshape(*result.shape[:2], *shape)
            start += count
            season = self.background.mean(name, times)
            output[name] = Estimate(own[0] + season, own[1], own[2:] + season if len(own) > 2 else None)
        return output

    # What constants are chosen on

    def _cases(self, data: TrainingData, validation: np.ndarray, seed: int) -> list[TuningCase]:
        """Validation times under every pattern; a few tiles of each are enough."""
        patterns = self.patterns or usual_patterns(self.background.target_domains)
        # a small grid says little at one time
        count = int(np.clip(2000 // self._sd.shape[1], 4, 12))
        known = self._known(data.to_validate, spread_over(validation, count))
        cases = []
        for p, pattern in enumerate(patterns):
            for t, field in enumerate(known):
                rng = np.random.default_rng(np.random.SeedSequence([seed, p, t]))
                observed = self._stack({n: self._draw(n, pattern, rng)[None] for n in self.background.variables})[0]
                truth = field[: self._targets]
                hidden = np.isfinite(truth) & ~observed[: self._targets]
                seen = observed_part(np.where(observed, field, np.nan), np.zeros_like(field))
                tiles = rng.choice(64, 16, replace=False) if field.shape[-1] > 4000 else None
                cases.append(TuningCase(pattern, seen, np.nan_to_num(truth), hidden, tiles))
        return cases

    def _draw(self, name: str, pattern: str, rng: np.random.Generator) -> np.ndarray:
        text = pattern if name in self.background.targets else self.covariate_pattern
        domain = self.background.domains[name].values
        return parse_pattern(text).draw(domain, rng, periodic=self.background.periodic)


def observed_part(values: np.ndarray, noise: np.ndarray) -> SeenCells:
    """The observations of one time: (row, cell), NaN where not seen."""
    rows, cells = np.nonzero(np.isfinite(values))
    return SeenCells(rows, cells, values[rows, cells], noise[rows, cells])


def smooth_sd(sd: np.ndarray, domain: np.ndarray, *, periodic: bool, width: float = 1.5) -> np.ndarray:
    """A spread that varies smoothly from cell to cell; land has no say, a tenth of the median is the floor."""

    share = gaussian_sum(domain.astype(np.float64), width, periodic=periodic)
    variance = gaussian_sum(np.where(domain, sd.astype(np.float64) ** 2, 0.0), width, periodic=periodic)
    variance = variance / np.maximum(share, 1e-6)
    shape = (-1, domain.shape[-2] * domain.shape[-1])
    rows = zip(sd.reshape(shape), domain.reshape(shape), strict=True)
    median = np.array([np.median(row[inside]) if inside.any() else 1.0 for row, inside in rows])
    median = np.maximum(median, 1e-6).reshape((*domain.shape[:-2], 1, 1))
    return np.where(share > 1e-6, np.sqrt(np.maximum(variance, (0.1 * median) ** 2)), median)
