"""Only hidden cells of the domain are scored, the same for every method, and what does not fit is said."""

import json

import cftime
import numpy as np
import pytest
import xarray as xr

from driftfield.errors import DataError
from driftfield.evaluate.comparison import best_methods, scores_table, skill_ratio
from driftfield.evaluate.evaluation import evaluate, write_scores
from driftfield.evaluate.scores import ensembles

SCALARS = {
    "rmse",
    "mae",
    "bias",
    "correlation",
    "psnr",
    "ssim",
    "r2",
    "smape",
    "wasserstein",
    "crps",
    "spread_skill",
    "coverage_90",
    "n",
}
SCALARS |= {"quantile_05", "quantile_95", "energy"}
NAMES = SCALARS | {"spread_bins"}


@pytest.fixture(scope="module")
def found(world):
    return evaluate(world.truth, world.outputs, world.observations)


def _ssh(found):
    return {method: {"ssh": row["ssh"]} for method, row in found.scores.items()}


def test_layout_of_the_scores(found, world):
    assert list(found.scores) == ["diffusion", "optimal_interpolation", "climatology"]
    row = found.scores["diffusion"]["temperature"]
    assert set(row) == NAMES | {"levels", "whole_domain"}
    assert set(row["whole_domain"]) == NAMES
    assert list(row["levels"]) == ["5", "50", "120.5", "400"]
    assert all(set(level) == NAMES for level in row["levels"].values())
    assert found.scores["diffusion"]["ssh"]["levels"] == {}
    assert found.units == {"temperature": "degC", "ssh": "m"}


def test_scores_by_hand(found, world):
    hidden = (
        (world.observations["held_out"] & world.observations["domain"]).transpose("time", "depth", "lat", "lon").values
    )
    truth = world.truth["temperature"].values[hidden]
    mean = world.outputs["diffusion"]["temperature"].values[hidden]
    members = world.outputs["diffusion"]["temperature_member"].values[:, hidden]
    row = found.scores["diffusion"]["temperature"]
    assert row["n"] == hidden.sum() == sum(level["n"] for level in row["levels"].values())
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean((mean - truth) ** 2)), rel=1e-5)
    assert row["bias"] == pytest.approx(np.mean(mean - truth), rel=1e-4)
    assert row["correlation"] == pytest.approx(np.corrcoef(mean, truth)[0, 1])
    ratio = np.sqrt(9 / 8 * members.var(0, ddof=1).mean() / np.mean((members.mean(0) - truth) ** 2))
    assert row["spread_skill"] == pytest.approx(ratio, rel=1e-5)
    fair = ensembles.crps_fair(xr.DataArray(members, dims=("member", "cell")), xr.DataArray(truth, dims="cell"))
    assert row["crps"] == pytest.approx(float(fair))
    assert found.ranks["diffusion"]["temperature"].sum() == pytest.approx(1)


def test_scores_over_the_whole_domain_by_hand(found, world):
    everywhere = world.truth["temperature"].notnull().values
    truth = world.truth["temperature"].values[everywhere]
    mean = world.outputs["diffusion"]["temperature"].values[everywhere]
    whole, hidden = (found.scores["diffusion"]["temperature"][k] for k in ("whole_domain", "rmse"))
    assert whole["n"] == everywhere.sum()
    assert whole["rmse"] == pytest.approx(np.sqrt(np.mean((mean - truth) ** 2)), rel=1e-5)
    assert whole["rmse"] < hidden  # what was observed is kept
    assert 0 < whole["energy"] < whole["rmse"]


def test_a_hole_in_an_observed_cell_leaves_the_hidden_cells_scored(world):
    seen = world.observations["temperature"].notnull()
    first = seen & (seen.cumsum("time").cumsum("depth").cumsum("lat").cumsum("lon") == 1)
    assert first.any()
    outputs = {"a": world.outputs["climatology"].assign(temperature=lambda d: d["temperature"].where(~first))}
    again = evaluate(world.truth, outputs, world.observations)
    row = again.scores["climatology"]["temperature"]
    assert row["whole_domain"] is None
    assert row["rmse"] > 0
    assert any("over the whole domain: it is NaN in" in note for note in again.notes)


def test_level_scores_pool_to_the_overall_score(found):
    row = found.scores["climatology"]["temperature"]
    pooled = sum(level["n"] * level["rmse"] ** 2 for level in row["levels"].values()) / row["n"]
    assert row["rmse"] == pytest.approx(np.sqrt(pooled))


