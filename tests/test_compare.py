"""A comparison is a loop over reconstructors: the same observations for all, each pair computed once, as `evaluate` scores it."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from commands import succeed
from crews import Backwards

from driftfield.cli import main
from driftfield.compare import open_truth, read_comparison, run_comparison, setting_observations, write_tables
from driftfield.compare.pairs import AskedComparison, Sharing
from driftfield.compare.recipe import Comparison
from driftfield.compare.settings import content_hash
from driftfield.data.prepare import divide
from driftfield.data.sources import open_fields, write_dataset
from driftfield.errors import ConfigurationError, DataError, ExistsError
from driftfield.evaluate.evaluation import evaluate
from driftfield.peers.climatology import Climatology
from driftfield.peers.linear import LinearInterpolation
from driftfield.recipe import as_recipe
from driftfield.reconstruction.calibration import Calibration, LevelMap
from driftfield.reconstruction.fitting import fit_recipe
from driftfield.reconstruction.journal import UnfinishedError
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean

RECIPE: dict[str, Any] = {
    "title": "A tiny ocean",
    "seed": 3,
    "members": 4,
    "data": {
        "archive": "truth.nc",
        "targets": ["sst"],
        "split": {"class": "TimeSplit", "validation": 0.2, "test": 0.2},
    },
    "truth": {"times": None},
    "settings": {
        "half": {"reference_mask": "random:0.50", "reference": {"others": {"rmse": 1e-6}}},
        "clouds": {"observe": {"sst": "clouds:0.6"}, "error": 0.1},
    },
    "methods": {"climatology": {"class": "Climatology"}, "linear": {"class": "LinearInterpolation"}},
}
Make = Callable[..., Comparison]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Reads a comparison of the tiny ocean, in a folder of its own; arguments replace parts of the recipe."""
    monkeypatch.chdir(tmp_path)
    ocean = tiny_ocean(times=20)
    write_dataset(ocean, tmp_path / "truth.nc")
    stamps = ocean["time"].dt.strftime("%Y-%m-%d").values

    def read(**parts: Any) -> Comparison:
        content = {**RECIPE, "truth": {"times": [str(stamps[16]), str(stamps[19])]}, **parts}
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return read_comparison(tmp_path / "tiny.yaml")

    return read


def page(comparison: Comparison, path: Path, **options: Any) -> tuple[str, dict[str, Any]]:
    """The table and the numbers."""
    write_tables(run_comparison(comparison, **options), path, command="driftfield compare", overwrite=True)
    return path.read_text(encoding="utf-8"), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def test_all_methods_see_the_same_and_a_second_call_computes_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, numbers = page(make(), tmp_path / "a.md")
    for entries in zip(*(numbers["methods"][label].values() for label in ("climatology", "linear")), strict=True):
        assert len({entry["observations"] for entry in entries}) == 1
    assert numbers["notes"] == []

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pair was computed twice")

    monkeypatch.setattr("driftfield.compare.running.load_reconstructor", refuse)
    monkeypatch.setattr("driftfield.compare.runs.fit_recipe", refuse)
    second, again = page(make(), tmp_path / "a.md")
    assert (second, again) == (first, numbers)


def test_the_figures_are_those_of_evaluate(make: Make, tmp_path: Path) -> None:
    comparison = make()
    results = run_comparison(comparison)
    archive = open_truth(comparison)
    for setting in comparison.settings:
        seen = setting_observations(comparison, setting, archive)
        outputs = {
            label: load_reconstructor(Path("runs") / f"tiny_{label}").reconstruct(seen, members=4, seed=3)
            for label in ("climatology", "linear")
        }
        expected = evaluate(archive.dataset, outputs, seen, variables=["sst"]).scores
        for label in outputs:
            assert results.rows[label][setting.name].scores["sst"] == expected[label]["sst"]
    text, numbers = page(comparison, tmp_path / "a.md")
    best = min(results.rows[label]["clouds"].scores["sst"]["rmse"] for label in results.rows)
    assert f"**{best:#.3g}**" in text
    for label in outputs:
        end = results.rows[label]["clouds"].intervals["sst"]["rmse"]
        assert end["low"] < results.rows[label]["clouds"].scores["sst"]["rmse"] < end["high"]
        assert end["dates"] == 4
        assert f"({end['low']:#.3g} to {end['high']:#.3g})" in text
        assert numbers["methods"][label]["clouds"]["intervals"]["sst"]["rmse"] == end
    assert "Few dates are independent" in text


