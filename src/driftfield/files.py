"""Write to a temporary name beside the target and rename: a kill leaves the old file or the new one, never half of one.

with replacing(Path("out.nc"), overwrite=False) as temporary:
    dataset.to_netcdf(temporary)

A folder is exchanged with the old one in one step where the system can. What a killed process left behind is removed by
the next one that writes the same target.
"""

__all__ = ["refuse_existing", "replacing", "swap", "write_text", "writing"]

import ctypes
import errno
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from driftfield.errors import ExistsError, UserError

# what a user can mend: a full disk, a quota, a file that is too large, no permission
_USERS_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raises `ExistsError` if `path` is there and may not be replaced; early, before hours of work."""
    with writing(path):  # a name may be too long to be asked for
        exists = path.exists()
    if exists and not overwrite:
        raise ExistsError(f"{path} exists already. Choose another name, or pass --overwrite to replace it.")


@contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary path (file or folder) that becomes `path` when the block ends well, and is removed otherwise.

    Raises:
        ExistsError: `path` exists and `overwrite` is false.
        UserError: the folder of `path` cannot be made or written, or the disk is full.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    temporary = path.with_name(f"{_prefix(path)}{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"no permission to write in {path.parent}")
        _remove_leftovers(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with writing(path):
            yield temporary
            swap(temporary, path)
    except FileNotFoundError as error:
        if str(error.filename) != str(temporary):
            raise
        raise _cannot_write(path, error) from error  # a folder that is there and takes no files, as /proc
    finally:
        _remove(temporary)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A full disk, a quota, a missing permission or an impossible name becomes a `UserError` that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _USERS_ERRNO:
            raise _cannot_write(path, error) from error
        raise


def cannot_look_up(error: OSError) -> UserError | None:
    """The users' error behind a name that the system does not even look up: too long, in circles, or without permission."""
    if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM) or error.filename is None:
        return None
    return UserError(f"Cannot use {error.filename}: {error.strerror}. Name another file.")


def write_text(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Writes a small text file in one piece."""
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def swap(new: Path, path: Path) -> None:
    """Renames `new` to `path`; what was there goes away, a folder as well as a file."""
    if not path.is_dir() and not (path.exists() and new.is_dir()):
        os.replace(new, path)
    elif _exchange(new, path):
        _remove(new)
    else:
        retired = path.with_name(f"{_prefix(path)}{os.getpid()}-{uuid.uuid4().hex[:8]}.old")
        path.rename(retired)
        new.rename(path)
        _remove(retired)


def _exchange(one: Path, other: Path) -> bool:
    """Two paths trade places in one step (Linux); false where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _prefix(path: Path) -> str:
    return f".{path.name}.{re.sub('[^A-Za-z0-9]', '', platform.node())}-"


def _remove_leftovers(path: Path) -> None:
    """Removes temporaries of `path` whose process on this machine is gone: it was killed."""
    prefix = _prefix(path)
    for left in path.parent.glob(f"{prefix.replace('[', '[[]')}*"):
        match = re.match(r"(\d+)-[0-9a-f]{8}\.(tmp|old)", left.name.removeprefix(prefix))
        if match and not _is_alive(int(match[1])):
            # the moment between two renames: the old folder is all that there is
            if match[2] == "old" and not path.exists():
                left.rename(path)
            else:
                _remove(left)


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is no question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _cannot_write(path: Path, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(f"Cannot write {path}: {reason}. Choose a folder that you may write to and that has space.")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
