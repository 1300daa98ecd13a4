"""A run comes back as it was written; what is no run says so."""

import json
from pathlib import Path

import numpy as np
import pytest

from driftfield import checkpoint
from driftfield.checkpoint import read_run, write_run
from driftfield.errors import FileFormatError

ARRAYS = {
    "weights.0": np.arange(6, dtype=np.float32).reshape(2, 3),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "step": np.float32(3.0),
    "mask": np.array([True, False]),
    "half": np.ones(2, np.float16),
    "empty": np.zeros((0, 4)),
}


def test_save_and_load_is_the_identity(tmp_path: Path) -> None:
    extra = {"recipe": {"seed": 1, "text": "ü"}, "history": [{"loss": 0.5}]}
    write_run(tmp_path / "run", "Model", {"width": 3, "name": None}, ARRAYS, extra)
    run = read_run(tmp_path / "run")
    assert (run.class_name, run.arguments, run.extra) == ("Model", {"width": 3, "name": None}, extra)
    assert set(run.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert run.arrays[name].shape == np.shape(array)
        assert run.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(run.arrays[name], array)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["arrays.safetensors", "run.json"]


def test_a_run_can_be_written_again(tmp_path: Path) -> None:
    write_run(tmp_path, "Model", {}, {"a": np.zeros(3)})
    write_run(tmp_path, "Model", {}, {"a": np.ones(4)})
    np.testing.assert_array_equal(read_run(tmp_path).arrays["a"], np.ones(4))


def test_what_json_cannot_hold_breaks_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "Model", {}, {"a": np.zeros(3)})
    with pytest.raises(ValueError):
        write_run(tmp_path, "Model", {}, {"a": np.ones(3)}, {"loss": float("nan")})
    np.testing.assert_array_equal(read_run(tmp_path).arrays["a"], np.zeros(3))


def damaged(folder: Path, how: str) -> None:
    description = json.loads((folder / "run.json").read_text())
    if how == "missing":
        (folder / "run.json").unlink()
    elif how == "text":
        (folder / "run.json").write_text("{")
    elif how == "a list":
        (folder / "run.json").write_text("[]")
    elif how == "arrays":
        (folder / "arrays.safetensors").write_bytes(b"\x80\x04pickle")
    elif how == "no arrays":
        (folder / "arrays.safetensors").unlink()
    else:
        description["driftfield_format"] = {"newer": 99, "zero": 0, "words": "one"}[how]
        (folder / "run.json").write_text(json.dumps(description))


@pytest.mark.parametrize("how", ["missing", "text", "a list", "arrays", "no arrays", "newer", "zero", "words"])
def test_a_damaged_run_is_a_file_format_error(tmp_path: Path, how: str) -> None:
    write_run(tmp_path, "Model", {}, {"a": np.zeros(3)})
    damaged(tmp_path, how)
    with pytest.raises(FileFormatError):
        read_run(tmp_path)


def test_an_older_format_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, "Model", {"width": 3}, {"a": np.zeros(3)})

    def rename(description: dict, arrays: dict) -> tuple[dict, dict]:
        return description | {"class": "Renamed"}, {"b": arrays["a"]}

    monkeypatch.setattr(checkpoint, "RUN_FORMAT", 2)
    monkeypatch.setitem(checkpoint.MIGRATIONS, 1, rename)
    run = read_run(tmp_path)
    assert run.class_name == "Renamed"
    assert list(run.arrays) == ["b"]


def test_a_reader_finishes_what_a_killed_writer_had_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, "Model", {}, {"a": np.zeros(3)})
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_settle", lambda pending: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_run(tmp_path, "Model", {}, {"a": np.ones(3)})
    assert len(list(tmp_path.iterdir())) == 3
    for _ in range(2):
        np.testing.assert_array_equal(read_run(tmp_path).arrays["a"], np.ones(3))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.safetensors", "run.json"]
