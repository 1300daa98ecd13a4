"""Figures that look inside one diffusion run: its noise, its training, and how a sample comes out of the noise.

    schedule    log SNR over t, and where on it training looks and sampling stops
    training    loss, scores of the validation samples and learning rate against optimizer steps
    steps       error and spread of the clean estimates D against the noise level, as sampling proceeds
    denoising   D of one member at falling noise levels, beside observations and truth
    sample      truth, observed, mean, spread and error

At a high noise level D knows the observations only: all members agree on the mean, the spread is 0. At the end D is a member.
For M members and any truth, cell by cell and on average,

    <member error^2> = <error of the mean^2> + (M - 1)/M <var>        var with ddof 1

so that an honest ensemble ends with members that are sqrt(2) as wrong as its mean, for large M.
"""

__all__ = [
    "Denoising",
    "Sample",
    "ScheduleCurves",
    "StepScores",
    "TrainingCurves",
    "draw_denoising",
    "draw_sample",
    "draw_schedule",
    "draw_steps",
    "draw_training",
]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from driftfield.evaluate import drawing, plots
from driftfield.evaluate.alignment import Aligned
from driftfield.evaluate.cells import level_key
from driftfield.evaluate.evaluation import Evaluation
from driftfield.evaluate.figures import _View

NOISE_LEVEL = "noise level σ/α [sd of the normalised field]"
ERRORS = {"validation_rmse": "RMSE of the mean", "validation_mae": "MAE of the mean", "validation_crps": "fair CRPS"}
_BLUE, _RED, _GREEN = drawing.COLOURS[:3]


@dataclass(frozen=True)
class ScheduleCurves:
    """A schedule, what training sees of it and where sampling stops.

    Arguments:
        t: Times from 0 (clean) to 1 (noise).
        gamma: Log SNR at those times.
        level: Noise levels, ascending, at which the densities are given.
        own: Density of the schedule itself, per unit of log SNR.
        training: Density of the training noise levels, per unit of log SNR.
        sampling_t: Times of the sampling grid.
        sampling_level: Their noise levels.
        name: Of the schedule, in words.
        sampler: Of the sampler, in words.
    """

    t: np.ndarray
    gamma: np.ndarray
    level: np.ndarray
    own: np.ndarray
    training: np.ndarray
    sampling_t: np.ndarray
    sampling_level: np.ndarray
    name: str
    sampler: str


@dataclass(frozen=True)
class TrainingCurves:
    """What was noted during training.

    Arguments:
        history: {figure: (step, value)} of the validations: validation_loss, validation_rmse, ...
        loss: (step, value) of the training batches; empty where no log was kept.
        learning_rate: (step, value); empty where no log was kept.
        units: Of the validation errors.
    """

    history: dict[str, tuple[np.ndarray, np.ndarray]]
    loss: tuple[np.ndarray, np.ndarray]
    learning_rate: tuple[np.ndarray, np.ndarray]
    units: str


@dataclass(frozen=True)
class StepScores:
    """Clean estimates against the truth over held-out cells, one entry per network evaluation, physical units.

    Arguments:
        noise_level: (evaluation), falling.
        mean_rmse: (evaluation) error of the ensemble mean of the estimates.
        member_rmse: (evaluation, member) error of every single estimate.
        spread: (evaluation) square root of the mean of (M + 1)/M var; an honest ensemble ends where `mean_rmse` ends.
        name: Of the variable, in words.
        units: Of the variable.
    """

    noise_level: np.ndarray
    mean_rmse: np.ndarray
    member_rmse: np.ndarray
    spread: np.ndarray
    name: str
    units: str


@dataclass(frozen=True)
class Denoising:
    """Clean estimates (evaluation, lat, lon) of one member on one level, physical units, and their noise levels."""

    noise_level: np.ndarray
    estimates: np.ndarray


