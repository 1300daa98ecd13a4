"""Looks inside a diffusion run while it works on one date of a twin experiment.

    schedule, noise levels, sampling grid                                -> schedule.png
    history of the validations, log of the training                      -> training.png
    a watcher of the sampler: x_t, t, D  --codec-->  physical units      -> steps.png, denoising.png
    the ensemble that comes out                                          -> sample.png
    noise against complete fields, wave by wave                          -> noise.md
                                                         all the numbers -> diagnostics.json

The watched ensemble is the one that `reconstruct` gives for the same members and seed, drawn in one batch.
"""

__all__ = ["check_diagnosable", "diagnose", "schedule_curves", "training_curves"]

import csv
import json
import logging
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from driftfield.conventions import require
from driftfield.data.observed_batch import observation_batch
from driftfield.diffusion.noise_range import checked_range, largest_amplitude
from driftfield.diffusion.schedule import noise_level
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.evaluate import diagnostics_figures as figures
from driftfield.evaluate.alignment import align
from driftfield.evaluate.evaluation import evaluate
from driftfield.evaluate.film import Film, FilmPanel, write_film
from driftfield.fields import FieldBatch, Seen
from driftfield.files import refuse_existing, replacing, write_text
from driftfield.interfaces import Reconstructor
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.noise_check import covers, noise_tables, said_of_noise
from driftfield.models.watch import Watch, fitted_model
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import Draws

log = logging.getLogger(__name__)

POINTS = 400
"""Of the curves of a schedule."""


