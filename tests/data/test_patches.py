"""Windows cover the grid, wrap around the globe, and know where they are."""

import numpy as np
import pytest

from driftfield.data.patches import centre, window_index
from driftfield.errors import ConfigurationError


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(8, 8), (8, 3), ((4, 10), (4, 7))])
def test_every_cell_lies_in_a_window(periodic: bool, size: object, stride: object) -> None:
    windows, _ = window_index(np.ones((21, 30), bool), size, stride, periodic=periodic)  # type: ignore[arg-type]
    covered = np.zeros((21, 30), bool)
    for w in windows:
        assert w.row + w.height <= 21
        assert periodic or w.col + w.width <= 30
        covered[np.ix_(w.rows, w.columns(30))] = True
    assert covered.all()
    assert len(set(windows)) == len(windows)


@pytest.mark.parametrize("periodic", [False, True])
def test_nodata_fractions_are_counted_right(periodic: bool) -> None:
    domain = np.random.default_rng(0).random((3, 17, 20)) > 0.6
    windows, nodata = window_index(domain, 6, 5, periodic=periodic)
    for window, share in zip(windows, nodata, strict=True):
        assert share == pytest.approx(1.0 - domain.any(axis=0)[window.rows][:, window.columns(20)].mean())
    kept, shares = window_index(domain, 6, 5, periodic=periodic, max_nodata_fraction=float(np.median(nodata)))
    assert 0 < len(kept) < len(windows)
    assert shares.max() <= np.median(nodata)


@pytest.mark.parametrize("lon", [[178.0, 179.0, -180.0, -179.0], [178.0, 179.0, 180.0, 181.0]])
def test_the_centre_is_safe_across_the_dateline(lon: list[float]) -> None:
    lat, middle = centre(np.array([10.0, 20.0]), np.array(lon))
    assert lat == 15.0
    assert middle == pytest.approx(179.5)
    assert centre(np.array([0.0]), np.array([359.0, 1.0]))[1] == pytest.approx(0.0)


def test_messages() -> None:
    with pytest.raises(ConfigurationError, match="smaller size"):
        window_index(np.ones((4, 4), bool), 8, 1)
    with pytest.raises(ConfigurationError, match="max_nodata_fraction"):
        window_index(np.zeros((4, 4), bool), 2, 1, max_nodata_fraction=0.5)
