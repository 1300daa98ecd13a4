"""What the commands share: the application, options, and checks of what a user typed."""

__all__ = [
    "Job",
    "Overwrite",
    "Region",
    "SamplerName",
    "TimeLeft",
    "app",
    "by_job",
    "check_counts",
    "check_draws",
    "check_output",
    "check_run",
    "hub_app",
    "open_crew_of",
    "read_errors",
    "read_number",
    "read_pairs",
    "read_period",
    "read_region",
    "read_sampler",
    "reporting",
    "simulate_app",
    "use_sampler",
    "whole",
    "write_with_bar",
]

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.models import CommandInfo

from driftfield import __version__
from driftfield.errors import ConfigurationError, ExistsError, visible
from driftfield.plain import JSONObject

if TYPE_CHECKING:
    from driftfield.clusters import Crew
    from driftfield.reconstruction.writer import Work


log = logging.getLogger(__name__)

SAY_EVERY = 30.0
"""Seconds between two lines on how far a job has come."""


class Job(StrEnum):
    """What a command is for, in the order of `driftfield --help`."""

    FILL = "Fill and reconstruct"
    GET = "Get data to work on"
    LOOK = "Look"
    TRAIN = "Train"
    JUDGE = "Judge"


app = typer.Typer(
    help="Complete ocean and atmosphere fields, with honest uncertainty, from sparse observations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
simulate_app = typer.Typer(help="Simulate a world to learn from or to test on.", no_args_is_help=True)
app.add_typer(simulate_app, name="simulate", rich_help_panel=Job.GET)
hub_app = typer.Typer(
    help="Share runs on a model hub; hub:REPO names one wherever a run is named.", no_args_is_help=True
)
app.add_typer(hub_app, name="hub", rich_help_panel=Job.TRAIN)


def by_job(command: CommandInfo) -> tuple[int, str]:
    """Where a command stands in the help: by its job, then by its name."""
    jobs: list[str] = list(Job)
    name = command.name or (command.callback.__name__ if command.callback else "")
    return jobs.index(command.rich_help_panel) if command.rich_help_panel in jobs else len(jobs), name


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
SamplerName = Annotated[
    str | None,
    typer.Option(
        help="Another sampler: NAME or NAME:EVALUATIONS (those of the start come on top), and arguments: HeunSampler:63,churn=20."
    ),
]


class _Readable(logging.Formatter):
    """Lines that a file cannot make unreadable: no commands to the terminal, no kilobytes of an attribute."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        text = visible(super().formatMessage(record))
        return text if len(text) <= 2000 else f"{text[:1500]} ... {text[-400:]}"


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more, with tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options of every command."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format="%(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Readable("%(message)s"))
    for name in ("matplotlib", "fsspec", "h5py", "numcodecs"):
        logging.getLogger(name).setLevel(logging.WARNING)


def check_output(out: Path, *, overwrite: bool, suffixes: tuple[str, ...] = (".nc", ".zarr")) -> None:
    """Refuses an output that could not be written in the end; early, before hours of work."""
    import os

    from driftfield.files import refuse_existing

    if suffixes and out.suffix not in suffixes:
        raise ConfigurationError(
            f"Cannot write {out}: expected a name that ends in {' or '.join(suffixes)}. Rename the output."
        )
    refuse_existing(out, overwrite=overwrite)
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigurationError(
            f"Cannot write {out}: {parent} is no folder that you may write to. Choose another one."
        )


def check_draws(out: Path, *, overwrite: bool, seed: int, **counts: float | None) -> None:
    """Refuses an output that could not be written, and numbers of members, steps and the like that are none; early.

    Arguments:
        out: OUT.nc or OUT.zarr.
        overwrite: Whether it may be there already.
        seed: Of the members, 0 or more.
        counts: By the names of their options, 1 or more each; None for those that were not given.
    """
    check_output(out, overwrite=overwrite)
    check_counts({f"--{name.replace('_', '-')}": count for name, count in counts.items()})
    check_counts({"--seed": seed}, least=0)


def check_run(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuses to train over a run, or over a training that was interrupted."""
    from driftfield.files import writing

    with writing(out):  # a name may be too long to be asked for
        unfinished = any(run.parent.name != "best" for run in (out / "checkpoints").rglob("run.json"))
    if resume and not unfinished:
        raise ConfigurationError(f"Nothing to resume: {out} holds no checkpoint. Leave out --resume to start.")
    if not resume:
        check_output(out / "run.json", overwrite=overwrite, suffixes=())
    if unfinished and not resume and not overwrite:
        raise ExistsError(f"{out} holds an unfinished training. Pass --resume to go on, or --overwrite to start again.")


def read_sampler(text: str) -> Any:
    import re

    import yaml

    from driftfield.registry import build

    # a comma parts arguments only where a name and = follow: not in {class: ..., ...}
    first, *arguments = re.split(r",(?=\w+=)", text)
    name, colon, evaluations = first.partition(":")
    spec: JSONObject = {"class": name}
    if colon:
        spec["evaluations"] = whole(read_number(evaluations, "--sampler"), "--sampler", least=2)
    for argument, value in read_pairs(arguments, "--sampler", "NAME:EVALUATIONS,ARGUMENT=VALUE").items():
        try:
            spec[argument] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(
                f"Cannot read --sampler {argument}={value}: expected a number or {{...}}."
            ) from error
    sampler = build("sampler", spec)
    if isinstance(grid := spec.get("grid"), dict):  # or it would be found where the walk begins
        build("schedule", grid, s_min=0.01, s_max=80.0)
    return sampler


def use_sampler(method: Any, text: str | None) -> None:
    """Gives a run, a reconstructor or an emulator, the sampler that was asked for, if one was.

    Raises:
        ConfigurationError: the run draws no samples.
    """
    from driftfield.reconstruction.settings import check_ability

    if text:
        check_ability(method, "sampler", asked="--sampler")
        method.sampler = read_sampler(text)


def read_pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ConfigurationError(f"Cannot read {option} {text!r}: expected {form}.")
        if name in pairs:
            raise ConfigurationError(f"Found {option} twice for {name!r}: expected it once. Leave one out.")
        pairs[name] = value
    return pairs


Region = Annotated[
    str | None,
    typer.Option("--region", help="Take a part: lat=30:35,lon=-100:-95 (degrees; longitude may cross the dateline)."),
]


def read_region(text: str | None) -> dict[str, list[float]]:
    """`lat=30:35,lon=-100:-95` as {lat: [30, 35], lon: [-100, -95]}; nothing for nothing."""
    ends_of: dict[str, list[float]] = {}
    for axis, ends in read_pairs(text.split(",") if text else [], "--region", "lat=SOUTH:NORTH,lon=WEST:EAST").items():
        try:
            ends_of[axis] = [float(end) for end in ends.split(":")]
        except ValueError:
            ends_of[axis] = []
        if axis not in ("lat", "lon") or len(ends_of[axis]) != 2 or not all(abs(end) < 1000 for end in ends_of[axis]):
            raise ConfigurationError(
                f"Cannot read --region {text!r}: expected lat=SOUTH:NORTH,lon=WEST:EAST in degrees, one of them or both, "
                "such as lat=30:35,lon=-100:-95."
            )
    return ends_of


def read_period(text: str) -> list[str | None]:
    first, colon, last = text.partition(":")
    if not colon or ":" in last or not (first or last):
        raise ConfigurationError(f"Cannot read --time {text!r}: expected FIRST:LAST dates, such as 2015-01:2016-06.")
    return [first or None, last or None]


def read_errors(texts: list[str], option: str = "--error") -> float | dict[str, float]:
    if not texts:
        return 0.0
    if len(texts) == 1 and "=" not in texts[0]:
        return read_number(texts[0], option)
    return {name: read_number(value, option) for name, value in read_pairs(texts, option, "VARIABLE=NUMBER").items()}


def read_number(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigurationError(f"Cannot read {option} {text!r}: expected a number.") from error
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"Found {option} {text}: expected a number that is 0 or more.")
    return value


def check_counts(counts: Mapping[str, float | None], *, least: int = 1) -> None:
    """Refuses numbers of things that are no whole ones, or too few; those that were not given have a default.

    Raises:
        ConfigurationError: one of them is.
    """
    for option, value in counts.items():
        if value is not None:
            whole(value, option, least=least)


def whole(value: float, option: str, *, least: int) -> int:
    if value != int(value) or value < least:
        raise ConfigurationError(f"Found {option} {value:g}: expected a whole number, {least} or more.")
    return int(value)


def write_with_bar(
    work: "Work", out: Path, *, label: str, resume: bool, overwrite: bool, cluster: str | None = None
) -> None:
    """As `reconstruction.writer.write_reconstruction`.

    Arguments:
        work: What to do.
        out: OUT.nc or OUT.zarr.
        label: Of the bar.
        resume, overwrite: As there.
        cluster: Who shares it, as `--cluster` says it.
    """
    from driftfield.reconstruction.writer import write_reconstruction

    length = work.dates * work.draws.members
    with ExitStack() as stack:
        crew = stack.enter_context(open_crew_of(cluster))
        report = reporting(length, crew)
        if sys.stderr.isatty():
            report = stack.enter_context(typer.progressbar(length=length, label=label, file=sys.stderr)).update
        write_reconstruction(work, out, resume=resume, overwrite=overwrite, progress=report, crew=crew)


@contextmanager
def open_crew_of(cluster: str | None) -> "Iterator[Crew | None]":
    """The workers that `--cluster` names while the block lasts; nobody where it was not said."""
    from driftfield.clusters import open_crew

    if cluster is None:
        yield None
        return
    with open_crew(cluster) as crew:
        yield crew


def reporting(length: int, crew: "Crew | None") -> Callable[[int], None]:
    """What is told how many more members of dates are done: lines where workers share them, nothing where nobody does."""
    if crew is None:
        return lambda members: None
    return TimeLeft(length, lambda: f"{crew.size} workers").done


class TimeLeft:
    """Says now and then how far a long job has come, where nobody sees a bar.

    Arguments:
        length: How many members of dates there are in all.
        by: Who does it, at present.
    """

    def __init__(self, length: int, by: Callable[[], str]) -> None:
        self.length, self.by = length, by
        self.count, self.began = 0, -1
        self.start = self.said = time.monotonic()

    def done(self, members: int) -> None:
        """So many more are done; those of the first call were done before."""
        self.count += members
        now = time.monotonic()
        if self.began < 0:
            self.began = self.count
        elif self.count > self.began and (now - self.said >= SAY_EVERY or self.count == self.length):
            left = (now - self.start) / (self.count - self.began) * (self.length - self.count)
            log.info("%d of %d members, %s, about %.0f s left", self.count, self.length, self.by(), left)
            self.said = now
