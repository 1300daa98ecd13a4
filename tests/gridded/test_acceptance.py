"""The quality that a user accepts: an option of commands, a key of recipes; what no flag can say is refused."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from small_files import DIMS, FORMATS, coords, smooth, write

from driftfield.cli import main
from driftfield.data.observation_files import open_observations
from driftfield.data.sources import open_archive, open_fields
from driftfield.errors import ConfigurationError
from driftfield.gridded.acceptance import Acceptance

MEANINGS = "no_data bad_data worst_quality low_quality acceptable_quality best_quality"
TIMES = 12


def flagged(seed: int = 0, *, meanings: bool = True, bits: bool = True) -> tuple[xr.Dataset, np.ndarray, np.ndarray]:
    """A field, its quality levels and its l2p_flags: land 2, ice 4, glint 8; bad values of a level are -5."""
    rng = np.random.default_rng(seed)
    level = rng.integers(0, 6, (TIMES, 4, 6)).astype("i1")
    flags = rng.integers(0, 16, (TIMES, 4, 6)) & rng.integers(0, 16, (TIMES, 4, 6)) & ~2
    described = {"flag_values": np.arange(6, dtype="i1"), "flag_meanings": MEANINGS} if meanings else {}
    masks = {"flag_masks": np.array([1, 2, 4, 8], "i2"), "flag_meanings": "microwave land ice sun_glint"}
    variables = {
        "x": (DIMS, smooth(TIMES, low=5.0, high=9.0, seed=seed).astype("f4"), {"units": "mg m-3"}),
        "quality_level": (DIMS, level, described),
    }
    if bits:
        variables["l2p_flags"] = (DIMS, flags.astype("i2"), masks)
    return xr.Dataset(variables, coords(TIMES)), level, flags


@pytest.mark.parametrize("least", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("meanings", [True, False])
@pytest.mark.parametrize("form", FORMATS)
def test_values_below_the_accepted_level_are_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, least: int, meanings: bool, form: str
) -> None:
    dataset, level, _ = flagged(least, meanings=meanings, bits=False)
    path = write(dataset, tmp_path / "a", form)
    with caplog.at_level(logging.INFO):
        found = open_archive(path, ["x"], acceptance=Acceptance(least)).dataset["x"].values
    np.testing.assert_array_equal(np.isnan(found), level < least)
    if least:
        removed = int((level < least).sum())
        assert f"removed {removed} rejected by flags (quality_level: below {least}, as asked)" in caplog.text


def test_a_level_that_is_missing_is_not_accepted_where_one_is_asked_for(tmp_path: Path) -> None:
    dataset, level, _ = flagged(bits=False)
    level[0] = -128
    dataset["quality_level"] = (DIMS, level, dataset["quality_level"].attrs | {"_FillValue": np.int8(-128)})
    found = open_fields(write(dataset, tmp_path / "a"), acceptance=Acceptance(1))["x"].values
    np.testing.assert_array_equal(np.isnan(found), level < 1)


@pytest.mark.parametrize("words", [("ice",), ("sun_glint",), ("ice", "SUN_GLINT"), ("microwave", "ice")])
def test_named_meanings_reject_beside_the_usual_ones(tmp_path: Path, words: tuple[str, ...]) -> None:
    dataset, level, flags = flagged(3)
    found = open_fields(write(dataset, tmp_path / "a"), acceptance=Acceptance(None, words))["x"].values
    mask = sum({"microwave": 1, "ice": 4, "sun_glint": 8}[word.lower()] for word in words)
    np.testing.assert_array_equal(np.isnan(found), (level < 2) | ((flags & mask) > 0))


@pytest.mark.parametrize(
    ("dataset", "acceptance", "words"),
    [
        (
            flagged()[0].drop_vars("quality_level"),
            Acceptance(3),
            "has no variable quality_level: its flags are l2p_flags",
        ),
        (flagged()[0][["x"]], Acceptance(3), "it has no flags"),
        (flagged()[0], Acceptance(None, ("glint",)), "names 'glint', which no flag .* Did you mean 'sun_glint'"),
    ],
)
def test_what_no_flag_can_say_is_refused(
    tmp_path: Path, dataset: xr.Dataset, acceptance: Acceptance, words: str
) -> None:
    path = write(dataset, tmp_path / "a")
    for reader in (open_fields, open_archive, open_observations):
        with pytest.raises(ConfigurationError, match=words):
            reader(path, acceptance=acceptance)  # type: ignore[operator]


@pytest.mark.parametrize("level", [-1, 2.5, "4", True, 999])
def test_a_level_that_is_none_is_refused(level: object) -> None:
    with pytest.raises(ConfigurationError, match="expected the least level"):
        Acceptance(level)  # type: ignore[arg-type]


@pytest.mark.parametrize("fill", [False, True])
def test_nasa_counts_from_the_best(tmp_path: Path, fill: bool) -> None:
    """qual_sst of a level-3 file of MODIS or VIIRS: 0 is the best, 3 is bad, 4 failed; the fill is 255."""
    quality = np.random.default_rng(0).integers(0, 5, (TIMES, 4, 6)).astype("u1")
    attrs: dict[str, object] = {"valid_min": np.uint8(0), "valid_max": np.uint8(5)}
    bad = quality > 2
    if fill:
        attrs["_FillValue"], quality[0], bad[0] = np.uint8(255), 255, False
    x = (DIMS, smooth(TIMES, low=5.0, high=9.0), {"units": "degC"})
    dataset = xr.Dataset({"sst": x, "qual_sst": (DIMS, quality, attrs)}, coords(TIMES))
    found = open_fields(write(dataset, tmp_path / "a"))
    assert list(found.data_vars) == ["sst"]
    np.testing.assert_array_equal(np.isnan(found["sst"].values), bad)


# -- the commands --------------------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["driftfield", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flagged archive, a recipe of climatology on it, and its run."""
    folder = tmp_path_factory.mktemp("accept")
    dataset, _, _ = flagged()
    write(dataset, folder / "seen")
    recipe = {
        "data": {"archive": str(folder / "seen.nc"), "targets": ["x"], "quality_level": 4, "reject_flags": ["ice"]},
        "reconstructor": {"class": "Climatology"},
    }
    recipe["data"]["split"] = {"class": "TimeSplit", "validation": 0.2}
    (folder / "r.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "train", folder / "r.yaml", "--out", folder / "run") == 0
        quality = ("--quality-level", 4, "--reject-flags", "ice,sun_glint")
        assert run(patch, "mask", folder / "seen.nc", folder / "m.nc", "--observe", "x=all", *quality) == 0
    return folder


def accepted(least: int, mask: int) -> np.ndarray:
    _, level, flags = flagged()
    return (level >= least) & ((flags & mask) == 0)


def test_a_recipe_learns_from_what_it_accepts(files: Path) -> None:
    dataset, _, _ = flagged()
    times = round(TIMES * 0.8)
    seen = dataset["x"].values[:times][accepted(4, 4)[:times]]
    from safetensors.numpy import load_file

    arrays = load_file(files / "run" / "arrays.safetensors")
    stored = np.concatenate([a.ravel() for name, a in arrays.items() if "mean" in name])
    assert np.isfinite(stored).all()
    assert stored.max() <= seen.max() + 1e-4


def test_mask_sees_what_is_accepted(files: Path) -> None:
    found = open_fields(files / "m.nc")
    np.testing.assert_array_equal(found["x"].notnull().values, accepted(4, 12))


@pytest.mark.parametrize("options", [["--quality-level", "5"], ["--reject-flags", "ice"], []])
@pytest.mark.parametrize("command", ["reconstruct", "fill"])
def test_a_command_shows_a_method_what_is_accepted(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    command: str, options: list[str],
) -> None:  # fmt: skip
    out = ["--out", tmp_path / "out.nc"]
    if command == "fill":
        call = ["fill", files / "seen.nc", *out, "--variable", "x", "--method", "nearest"]
    else:
        call = ["reconstruct", files / "run", files / "seen.nc", *out, "--members", "2"]
    with caplog.at_level(logging.INFO):
        assert run(monkeypatch, *call, *options) == 0
    inside = accepted(5, 0) if "5" in options else accepted(2, 4 if options else 0)
    assert f"{int(inside.sum())} of {inside.size} values are left" in caplog.text


def test_evaluate_scores_what_the_truth_accepts(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_figures: None
) -> None:
    from json import loads

    held = xr.open_dataset(files / "m.nc").load().drop_encoding()
    held = held.assign(held_out=held["held_out"].copy(data=np.ones(held["x"].shape, "i1")))
    held.to_netcdf(tmp_path / "held.nc")
    assert (
        run(monkeypatch, "reconstruct", files / "run", files / "m.nc", "--out", tmp_path / "y.nc", "--members", 2) == 0
    )
    call = ["evaluate", files / "seen.nc", tmp_path / "y.nc", "--observations", tmp_path / "held.nc", "--overwrite"]
    inside = xr.open_dataset(files / "m.nc")["domain"].values.astype(bool)
    for options, expected in (([], accepted(2, 0)), (["--quality-level", "5"], accepted(5, 0))):
        assert run(monkeypatch, *call, "--out", tmp_path / "r", *options) == 0
        scores = next(iter(loads((tmp_path / "r" / "scores.json").read_text()).values()))["x"]
        assert scores["n"] == int((expected & inside).sum())


def test_a_table_takes_no_quality_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.csv").write_text("time,latitude,longitude,x\n2001-01-07,31,-38,7\n")
    call = ["assimilate", "shipped:ocean_diffusion", tmp_path / "p.csv", "--out", tmp_path / "o.nc"]
    assert run(monkeypatch, *call, "--quality-level", 3) == 2
    assert "--quality-level, --reject-flags and --drop-outside are of gridded files" in capfd.readouterr().err
