"""Observations as a prior in network units sees them.

    y = H(mean + std x) + e        physical value = mean + std x,        with a first guess: mean + std (g + d x)

so that a temperature in degC constrains a normalised anomaly. Of a linear H the constant part is taken off the values.
"""

__all__ = ["folded", "network_scale", "observe", "state_grid"]

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from driftfield.data.codec import FieldCodec
from driftfield.data.transformed import Transformed
from driftfield.errors import ConfigurationError
from driftfield.fields import Channel
from driftfield.gridded.encodings import as_dates, time_days
from driftfield.interfaces import ErrorCovariance
from driftfield.linalg.composition import in_network_units
from driftfield.linalg.operators import Observed, Operator, SparseOperator
from driftfield.observations.checks import Account, check
from driftfield.observations.derived import Place
from driftfield.observations.grid import StateGrid
from driftfield.observations.stated import as_stated
from driftfield.observations.table import ObservationTable

Index = slice | np.ndarray


def state_grid(
    codec: FieldCodec,
    times: Any,
    rows: Index = slice(None),
    columns: Index = slice(None),
    *,
    periodic: bool | None = None,
) -> StateGrid:
    """The grid of the targets of a run on one or more dates; channels are (date, variable, level).

    Arguments:
        codec: Of the run.
        times: Dates (time,), ascending; several of them make a trajectory, whose channels lie one date behind the other.
        rows, columns: Part of the run's grid.
        periodic: Whether longitude wraps; by default as on the run's grid, if all columns are taken.
    """
    dates = as_dates(times)
    channels, domain = [], []
    for offset in range(dates.size):
        for name in codec.targets:
            channels += [Channel(name, level, offset) for level in codec.grid.levels[name]]
            domain.append(codec.domains[name][:, rows][:, :, columns])
    lat, lon = codec.grid.lat[rows], codec.grid.lon[columns]
    places = None if codec.grid.positions is None else codec.grid.positions.part(rows, columns)
    return StateGrid(
        lat=lat,
        lon=_ascending(lon) if places is None else np.arange(lon.size, dtype=np.float64),
        channels=tuple(channels),
        domain=np.concatenate(domain),
        periodic=(codec.grid.periodic and lon.size == codec.grid.lon.size) if periodic is None else periodic,
        days=dict(enumerate(time_days(dates).tolist())),
        step_days=codec.step_days,
        positions=places,
    )


def network_scale(
    codec: FieldCodec,
    times: Any,
    rows: Index = slice(None),
    columns: Index = slice(None),
    *,
    guess: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[Tensor, Tensor]:
    """Scale and offset (channel, lat, lon), float64: a physical field is offset + scale x.

    Arguments:
        codec: Of the run.
        times: Dates, as of `state_grid`.
        rows, columns: Part of the run's grid.
        guess: First guess and its scale in network units (channel, lat, lon), where a model draws the residual.

    Raises:
        ConfigurationError: a variable whose coding is not affine, such as a logarithm.
    """
    scale, offset = [], []
    for date in as_dates(times).values:
        for name in codec.targets:
            normalizer = codec.normalizers[name]
            if isinstance(normalizer, Transformed):
                raise ConfigurationError(
                    f"{name!r} is normalised by its {normalizer.word}, which guidance by observations of its field does not "
                    "know: expected ZScore, Standard, Bounded or ClimatologicalAnomaly. Train a run with one, or reconstruct."
                )
            mean = np.asarray(normalizer.mean_at(np.array([date]), rows, columns)[0], dtype=np.float64)
            offset.append(mean)
            here = normalizer.scale_at(np.array([date]), rows, columns).astype(np.float64)
            scale.append(np.broadcast_to(here[0] if here.ndim == 4 else here, mean.shape))
    std, base = torch.from_numpy(np.concatenate(scale)), torch.from_numpy(np.concatenate(offset))
    if guess is None:
        return std, base
    g, d = (torch.from_numpy(np.asarray(part, dtype=np.float64)) for part in guess)
    return std * d, base + std * g


def observe(
    codec: FieldCodec,
    table: ObservationTable,
    times: Any,
    covariance: Callable[[ObservationTable], ErrorCovariance],
    *,
    rows: Index = slice(None),
    columns: Index = slice(None),
    guess: tuple[np.ndarray, np.ndarray] | None = None,
    place: Place = as_stated,
    default_error: Mapping[str, float] | float | None = None,
    units: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Observed, ObservationTable, Account]:
    """From a table to an observation of the network's field.

    Arguments:
        codec: Of the run.
        table: The observations; those that cannot be used are dropped and counted.
        times: Dates of the state (time,); whole months, where the run knows months.
        covariance: Makes R of the rows that are used, such as `lambda used: DiagonalCovariance(tensor(used.error**2))`.
        rows, columns: Part of the run's grid.
        guess: As for `network_scale`.
        place: As for `checks.check`.
        default_error: Standard deviation of errors that are not stated.
        units: Units of the run's variables, where they are known.
        dtype: Of the values.

    Returns:
        The observation, the rows that are used, and the account of all.
    """
    grid, dates = state_grid(codec, times, rows, columns), as_dates(times)
    used, operator, account = check(
        table, grid, dates, monthly=codec.grid.monthly, place=place, default_error=default_error, units=units
    )
    physical = Observed(operator, torch.from_numpy(used.value), covariance(used))
    scale, offset = network_scale(codec, times, rows, columns, guess=guess)
    return folded(physical, operator, scale, offset, dtype=dtype), used, account


def folded(
    physical: Observed, operator: Operator, scale: Tensor, offset: Tensor, *, dtype: torch.dtype = torch.float32
) -> Observed:
    """An observation of a physical field as one of the network's: `in_network_units` with the scale inside the weights.

    Arguments:
        physical: y, H and R.
        operator: Its H.
        scale, offset: See `network_scale`.
        dtype: Of the values.
    """
    network = in_network_units(physical, scale, offset)
    # one sparse matrix in place of a product with the scale and then a matrix
    made = operator.scaled(by_cell=scale.numpy()) if isinstance(operator, SparseOperator) else network.operator
    return Observed(made, network.y.to(dtype), network.covariance)


def _ascending(lon: np.ndarray) -> np.ndarray:
    """Longitudes of neighbouring columns, also where they cross the end of the grid."""
    if lon.size < 2 or (np.diff(lon) > 0).all():
        return lon
    return lon[0] + (lon - lon[0]) % 360.0
