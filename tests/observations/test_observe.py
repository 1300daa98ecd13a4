"""A temperature in degC constrains a normalised field: with the codec, across dates, months, windows and first guesses."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.codec import FieldCodec
from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.fields import Channel
from driftfield.interfaces import Observation, TrainingData
from driftfield.linalg.composition import in_network_units
from driftfield.linalg.covariance import Covariance, DenseCovariance, DiagonalCovariance, along_track
from driftfield.linalg.operators import Observed
from driftfield.linalg.solvers import ConjugateGradients
from driftfield.observations.grid import ObservedPlaces, StateGrid
from driftfield.observations.observe import network_scale, observe, state_grid
from driftfield.observations.stencils import points
from driftfield.observations.table import ObservationTable
from driftfield.observations.tracks import tracks
from driftfield.sampling.guidance.mmps import MMPSDenoiser
from driftfield.testing import tiny_ocean, tiny_training_data


@pytest.fixture(scope="module")
def codec() -> FieldCodec:
    data: TrainingData = tiny_training_data()
    archive = data.archive
    return FieldCodec.fit(archive, data.train, ["thetao", "sst"], [], {"class": "ClimatologicalAnomaly"})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return tiny_ocean()


def network_field(codec: FieldCodec, truth: xr.Dataset, times: slice) -> torch.Tensor:
    """(1, channel, lat, lon): the encoded truth, one date behind the other; 0 on land."""
    part = truth.isel(time=times)
    rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
    stacked = []
    for time in range(part.sizes["time"]):
        for name in codec.targets:
            values = part[name].isel(time=[time]).values
            values = values if values.ndim == 4 else values[:, None]
            stacked.append(codec.encode(name, values, part["time"].values[[time]], rows, columns)[0])
    return torch.from_numpy(np.nan_to_num(np.concatenate(stacked)))[None]


def seen_cells(truth: xr.Dataset, time: int, n: int = 40) -> ObservationTable:
    """Exact values of random cells of thetao and sst, at the centres of the cells."""
    rng = np.random.default_rng(0)
    parts = []
    for name in ("thetao", "sst"):
        array = truth[name].isel(time=time)
        flat = array.stack(cell=array.dims)
        flat = flat[np.isfinite(flat.values)]
        flat = flat[rng.permutation(flat.size)[:n]]
        parts.append(
            ObservationTable.of(
                longitude=flat["lon"].values,
                latitude=flat["lat"].values,
                depth=flat["depth"].values if "depth" in array.dims else np.nan,
                time=truth["time"].values[time],
                variable=name,
                value=flat.values,
                error=0.2 if name == "sst" else 0.1,
            )
        )
    return ObservationTable.join(parts)


def diagonal(used: ObservationTable) -> Covariance:
    return DiagonalCovariance(torch.from_numpy(used.error**2))


def test_degrees_constrain_a_normalised_field(codec: FieldCodec, truth: xr.Dataset) -> None:
    table = seen_cells(truth, 7)
    times = truth["time"][[7]]
    observed, used, account = observe(codec, table, times, diagonal)
    assert isinstance(observed, Observation)
    assert account.total.kept == len(used) == len(table) == observed.y.numel() == observed.covariance.size
    assert observed.linear
    x = network_field(codec, truth, slice(7, 8))
    # the truth is seen as it was observed, in degC, to the rounding of a 32 bit field
    np.testing.assert_allclose((observed.y - observed.apply(x)[0]).numpy(), 0, atol=1e-4)
    # one unit of the network at one cell is one standard deviation in degC
    scale, offset = network_scale(codec, times)
    physical = offset + scale * x[0]
    values = torch.where(torch.from_numpy(state_grid(codec, times).domain), physical, torch.nan)
    expected = np.concatenate([truth["thetao"].values[7], truth["sst"].values[7][None]])
    np.testing.assert_allclose(values.numpy(), expected, atol=1e-4)
    moved = observed.apply(x + 1.0)[0] - observed.apply(x)[0]
    stds = {name: float(codec.normalizers[name].std.ravel()[0]) for name in codec.targets}
    assert moved.numpy()[used.variable == "sst"] == pytest.approx(stds["sst"], rel=1e-4)


def test_a_first_guess_and_a_window(codec: FieldCodec, truth: xr.Dataset) -> None:
    times = truth["time"][[7]]
    rng = np.random.default_rng(0)
    shape = state_grid(codec, times).shape
    guess = rng.normal(size=shape), np.exp(rng.normal(size=shape))
    table = seen_cells(truth, 7)
    x = network_field(codec, truth, slice(7, 8))
    observed, _, _ = observe(codec, table, times, diagonal, guess=guess)
    residual = ((x - torch.from_numpy(guess[0])) / torch.from_numpy(guess[1])).float()
    np.testing.assert_allclose((observed.y - observed.apply(residual)[0]).numpy(), 0, atol=1e-4)
    rows, columns = np.arange(2, 7), np.arange(3, 10)
    window, used, account = observe(codec, table, times, diagonal, rows=rows, columns=columns)
    assert 0 < len(used) < len(table)
    assert account.total.dropped == {"outside the grid": len(table) - len(used)}
    part = x[:, :, 2:7, 3:10]
    np.testing.assert_allclose((window.y - window.apply(part)[0]).numpy(), 0, atol=1e-4)


def test_a_trajectory_is_seen_between_its_dates(codec: FieldCodec, truth: xr.Dataset) -> None:
    times = truth["time"][[7, 8]]
    table = seen_cells(truth, 7)
    half = (times.values[1] - times.values[0]) / 2
    later = dataclasses.replace(table, time=(table.time + half).astype("datetime64[us]"))
    observed, used, _ = observe(codec, later, times, diagonal)
    x = network_field(codec, truth, slice(7, 9))
    assert x.shape[1] == 2 * 3
    assert len(used) == len(table)
    both = [seen_cells(truth.isel(time=[7, 8]), k).value for k in (0, 1)]
    middle = observed.apply(x)[0] - observed.y
    np.testing.assert_allclose(middle.numpy(), 0.5 * (both[0] + both[1]) - table.value, atol=1e-3)


def test_errors_hang_together_along_a_track() -> None:
    """A pass that goes north at one degree a row, and a profile; the rows mixed."""
    start = np.datetime64("2020-01-01", "us")
    rows = ObservationTable.of(
        longitude=[0.0, 0.0, 30.0, 0.0, 30.0],
        latitude=[2.0, 0.0, 10.0, 1.0, 10.0],
        depth=[np.nan, np.nan, 100.0, np.nan, 10.0],
        time=start + np.array([2, 0, 5, 1, 5]).astype("timedelta64[s]"),
        variable=["zos", "zos", "thetao", "zos", "thetao"],
        value=0.0,
        error=[0.1, 0.2, 0.3, 0.4, 0.5],
        platform=["jason", "jason", "float", "jason", "float"],
    )
    number, along = tracks(rows)
    assert number[0] == number[1] == number[3] != number[2] == number[4]
    degree = np.radians(1.0) * 6371.0
    np.testing.assert_allclose(along[[0, 3]] - along[1], [2 * degree, degree], rtol=1e-9)
    assert along[2] - along[4] == pytest.approx(9.0)
    covariance = along_track(
        *(torch.from_numpy(np.asarray(part)) for part in (rows.error, number, along)), length=100.0, share=0.5
    )
    matrix = covariance.dense().numpy()
    np.testing.assert_allclose(matrix.diagonal(), rows.error**2)
    assert matrix[0, 3] == pytest.approx(0.5 * 0.1 * 0.4 * np.exp(-degree / 100), rel=1e-6)
    assert matrix[0, 2] == 0


def test_points_in_degrees_give_the_exact_posterior_of_a_normalised_field() -> None:
    """Guided by points between cells, with errors along a track, in degC: the answer of linear algebra in degC."""
    side, n = 12, 40
    grid = StateGrid(
        np.arange(float(side)), np.arange(float(side)), (Channel("thetao"),), np.ones((1, side, side), bool)
    )
    rng = np.random.default_rng(0)
    places = ObservedPlaces.of("thetao", rng.uniform(0, side - 1, n), rng.uniform(0, side - 1, n))
    operator = points(grid, places).operator()
    track, along = torch.from_numpy(rng.integers(0, 4, n)), torch.from_numpy(rng.uniform(0, 5, n))
    errors = along_track(torch.full((n,), 0.4, dtype=torch.float64), track, along, length=2.0, share=0.6)
    row, column = np.divmod(np.arange(side**2), side)
    distance = np.hypot(row[:, None] - row, column[:, None] - column)
    prior = torch.from_numpy(np.exp(-0.5 * (distance / 3.0) ** 2) + 1e-6 * np.eye(side**2))
    scale, offset = (
        torch.tensor([2.0, 0.5]).double().repeat(side**2 // 2).view(1, side, side),
        torch.tensor(285.0).double(),
    )
    y = torch.from_numpy(285.0 + rng.normal(size=n))
    observation = in_network_units(Observed(operator, y, errors), scale, offset)

    schedule = LogLinearSchedule()
    t = torch.tensor([0.4, 0.7], dtype=torch.float64)
    x_t = torch.randn(2, 1, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    denoiser = GaussianDenoiser(schedule, torch.tensor(0.0).double(), DenseCovariance(prior))
    found = MMPSDenoiser(denoiser, observation, solver=ConjugateGradients(n))(x_t, t)

    alpha, sigma = schedule.alpha_sigma(t)
    matrix = operator.adjoint(torch.eye(n, dtype=torch.float64)).view(n, -1)
    std = scale.reshape(-1)
    for i in range(2):
        # in physical units: prior N(offset, S C S), seen as z = offset + S x_t / alpha with S s, and as y with R
        physical, s2 = std[:, None] * prior * std, float(sigma[i] / alpha[i]) ** 2
        seen = torch.cat([torch.eye(side**2, dtype=torch.float64), matrix])  # the field itself, and H of it
        noise = torch.block_diag(s2 * torch.diag(std**2), errors.dense())
        given = torch.cat([std * x_t[i].flatten() / alpha[i], y - 285.0])
        gain = physical @ seen.mT @ torch.linalg.inv(seen @ physical @ seen.mT + noise)
        torch.testing.assert_close(found[i].flatten(), gain @ given / std, rtol=1e-6, atol=1e-6)