def draw_schedule(curves: ScheduleCurves) -> Figure:
    """Log SNR over t with the sampling grid on it; density of training levels against the schedule's own."""
    figure = Figure(figsize=(11.0, 4.4), layout="constrained")
    drawing.headline(figure, f"{curves.name}; {curves.sampler}")
    left, right = figure.subplots(1, 2)
    left.plot(curves.t, curves.gamma, color=_BLUE, lw=1.6, label="schedule")
    gamma = -2 * np.log(curves.sampling_level)
    left.plot(curves.sampling_t, gamma, "o", color=_RED, ms=4.5, label="sampling grid", zorder=3)
    left.set(xlabel="t [1]: 0 is clean, 1 is noise", ylabel="log SNR γ [1]", title="schedule")
    other = left.twinx()
    # log s is linear in gamma: equal heights are equal noise
    other.set(yscale="log", ylim=tuple(np.exp(-np.array(left.get_ylim()) / 2)), ylabel=NOISE_LEVEL)
    _plain_numbers(other.yaxis)
    right.fill_between(curves.level, curves.training, color=_BLUE, alpha=0.2, lw=0)
    right.plot(curves.level, curves.training, color=_BLUE, lw=1.6, label="training noise levels")
    right.plot(curves.level, curves.own, color=drawing.TRUTH, lw=1.2, ls="--", label="schedule (t uniform)")
    marks = np.zeros_like(curves.sampling_level)
    right.plot(
        curves.sampling_level, marks, "|", color=_RED, ms=14, mew=1.5, label="sampling grid", zorder=3, clip_on=False
    )
    right.set(xlabel=NOISE_LEVEL, ylabel="density per unit of log SNR [1]", title="density of noise levels")
    right.set_ylim(0, 1.12 * max(float(curves.training.max()), float(curves.own.max())))
    _level_axis(right)
    for ax in (left, right):
        ax.title.set_fontsize(10)
        ax.grid(alpha=0.3)
    drawing.legend_below(figure, (left, right))
    return figure


