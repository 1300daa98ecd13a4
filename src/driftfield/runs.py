"""A run by its folder, whatever method it is of."""

__all__ = ["find_run", "load_downscaler", "load_reconstructor", "shipped_run", "shipped_runs"]

from pathlib import Path

from driftfield.checkpoint import find_run, load_as, read_run, shipped_run, shipped_runs
from driftfield.errors import ConfigurationError
from driftfield.interfaces import Reconstructor
from driftfield.peers.downscaling.base import Downscaler
from driftfield.registry import lookup, names, near_at_hand


def load_reconstructor(folder: Path) -> Reconstructor:
    """Loads a run of any registered method.

    Raises:
        FileFormatError: the folder is no run.
        ConfigurationError: it is of a class that is not registered.
    """
    name = read_run(Path(folder)).class_name
    run_class: type[Reconstructor] | None = near_at_hand("reconstructor", name)
    if run_class is not None:
        return load_as(run_class, folder)
    if name in names("emulator"):
        raise ConfigurationError(
            f"{folder} is a run of {name}, an emulator: it steps states and completes no fields. Use `driftfield forecast`."
        )
    if name in names("downscaler"):
        raise ConfigurationError(
            f"{folder} is a run of {name}, which starts from coarse fields and fills no gaps. Use `driftfield downscale`."
        )
    return load_as(lookup("reconstructor", name), folder)


def load_downscaler(folder: Path) -> Downscaler:
    """Loads a run of any registered downscaler.

    Raises:
        FileFormatError: the folder is no run.
        ConfigurationError: it is a run of something else.
    """
    name = read_run(Path(folder)).class_name
    if name not in names("downscaler"):
        raise ConfigurationError(
            f"{folder} is a run of {name}, which does not start from coarse fields: expected one of {names('downscaler')}. Use "
            "`driftfield reconstruct`, or fit a downscaler."
        )
    run_class: type[Downscaler] = lookup("downscaler", name)
    return load_as(run_class, folder)
