"""Regression on the leading EOFs, then optimal interpolation of what they leave.

    state       z = (f - c) / s, all levels and variables one vector (`state.py`)
    prior       z = sum_k a_k e_k + q r            e_k, lambda_k: EOFs of the training times (`modes.py`)
    estimate    its exact posterior (`eof_prior.py`); spread calibrated on validation times (`tuning.py`)

The residual that the covariance of r and its standard deviation q are learnt from is out of fold: each block of training
times is projected on the EOFs of the others, since what EOFs leave of their own times is too little. The number of EOFs,
how far their coefficients are believed, and the constants of C (taper, blend, nugget: `tuning.py`) are those of the least
CRPS on hidden cells of validation times.

After Kaplan et al. (1997), doi:10.1029/97JC01734 (reduced-space optimal interpolation), with the residual kept.
"""

__all__ = ["EOFOptimalInterpolation"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from driftfield.data.splits import spread_over
from driftfield.errors import ConfigurationError
from driftfield.gaussian.covariance import HybridCovariance, ZonalCovariance
from driftfield.gaussian.eof_prior import EofPrior
from driftfield.gaussian.modes import Modes
from driftfield.gaussian.structure import Constants
from driftfield.gaussian.tuning import CANDIDATES, Fit, SpreadPower, TuningCase, judge
from driftfield.interfaces import TrainingData
from driftfield.peers.base import Remembered, fitting_times, member_generator, time_stamps
from driftfield.peers.eof_fitting import Candidates, complete
from driftfield.peers.state import StatePeer, observed_part
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

COUNTS = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60)
"""Numbers of EOFs that are tried."""


