"""A run by its folder, whatever method it is of."""

__all__ = [
    "calibrate_run",
    "called",
    "find_run",
    "is_borrowed",
    "load_downscaler",
    "load_reconstructor",
    "refuse_borrowed",
    "shipped_run",
    "shipped_runs",
]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driftfield.checkpoint import (
    called,
    find_run,
    is_borrowed,
    load_as,
    read_run,
    refuse_borrowed,
    shipped_run,
    shipped_runs,
)
from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import Cannot, Reconstructor, TrainingData
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


def calibrate_run(folder: Path, data: TrainingData) -> list[str]:
    """Calibrates a network that draws members on the validation split, and writes that into its run.

    Arguments:
        folder: Of the run.
        data: What it was trained on.

    Returns:
        What that changed, a line for each variable; or a line that says why it was not done; nothing for a method that is no
        network.
    """
    from driftfield.reconstruction.calibration import write_calibration
    from driftfield.reconstruction.calibration_cases import calibrate

    method: Any = load_reconstructor(folder)
    if not method.abilities.needs_training:
        return []
    if isinstance(method.abilities.calibration, Cannot):
        return [f"not calibrated: it {method.abilities.calibration.why}"]
    try:
        calibration = calibrate(method, data)
    except (ConfigurationError, DataError) as error:
        return [f"not calibrated: {error}"]
    write_calibration(folder, calibration)
    scores: Any = calibration.about["scores"]
    return [
        f"{name}: calibrated on {calibration.about['cases']} validation dates, each by the others: {_changed(both)}"
        for name, both in scores.items()
    ]


def _changed(both: Mapping[str, Any]) -> str:
    """Scores of the raw fields beside those of the calibrated ones."""
    before, after = both["raw"], both["calibrated"]
    return ", ".join(
        f"{label} {before[score]:.3g} -> {after[score]:.3g}"
        for label, score in (("spread-skill", "spread_skill"), ("90 % coverage", "coverage_90"), ("CRPS", "crps"))
        if None not in (before[score], after[score])
    )
