"""Assimilation: with an exact Gaussian prior the closed-form posterior, with a network all that must hold of members and rows."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.assimilation.analysis import Analysis, Assimilation
from driftfield.assimilation.drawing import Place
from driftfield.assimilation.inflation import choose_inflation
from driftfield.errors import ConfigurationError, DataError
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.unconditional import nothing_seen
from driftfield.observations.gridded import table_of_cells
from driftfield.observations.observe import observe
from driftfield.observations.stated import as_stated
from driftfield.observations.table import ObservationTable
from driftfield.observations.withholding import Withholding, withhold
from driftfield.registry import names
from driftfield.testing import tiny_ocean

DAY = "2001-03-05T09:00"


def table(n: int = 12, seed: int = 0, **columns: Any) -> ObservationTable:
    rng = np.random.default_rng(seed)
    given: dict[str, Any] = {
        "longitude": rng.uniform(-39.5, -37.0, n),
        "latitude": rng.uniform(30.6, 32.3, n),
        "depth": rng.uniform(10, 40, n),
        "time": DAY,
        "variable": "thetao",
        "value": rng.normal(15, 1, n),
        "error": 0.4,
        "platform": [f"float {i // 2}" for i in range(n)],
    }
    return ObservationTable.of(**(given | columns))


def closed_form(
    run: DiffusionReconstructor, rows: ObservationTable, date: str, place: Place = as_stated
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the posterior, physical units (depth, lat, lon)."""
    covariance = run.model.prior  # type: ignore[union-attr]
    seen, used, _ = observe(
        run.codec,
        rows,
        [np.datetime64(date)],
        lambda used: DiagonalCovariance(torch.from_numpy(used.error**2)),
        dtype=torch.float64,
        place=place,
    )
    h = seen.apply(torch.eye(96, dtype=torch.float64).view(96, 2, 6, 8)).mT
    gain = covariance @ h.mT @ torch.linalg.inv(h @ covariance @ h.mT + torch.diag(torch.from_numpy(used.error**2)))
    mean, variance = gain @ seen.y, torch.diag(covariance - gain @ h @ covariance)
    shape = (1, 2, 6, 8)
    rows_, columns = np.arange(6), np.arange(8)
    stamp = np.array([date], dtype="datetime64[s]")
    decoded = run.codec.decode("thetao", mean.view(shape).numpy(), stamp, rows_, columns)[0]
    return decoded, variance.sqrt().view(2, 6, 8).numpy() * run.codec.normalizers["thetao"].std


