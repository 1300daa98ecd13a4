"""Every registered reconstructor keeps the laws of the family on the tiny ocean: layout, members, seeds, save and load."""

import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from fewer_cases import few_cases

from driftfield.data.twin import observe
from driftfield.errors import UserError
from driftfield.interfaces import Abilities, Cannot, Reconstructor, TrainingData
from driftfield.reconstruction.calibration_cases import calibrate
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.output import with_quantiles
from driftfield.reconstruction.postprocess import smoothed
from driftfield.reconstruction.settings import Settings, check_ability, with_settings
from driftfield.registry import build, names, register
from driftfield.runs import load_reconstructor
from driftfield.sampling.tiles import TilesAsked
from driftfield.testing import check_reconstructor, tiny_ocean, tiny_training_data

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
OBSERVING = {"observe": {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, "error": 0.05}
TRAINED: dict[str, dict[str, Any]] = {
    "DiffusionReconstructor": {"network": NETWORK, "observing": OBSERVING, "validation_samples": 4},
    "RegressionReconstructor": {"network": NETWORK, "observing": OBSERVING, "validation_samples": 4},
    "TrajectoryReconstructor": {
        "network": NETWORK,
        "states": 3,
        "validation_samples": 4,
        "sampler": {"class": "DPMSolverPP2M", "evaluations": 16},
        "guidance": {"method": "mmps", "iterations": 2},
    },
    "ExpectationMaximisation": {
        "reconstructor": {
            "class": "DiffusionReconstructor",
            "network": NETWORK,
            "observing": OBSERVING,
            "validation_samples": 4,
        },
        "rounds": 1,
        "members": 1,
        "start": {"class": "Climatology"},
    },
    # no training: its weights have seen random worlds
    "AnyFieldReconstructor": {
        "network": {"class": "AnyFieldNetwork", "widths": [4, 6], "depths": [1, 1], "fine": 4, "summary": 8}
    },
    "SpaceTimeOptimalInterpolation": {"nearest": 24, "context": 1, "patterns": ["random:0.7"]},
    "EnsembleKalman": {"dynamics": {"class": "Standstill"}, "members": 8},
}


FITTED_TO_NOTHING = "AnyFieldReconstructor"


@register("dynamics")
class Standstill:
    """Every cell of `tiny_ocean` stays as it is, in steps of its dates."""

    step_days = 12.0
    size = int(tiny_ocean()["thetao"].notnull().any("time").sum())

    def advance(self, state: np.ndarray, steps: int = 1) -> np.ndarray:
        return state.copy()


def fitted_to_a_grid(method: Reconstructor) -> None:
    """Leaves out who knows neither variables nor a grid, and so nothing that could be missing from them."""
    if type(method).__name__ == FITTED_TO_NOTHING:
        pytest.skip("it is fitted to no archive; its own laws are in tests/models/test_any_field.py")


def fitted(name: str, data: TrainingData, folder: Path, **options: Any) -> Reconstructor:
    """A reconstructor with its defaults; where weights are trained, for a few steps only."""
    method = build("reconstructor", {"class": name, **TRAINED.get(name, {}), **options})
    if name == FITTED_TO_NOTHING:
        return method
    if method.abilities.needs_training:
        pytest.importorskip("lightning")
        from driftfield.training import LightningTrainer

        settings: dict[str, Any] = {
            "steps": 4,
            "batch_size": 2,
            "validate_every": 4,
            "loggers": (),
            "accelerator": "cpu",
        }
        method.fit(data, seed=1, trainer=LightningTrainer(**settings), folder=folder)
    else:
        with few_cases():
            method.fit(data, seed=1)
    return method


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return tiny_training_data(tiny_ocean(times=40))


@pytest.fixture(scope="module")
def truth(data: TrainingData) -> xr.Dataset:
    return data.archive.dataset.isel(time=data.test[:3])


@pytest.fixture(scope="module")
def observations(truth: xr.Dataset) -> xr.Dataset:
    return observe(truth, {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, error=0.05, seed=2)


@pytest.fixture(scope="module", params=names("reconstructor"))
def method(
    request: pytest.FixtureRequest, data: TrainingData, tmp_path_factory: pytest.TempPathFactory
) -> Reconstructor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fitted(request.param, data, tmp_path_factory.mktemp("run"))


def test_keeps_the_laws_of_the_family(method: Reconstructor, observations: xr.Dataset, truth: xr.Dataset) -> None:
    assert isinstance(method, Reconstructor)
    check_reconstructor(method, observations, truth)


def test_values_on_land_do_not_matter(method: Reconstructor, observations: xr.Dataset) -> None:
    """Whatever an observation file holds outside the domain, the ocean stays the same."""
    domain = observations["domain"].broadcast_like(observations["thetao"]).transpose(*observations["thetao"].dims)
    other = observations.copy(deep=True)
    other["thetao"] = other["thetao"].where(domain, 1e4)
    other["thetao_error"] = other["thetao_error"].where(domain, 0.1)
    expected, found = (method.reconstruct(part, members=2, seed=0) for part in (observations, other))
    np.testing.assert_allclose(found["thetao"].values, expected["thetao"].values, rtol=1e-5)


def test_is_found_again_by_its_run(method: Reconstructor, observations: xr.Dataset, tmp_path: Path) -> None:
    method.save(tmp_path / "run")
    loaded = load_reconstructor(tmp_path / "run")
    assert type(loaded) is type(getattr(method, "inner", method))
    a, b = (part.reconstruct(observations, members=2, seed=0)["thetao"].values for part in (method, loaded))
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_nothing_observed_is_an_answer_too(method: Reconstructor, observations: xr.Dataset) -> None:
    fitted_to_a_grid(method)
    blind = observations.copy(deep=True)
    for name in ("thetao", "thetao_error", "sst", "sst_error"):
        blind[name][:] = np.nan
    found = method.reconstruct(blind, members=2, seed=0)
    inside = observations["domain"].broadcast_like(found["thetao"]).transpose(*found["thetao"].dims)
    assert bool(np.isfinite(found["thetao"].where(inside, 0)).all())


BOXES: dict[str, dict[str, Any]] = {
    "inside": {"lat": slice(2, 6), "lon": slice(3, 9)},
    "a corner with land": {"lat": slice(0, 3), "lon": slice(0, 5)},
    "one column": {"lon": slice(7, 8)},
    "every other row": {"lat": slice(None, None, 2)},
}


@pytest.mark.parametrize("box", BOXES)
def test_a_part_of_a_file_gets_the_part_of_the_answer(
    method: Reconstructor, observations: xr.Dataset, box: str
) -> None:
    """What a file does not hold was not seen, and nothing else: the same members as of the whole file with NaN beyond the box."""
    fitted_to_a_grid(method)
    part = observations.isel(BOXES[box])
    inside = xr.DataArray(np.zeros((8, 12), bool), dims=("lat", "lon"))
    inside[BOXES[box]] = True
    shown = ("thetao", "thetao_error", "sst", "sst_error")
    blanked = observations.assign({name: observations[name].where(inside) for name in shown})
    found, whole = (method.reconstruct(one, members=3, seed=0) for one in (part, blanked))
    xr.testing.assert_allclose(found, whole.isel(BOXES[box]), rtol=0, atol=1e-5)


def test_a_file_larger_than_the_grid_is_cropped_with_a_line(
    method: Reconstructor, observations: xr.Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    """A row to the south and two columns to the east that the run does not know."""
    fitted_to_a_grid(method)
    expected = method.reconstruct(observations, members=2, seed=0)
    larger = observations.pad(lat=(1, 0), lon=(0, 2), mode="edge")
    lat, lon = 29.5 + 0.5 * np.arange(9), -40 + 0.5 * np.arange(14)
    larger = larger.assign_coords(
        lat=("lat", lat, observations["lat"].attrs), lon=("lon", lon, observations["lon"].attrs)
    )
    found = method.reconstruct(larger, members=2, seed=0)
    xr.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert "1 of 9 rows and 2 of 14 columns of the file lie beyond the grid of the run" in caplog.text


@pytest.mark.parametrize("damage", ["no target", "another grid", "no members"])
def test_a_users_mistake_is_a_users_error(method: Reconstructor, observations: xr.Dataset, damage: str) -> None:
    fitted_to_a_grid(method)
    members, given = 2, observations
    if damage == "no target":
        given = observations.drop_vars("thetao")
    elif damage == "another grid":
        given = observations.assign_coords(lat=observations["lat"] + 0.1)
    else:
        members = 0
    with pytest.raises(UserError):
        method.reconstruct(given, members=members, seed=0)


@pytest.mark.parametrize("name", names("reconstructor"))
def test_what_is_not_fitted_says_so(name: str, observations: xr.Dataset, tmp_path: Path) -> None:
    method = build("reconstructor", {"class": name, **TRAINED.get(name, {})})
    if name == FITTED_TO_NOTHING:
        pytest.skip("it is fitted to no archive")
    with pytest.raises(UserError, match="not fitted"):
        method.reconstruct(observations, members=2, seed=0)
    with pytest.raises(UserError, match="not fitted"):
        method.save(tmp_path)


def test_replacement_keeps_exact_observations(data: TrainingData, truth: xr.Dataset, tmp_path: Path) -> None:
    method = fitted("DiffusionReconstructor", data, tmp_path, replacement=True)
    exact = observe(truth, {"thetao": "profiles:0.7", "sst": "clouds:0.5"}, seed=2)
    found = method.reconstruct(exact, members=3, seed=0)
    seen = exact["thetao"].notnull().values
    for member in found["thetao_member"].values:
        np.testing.assert_allclose(member[seen], exact["thetao"].values[seen], atol=1e-4)


# -- settings: each is applied, or refused by its name ---------------------------------------------------------------------

SETTINGS = [field.name for field in fields(Abilities) if field.type in ("Ability", bool | Cannot)]


def test_what_a_method_cannot_do_it_gives_a_reason_for(method: Reconstructor) -> None:
    assert SETTINGS
    for name in SETTINGS:
        able = vars(method.abilities)[name]
        assert able is True or (isinstance(able, Cannot) and able.why), name
        if able is not True:
            with pytest.raises(UserError, match=f"{type(method).__name__} .*{able.why}: leave out --{name}"):
                check_ability(method, name, asked=f"--{name}")


def test_what_is_declared_is_what_is_there(method: Reconstructor) -> None:
    for name in ("sampler", "precision", "replacement"):
        assert hasattr(getattr(method, "inner", method), name) == bool(vars(method.abilities)[name]), name
    assert hasattr(getattr(method, "inner", method), "to") == bool(method.abilities.device)
    assert hasattr(method, "first_guess") == bool(method.abilities.first_guess)


def answers(method: Any, observations: xr.Dataset, **options: Any) -> xr.Dataset:
    found: xr.Dataset = method.reconstruct(observations, members=3, seed=0, **options)
    return found


@pytest.mark.parametrize("name", ["sampler", "precision", "replacement"])
def test_a_setting_is_applied_or_refused(method: Any, observations: xr.Dataset, tmp_path: Path, name: str) -> None:
    sampler = build("sampler", {"class": "HeunSampler", "evaluations": 7})
    value: Any = {"sampler": sampler, "precision": "bfloat16", "replacement": True}[name]
    method.save(tmp_path / "run")
    copied: Any = load_reconstructor(tmp_path / "run")
    if (
        name == "replacement"
    ):  # it imposes what was seen without an error, and says of other observations that it does nothing
        observations = observations.drop_vars([n for n in observations.data_vars if str(n).endswith("_error")])
    before = answers(copied, observations)
    if not vars(copied.abilities)[name]:
        with pytest.raises(UserError, match=f"leave out --{name}"):
            with_settings(copied, Settings(**{name: value}))
        return
    with_settings(copied, Settings(**{name: value}))
    after = answers(copied, observations)
    stated = {"sampler": "HeunSampler", "precision": "bfloat16", "replacement": "true"}[name]
    assert (before.attrs[name], after.attrs[name]) != (stated, stated)
    assert after.attrs[name] == stated
    if name == "sampler":
        assert not np.allclose(before["thetao_member"], after["thetao_member"], equal_nan=True)


def test_a_device_is_taken_or_refused_for_the_right_reason(method: Reconstructor) -> None:
    assert with_settings(method, Settings(device="cpu")).device == "cpu"
    with_settings(method, Settings(device="auto"))
    if method.abilities.device:
        return
    with pytest.raises(UserError, match=f"{type(method).__name__} computes on the processor"):
        with_settings(method, Settings(device="cuda"))


class Forgetful:
    """A keeper that remembers nothing, but that it was asked."""

    asked = 0

    def recall(self, members: Any) -> None:
        self.asked += 1

    def keep(self, members: Any, fields: Any) -> None:
        pass


@pytest.mark.parametrize("name", ["batch_size", "tiles", "chooses_times", "keeps_draws"])
def test_what_is_asked_of_draws_is_done_or_refused(method: Any, observations: xr.Dataset, name: str) -> None:
    keeper = Forgetful()
    option: dict[str, Any] = {
        "batch_size": {"batch_size": 1},
        # one that holds the whole grid
        "tiles": {"tiles": TilesAsked(1000, 8)},
        "chooses_times": {"times": [1]},
        "keeps_draws": {"keeper": keeper},
    }[name]
    able = vars(method.abilities)
    if not able["takes_draws"]:
        assert not able[name]
        assert not hasattr(method, "complete")
        return
    if not able[name]:
        with pytest.raises(UserError, match=f"takes no {next(iter(option))}: leave it out"):
            method.complete(observations, Draws(3, 0, **option))
        return
    whole, part = answers(method, observations), method.complete(observations, Draws(3, 0, **option))
    whole = whole.isel(time=[1]) if name == "chooses_times" else whole
    assert bool(keeper.asked) == (name == "keeps_draws")
    np.testing.assert_allclose(part["thetao"].values, whole["thetao"].values, atol=1e-4)


def test_quantiles_and_smoothing_are_written_or_refused(method: Reconstructor, observations: xr.Dataset) -> None:
    result = answers(method, observations)
    assert "smoothing_sigma_cells" in smoothed(result, 1.0, False).attrs
    if method.abilities.spreads:
        assert "thetao_quantile" in with_quantiles(result, [0.5])
        return
    with pytest.raises(UserError, match="one field and no spread: leave out --quantiles"):
        check_ability(method, "spreads", asked="--quantiles")


def test_a_calibration_is_applied_or_refused(
    method: Any, data: TrainingData, observations: xr.Dataset, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "cases": 3,
        "members": 3,
        "patterns": {name: ["random:0.5"] for name in ("thetao", "sst")},
    }
    if not method.abilities.spreads or not method.abilities.calibration:
        with pytest.raises(UserError, match=r"no spread|calibrated on: leave out calibration"):
            calibrate(method, data, **options)
        return
    method.save(tmp_path / "run")
    copied: Any = load_reconstructor(tmp_path / "run")
    raw = answers(copied, observations)
    copied.calibration = calibrate(copied, data, **options)
    copied.save(tmp_path / "calibrated")
    again: Any = load_reconstructor(tmp_path / "calibrated")
    for run in (copied, again):
        result = answers(run, observations)
        assert "calibration" in result.attrs
        np.testing.assert_allclose(result["thetao_sd"], copied.calibration.apply(raw)["thetao_sd"], rtol=1e-4)
    assert with_settings(again, Settings(raw=True)).calibration_left_out
    assert "calibration" not in answers(again, observations).attrs


@pytest.mark.parametrize("name", names("reconstructor"))
def test_bounds_are_kept(name: str, data: TrainingData, observations: xr.Dataset, tmp_path: Path) -> None:
    if name == FITTED_TO_NOTHING:
        with pytest.raises(UserError, match="not from an archive"):
            build("reconstructor", {"class": name, **TRAINED[name]}).fit(data)
        return
    low, high = (float(data.archive.dataset["thetao"].quantile(q)) for q in (0.3, 0.7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method = fitted(name, replace(data, bounds={"thetao": (low, high)}), tmp_path)
    method.save(tmp_path / "saved")
    result = answers(load_reconstructor(tmp_path / "saved"), observations)
    for label in ("thetao", "thetao_member"):
        assert low - 1e-4 <= float(result[label].min()) < float(result[label].max()) <= high + 1e-4, label
