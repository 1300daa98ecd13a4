"""Writes a reconstruction date by date, with a bar where somebody looks on."""

__all__ = ["write_with_bar"]

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from driftfield.reconstruction.writer import Work


def write_with_bar(work: "Work", out: Path, *, label: str, resume: bool, overwrite: bool) -> None:
    """As `reconstruction.writer.write_reconstruction`.

    Arguments:
        work: What to do.
        out: OUT.nc or OUT.zarr.
        label: Of the bar.
        resume, overwrite: As there.
    """
    from driftfield.reconstruction.writer import write_reconstruction

    if not sys.stderr.isatty():
        write_reconstruction(work, out, resume=resume, overwrite=overwrite)
        return
    with typer.progressbar(length=work.dates * work.draws.members, label=label, file=sys.stderr) as bar:
        write_reconstruction(work, out, resume=resume, overwrite=overwrite, progress=bar.update)
