"""Kill it anywhere: what was there stays, what was begun goes on, and the end is that of an uninterrupted one, bit by bit."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from driftfield.checkpoint import read_run
from driftfield.data.sources import write_dataset
from driftfield.testing import tiny_ocean, tiny_recipe

pytest.importorskip("lightning")
if sys.platform == "win32":
    pytest.skip("processes are forked", allow_module_level=True)

from killing import Fate, Outcome, driftfield_command, run, write_over

TRAIN = ["train", "model.yaml", "--out", "run"]
RECONSTRUCT = ["reconstruct", "whole/run", "obs.nc", "--members", "5", "--batch-size", "2", "--out"]
KILLS = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive, a recipe, observations, and under `whole` what uninterrupted commands make of them."""
    folder = tmp_path_factory.mktemp("kills")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        write_dataset(tiny_ocean(times=20), folder / "truth.nc")
        (folder / "whole").mkdir()
        for place, text in ((folder, "truth.nc"), (folder / "whole", "../truth.nc")):
            recipe = tiny_recipe(archive=text, steps=8, validate_every=2)
            (place / "model.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        well(run(driftfield_command, *mask("obs.nc", seed=0), folder=folder))
        trained = well(run(driftfield_command, *TRAIN, folder=folder / "whole"))
        drawn = well(run(driftfield_command, *RECONSTRUCT, "whole/out.zarr", folder=folder))
    for name, outcome in (("train", trained), ("reconstruct", drawn)):
        (folder / f"{name}.json").write_text(json.dumps([outcome.touches, outcome.seconds]))
    return folder


def mask(out: str, *, seed: int) -> list[str]:
    observe = ["--observe", "thetao=profiles:0.7", "--observe", "sst=clouds:0.5", "--error", "0.05"]
    return ["mask", "truth.nc", out, *observe, "--seed", str(seed), "--time", "2001-06:", "--overwrite"]


def well(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.said
    return outcome


def fates(folder: Path, command: str, seed: int) -> Callable[[], Fate]:
    """Every other one by the clock; the others by their touches of files, over a run and, in turn, after one or two fifths of it.

    A clock kills a slow machine early and a fast one late: what must be reached is reached by touches.
    """
    touches, seconds = json.loads((folder / f"{command}.json").read_text())
    rng = np.random.default_rng(seed)
    number = iter(range(1000))

    def draw() -> Fate:
        turn = next(number)
        if turn % 2:
            return Fate(seconds=float(rng.uniform(0, 0.7 * seconds)))
        first, last = (1, touches) if turn % 4 else (touches // 5, 2 * touches // 5)
        return Fate(touch=int(rng.integers(first, last + 1)))

    return draw


def history(folder: Path) -> list[dict[str, float]]:
    records = json.loads((folder / "run.json").read_text())["extra"]["history"]
    return [{key: value for key, value in one.items() if key != "samples_per_second"} for one in records]


def same_arrays(one: Path, other: Path) -> bool:
    a, b = read_run(one).arrays, read_run(other).arrays
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


@pytest.mark.slow
def test_a_training_that_is_killed_over_and_over_ends_with_the_same_weights(folder: Path) -> None:
    out, whole = folder / "run", folder / "whole" / "run"
    draw, kills, finished = fates(folder, "train", seed=1), 0, 0
    for _ in range(10 * KILLS):
        last = out / "checkpoints" / "last"
        resume = ["--resume"] if (last / "run.json").exists() else []
        fate = draw() if kills < KILLS else Fate()
        outcome = run(driftfield_command, *TRAIN, *resume, folder=folder, fate=fate)
        kills += outcome.killed
        if outcome.killed:
            for part in ("last", "best"):  # whatever is there can be read
                if (out / "checkpoints" / part / "run.json").exists():
                    assert read_run(out / "checkpoints" / part).arrays
            continue
        if "exists already" in outcome.said:  # killed after the run was whole
            assert (out / "run.json").exists()
        else:
            well(outcome)
        finished += 1
        for part in (".", "checkpoints/last", "checkpoints/best"):
            assert same_arrays(out / part, whole / part), part
        assert history(out) == history(whole)
        assert not list(out.rglob(".*"))
        out.rename(folder / f"run{finished}")
        if kills >= KILLS:
            break
    assert kills >= KILLS
    assert finished


@pytest.mark.slow
def test_a_reconstruction_that_is_killed_over_and_over_ends_with_the_same_fields(folder: Path) -> None:
    out, partial = folder / "out.zarr", folder / "out.zarr.partial"
    whole = xr.open_zarr(folder / "whole/out.zarr", consolidated=False).load()
    draw, kills, finished, furthest = fates(folder, "reconstruct", seed=2), 0, 0, set()
    for _ in range(10 * KILLS):
        resume = ["--resume"] if (partial / "journal.json").exists() else []
        fate = draw() if kills < KILLS else Fate()
        outcome = run(driftfield_command, *RECONSTRUCT, "out.zarr", *resume, folder=folder, fate=fate)
        kills += outcome.killed
        if outcome.killed:
            if (partial / "journal.json").exists():
                furthest.add(len(json.loads((partial / "journal.json").read_text())["finished"]))
            if not out.exists():
                continue
        elif "exists already" not in outcome.said:
            well(outcome)
        finished += 1
        found = xr.open_zarr(out, consolidated=False).load()
        xr.testing.assert_identical(found.drop_attrs(), whole.drop_attrs())
        dated = ("created", "history")
        assert {k: v for k, v in found.attrs.items() if k not in dated} == {
            k: v for k, v in whole.attrs.items() if k not in dated
        }
        out.rename(folder / f"out{finished}.zarr")
        shutil.rmtree(partial, ignore_errors=True)  # killed between the last rename and the last removal
        if kills >= KILLS:
            break
    assert kills >= KILLS
    assert finished
    assert len(furthest) > 2, "the kills fell on few dates"


@pytest.mark.slow
def test_a_kill_at_any_touch_leaves_the_old_file_or_the_new_one(folder: Path) -> None:
    """Every moment at which `mask --overwrite` touches a file, one after the other."""
    states = {}
    for seed in (5, 6):
        outcome = well(run(driftfield_command, *mask("a.nc", seed=seed), folder=folder))
        states[seed] = xr.load_dataset(folder / "a.nc").drop_attrs()
    found = []
    for touch in range(1, outcome.touches + 1):
        well(run(driftfield_command, *mask("a.nc", seed=5), folder=folder)) if found[-1:] != [5] else None
        for left in folder.glob(".a.nc*"):  # to remove them would be one touch more
            left.unlink()
        assert run(driftfield_command, *mask("a.nc", seed=6), folder=folder, fate=Fate(touch=touch)).killed
        seen = xr.load_dataset(folder / "a.nc").drop_attrs()
        found += [seed for seed, state in states.items() if seen.identical(state)]
        assert len(found) == touch, "neither the old file nor the new one"
    assert set(found) == {5, 6}
    well(run(driftfield_command, *mask("a.nc", seed=5), folder=folder))
    assert not list(folder.glob(".a.nc*"))


@pytest.mark.slow
def test_a_kill_while_a_run_is_written_leaves_the_old_run_or_the_new_one(tmp_path: Path) -> None:
    """Description and arrays belong together, at every touch."""
    write_over(str(tmp_path / "run"), 0)
    outcome = well(run(write_over, "run", 1, folder=tmp_path))
    numbers = []
    for touch in range(1, outcome.touches + 1):
        before = int(read_run(tmp_path / "run").arguments["number"])
        assert run(write_over, "run", before + 1, folder=tmp_path, fate=Fate(touch=touch)).killed
        found = read_run(tmp_path / "run")
        number = found.arguments["number"]
        assert number in (before, before + 1)
        assert found.extra == {"number": number}
        np.testing.assert_array_equal(found.arrays["a"], np.full(50, float(number)))
        numbers.append(number)
    assert len(set(numbers)) > 2
    well(run(write_over, "run", 0, folder=tmp_path))
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["arrays.safetensors", "run.json"]