def diagnose(
    reconstructor: Reconstructor,
    observations: xr.Dataset,
    truth: xr.Dataset,
    out: Path,
    *,
    run: Path | None = None,
    members: int = 8,
    time: int = 0,
    seed: int = 0,
    variable: str | None = None,
    depth: float | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Writes the figures and `diagnostics.json` as one folder: all of it, or nothing.

    Arguments:
        reconstructor: A fitted diffusion run.
        observations: Of a twin experiment, with `held_out`.
        truth: The complete fields; may hold more times and a larger region.
        out: Folder to write.
        run: Folder of the run, where its training log is.
        members: Size of the ensemble, 2 or more; it is drawn in one batch.
        time: Which time of `observations`; negative counts from the end.
        seed: Of the members.
        variable: What the maps show; the first target by default.
        depth: Metres, the nearest level is shown; by default the middle one of those with held-out cells.
        overwrite: Whether an older folder may be replaced.

    Returns:
        Names of the files in `out`.

    Raises:
        ConfigurationError: the run is of a peer, or an option names what is not there.
        DataError: truth and observations do not match, or nothing was held out.
        ExistsError: the folder exists and `overwrite` is false.
    """
    refuse_existing(out, overwrite=overwrite)
    checked = check_diagnosable(reconstructor)
    shown = _one_time(observations, time)
    if members < 2:
        raise ConfigurationError(f"Found members={members}: a spread needs 2 or more. Ask for more members.")
    targets = fitted_model(checked)[1].targets
    require(truth, targets, "the truth")
    if variable is not None and variable not in targets:
        raise ConfigurationError(f"This run does not reconstruct {variable!r}: {suggest(variable, targets)}")
    known = align(truth[list(targets)], {"observations": shown}, shown).truth.assign_coords(time=shown["time"]).load()
    shown, known = (checked.learner.placer.place(part).dataset for part in (shown, known))
    watch = Watch(checked, shown, known, variable=variable, depth=depth)
    result = checked.complete(shown, Draws(members, seed, batch_size=members, watcher=watch))
    evaluation = evaluate(known, {checked.method: result}, shown)
    sample = figures.Sample(align(known, {checked.method: result}, shown), evaluation, watch.shown, watch.level)
    schedule, training = schedule_curves(checked), training_curves(checked, run, _units(shown, targets))
    drawn = _figures(schedule, training, watch, sample, name=run.name if run else "the run")
    numbers = {
        "run": run.name if run else "",
        "time": evaluation.times[0],
        "members": members,
        "seed": seed,
        "shown": {"variable": watch.shown, "title": sample.title},
        "schedule": _schedule_numbers(checked, schedule) | {"largest_amplitude": reach(checked, truth)},
        "training": {key: _columns(value) for key, value in training.history.items()},
        "steps": {name: watch.numbers(name) for name in watch.scored},
        "scores": evaluation.scores[checked.method],
    }
    noise = noise_against(checked, truth)
    with replacing(out, overwrite=overwrite) as temporary:
        temporary.mkdir()
        if noise is not None:
            write_text(temporary / "noise.md", noise)
        for name, figure in drawn.items():
            figure.savefig(temporary / f"{name}.png", dpi=110, facecolor="white")
        write_film(_process(sample, watch), temporary / "denoising.gif")
        write_text(temporary / "diagnostics.json", json.dumps(numbers, indent=2, allow_nan=False) + "\n")
        return sorted(path.name for path in temporary.iterdir())


def _process(sample: figures.Sample, watch: Watch) -> Film:
    """The reverse process as a film: the clean estimate of one member at every evaluation, beside the truth."""
    plane, process = sample.plane, watch.denoising()
    still = [np.broadcast_to(shown, process.estimates.shape) for shown in (plane.truth, plane.observed)]
    panels = [
        FilmPanel("truth", still[0]),
        FilmPanel("observed", still[1]),
        FilmPanel("clean estimate of one member", process.estimates),
    ]
    stamps = [f"{sample.stamp}, noise level {level:.3g}" for level in process.noise_level]
    return Film(plane, panels, stamps, sample.name, sample.units)


def _figures(
    schedule: figures.ScheduleCurves,
    training: figures.TrainingCurves,
    watch: Watch,
    sample: figures.Sample,
    *,
    name: str,
) -> dict[str, Figure]:
    """All figures by the stem of their file; none of a training that left no history."""
    drawn = {"schedule": figures.draw_schedule(schedule)}
    if training.history:
        drawn["training"] = figures.draw_training(training, title=f"training of {name}")
    steps = [watch.scores(scored) for scored in watch.scored]
    members = steps[0].member_rmse.shape[1]
    drawn["steps"] = figures.draw_steps(steps, title=f"{schedule.sampler}, {members} members, {sample.stamp}")
    drawn["denoising"] = figures.draw_denoising(
        sample.plane,
        watch.denoising(),
        name=sample.name,
        units=sample.units,
        title=f"one member of {sample.title}: clean estimates as the noise falls",
    )
    drawn["sample"] = figures.draw_sample(sample)
    return drawn


def reach(reconstructor: DiffusionReconstructor, truth: xr.Dataset) -> float | None:
    """The largest amplitude of the fields, network units; warns where the noise of the run does not reach it.

    A run of before it was kept has it from the dates of the truth, if they are 16 or more and there is no first guess; else None.
    """
    model, _ = fitted_model(reconstructor)
    stated = reconstructor.extra.get("largest_amplitude")
    amplitude = float(stated) if isinstance(stated, int | float) else None
    if amplitude is None and reconstructor.guess is None and truth.sizes.get("time", 0) >= 16:
        seen = _fields(reconstructor, truth)
        amplitude = largest_amplitude(seen.value, seen.where)
    if amplitude is None:
        log.warning("Whether s_max is large enough is unknown: the run does not say how large its structures are.")
        return None
    for sentence in checked_range(model, amplitude):
        log.warning(sentence)
    return amplitude


def _fields(reconstructor: DiffusionReconstructor, truth: xr.Dataset) -> Seen:
    """Up to 64 dates of the truth in network units."""
    codec = fitted_model(reconstructor)[1]
    chosen = np.unique(np.linspace(0, truth.sizes["time"] - 1, 64).round().astype(int))
    fields = reconstructor.learner.placer.place(truth[list(codec.targets)].isel(time=chosen).load()).dataset
    return FieldBatch.stack([observation_batch(codec, fields, time) for time in range(len(chosen))]).seen


def noise_against(reconstructor: DiffusionReconstructor, truth: xr.Dataset) -> str | None:
    """The noise of the run against the truth, wave by wave, as tables; None, and a warning why, where it has no waves."""
    model, codec = fitted_model(reconstructor)
    if reconstructor.guess is not None:
        log.warning(
            "noise.md is left out: this run draws what its first guess lacks, and the truth does not say what that is"
        )
        return None
    seen = _fields(reconstructor, truth)
    try:
        channels = covers(seen.value, seen.where, model.noise)
    except DataError as error:
        log.warning("noise.md is left out: %s", error)
        return None
    log.info(said_of_noise(channels))
    return noise_tables(channels, codec.channel_names(), model.schedule.s_min, model.schedule.s_max)


def _one_time(observations: xr.Dataset, time: int) -> xr.Dataset:
    count = observations.sizes.get("time", 0)
    if not -count <= time < count:
        raise ConfigurationError(f"Found time {time}: the observations hold {count} times. Choose 0 to {count - 1}.")
    return observations.isel(time=[time % count]).load()


def schedule_curves(reconstructor: DiffusionReconstructor) -> figures.ScheduleCurves:
    """The schedule of a run, the density of its training noise levels and the grid of its sampler."""
    model, _ = fitted_model(reconstructor)
    schedule, sampler = model.schedule, reconstructor.sampler
    t = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    gamma = torch.linspace(schedule.gamma_max, schedule.gamma_min, POINTS, dtype=torch.float64)
    levels = sampler.noise_levels(schedule)
    return figures.ScheduleCurves(
        t=t.numpy(),
        gamma=schedule.gamma(t).numpy(),
        level=noise_level(gamma).numpy(),
        own=schedule.density(gamma).numpy(),
        training=model.noise_levels.density(gamma, schedule).numpy(),
        sampling_t=schedule.t(-2 * torch.log(levels)).clamp(0, 1).numpy(),
        sampling_level=levels.numpy(),
        name=f"{type(schedule).__name__} ({schedule.convention.replace('_', ' ')})",
        sampler=f"{type(sampler).__name__}, {sampler.evaluations} evaluations",
    )


def training_curves(
    reconstructor: DiffusionReconstructor, run: Path | None, units: str = "physical units"
) -> figures.TrainingCurves:
    """The validations that a run remembers; loss and learning rate from its CSV log, where it still has one."""
    records = reconstructor.history
    names = dict.fromkeys(key for record in records for key in record if key.startswith("validation_"))
    history = {}
    for name in names:
        pairs = [(record["step"], record[name]) for record in records if record.get(name) is not None]
        history[name] = (np.array([step for step, _ in pairs]), np.array([value for _, value in pairs]))
    log = _read_log(None if run is None else run / "logs" / "csv" / "metrics.csv")
    last = float(records[-1]["step"]) if records else 0.0
    return figures.TrainingCurves(
        history=history,
        loss=_logged(log, "loss", last),
        learning_rate=_logged(log, "learning_rate", last),
        units=units,
    )


def _read_log(path: Path | None) -> list[dict[str, str]]:
    if path is None or not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _logged(log: list[dict[str, str]], name: str, last: float) -> tuple[np.ndarray, np.ndarray]:
    """(step, value) of one column; the log of a resumed training counts from 0 and is moved to its end."""
    rows = [(float(row["step"]), float(row[name])) for row in log if row.get(name) and row.get("step")]
    if not rows:
        return np.empty(0), np.empty(0)
    step, value = (np.array(column) for column in zip(*rows, strict=True))
    gap = float(np.median(np.diff(step))) if len(step) > 1 else 0.0
    behind = last - (step[-1] + 1)
    return (step + behind if behind > gap > 0 else step), value


def check_diagnosable(reconstructor: Reconstructor) -> DiffusionReconstructor:
    """The run as what it must be to be looked into.

    Raises:
        ConfigurationError: it is another kind of run.
    """
    if not isinstance(reconstructor, DiffusionReconstructor):
        raise ConfigurationError(
            f"Found a run of {type(reconstructor).__name__}: only a DiffusionReconstructor has a schedule and a sampler "
            "to look into. Use `driftfield reconstruct` and `driftfield evaluate` for this one."
        )
    return reconstructor


def _units(observations: xr.Dataset, targets: tuple[str, ...]) -> str:
    units = {str(observations[name].attrs.get("units", "1")) for name in targets if name in observations}
    return units.pop() if len(units) == 1 else "mixed units"


def _schedule_numbers(reconstructor: DiffusionReconstructor, curves: figures.ScheduleCurves) -> JSONObject:
    model, _ = fitted_model(reconstructor)
    return {
        "schedule": type(model.schedule).__name__,
        "convention": model.schedule.convention,
        "s_min": model.schedule.s_min,
        "s_max": model.schedule.s_max,
        "training_levels": type(model.noise_levels).__name__,
        "sampler": type(reconstructor.sampler).__name__,
        "evaluations": reconstructor.sampler.evaluations,
        "sampling_levels": curves.sampling_level.tolist(),
    }


def _columns(pair: tuple[np.ndarray, np.ndarray]) -> dict[str, list[float | None]]:
    step, value = pair
    return {"step": step.tolist(), "value": [float(v) if np.isfinite(v) else None for v in value]}
