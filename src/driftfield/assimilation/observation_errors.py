"""How far observations may be off: R of the rows of a table.

R = f² diag(r) C diag(r)          r the stated errors, f the inflation; C = 1, or what hangs together along a track
"""

__all__ = ["ObservationErrors"]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from driftfield.errors import ConfigurationError
from driftfield.linalg.covariance import Covariance, DiagonalCovariance, along_track
from driftfield.observations.table import ObservationTable
from driftfield.observations.tracks import tracks


@dataclass(frozen=True)
class ObservationErrors:
    """What is assumed of errors.

    Arguments:
        inflation: Factor on every standard deviation.
        default: Standard deviation of the errors that are not stated, one for all or per variable.
        correlation_km: Length over which the errors of one track or profile hang together; None if they do not.

    Raises:
        ConfigurationError: an inflation or a length that is not above 0.
    """

    inflation: float = 1.0
    default: Mapping[str, float] | float | None = None
    correlation_km: float | None = None

    def __post_init__(self) -> None:
        length = 1.0 if self.correlation_km is None else self.correlation_km
        for name, value in (("inflation", self.inflation), ("correlation_km", length)):
            if not 0 < value < np.inf:
                raise ConfigurationError(f"Found {name}={value:g}: expected a number above 0.")

    def std(self, table: ObservationTable) -> np.ndarray:
        """Standard deviations (n,), units of the rows."""
        return self.inflation * table.error

    def covariance(self, table: ObservationTable) -> Covariance:
        """R."""
        error = torch.from_numpy(self.std(table))
        if self.correlation_km is None:
            return DiagonalCovariance(error**2)
        track, along = (torch.from_numpy(part) for part in tracks(table))
        return along_track(error, track, along, length=self.correlation_km)