def test_a_single_answer_has_no_spread(found):
    row = found.scores["climatology"]["ssh"]
    assert row["crps"] == row["mae"]
    assert row["spread_skill"] is None
    assert row["coverage_90"] is None
    assert "climatology" not in found.ranks


def test_a_stated_sd_is_a_gaussian(found):
    row = found.scores["optimal_interpolation"]["temperature"]
    assert row["crps"] < row["mae"]
    assert row["spread_skill"] == pytest.approx(0.8 / row["rmse"], rel=1e-4)


def test_cells_that_were_seen_or_are_land_do_not_count(found, world):
    hidden = world.observations["held_out"] & world.observations["domain"]
    spoiled = {}
    for key, output in world.outputs.items():
        spoiled[key] = output.copy()
        for name in ("temperature", "temperature_member", "temperature_sd"):
            if name in output:
                spoiled[key][name] = output[name].where(hidden, 1e6)
    again = evaluate(world.truth, spoiled, world.observations, variables=["temperature"])
    for method in found.scores:
        for score in NAMES - {"ssim"}:  # the windows of the structural similarity look at the neighbours
            assert again.scores[method]["temperature"][score] == found.scores[method]["temperature"][score]


def test_a_truth_that_is_not_known_is_not_scored(found, world):
    truth = world.truth.copy(deep=True)
    truth["ssh"][:, :12] = np.nan
    again = evaluate(truth, world.outputs, world.observations, variables=["ssh"])
    assert 0 < again.held_out["ssh"][0] < found.held_out["ssh"][0]


def test_coordinates_in_other_digits_units_and_order_of_files_are_the_same(found, world):
    truth = world.truth.assign_coords(
        lat=world.truth.lat.astype("f4"),
        lon=(world.truth.lon - 360).astype("f4"),
        time=world.truth.time.astype("M8[s]"),
    )
    wider = truth.pad(time=(0, 1), mode="edge")
    wider = wider.assign_coords(time=np.append(truth.time.values, np.datetime64("2016-01-01")))
    assert evaluate(wider, world.outputs, world.observations, variables=["ssh"]).scores == _ssh(found)


def test_cftime_calendars(found, world):
    dates = [cftime.DatetimeNoLeap(2015, 1, 16), cftime.DatetimeNoLeap(2015, 2, 15), cftime.DatetimeNoLeap(2015, 3, 16)]
    truth, observations = (dataset.assign_coords(time=dates) for dataset in (world.truth, world.observations))
    assert evaluate(truth, world.outputs, observations, variables=["ssh"]).scores == _ssh(found)


def test_lazy_files_give_the_same_scores(found, world):
    chunk = {"time": 1, "lat": 10}
    lazy = {key: output.chunk(chunk) for key, output in world.outputs.items()}
    again = evaluate(world.truth.chunk(chunk), lazy, world.observations.chunk(chunk), variables=["ssh"])
    assert again.scores == _ssh(found)


def test_common_times_are_scored_and_said(world):
    outputs = {**world.outputs, "oi": world.outputs["oi"].isel(time=[1])}
    found = evaluate(world.truth, outputs, world.observations, variables=["ssh"])
    assert found.times == ["2015-02-15T00:00:00"]
    assert len({row["ssh"]["n"] for row in found.scores.values()}) == 1
    assert "diffusion holds 3 times; the 1 that all methods share are scored." in found.notes
    assert "diffusion holds 3 times" in scores_table(found)


def test_two_runs_of_one_method_keep_two_names(world):
    found = evaluate(
        world.truth, {"a": world.outputs["diffusion"], "b": world.outputs["diffusion"]}, world.observations
    )
    assert found.methods == ["diffusion (a)", "diffusion (b)"]


def test_area_weights_change_the_answer_a_little(found, world):
    weighted = evaluate(world.truth, world.outputs, world.observations, variables=["ssh"], area_weighted=True)
    one, two = (e.scores["climatology"]["ssh"]["rmse"] for e in (found, weighted))
    assert one != two
    assert one == pytest.approx(two, rel=0.1)


def test_spectra_tell_members_from_means(found):
    curves = found.spectra["ssh"]["surface"]
    assert set(curves) >= {"truth", "diffusion: mean", "diffusion: members", "climatology: mean"}
    assert float(curves["diffusion: members"][-1]) > float(curves["diffusion: mean"][-1])


