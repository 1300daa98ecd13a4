"""Work in processes that may be killed: forked from one that has imported everything, so that a kill costs no start.

A process dies by a real SIGKILL, either just before the n-th time that it touches a file below its folder (counted by an audit
hook: open, mkdir, rename, remove ...), or after some seconds, whatever it is doing then.
"""

__all__ = ["Fate", "Outcome", "driftfield_command", "run", "write_over"]

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_HEAVY = ["pytest", "torch", "lightning", "xarray", "zarr", "netCDF4", "scipy.interpolate", "distributed", "cfgrib"]
_OWN = [
    "killing",
    "driftfield.cli",
    "driftfield.reconstruction.writer",
    "driftfield.reconstruction.fitting",
    "driftfield.training",
]


@dataclass(frozen=True)
class Fate:
    """When the process is killed: before touch number `touch`, or after `seconds`; never if neither is given."""

    touch: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How it ended: `killed`, or its exit code; how long it took, how often it touched a file, and what it said."""

    killed: bool
    code: int
    seconds: float
    touches: int
    said: str


def run(work: Callable[..., None], *arguments: Any, folder: Path, fate: Fate | None = None) -> Outcome:
    """`work(*arguments)` in `folder`, in a process of its own; what it says is kept."""
    fate = fate or Fate()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_HEAVY, *_OWN])
    said, touched = folder / "said.txt", folder / "touched.txt"
    touched.unlink(missing_ok=True)
    process = context.Process(target=_run, args=(work, arguments, str(folder), fate.touch))
    began = time.monotonic()
    process.start()
    process.join(fate.seconds)
    if process.exitcode is None and fate.seconds is not None:
        process.kill()
    process.join()
    code = process.exitcode
    assert code is not None
    number = int(touched.read_text()) if touched.exists() else 0
    return Outcome(code == -signal.SIGKILL, code, time.monotonic() - began, number, said.read_text())


def driftfield_command(*arguments: str) -> None:
    """`driftfield ARGUMENTS`."""
    from driftfield.cli import main

    sys.argv = ["driftfield", *arguments]
    main()


def write_over(folder: str, number: int) -> None:
    """A run takes the place of another one."""
    from driftfield.checkpoint import write_run

    write_run(Path(folder), "Model", {"number": number}, {"a": np.full(50, float(number))}, {"number": number})


def _run(work: Callable[..., None], arguments: tuple[Any, ...], folder: str, fatal: int | None) -> None:
    os.chdir(folder)
    with open("said.txt", "w", buffering=1) as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        count = _count_touches(folder, fatal)
        try:
            work(*arguments)
        except SystemExit as end:
            if end.code:
                raise
        number = count()
    Path("touched.txt").write_text(str(number))


def _count_touches(folder: str, fatal: int | None) -> Callable[[], int]:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if not event.startswith(("open", "os.", "shutil.")) or not arguments:
            return
        if not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        if os.path.abspath(os.fsdecode(arguments[0])).startswith(folder):
            count += 1
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: count
