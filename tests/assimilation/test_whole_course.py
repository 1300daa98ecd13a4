"""A smoother and a table: on cells and dates it is the gridded file, between them it is what linear interpolation sees."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.assimilation.analysis import Assimilation
from driftfield.cli import main
from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive, open_fields, write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError, DataError
from driftfield.models.learner import Learner
from driftfield.observations.gridded import table_of_cells
from driftfield.observations.table import ObservationTable
from driftfield.observations.withholding import Withholding
from driftfield.trajectories.trajectory import TrajectoryReconstructor
from driftfield.worlds.lorenz import Lorenz96, simulate_lorenz

NETWORK = {"class": "CircleUNet", "widths": [8, 8], "depths": [1, 1], "embedding": 8}
SAMPLER = {"class": "DPMSolverPP2M", "evaluations": 6}
GUIDANCE = {"method": "mmps", "iterations": 2, "damping": 0.3}


@pytest.fixture(scope="module")
def world() -> xr.Dataset:
    return simulate_lorenz(Lorenz96(variables=12), steps=60)


def untrained(world: xr.Dataset, **changes: Any) -> TrajectoryReconstructor:
    """Random weights: what states have to do with each other is nothing that the world knows, but it is something."""
    domain = xr.DataArray(np.ones((1, 12), bool), dims=("lat", "lon"))
    archive = GriddedArchive(world, {"x": domain}, periodic=True)
    arguments = {"states": 3, "normalizer": {"class": "ZScore"}, "sampler": SAMPLER, "guidance": GUIDANCE} | changes
    run = TrajectoryReconstructor(NETWORK, **arguments)
    codec = FieldCodec.fit(archive, np.arange(60), ("x",), (), run.normalizer)
    torch.manual_seed(0)
    run.learner = Learner(codec, run.build_model(codec).eval())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in run.model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return run


@pytest.fixture(scope="module")
def smoother(world: xr.Dataset) -> TrajectoryReconstructor:
    return untrained(world)


@pytest.fixture(scope="module")
def gridded(world: xr.Dataset) -> xr.Dataset:
    return observe(world.isel(time=slice(11, 17)), {"x": "random:0.5"}, error=0.5, seed=1)


def table(gridded: xr.Dataset) -> ObservationTable:
    return table_of_cells(gridded, ("x",))


def test_points_on_cells_and_dates_are_the_gridded_file(smoother: TrajectoryReconstructor, gridded: xr.Dataset) -> None:
    wanted = smoother.reconstruct(gridded, members=2, seed=3)
    made = Assimilation(smoother)
    for observations in (table(gridded), gridded, gridded.isel(time=[2, 0, 1, 3, 4, 5])):
        found = made.analyse(observations, members=2, seed=3)
        assert found.guided_by == len(table(gridded)) == int(gridded["x"].notnull().sum())
        np.testing.assert_allclose(found.fields.sortby("time")["x_member"].values, wanted["x_member"].values, atol=2e-4)
    attrs = found.fields.attrs
    assert attrs["method"] == "assimilation_mmps"
    assert attrs["network_evaluations"] == wanted.attrs["network_evaluations"] == 7 * (1 + 2 * 2)


def test_between_two_dates_an_observation_speaks_of_both(
    smoother: TrajectoryReconstructor, gridded: xr.Dataset
) -> None:
    """A single row in the middle of a step: the two states change, by as much as each other in their mean."""
    dates = gridded["time"].values
    rows = ObservationTable.of(
        longitude=90.0, latitude=0.0, time=dates[2] + (dates[3] - dates[2]) // 2, variable="x", value=[14.0], error=0.1
    )
    found = Assimilation(smoother).analyse(rows, times=dates, members=4, seed=1).fields["x"].sel(lon=90).values[:, 0]
    both = Assimilation(smoother).analyse(rows, members=1, seed=1).fields
    np.testing.assert_array_equal(both["time"].values, dates[2:4])
    # far from what the prior knows: the mean of the two is what was seen, and neither of them alone
    assert found[2:4].mean() == pytest.approx(14, abs=1.5)
    assert abs(found[[0, 1, 4, 5]].mean()) < 5


def test_what_is_withheld_is_scored_where_and_when_it_was(
    smoother: TrajectoryReconstructor, gridded: xr.Dataset
) -> None:
    rows = table(gridded)

    def some(used: ObservationTable) -> Withholding:
        hidden = np.arange(len(used)) % 4 == 0
        return Withholding(~hidden, hidden, np.zeros(len(used), dtype=bool))

    found = Assimilation(smoother).analyse(rows, members=3, withhold=some)
    hidden = rows.select(np.arange(len(rows)) % 4 == 0)
    mean = [
        float(found.fields["x"].sel(time=t, lon=lon).item())
        for t, lon in zip(hidden.time.astype("datetime64[s]"), hidden.longitude, strict=True)
    ]
    assert found.withheld["x"].count == len(hidden)
    assert found.withheld["x"].bias == pytest.approx(float(np.mean(np.array(mean) - hidden.value)), abs=1e-4)
    wild = rows.select(np.arange(len(rows)))
    wild.value[np.arange(len(rows)) % 4 == 0] = 9.0
    other = Assimilation(smoother).analyse(wild, members=3, withhold=some)
    xr.testing.assert_equal(found.fields, other.fields)


def test_a_slice_of_dates_cuts_the_course(smoother: TrajectoryReconstructor, gridded: xr.Dataset) -> None:
    rows, dates = table(gridded), gridded["time"].values
    found = Assimilation(smoother).analyse(rows, times=slice(str(dates[1]), str(dates[4])), members=1)
    np.testing.assert_array_equal(found.fields["time"].values, dates[1:5])
    outside = int(np.isin(rows.time.astype("datetime64[s]"), dates[[0, 5]].astype("datetime64[s]")).sum())
    assert found.fields.attrs["observations_far_from_dates"] == outside > 0
    with pytest.raises(DataError, match="None of the observations lies between"):
        Assimilation(smoother).analyse(rows, times=np.array(["2010-01-01"], "datetime64[s]"), members=1)


def test_a_course_in_another_calendar(smoother: TrajectoryReconstructor, gridded: xr.Dataset) -> None:
    stamps = xr.date_range("2000-02-28", periods=6, freq="6h", calendar="noleap", use_cftime=True)
    found = Assimilation(smoother).analyse(gridded.assign_coords(time=stamps), members=1, seed=3)
    assert found.guided_by == len(table(gridded))
    assert found.fields["time"].values[-1] == stamps[-1]


def test_a_prior_of_the_preconditioner_is_drawn_once(
    world: xr.Dataset, gridded: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = untrained(world, guidance={"method": "prior_covariance", "samples": 12, "rank": 4})
    drawn: list[int] = []
    denoiser = run.denoiser
    monkeypatch.setattr(run, "denoiser", lambda d, t, n, w: drawn.append(n) or denoiser(d, t, n, w))  # type: ignore[func-returns-value]
    together = run.reconstruct(gridded, members=4, seed=5)
    assert drawn == [4, 12]
    drawn.clear()
    # six states make four windows of three: two members at a time, and so of the prior
    parts = run.reconstruct(gridded, members=4, seed=5, batch_size=8)
    assert sum(drawn) == 4 + 12
    assert max(drawn) == 2
    xr.testing.assert_allclose(together["x_member"], parts["x_member"], atol=1e-3)


def test_the_command(
    smoother: TrajectoryReconstructor,
    gridded: xr.Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    smoother.save(Path("run"))
    table(gridded).to_frame().to_csv("points.csv", index=False)
    write_dataset(gridded, Path("gridded.nc"))

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["driftfield", "assimilate", *arguments])
        capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            said = capsys.readouterr()
            return int(end.code or 0), said.err or said.out
        return 0, capsys.readouterr().out

    for file, out in (("points.csv", "a.nc"), ("gridded.nc", "b.nc")):
        code, told = run("run", file, "--members", "2", "--withhold", "0.3", "--by", "region", "--out", out)
        assert code == 0, told
        assert "guide 6 date(s)" in told
    a, b = (open_fields(Path(name)) for name in ("a.nc", "b.nc"))
    np.testing.assert_allclose(a["x_member"].values, b["x_member"].values, atol=2e-4)
    assert a.attrs["guidance"] == "mmps"
    code, told = run("run", "points.csv", "--window-days", "2", "--out", "c.nc")
    assert (code, "sees an observation where it lies" in told) == (2, True)
    code, told = run("run", "gridded.nc", "--points", "points.csv", "--out", "c.nc")
    assert (code, "is shown nothing" in told) == (2, True)


def test_what_makes_no_sense_is_refused(smoother: TrajectoryReconstructor, gridded: xr.Dataset) -> None:
    with pytest.raises(ConfigurationError, match="Leave it out"):
        Assimilation(smoother, window_days=1)
    with pytest.raises(ConfigurationError, match="shown nothing"):
        Assimilation(smoother).analyse(table(gridded), condition=gridded)