def _without(dataset: xr.Dataset, *names: str) -> xr.Dataset:
    return dataset.drop_vars(names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {"outputs": {}}, "nothing to evaluate"),
        (lambda w: {"truth": _without(w.truth, "ssh")}, "No variable 'ssh' in the truth.*'temperature'"),
        (lambda w: {"observations": _without(w.observations, "held_out", "ssh_held_out")}, "held out.*driftfield mask"),
        (
            lambda w: {"observations": w.observations.assign(held_out=w.observations.held_out & False)},
            "No cell of 'temp",
        ),
        (lambda w: {"truth": w.truth.isel(time=[0, 1])}, "The truth lacks 1 of 3 times, the first is 2015-03-16"),
        (lambda w: {"truth": w.truth.assign_coords(lat=w.truth.lat + 0.2)}, "The truth has no lat .*: its 24 values"),
        (lambda w: {"observations": w.observations.isel(depth=[0, 1, 2])}, "The observation file has no depth 400"),
        (lambda w: {"variables": ["temprature"]}, "Did you mean 'temperature'"),
        (
            lambda w: {"outputs": {"a": w.outputs["oi"].isel(time=[0]), "b": w.outputs["diffusion"].isel(time=[1])}},
            "share no time",
        ),
        (
            lambda w: {"outputs": {"oi": w.outputs["oi"].where(w.outputs["oi"].lat > 31)}},
            "'temperature' by 'optimal_interpolation' is NaN in .* of the 5555 cells",
        ),
    ],
)
def test_what_does_not_fit_is_said(world, change, message):
    given = {"truth": world.truth, "outputs": world.outputs, "observations": world.observations, **change(world)}
    with pytest.raises(DataError, match=message):
        evaluate(**given)


def test_a_variable_without_held_out_cells_is_noted(world):
    found = evaluate(world.truth, world.outputs, _without(world.observations, "ssh_held_out"))
    assert found.variables == ["temperature"]
    assert "Nothing was held out of ssh: not scored." in found.notes


def test_scores_file_is_plain_json(found, tmp_path):
    path = tmp_path / "scores.json"
    write_scores(found, path)
    assert json.loads(path.read_text()) == found.scores


def test_a_perfect_answer_can_be_written(world, tmp_path):
    perfect = world.truth.assign_attrs(method="oracle")
    found = evaluate(world.truth, {"oracle": perfect}, world.observations)
    assert found.scores["oracle"]["ssh"]["rmse"] == 0
    assert found.scores["oracle"]["ssh"]["psnr"] is None
    write_scores(found, tmp_path / "scores.json")


def test_table_marks_the_best(found):
    lines = scores_table(found).splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line.startswith(("diffusion", "climatology"))}
    assert lines[0].startswith("temperature [degC]: 5555 held-out cells (70.4 % of the domain)")
    assert rows["diffusion"][1].endswith("*")
    assert not rows["climatology"][1].endswith("*")
    assert rows["climatology"][5:7] == ["-", "-"]
    assert len({len(line.rstrip("* ")) for line in lines[1:2] + lines[3:6]}) == 1


def test_best_is_nearest_to_the_ideal():
    rows = {
        "a": {"bias": -0.1, "spread_skill": 2.1, "psnr": 30.0},
        "b": {"bias": 0.2, "spread_skill": 0.5, "psnr": 31.0},
    }
    assert best_methods(rows, "bias") == ["a"]
    assert best_methods(rows, "spread_skill") == ["b"]
    assert best_methods(rows, "psnr") == ["b"]
    assert best_methods({"a": {"bias": None}}, "bias") == []


def test_skill_ratios_by_hand():
    def levels(*values: float) -> dict:
        return {"t": {"rmse": 9.0, "levels": {str(k): {"rmse": v} for k, v in enumerate(values)}}}

    scores = {"diffusion": levels(1.0, 2.0), "oi": levels(2.0, 2.0), "linear": levels(1.0, 4.0)}
    assert skill_ratio(scores, "t", "rmse") == {"oi": 0.75, "linear": 0.75}
    surface = {"diffusion": {"s": {"rmse": 1.0, "levels": {}}}, "oi": {"s": {"rmse": 4.0, "levels": {}}}}
    assert skill_ratio(surface, "s", "rmse") == {"oi": 0.25}
    with pytest.raises(DataError, match="No scores of method 'unet'"):
        skill_ratio(scores, "t", "rmse", method="unet")
