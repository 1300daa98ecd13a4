"""A command that was killed goes on to the bytes that it would have written, and refuses to go on as something else."""

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from commands import Command, hearing_errors
from crews import Backwards

from driftfield.reconstruction.journal import hash_path, partial_of
from driftfield.reconstruction.kept_draws import KeptDraws

pytest.importorskip("lightning")

NETWORK = {"class": "CircleUNet", "widths": [4, 8], "depths": [1, 1], "embedding": 8}
TRAINER = {"class": "LightningTrainer", "steps": 2, "batch_size": 4, "validate_every": 2, "loggers": []}
SAMPLER = {"class": "DPMSolverPP2M", "evaluations": 3}
LEARNERS = {
    "emulator": {"emulator": {"class": "DiffusionEmulator"}},
    "prior": {"reconstructor": {"class": "DiffusionReconstructor", "observing": {"observe": {"x": "none"}}}},
    "courses": {"reconstructor": {"class": "TrajectoryReconstructor", "states": 3}},
}

COMMANDS = {
    "sample": "sample prior --members 5 --batch-size 2",
    "around": "sample prior --around initial.nc --start-level 0.5 --members 3 --batch-size 2 --date 2000-01-01",
    "courses": "sample courses --members 5 --batch-size 2",
    "forecast": "forecast emulator initial.nc --steps 2 --members 5 --batch-size 2 --start 2000-01-05T00",
    "assimilate": "assimilate prior points.csv --members 3 --batch-size 2 --method mmps --withhold 0.2",
    "particles": "assimilate prior points.csv --members 3 --method particles --set method.particles=4",
    "whole course": "assimilate courses points.csv --members 5 --batch-size 2 --method mmps",
}


class Stopped(BaseException):
    """The process was killed."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of a small world, an initial state and a table."""
    folder = tmp_path_factory.mktemp("worlds")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        from driftfield.recipe import as_recipe
        from driftfield.reconstruction.fitting import fit_recipe
        from driftfield.worlds.lorenz import Lorenz96, simulate_lorenz

        world = simulate_lorenz(Lorenz96(variables=12), steps=40)
        world.to_netcdf("world.nc")
        world.to_netcdf("initial.nc")
        data = {"archive": "world.nc", "targets": ["x"], "split": {"class": "TimeSplit", "validation": 0.2}}
        shared = {"network": NETWORK, "normalizer": {"class": "ZScore"}, "validation_samples": 4, "sampler": SAMPLER}
        for name, learner in LEARNERS.items():
            ((kind, arguments),) = learner.items()
            recipe = {"seed": 0, "data": data, kind: arguments | shared, "trainer": TRAINER | {"accelerator": "cpu"}}
            fit_recipe(as_recipe(yaml.safe_load(yaml.safe_dump(recipe)), Path(f"{name}.yaml")), Path(name), source=name)
        rows = np.arange(24)
        table = {
            "longitude": world["lon"].values[rows % 12],
            "latitude": float(world["lat"].values[0]),
            "time": world["time"].values[10 + rows // 8],
            "variable": "x",
            "value": np.cos(rows),
            "error": 1.0,
            "platform": rows % 6,
        }
        pd.DataFrame(table).to_csv("points.csv", index=False)
    return folder


@pytest.fixture
def command(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(place)
    return hearing_errors(capsys)


class Counted:
    """Kills the process once so many batches were drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: float = float("inf")) -> None:
        self.batches, real = 0, KeptDraws.keep

        def keep(kept: KeptDraws, members: Any, fields: Any) -> None:
            real(kept, members, fields)
            self.batches += 1
            if self.batches == after:
                raise Stopped

        monkeypatch.setattr(KeptDraws, "keep", keep)


def same_bytes(path: Path, expected: Path) -> None:
    with xr.open_dataset(path) as written, xr.open_dataset(expected) as whole:
        assert set(written.variables) == set(whole.variables)
        for name in whole.variables:
            assert written[name].values.tobytes() == whole[name].values.tobytes(), name
            assert written[name].attrs == whole[name].attrs
        changing = ("created", "history")
        assert {k: str(v) for k, v in written.attrs.items() if k not in changing} == {
            k: str(v) for k, v in whole.attrs.items() if k not in changing
        }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_one_goes_on_to_the_same_bytes(
    name: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, whole, out = COMMANDS[name].split(), tmp_path / "whole.nc", tmp_path / "out.nc"
    with monkeypatch.context() as patch:
        everything = Counted(patch)
        done = command(*words, "--out", str(whole))
        assert done[0] == 0, done
    assert everything.batches >= 3
    with monkeypatch.context() as patch:
        Counted(patch, after=2)
        with pytest.raises(Stopped):
            command(*words, "--out", str(out))
    assert not out.exists()
    code, said = command(*words, "--out", str(out))
    assert code == 2
    assert "--resume" in said
    code, said = command(*words, "--out", str(out), "--resume", "--seed", "7")
    assert code == 2
    assert "was begun with another seed" in said
    with monkeypatch.context() as patch:
        rest = Counted(patch)
        done = command(*words, "--out", str(out), "--resume")
        assert done[0] == 0, done
    assert rest.batches == everything.batches - 2
    same_bytes(out, whole)
    assert not partial_of(out).exists()
    code, said = command(*words, "--out", str(tmp_path / "other.nc"), "--resume")
    assert code == 2
    assert "Nothing to resume" in said


def test_other_bytes_of_a_file_are_another_file(tmp_path: Path) -> None:
    file = tmp_path / "store" / "a"
    file.parent.mkdir()
    file.write_bytes(b"1")
    before = hash_path(file), hash_path(file.parent)
    file.write_bytes(b"2")
    assert not set(before) & {hash_path(file), hash_path(file.parent)}
    assert hash_path(tmp_path / "https:" / "host") == str(tmp_path / "https:" / "host")
    assert hash_path(None) == ""


@pytest.mark.parametrize("name", ["assimilate", "particles", "chosen"])
def test_workers_draw_the_dates_of_an_analysis_to_the_same_bytes(
    name: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (COMMANDS["assimilate"] + " --calibrate" if name == "chosen" else COMMANDS[name]).split()
    for run in ("one", "other"):  # a calibration is written into the run
        shutil.copytree("prior", tmp_path / run)
    place, whole, out = words.index("prior"), tmp_path / "whole.nc", tmp_path / "out.nc"
    done = command(*words[:place], tmp_path / "one", *words[place + 1 :], "--out", str(whole))
    assert done[0] == 0, done
    crew = Backwards()
    monkeypatch.setattr("driftfield.clusters.open_crew", lambda text: nullcontext(crew))
    done = command(*words[:place], tmp_path / "other", *words[place + 1 :], "--out", str(out), "--cluster", "local:1")
    assert done[0] == 0, done
    assert crew.count >= 3
    with xr.open_dataset(out) as written, xr.open_dataset(whole) as expected:
        xr.testing.assert_equal(written, expected)
        assert {**written.attrs, "created": "", "history": "", "run": ""} == {
            **expected.attrs,
            "created": "",
            "history": "",
            "run": "",
        }


def test_one_course_through_all_dates_cannot_be_shared(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftfield.clusters.open_crew", lambda text: nullcontext(Backwards()))
    words = (*COMMANDS["whole course"].split(), "--out", "course.nc", "--cluster", "local:1")
    code, said = command(*words)
    assert code == 2
    assert "there is nothing to share" in said
