"""The width of the average, chosen after the training: a run whose weights are those of another width.

RUN/run.json, arrays.safetensors        RUN/snapshots        ->        OUT with other weights, and without a calibration
"""

__all__ = ["Chosen", "choose_width"]

import shutil
from dataclasses import dataclass
from pathlib import Path

from driftfield.checkpoint import read_run, write_run
from driftfield.errors import ConfigurationError, DataError
from driftfield.files import write_text
from driftfield.reconstruction.calibration_place import ARRAYS
from driftfield.training.power_ema import blend, exponent, profile_coefficients, profile_error
from driftfield.training.snapshots import list_snapshots, read_snapshot


@dataclass(frozen=True)
class Chosen:
    """What `choose_width` made.

    Arguments:
        step: At which the average is taken.
        snapshots: How many it was made from.
        error: How far its profile is from the one that was asked for, as a share of that one's norm.
    """

    step: int
    snapshots: int
    error: float


def choose_width(run: Path, out: Path, width: float, step: int | None = None) -> Chosen:
    """Writes `out`, the run with the weights of another width.

    Arguments:
        run: A run that was trained with `ema: {class: PowerEMA}`.
        out: Run folder to write.
        width: Of the profile, as a share of the training.
        step: At which the average is taken; the last snapshot by default.

    Raises:
        ConfigurationError: no such width, or no snapshots up to that step.
        DataError: the snapshots are of another network than the run.
        FileFormatError: the run or a snapshot cannot be read.
    """
    run, out = Path(run), Path(out)
    exponent(width)
    trained = read_run(run)
    places = list_snapshots(run / "snapshots")
    snapshots = [(snapshot.step, snapshot.width, place) for place in places for snapshot in [read_snapshot(place)]]
    last = max((at for at, _, _ in snapshots), default=0) if step is None else step
    used = [snapshot for snapshot in snapshots if snapshot[0] <= last]
    if not used:
        raise ConfigurationError(
            f"{run} keeps no snapshots of its weights{'' if step is None else f' up to step {step}'}. Train it with "
            "'ema: {class: PowerEMA, widths: [0.05, 0.1], snapshots: 16}'."
        )
    profiles = [(at, snapshot) for at, snapshot, _ in used]
    coefficients = profile_coefficients(profiles, width, last)
    weights = blend(zip(coefficients, (read_snapshot(place).weights for _, _, place in used), strict=True))
    arrays = {name: array for name, array in trained.arrays.items() if not name.startswith(ARRAYS)}
    for name, value in weights.items():
        stored = arrays.get(f"weights.{name}")
        if stored is None or stored.shape != tuple(value.shape):
            raise DataError(
                f"The snapshots in {run} hold {name}, which its run does not: expected one training of both."
            )
        arrays[f"weights.{name}"] = value.numpy().astype(stored.dtype)
    chosen = Chosen(last, len(used), profile_error(profiles, coefficients, width, last))
    # fitted to the spread of the other weights
    extra = {key: value for key, value in trained.extra.items() if key != "calibration"}
    extra["ema"] = {"width": width, "step": chosen.step, "snapshots": chosen.snapshots}
    if (run / "first_guess").is_dir():
        shutil.copytree(run / "first_guess", out / "first_guess", dirs_exist_ok=True)
    write_run(out, trained.class_name, trained.arguments, arrays, extra)
    if (run / "recipe.yaml").is_file():
        write_text(out / "recipe.yaml", (run / "recipe.yaml").read_text(encoding="utf-8"))
    return chosen
