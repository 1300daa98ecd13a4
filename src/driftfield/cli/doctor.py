"""`driftfield doctor`."""

__all__ = ["doctor"]

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from driftfield import __version__
from driftfield.cli.shared import Job, app


@app.command(rich_help_panel=Job.LOOK)
def doctor() -> None:
    """Say what is installed here: versions, extras, devices, memory, threads; for a bug report, or when something is missing.

    Example: driftfield doctor
    """
    print(f"driftfield {__version__}, Python {platform.python_version()}, {platform.platform()}")
    needed = [Requirement(text) for text in requires("driftfield") or ()]
    plain = [requirement for requirement in needed if requirement.marker is None]
    print("requires: " + ", ".join(_state_of(requirement) for requirement in plain))
    for extra in sorted({name for requirement in needed for name in _extras(requirement)}):
        parts = [
            requirement for requirement in needed if extra in _extras(requirement) and requirement.name != "driftfield"
        ]
        if not parts:
            continue
        missing = [requirement for requirement in parts if not _fits(requirement)]
        hint = f"; pip install 'driftfield[{extra}]'" if missing else ""
        print(f"extra {extra}: {', '.join(_state_of(requirement) for requirement in parts)}{hint}")
    print(_machine())


def _extras(requirement: Requirement) -> list[str]:
    """The extras that a requirement is of."""
    return re.findall(r"extra == [\"']([^\"']+)[\"']", str(requirement.marker or ""))


def _installed(requirement: Requirement) -> str | None:
    try:
        return version(requirement.name)
    except PackageNotFoundError:
        return None


def _fits(requirement: Requirement) -> bool:
    installed = _installed(requirement)
    return installed is not None and requirement.specifier.contains(installed, prereleases=True)


def _state_of(requirement: Requirement) -> str:
    """Name and version, or what is wrong with it."""
    installed = _installed(requirement)
    if installed is None:
        return f"{requirement.name} MISSING"
    return f"{requirement.name} {installed}" + ("" if _fits(requirement) else f" (EXPECTED {requirement.specifier})")


def _machine() -> str:
    """Devices, processors, threads and memory."""
    import torch

    devices = ["cpu"] + [f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    threads = ", ".join(
        f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ
    )
    said = f"devices: {', '.join(devices)}; {os.cpu_count()} processors, torch takes {torch.get_num_threads()} threads"
    said += f" ({threads})" if threads else ""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):
        return said
    return f"{said}; {memory:.1f} GiB of memory"
