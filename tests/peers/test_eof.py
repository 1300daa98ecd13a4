"""Modes and a local residual: the two steps together are the posterior of one Gaussian."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from gaussian_ocean import TinyArchive, profiles, tiny_ocean
from test_covariance import dense, hybrid

from driftfield.data.masks import reference_mask
from driftfield.data.sources import open_archive
from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.conditioning import SeenCells
from driftfield.gaussian.eof_prior import EofPrior
from driftfield.gaussian.modes import Modes, filled
from driftfield.gaussian.tuning import gaussian_crps
from driftfield.interfaces import TrainingData
from driftfield.peers.eof import EOFOptimalInterpolation

ROWS, EVERYWHERE = np.arange(3), np.ones(40, dtype=bool)


def prior(trust: float = 1.0) -> EofPrior:
    rng = np.random.default_rng(0)
    modes = Modes(rng.standard_normal((4, 3, 40)).astype(np.float32), np.array([3.0, 1.0, 0.5, 0.1]))
    scale = rng.uniform(0.3, 0.8, (3, 40)).astype(np.float32)
    return EofPrior(modes, scale, hybrid(np.float64, weight=0.0), trust)


def matrix(p: EofPrior) -> np.ndarray:
    """Covariance of the whole state (row * cell), entry by entry from its definition."""
    e, q = p.modes.patterns.reshape(4, -1).astype(float), p.scale.ravel().astype(float)
    return e.T @ np.diag(p.modes.variances) @ e + q[:, None] * dense(p.residual) * q


def observations(noise: float, count: int = 25) -> tuple[SeenCells, np.ndarray]:
    rng = np.random.default_rng(7)
    state = np.sort(rng.choice(120, count, replace=False))
    return SeenCells(*np.divmod(state, 40), rng.standard_normal(count), np.full(count, noise)), state


def posterior(noise: float) -> tuple[np.ndarray, np.ndarray]:
    whole, (seen, state) = matrix(prior()), observations(noise)
    gain = np.linalg.solve(whole[np.ix_(state, state)] + noise * np.eye(len(state)), whole[state]).T
    return gain @ seen.values, whole - gain @ whole[state]


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_mean_and_variance_are_those_of_the_dense_gaussian(noise: float) -> None:
    mean, variance, _ = prior().condition(observations(noise)[0], rows=ROWS, wanted=EVERYWHERE)
    expected, covariance = posterior(noise)
    np.testing.assert_allclose(mean.ravel(), expected, atol=2e-4)
    np.testing.assert_allclose(variance.ravel(), np.diag(covariance), atol=2e-4)
    np.testing.assert_allclose(prior().sd.ravel() ** 2, np.diag(matrix(prior())), rtol=1e-5)


def test_members_have_the_posterior_covariance() -> None:
    generators = tuple(np.random.default_rng(seed) for seed in range(6000))
    seen = observations(0.2)[0]
    _, _, members = prior().condition(seen, rows=ROWS, wanted=EVERYWHERE, generators=generators)
    expected, covariance = posterior(0.2)
    flat = members.reshape(6000, -1).astype(float)
    np.testing.assert_allclose(flat.mean(axis=0), expected, atol=0.06)
    np.testing.assert_allclose(np.cov(flat.T), covariance, atol=0.1)


def test_perfect_observations_are_honoured_however_little_is_believed() -> None:
    seen, state = observations(0.0)
    mean, variance, _ = prior(trust=0.1).condition(seen, rows=ROWS, wanted=EVERYWHERE)
    np.testing.assert_allclose(mean.ravel()[state], seen.values, atol=1e-4)
    np.testing.assert_allclose(variance.ravel()[state], 0.0, atol=1e-4)


def test_nothing_seen_leaves_the_prior() -> None:
    nothing = SeenCells(*(np.zeros(0, dtype=int),) * 2, *(np.zeros(0),) * 2)
    mean, variance, _ = prior().condition(nothing, rows=ROWS, wanted=EVERYWHERE)
    assert not mean.any()
    np.testing.assert_allclose(variance.ravel(), np.diag(matrix(prior())), rtol=1e-4)


def test_blocks_and_tiles_are_nearly_enough() -> None:
    mean, variance, _ = prior().condition(observations(0.2)[0], rows=ROWS, wanted=EVERYWHERE, most=13)
    expected, covariance = posterior(0.2)
    assert np.sqrt(np.mean((mean.ravel() - expected) ** 2)) < 0.35 * expected.std()
    assert 0.7 < np.mean(variance.ravel()) / np.mean(np.diag(covariance)) < 1.4


def low_rank(times: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((times, 3)) * [3.0, 2.0, 1.0]
    return (scores @ rng.standard_normal((3, 60))).reshape(times, 2, 30), rng.uniform(0.2, 1.0, (2, 30))


def test_modes_of_a_low_rank_archive_are_all_of_it() -> None:
    fields, area = low_rank()
    modes = Modes.fit(fields, area, 10)
    assert len(modes) == 3
    np.testing.assert_allclose(modes.sum(modes.project(fields, area)), fields, atol=1e-4)
    weighted = (modes.patterns * np.sqrt(area)).reshape(3, -1)
    np.testing.assert_allclose(weighted @ weighted.T, np.eye(3), atol=1e-5)
    total = (np.square(fields) * area).sum() / (len(fields) - 1)
    np.testing.assert_allclose(modes.variances.sum(), total, rtol=1e-5)


def test_gaps_of_a_low_rank_archive_are_found_again() -> None:
    fields, area = low_rank(times=80)
    known = np.where(np.random.default_rng(1).random(fields.shape) < 0.6, fields, np.nan)
    found = filled(known, area, 3, rounds=200, tolerance=1e-5)
    seen = np.isfinite(known)
    np.testing.assert_allclose(found[seen], fields[seen], rtol=1e-5)
    assert np.sqrt(np.mean((found - fields)[~seen] ** 2)) < 0.02 * fields.std()


@pytest.fixture(scope="module")
def fitted(training: TrainingData) -> EOFOptimalInterpolation:
    peer = EOFOptimalInterpolation()
    peer.fit(training)
    return peer


def error(peer: EOFOptimalInterpolation, ocean: TinyArchive, *, sst: bool = True) -> float:
    given = profiles(ocean, times=12, sst=sst)
    found = peer.reconstruct(given, members=1)["thetao"]
    return float(np.sqrt((((found - ocean.dataset["thetao"]).where(given["thetao"].isnull())) ** 2).mean()))


def test_the_surface_improves_the_interior(fitted: EOFOptimalInterpolation, test_ocean: TinyArchive) -> None:
    assert error(fitted, test_ocean) < 0.8 * error(fitted, test_ocean, sst=False)


def test_the_spread_is_that_of_errors_and_of_members(fitted: EOFOptimalInterpolation, test_ocean: TinyArchive) -> None:
    given = profiles(test_ocean, times=12)
    found = fitted.reconstruct(given, members=40)
    hidden = given["thetao"].isnull()
    squared = ((found["thetao"] - test_ocean.dataset["thetao"]).where(hidden) ** 2).mean()
    assert 0.7 < float(np.sqrt((found["thetao_sd"].where(hidden) ** 2).mean() / squared)) < 1.4
    ratio = (found["thetao_member"].std("member", ddof=1) / found["thetao_sd"]).where(hidden)
    assert abs(float(ratio.mean()) - 1) < 0.05


def test_a_gappy_archive_teaches_too(fitted: EOFOptimalInterpolation, test_ocean: TinyArchive) -> None:
    archive, rng = tiny_ocean(0, 96), np.random.default_rng(3)
    for name in ("thetao", "sst"):
        whole = archive.dataset[name]
        archive.dataset[name] = whole.where(rng.random(whole.shape) < 0.7)
    peer = EOFOptimalInterpolation()
    peer.fit(TrainingData(archive, np.arange(72), np.arange(72, 96), ("thetao",), ("sst",)))
    # six years with a third of them missing make a seasonal cycle that is rough from cell to cell: most of the difference
    assert error(peer, test_ocean) < 1.6 * error(fitted, test_ocean)


def test_the_number_of_modes_may_be_given(training: TrainingData, tmp_path: Path, test_ocean: TinyArchive) -> None:
    peer = EOFOptimalInterpolation(modes=4, refit=False, nearest=200)
    peer.fit(training)
    assert peer.choice.count == 4
    peer.save(tmp_path / "run")
    again = EOFOptimalInterpolation.load(tmp_path / "run")
    assert again.choice == peer.choice
    assert error(again, test_ocean) == pytest.approx(error(peer, test_ocean), rel=1e-6)


def test_impossible_arguments_are_refused(ocean: TinyArchive) -> None:
    for arguments in ({"modes": 0}, {"folds": 1}, {"patterns": ["cloud:0.5"]}):
        with pytest.raises(ConfigurationError):
            EOFOptimalInterpolation(**arguments)
    with pytest.raises(DataError, match="5 training times are too few"):
        EOFOptimalInterpolation().fit(TrainingData(ocean, np.arange(5), np.arange(5, 9), ("thetao",)))


@pytest.mark.slow
def test_it_is_as_good_as_the_reference_on_real_data(data_folder: Path) -> None:
    """Reference: EOF regression and optimal interpolation of the residual, RMSE in degC over hidden cells of ERSSTv5."""
    file = data_folder / "sst" / "ersstv5_monthly_2010-2020_2deg.nc"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    archive = open_archive(file, ["sst"])
    peer = EOFOptimalInterpolation(patterns=["random:0.75", "random:0.95", "clouds:0.75"])
    peer.fit(TrainingData(archive, np.arange(104), np.arange(104, 116), ("sst",)))
    domain, truth = archive.domain("sst").values, archive.dataset["sst"].isel(time=slice(116, 128))
    for kind, fraction, rmse in (("random", 0.75, 0.149), ("random", 0.95, 0.252), ("clouds", 0.75, 0.53)):
        seen = np.stack([reference_mask(kind, fraction, t, domain, north_first=True) for t in range(116, 128)])
        given = xr.Dataset({"sst": truth.where(seen), "domain": archive.domain("sst")})
        estimate = peer.estimate(given, members=0, seed=0)["sst"]
        mean, sd = estimate.mean, estimate.sd
        assert mean is not None
        assert sd is not None
        hidden = domain & ~seen
        left = (mean - truth.values)[hidden]
        assert np.sqrt(np.mean(left**2)) < rmse, (kind, fraction)
        assert gaussian_crps(left, sd[hidden]).mean() < 0.6 * rmse
        assert 0.75 < np.mean(np.abs(left) < 1.645 * sd[hidden]) < 0.97