def test_what_never_changes_is_no_signal_to_resolve(make: Make, tmp_path: Path) -> None:
    settings = {"clouds": {"observe": {"sst": "clouds:0.6"}, "segment_km": 450}}
    assert run_comparison(make(settings=settings)).rows["climatology"]["clouds"].resolved_km["sst"] is None
    ocean = xr.load_dataset(tmp_path / "truth.nc")
    ridges = 5 * np.cos(np.arange(ocean.sizes["lon"]))
    ocean["sst"] = ocean["sst"] + xr.DataArray(ridges, dims="lon", coords={"lon": ocean["lon"]})
    write_dataset(ocean, tmp_path / "truth.nc", overwrite=True)
    again = run_comparison(make(settings=settings), afresh=True)
    assert again.rows["climatology"]["clouds"].resolved_km["sst"] is None


def test_another_method_leaves_the_numbers_of_the_rest(make: Make, tmp_path: Path) -> None:
    _, before = page(make(), tmp_path / "a.md")
    more = RECIPE["methods"] | {"linear, training only": {"class": "LinearInterpolation", "refit": False}}
    with pytest.raises(ConfigurationError, match="plain label"):
        make(methods=more)
    more = RECIPE["methods"] | {"linear of training": {"class": "LinearInterpolation", "refit": False}}
    settings = RECIPE["settings"] | {"nothing": {"observe": {"sst": "none"}}}
    _, after = page(make(methods=more, settings=settings), tmp_path / "a.md")
    for label, entries in before["methods"].items():
        assert {name: after["methods"][label][name] for name in entries} == entries
    assert set(after["methods"]["linear of training"]) == {"half", "clouds", "nothing"}


def test_what_is_shown_follows_the_pattern_the_error_and_the_seed(make: Make) -> None:
    comparison = make()
    archive = open_truth(comparison)
    half, clouds = (setting_observations(comparison, setting, archive) for setting in comparison.settings)
    truth = archive.dataset["sst"].sel(time=half["time"])
    assert half.sizes["time"] == 4
    assert not (half["held_out"] & half["sst"].notnull()).any()
    np.testing.assert_array_equal(half["sst"].values, truth.where(~half["held_out"]).where(half["domain"]).values)
    error = (clouds["sst"] - truth).values
    assert np.nanstd(error) == pytest.approx(0.1, rel=0.3)
    assert content_hash(setting_observations(make(seed=4), comparison.settings[1], archive)) != content_hash(clouds)
    assert content_hash(setting_observations(make(), comparison.settings[1], archive)) == content_hash(clouds)


def test_names_of_stations_count_in_a_hash_as_text() -> None:
    def section(names: list[str], kind: type) -> xr.Dataset:
        return xr.Dataset({"t": (("time", "lon"), np.zeros((1, 2)))}, {"station": ("lon", np.array(names, dtype=kind))})

    assert content_hash(section(["A", "B"], object)) == content_hash(section(["A", "B"], str))
    assert content_hash(section(["A", "B"], object)) != content_hash(section(["A", "C"], object))
    assert content_hash(section(["A", "B"], object)) != content_hash(section(["AB", ""], object))


def test_held_out_cells_come_from_a_file_too(make: Make, tmp_path: Path) -> None:
    comparison = make()
    seen = setting_observations(comparison, comparison.settings[0], open_truth(comparison))
    write_dataset(seen[["sst", "held_out", "domain"]], tmp_path / "cells.nc")
    other = make(settings={"file": {"held_out": "cells.nc"}})
    again = setting_observations(other, other.settings[0], open_truth(other))
    xr.testing.assert_equal(again["sst"], seen["sst"])
    write_dataset(seen[["sst", "held_out", "domain"]].isel(time=slice(2)), tmp_path / "fewer.nc")
    fewer = make(settings={"file": {"held_out": "fewer.nc"}})
    with pytest.raises(DataError, match="lacks 2 of 4 times"):
        setting_observations(fewer, fewer.settings[0], open_truth(fewer))


