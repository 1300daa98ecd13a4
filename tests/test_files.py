"""A file is the old one or the new one, never half of one, and never replaced unasked."""

from pathlib import Path

import pytest

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
