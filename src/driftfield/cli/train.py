"""`driftfield train`."""

__all__ = ["train"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftfield.cli.options import OutRun
from driftfield.cli.shared import Job, Overwrite, app, check_run

if TYPE_CHECKING:
    from driftfield.interfaces import TrainingData


@app.command(rich_help_panel=Job.TRAIN)
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    out: OutRun,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.of.the.recipe=value (repeat).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Leave the spread of a network as it is: no calibration on the validation split."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fit a reconstructor (the diffusion model or a peer) to an archive; what a network draws is calibrated."""
    from driftfield.recipe import read_recipe
    from driftfield.reconstruction.fitting import fit_recipe

    read = read_recipe(recipe, set_ or [])
    check_run(out, resume=resume, overwrite=overwrite)
    data = fit_recipe(read, out, source=str(recipe), resume=resume)
    if not raw and read.learner[0] == "reconstructor":
        print(_calibrated(out, data), end="")
    print(f"wrote {out}")


def _calibrated(run: Path, data: "TrainingData") -> str:
    """Calibrates a network that draws members, and says what that changed, or why it was not done; nothing for others."""
    from driftfield.errors import ConfigurationError, DataError
    from driftfield.interfaces import Cannot
    from driftfield.reconstruction.calibration import write_calibration
    from driftfield.reconstruction.calibration_cases import calibrate
    from driftfield.runs import load_reconstructor

    method: Any = load_reconstructor(run)
    if not method.abilities.needs_training:
        return ""
    if isinstance(method.abilities.calibration, Cannot):
        return f"not calibrated: it {method.abilities.calibration.why}\n"
    try:
        calibration = calibrate(method, data)
    except (ConfigurationError, DataError) as error:
        return f"not calibrated: {error}\n"
    write_calibration(run, calibration)
    lines = []
    scores: Any = calibration.about["scores"]
    for name, both in scores.items():
        before, after = both["raw"], both["calibrated"]
        figures = ", ".join(
            f"{label} {before[score]:.3g} -> {after[score]:.3g}"
            for label, score in (("spread-skill", "spread_skill"), ("90 % coverage", "coverage_90"), ("CRPS", "crps"))
            if None not in (before[score], after[score])
        )
        lines.append(
            f"{name}: calibrated on {calibration.about['cases']} validation dates, each by the others: {figures}\n"
        )
    return "".join(lines) + "reconstruct --raw leaves the calibration out, train --raw does not make it\n"
