"""Write to a temporary name beside the target and rename: a kill leaves the old file or the new one, never half of one.

with replacing(Path("out.nc"), overwrite=False) as temporary:
    dataset.to_netcdf(temporary)
"""

__all__ = ["refuse_existing", "replacing", "write_text"]

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from driftfield.errors import ExistsError, UserError


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raises `ExistsError` if `path` is there and may not be replaced; early, before hours of work."""
    if path.exists() and not overwrite:
        raise ExistsError(f"{path} exists already. Choose another name, or pass --overwrite to replace it.")


@contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary path (file or folder) that becomes `path` when the block ends well, and is removed otherwise.

    Raises:
        ExistsError: `path` exists and `overwrite` is false.
        UserError: the folder of `path` cannot be made or written.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"no permission to write in {path.parent}")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error}. Choose a folder that you may write to.") from error
    try:
        yield temporary
        if path.is_dir():
            retired = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
            path.rename(retired)
            temporary.rename(path)
            shutil.rmtree(retired)
        else:
            os.replace(temporary, path)
    finally:
        _remove(temporary)


def write_text(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Writes a small text file in one piece."""
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