TRUST = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Shares of the information on the coefficients that are tried."""


@dataclass(frozen=True)
class EOFChoice:
    """What is chosen on validation times: number of EOFs, share that is believed of them, constants of the residual."""

    count: int
    trust: float = 1.0
    residual: Constants = field(default_factory=lambda: Constants(weight=0.0))


@register("reconstructor")
class EOFOptimalInterpolation(StatePeer):
    """Reduced-space optimal interpolation with the residual kept; multivariate, learns from gappy archives too.

    Arguments:
        modes: Number of EOFs; chosen on validation times if not given.
        patterns: Gaps of the targets that it is tuned for (`driftfield.data.masks.parse_pattern`); if not given, profiles
            for fields with depth, random cells and clouds for surfaces.
        covariate_pattern: Gaps of the covariates while tuning.
        samples: Training times that are used, evenly spread.
        nearest: Observations that one tile of the grid uses for the residual.
        folds: Blocks of training times that residuals are computed out of.
        refit: Whether seasonal cycle and EOFs come from training and validation, once the constants are chosen.

    Raises:
        ConfigurationError: fewer than one mode, fewer than two folds, or an unknown pattern.
    """

    method = "eof"

    def __init__(
        self,
        modes: int | None = None,
        patterns: Sequence[str] | None = None,
        covariate_pattern: str = "clouds:0.6",
        samples: int = 400,
        nearest: int = 300,
        folds: int = 5,
        refit: bool = True,
    ) -> None:
        super().__init__(patterns, covariate_pattern)
        if modes is not None and modes < 1:
            raise ConfigurationError(f"{modes} EOFs were asked for: expected 1 or more.")
        if folds < 2:
            raise ConfigurationError(f"Residuals out of {folds} fold(s) would be in sample: expected 2 folds or more.")
        self.modes, self.samples, self.nearest, self.folds, self.refit = modes, samples, nearest, folds, refit

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns EOFs and residual on training times, constants and calibration on validation times.

        Without a validation split the last sixth of the training split takes its place while tuning.

        Raises:
            DataError: the archive lacks a variable or a time axis, or has fewer than eight training times.
        """
        train, validation = self._begin(data, seed)
        known = self._known(data.archive, spread_over(train, self.samples))
        most = self.modes or max(COUNTS)
        candidates = Candidates(known, self._domain, self._grid, folds=self.folds, most=most)
        self.choice, found = self._choose(candidates, self._cases(data, validation, seed))
        self._tuned_spread, self.validation_crps = found.calibration, found.crps
        self._prior = candidates.prior(self.choice.count, self.choice.residual, self.choice.trust)
        if self.refit:
            times = fitting_times(data, refit=True)
            self._learn_background(data, times)
            fields, area = complete(
                self._known(data.archive, spread_over(times, self.samples)), self._domain, self._grid
            )
            self._prior = replace(self._prior, modes=Modes.fit(fields, area, self.choice.count))

    def _choose(self, candidates: Candidates, cases: list[TuningCase]) -> tuple[EOFChoice, Fit]:
        """One constant after the other, twice around the first two, each climbed from where it stands."""
        rows, sd = np.arange(self._targets), self._sd[: self._targets]
        tried: dict[EOFChoice, Fit] = {}

        def score(choice: EOFChoice) -> Fit:
            if choice not in tried:
                prior = candidates.prior(choice.count, choice.residual, choice.trust)

                def solve(case: TuningCase, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                    return prior.condition(case.seen, rows=rows, wanted=wanted, most=self.nearest, tiles=case.tiles)[:2]

                tried[choice] = judge(solve, prior.sd[rows], cases, sd)
            return tried[choice]

        counts = [c for c in COUNTS if c <= candidates.most] if self.modes is None else [candidates.most]
        best = EOFChoice(count=counts[min(3, len(counts) - 1)])
        for residual in (("taper", "blend", "nugget"), ()):
            best = _lowest(best, [replace(best, count=c) for c in counts], score)
            best = _lowest(best, [replace(best, trust=t) for t in TRUST], score)
            for name in residual:
                options = [replace(best, residual=replace(best.residual, **{name: v})) for v in CANDIDATES[name]]
                best = _lowest(best, options, score)
        return best, score(best)

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """Mean, standard deviation and draws from the posterior."""
        times = observations[self.background.targets[0]]["time"]
        values, noise = self._standardised(observations)
        wanted, rows = self._wanted(observations), np.arange(self._targets)
        result = np.zeros((2 + members, len(values), rows.size, values.shape[-1]), dtype=np.float32)
        sd, prior = self._sd[rows], self._prior.sd[rows]
        for t, stamp in enumerate(time_stamps(times)):
            seen = observed_part(values[t], noise[t])
            generators = tuple(member_generator(seed, m, stamp) for m in range(members))
            mean, variance, drawn = self._prior.condition(
                seen, rows=rows, wanted=wanted, generators=generators, most=self.nearest
            )
            spread = np.sqrt(variance)
            factor = self._inflation(seen, spread, prior)
            result[0, t], result[1, t] = mean * sd, spread * factor * sd
            result[2:, t] = (mean + (drawn - mean) * factor) * sd
        return self._per_variable(np.nan_to_num(result), times)

    # What is kept

    def _remember(self) -> Remembered:
        prior = self._prior
        arrays = {
            "modes.patterns": prior.modes.patterns,
            "modes.variances": prior.modes.variances,
            "residual.scale": prior.scale,
            "residual.loadings": prior.residual.loadings,
            "residual.tables": np.stack([mode.table for mode in prior.residual.modes]),
            "residual.nugget": prior.residual.nugget,
            "sd": self._sd,
            "calibration.scale": self._tuned_spread.scale,
        }
        extra = {"choice": asdict(self.choice), "validation_crps": self.validation_crps}
        return arrays, extra | {"power": self._tuned_spread.power}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        chosen = dict(extra["choice"])
        self.choice = EOFChoice(**(chosen | {"residual": Constants(**chosen["residual"])}))
        self.validation_crps = dict(extra["validation_crps"])
        self._sd = arrays["sd"]
        self._tuned_spread = SpreadPower(arrays["calibration.scale"], float(extra["power"]))
        grid, scale = self._grid, arrays["residual.scale"]
        residual = HybridCovariance(
            grid=grid,
            loadings=arrays["residual.loadings"],
            modes=tuple(ZonalCovariance(table, grid.lon.size) for table in arrays["residual.tables"]),
            nugget=arrays["residual.nugget"],
            samples=np.zeros((0, *scale.shape), dtype=np.float32),
            locality=np.ones((scale.shape[1], 1)),
            weight=0.0,
        )
        modes = Modes(arrays["modes.patterns"], arrays["modes.variances"])
        self._prior = EofPrior(modes, scale, residual, self.choice.trust)


def _lowest(best: EOFChoice, options: Sequence[EOFChoice], score: Callable[[EOFChoice], Fit]) -> EOFChoice:
    """Walks along the options, of which `best` is one, while the score falls."""
    here = options.index(best)
    for step in (1, -1):
        moved = False
        while 0 <= here + step < len(options) and score(options[here + step]).score < score(options[here]).score:
            here, moved = here + step, True
        if moved:
            break
    return options[here]
