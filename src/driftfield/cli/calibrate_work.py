"""What `driftfield calibrate` does, from plain options to a fit: asked for by the command and by every worker."""

__all__ = ["AskedCalibration", "do_case", "prepared", "share_cases"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftfield.cli.shared import read_errors, read_pairs
from driftfield.errors import ConfigurationError

if TYPE_CHECKING:
    from driftfield.clusters import Crew
    from driftfield.interfaces import TrainingData
    from driftfield.reconstruction.calibration_trial import Trial
    from driftfield.reconstruction.kept_cases import KeptCases


@dataclass(frozen=True)
class AskedCalibration:
    """The options that cases depend on, by their names."""

    run: Path
    cases: int
    masks: int
    members: int
    seed: int
    observe: tuple[str, ...]
    error: tuple[str, ...]
    recipe: Path | None
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class PreparedCalibration:
    """A method, what it was fitted to, and how it is observed."""

    method: Any
    data: "TrainingData"
    patterns: dict[str, list[str]]
    error: dict[str, float]


def prepared(asked: AskedCalibration) -> PreparedCalibration:
    """Opens everything.

    Raises:
        UserError: something that cannot be read, or variables that the run has not.
    """
    from driftfield.data.prepare import prepare
    from driftfield.recipe import read_recipe
    from driftfield.runs import load_reconstructor

    reconstructor: Any = load_reconstructor(asked.run)
    read = read_recipe(asked.recipe or asked.run / "recipe.yaml", list(asked.overrides))
    data = prepare(**read.data)
    pairs = read_pairs(list(asked.observe), "--observe", "VARIABLE=PATTERN")
    patterns = {name: [text] for name, text in pairs.items()}
    stated: Any = read_errors(list(asked.error)) if asked.error else {}
    if not isinstance(stated, dict):
        stated = dict.fromkeys((*data.targets, *data.covariates), stated)
    for name in (*patterns, *stated):
        if name not in (*data.targets, *data.covariates):
            raise ConfigurationError(
                f"{name!r} is no variable of {asked.run}: expected one of {(*data.targets, *data.covariates)}."
            )
    return PreparedCalibration(reconstructor, data, patterns, stated)


def share_cases(
    asked: AskedCalibration, trial: "Trial", keeper: "KeptCases", crew: "Crew", report: Callable[[int], None]
) -> None:
    """Lets workers make the cases that are not there.

    Raises:
        ConfigurationError: a method that completes all dates together.
    """
    from driftfield.clusters import Errand
    from driftfield.reconstruction.settings import check_shareable

    check_shareable(trial.method)
    keeper.folder.mkdir(parents=True, exist_ok=True)
    crew.check(keeper.folder)
    numbers = [(asked.seed + turn, int(time)) for turn in range(asked.masks) for time in trial.times]
    left = [number for number in numbers if not keeper.has(*number)]
    report((len(numbers) - len(left)) * asked.members)
    folder = str(keeper.folder.absolute())
    for _ in crew.done([Errand(do_case, (asked, *number, folder), f"case {number[1]}") for number in left]):
        report(asked.members)


def do_case(asked: AskedCalibration, seed: int, time: int, folder: str) -> None:
    """On a worker: one case, kept in a folder."""
    from driftfield.reconstruction.kept_cases import KeptCases

    for _ in _trial(asked).at(time).cases(seed, KeptCases(Path(folder))):
        pass


@lru_cache(maxsize=1)
def _trial(asked: AskedCalibration) -> "Trial":
    """Once for all cases of a job."""
    from driftfield.reconstruction.calibration_trial import Trial

    made = prepared(asked)
    return Trial.of(made.method, made.data, asked.cases, asked.members, made.patterns, made.error)
