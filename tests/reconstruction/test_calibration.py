"""A spread that is k times too small is found to be so, an honest one is left alone, and nothing else is touched."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
import yaml
from commands import Command, hearing_all

from driftfield.checkpoint import Run
from driftfield.data.sources import GriddedArchive, write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError, DataError, FileFormatError
from driftfield.evaluate.evaluation import evaluate
from driftfield.evaluate.scores.ensembles import spread_skill_bins
from driftfield.interfaces import TrainingData
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.peers.climatology import Climatology
from driftfield.peers.linear import LinearInterpolation
from driftfield.plain import JSONObject
from driftfield.reconstruction.calibration import Calibration, CalibrationCells, LevelMap
from driftfield.reconstruction.calibration_cases import calibrate
from driftfield.reconstruction.calibration_fit import conformal_quantile, fit_calibration, fit_level
from driftfield.reconstruction.output import Estimate, assemble
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean, tiny_training_data

DATES, CELLS = 20, 300
HIDE = {"thetao": ["random:0.5"], "sst": ["random:0.5"]}


def ensemble(
    *, k: float = 1.0, bias: float = 0.0, members: int = 16, varied: bool = False, power: float = 1.0, seed: int = 0
) -> CalibrationCells:
    """Members from N(centre, s^2), the truth from N(centre + bias, (k s^power)^2)."""
    rng = np.random.default_rng(seed)
    size = DATES * CELLS
    s = np.exp(0.7 * rng.standard_normal(size)) if varied else np.ones(size)
    centre = rng.standard_normal(size)
    x = centre + s * rng.standard_normal((members, size))
    truth = centre + bias + k * s**power * rng.standard_normal(size)
    return CalibrationCells(truth, x.mean(0), x.std(0, ddof=1), np.repeat(np.arange(DATES), CELLS), x)


@pytest.mark.parametrize("k", [0.6, 1.0, 1.5])
@pytest.mark.parametrize("members", [4, 16])
def test_the_inflation_is_found(k: float, members: int) -> None:
    # the mean of M members has an error of its own, sigma^2 / M, which is not k times larger
    expected = np.sqrt((k**2 + 1 / members) / (1 + 1 / members))
    found = fit_level(None, ensemble(k=k, members=members))
    assert found.inflation == pytest.approx(expected, rel=4 / np.sqrt(2 * DATES * CELLS))
    assert found.power == 1.0


def test_it_is_k_itself_for_a_spread_that_is_stated() -> None:
    cells = replace(ensemble(k=1.5), members=None)
    cells = replace(cells, sd=np.ones(len(cells)))
    # the mean of the 16 members errs by itself
    assert fit_level(None, cells).inflation == pytest.approx(np.sqrt(1.5**2 + 1 / 16), rel=0.03)


@pytest.mark.parametrize("bias", [-0.5, 0.3])
def test_the_bias_is_found(bias: float) -> None:
    found = fit_level(None, ensemble(bias=bias, varied=True))
    assert found.bias == pytest.approx(bias, abs=4 * 1.6 / np.sqrt(DATES * CELLS))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("varied", [False, True])
def test_an_honest_ensemble_is_left_alone(varied: bool, seed: int) -> None:
    found = fit_level(None, ensemble(varied=varied, seed=seed))
    assert abs(found.bias) < 0.05
    assert found.inflation == pytest.approx(1, abs=0.03)
    assert found.power == pytest.approx(1.0, abs=0.11)


@pytest.mark.parametrize("power", [0.6, 1.4])
def test_a_spread_that_varies_too_much_or_too_little_is_bent(power: float) -> None:
    cells = ensemble(power=power, varied=True)
    found = fit_level(None, cells)
    assert found.power == pytest.approx(power, abs=0.11)
    before, after = (np.abs(np.log(ratios(part))).max() for part in (cells, found(cells)))
    assert after < 0.5 * before
    assert before > 0.3


def ratios(cells: CalibrationCells) -> np.ndarray:
    """Spread over skill in five bins of spread."""
    members, truth = xr.DataArray(cells.members, dims=("member", "cell")), xr.DataArray(cells.truth, dims="cell")
    return spread_skill_bins(members, truth)["ratio"].values


@pytest.mark.parametrize(
    "case", [{}, {"k": 1.5}, {"k": 0.6, "bias": 0.4}, {"power": 0.6, "k": 1.3, "varied": True}, {"bias": 0.02}]
)
def test_a_second_calibration_is_the_identity(case: dict[str, Any]) -> None:
    cells = ensemble(**case)
    once = fit_level(None, cells)(cells)
    again = fit_level(None, once)
    assert again.bias == pytest.approx(0, abs=1e-3)
    assert again.inflation == pytest.approx(1, abs=5e-3)
    assert again.power == 1.0
    np.testing.assert_allclose(again(once).members, once.members, rtol=0.01, atol=0.02)


def test_members_keep_their_shape() -> None:
    cells = ensemble(k=1.5, bias=0.4)
    level = fit_level(None, cells)
    after = level(cells)
    assert level.power == 1.0
    np.testing.assert_allclose(after.members - after.mean, level.inflation * (cells.members - cells.mean))
    np.testing.assert_allclose(after.members.mean(0), after.mean)
    np.testing.assert_allclose(after.members.std(0, ddof=1), after.sd)


def test_few_dates_say_nothing_of_a_bias() -> None:
    cells = ensemble(bias=0.4)
    assert fit_level(None, cells.at(cells.time < 2)).bias == 0.0


def test_a_level_that_is_hardly_seen_follows_its_variable() -> None:
    cells = ensemble(k=1.5, bias=0.5)
    found = fit_calibration({"thetao": {10.0: cells, 40.0: cells.at(np.arange(30)), 90.0: cells.at(np.arange(0))}})
    own, few, none = found.levels["thetao"]
    assert (own.cells, few.cells, none.cells) == (len(cells), 0, 0)
    assert few.inflation == none.inflation == pytest.approx(1.47, abs=0.1)
    assert few.bias == none.bias == 0.0
    with pytest.raises(DataError, match="was hidden"):
        fit_calibration({"thetao": {10.0: cells.at(np.arange(0))}})


def test_levels_that_do_not_clearly_differ_share_their_inflation() -> None:
    scaled = []
    for depth in range(4):
        cells, scale = ensemble(k=1.3, seed=depth), 10.0**-depth
        parts = (scale * part for part in (cells.truth, cells.mean, cells.sd))
        scaled.append(CalibrationCells(*parts, cells.time, scale * cells.members))
    scaled.append(ensemble(k=0.7, seed=9))
    found = [one.inflation for one in fit_calibration({"t": dict(enumerate(scaled))}).levels["t"]]
    assert found[:4] == pytest.approx([1.28] * 4, abs=0.03)
    assert found[4] == pytest.approx(0.72, abs=0.03)


def test_a_slow_drift_over_the_dates_is_no_bias() -> None:
    cells = ensemble()
    wave = np.sin(2 * np.pi * (cells.time + 3) / 35)
    drifting = replace(cells, truth=cells.truth + wave)
    assert abs(wave.mean()) > 0.3
    assert fit_level(None, drifting).bias == 0.0
    assert fit_calibration({"t": {None: ensemble(bias=0.5)}}, bias=False).levels["t"][0].bias == 0.0


# -- intervals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "coverage"), [(9, 0.9), (30, 0.9), (30, 0.5), (101, 0.8)])
def test_an_interval_holds_what_it_states(size: int, coverage: float) -> None:
    scores = np.abs(np.random.default_rng(0).standard_normal((4000, size + 1)))
    held = [row[-1] <= conformal_quantile(row[:-1], coverage) for row in scores]
    # exactly ceil((n + 1) c) / (n + 1) in the mean
    assert np.mean(held) == pytest.approx(np.ceil((size + 1) * coverage) / (size + 1), abs=0.02)
    assert np.mean(held) >= coverage - 3 * np.sqrt(coverage * (1 - coverage) / 4000)


def test_dates_that_err_together_need_intervals_by_date() -> None:
    rng = np.random.default_rng(1)
    dates = np.repeat(np.arange(12), 50)
    held: dict[str, list[float]] = {"cell": [], "time": []}
    for _ in range(800):
        size = np.exp(2 * rng.standard_normal(13))[:, None]  # how bad a date is
        scores = np.abs(size * rng.standard_normal((13, 50)))
        for by, groups in (("cell", None), ("time", dates)):
            held[by].append(np.mean(scores[12] <= conformal_quantile(scores[:12].ravel(), 0.9, groups)))
    assert np.mean(held["cell"]) < 0.895
    assert np.mean(held["time"]) >= 0.9


def test_too_few_for_an_interval() -> None:
    assert conformal_quantile(np.arange(8.0), 0.9) == np.inf
    assert conformal_quantile(np.arange(9.0), 0.9) == 8.0
    assert conformal_quantile(np.arange(40.0), 0.9, np.repeat(np.arange(8), 5)) == np.inf
    cells = ensemble()
    with pytest.raises(DataError, match=r"3 dates of 'sst' are too few for intervals of 0\.9: expected 9"):
        fit_calibration({"sst": {None: cells.at(cells.time < 3)}}, coverage=0.9, by_time=True)


# -- applying ----------------------------------------------------------------------------------------------------------


def result(members: int = 6) -> xr.Dataset:
    """A reconstruction of thetao at two levels with land, and one cell that all members agree on."""
    fields = tiny_ocean(times=3)
    domain = fields["thetao"].notnull().any("time")
    seen = observe(fields[["thetao"]], {"thetao": "random:0.5"}, domain={"thetao": domain})
    drawn = np.random.default_rng(0).standard_normal((members, *fields["thetao"].shape)).astype("f4")
    drawn[:, 1, 0, 5, 5] = 2.5
    return assemble(seen, {"thetao": Estimate(members=drawn)}, method="x", seed=0, members=members)


def level(depth: float | None, **changed: Any) -> LevelMap:
    return replace(LevelMap(depth, 0.5, 2.0, 1.0, 0.5, 1.0, 1.5, 1000), **changed)


def test_land_stays_land_and_certainty_stays_certain() -> None:
    before = result()
    copy = before.copy(deep=True)
    calibration = Calibration({"thetao": (level(10.0), level(40.0, inflation=0.5))}, 0.9, {"cases": 3, "members": 6})
    calibration = replace(
        calibration, levels={"thetao": tuple(replace(m, quantile=2.0) for m in calibration.levels["thetao"])}
    )
    after = calibration.apply(before)
    xr.testing.assert_identical(before, copy)
    for name in ("thetao", "thetao_sd", "thetao_member", "thetao_lower", "thetao_upper"):
        like = before["thetao_member" if name.endswith("member") else "thetao"]
        np.testing.assert_array_equal(after[name].isnull(), like.isnull())
        assert after[name].dtype == np.float32
    assert after["thetao_member"].encoding == before["thetao_member"].encoding
    np.testing.assert_allclose(after["thetao_sd"][:, 0], 2.0 * before["thetao_sd"][:, 0], rtol=1e-5)
    np.testing.assert_allclose(after["thetao_sd"][:, 1], 0.5 * before["thetao_sd"][:, 1], rtol=1e-5)
    np.testing.assert_allclose(after["thetao_member"].std("member", ddof=1), after["thetao_sd"], rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(after["thetao_member"][:, 1, 0, 5, 5], 2.5)
    shift = (after["thetao"] - before["thetao"]).values
    assert shift[1, 0, 5, 5] == 0
    assert np.nanmax(shift) == pytest.approx(0.5, abs=1e-5)
    width = after["thetao_upper"] - after["thetao_lower"]
    np.testing.assert_allclose(width, 4.0 * before["thetao_sd"], rtol=1e-3, atol=1e-5)
    assert after.attrs["calibration"] == "spread and bias of the validation split (3 cases, 6 members)"


def test_a_calibrated_member_depends_on_the_whole_ensemble() -> None:
    """Member 0 of two and of six: the same as drawn, not the same once its distance from their mean is scaled."""
    calibration = Calibration({"thetao": (level(10.0), level(40.0))}, None, {"cases": 3, "members": 6})
    drawn = result()["thetao_member"].values
    parts = []
    for members in (2, 6):
        fields = result().isel(member=slice(members))
        shown = {"thetao": Estimate(None, None, drawn[:members])}
        parts.append(
            assemble(fields.assign(domain=fields["thetao"].notnull()), shown, method="x", seed=0, members=members)
        )
    raw = [part["thetao_member"][0] for part in parts]
    scaled = [calibration.apply(part)["thetao_member"][0] for part in parts]
    xr.testing.assert_equal(*raw)
    assert float(abs(scaled[0] - scaled[1]).max()) > 0.1


def test_a_single_answer_stays_as_it_is() -> None:
    before = result(members=1)
    after = Calibration({"thetao": (level(10.0), level(40.0))}, 0.9, {}).apply(before)
    assert after.attrs["calibration"] == "not applied: no spread"
    xr.testing.assert_equal(before, after)


def test_other_levels_are_refused() -> None:
    with pytest.raises(DataError, match=r"at 40\.0 m was not calibrated"):
        Calibration({"thetao": (level(10.0), level(55.0))}, None, {}).apply(result())


def test_the_factor_is_smooth_and_bounded() -> None:
    one = level(None, power=0.5)
    factor = one.factor(np.linspace(0, 10, 2001))
    assert np.abs(np.diff(factor)).max() < 0.02
    assert factor[0] == pytest.approx(2 * np.sqrt(2))
    assert factor[-1] == pytest.approx(2 / np.sqrt(1.5))


# -- the validation split ----------------------------------------------------------------------------------------------


@pytest.fixture
def data() -> TrainingData:
    return tiny_training_data(tiny_ocean(times=60, shape=(12, 18)))


@pytest.fixture
def peer(data: TrainingData) -> Climatology:
    method = Climatology(refit=False)
    method.fit(data)
    return method


def test_the_calibration_is_kept_and_applied(peer: Climatology, data: TrainingData, tmp_path: Path) -> None:
    seen = observe(data.archive.dataset.isel(time=data.test[:2]), {"thetao": "random:0.5"}, domain=data.archive.domains)
    raw = peer.reconstruct(seen, members=8, seed=3)
    peer.save(tmp_path)
    assert load_reconstructor(tmp_path).calibration is None
    peer.calibration = calibrate(peer, data, cases=5, patterns=HIDE, coverage=0.8)
    calibrated = peer.reconstruct(seen, members=8, seed=3)
    assert not np.allclose(calibrated["thetao_sd"], raw["thetao_sd"], equal_nan=True)
    peer.save(tmp_path)
    loaded = load_reconstructor(tmp_path)
    assert loaded.calibration == peer.calibration
    xr.testing.assert_equal(loaded.reconstruct(seen, members=8, seed=3), calibrated)
    loaded.calibration = None
    xr.testing.assert_equal(loaded.reconstruct(seen, members=8, seed=3), raw)
    found = peer.calibration.about
    assert (found["cases"], found["members"], found["patterns"]["thetao"]) == (5, 16, ["random:0.5"])
    assert set(found["scores"]["thetao"]) == {"raw", "calibrated"}
    assert len(found["scores"]["thetao"]["raw"]["spread_skill_bins"]) == 5


def test_neither_test_nor_training_dates_are_read(peer: Climatology, data: TrainingData) -> None:
    expected = calibrate(peer, data, cases=4, patterns=HIDE)
    fields = data.archive.dataset.load()
    elsewhere = np.setdiff1d(np.arange(fields.sizes["time"]), data.validation)
    spoiled = fields.copy(deep=True)
    for name in spoiled.data_vars:
        spoiled[name][elsewhere] = spoiled[name][elsewhere] + 100
    archive = GriddedArchive(spoiled, data.archive.domains, periodic=False)
    assert calibrate(peer, replace(data, archive=archive), cases=4, patterns=HIDE) == expected


def test_a_method_that_has_seen_the_validation_split_is_judged_by_its_twin(
    peer: Climatology, data: TrainingData
) -> None:
    knowing = Climatology(refit=True)
    knowing.fit(data)
    before = knowing.background
    assert calibrate(knowing, data, cases=4, patterns=HIDE) == calibrate(peer, data, cases=4, patterns=HIDE)
    assert knowing.background is before
    assert knowing.calibration is None


def test_it_is_fitted_to_the_raw_method(peer: Climatology, data: TrainingData) -> None:
    first = calibrate(peer, data, cases=4, patterns=HIDE)
    peer.calibration = first
    assert calibrate(peer, data, cases=4, patterns=HIDE) == first


def test_a_method_that_looks_at_other_dates_sees_them(peer: Climatology, data: TrainingData) -> None:
    class Neighbours(Climatology):
        abilities = replace(Climatology.abilities, uses_other_times=True)
        saw: ClassVar[list[int]] = []

        def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> Any:
            self.saw.append(observations.sizes["time"])
            return super().estimate(observations, members=members, seed=seed)

    method = Neighbours(refit=False)
    method.fit(data)
    assert (
        calibrate(method, data, cases=4, patterns=HIDE).levels == calibrate(peer, data, cases=4, patterns=HIDE).levels
    )
    assert method.saw == [len(data.validation)]


def test_what_cannot_be_calibrated_is_said(peer: Climatology, data: TrainingData) -> None:
    linear = LinearInterpolation(refit=False)
    linear.fit(data)
    with pytest.raises(ConfigurationError, match="no spread: there is nothing to calibrate"):
        calibrate(linear, data, cases=3, patterns=HIDE)
    with pytest.raises(ConfigurationError, match="Pass --observe thetao=PATTERN"):
        calibrate(peer, data, cases=3)
    with pytest.raises(DataError, match="was hidden"):
        calibrate(peer, data, cases=3, patterns=HIDE | {"thetao": ["all"]})


def test_a_calibration_of_another_version_is_refused(peer: Climatology, data: TrainingData) -> None:
    content, arrays = calibrate(peer, data, cases=3, patterns=HIDE).kept()

    def read(content: JSONObject) -> Calibration | None:
        return Calibration.of_run(Run("Climatology", {}, arrays, {"calibration": content}))

    content = json.loads(json.dumps(content))
    again = read(content)
    assert again is not None
    assert again.kept()[0] == content
    with pytest.raises(FileFormatError, match="version 99"):
        read(content | {"version": 99})
    with pytest.raises(FileFormatError, match="damaged"):
        read({"version": 1, "levels": {"thetao": [{"depth": 3}]}})
    with pytest.raises(FileFormatError, match="damaged"):
        read(content | {"version": 2, "places": {"thetao": {"dates": 3, "width": 1, "dims": ["lat", "lon"]}}})


def test_a_network_is_calibrated_with_its_own_patterns(data: TrainingData, tmp_path: Path) -> None:
    class NoTraining:
        steps, batch_size, preview_depth, helps = 1, 1, None, False

        def fit(self, *_: Any, **__: Any) -> list[dict[str, float]]:
            return []

    network = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
    observing = {"observe": {"thetao": ["random:0.5", "random:0.6-0.8"], "sst": "clouds:0.5"}, "error": [0.01, 0.1]}
    sampler = {"class": "DPMSolverPP2M", "evaluations": 3}
    model = DiffusionReconstructor(network, observing, validation_samples=1, sampler=sampler)
    model.fit(data, trainer=NoTraining(), folder=tmp_path)
    found = calibrate(model, data, cases=3, members=4)
    assert found.about["patterns"]["thetao"] == ["random:0.5", "random:0.6-0.8"]
    model.calibration = found
    model.save(tmp_path / "run")
    loaded = load_reconstructor(tmp_path / "run")
    assert loaded.calibration == found
    assert "calibration" not in loaded.extra


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return hearing_all(capsys)


def test_calibrate_reconstruct_and_evaluate(command: Command, tmp_path: Path) -> None:
    write_dataset(tiny_ocean(times=60), tmp_path / "truth.nc")
    recipe = {
        "data": {"archive": "truth.nc", "targets": ["thetao"], "split": {"class": "TimeSplit", "validation": 0.3}},
        "reconstructor": {"class": "Climatology"},
    }
    Path("peer.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert command("train", "peer.yaml", "--out", "run")[0] == 0
    hide = ("--observe", "thetao=random:0.5")
    assert command("mask", "truth.nc", "obs.nc", *hide, "--time", "2001-03:2001-04")[0] == 0
    assert command("reconstruct", "run", "obs.nc", "--out", "before.nc")[0] == 0

    code, said = command("calibrate", "run", *hide, "--cases", "9", "--conformal", "0.8")
    assert code == 0, said
    assert "  raw " in said
    assert "  calibrated " in said
    assert "conformal" not in said
    code, said = command("calibrate", "run", *hide)
    assert (code, "calibrated already" in said) == (2, True)
    assert command("reconstruct", "run", "obs.nc", "--out", "after.nc")[0] == 0
    assert command("reconstruct", "run", "obs.nc", "--out", "raw.nc", "--raw")[0] == 0
    before, after, raw = (xr.open_dataset(f"{name}.nc") for name in ("before", "after", "raw"))
    xr.testing.assert_equal(before, raw)
    assert not after["thetao_member"].equals(raw["thetao_member"])
    assert raw.attrs["calibration"] == "left out (--raw)"
    assert {"thetao_lower", "thetao_upper"} <= set(after)

    truth, seen = (xr.open_dataset(f"{name}.nc") for name in ("truth", "obs"))
    rows = evaluate(truth, {"a": after, "b": raw}, seen).scores
    assert list(rows) == ["climatology (calibrated)", "climatology (raw)"]
    assert 0 <= rows["climatology (calibrated)"]["thetao"]["interval_coverage"] <= 1
    assert "interval_coverage" not in rows["climatology (raw)"]["thetao"]
    for dataset in (before, after, raw, truth, seen):
        dataset.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("shipped:ocean_oi",), "belongs to the package"),
        (("run", "--cases", "2"), "expected a whole number, 3 or more"),
        (("run", "--conformal", "90"), "such as 0.9"),
        (("run", "--by-time"), "expected --conformal too"),
        (("nowhere",), "is not a run"),
    ],
)
def test_messages(command: Command, arguments: tuple[str, ...], said: str) -> None:
    code, text = command("calibrate", *arguments)
    assert code == 2
    assert said in text
