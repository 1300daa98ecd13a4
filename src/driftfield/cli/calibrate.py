"""`driftfield calibrate`."""

__all__ = ["calibrate"]

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.calibrate_work import AskedCalibration, prepared, share_cases
from driftfield.cli.options import Cluster
from driftfield.cli.shared import Job, Overwrite, app, check_counts, reporting
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
        list[str] | None,
        typer.Option(
            help="Standard deviation of the noise, units of the variable: NUMBER, or VARIABLE=NUMBER (repeat)."
        ),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe of the run, if RUN/recipe.yaml is gone.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="data.archive=PATH, where the archive has moved.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the cases that a killed one had made.")] = False,
    cluster: Cluster = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit spread and bias of a run to its validation split; `reconstruct` applies them from then on.

    Example: driftfield calibrate runs/mine --cases 12
    """
    from driftfield.checkpoint import read_run
    from driftfield.clusters import open_crew
    from driftfield.gridded.fingerprint import fingerprint
    from driftfield.reconstruction.calibration import write_calibration
    from driftfield.reconstruction.calibration_cases import calibrate as fit
    from driftfield.reconstruction.calibration_trial import Trial
    from driftfield.reconstruction.kept_cases import KeptCases
    from driftfield.reconstruction.kept_draws import kept_while, made_of_run
    from driftfield.runs import refuse_borrowed

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
    words = (tuple(observe or ()), tuple(error or ()))
    asked = AskedCalibration(run, cases, masks, members, seed, *words, recipe, tuple(set_ or ()))
    made = prepared(asked)
    options = {key: value for key, value in vars(asked).items() if key not in ("run", "recipe")}
    made_of = made_of_run(run, options, {}) | {"data.archive": fingerprint(made.data.archive)}
    with kept_while(run / "calibration", made_of, resume=resume, overwrite=overwrite) as keeper:
        case_keeper = KeptCases(keeper.folder)
        if cluster is not None:
            trial = Trial.of(made.method, made.data, cases, members, made.patterns, made.error)
            with open_crew(cluster) as crew:
                share_cases(asked, trial, case_keeper, crew, reporting(cases * masks * members, crew))
        judged = partial(fit, made.method, made.data, cases=cases, masks=masks, members=members, seed=seed)
        judged = partial(judged, patterns=made.patterns, error=made.error, keeper=case_keeper)
        calibration = judged(coverage=conformal, by_time=by_time, bias=not no_bias)
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
