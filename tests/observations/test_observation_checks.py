"""No observation disappears in silence, and what is withheld is out of reach."""

import dataclasses
import functools
import logging

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.errors import ConfigurationError, DataError
from driftfield.fields import Channel
from driftfield.observations.checks import check
from driftfield.observations.grid import StateGrid
from driftfield.observations.stencils import footprints
from driftfield.observations.table import COLUMNS, ObservationTable
from driftfield.observations.withholding import withhold

DATES = xr.DataArray(np.array(["2020-01-05"], dtype="datetime64[us]"), dims="time")
DAYS = {0: 18266.0}


def grid() -> StateGrid:
    """thetao on two levels, 6 x 8 cells of one degree; land in the west, a shelf beside it."""
    domain = np.ones((2, 6, 8), bool)
    domain[:, :, 0] = False
    domain[1, :, 1:3] = False
    channels = (Channel("thetao", 5.0), Channel("thetao", 100.0))
    return StateGrid(np.arange(40.0, 46), np.arange(-20.0, -12), channels, domain, days=DAYS, step_days=1.0)


GOOD = {
    "longitude": -15.5,
    "latitude": 42.5,
    "depth": 50.0,
    "time": np.datetime64("2020-01-05T06:00"),
    "variable": "thetao",
    "value": 12.0,
    "error": 0.5,
    "flag": 1,
    "platform": "float",
}
WRONG = {
    "not a variable of this state": {"variable": "so", "value": 35.0},
    "missing value": {"value": np.nan},
    "flag 4": {"flag": 4},
    "no position": {"latitude": np.nan},
    "no date": {"time": np.datetime64("NaT")},
    "impossible value": {"value": 70.0},
    "no error": {"error": np.nan},
    "error not above 0": {"error": 0.0},
    "outside the grid": {"longitude": 10.0},
    "far from the dates": {"time": np.datetime64("2020-01-07")},
    "outside the levels": {"depth": 200.0},
    "on land": {"longitude": -20.0, "depth": 5.0},
    "below the sea floor": {"longitude": -18.5, "depth": 90.0},
    "duplicate": {"latitude": 43.0},
    "second value of a platform at one place and time": {"latitude": 43.0, "value": 13.0},
}


def table(*rows: dict[str, object]) -> ObservationTable:
    full = [GOOD | {"longitude": -15.5 + 0.01 * i} | row for i, row in enumerate(rows)]
    columns = {name: [row[name] for row in full] for name in COLUMNS if name in GOOD}
    return ObservationTable.of(attrs={"thetao": {"units": "degC"}}, **columns)


def test_every_reason_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    place = {"longitude": -15.0}
    rows = [{}, place | {"latitude": 43.0}, {}, *(place | wrong for wrong in WRONG.values()), {"error": -1.0}]
    given = table(*rows)
    with caplog.at_level(logging.INFO):
        used, operator, account = check(given, grid(), DATES)
    counted = account.total
    assert counted.dropped == dict.fromkeys(WRONG, 1) | {"error not above 0": 2}
    assert counted.read == len(rows)
    assert counted.kept == 3 == len(used) == operator.size == account.kept.sum()
    assert counted.read == counted.kept + sum(counted.dropped.values())
    assert account.variables["so"].kept == 0
    assert "1 on land" in caplog.text
    assert "1 on land" in str(account)
    field = torch.full((1, 2, 6, 8), 7.0, dtype=torch.float64)
    torch.testing.assert_close(operator(field), torch.full((1, 3), 7.0, dtype=torch.float64))


def test_what_is_not_stated_can_be_given() -> None:
    rows = table({"error": np.nan}, {})
    used, _, _ = check(rows, grid(), DATES, default_error=0.3)
    assert used.error.tolist() == [0.3, 0.5]
    used, _, account = check(rows, grid(), DATES, default_error={"so": 0.3})
    assert account.total.dropped == {"no error": 1}
    with pytest.raises(ConfigurationError, match="default error"):
        check(rows, grid(), DATES, default_error=0.0)
    used, _, _ = check(table({"flag": 4}, {}), grid(), DATES, flags=None)
    assert len(used) == 2


