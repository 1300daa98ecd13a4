"""A run is a folder: `run.json` says what it is, `arrays.safetensors` holds its numbers. No pickle is read, ever.

    run.json    {"driftfield_format": 1, "driftfield_version": "0.1.0", "class": "OptimalInterpolation",
                 "arguments": {...}, "extra": {...}}

An older format is brought up to date by `MIGRATIONS[version]`, a function from description and arrays to the next version's.
"""

__all__ = ["MIGRATIONS", "RUN_FORMAT", "Run", "read_run", "write_run"]

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from driftfield import __version__
from driftfield.errors import FileFormatError
from driftfield.files import replacing

RUN_FORMAT = 1

Arrays = dict[str, np.ndarray]
MIGRATIONS: dict[int, Callable[[dict[str, Any], Arrays], tuple[dict[str, Any], Arrays]]] = {}
"""From format n to n + 1."""


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Arguments:
        class_name: Registered class that the run is of.
        arguments: Its constructor arguments.
        arrays: Its numbers.
        extra: Everything else worth knowing: recipe, recipe hash, splits, training history, calibration.
    """

    class_name: str
    arguments: dict[str, Any]
    arrays: Arrays
    extra: dict[str, Any] = field(default_factory=dict)


def write_run(
    folder: Path,
    class_name: str,
    arguments: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Writes `run.json` and `arrays.safetensors` into `folder` (made if missing), each in one piece."""
    folder = Path(folder)
    description = {
        "driftfield_format": RUN_FORMAT,
        "driftfield_version": __version__,
        "class": class_name,
        "arguments": dict(arguments),
        "extra": dict(extra or {}),
    }
    text = json.dumps(description, indent=2, sort_keys=True, allow_nan=False)
    with replacing(folder / "arrays.safetensors", overwrite=True) as temporary:
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, temporary)
    with replacing(folder / "run.json", overwrite=True) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_run(folder: Path) -> Run:
    """Reads a run folder.

    Raises:
        FileFormatError: the folder is no run, a file is damaged, or its format is newer than this version reads.
    """
    folder = Path(folder)
    try:
        description = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(
            f"{folder} is not a run: it holds no readable run.json. Name a folder that `driftfield train` wrote."
        ) from error
    except ValueError as error:
        raise FileFormatError(f"{folder}/run.json is damaged: {error}. Train again or restore the file.") from error
    version = description.get("driftfield_format") if isinstance(description, dict) else None
    if not isinstance(version, int) or not {"class", "arguments"} <= set(description):
        raise FileFormatError(
            f"{folder}/run.json lacks 'driftfield_format', 'class' or 'arguments': no Driftfield run."
        )
    if version > RUN_FORMAT:
        raise FileFormatError(
            f"{folder} has run format {version}; this version reads up to {RUN_FORMAT}. Install a newer driftfield."
        )
    if version < min((RUN_FORMAT, *MIGRATIONS)):
        raise FileFormatError(f"{folder} has run format {version}, which no version wrote. Restore run.json.")
    try:
        arrays = load_file(folder / "arrays.safetensors")
    except (OSError, SafetensorError) as error:
        raise FileFormatError(f"{folder}/arrays.safetensors cannot be read: {error}. Restore the file.") from error
    while version < RUN_FORMAT:
        description, arrays = MIGRATIONS[version](description, arrays)
        version += 1
    return Run(description["class"], description["arguments"], arrays, description.get("extra", {}))
