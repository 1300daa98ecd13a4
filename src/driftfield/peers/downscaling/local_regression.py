"""Ridge regression of the cells of a block on the coarse neighbourhood, the same in every place: for grids of any size.

T(x_block) = b + W T(neighbours of y)          minimise over all blocks of all dates, penalty |W|^2
"""

__all__ = ["LocalRegression"]

from collections.abc import Mapping

import numpy as np

from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import Cannot
from driftfield.linalg.regridding import Regridding
from driftfield.peers.downscaling.base import Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.blocks import CoarseBlocks, neighbours
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.peers.downscaling.transform import Transform, check_transforms, transform_of
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register


@register("downscaler")
class LocalRegression(Downscaler):
    """Block by block; deterministic. Needs a whole factor.

    Arguments:
        reach: Coarse cells to every side that are looked at.
        penalty: Of the squared weights.
        transform: {variable: none | square_root | log}.
    """

    method = "local regression"
    follows_shifts = Cannot("multiplies a shift by its regression")

    def __init__(self, reach: int = 2, penalty: float = 1.0, transform: Mapping[str, str] | None = None) -> None:
        if reach < 0 or penalty < 0:
            raise ConfigurationError(f"Found reach {reach} and penalty {penalty}: expected 0 or more.")
        self.reach, self.penalty, self.transform = reach, penalty, check_transforms(transform)

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """Weights (neighbour, cell) and their centres."""
        blocks = CoarseBlocks.of(regridding, type(self).__name__)
        transform = transform_of(self.transform, samples.name, samples.fine)
        y = blocks.split(transform(samples.fine)).reshape(-1, blocks.rows * blocks.columns)
        x = neighbours(transform(samples.coarse), self.reach).reshape(len(y), -1)
        known = np.isfinite(y).all(axis=1)
        if not known.any():
            raise DataError(
                f"No block of {samples.name!r} is known as a whole: LocalRegression has nothing to learn from."
            )
        x, y = x[known], y[known]
        middle, centre = x.mean(axis=0), y.mean(axis=0)
        x = x - middle
        normal = x.T @ x + (self.penalty + 1e-9 * np.square(x).sum() / x.shape[1]) * np.eye(x.shape[1])
        return {
            "middle": middle,
            "centre": centre,
            "weights": np.linalg.solve(normal, x.T @ (y - centre)),
            "scale": np.array([transform.scale]),
        }

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The regression in every block."""
        transform = Transform(self.transform.get(date.name, "none"), float(fitted["scale"][0]))
        around = neighbours(transform(date.coarse), self.reach)
        cells = fitted["centre"] + (around - fitted["middle"]) @ fitted["weights"]
        return Estimate(CoarseBlocks.of(regridding, type(self).__name__).join(transform.inverse(cells)))