@pytest.mark.parametrize("noise", ["exact", "exact_in_colour"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("mmps", {"iterations": 12}),
        ("mmps", {"iterations": 12, "solver": "gmres"}),
        ("mmps", {"iterations": 2, "prior_samples": 96}),
    ],
)
def test_a_gaussian_prior_gives_the_closed_form_posterior(
    noise: str, method: str, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """Whatever the colour of the noise, to the same tolerance."""
    exact = request.getfixturevalue(noise)
    found = Assimilation(exact, method, options).analyse(table(), members=64, batch_size=64).fields
    mean, sd = closed_form(exact, table(), "2001-03-05")
    away = (found["thetao"].values[0] - mean) / (sd / np.sqrt(64))
    assert np.sqrt(np.mean(away**2)) < 1.3
    assert np.sqrt(np.mean((found["thetao_sd"].values[0] / sd) ** 2)) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("method", ["replacement", "repaint"])
def test_what_sets_single_cells_refuses_a_noise_with_a_colour(
    exact_in_colour: DiffusionReconstructor, method: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"Replacement sets single cells.*has a colour"):
        Assimilation(exact_in_colour, method).analyse(table(), members=2)


def test_damping_reaches_the_denoiser(exact: DiffusionReconstructor) -> None:
    def drawn(damping: float) -> xr.Dataset:
        options = {"iterations": 12, "damping": damping}
        return Assimilation(exact, "mmps", options).analyse(table(), members=16).fields

    plain, damped = drawn(0.0), drawn(0.1)
    away = float(((damped["thetao_member"] - plain["thetao_member"]) ** 2).mean() ** 0.5)
    assert 0.01 < away < 1.0


def test_a_network_in_bfloat16_is_guided_as_one_in_float32(
    untrained_run: DiffusionReconstructor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def analysed() -> np.ndarray:
        return (
            Assimilation(untrained_run, "mmps", {"iterations": 2}).analyse(table(), members=2).fields["thetao"].values
        )

    exactly = analysed()
    monkeypatch.setattr(untrained_run, "precision", "bfloat16")
    coarsely = analysed()
    assert not np.array_equal(exactly, coarsely, equal_nan=True)
    # of a spread of a degree; H and R must not be rounded to eight bits
    assert np.nanmax(np.abs(exactly - coarsely)) < 0.1


def test_inflated_errors_are_those_of_a_table_with_larger_errors(exact: DiffusionReconstructor) -> None:
    inflated = Assimilation(exact, inflation=2.0).analyse(table(), members=2)
    stated = Assimilation(exact).analyse(table(error=0.8), members=2)
    xr.testing.assert_allclose(inflated.fields, stated.fields, atol=1e-5)
    assert inflated.fields.attrs["error_inflation"] == 2


def test_what_is_withheld_never_influences_and_is_scored(exact: DiffusionReconstructor) -> None:
    def last_four(used: ObservationTable) -> Withholding:
        hidden = np.arange(len(used)) >= len(used) - 4
        return Withholding(~hidden, hidden, np.zeros(len(used), dtype=bool))

    rows = table()
    found = Assimilation(exact).analyse(rows, members=4, withhold=last_four)
    wild = table(value=np.where(np.arange(12) < 8, rows.value, 20.0))
    other = Assimilation(exact).analyse(wild, members=4, withhold=last_four)
    without = Assimilation(exact).analyse(rows.select(np.arange(8)), members=4)
    xr.testing.assert_equal(found.fields, other.fields)
    xr.testing.assert_equal(found.fields, without.fields)
    assert found.guided_by == without.guided_by == 8
    score, worse = found.withheld["thetao"], other.withheld["thetao"]
    assert score.count == 4
    assert worse.rmse > score.rmse
    hidden = rows.select(np.arange(8, 12))
    values = (
        found.fields["thetao_member"]
        .isel(time=0)
        .interp(
            lat=xr.DataArray(hidden.latitude, dims="n"),
            lon=xr.DataArray(hidden.longitude, dims="n"),
            depth=xr.DataArray(hidden.depth, dims="n"),
        )
    )
    assert score.bias == pytest.approx(float((values.mean("member") - hidden.value).mean()), abs=1e-3)


def test_the_inflation_that_explains_what_was_withheld_is_chosen(exact: DiffusionReconstructor) -> None:
    """Observations of a draw of the prior, with errors three times those that they state."""
    state = torch.linalg.cholesky(exact.model.prior) @ torch.randn(  # type: ignore[union-attr]
        96, dtype=torch.float64, generator=torch.Generator().manual_seed(3)
    )
    rows = table(60, platform=[str(i) for i in range(60)], error=0.3, value=0.0)
    unit = lambda used: DiagonalCovariance(torch.ones(len(used), dtype=torch.float64))  # noqa: E731
    seen, used, _ = observe(exact.codec, rows, [np.datetime64("2001-03-05")], unit, dtype=torch.float64)
    clean = (seen.apply(state.view(1, 2, 6, 8))[0] - seen.y).numpy()
    noisy = clean + 0.9 * np.random.default_rng(4).normal(size=len(used))
    columns = {name: getattr(used, name) for name in ("longitude", "latitude", "depth", "time", "variable", "platform")}
    observed = ObservationTable.of(**columns, value=noisy, error=0.3)

    def analyse(factor: float) -> Analysis:
        made = Assimilation(exact, inflation=factor)
        return made.analyse(observed, members=16, withhold=partial(withhold, fraction=0.4))

    chosen = choose_inflation(analyse, (1.0, 3.0, 9.0))
    assert 2.2 < chosen.inflation < 4
    assert list(chosen.tried)[:3] == [1, 3, 9]
    assert abs(np.log(chosen.spread_skill)) <= min(
        abs(np.log(one["spread_skill"])) for one in chosen.to_json()["tried"]
    )
    assert chosen.remark == ""
    with pytest.raises(DataError, match="withhold observations"):
        choose_inflation(lambda factor: Assimilation(exact, inflation=factor).analyse(observed, members=2), (1.0,))


# -- a network --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(untrained_run: DiffusionReconstructor) -> DiffusionReconstructor:
    return untrained_run


def cells() -> xr.Dataset:
    """One date with two columns seen and a surface."""
    fields = tiny_ocean().isel(time=[5])
    seen = np.zeros(fields["thetao"].shape, dtype=bool)
    seen[:, :, [4, 6], [5, 7]] = True
    observed = fields.assign(thetao=fields["thetao"].where(seen))
    return observed.assign(thetao_error=xr.where(observed["thetao"].notnull(), 0.1, np.nan))


@pytest.mark.parametrize("method", names("guidance"))
def test_members_are_the_same_at_any_batch_size(run: DiffusionReconstructor, method: str) -> None:
    options: dict[str, dict[str, Any]] = {
        "mmps": {"iterations": 2},
        "prior_covariance": {"samples": 6, "rank": 3},
        "repaint": {"resamplings": 2, "evaluations": 5},
        "particles": {"particles": 8, "levels": 4},
    }
    made = Assimilation(run, method, options.get(method))
    whole = made.analyse(cells(), members=3, seed=2, batch_size=3)
    parts = made.analyse(cells(), members=2, seed=2, batch_size=1)
    assert whole.guided_by == 4
    assert np.isfinite(whole.fields["thetao_member"].values[:, 0, 0, 4:]).all()
    xr.testing.assert_allclose(whole.fields["thetao_member"][:2], parts.fields["thetao_member"], atol=2e-4)
    free = run.reconstruct(cells().assign(thetao=cells()["thetao"].where(False)), members=3, seed=2)
    assert float(abs(whole.fields["thetao_member"] - free["thetao_member"]).max()) > 1e-3
    assert all(weight.requires_grad for weight in run.model.parameters())  # type: ignore[union-attr]


def test_a_part_of_a_file_guides_as_the_whole_with_nothing_beyond_it(run: DiffusionReconstructor) -> None:
    box = {"lat": slice(3, 7), "lon": slice(4, 10)}
    inside = xr.zeros_like(cells()["sst"].isel(time=0, drop=True), dtype=bool)
    inside[box] = True
    shown = ("thetao", "thetao_error", "sst")
    blanked = cells().assign({name: cells()[name].where(inside) for name in shown})
    part, whole = (Assimilation(run, "dps").analyse(one, members=2, seed=2) for one in (cells().isel(box), blanked))
    assert part.guided_by == whole.guided_by == 4
    xr.testing.assert_allclose(part.fields, whole.fields.isel(box), rtol=0, atol=1e-5)


def test_points_guide_on_top_of_what_the_network_is_shown(run: DiffusionReconstructor) -> None:
    rows = table(3, time=cells()["time"].values[0], latitude=32.2, longitude=[-37.0, -36.9, -36.8])
    shown = Assimilation(run).analyse(rows, condition=cells(), members=1).fields
    alone = Assimilation(run).analyse(rows, members=1).fields
    assert shown["time"].values[0] == cells()["time"].values[0]
    assert float(abs(shown["thetao"].values - alone["thetao"].values)[np.isfinite(shown["thetao"].values)].max()) > 1e-3
    assert shown.attrs["network_evaluations"] == 5 + 2 * 5 * 5 == 5 * (1 + 2 * 5)
    assert shown.attrs["observations_used"] == 3
    assert shown.attrs["guidance"] == "mmps"


def test_dates_are_those_observed_and_a_window_reaches_further(run: DiffusionReconstructor) -> None:
    rows = table(4, time=["2001-02-01T03:00", "2001-02-01T23:00", "2001-02-03T01:00", "NaT"])
    found = Assimilation(run, "dps").analyse(rows, members=1)
    assert list(found.fields["time"].values.astype("datetime64[D]").astype(str)) == ["2001-02-01", "2001-02-03"]
    assert found.guided_by == 3
    near = Assimilation(run, "dps", window_days=2).analyse(rows, members=1, times=["2001-02-02"])
    assert near.guided_by == 3
    assert near.fields.sizes["time"] == 1
    only = Assimilation(run, "dps").analyse(rows, members=1, times=slice("2001-02-02", None))
    assert only.fields.sizes["time"] == 1
    assert only.guided_by == 1
    with pytest.raises(DataError, match="None of the dates"):
        Assimilation(run, "dps").analyse(rows, members=1, times=slice("2005", None))


def test_a_cell_as_a_row_lies_at_its_centre() -> None:
    observed = cells()
    rows = table_of_cells(observed, ("thetao", "so"))
    assert len(rows) == 4
    assert set(rows.depth) == {10.0, 40.0}
    assert len(set(rows.platform)) == 2
    assert (rows.error == np.float64(0.1)).all()
    assert rows.attrs["thetao"]["units"] == "degC"
    for value, z, lat, lon in zip(rows.value, rows.depth, rows.latitude, rows.longitude, strict=True):
        assert float(observed["thetao"].sel(depth=z, lat=lat, lon=lon).item()) == value
    with pytest.raises(DataError, match="hold none of"):
        table_of_cells(observed, ("so",))


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another run": (lambda run: Assimilation(object()), "cannot be guided"),
    "method": (lambda run: Assimilation(run, "mmpz"), "Unknown guidance method 'mmpz'.*mmps"),
    "option": (lambda run: Assimilation(run, "sda", {"gamma": 1}), "has no option 'gamma'.*sda_scale"),
    "no options": (lambda run: Assimilation(run, "tmpd", {"gamma": 1}), "has no options"),
    "value": (lambda run: Assimilation(run, "mmps", {"iterations": 0}), "method.iterations=0"),
    "prior samples": (lambda run: Assimilation(run, "mmps", {"prior_samples": 2}), "method.prior_samples=2"),
    "footprint": (
        lambda run: Assimilation(run, place=partial(as_stated, radius_km=0)).analyse(table()),
        "footprint of 0 km",
    ),
    "footprint of nothing": (
        lambda run: Assimilation(run, place=partial(as_stated, radius_km={"theta": 5})).analyse(table()),
        "'theta'.*thetao",
    ),
    "damping": (lambda run: Assimilation(run, "mmps", {"damping": -0.1}), "method.damping=-0.1"),
    "inflation": (lambda run: Assimilation(run, inflation=0), "inflation=0"),
    "window": (lambda run: Assimilation(run, window_days=-1), "window_days=-1"),
    "unused": (
        lambda run: Assimilation(run).analyse(table(latitude=80.0)),
        "None of the observations can be used.*outside the grid",
    ),
    "between cells": (lambda run: Assimilation(run, "replacement").analyse(table(latitude=32.2)), "lie between cells"),
    "members": (lambda run: Assimilation(run).analyse(table(), members=0), "members=0"),
    "two conditions": (lambda run: Assimilation(run).analyse(cells(), condition=cells()), "their own condition"),
    "dates beside a condition": (
        lambda run: Assimilation(run).analyse(table(latitude=32.2), condition=cells(), times=["2001-01-01"]),
        "The condition says which dates",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(run: DiffusionReconstructor, case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises((ConfigurationError, DataError), match=message):
        call(run)


def test_a_run_that_never_saw_nothing_is_told_of(run: DiffusionReconstructor, caplog: pytest.LogCaptureFixture) -> None:
    Assimilation(run, "dps").analyse(table(latitude=32.2), members=1)
    assert "always shown" not in caplog.text
    patterns = run.observing.patterns
    kept, patterns["thetao"] = patterns["thetao"], patterns["thetao"][1:]
    Assimilation(run, "dps").analyse(table(latitude=32.2), members=1)
    patterns["thetao"] = kept
    assert "always shown some of 'thetao'" in caplog.text


def test_a_run_keeps_its_inflation(run: DiffusionReconstructor, tmp_path: Path) -> None:
    from driftfield.checkpoint import amend_run

    run.save(tmp_path / "run")
    amend_run(tmp_path / "run", {"assimilation": {"dps": {"inflation": 1.4}}})
    again = DiffusionReconstructor.load(tmp_path / "run")
    assert Assimilation(again, "dps").inflation == 1.4
    assert Assimilation(again, "mmps").inflation == 1


def test_rows_that_belong_to_no_date_are_counted(run: DiffusionReconstructor) -> None:
    rows = table(4, time=["2001-02-01T03:00", "2001-02-01T23:00", "2001-02-03T01:00", "NaT"], latitude=32.2)
    found = Assimilation(run, "dps").analyse(rows, members=2, times=["2001-02-01", "2001-02-20"])
    assert found.fields.attrs["observations_usable"] == 4
    assert found.fields.attrs["observations_used"] == 2
    assert found.fields.attrs["observations_far_from_dates"] == 2
    # what nothing was seen of is drawn from the prior alone
    free = run.reconstruct(nothing_seen(run.codec, found.fields["time"].values), members=2)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.fields["thetao"].values[1], free["thetao"].values[1], atol=1e-5)
    assert float(np.nanmax(np.abs(found.fields["thetao"].values[0] - free["thetao"].values[0]))) > 1e-3


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_gridded_files_of_other_calendars_guide(run: DiffusionReconstructor, calendar: str) -> None:
    stamp = xr.date_range("2001-02-28", periods=1, freq="D", calendar=calendar, use_cftime=True)
    observed = cells().assign_coords(time=stamp)
    found = Assimilation(run, "dps").analyse(observed, members=1)
    assert found.guided_by == 4
    assert found.fields["time"].values[0] == stamp[0]
    rows = table(2, time="2001-02-28T11:00", latitude=32.2)
    assert Assimilation(run, "dps").analyse(rows, condition=observed, members=1).guided_by == 2
