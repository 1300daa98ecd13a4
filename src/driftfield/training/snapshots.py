"""Averaged weights as they were at some steps of a training: RUN/snapshots/STEP-WIDTH, each a folder like a run's."""

__all__ = ["Snapshot", "list_snapshots", "read_snapshot", "write_snapshot"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from driftfield.checkpoint import read_run, write_run
from driftfield.errors import FileFormatError


@dataclass(frozen=True)
class Snapshot:
    """An average as it was at some step.

    Arguments:
        step: Optimizer steps done.
        width: Of the average's profile (see `power_ema`).
        weights: By name.
    """

    step: int
    width: float
    weights: Mapping[str, Tensor]


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Adds a snapshot to the folder of a run's snapshots."""
    arrays = {name: value.detach().cpu().numpy() for name, value in snapshot.weights.items()}
    place = Path(folder) / f"{snapshot.step:08d}-{snapshot.width:g}"
    write_run(place, "Snapshot", {"step": snapshot.step, "width": snapshot.width}, arrays)


def read_snapshot(place: Path) -> Snapshot:
    """One of them.

    Raises:
        FileFormatError: there is none, or it is damaged.
    """
    run = read_run(place)
    step, width = run.arguments.get("step"), run.arguments.get("width")
    if run.class_name != "Snapshot" or not isinstance(step, int) or not isinstance(width, int | float):
        raise FileFormatError(f"{place} holds a {run.class_name}, no snapshot of a training. Remove or restore it.")
    return Snapshot(step, float(width), {name: torch.from_numpy(array) for name, array in run.arrays.items()})


def list_snapshots(folder: Path) -> list[Path]:
    """The places of all snapshots, by step."""
    return sorted(path.parent for path in Path(folder).glob("*/run.json"))