def test_wrong_units_are_refused_as_a_whole() -> None:
    warm = table({"value": 285.0}, {"value": 286.0}, {"value": 12.0})
    with pytest.raises(DataError, match=r"2 of 3 values of 'thetao' are impossible .* Correct the units"):
        check(warm, grid(), DATES)
    with pytest.raises(DataError, match="the state has 'K'"):
        check(table({}), grid(), DATES, units={"thetao": "K"})


def test_the_copy_with_the_smaller_error_stays() -> None:
    twice = table(
        {"error": 0.5, "longitude": -15.5}, {"error": 0.1, "longitude": 344.5}, {"longitude": -15.5, "platform": "b"}
    )
    used, _, account = check(twice, grid(), DATES)
    assert used.error.tolist() == [0.1]
    assert account.total.dropped == {"duplicate": 2}
    # another instrument that saw something else is no duplicate
    used, _, account = check(
        table({"longitude": -15.5}, {"longitude": -15.5, "platform": "b", "value": 12.5}), grid(), DATES
    )
    assert len(used) == 2


def test_nothing_is_left_and_nothing_was_there() -> None:
    used, operator, account = check(table({"flag": 4}), grid(), DATES)
    assert (len(used), operator.size, account.total.kept) == (0, 0, 0)
    assert operator(torch.zeros(2, 2, 6, 8)).shape == (2, 0)
    used, operator, account = check(table({}).select(np.array([], dtype=int)), grid(), DATES)
    assert str(account) == "no observations"


def test_other_footprints_and_timeless_states() -> None:
    wide = functools.partial(footprints, radius_km=150.0)
    _, operator, _ = check(table({}, {}), grid(), DATES, place=wide)
    assert operator.weights_per_observation > 10
    timeless = dataclasses.replace(grid(), days={})
    used, _, _ = check(table({"time": np.datetime64("NaT")}), timeless)
    assert len(used) == 1


def test_months_belong_to_their_date() -> None:
    months = xr.DataArray(np.array(["2020-01-16", "2020-02-15", "2020-03-16"], dtype="datetime64[us]"), dims="time")
    rows = table(
        *({"time": np.datetime64(day)} for day in ("2020-01-01", "2020-01-31T23:00", "2020-02-01", "2020-04-01"))
    )
    days = rows.places(months, monthly=True).days
    assert days[0] == days[1] < days[2] < days[3] == np.inf
    domain = np.ones((2, 6, 8), bool)
    january = dataclasses.replace(grid(), domain=domain, days={0: float(days[0])}, step_days=30.0)
    _, _, account = check(rows, january, months, monthly=True)
    assert account.kept.tolist() == [True, True, False, False]


# -- withholding -------------------------------------------------------------------------------------------------------


def fleet(n: int = 3000) -> ObservationTable:
    rng = np.random.default_rng(0)
    platform = rng.integers(0, 60, n)
    start = rng.uniform((-60, 0), (60, 360), (60, 2))
    place = start[platform] + 0.5 * rng.normal(size=(n, 2))
    day = rng.uniform(0, 100, n)
    time = np.datetime64("2020-01-01", "us") + (day * 86400e6).astype("timedelta64[us]")
    return ObservationTable.of(
        longitude=place[:, 1], latitude=place[:, 0], time=time, variable="thetao", value=1.0, error=0.1,
        platform=[f"p{i}" for i in platform],
    )  # fmt: skip


