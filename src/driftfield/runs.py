"""Observations in, complete fields out: the diffusion model and its peers."""

from importlib.resources import files
from pathlib import Path

from driftfield import diffusion, networks, sampling  # their classes become known to runs and recipes
from driftfield import peers as baselines
from driftfield.assimilation.kalman.ensemble_kalman import EnsembleKalman
from driftfield.checkpoint import load_as, read_run
from driftfield.errors import ConfigurationError, suggest
from driftfield.interfaces import Reconstructor
from driftfield.models.any_field import AnyFieldReconstructor
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.expectation_maximisation import ExpectationMaximisation
from driftfield.models.regression import RegressionReconstructor
from driftfield.registry import lookup, names
from driftfield.trajectories.emulator import load_emulator
from driftfield.trajectories.emulators import DeterministicEmulator, DiffusionEmulator
from driftfield.trajectories.trajectory import TrajectoryReconstructor

__all__ = [
    "AnyFieldReconstructor",
    "DeterministicEmulator",
    "DiffusionEmulator",
    "DiffusionReconstructor",
    "EnsembleKalman",
    "ExpectationMaximisation",
    "RegressionReconstructor",
    "TrajectoryReconstructor",
    "baselines",
    "diffusion",
    "load_emulator",
    "load_reconstructor",
    "networks",
    "sampling",
    "shipped_run",
]


def load_reconstructor(folder: Path) -> Reconstructor:
    """Loads a run of any registered method.

    Raises:
        FileFormatError: the folder is no run.
        ConfigurationError: it is of a class that is not registered.
    """
    name = read_run(Path(folder)).class_name
    if name in names("emulator"):
        raise ConfigurationError(
            f"{folder} is a run of {name}, an emulator: it steps states and completes no fields. Use `driftfield forecast`."
        )
    run_class: type[Reconstructor] = lookup("reconstructor", name)
    return load_as(run_class, folder)


def shipped_run(name: str) -> Path:
    """The folder of a run that comes with the package.

    Raises:
        ConfigurationError: no such run.
    """
    folder = Path(str(files("driftfield"))) / "shipped"
    known = sorted(path.name for path in folder.iterdir() if (path / "run.json").exists()) if folder.is_dir() else []
    if name not in known:
        raise ConfigurationError(f"No shipped run {name!r}: {suggest(name, known)}")
    return folder / name
