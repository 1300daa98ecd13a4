"""A calibration that was killed goes on with the cases that are left, and workers make them to the same numbers."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml
from commands import Command, hearing_all, succeed
from crews import Backwards

from driftfield.checkpoint import read_run
from driftfield.cli.calibrate_work import AskedCalibration, prepared, share_cases
from driftfield.data.sources import write_dataset
from driftfield.peers.climatology import Climatology
from driftfield.reconstruction.calibration_trial import Trial
from driftfield.reconstruction.kept_cases import KeptCases
from driftfield.testing import tiny_ocean

WORDS = ("--observe", "thetao=random:0.5", "--cases", "4", "--masks", "2", "--members", "5")


class Stopped(BaseException):
    """The process was killed."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a calibration, and what an uninterrupted command makes of it."""
    folder = tmp_path_factory.mktemp("calibration")
    write_dataset(tiny_ocean(times=60), folder / "truth.nc")
    recipe = {
        "data": {"archive": "truth.nc", "targets": ["thetao"], "split": {"class": "TimeSplit", "validation": 0.3}},
        "reconstructor": {"class": "Climatology"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("peer.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        succeed("train", "peer.yaml", "--out", "fresh")
        shutil.copytree("fresh", "whole")
        succeed("calibrate", "whole", *WORDS)
    return folder


@pytest.fixture
def command(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(place)
    shutil.rmtree("run", ignore_errors=True)
    shutil.copytree("fresh", "run")
    return hearing_all(capsys)


def calibration_of(folder: str) -> Any:
    found = read_run(Path(folder)).extra["calibration"]
    assert found
    return json.dumps(found, sort_keys=True)


def counting(patch: pytest.MonkeyPatch, after: float = float("inf")) -> list[int]:
    """Counts reconstructions, and kills the process at one of them."""
    dates: list[int] = []
    real = Climatology.reconstruct

    def counted(self: Climatology, observations: xr.Dataset, **options: Any) -> xr.Dataset:
        if len(dates) == after:
            raise Stopped
        dates.append(observations.sizes["time"])
        return real(self, observations, **options)

    patch.setattr(Climatology, "reconstruct", counted)
    return dates


def test_a_killed_calibration_goes_on_to_the_same_numbers(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        begun = counting(patch, after=5)
        with pytest.raises(Stopped):
            command("calibrate", "run", *WORDS)
    assert len(begun) == 5
    assert not read_run(Path("run")).extra.get("calibration")
    code, said = command("calibrate", "run", *WORDS)
    assert (code, "--resume" in said) == (2, True)
    code, said = command("calibrate", "run", *WORDS[:-1], "6", "--resume")
    assert (code, "begun with another members" in said) == (2, True)
    with monkeypatch.context() as patch:
        rest = counting(patch)
        assert command("calibrate", "run", *WORDS, "--resume")[0] == 0
    assert len(rest) == 4 * 2 - 5
    assert calibration_of("run") == calibration_of("whole")
    assert not Path("run/calibration.partial").exists()


def test_cases_that_others_made_in_any_order_are_the_same(command: Command, tmp_path: Path) -> None:
    asked = AskedCalibration(Path("run"), 4, 2, 5, 0, (WORDS[1],), (), None, ())
    made = prepared(asked)
    trial = Trial.of(made.method, made.data, 4, 5, made.patterns, made.error)
    crew: Any = Backwards()
    counted: list[int] = []
    share_cases(asked, trial, KeptCases(tmp_path / "cases"), crew, counted.append)
    assert sum(counted) == 4 * 2 * 5
    assert len(list((tmp_path / "cases").iterdir())) == 8
    for time, case, result in trial.cases(1, KeptCases(tmp_path / "cases")):
        ((_, _, alone),) = trial.at(time).cases(1)
        for name in alone.data_vars:
            assert result[name].dims == alone[name].dims
            assert result[name].values.tobytes() == alone[name].values.tobytes()
        xr.testing.assert_equal(result["time"], case["time"])


@pytest.mark.slow
def test_the_command_calibrates_on_a_cluster(command: Command) -> None:
    pytest.importorskip("distributed")
    code, said = command("calibrate", "run", *WORDS, "--cluster", "local:2")
    assert code == 0, said
    assert calibration_of("run") == calibration_of("whole")
