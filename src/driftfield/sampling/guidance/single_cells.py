"""Observations of single cells as fields: what replacement needs."""

__all__ = ["single_cells"]

import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.linalg.composition import Preceded
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import Observed, SparseOperator


def single_cells(observed: Observed, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values, where, and errors of observations of single cells, each of the shape of `eps`; copies are averaged by precision."""
    operator, batch = observed.operator, len(eps)
    if isinstance(operator, Preceded):
        raise ConfigurationError(
            "Replacement sets single cells, and the noise of this run has a colour, in whose waves there are none. Use another "
            "method, such as mmps."
        )
    if not isinstance(operator, SparseOperator) or operator.weights.numel() != operator.size:
        raise ConfigurationError(
            "Replacement knows observations of single cells, and some of these lie between cells, are means, or functions of "
            "several variables. Use another method, such as mmps, or put points on the grid with `driftfield gather`."
        )
    # as many weights as observations, sorted by observation: one each
    weights, cells = operator.weights, operator.columns
    if not isinstance(observed.covariance, DiagonalCovariance):
        raise ConfigurationError(
            "Replacement takes errors as independent, and these hang together. Use another method, such as mmps."
        )
    precision = weights**2 / observed.covariance.variances.double()
    size = eps[0].numel()
    total = torch.zeros(size, dtype=torch.float64).index_add_(0, cells, precision)
    y = torch.zeros(size, dtype=torch.float64).index_add_(0, cells, precision * observed.y.double() / weights)
    seen = total > 0
    total = torch.where(seen, total, 1)
    parts = (y / total, seen, torch.where(seen, total**-0.5, 0))
    value, where, error = (part.view(1, *eps.shape[1:]).expand(batch, *eps.shape[1:]) for part in parts)
    return value.to(eps), where.to(eps.device), error.to(eps)
