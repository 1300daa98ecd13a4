"""The job of `driftfield download`: pieces are kept beside the output until it is whole, so that a killed one goes on."""

__all__ = ["SOURCES", "download"]

import hashlib
import json
import logging
import shutil
from pathlib import Path

from driftfield.errors import ExistsError
from driftfield.files import refuse_existing, write_text
from driftfield.gridded.gridded_files import write_dataset
from driftfield.sources.arco import ERA5Source
from driftfield.sources.argo import ArgoSource
from driftfield.sources.asked import AskedBox, Piece, Source
from driftfield.sources.climate_store import CERRA, ERA5_STORE
from driftfield.sources.fetching import Fetcher
from driftfield.sources.marine import GLORYSSource
from driftfield.sources.nnja import NNJASource
from driftfield.sources.oisst import OISSTSource

log = logging.getLogger(__name__)

SOURCES: dict[str, Source] = {
    "argo": ArgoSource(),
    "oisst": OISSTSource(),
    "glorys": GLORYSSource(),
    "era5": ERA5Source(),
    "era5-cds": ERA5_STORE,
    "cerra": CERRA,
    "nnja": NNJASource(),
}


def download(
    source: Source, pieces: list[Piece], asked: AskedBox, out: Path, *, fetcher: Fetcher, overwrite: bool = False
) -> int:
    """Fetches all pieces and joins them into one file.

    Arguments:
        source: The service.
        pieces: What is asked of it.
        asked: What the output is cut to.
        out: .nc or .zarr.
        fetcher: How.
        overwrite: Whether the output, and pieces of another request beside it, may be replaced.

    Returns:
        How many pieces had been fetched before.

    Raises:
        ExistsError: pieces of another request lie there.
        DataError: see `Fetcher.fetch` and `Source.joined`.
    """
    refuse_existing(out, overwrite=overwrite)
    folder = out.with_name(f"{out.name}.parts")
    _claim(folder, pieces, overwrite=overwrite)
    before = sum((folder / piece.name).exists() for piece in pieces)
    files = []
    for number, piece in enumerate(pieces, start=1):
        files.append(fetcher.fetch(piece, folder))
        log.info("%d of %d: %s, %d bytes", number, len(pieces), piece.name, files[-1].stat().st_size)
    write_dataset(source.joined(files, asked), out, overwrite=overwrite)
    shutil.rmtree(folder)
    return before


def _claim(folder: Path, pieces: list[Piece], *, overwrite: bool) -> None:
    """Goes on with pieces of the same request; those of another are refused, or removed where that was asked for."""
    request = hashlib.sha256("\n".join(piece.url for piece in pieces).encode()).hexdigest()
    note = folder / "request.json"
    if note.exists() and json.loads(note.read_text(encoding="utf-8")).get("request") != request:
        if not overwrite:
            raise ExistsError(
                f"{folder} holds pieces of another request. Pass --overwrite to begin again, or name another output."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(note, json.dumps({"request": request}))