def test_methods_may_learn_from_what_a_setting_shows_and_from_nothing_else(make: Make, tmp_path: Path) -> None:
    gappy = open_fields(tmp_path / "truth.nc")[["sst"]].load()
    hidden = np.random.default_rng(0).random(gappy["sst"].shape) < 0.4
    write_dataset(gappy.where(~hidden), tmp_path / "gappy.nc")
    data = {"archive": "gappy.nc", "targets": ["sst"], "split": {"class": "TimeSplit", "validation": 0.2}}
    comparison = make(
        data=data,
        truth={},
        learn_from="transplanted",
        settings={"transplanted": {"transplant": {"lag": 3, "most": 1.0}}},
        methods={"climatology": {"class": "Climatology"}},
    )
    results = run_comparison(comparison)
    visible = open_fields(tmp_path / "runs" / "tiny_visible.nc")
    seen = setting_observations(comparison, comparison.settings[0], open_truth(comparison))
    np.testing.assert_array_equal(visible["sst"].values, seen["sst"].values)
    assert results.facts["transplanted"].held_out["sst"][0] == int(seen["held_out"].sum()) > 100
    made = yaml.safe_load((tmp_path / "runs" / "tiny_climatology" / "recipe.yaml").read_text(encoding="utf-8"))
    assert made["data"]["archive"] == "runs/tiny_visible.nc"
    # the held-out cells could be anything: no method has learnt from them
    wrong = gappy.where(~hidden).where(~seen["held_out"].values, 30.0)
    write_dataset(wrong, tmp_path / "gappy.nc", overwrite=True)
    spoiled = setting_observations(comparison, comparison.settings[0], open_truth(comparison))
    np.testing.assert_array_equal(spoiled["sst"].values, seen["sst"].values)


