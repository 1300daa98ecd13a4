"""Bad input: exit code 2 and one line on stderr that names the culprit and what to do; never a traceback."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from driftfield.cli import main
from driftfield.data.sources import write_dataset
from driftfield.testing import tiny_ocean

PEER = {
    "data": {"archive": "truth.nc", "targets": ["thetao"], "split": {"class": "TimeSplit", "validation": 0.2}},
    "reconstructor": {"class": "Climatology"},
}
TRAIN = ["train", "peer.yaml", "--out", "new", "--set"]
MASK = ["mask", "truth.nc", "new.nc", "--observe"]
RECONSTRUCT = ["reconstruct", "peer", "obs.nc", "--out", "new.nc"]

BAD_INPUT: dict[str, tuple[list[str], list[str]]] = {
    # mask
    "missing file": (["mask", "none.nc", "new.nc", "--observe", "thetao=all"], ["none.nc", "No file"]),
    "name too long to open": (["mask", "n" * 300 + ".nc", "new.nc", "--observe", "thetao=all"], ["too long"]),
    "name too long to write": (["mask", "truth.nc", "n" * 300 + ".nc", "--observe", "thetao=all"], ["too long"]),
    "recipe with a name too long": (["train", "n" * 300 + ".yaml", "--out", "new"], ["too long"]),
    "run with a name too long": (["reconstruct", "n" * 300, "obs.nc", "--out", "new.nc"], ["is not a run"]),
    "output in a folder of the kernel": (
        ["mask", "truth.nc", "/proc/new.nc", "--observe", "thetao=all"],
        ["/proc/new.nc"],
    ),
    "not a data file": (["mask", "peer.yaml", "new.nc", "--observe", "thetao=all"], ["peer.yaml", "Cannot read"]),
    "wrong variable": ([*MASK, "theta=all"], ["'theta'", "Did you mean 'thetao'"]),
    "bad pattern": ([*MASK, "thetao=cluds:0.5"], ["'cluds:0.5'", "Did you mean 'clouds'"]),
    "bad share": ([*MASK, "thetao=clouds:80"], ["'clouds:80'", "0 to 1"]),
    "no pattern": ([*MASK, "thetao"], ["--observe 'thetao'", "VARIABLE=PATTERN"]),
    "same variable twice": ([*MASK, "thetao=all", "--observe", "thetao=none"], ["twice", "'thetao'"]),
    "missing donor of gaps": ([*MASK, "thetao=from:none.nc"], ["none.nc"]),
    "negative error": ([*MASK, "thetao=all", "--error", "-1"], ["--error -1", "0 or more"]),
    "error of what is not seen": ([*MASK, "thetao=all", "--error", "sst=1"], ["'sst'", "not observed"]),
    "no number": ([*MASK, "thetao=all", "--error", "much"], ["--error 'much'", "a number"]),
    "no such time": ([*MASK, "thetao=all", "--time", "2030:2031"], ["2030", "the file runs from"]),
    "unreadable time": ([*MASK, "thetao=all", "--time", "2001"], ["--time '2001'", "FIRST:LAST"]),
    "negative seed": ([*MASK, "thetao=all", "--seed", "-1"], ["--seed -1", "0 or more"]),
    "wrong suffix": (["mask", "truth.nc", "new.txt", "--observe", "thetao=all"], ["new.txt", ".nc or .zarr"]),
    # simulate
    "negative years": (["simulate", "ocean", "new.nc", "--years=-1"], ["years is -1"]),
    "simulation with a wrong suffix": (["simulate", "ocean", "new.h5"], ["new.h5", ".nc or .zarr"]),
    # train
    "missing recipe": (["train", "none.yaml", "--out", "new"], ["none.yaml"]),
    "broken recipe": (["train", "broken.yaml", "--out", "new"], ["broken.yaml", "not valid YAML"]),
    "unknown key": ([*TRAIN, "data.archiv=x.nc"], ["'archiv'", "Did you mean 'archive'"]),
    "unknown class": ([*TRAIN, "reconstructor.class=Climatologie"], ["'Climatologie'", "Did you mean 'Climatology'"]),
    "unknown argument": ([*TRAIN, "reconstructor.refitt=true"], ["'refitt'", "Did you mean 'refit'"]),
    "unset environment variable": ([*TRAIN, "data.archive=$NO_SUCH_FOLDER/a.nc"], ["$NO_SUCH_FOLDER", "not set"]),
    "missing archive": ([*TRAIN, "data.archive=none.nc"], ["none.nc"]),
    "unknown target": ([*TRAIN, "data.targets=[theta]"], ["'theta'", "Did you mean 'thetao'"]),
    "word for a list": ([*TRAIN, "data.targets=thetao"], ["data.targets", "[thetao]"]),
    "target and covariate": ([*TRAIN, "data.covariates=[thetao]"], ["'thetao'", "not both"]),
    "unknown split": ([*TRAIN, "data.split.class=TimesSplit"], ["'TimesSplit'", "Did you mean 'TimeSplit'"]),
    "overlapping splits": (
        [*TRAIN, "data.split={class: TimeSplit, train: ['2001-01', '2001-08'], validation: ['2001-06', '2001-09']}"],
        ["train and validation", "overlap"],
    ),
    "bad buffer": ([*TRAIN, "data.split.buffer=month"], ["'month'", "30D"]),
    "bad window": ([*TRAIN, "data.windows.size=wide"], ["'wide'", "[48, 64]"]),
    "region without a cell": ([*TRAIN, "data.region.lat=[60, 70]"], ["region", "no cell"]),
    "trainer for a peer": ([*TRAIN, "trainer.class=LightningTrainer"], ["Climatology", "no meaning"]),
    "nothing to resume": (["train", "peer.yaml", "--out", "new", "--resume"], ["new", "no checkpoint"]),
    # reconstruct
    "not a run": (["reconstruct", "empty", "obs.nc", "--out", "new.nc"], ["empty is not a run", "run.json"]),
    "damaged weights": (["reconstruct", "damaged", "obs.nc", "--out", "new.nc"], ["damaged/arrays.safetensors"]),
    "damaged description": (["reconstruct", "halved", "obs.nc", "--out", "new.nc"], ["halved/run.json", "damaged"]),
    "unknown shipped run": (["reconstruct", "shipped:nothing", "obs.nc", "--out", "new.nc"], ["'nothing'"]),
    "missing observations": (["reconstruct", "peer", "none.nc", "--out", "new.nc"], ["none.nc"]),
    "wrong grid": (["reconstruct", "peer", "shifted.nc", "--out", "new.nc"], ["another grid", "lat"]),
    "lacking target": (["reconstruct", "peer", "lacking.nc", "--out", "new.nc"], ["'thetao'"]),
    "no dates": (["reconstruct", "peer", "undated.nc", "--out", "new.nc"], ["undated.nc", "time"]),
    "no members": ([*RECONSTRUCT, "--members", "0"], ["--members 0", "1 or more"]),
    "empty batches": ([*RECONSTRUCT, "--batch-size", "0"], ["--batch-size 0"]),
    "a table for fields": (
        ["reconstruct", "peer", "points.csv", "--out", "new.nc"],
        ["points.csv is a table", "gather", "assimilate"],
    ),
    "quantiles of one member": ([*RECONSTRUCT, "--quantiles", "0.5", "--members", "1"], ["2 or more"]),
    "a quantile twice": ([*RECONSTRUCT, "--quantiles", "0.5,0.5"], ["different numbers"]),
    "no number among quantiles": ([*RECONSTRUCT, "--quantiles", "0.5,"], ["--quantiles 0.5,"]),
    "precision for a peer": ([*RECONSTRUCT, "--precision", "bfloat16"], ["Climatology", "--precision"]),
    "sampler for a peer": ([*RECONSTRUCT, "--sampler", "HeunSampler"], ["Climatology", "--sampler"]),
    "batches for a peer": ([*RECONSTRUCT, "--batch-size", "4"], ["Climatology", "all members at once", "--batch-size"]),
    "no domain in the file": ([*RECONSTRUCT, "--domain", "truth.nc"], ["truth.nc", "'domain'"]),
    "output beside a file": (["reconstruct", "peer", "obs.nc", "--out", "peer.yaml/new.nc"], ["peer.yaml"]),
    # evaluate
    "nothing held out": (
        ["evaluate", "truth.nc", "obs.nc", "--observations", "truth.nc", "--out", "new"],
        ["held_out"],
    ),
    "holes": (["evaluate", "truth.nc", "obs.nc", "--observations", "obs.nc", "--out", "new"], ["'obs.nc'", "NaN"]),
    "other truth": (["evaluate", "shifted.nc", "obs.nc", "--observations", "obs.nc", "--out", "new"], ["no lat"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and bad files, and a fitted peer."""
    folder = tmp_path_factory.mktemp("messages")
    ocean = tiny_ocean(times=24)
    write_dataset(ocean, folder / "truth.nc")
    write_dataset(ocean.assign_coords(lat=ocean["lat"] + 0.2), folder / "shifted.nc")
    write_dataset(ocean[["sst"]], folder / "lacking.nc")
    write_dataset(ocean.isel(time=0, drop=True), folder / "undated.nc")
    (folder / "peer.yaml").write_text(yaml.safe_dump(PEER), encoding="utf-8")
    (folder / "points.csv").write_text("time,lat,lon,variable,value\n2000-01-01,40,-60,thetao,5\n", encoding="utf-8")
    (folder / "broken.yaml").write_text("data: {archive: [", encoding="utf-8")
    (folder / "empty").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for arguments in (
            ["mask", "truth.nc", "obs.nc", "--observe", "thetao=random:0.5"],
            ["train", "peer.yaml", "--out", "peer"],
        ):
            patch.setattr(sys, "argv", ["driftfield", *arguments])
            with pytest.raises(SystemExit) as end:
                main()
            assert not end.value.code
    for name in ("damaged", "halved"):
        shutil.copytree(folder / "peer", folder / name)
    weights = (folder / "peer/arrays.safetensors").read_bytes()
    (folder / "damaged/arrays.safetensors").write_bytes(weights[: len(weights) // 2])
    (folder / "halved/run.json").write_text((folder / "peer/run.json").read_text()[:100])
    return folder


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, expected = BAD_INPUT[case]
    monkeypatch.chdir(folder)
    monkeypatch.delenv("NO_SUCH_FOLDER", raising=False)
    monkeypatch.setattr(sys, "argv", ["driftfield", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    error = capfd.readouterr().err
    assert end.value.code == 2, error
    assert "Traceback" not in error
    *progress, line = error.strip().splitlines()
    assert line.startswith("driftfield: ")
    assert not any(before.startswith("driftfield: ") for before in progress)
    for part in expected:
        assert part in line, line
    assert not (folder / "new.nc").exists()
    assert not (folder / "new").exists()


def test_no_message_names_a_half_written_file(folder: Path) -> None:
    assert not [path.name for path in folder.rglob(".*.tmp*")]


def test_an_error_of_ours_is_code_1_and_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import driftfield.cli

    def fail() -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(driftfield.cli, "app", fail)
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "driftfield-error.log"
    for count in (1, 2):
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("driftfield: internal error: RuntimeError: two lines. ")
        assert str(log) in line
        assert log.read_text().count("Traceback (most recent call last)") == count
    assert "in fail" in log.read_text()


def test_a_log_that_cannot_be_written_here_lies_among_the_temporary_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import driftfield.cli

    monkeypatch.setattr(driftfield.cli, "app", lambda: 1 / 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir("/proc" if Path("/proc").is_dir() else tmp_path)
    with pytest.raises(SystemExit):
        main()
    assert str(tmp_path / "driftfield-error.log") in capsys.readouterr().err
