"""Patterns hide what they were asked to hide, everywhere alike, and never see outside the domain."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.data.masks import Blocks, Profiles, Tracks, parse_pattern, reference_mask
from driftfield.data.masks.borrowed import Borrowed
from driftfield.errors import ConfigurationError, DataError

SHARED = ("random", "blocks", "clouds", "tracks", "swaths", "profiles")


def coast(levels: int = 1) -> np.ndarray:
    """Ocean with land in a corner and a floor that rises eastwards."""
    domain = np.ones((levels, 40, 48), bool)
    domain[:, :12, :15] = False
    for level in range(levels):
        domain[level, :, 48 - 6 * level :] = False
    return domain


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("periodic", [False, True])
def test_the_share_of_domain_cells_is_met_to_one_cell(kind: str, share: float, periodic: bool) -> None:
    domain = coast()
    for seed in range(3):
        observed = parse_pattern(f"{kind}:{share}").draw(domain, np.random.default_rng(seed), periodic=periodic)
        assert observed.dtype == bool
        assert observed.shape == domain.shape
        assert not (observed & ~domain).any()
        assert abs((domain & ~observed).sum() - share * domain.sum()) <= 1.0


@pytest.mark.parametrize("kind", SHARED)
def test_on_levels_the_share_is_met_to_one_column(kind: str) -> None:
    domain = coast(4)
    observed = parse_pattern(f"{kind}:0.8").draw(domain, np.random.default_rng(0))
    assert not (observed & ~domain).any()
    assert abs((domain & ~observed).sum() - 0.8 * domain.sum()) <= 4
    if kind not in ("random", "profiles"):
        np.testing.assert_array_equal(observed, observed.any(axis=0) & domain)


@pytest.mark.parametrize("kind", SHARED)
def test_the_seed_decides(kind: str) -> None:
    pattern = parse_pattern(f"{kind}:0.7")
    a, b, c = (pattern.draw(coast(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("text", ["random:0.8", "blocks:0.8", "clouds:0.8", "tracks:0.9", "swaths:0.7", "profiles:0.9"])
def test_border_and_interior_are_hidden_equally_often(text: str, periodic: bool) -> None:
    # known trap: rectangles that never cross the border leave a quarter of all observations on the frame
    domain = np.ones((1, 24, 24), bool)
    rng = np.random.default_rng(0)
    pattern = parse_pattern(text)
    draws = 300
    seen = sum(pattern.draw(domain, rng, periodic=periodic)[0].astype(float) for _ in range(draws)) / draws
    border = np.ones((24, 24), bool)
    border[2:-2, 2:-2] = False
    assert seen[border].mean() / seen[~border].mean() == pytest.approx(1.0, abs=0.1)


def test_profiles_are_columns_from_the_top_down() -> None:
    domain = coast(6)
    observed = Profiles(count=30, full=0.5).draw(domain, np.random.default_rng(0))
    columns = observed.any(axis=0)
    assert columns.sum() == 30
    assert not (~observed[:-1] & observed[1:])[:, columns].any(), "no gap within a profile"
    full = (observed == domain).all(axis=0)[columns].mean()
    assert 0.4 < full < 1.0
    few = np.zeros((1, 3, 3), bool)
    few[0, 0] = True
    assert Profiles(count=40).draw(few, np.random.default_rng(0)).sum() == 3


def test_a_range_draws_the_share_anew() -> None:
    rng = np.random.default_rng(0)
    shares = [1 - parse_pattern("random:0.2-0.6").draw(np.ones((1, 50, 50), bool), rng).mean() for _ in range(50)]
    assert 0.2 <= min(shares) < 0.3
    assert 0.5 < max(shares) <= 0.6


def test_all_and_none() -> None:
    domain, rng = coast(2), np.random.default_rng(0)
    np.testing.assert_array_equal(parse_pattern("all").draw(domain, rng), domain)
    assert not parse_pattern("none").draw(domain, rng).any()


def test_clouds_and_tracks_wrap_where_longitude_does() -> None:
    domain = np.ones((1, 40, 60), bool)
    for text in ("clouds:0.5", "blocks:0.5"):
        agree = {True: [], False: []}
        for periodic, found in agree.items():
            for seed in range(40):
                seen = parse_pattern(text).draw(domain, np.random.default_rng(seed), periodic=periodic)[0]
                found.append((seen[:, 0] == seen[:, -1]).mean())
        assert np.mean(agree[True]) > 0.85
        assert np.mean(agree[False]) < 0.7


def test_borrowed_gaps(tmp_path: Path) -> None:
    values = np.ones((2, 10, 12), np.float32)
    values[0, 2:5, 3:8] = np.nan
    values[1, 6:9, 1:4] = np.nan
    values[:, :, 11] = np.nan  # land
    coords = {
        "time": np.array(["2001-01-01", "2001-01-02"], "datetime64[ns]"),
        "lat": np.arange(10.0),
        "lon": np.arange(12.0),
    }
    xr.Dataset({"sst": (("time", "lat", "lon"), values)}, coords).to_netcdf(tmp_path / "c.nc")
    pattern = parse_pattern(f"from:{tmp_path / 'c.nc'}:sst")
    assert isinstance(pattern, Borrowed)
    gaps = {
        tuple(np.argwhere(~pattern.draw(np.ones((1, 10, 12), bool), np.random.default_rng(s))[0]).ravel())
        for s in range(20)
    }
    assert gaps == {tuple(np.argwhere(np.isnan(v) & (np.arange(12) < 11)).ravel()) for v in values}
    assert pattern.draw(np.ones((3, 30, 5), bool), np.random.default_rng(0)).shape == (3, 30, 5)
    with pytest.raises(DataError, match="No gridded variable 'st'"):
        parse_pattern(f"from:{tmp_path / 'c.nc'}:st").draw(coast(), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cloud:0.8", "Did you mean 'clouds'"),
        ("clouds:80", "share from 0 to 1"),
        ("clouds:much", "expected a number or a range"),
        ("clouds", "expected a number or a range"),
        ("random:0.9-0.5", "low-high"),
        ("profiles:n=0", "whole number of profiles"),
    ],
)
def test_messages(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse_pattern(text)


def test_impossible_shapes_of_gaps_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="smallest"):
        Blocks(0.5, smallest=0.5, largest=0.1)
    with pytest.raises(ConfigurationError, match="45 to 90"):
        Tracks(0.5, inclination=10.0)


def test_reference_masks_follow_their_recipe() -> None:
    domain = coast()[0]
    rng = np.random.default_rng(9500 * 1000 + 120)
    cells = np.flatnonzero(domain)
    hidden = rng.choice(cells, round(0.95 * cells.size), replace=False)
    observed = reference_mask("random", 0.95, 120, domain)
    assert not observed.flat[hidden].any()
    assert observed.sum() == cells.size - hidden.size
    clouds = reference_mask("clouds", 0.75, 3, domain)
    assert abs((domain & ~clouds).sum() - 0.75 * cells.size) <= 1
    north = reference_mask("clouds", 0.75, 3, domain, north_first=True)
    np.testing.assert_array_equal(north, reference_mask("clouds", 0.75, 3, domain[::-1])[::-1])
    with pytest.raises(ConfigurationError, match="Did you mean 'clouds'"):
        reference_mask("cloud", 0.5, 0, domain)


def test_columns_reach_the_floor_and_the_surface_is_seen_whole() -> None:
    domain = coast(4)
    for seed in range(5):
        observed = parse_pattern("columns:n=3-5+surface").draw(domain, np.random.default_rng(seed))
        np.testing.assert_array_equal(observed[0], domain[0])
        below = observed[1:].any(axis=0)
        assert below.sum() <= 5
        np.testing.assert_array_equal(observed[1:], below & domain[1:])
    np.testing.assert_array_equal(parse_pattern("surface").draw(domain[0], np.random.default_rng(0)), domain[0])


def test_systems_that_are_joined_see_what_either_sees() -> None:
    domain = coast()
    both = parse_pattern("tracks:0.9+clouds:0.5").draw(domain, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    tracks, clouds = (parse_pattern(text).draw(domain, rng) for text in ("tracks:0.9", "clouds:0.5"))
    np.testing.assert_array_equal(both, tracks | clouds)
    with pytest.raises(ConfigurationError, match="Did you mean 'clouds'"):
        parse_pattern("tracks:0.9+cloud:0.5")
