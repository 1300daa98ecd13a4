"""A file is the old one or the new one, never half of one, and never replaced unasked."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from driftfield import files
from driftfield.errors import ExistsError, UserError
from driftfield.files import replacing, write_text


def test_writes_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    write_text(target, "one")
    write_text(target, "two")
    assert target.read_text() == "two"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_an_existing_file_is_refused_and_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ExistsError, match="--overwrite"), replacing(target):
        pytest.fail("the block must not run")
    assert target.read_text() == "old"


@pytest.mark.parametrize("folder", [False, True])
def test_an_error_inside_leaves_the_old_one(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "a"
    if folder:
        target.mkdir()
        (target / "old").write_text("old")
    else:
        target.write_text("old")

    def half() -> None:
        with replacing(target, overwrite=True) as temporary:
            if folder:
                temporary.mkdir()
            else:
                temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        half()
    assert (target / "old").read_text() == "old" if folder else target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "run.zarr"
    for text in ("one", "two"):
        with replacing(target, overwrite=True) as temporary:
            assert temporary.suffix == ".zarr"
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert [p.name for p in target.iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]


def test_a_folder_that_cannot_be_made_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write"), replacing(tmp_path / "file" / "a.txt"):
        pytest.fail("the block must not run")


def test_a_folder_is_replaced_also_where_the_system_cannot_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    test_a_folder_replaces_a_folder(tmp_path)


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_process_left_is_removed(tmp_path: Path, folder: bool) -> None:
    target = tmp_path / "a.nc"
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    left = tmp_path / f"{files._prefix(target)}{int(dead.stdout)}-0123abcd.tmp.nc"
    left.mkdir() if folder else left.write_text("half")
    alive = tmp_path / f"{files._prefix(target)}{os.getpid()}-0123abcd.tmp.nc"
    alive.write_text("somebody writes this")
    other = tmp_path / ".a.nc.elsewhere-1-0123abcd.tmp.nc"
    other.write_text("another machine writes this")
    write_text(target, "one")
    assert {p.name for p in tmp_path.iterdir()} == {"a.nc", alive.name, other.name}


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    target = tmp_path / "run.zarr"
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    retired = tmp_path / f"{files._prefix(target)}{int(dead.stdout)}-0123abcd.old"
    retired.mkdir()
    (retired / "one").write_text("one")
    with pytest.raises(RuntimeError), replacing(target, overwrite=True):
        raise RuntimeError
    assert (target / "one").read_text() == "one"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_the_users_error(tmp_path: Path, number: int) -> None:
    with pytest.raises(UserError, match=r"Cannot write .*a\.nc"), replacing(tmp_path / "a.nc"):
        raise OSError(number, os.strerror(number))
    with pytest.raises(OSError, match=r"[Dd]eadlock|avoided"), replacing(tmp_path / "a.nc"):
        raise OSError(errno.EDEADLK, os.strerror(errno.EDEADLK))


def test_a_name_that_is_too_long_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot write"):
        write_text(tmp_path / ("n" * 300), "text")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files")
@pytest.mark.parametrize("folder", [False, True])
def test_a_folder_that_takes_no_files_is_the_users_error(folder: bool) -> None:
    with pytest.raises(UserError, match="Cannot write /proc/new"), replacing(Path("/proc/new")) as temporary:
        temporary.mkdir() if folder else temporary.write_text("text")


def test_another_missing_file_is_no_fault_of_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.nc"):
        (tmp_path / "none").read_text()
