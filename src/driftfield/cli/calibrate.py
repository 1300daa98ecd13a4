"""`driftfield calibrate`."""

__all__ = ["calibrate"]

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.shared import Job, Overwrite, app, check_counts, read_errors, read_pairs
from driftfield.errors import ConfigurationError, ExistsError

Conformal = Annotated[
    float | None,
    typer.Option(help="Also state intervals with this coverage, e.g. 0.9: <variable>_lower and _upper."),
]


@app.command(rich_help_panel=Job.TRAIN)
def calibrate(
    run: Annotated[Path, typer.Argument(help="Run folder that `driftfield train` wrote.")],
    cases: Annotated[int, typer.Option(help="Validation dates to reconstruct, evenly spaced.")] = 12,
    masks: Annotated[int, typer.Option(help="Patterns of gaps that each date is seen through.")] = 1,
    members: Annotated[int, typer.Option(help="Size of the ensembles.")] = 16,
    seed: Annotated[int, typer.Option(help="Of masks, noise and members.")] = 0,
    conformal: Conformal = None,
    by_time: Annotated[
        bool, typer.Option("--by-time", help="Intervals that hold though the cells of a date err together; wider.")
    ] = False,
    no_bias: Annotated[bool, typer.Option("--no-bias", help="Calibrate the spread and leave the mean alone.")] = False,
    observe: Annotated[
        list[str] | None, typer.Option(help="VARIABLE=PATTERN (repeat); the patterns of the run by default.")
    ] = None,
    error: Annotated[
        list[str] | None, typer.Option(help="Standard deviation of the noise: NUMBER, or VARIABLE=NUMBER (repeat).")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe of the run, if RUN/recipe.yaml is gone.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="data.archive=PATH, where the archive has moved.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit spread and bias of a run to its validation split; `reconstruct` applies them from then on.

    Example: driftfield calibrate runs/mine --cases 12
    """
    from driftfield.checkpoint import read_run
    from driftfield.data.prepare import prepare
    from driftfield.recipe import read_recipe
    from driftfield.reconstruction.calibration import write_calibration
    from driftfield.reconstruction.calibration_cases import calibrate as fit
    from driftfield.runs import load_reconstructor, refuse_borrowed

    refuse_borrowed(run)
    check_counts({"--cases": cases}, least=3)
    check_counts({"--masks": masks}, least=1)
    check_counts({"--members": members}, least=2)
    check_counts({"--seed": seed}, least=0)
    if conformal is not None and not 0 < conformal < 1:
        raise ConfigurationError(f"Found --conformal {conformal:g}: expected a share between 0 and 1, such as 0.9.")
    if by_time and conformal is None:
        raise ConfigurationError("--by-time says how intervals are found: expected --conformal too, such as 0.9.")
    if read_run(run).extra.get("calibration") is not None and not overwrite:
        raise ExistsError(f"{run} is calibrated already. Pass --overwrite to calibrate it again.")
    reconstructor: Any = load_reconstructor(run)
    read = read_recipe(recipe or run / "recipe.yaml", set_ or [])
    data = prepare(**read.data)
    patterns = {name: [text] for name, text in read_pairs(observe or [], "--observe", "VARIABLE=PATTERN").items()}
    stated: Any = read_errors(error) if error else {}
    if not isinstance(stated, dict):
        stated = dict.fromkeys((*data.targets, *data.covariates), stated)
    for name in (*patterns, *stated):
        if name not in (*data.targets, *data.covariates):
            raise ConfigurationError(
                f"{name!r} is no variable of {run}: expected one of {(*data.targets, *data.covariates)}."
            )
    judged = partial(fit, reconstructor, data, cases=cases, masks=masks, members=members, seed=seed)
    calibration = judged(patterns=patterns, error=stated, coverage=conformal, by_time=by_time, bias=not no_bias)
    write_calibration(run, calibration)
    print(_table(calibration))
    print(f"wrote the calibration into {run / 'run.json'}")


def _table(calibration: Any) -> str:
    """Scores before and after, side by side; then what is done at each level."""
    import numpy as np

    lines = []
    for name, both in calibration.about["scores"].items():
        lines.append(
            f"{name}: hidden cells of {calibration.about['cases']} validation dates, each calibrated by the others"
        )
        lines.append(
            f"{'':12}{'RMSE':>10}{'bias':>10}{'CRPS':>10}{'spread/skill':>14}{'90 %':>8}   in five bins of spread"
        )
        for kind, row in both.items():
            numbers = "".join(f"{_number(row[score]):>10}" for score in ("rmse", "bias", "crps"))
            numbers += f"{_number(row['spread_skill']):>14}{_number(row['coverage_90']):>8}"
            lines.append(f"  {kind:10}{numbers}   {' '.join(f'{_number(r):>6}' for r in row['spread_skill_bins'])}")
    for name, maps in calibration.levels.items():
        lines.append(f"{name}: {'depth [m]':>10}{'bias':>10}{'inflation':>11}{'power':>7}{'cells':>8}")
        for level_map in maps:
            depth = "surface" if level_map.depth is None else f"{level_map.depth:g}"
            numbers = f"{depth:>10}{level_map.bias:10.2g}{level_map.inflation:11.3f}{level_map.power:7.1f}{level_map.cells:8d}"
            interval = "" if level_map.quantile is None else f"   interval {level_map.quantile:.2f} sd"
            lines.append(" " * (len(name) + 2) + numbers + interval)
        if (place := calibration.places.get(name)) is not None:
            middle, most, largest = np.sqrt(place.variance.quantile([0.5, 0.95, 1.0]).values)
            lines.append(
                f"{name}: a variance for every place, of standard deviation {middle:.2g}, {most:.2g} and {largest:.2g} "
                "(50, 95 and 100 % of the cells)"
            )
        else:
            lines.append(f"{name}: no variance for places: the dates left out do not ask for one")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
