"""Principal components with a noise term, as a Gaussian prior that needs no complete field.

    state   z = (f - c) / s, all levels and variables one vector (`state.py`)
    prior   z ~ N(mu, W W' + v I), by expectation-maximisation over what was seen (`gappy_gaussian.py`)
    answer  its exact posterior: mean, standard deviation, members

DINEOF fills with the same few patterns and has no likelihood; here spread and covariance are part of the fit, which makes it a
start for expectation-maximisation with a diffusion model (`models.expectation_maximisation`). It does not know that
neighbours resemble each other, so that a cell must have been seen some dozen times: ten cloudy days are too few.
"""

__all__ = ["ProbabilisticPCA"]

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from driftfield.data.splits import spread_over
from driftfield.errors import ConfigurationError
from driftfield.gaussian.gappy_gaussian import GappyGaussian
from driftfield.interfaces import TrainingData
from driftfield.peers.base import member_generator, time_stamps
from driftfield.peers.state import StatePeer
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

log = logging.getLogger(__name__)

SIGHTINGS = 5
"""Times that a cell should have been seen, per pattern."""


@register("reconstructor")
class ProbabilisticPCA(StatePeer):
    """A Gaussian of low rank from gappy fields; multivariate.

    Arguments:
        rank: Number of patterns, at most a fifth of how often a cell was seen.
        iterations: Of expectation-maximisation, at most.
        ridge: Strength of the prior that keeps cells which were seen a few times from being overfitted.
        samples: Training times that are used, evenly spread.

    Raises:
        ConfigurationError: fewer than one pattern or iteration.
    """

    method = "ppca"

    def __init__(self, rank: int = 20, iterations: int = 60, ridge: float = 1.0, samples: int = 600) -> None:
        super().__init__(None, "clouds:0.6")
        for name, value in (("rank", rank), ("iterations", iterations), ("samples", samples)):
            if not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"Found {name}={value!r}: expected a whole number, 1 or more.")
        self.rank, self.iterations, self.ridge, self.samples = rank, iterations, float(ridge), samples

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns from the training times; there is nothing to tune."""
        self.seed = seed
        train = np.asarray(data.train, dtype=int)
        self._learn_background(data, train)
        known = self._known(data.archive, spread_over(train, self.samples))
        known = known[:, self._domain]
        self._gaussian = GappyGaussian.fit(
            known, self._affordable(known), iterations=self.iterations, ridge=self.ridge, seed=seed
        )

    def _affordable(self, known: np.ndarray) -> int:
        """The rank, unless cells were seen too seldom to determine as many patterns."""
        sightings = float(np.isfinite(known).sum() / known.shape[1])
        most = int(sightings / SIGHTINGS)
        if most < 1:
            log.warning(
                "A cell was seen %.1f times on average: too few even for one pattern, expected %d or more. "
                "SpaceTimeOptimalInterpolation asks for less.",
                sightings,
                SIGHTINGS,
            )
        return max(1, min(self.rank, most))

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """Mean, standard deviation and draws from the posterior."""
        times = observations[self.background.targets[0]]["time"]
        values, noise = self._standardised(observations)
        exists, rows = self._domain, self._targets
        result = np.zeros((2 + members, len(values), *exists.shape), dtype=np.float32)
        for t, stamp in enumerate(time_stamps(times)):
            y, r = values[t][exists].astype(np.float64), noise[t][exists].astype(np.float64)
            mean, variance = self._gaussian.mean_and_variance(y, noise=r)
            result[0, t][exists], result[1, t][exists] = mean, np.sqrt(variance)
            for m in range(members):
                result[2 + m, t][exists] = self._gaussian.draw(y, member_generator(seed, m, stamp), noise=r)[0]
        return self._per_variable((result * self._sd)[:, :, :rows], times)

    def _remember(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        gaussian = self._gaussian
        arrays = {"sd": self._sd, "gaussian.mean": gaussian.mean, "gaussian.factor": gaussian.factor}
        return arrays, {"variance": gaussian.variance, "likelihood": list(gaussian.likelihood)}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self._sd = arrays["sd"]
        self._gaussian = GappyGaussian(
            arrays["gaussian.mean"], arrays["gaussian.factor"], float(extra["variance"]), tuple(extra["likelihood"])
        )
