"""DINEOF says what the original program says, and as a peer it keeps its promises."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from gaussian_ocean import TinyArchive, profiles, tiny_ocean

from driftfield.data.masks import reference_mask
from driftfield.data.sources import GriddedArchive, open_archive
from driftfield.data.transplant import hide, transplant_clouds
from driftfield.errors import ConfigurationError
from driftfield.gaussian.eof_error import EofError, amplitudes, fit_error_scale
from driftfield.gaussian.gappy_svd import DineofResult, diffusion_filter, dineof
from driftfield.gaussian.tuning import gaussian_crps
from driftfield.interfaces import TrainingData
from driftfield.peers.dineof import DINEOF, borrowed_points

# -- the original ------------------------------------------------------------------------------------------------------
#
# Ten days of AVHRR sea surface temperature of the Alboran Sea, as filled by the official program (settings: five modes,
# filter of strength 0.01 and three steps, tolerance 1e-3, seed 243435). Its cross-validation points are not listed in its
# output, but it draws them with Fortran's RANDOM_NUMBER, which is known.

ALBORAN = "sst/avhrr_alboran_L3_10days_clouds.nc"
CURVE = "known_answer/dineof_alboran"


def fortran_random(seed: int) -> Iterator[float]:
    """RANDOM_NUMBER of gfortran since version 9, every word of its state set to one seed: xoshiro256** (Blackman, Vigna)."""
    mask = (1 << 64) - 1
    keys = (0xBD0C5B6E50C2DF49, 0xD46061CD46E1DF38, 0xBB4F4D4ED6103544, 0x114A583D0756AD39)
    a, b, c, d = ((seed | seed << 32) ^ key for key in keys)

    def turn(x: int, bits: int) -> int:
        return (x << bits | x >> (64 - bits)) & mask

    while True:
        word = turn(b * 5 & mask, 7) * 9 & mask
        c, d = c ^ a, d ^ b
        a, b, c, d = a ^ d, b ^ c, c ^ (b << 17 & mask), turn(d, 45)
        yield (word >> 11) * 2.0**-53


def gher(path: Path) -> np.ndarray:
    """A vector of float64 from the big-endian Fortran records of the program's output."""
    content = path.read_bytes()
    position, records = 0, []
    while position < len(content):
        size = int.from_bytes(content[position : position + 4], "big")
        records.append(content[position + 4 : position + 4 + size])
        position += size + 8
    return np.frombuffer(records[-1], ">f8").astype(np.float64)