@pytest.mark.parametrize("by", ["platform", "region"])
def test_whole_groups_are_withheld(by: str) -> None:
    table = fleet()
    split = withhold(table, 0.1, by=by, seed=3)  # type: ignore[arg-type]
    assert (split.used.astype(int) + split.withheld + split.margin == 1).all()
    assert split.withheld.mean() == pytest.approx(0.1, abs=0.03)
    assert not split.margin.any()
    if by == "platform":
        assert not set(table.platform[split.used]) & set(table.platform[split.withheld])
    again = withhold(table, 0.1, by=by, seed=3)  # type: ignore[arg-type]
    assert (again.withheld == split.withheld).all()
    assert (withhold(table, 0.1, by=by, seed=4).withheld != split.withheld).any()  # type: ignore[arg-type]
    # the order of the rows does not matter
    order = np.random.default_rng(1).permutation(len(table))
    assert (withhold(table.select(order), 0.1, by=by, seed=3).withheld == split.withheld[order]).all()  # type: ignore[arg-type]
    assert "withheld" in str(split)


def test_only_some_variables_may_be_withheld() -> None:
    table = fleet(600)
    # every other value of a platform is of its salinity, and half of the platforms have nothing else
    alone = np.array([int(name[1:]) % 2 == 0 for name in table.platform])
    salt = alone | (np.arange(len(table)) % 2 == 0)
    table = dataclasses.replace(table, variable=np.where(salt, "so", "thetao").astype(object))
    split = withhold(table, 0.2, variables=["thetao"], seed=3)
    assert set(table.variable[split.withheld]) == {"thetao"}
    assert split.withheld.sum() == pytest.approx(0.2 * (~salt).sum(), abs=12)
    # what the same instrument says beside it would give it away
    hidden = set(table.platform[split.withheld])
    assert not hidden & set(table.platform[split.used])
    assert split.margin.any()
    assert set(table.platform[split.margin]) <= hidden
    with pytest.raises(ConfigurationError, match="Did you mean 'thetao'"):
        withhold(table, 0.2, variables=["theta"])


def test_nothing_near_to_what_is_withheld_is_used() -> None:
    table = fleet(1500)
    split = withhold(table, 0.2, by="platform", buffer_km=300.0, seed=0)
    assert split.margin.any()

    def distance(a: ObservationTable, b: ObservationTable) -> np.ndarray:
        phi, psi = np.radians(a.latitude)[:, None], np.radians(b.latitude)
        cosine = np.sin(phi) * np.sin(psi) + np.cos(phi) * np.cos(psi) * np.cos(
            np.radians(a.longitude[:, None] - b.longitude)
        )
        return 6371.0 * np.arccos(cosine.clip(-1, 1))

    hidden = table.select(split.withheld)
    assert distance(table.select(split.used), hidden).min() > 300.0
    assert distance(table.select(split.margin), hidden).min(axis=1).max() <= 300.001
    # near in time as well
    timed = withhold(table, 0.2, by="platform", buffer_km=300.0, buffer_days=1.0, seed=0)
    assert (timed.withheld == split.withheld).all()
    assert timed.margin.sum() < split.margin.sum()
    gap = np.abs(table.time[timed.used][:, None] - hidden.time) / np.timedelta64(1, "D")
    assert (distance(table.select(timed.used), hidden)[gap <= 1.0] > 300.0).all()


def test_what_cannot_be_withheld() -> None:
    table = fleet(50)
    for options, words in (
        ({"fraction": 0.0}, "between 0 and 1"),
        ({"fraction": 0.1, "by": "colour"}, "'platform' or 'region'"),
        ({"fraction": 0.1, "buffer_km": -1.0}, "margin"),
        ({"fraction": 0.1, "by": "region", "region_degrees": 0.0}, "regions"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            withhold(table, **options)  # type: ignore[arg-type]
    alone = table.select(table.platform == table.platform[0])
    with pytest.raises(DataError, match="of one platform"):
        withhold(alone, 0.1)
    with pytest.raises(DataError, match="Make it narrower"):
        withhold(table, 0.5, buffer_km=25000.0)