def draw_training(curves: TrainingCurves, *, title: str) -> Figure:
    """Loss, validation scores and learning rate against optimizer steps; what was not noted has no panel."""
    panels = ["loss"]
    panels += ["errors"] if any(key in curves.history for key in ERRORS) else []
    panels += [key for key in ("validation_psnr", "validation_ssim") if key in curves.history]
    panels += ["learning rate"] if len(curves.learning_rate[0]) else []
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns + 0.6, 3.1 * rows + 0.7), layout="constrained")
    drawing.headline(figure, title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, panel in zip(axes, panels, strict=False):
        _training_panel(ax, curves, panel)
    for ax in axes[len(panels) :]:
        ax.remove()
    return figure


def _training_panel(ax: Axes, curves: TrainingCurves, panel: str) -> None:
    ax.set(title=panel, xlabel="optimizer step")
    if panel == "loss":
        if len(curves.loss[0]):
            ax.plot(*curves.loss, color="0.6", lw=1, label="training batch")
        if "validation_loss" in curves.history:
            ax.plot(*curves.history["validation_loss"], "o-", color=_RED, ms=3.5, lw=1.4, label="validation, averaged")
        ax.set(ylabel="weighted loss [1]", yscale="log")
        _plain_numbers(ax.yaxis, subs=(1, 2, 5))
        ax.legend(frameon=False, fontsize=8)
    elif panel == "errors":
        for colour, (key, label) in zip(drawing.COLOURS, ERRORS.items(), strict=False):
            if key in curves.history:
                ax.plot(*curves.history[key], "o-", color=colour, ms=3.5, lw=1.4, label=label)
        ax.set(title="validation: held-out cells", ylabel=f"error [{curves.units}]", ylim=(0, None))
        ax.legend(frameon=False, fontsize=8)
    elif panel == "learning rate":
        ax.plot(*curves.learning_rate, color=_GREEN, lw=1.4)
        ax.set(ylabel="learning rate [1]", ylim=(0, None))
        ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    else:
        unit = {"validation_psnr": "PSNR [dB]", "validation_ssim": "SSIM [1]"}[panel]
        ax.plot(*curves.history[panel], "o-", color=_BLUE, ms=3.5, lw=1.4)
        ax.set(title="validation: held-out cells", ylabel=unit)
    ax.title.set_fontsize(10)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(alpha=0.3)


def draw_steps(scores: Sequence[StepScores], *, title: str) -> Figure:
    """Error of the clean estimates and their spread against the noise level, a panel per variable."""
    figure = Figure(figsize=(max(7.4, 5.2 * len(scores) + 0.6), 5.0), layout="constrained")
    drawing.headline(figure, title)
    axes = figure.subplots(1, len(scores), squeeze=False)[0]
    for ax, score in zip(axes, scores, strict=True):
        for number, curve in enumerate(score.member_rmse.T):
            label = None if number else "RMSE of each member"
            ax.plot(score.noise_level, curve, color="0.65", lw=0.8, label=label, zorder=1)
        ax.plot(score.noise_level, score.mean_rmse, "o-", color=_BLUE, ms=3.5, label="RMSE of the mean", zorder=3)
        ax.plot(score.noise_level, score.spread, "s--", color=_RED, ms=3.5, label="spread", zorder=2)
        ax.set(xlabel=NOISE_LEVEL, ylabel=f"{score.name} [{score.units}]", ylim=(0, None))
        ax.set_title("clean estimates, held-out cells\n(an honest ensemble ends with spread = RMSE)", fontsize=10)
        _level_axis(ax)
        ax.invert_xaxis()
        ax.grid(alpha=0.3)
    drawing.legend_below(figure, axes)
    return figure


def draw_denoising(
    plane: drawing.MapPanel, denoising: Denoising, *, name: str, units: str, title: str, panels: int = 6
) -> Figure:
    """Clean estimates of one member at up to `panels` noise levels, equally different in turn, beside the truth."""
    chosen = _moments(denoising.estimates[:, plane.domain], panels)
    columns = 1 + -(-len(chosen) // 2)
    width, height = drawing.panel_size(plane, columns)
    figure = Figure(figsize=(columns * width + 1.6, 2 * height + 0.5), layout="constrained")
    drawing.headline(figure, title)
    grid = np.array(figure.subplots(2, columns, squeeze=False, sharex=True, sharey=True))
    values = drawing.scale_of(name, units, [plane.truth[plane.domain]])
    drawing.fill(grid[0, 0], plane, plane.observed, "observed", **values)
    drawn = drawing.fill(grid[1, 0], plane, plane.truth, "truth", **values)
    free = list(grid[:, 1:].ravel())
    for ax, index in zip(free, chosen, strict=False):
        label = f"clean estimate at noise level {denoising.noise_level[index]:.2g}"
        drawing.fill(ax, plane, denoising.estimates[index], label, **values)
    for ax in free[len(chosen) :]:
        ax.set_visible(False)
    figure.colorbar(drawn, ax=grid, label=f"{name} [{units}]", extend="both", shrink=0.85, aspect=22, pad=0.015)
    drawing.label_edges(grid, plane)
    return figure


class Sample:
    """One level of one variable at the one time of a diagnosis, ready to be drawn.

    Arguments:
        aligned: Truth, the ensemble and the observations.
        evaluation: Of the same.
        name: The variable.
        level: Index of the level; 0 for a surface field.
    """

    def __init__(self, aligned: Aligned, evaluation: Evaluation, name: str, level: int) -> None:
        view = _View(aligned, evaluation, name)
        where = "" if view.depths is None else f" at {level_key(float(view.depths[level]))} m"
        self.stamp, self.title = view.stamp, f"{view.text}{where}, {view.stamp}"
        self.name, self.units = view.text, view.units
        self.plane, self.answers = view.plane(level)


def draw_sample(sample: Sample) -> Figure:
    """Truth, observed and held-out cells beside mean, spread and error of the ensemble."""
    return plots.draw_comparison(sample.plane, sample.answers, name=sample.name, units=sample.units, title=sample.title)


def _moments(estimates: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to `count` of the estimates (evaluation, cell), first and last included, with equal change between."""
    change = np.sqrt(np.mean(np.diff(estimates, axis=0) ** 2, axis=1))
    path = np.concatenate([[0.0], np.cumsum(change)])
    if not path[-1] > 0:
        path = np.arange(len(estimates), dtype=float)
    wanted = np.linspace(0, path[-1], count)
    return np.unique(np.abs(path[None, :] - wanted[:, None]).argmin(axis=1))


def _level_axis(ax: Axes) -> None:
    """Noise levels on a logarithmic axis."""
    ax.set_xscale("log")
    _plain_numbers(ax.xaxis)


def _plain_numbers(axis: Axis, subs: tuple[float, ...] = (1,)) -> None:
    """0.01, 0.1, 1, 10 in place of powers."""
    axis.set_major_locator(LogLocator(subs=subs, numticks=10))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
