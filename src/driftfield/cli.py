"""The command line: `driftfield simulate | mask | train | reconstruct | evaluate | diagnose | demo`.

Bad input ends with exit code 2 and one readable message; an error of our own ends with 1. Heavy libraries are imported inside
the commands, so that `--help` answers at once.
"""

__all__ = ["app", "main"]

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield import __version__
from driftfield.errors import ConfigurationError, ExistsError, UserError

app = typer.Typer(
    help="Complete ocean and atmosphere fields, with honest uncertainty, from sparse observations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
simulate_app = typer.Typer(help="Simulate a world to learn from or to test on.", no_args_is_help=True)
app.add_typer(simulate_app, name="simulate")

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
SamplerName = Annotated[
    str | None, typer.Option(help="Another sampler: NAME or NAME:EVALUATIONS (one more finds the start).")
]


def main() -> None:
    """Entry point: turns a `UserError` into one line and exit code 2."""
    try:
        app()
    except UserError as error:
        # messages that quote a library may hold line breaks
        print(f"driftfield: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("driftfield: interrupted; what was finished is kept.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        logging.getLogger(__name__).debug("internal error", exc_info=True)
        print(f"driftfield: internal error: {type(error).__name__}: {error}. Please report it.", file=sys.stderr)
        sys.exit(1)


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
    for name in ("matplotlib", "fsspec", "h5py", "numcodecs"):
        logging.getLogger(name).setLevel(logging.WARNING)


@simulate_app.command("ocean")
def simulate_ocean_command(
    out: Annotated[Path, typer.Argument(help="OUT.zarr or OUT.nc")],
    years: Annotated[float, typer.Option(help="Length of the record.")] = 2.0,
    every_days: Annotated[float, typer.Option(help="Days between snapshots.")] = 5.0,
    start: Annotated[str, typer.Option(help="First date.")] = "2000-01-01",
    seed: Annotated[int, typer.Option(help="Of eddies and weather; the basin is always the same.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """A regional ocean: temperature, sea surface temperature and height, with a front, eddies, a coast and a sea floor."""
    from driftfield.data.sources import write_dataset
    from driftfield.data.synthetic.ocean import simulate_ocean

    _check_output(out, overwrite=overwrite)
    dataset = simulate_ocean(years=years, every_days=every_days, start=start, seed=seed)
    write_dataset(dataset, out, overwrite=overwrite)
    print(f"{out}: {dict(dataset.sizes)}")


@app.command()
def mask(
    fields: Annotated[Path, typer.Argument(help="Complete fields: NetCDF or Zarr.")],
    obs: Annotated[Path, typer.Argument(help="Observation file to write.")],
    observe: Annotated[list[str], typer.Option(help="VARIABLE=PATTERN, e.g. thetao=profiles:0.95, sst=clouds:0.8")],
    error: Annotated[
        list[str] | None, typer.Option(help="Standard deviation of the noise: NUMBER, or VARIABLE=NUMBER (repeat).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of masks and noise.")] = 0,
    time: Annotated[
        str | None, typer.Option(help="FIRST:LAST dates to take, both included; 2015:2016 are two years.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Hide most of a field: write what an observing system would have seen of it."""
    from driftfield.data.sources import open_archive, write_dataset
    from driftfield.data.twin import observe as observe_fields

    _check_output(obs, overwrite=overwrite)
    _whole(seed, "--seed", least=0)
    patterns = _pairs(observe, "--observe", "VARIABLE=PATTERN")
    archive = open_archive(fields, list(patterns), time=_period(time) if time else None)
    seen = observe_fields(archive.dataset, patterns, error=_errors(error or []), seed=seed, domain=archive.domains)
    write_dataset(seen, obs, overwrite=overwrite)
    for name in patterns:
        share = float(seen[name].notnull().sum()) / max(float(archive.domain(name).sum()) * seen.sizes["time"], 1)
        print(f"{name}: {100 * share:.1f} % of the domain seen as {patterns[name]}")
    print(f"wrote {obs}")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.of.the.recipe=value (repeat).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fit a reconstructor (the diffusion model or a peer) to an archive."""
    import yaml

    from driftfield.data.prepare import prepare
    from driftfield.files import write_text
    from driftfield.recipe import read_recipe
    from driftfield.registry import build

    read = read_recipe(recipe, set_ or [])
    _check_run(out, resume=resume, overwrite=overwrite)
    _register(training=bool(read.trainer))
    reconstructor = build("reconstructor", read.reconstructor)
    trainer = build("trainer", read.trainer) if read.trainer else None
    trained = getattr(reconstructor, "trained", False)
    if trained and trainer is None:
        raise ConfigurationError(f"{recipe} lacks 'trainer': add 'trainer: {{class: LightningTrainer}}'.")
    if not trained and (trainer is not None or resume):
        found = "a 'trainer'" if trainer is not None else "--resume"
        raise ConfigurationError(
            f"{type(reconstructor).__name__} is fitted at once: {found} has no meaning. Leave it out."
        )
    data = prepare(**read.data)
    write_text(out / "recipe.yaml", yaml.safe_dump(read.content, sort_keys=False))
    if trained:
        reconstructor.fit(data, seed=read.seed, trainer=trainer, folder=out, resume=resume)
    else:
        reconstructor.fit(data, seed=read.seed)
    if hasattr(reconstructor, "extra"):
        reconstructor.extra["recipe_hash"] = read.hash
    reconstructor.save(out)
    print(f"wrote {out}")


@app.command()
def reconstruct(
    run: Annotated[Path, typer.Argument(help="Run folder that `driftfield train` wrote, or shipped:NAME.")],
    obs: Annotated[Path, typer.Argument(help="Observation file.")],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")],
    members: Annotated[int, typer.Option(help="Size of the ensemble.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the members.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Members at a time; does not change them.")] = 16,
    sampler: SamplerName = None,
    domain: Annotated[Path | None, typer.Option(help="File with the domain, if OBS has none.")] = None,
    smooth: Annotated[float, typer.Option(help="Smooth every member: Gaussian sigma in cells.")] = 0.0,
    replacement: Annotated[
        bool, typer.Option("--replacement", help="Impose the observations without error while sampling.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Complete what was observed: an ensemble of fields, its mean and its standard deviation."""
    from driftfield.conventions import FORMAT
    from driftfield.data.sources import is_periodic, write_dataset
    from driftfield.reconstruct import load_reconstructor
    from driftfield.reconstruct.postprocess import smoothed

    _check_output(out, overwrite=overwrite)
    if not 0 <= smooth < float("inf"):
        raise ConfigurationError(f"Found --smooth {smooth:g}: expected a number of cells, 0 or more.")
    for value, option, least in ((members, "--members", 1), (batch_size, "--batch-size", 1), (seed, "--seed", 0)):
        _whole(value, option, least=least)
    _register()
    reconstructor = load_reconstructor(_find_run(run))
    observations = _open_observations(obs, domain)
    given: dict[str, Any] = {}
    if hasattr(reconstructor, "sampler"):
        given["batch_size"] = batch_size
        if sampler:
            reconstructor.sampler = _sampler(sampler)
    elif sampler:
        raise ConfigurationError(f"{type(reconstructor).__name__} draws no samples: leave out --sampler.")
    if replacement:
        if not hasattr(reconstructor, "replacement"):
            raise ConfigurationError(f"{type(reconstructor).__name__} draws no samples: leave out --replacement.")
        reconstructor.replacement = True
    result = reconstructor.reconstruct(observations, members=members, seed=seed, **given)
    if smooth:
        result = smoothed(result, smooth, is_periodic(result["lon"]))
    result.attrs |= {"run": run.name, "observations": obs.name, "driftfield_format": FORMAT}
    write_dataset(result, out, overwrite=overwrite)
    print(f"wrote {out}: {', '.join(map(str, result.data_vars))}")


@app.command()
def evaluate(
    truth: Annotated[Path, typer.Argument(help="The complete fields.")],
    outputs: Annotated[list[Path], typer.Argument(help="Reconstructions to score.")],
    observations: Annotated[Path, typer.Option("--observations", help="The observation file they were made from.")],
    out: Annotated[Path, typer.Option("--out", help="Report folder to write.")],
    area_weighted: Annotated[bool, typer.Option("--area-weighted", help="Weight cells by their area.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Score reconstructions on the hidden cells of the domain; write scores.json, figures and report.html."""
    from driftfield.data.sources import open_fields
    from driftfield.evaluate.comparison import scores_table
    from driftfield.evaluate.evaluation import evaluate as score
    from driftfield.evaluate.report import write_report_folder

    _check_output(out, overwrite=overwrite, suffixes=())
    fields, seen = open_fields(truth), open_fields(observations)
    methods = {str(path): open_fields(path) for path in outputs}  # named by their attribute `method` where it is unique
    evaluation = score(fields, methods, seen, area_weighted=area_weighted)
    provenance = {"truth": str(truth), "observations": str(observations), "outputs": [str(path) for path in outputs]}
    write_report_folder(evaluation, fields, methods, seen, provenance=provenance, folder=out, overwrite=overwrite)
    print(scores_table(evaluation))
    print(f"wrote {out / 'report.html'}, {out / 'scores.json'} and {out / 'figures'}")


@app.command()
def diagnose(
    run: Annotated[Path, typer.Argument(help="Run folder of a diffusion model, or shipped:NAME.")],
    obs: Annotated[Path, typer.Argument(help="Observation file that `driftfield mask` wrote.")],
    truth: Annotated[Path, typer.Option("--truth", help="The complete fields.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    members: Annotated[int, typer.Option(help="Size of the ensemble, drawn at once.")] = 8,
    time: Annotated[int, typer.Option(help="Which time of OBS, counted from 0.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the members.")] = 0,
    variable: Annotated[str | None, typer.Option(help="What the maps show; the first target by default.")] = None,
    depth: Annotated[float | None, typer.Option(help="Level of the maps, metres.")] = None,
    sampler: SamplerName = None,
    overwrite: Overwrite = False,
) -> None:
    """Look inside a diffusion run: schedule, training, error and fields as the noise falls; figures and diagnostics.json."""
    from driftfield.data.sources import open_fields
    from driftfield.reconstruct import load_reconstructor
    from driftfield.reconstruct.diagnostics import diagnose as look

    _check_output(out, overwrite=overwrite, suffixes=())
    _whole(members, "--members", least=2)
    _whole(seed, "--seed", least=0)
    _register()
    folder = _find_run(run)
    reconstructor = load_reconstructor(folder)
    if sampler and hasattr(reconstructor, "sampler"):
        reconstructor.sampler = _sampler(sampler)
    options: dict[str, Any] = {"members": members, "time": time, "seed": seed, "variable": variable, "depth": depth}
    seen, fields = _open_observations(obs, None), open_fields(truth)
    files = look(reconstructor, seen, fields, out, run=folder, overwrite=overwrite, **options)
    print(f"wrote {out}: {', '.join(files)}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("demo"),
    cases: Annotated[int, typer.Option(help="Dates to reconstruct.")] = 12,
    members: Annotated[int, typer.Option(help="Size of the ensemble.")] = 48,
    seed: Annotated[int, typer.Option(help="Of the simulated ocean; the shipped model was trained on seed 0.")] = 1,
    overwrite: Overwrite = False,
) -> None:
    """The main job on a simulated ocean that the shipped model has never seen, beside all peers; no network needed."""
    _register()
    from driftfield.demo import run_demo

    run_demo(out, cases=cases, members=members, seed=seed, overwrite=overwrite)


def _register(*, training: bool = False) -> None:
    """Imports the rooms whose classes a recipe or a run may name."""
    import driftfield.reconstruct

    if training:
        import driftfield.training  # noqa: F401

        # Lightning sets its own level when it is imported
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.WARNING)


def _find_run(run: Path) -> Path:
    """A folder, or `shipped:NAME` for a run that comes with the package."""
    from driftfield.reconstruct import shipped_run

    text = str(run)
    return shipped_run(text.removeprefix("shipped:")) if text.startswith("shipped:") else run


def _open_observations(path: Path, domain: Path | None) -> Any:
    from driftfield.conventions import error_of, state_variables
    from driftfield.data.observations import add_domain
    from driftfield.data.sources import open_fields

    observations = open_fields(path)
    if "time" not in observations.dims:
        raise ConfigurationError(f"{path} has no time axis: a reconstruction needs the date. Add one.")
    if domain is not None:
        observations = add_domain(observations, open_fields(domain), source=str(domain))
    if exact := [name for name in state_variables(observations) if error_of(observations, name) is None]:
        logging.getLogger(__name__).info("%s states no error of %s: taken as exact", path, ", ".join(exact))
    return observations.load()


def _check_output(out: Path, *, overwrite: bool, suffixes: tuple[str, ...] = (".nc", ".zarr")) -> None:
    """Refuses an output that could not be written in the end; early, before hours of work."""
    import os

    from driftfield.files import refuse_existing

    if suffixes and out.suffix not in suffixes:
        raise ConfigurationError(f"Cannot write {out}: expected a name that ends in .nc or .zarr. Rename the output.")
    refuse_existing(out, overwrite=overwrite)
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigurationError(
            f"Cannot write {out}: {parent} is no folder that you may write to. Choose another one."
        )


def _check_run(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuses to train over a run, or over a training that was interrupted."""
    last = out / "checkpoints" / "last" / "run.json"
    if resume and not last.exists():
        raise ConfigurationError(f"Nothing to resume: {out} holds no checkpoint. Leave out --resume to start.")
    if not resume:
        _check_output(out / "run.json", overwrite=overwrite, suffixes=())
    if last.exists() and not resume and not overwrite:
        raise ExistsError(f"{out} holds an unfinished training. Pass --resume to go on, or --overwrite to start again.")


def _sampler(text: str) -> Any:
    from driftfield.registry import build

    name, colon, evaluations = text.partition(":")
    spec: dict[str, Any] = {"class": name}
    if colon:
        spec["evaluations"] = _whole(_number(evaluations, "--sampler"), "--sampler", least=2)
    return build("sampler", spec)


def _pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ConfigurationError(f"Cannot read {option} {text!r}: expected {form}.")
        if name in pairs:
            raise ConfigurationError(f"Found {option} twice for {name!r}: expected it once. Leave one out.")
        pairs[name] = value
    return pairs


def _period(text: str) -> list[str | None]:
    first, colon, last = text.partition(":")
    if not colon or ":" in last or not (first or last):
        raise ConfigurationError(f"Cannot read --time {text!r}: expected FIRST:LAST dates, such as 2015-01:2016-06.")
    return [first or None, last or None]


def _errors(texts: list[str]) -> float | dict[str, float]:
    if not texts:
        return 0.0
    if len(texts) == 1 and "=" not in texts[0]:
        return _number(texts[0], "--error")
    return {name: _number(value, "--error") for name, value in _pairs(texts, "--error", "VARIABLE=NUMBER").items()}


def _number(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigurationError(f"Cannot read {option} {text!r}: expected a number.") from error
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"Found {option} {text}: expected a number that is 0 or more.")
    return value


def _whole(value: float, option: str, *, least: int) -> int:
    if value != int(value) or value < least:
        raise ConfigurationError(f"Found {option} {value:g}: expected a whole number, {least} or more.")
    return int(value)
