"""Names that the page may ask for -> files: those that were named at the start, and what lies in one folder beside them.

A name is resolved, links and dots too, before it is compared: what lies elsewhere is refused, whether it exists or not.
"""

__all__ = ["FORMATS", "OutsideError", "ViewedFolder"]

from pathlib import Path
from threading import Lock

from driftfield.errors import DataError, UserError
from driftfield.gridded.gridded_files import open_fields
from driftfield.viewer.viewed_file import ViewedFile

FORMATS = (".nc", ".nc4", ".zarr", ".grib", ".grb")


class OutsideError(UserError):
    """A name that leads out of the folder."""


class ViewedFolder:
    """The files that may be looked at, opened once each.

    Arguments:
        folder: Files in it may be asked for by their names.
        named: Files that the user named, wherever they lie, by what the page calls them.
    """

    def __init__(self, folder: Path, named: dict[str, Path]) -> None:
        self.folder = folder.resolve()
        self.named = {name: path.resolve() for name, path in named.items()}
        self._opened: dict[Path, ViewedFile] = {}
        # the libraries that read NetCDF take one thread at a time
        self.lock = Lock()

    def names(self) -> list[str]:
        """Those that were named first, then what else the folder holds."""
        beside = sorted(path.name for path in self.folder.iterdir() if path.suffix in FORMATS)
        known = set(self.named.values())
        return [*self.named, *(name for name in beside if (self.folder / name).resolve() not in known)]

    def path_of(self, name: str) -> Path:
        """The file behind a name.

        Raises:
            OutsideError: it lies elsewhere.
            DataError: it is not there, or no file of fields by its suffix.
        """
        if name in self.named:
            return self.named[name]
        try:
            path = (self.folder / name).resolve()
        except (OSError, ValueError) as error:
            raise OutsideError(f"Cannot use the name {name!r}: expected one of the folder {self.folder}.") from error
        if path.parent != self.folder:
            raise OutsideError(f"{name!r} lies outside {self.folder}: expected a file of that folder.")
        if path.suffix not in FORMATS or not path.exists():
            raise DataError(f"No file of fields {name!r} in {self.folder}: expected one of {', '.join(self.names())}.")
        return path

    def open(self, name: str) -> ViewedFile:
        """Opened lazily, and kept open."""
        path = self.path_of(name)
        with self.lock:
            if path not in self._opened:
                self._opened[path] = ViewedFile(open_fields(path), name)
            return self._opened[path]
