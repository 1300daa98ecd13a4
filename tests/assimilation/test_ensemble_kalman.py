"""The peer is the plain filters and smoothers on a file: the same numbers, members that stay, runs that come back."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from driftfield.assimilation.kalman import (
    ETKF,
    EmulatorDynamics,
    EnsembleFilter,
    Localisation,
    Observing,
    StochasticEnKF,
    assimilate,
)
from driftfield.assimilation.kalman.ensemble_kalman import EnsembleKalman
from driftfield.cli import main
from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive, open_fields
from driftfield.errors import ConfigurationError, DataError, UserError
from driftfield.geometry import EARTH_RADIUS_KM as EARTH_RADIUS
from driftfield.interfaces import TrainingData
from driftfield.models.learner import Learner
from driftfield.networks.codecs import IncrementCodec
from driftfield.runs import load_reconstructor
from driftfield.trajectories.emulators import DeterministicEmulator
from driftfield.trajectories.transitions import successors
from driftfield.trajectories.whole_states import encoded_states
from driftfield.worlds.lorenz import Lorenz96, simulate_lorenz

WORLD = Lorenz96(variables=8)
SEEN = np.array([0, 2, 3, 6])
CIRCLE = 2 * np.pi * EARTH_RADIUS
EQUATIONS = {"class": "Lorenz96", "variables": 8}
FILTERS: dict[str, tuple[dict[str, Any], EnsembleFilter]] = {
    "etkf": ({}, ETKF(1.02, rotation=True)),
    "enkf": ({}, StochasticEnKF(1.02)),
    "letkf": ({"localisation_km": 2 * CIRCLE / 8}, ETKF(1.02, Localisation(2.0, 8))),
}


def training_data(**changes: Any) -> TrainingData:
    fields = simulate_lorenz(WORLD, steps=120, every=4)
    archive = GriddedArchive(fields, {"x": fields["x"].notnull().any("time")}, periodic=True)
    return TrainingData(
        **{"archive": archive, "train": np.arange(100), "validation": np.arange(100, 120), "targets": ("x",)} | changes
    )


def seen_file(dates: int = 9) -> xr.Dataset:
    """The first date shows nothing, so that the plain functions can begin there; every other the same cells."""
    truth = simulate_lorenz(WORLD, steps=dates, seed=3)
    shown = np.zeros(truth["x"].shape, bool)
    shown[1:, :, SEEN] = True
    noise = np.random.default_rng(0).standard_normal(shown.shape)
    y = (truth["x"] + noise).astype(np.float32).where(shown)
    return xr.Dataset(
        {"x": y.assign_attrs(truth["x"].attrs), "x_error": xr.where(shown, 1.0, np.nan) * xr.ones_like(y)}
    )


def fitted(**options: Any) -> EnsembleKalman:
    method = EnsembleKalman(**({"dynamics": EQUATIONS, "members": 6} | options))
    method.fit(training_data())
    return method


@pytest.mark.parametrize("lag", [0, 3, 20])
@pytest.mark.parametrize("name", FILTERS)
def test_it_is_the_plain_functions(name: str, lag: int) -> None:
    options, plain = FILTERS[name]
    method, file = fitted(filter=name, lag=lag, **options), seen_file()
    estimate = method.estimate(file, members=6, seed=4)["x"]
    mean, sd, members = estimate.mean, estimate.sd, estimate.members
    y = file["x"].values[1:, 0, SEEN].astype(float)
    last = len(y) - 1
    lags = range(min(lag, last) + 1)
    start = method.start(file["time"].values[0], 4)
    found = assimilate(WORLD, plain, start, y, Observing.of_variables(SEEN, 1.0), lags=lags, seed=4)
    # the latest dates have fewer later ones than the lag
    rows = [min(lag, last - cycle) for cycle in range(len(y))]
    cycles = range(len(y))
    assert mean is not None
    assert sd is not None
    assert members is not None
    tolerance = {"rtol": 1e-8} if options else {"rtol": 0, "atol": 0}
    np.testing.assert_allclose(mean[1:, 0], found.mean[rows, cycles], **tolerance)
    np.testing.assert_allclose(sd[1:, 0], found.sd[rows, cycles], **tolerance)
    if lag == 0:
        np.testing.assert_array_equal(members[:, 0, 0], start)


def test_steps_that_are_left_out_and_dates_in_any_order_change_nothing() -> None:
    method, file = fitted(), seen_file()
    whole = method.reconstruct(file.where(file["time"] != file["time"][4]), members=6)
    times = [0, 1, 2, 3, 5, 6, 7, 8]
    np.testing.assert_array_equal(method.reconstruct(file.isel(time=times), members=6)["x"], whole["x"][times])
    turned = method.reconstruct(file.isel(time=times[::-1]), members=6)
    np.testing.assert_array_equal(turned["x_member"], whole["x_member"][:, times[::-1]])


def test_fewer_members_are_the_first_and_more_come_from_further_ensembles() -> None:
    method, file = fitted(lag=2), seen_file()
    few, own, many = (method.reconstruct(file, members=count, seed=1) for count in (3, 6, 14))
    assert many.sizes["member"] == 14
    np.testing.assert_array_equal(few["x_member"], own["x_member"][:3])
    np.testing.assert_array_equal(many["x_member"][:6], own["x_member"])
    np.testing.assert_array_equal(few["x"], own["x"])
    np.testing.assert_array_equal(few["x_sd"], own["x_sd"])
    members = many["x_member"].values.reshape(14, -1)
    assert len(np.unique(members, axis=0)) == 14


def test_what_lies_outside_the_domain_is_never_looked_at() -> None:
    data = training_data()
    fields = data.archive.dataset
    land = xr.DataArray(
        np.arange(8)[None] != 5, dims=("lat", "lon"), coords={"lat": fields["lat"], "lon": fields["lon"]}
    )
    archive = GriddedArchive(fields.where(land), {"x": land}, periodic=True)
    method = EnsembleKalman({"class": "Lorenz96", "variables": 7}, members=6)
    method.fit(training_data(archive=archive))
    file = seen_file()
    wild = file.fillna({"x": 1e3}).where(land | file["x"].isnull(), 1e3)
    shown = wild["x"].where(file["x"].notnull() | ~land)
    other = file.assign(x=shown, x_error=file["x_error"].fillna(1.0))
    a, b = (method.reconstruct(part, members=6)["x"].values for part in (file, other))
    np.testing.assert_array_equal(a, b)
    assert np.isnan(a[..., 5]).all()
    assert np.isfinite(np.delete(a, 5, axis=-1)).all()


def test_an_exact_observation_is_nearly_kept() -> None:
    file = seen_file(2)[["x"]]
    found = fitted(members=40).reconstruct(file, members=2)
    shown = file["x"].notnull().values
    np.testing.assert_allclose(found["x"].values[shown], file["x"].values[shown], atol=0.01)


def emulator_run(folder: Path) -> Path:
    """A run of an emulator whose network was never trained."""
    data: Any = training_data()
    emulator = DeterministicEmulator({"class": "CircleUNet", "widths": [4], "depths": [1]}, {"class": "ZScore"})
    codec = FieldCodec.fit(data.archive, data.train, ("x",), (), emulator.normalizer)
    states, (now, then) = encoded_states(data.archive, codec), successors(data.archive, data.train)
    emulator._increments = IncrementCodec.fit(states[then], states[now])
    emulator.learner = Learner(codec, emulator.build_model(codec).eval())
    emulator.save(folder)
    return folder


def test_an_emulator_steps_and_its_run_comes_along(tmp_path: Path) -> None:
    run = emulator_run(tmp_path / "emulator")
    method = EnsembleKalman({"run": str(run)}, members=6, lag=2)
    method.fit(training_data())
    file = seen_file(4)
    file = file.assign_coords(time=file["time"].values[0] + np.arange(4) * np.timedelta64(1, "D"))
    mean = method.estimate(file, members=6, seed=2)["x"].mean
    start, y = file["time"].values[0], file["x"].values[1:, 0, SEEN].astype(float)
    dynamics = EmulatorDynamics(method._emulator, start, seed=2)  # type: ignore[arg-type]
    plain = assimilate(
        dynamics,
        ETKF(1.02, rotation=True),
        method.start(start, 2),
        y,
        Observing.of_variables(SEEN, 1.0),
        lags=[2],
        seed=2,
    )
    assert mean is not None
    np.testing.assert_array_equal(mean[1, 0], plain.mean[0, 0])
    method.save(tmp_path / "run")
    shutil.rmtree(run)
    loaded = load_reconstructor(tmp_path / "run")
    expected = method.reconstruct(file, members=6, seed=1)
    np.testing.assert_array_equal(loaded.reconstruct(file, members=6, seed=1)["x_member"], expected["x_member"])
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / "run.json").read_text() == (tmp_path / "run" / "run.json").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dynamics": {"class": "Lorenz69"}}, "Unknown dynamics 'Lorenz69'.*Lorenz96"),
        ({"dynamics": {"class": "Lorenz96", "force": 8}}, "no argument 'force'"),
        ({"dynamics": {}}, r"expected \{class: NAME\}"),
        ({"dynamics": {"class": "Lorenz96", "run": "here"}}, r"expected \{class: NAME\}"),
        ({"dynamics": "Lorenz96"}, r"expected \{class: NAME\}"),
        ({"filter": "kalman"}, "Unknown filter 'kalman': expected one of"),
        ({"filter": "letkf"}, "without localisation_km"),
        ({"localisation_km": 500}, "take 'letkf'"),
        ({"filter": "letkf", "localisation_km": -1}, "radius"),
        ({"members": 1}, "members=1: expected a whole number, 2 or more"),
        ({"lag": -1}, "lag=-1"),
        ({"states": 5}, "states=5 for 6 members"),
        ({"inflation": 0}, "inflation=0"),
        ({"inflation": "1"}, "inflation='1'"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        EnsembleKalman(**({"dynamics": EQUATIONS, "members": 6} | options))


def test_dynamics_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"steps states of 40 variables, and the archive has 8 cells"):
        fitted(dynamics={"class": "Lorenz96"})
    with pytest.raises(ConfigurationError, match=r"steps states of 88 variables.*a part of the state is hidden"):
        fitted(dynamics={"class": "TwoScaleLorenz96", "variables": 8})
    with pytest.raises(DataError, match=r"dates of the archive are not whole steps of 0.7 days"):
        fitted(dynamics=EQUATIONS | {"step": 0.14})
    with pytest.raises(ConfigurationError, match="100 training dates for 101 members"):
        fitted(members=101)
    with pytest.raises(UserError, match="not a run"):
        fitted(dynamics={"run": str(tmp_path / "nowhere")})
    fitted().save(tmp_path / "filter")
    with pytest.raises(ConfigurationError, match="does not step in time"):
        fitted(dynamics={"run": str(tmp_path / "filter")})
    run = emulator_run(tmp_path / "emulator")
    data: Any = training_data()
    other = data.archive.dataset.assign_coords(lon=data.archive.dataset["lon"] + 10)
    method = EnsembleKalman({"run": str(run)}, members=6)
    with pytest.raises(DataError, match="other cells: expected the same"):
        method.fit(training_data(archive=GriddedArchive(other, {"x": other["x"].notnull().any("time")}, periodic=True)))


def test_dates_between_the_steps_are_refused_and_covariates_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    method, file = fitted(), seen_file()
    odd = file.assign_coords(time=file["time"] + np.arange(9) * np.timedelta64(2, "h"))
    with pytest.raises(DataError, match=r"dates of the observations are not whole steps of 0.25 days"):
        method.reconstruct(odd, members=2)
    twice = file.assign_coords(time=file["time"].values[[0, 1, 1, 3, 4, 5, 6, 7, 8]])
    with pytest.raises(DataError, match="one is there twice"):
        method.reconstruct(twice, members=2)
    method.fit(training_data(covariates=("sst",)))
    assert "knows no covariates: sst are left out" in caplog.text


Command = Callable[..., None]


@pytest.fixture
def driftfield(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command as typed, in a folder with a filter's reconstruction of a short series."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> None:
        monkeypatch.setattr(sys, "argv", ["driftfield", *line.split()])
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        assert not code, capsys.readouterr().err

    recipe = Path(__file__).parents[2] / "recipes" / "lorenz96_etkf.yaml"
    run("simulate lorenz96 l.nc --steps 800")
    run("simulate lorenz96 t.nc --steps 120 --seed 1")
    run("mask t.nc o.nc --observe x=random:0.5 --error 1")
    run(f"train {recipe} --out run --set data.archive=l.nc --set reconstructor.lag=5")
    run("reconstruct run o.nc --out e.nc --members 8")
    return run


def test_the_recipe_finds_its_way_from_the_climate(driftfield: Command) -> None:
    found, truth = open_fields("e.nc"), open_fields("t.nc")
    assert found.attrs["method"] == "ensemble_kalman"
    assert found["x_member"].shape == (8, 120, 1, 40)
    error = (found["x"] - truth["x"]).isel(time=slice(60, None))
    # the climate is 3.6 wide, an observation is off by 1, and half of the cells are hidden
    assert float((error**2).mean() ** 0.5) < 0.4


@pytest.mark.slow
def test_it_stands_in_reports_and_comparisons(driftfield: Command) -> None:
    driftfield("evaluate t.nc e.nc --observations o.nc --out scores")
    scores = json.loads(Path("scores/scores.json").read_text(encoding="utf-8"))
    assert "ensemble_kalman" in json.dumps(scores)
    compared = {
        "title": "Lorenz-96",
        "seed": 0,
        "members": 4,
        "data": {"archive": "l.nc", "targets": ["x"], "split": {"class": "TimeSplit", "validation": 0.1, "test": 0.1}},
        "truth": {"archive": "t.nc"},
        "settings": {"half": {"observe": {"x": "random:0.5"}, "error": 1.0}},
        "methods": {
            "climatology": {"class": "Climatology"},
            "ETKF": {"class": "EnsembleKalman", "dynamics": {"class": "Lorenz96"}, "members": 40},
        },
    }
    Path("compare.yaml").write_text(yaml.safe_dump(compared, sort_keys=False), encoding="utf-8")
    driftfield("compare compare.yaml --out table.md")
    assert "ETKF" in Path("table.md").read_text(encoding="utf-8")