def test_a_method_may_not_start_from_a_run_that_saw_hidden_cells(make: Make, tmp_path: Path) -> None:
    pytest.importorskip("lightning")

    data = {"archive": "truth.nc", "targets": ["sst"], "split": {"class": "TimeSplit", "validation": 0.2}}
    network = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1]}
    reconstructor = {"class": "RegressionReconstructor", "network": network, "observing": {"observe": {"sst": "all"}}}
    trainer = {"class": "LightningTrainer", "steps": 2, "initial": "runs/start"}
    own = {"data": data, "reconstructor": reconstructor, "trainer": trainer}
    (tmp_path / "unet.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    start = tmp_path / "runs" / "start"

    def note(**parts: Any) -> str:
        spec = {"recipe": "unet.yaml", "run": "runs/unet"} | parts
        comparison = make(
            data=data, truth={}, learn_from="transplanted",
            settings={"transplanted": {"transplant": {"lag": 3, "most": 1.0}}},
            methods={"climatology": {"class": "Climatology"}, "unet": spec, "start": {"run": "runs/start"}},
        )  # fmt: skip
        return " ".join(run_comparison(comparison).notes)

    assert "unet is made from runs/start, which holds no run" in note()
    content = {"data": data | {"archive": str(tmp_path / "truth.nc")}, "reconstructor": {"class": "Climatology"}}
    fit_recipe(as_recipe(content, start), start, source="a test")
    assert "unet is made from runs/start, which has learnt from cells that are held out here" in note()
    assert "start is made from runs/start, which has learnt" in note()  # nor may it stand in the table itself
    # one that this comparison has fitted carries the mark of the visible cells
    mended = note(set={"trainer.initial": "runs/tiny_climatology"})
    assert "unet: its network is not trained yet" in mended
    # simulated before, another archive is fine; a run behind a run is followed
    write_dataset(tiny_ocean(times=20, seed=1), tmp_path / "other.nc")
    content["data"] = data | {"archive": "other.nc"}
    fit_recipe(as_recipe(content, start), start, source="a test")
    assert "unet: its network is not trained yet" in note()
    content["reconstructor"] = {"class": "Climatology", "run": "runs/behind"}
    (start / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert "made from runs/behind, which holds no run" in note()


def test_a_calibrated_run_has_a_raw_row_beside_it(make: Make, tmp_path: Path) -> None:
    methods = {"climatology": {"class": "Climatology"}}
    run_comparison(make(methods=methods))
    folder = tmp_path / "runs" / "tiny_climatology"
    run = load_reconstructor(folder)
    level = LevelMap(depth=None, bias=0.0, inflation=3.0, power=1.0, low=0.1, middle=0.5, high=1.0, cells=1000)
    run.calibration = Calibration({"sst": (level,)}, None, {})  # type: ignore[attr-defined]
    run.save(folder)
    results = run_comparison(make(methods=methods))
    calibrated, raw = (results.rows[label]["half"].scores["sst"] for label in ("climatology", "climatology, raw"))
    assert calibrated["rmse"] == pytest.approx(raw["rmse"])
    assert calibrated["spread_skill"] == pytest.approx(3 * raw["spread_skill"], rel=0.03)


def test_a_method_that_cannot_answer_is_a_dash_with_a_reason(make: Make, tmp_path: Path) -> None:
    network = {
        "class": "RegressionReconstructor",
        "network": {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1]},
        "observing": {"observe": {"sst": "clouds:0.5"}},
        "trainer": {"class": "LightningTrainer", "steps": 2},
    }
    methods = {"linear": {"class": "LinearInterpolation"}, "unet": network, "lost": {"run": "runs/lost"}}
    text, numbers = page(make(methods=methods, model="linear"), tmp_path / "a.md")
    assert "| lost | – | – |" in text
    assert "unet: its network is not trained yet (runs/tiny_unet). Pass --train" in " ".join(numbers["notes"])
    assert "lost: runs/lost holds no run." in " ".join(numbers["notes"])

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        # an error of our own is not a dash
        patch.setattr(LinearInterpolation, "estimate", broken)
        with pytest.raises(ZeroDivisionError):
            run_comparison(make(methods=methods), afresh=True)


def test_a_run_of_another_recipe_is_not_passed_off_as_this_one(make: Make) -> None:
    run_comparison(make())
    changed = {"linear": {"class": "LinearInterpolation", "refit": False}}
    notes = run_comparison(make(methods=changed)).notes
    assert "tiny_linear was fitted by another recipe (its reconstructor differ)" in notes[0]
    results = run_comparison(make(methods=changed), afresh=True)
    assert results.notes == []
    assert set(results.rows["linear"]) == {"half", "clouds"}


def test_reference_figures_take_part_and_land_in_the_page(make: Make, tmp_path: Path) -> None:
    text, numbers = page(make(model="linear"), tmp_path / "a.md")
    assert "| *others* | **1.00e-06** |" in text
    assert numbers["settings"]["half"]["reference"] == {"others": {"rmse": 1e-6}}
    assert "| linear / best of the others | RMSE | CRPS |" in text
    assert "(climatology)" in text


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"setting": {}}, "Unknown key 'setting' at the top of .*Did you mean 'settings'"),
        ({"settings": {"a": {"observe": {"sst": "cloud:0.5"}}}}, "Did you mean 'clouds'"),
        ({"settings": {"a": {"error": 1.0}}}, "exactly one"),
        ({"settings": {"a": {"reference_mask": "random:50"}}}, "below 1"),
        ({"methods": {"a": {"class": "LinearInterpolator"}}}, "Did you mean 'LinearInterpolation'"),
        ({"methods": {"a": {"clas": "Linear"}}}, "expected {class"),
        ({"methods": {"a": {"class": "Climatology", "trainer": {"class": "x"}}}}, "leave out 'trainer'"),
        ({"methods": {"a": {"class": "Climatology", "set": {"a": 1}}}}, "has 'set' and no recipe"),
        ({"model": "lnear"}, "Did you mean 'linear'"),
        ({"learn_from": "hal"}, "Did you mean 'half'"),
        ({"data": {"archive": "truth.nc"}}, "lacks 'targets'"),
        ({"members": 0}, "members"),
    ],
)
def test_a_recipe_is_checked_before_anything_is_computed(make: Make, parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(**parts)


def test_the_command_writes_page_and_numbers_and_overwrites_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make()
    monkeypatch.setattr(sys, "argv", ["driftfield", "compare", "tiny.yaml", "--only", "linear", "--members", "2"])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    out = tmp_path / "docs" / "comparison" / "tiny.md"
    assert "driftfield compare tiny.yaml --members 2 --only linear" in out.read_text(encoding="utf-8")
    assert json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["provenance"]["members"] == 2
    before = out.read_bytes()
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    assert "exists already" in capsys.readouterr().err
    assert out.read_bytes() == before
    with pytest.raises(ExistsError):
        write_tables(run_comparison(make()), out, command="")


def test_sections_are_no_grid_to_compare_on(make: Make) -> None:
    with pytest.raises(ConfigurationError, match=r"names data\.sections"):
        make(data={**RECIPE["data"], "sections": ["south.nc"]})


def test_shipped_comparisons_name_what_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning")

    monkeypatch.setenv("DRIFTFIELD_DATA", "/data")
    paths = sorted((Path(__file__).parents[1] / "recipes" / "compare").glob("*.yaml"))
    assert len(paths) >= 7
    for path in paths:
        comparison = read_comparison(path)
        assert f"driftfield compare recipes/compare/{path.name}" in path.read_text(encoding="utf-8")
        if comparison.data.get("coarse"):  # the peers that downscale
            assert len(comparison.methods) >= 4, path
            continue
        assert len(comparison.methods) >= 10, path
        assert comparison.model is not None, path
        for recipe in (method.recipe for method in comparison.methods if method.trained):
            assert recipe is not None
            spec = recipe.reconstructor.get("reconstructor", recipe.reconstructor)  # what EM trains
            assert build("trainer", recipe.trainer).steps > 0
            build("network", spec["network"], channels=2, covariates=1, first_guess="first_guess" in spec)
            build("observing", {"class": "ObservingSystem", **spec["observing"]}).check(comparison.targets)
            build("split", recipe.data["split"])


def divided(make: Make, **parts: Any) -> Comparison:
    split = {"class": "SpaceSplit", "validation": 0.25, "test": 0.25, "block": 4, "seed": 1}
    data = {**RECIPE["data"], "split": split, "windows": {"size": 4, "stride": 2}}
    return make(data=data, truth={}, methods={"linear": {"class": "LinearInterpolation"}}, **parts)


def test_a_split_in_space_is_scored_on_its_test_cells(make: Make) -> None:
    """Every setting is scored on the blocks that nobody learnt from, and a setting can hide them whole."""
    settings = {
        "clouds": {"observe": {"sst": "clouds:0.6"}},
        "blocks": {"split": "test"},
        "half": {"reference_mask": "random:0.50"},
    }
    comparison = divided(make, settings=settings)
    archive = open_truth(comparison)
    splits = divide(archive, ["sst"], split=comparison.data["split"], windows=comparison.data["windows"])
    cells = splits.test.cells
    assert cells is not None
    for setting in comparison.settings:
        seen = setting_observations(comparison, setting, archive)
        assert seen.sizes["time"] == archive.times.size
        held_out = seen["held_out"].values
        assert held_out.any()
        assert not (held_out & ~cells).any()
        hidden = archive.dataset["sst"].notnull().values & seen["sst"].isnull().values
        assert (held_out == (hidden & cells)).all()
        if setting.name == "blocks":
            assert (hidden == (archive.domain("sst").values & cells)).all()
        else:
            assert (hidden & ~cells).any()


def test_the_test_cells_of_a_split_in_space_say_nothing_to_those_compared(make: Make, tmp_path: Path) -> None:
    """Other values in the blocks that are tested: the methods make the same fields of the same observations."""
    comparison = divided(make, settings={"blocks": {"split": "test"}})
    archive = open_truth(comparison)
    seen = setting_observations(comparison, comparison.settings[0], archive)
    fields = []
    for disturbance in (0.0, 5.0):
        ocean = tiny_ocean(times=20)
        ocean["sst"] = ocean["sst"] + np.float32(disturbance) * seen["held_out"].drop_vars(("lat", "lon", "time"))
        write_dataset(ocean, tmp_path / "truth.nc", overwrite=True)
        run_comparison(comparison, runs=tmp_path, afresh=True)
        fields.append(
            load_reconstructor(tmp_path / comparison.methods[0].run).reconstruct(seen, members=1)["sst"].values
        )
    np.testing.assert_array_equal(*fields)


def test_the_times_of_a_split_by_shares_are_scored(make: Make) -> None:
    comparison = make(truth={})
    archive = open_truth(comparison)
    seen = setting_observations(comparison, comparison.setting("half"), archive)
    assert seen["time"].values.tolist() == archive.times.values[16:].tolist()


def test_a_part_of_another_truth_cannot_be_hidden(make: Make, tmp_path: Path) -> None:
    write_dataset(tiny_ocean(times=20), tmp_path / "other.nc")
    comparison = make(truth={"archive": "other.nc"}, settings={"blocks": {"split": "test"}})
    with pytest.raises(ConfigurationError, match="another truth is scored"):
        setting_observations(comparison, comparison.settings[0], open_truth(comparison))
    with pytest.raises(ConfigurationError, match="expected test or validation"):
        make(settings={"blocks": {"split": "train"}})


class Stopped(BaseException):
    """The process was killed."""


def numbers_of(results: Any) -> dict[str, Any]:
    """Of all pairs, but the seconds."""
    return {
        (label, setting): dataclasses.replace(entry, seconds=0.0)
        for label, row in results.rows.items()
        for setting, entry in row.items()
    }


def stopping(after: int) -> Sharing:
    """Kills the process once so many members of dates are done."""
    count = 0

    def progress(length: int) -> Callable[[int], None]:
        def done(members: int) -> None:
            nonlocal count
            count += members
            if count >= after:
                raise Stopped

        return done

    return Sharing(progress=progress)


def test_a_killed_comparison_goes_on_in_the_middle_of_a_pair(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = {"climatology": {"class": "Climatology"}}
    whole = numbers_of(run_comparison(make(methods=methods), runs=Path("others")))
    monkeypatch.setattr("driftfield.compare.pairs.LARGE", 0)
    dates: list[int] = []
    real = Climatology.reconstruct

    def counted(self: Climatology, observations: xr.Dataset, **options: Any) -> xr.Dataset:
        dates.append(observations.sizes["time"])
        return real(self, observations, **options)

    monkeypatch.setattr(Climatology, "reconstruct", counted)
    with pytest.raises(Stopped):
        run_comparison(make(methods=methods), sharing=stopping(7 * 4))  # two pairs of four dates
    # the third date of the second setting was done, and not yet noted
    assert len(dates) == 7
    with pytest.raises(UnfinishedError, match="begun with another members"):
        run_comparison(make(methods=methods), members=3, sharing=Sharing(resume=True))
    results = run_comparison(make(methods=methods), sharing=Sharing(resume=True))
    assert len(dates) == 7 + 4 + 2  # the first pair anew with other members, then the two dates that were left
    assert numbers_of(results) == whole
    assert not list(Path("runs/compare").rglob("unfinished*"))


def test_workers_share_the_dates_of_a_comparison(make: Make, tmp_path: Path) -> None:
    comparison = make()
    whole = numbers_of(run_comparison(comparison, runs=Path("others")))
    crew: Any = Backwards()
    sharing = Sharing(crew=crew, asked=AskedComparison(tmp_path / "tiny.yaml", (), Path("runs")))
    assert numbers_of(run_comparison(comparison, sharing=sharing)) == whole


@pytest.mark.slow
def test_the_command_compares_on_a_cluster(make: Make) -> None:
    pytest.importorskip("distributed")
    whole = numbers_of(run_comparison(make(), runs=Path("others")))
    succeed("compare", "tiny.yaml", "--out", "page.md", "--cluster", "local:2")
    rows = {
        (path.parent.name, path.parent.parent.name): json.loads(path.read_text())["scores"]
        for path in Path("runs/compare").rglob("*.json")
    }
    assert rows == {pair: entry.scores for pair, entry in whole.items()}