class Original:
    """The matrix of the original (space, time), its points, its answers; columns of the sea run south to north, from west."""

    def __init__(self, folder: Path) -> None:
        if not (folder / ALBORAN).exists() or not (folder / CURVE).is_dir():
            pytest.skip("the Alboran files are not there")
        with xr.open_dataset(folder / ALBORAN, decode_times=False) as data:
            self.sea = data["mask"].values.T == 1
            self.matrix = data["SST"].values.astype(np.float64).transpose(2, 1, 0)[self.sea]
            self.times = data["time"].values.astype(np.float64)
        self.curve = gher(folder / CURVE / "valc.dat")[1:-1]
        self.initial = gher(folder / CURVE / "CVpoints_initial.dat")
        self.estimate = gher(folder / CURVE / "CVpoints_best_estimate.dat")
        self.mean = float((folder / CURVE / "meandata.val").read_text())
        with xr.open_dataset(folder / CURVE / "DINEOF_diagnostics.nc", decode_cf=False) as data:
            self.explained = data["varEx"].values
        with xr.open_dataset(folder / CURVE / "eof.nc", decode_cf=False) as data:
            self.singular_values = data["Sigma"].values
            modes = data["Usst"].values.transpose(2, 1, 0)[self.sea]
            self.departure = (modes * self.singular_values) @ data["V"].values

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the cross-validation points, in the order in which they were drawn."""
        numbers, free, drawn = fortran_random(243435), np.isfinite(self.matrix), []
        while len(drawn) < self.initial.size:
            row, column = (int(next(numbers) * size) for size in self.matrix.shape)
            if free[row, column]:
                free[row, column] = False
                drawn.append((row, column))
        rows, columns = np.array(drawn).T
        return rows, columns

    def fill(self, **options: bool) -> DineofResult:
        held_out = np.zeros(self.matrix.shape, dtype=bool)
        held_out[self.points()] = True
        smooth = diffusion_filter(self.times, strength=0.01, iterations=3)
        return dineof(self.matrix, max_rank=5, held_out=held_out, time_filter=smooth, **options)


@pytest.fixture(scope="module")
def original(data_folder: Path) -> Original:
    return Original(data_folder)


@pytest.fixture(scope="module")
def as_original(original: Original) -> DineofResult:
    return original.fill(reuse_held_out=False)


def test_the_points_are_those_of_the_original(original: Original) -> None:
    mean = original.matrix[np.isfinite(original.matrix)].mean()
    np.testing.assert_allclose(original.matrix[original.points()] - mean, original.initial, atol=1e-12)


def test_mean_and_cross_validation_curve_are_those_of_the_original(
    original: Original, as_original: DineofResult
) -> None:
    assert as_original.mean == pytest.approx(original.mean, abs=0.005)
    np.testing.assert_allclose(as_original.cv_curve, original.curve, rtol=1e-8)
    assert as_original.rank == 3
    points = original.points()
    np.testing.assert_allclose(as_original.unaided[points] - as_original.mean, original.estimate, atol=1e-8)


def test_modes_and_field_are_those_of_the_original(original: Original, as_original: DineofResult) -> None:
    np.testing.assert_allclose(as_original.S, original.singular_values, rtol=5e-3)
    np.testing.assert_allclose(as_original.explained, original.explained, rtol=5e-3)
    error = as_original.truncated - as_original.mean - original.departure
    missing = ~np.isfinite(original.matrix)
    assert np.sqrt(np.mean(error[missing] ** 2)) < 0.005
    assert np.sqrt(np.mean(error**2)) < 0.005


def test_with_all_data_the_modes_differ_by_less_than_a_percent(original: Original) -> None:
    result = original.fill()
    assert result.rank == 3
    np.testing.assert_allclose(result.S, original.singular_values, rtol=0.01)
    np.testing.assert_allclose(result.explained, original.explained, rtol=0.02)
    np.testing.assert_array_equal(
        result.filled[np.isfinite(original.matrix)], original.matrix[np.isfinite(original.matrix)]
    )


# -- one field ---------------------------------------------------------------------------------------------------------


# -- the error ---------------------------------------------------------------------------------------------------------


def test_amplitudes_are_the_exact_posterior() -> None:
    rng = np.random.default_rng(1)
    loadings, values, noise = rng.standard_normal((30, 4)), rng.standard_normal(30), rng.uniform(0.1, 2.0, 30)
    mean, covariance = amplitudes(loadings, values, noise)
    prior = loadings @ loadings.T + np.diag(noise)
    gain = loadings.T @ np.linalg.inv(prior)
    np.testing.assert_allclose(mean, gain @ values)
    np.testing.assert_allclose(covariance, np.eye(4) - gain @ loadings, atol=1e-12)


def gaussian_model(seed: int = 2) -> tuple[np.ndarray, EofError]:
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((200, 3)))[0] * [9.0, 6.0, 4.0]
    matrix = basis @ rng.standard_normal((3, 80)) + 0.3 * rng.standard_normal((200, 80))
    return matrix, EofError.of(matrix, np.ones_like(matrix, dtype=bool), 3)


def test_members_have_the_variance_of_the_model() -> None:
    matrix, model = gaussian_model()
    seen = np.arange(200) % 40 == 0
    _, covariance = model.posterior(seen, matrix[:, 0])
    rng = np.random.default_rng(3)
    draws = np.stack([model.draw(covariance, rng) for _ in range(4000)])
    np.testing.assert_allclose(draws.mean(axis=0), 0.0, atol=0.06)
    np.testing.assert_allclose(draws.std(axis=0), np.sqrt(model.variance(covariance)), rtol=0.08)


def test_independent_noise_needs_no_inflation() -> None:
    matrix, model = gaussian_model()
    held_out = np.zeros(matrix.shape, dtype=bool)
    held_out[::2, -20:] = True
    everything = np.ones_like(held_out)
    inflation, scale = fit_error_scale(model, matrix, everything, held_out, None)
    assert inflation < 4
    assert 0.7 < scale < 1.5
    assert fit_error_scale(model, matrix, everything, np.zeros_like(held_out), None) == (1.0, 1.0)


def test_borrowed_points_hide_the_best_covered_times_as_the_observed_are_hidden() -> None:
    seen = np.ones((50, 20), dtype=bool)
    seen[:10, 3] = False
    seen[20:45, 18], seen[10:40, 19] = False, False
    held_out = borrowed_points(seen, np.array([18, 19]), np.random.default_rng(0))
    assert not (held_out & ~seen).any()
    assert sorted(np.flatnonzero(held_out.any(axis=0))) == [16, 17]
    lent = {tuple(held_out[:, t]) for t in (16, 17)}
    assert lent == {tuple(~seen[:, 18]), tuple(~seen[:, 19])}
    complete = np.ones((50, 20), dtype=bool)
    assert not borrowed_points(complete, np.array([19]), np.random.default_rng(0)).any()


# -- the peer ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(training: TrainingData) -> DINEOF:
    peer = DINEOF(max_rank=10, filter_strengths=[0.0])
    peer.fit(training)
    return peer


def test_observed_cells_keep_their_value_and_their_error(fitted: DINEOF, test_ocean: TinyArchive) -> None:
    observations = profiles(test_ocean)
    seen = observations["thetao"].notnull()
    output = fitted.reconstruct(observations, members=3)
    for member in output["thetao_member"]:
        np.testing.assert_allclose(member.values[seen], observations["thetao"].values[seen], atol=1e-4)
    np.testing.assert_allclose(output["thetao_sd"].values[seen], 0.0, atol=1e-6)
    hidden = observations["thetao"].isnull() & test_ocean.domain("thetao")
    assert (output["thetao_sd"].values[hidden.transpose(*output["thetao"].dims)] > 0).all()
    doubtful = observations.assign(thetao_error=xr.where(seen, 0.25, np.nan))
    np.testing.assert_allclose(fitted.reconstruct(doubtful, members=1)["thetao_sd"].values[seen], 0.25, rtol=1e-4)


@pytest.mark.parametrize("mean", ["filled", "posterior"])
def test_it_beats_climatology_and_knows_its_error(training: TrainingData, test_ocean: TinyArchive, mean: str) -> None:
    peer = DINEOF(max_rank=10, mean=mean, filter_strengths=[0.0])
    peer.fit(training)
    observations = profiles(test_ocean, times=12)
    output = peer.reconstruct(observations, members=40)
    hidden = observations["thetao"].isnull()
    error = (output["thetao"] - test_ocean.dataset["thetao"]).where(hidden)
    anomaly = test_ocean.dataset["thetao"] - peer.background.mean("thetao", observations["time"])
    assert float((error**2).mean()) < 0.7 * float((anomaly.where(hidden) ** 2).mean())
    assert 0.6 < float(np.sqrt((output["thetao_sd"].where(hidden) ** 2).mean() / (error**2).mean())) < 1.6
    ratio = (output["thetao_member"].std("member", ddof=1) / output["thetao_sd"]).where(hidden)
    assert abs(float(ratio.mean()) - 1) < 0.1


def test_a_gappy_archive_of_the_same_days_is_enough() -> None:
    world = tiny_ocean(6, 20)
    sst = world.dataset["sst"]
    rng = np.random.default_rng(1)
    gappy = sst.where(rng.random(sst.shape) > 0.5).to_dataset()
    archive = TinyArchive(gappy, world.domains)
    peer = DINEOF(anomaly="mean", max_rank=8)
    peer.fit(TrainingData(archive, np.arange(20), np.arange(0), ("sst",)))
    observations = gappy.assign(domain=world.domain("sst"))
    output = peer.reconstruct(observations, members=2)
    hidden = gappy["sst"].isnull()
    error = float(((output["sst"] - sst).where(hidden) ** 2).mean())
    assert error < 0.6 * float(sst.where(hidden).var())


def test_where_the_archive_says_nothing_the_spread_is_that_of_the_variable(
    fitted: DINEOF, test_ocean: TinyArchive
) -> None:
    observations = profiles(test_ocean)
    observations["domain"] = observations["domain"] | True
    output = fitted.reconstruct(observations, members=4)
    beyond = ~test_ocean.domain("thetao").values
    assert np.isfinite(output["thetao_member"].values).all()
    assert (output["thetao_sd"].values[:, beyond] > 0.3).all()


def test_options_are_checked(training: TrainingData) -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown anomaly 'seasons': .*Did you mean 'season'"):
        DINEOF(anomaly="seasons")
    with pytest.raises(ConfigurationError, match="expected 1 or more of both"):
        DINEOF(max_rank=0)
    with pytest.raises(ConfigurationError, match=r"filter_strengths=.*expected one or more from 0 to 0\.5"):
        DINEOF(filter_strengths=[0.0, 0.7])


# -- real data ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_alboran_under_transplanted_clouds(data_folder: Path) -> None:
    """38,845 cells under the clouds of other days; space-time optimal interpolation has .285 degC, ours .46."""
    if not (data_folder / ALBORAN).exists():
        pytest.skip(f"{ALBORAN} is not there")
    sst = open_archive(data_folder / ALBORAN, ["SST"]).dataset["SST"].load()
    with xr.open_dataset(data_folder / ALBORAN) as raw:
        sea = raw["mask"].values == 1
    domain = xr.DataArray(sea, dims=("lat", "lon"), coords={"lat": sst["lat"], "lon": sst["lon"]})
    held_out = transplant_clouds(sst, domain=domain)
    seen = hide(sst, held_out).to_dataset(name="SST")
    peer = DINEOF()
    peer.fit(TrainingData(GriddedArchive(seen, {"SST": domain}, False), np.arange(10), np.arange(0), ("SST",)))
    estimate = peer.estimate(seen.assign(domain=domain), members=0, seed=0)["SST"]
    mean, sd = estimate.mean, estimate.sd
    assert mean is not None
    assert sd is not None
    error = (mean - sst.values)[held_out.values]
    assert np.sqrt(np.mean(error**2)) < 0.48
    assert gaussian_crps(error, sd[held_out.values]).mean() < 0.27


@pytest.mark.slow
def test_ersst_under_clouds(data_folder: Path) -> None:
    """Twelve months of ERSSTv5 with 75 % under clouds: climatology .52, a quick tuned optimal interpolation .491 degC."""
    file = data_folder / "sst/ersstv5_monthly_2010-2020_2deg.nc"
    if not file.exists():
        pytest.skip("ERSSTv5 is not there")
    archive = open_archive(file, ["sst"])
    peer = DINEOF(filter_strengths=[0.3])
    peer.fit(TrainingData(archive, np.arange(104), np.arange(104, 116), ("sst",)))
    domain = archive.domain("sst")
    truth = archive.dataset["sst"].isel(time=np.arange(116, 128))
    seen = np.stack([reference_mask("clouds", 0.75, t, domain.values[::-1])[::-1] for t in range(116, 128)])
    estimate = peer.estimate(truth.where(seen).to_dataset().assign(domain=domain), members=0, seed=0)["sst"]
    mean, sd = estimate.mean, estimate.sd
    assert mean is not None
    assert sd is not None
    hidden = domain.values & ~seen
    error = (mean - truth.values)[hidden]
    assert np.sqrt(np.mean(error**2)) < 0.42
    assert gaussian_crps(error, sd[hidden]).mean() < 0.21
