"""The places that are suggested are the greedy optimum, held against a dense matrix that is conditioned from scratch."""

import numpy as np
import pytest

from driftfield.gaussian.placement import EnsemblePrior, KnownPrior, best_places

LAT, LON, LEVELS = 4, 5, 3
PLACES = LAT * LON
STATE = PLACES * LEVELS


@pytest.fixture(scope="module")
def covariance() -> np.ndarray:
    """Of a field with a length, a vertical scale and a variance that differs from place to place."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.arange(LAT), np.arange(LON), indexing="ij")
    z, place = np.repeat(np.arange(LEVELS), PLACES), np.tile(np.arange(PLACES), LEVELS)
    points = np.stack([y.ravel()[place], x.ravel()[place], 2.0 * z], 1)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    sd = rng.uniform(0.5, 2.0, STATE)
    return sd[:, None] * sd * np.exp(-apart / 2)


def columns() -> np.ndarray:
    """Every place with its levels from the top down; two places end one level higher."""
    rows = np.arange(PLACES)[:, None] + PLACES * np.arange(LEVELS)
    rows[[3, 7], 2] = -1
    return rows


def left_after(covariance: np.ndarray, rows: np.ndarray, error: float, weight: np.ndarray) -> float:
    """tr(W P') by one solve with everything that was observed."""
    towards = covariance[:, rows]
    after = covariance - towards @ np.linalg.solve(towards[rows] + error**2 * np.eye(len(rows)), towards.T)
    return float(np.trace(weight @ after))


@pytest.mark.parametrize("of_mean", [False, True])
@pytest.mark.parametrize("whole_columns", [False, True])
def test_is_the_greedy_optimum(covariance: np.ndarray, of_mean: bool, whole_columns: bool) -> None:
    rng = np.random.default_rng(1)
    weights = np.where(rng.random(STATE) < 0.6, rng.uniform(0.5, 1.5, STATE), 0.0)
    matrix = np.outer(weights, weights) if of_mean else np.diag(weights)
    candidates = columns() if whole_columns else np.arange(STATE)[:, None]
    error = np.full(candidates.shape, 0.3)
    placed = best_places(KnownPrior(covariance), candidates, weights, number=5, error=error, of_mean=of_mean)
    seen: list[int] = []
    assert placed.left[0] == pytest.approx(float(np.trace(matrix @ covariance)))
    for step, chosen in enumerate(placed.chosen):
        options = [[row for row in rows if row >= 0] for rows in candidates]
        after = [left_after(covariance, np.array(seen + rows), 0.3, matrix) for rows in options]
        for earlier in placed.chosen[:step]:
            after[earlier] = np.inf
        assert chosen == int(np.argmin(after))
        assert placed.left[step + 1] == pytest.approx(after[chosen], rel=1e-9)
        seen += options[chosen]


def test_what_lies_below_the_floor_counts_for_nothing(covariance: np.ndarray) -> None:
    """A column with a level that is not there is a column of the other levels."""
    weights = np.ones(STATE)
    rows = columns()
    whole = best_places(KnownPrior(covariance), rows, weights, number=1, error=np.full(rows.shape, 0.3)).first_gain
    short = rows[[3]][:, :2]
    alone = best_places(KnownPrior(covariance), short, weights, number=1, error=np.full(short.shape, 0.3)).first_gain
    assert whole[3] == pytest.approx(alone[0], rel=1e-12)


@pytest.mark.parametrize("block", [1, 100, 10_000_000])
def test_portions_change_nothing(covariance: np.ndarray, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = columns()
    arguments = (KnownPrior(covariance), rows, np.ones(STATE))
    expected = best_places(*arguments, number=4, error=np.full(rows.shape, 0.2))
    monkeypatch.setattr("driftfield.gaussian.placement.BLOCK", block)
    again = best_places(*arguments, number=4, error=np.full(rows.shape, 0.2))
    assert again.chosen == expected.chosen
    np.testing.assert_allclose(again.left, expected.left, rtol=1e-12)


def test_a_large_ensemble_is_the_covariance_it_came_from(covariance: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    members = np.linalg.cholesky(covariance) @ rng.standard_normal((STATE, 20_000))
    departures = members - members.mean(1, keepdims=True)
    place = np.tile(np.arange(PLACES), LEVELS)
    rows = columns()
    options = {"number": 6, "error": np.full(rows.shape, 0.3)}
    known = best_places(KnownPrior(covariance), rows, np.ones(STATE), **options)  # type: ignore[arg-type]
    drawn = best_places(EnsemblePrior(departures, place), rows, np.ones(STATE), **options)  # type: ignore[arg-type]
    np.testing.assert_allclose(drawn.left, known.left, rtol=0.03)
    np.testing.assert_allclose(drawn.first_gain, known.first_gain, rtol=0.1)


def test_a_faded_ensemble_says_nothing_of_what_is_far() -> None:
    departures = np.random.default_rng(3).standard_normal((STATE, 8))
    place = np.tile(np.arange(PLACES), LEVELS)
    prior = EnsemblePrior(departures, place, lambda some: (some[:, None] == np.arange(PLACES)).astype(float))
    rows = prior.rows(np.arange(STATE))
    assert (rows[place[:, None] != place] == 0).all()
    np.testing.assert_allclose(np.diag(rows), (departures**2).sum(1) / 7)
