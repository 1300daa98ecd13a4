"""Encodings have no seam, and dates follow their calendar."""

import cftime
import numpy as np
import pytest

from driftfield.errors import DataError
from driftfield.gridded.encodings import date_fraction, is_monthly, unit_sphere


def test_there_is_no_seam_at_the_dateline() -> None:
    np.testing.assert_allclose(unit_sphere(10.0, 180.0), unit_sphere(10.0, -180.0), atol=1e-12)
    np.testing.assert_allclose(unit_sphere(10.0, 359.0), unit_sphere(10.0, -1.0), atol=1e-12)


def test_unit_sphere_is_on_the_sphere_and_the_pole_is_one_point() -> None:
    lat, lon = np.meshgrid(np.linspace(-90, 90, 7), np.linspace(0, 360, 9))
    np.testing.assert_allclose(np.linalg.norm(unit_sphere(lat, lon), axis=-1), 1.0)
    np.testing.assert_allclose(unit_sphere(90.0, 0.0), unit_sphere(90.0, 123.0), atol=1e-12)


def test_leap_years_and_calendars() -> None:
    year = date_fraction(np.array(["2004-12-31", "2003-12-31", "2004-01-01"], dtype="datetime64[D]"))[:, 0]
    np.testing.assert_allclose(year, [365 / 366, 364 / 365, 0.0])
    thirty = date_fraction([cftime.Datetime360Day(2000, 12, 30, 12), cftime.Datetime360Day(2000, 2, 30)])
    np.testing.assert_allclose(thirty, [[359.5 / 360, 0.5], [59 / 360, 0.0]])
    with pytest.raises(DataError, match="Expected dates"):
        date_fraction(np.arange(3.0))


def test_monthly_dates_are_moved_to_the_middle() -> None:
    times = np.arange("2001-01", "2002-01", dtype="datetime64[M]").astype("datetime64[ns]")
    assert is_monthly(times)
    late = times + np.timedelta64(20, "D")
    np.testing.assert_allclose(date_fraction(times, monthly=True), date_fraction(late, monthly=True))
    assert date_fraction(times, monthly=True)[0, 0] == pytest.approx(15.5 / 365)
