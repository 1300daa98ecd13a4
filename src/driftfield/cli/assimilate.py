"""`driftfield assimilate`."""

__all__ = ["assimilate"]

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from driftfield.cli.shared import (
    Overwrite,
    SamplerName,
    app,
    check_output,
    find_run,
    open_observations,
    read_errors,
    read_pairs,
    read_period,
    read_sampler,
    register,
    whole,
)
from driftfield.errors import ConfigurationError, DataError, ExistsError


@app.command()
def assimilate(
    run: Annotated[Path, typer.Argument(help="Run folder of a diffusion model, or shipped:NAME.")],
    obs: Annotated[
        Path, typer.Argument(help="A table of observations, files of profiles or tracks, or a gridded file.")
    ],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")],
    points: Annotated[
        Path | None, typer.Option(help="A table that guides; OBS is then gridded, and what the network is shown.")
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option(help="NAME=NAME IN THE FILES (repeat), such as thetao=TEMP, for profiles and tracks."),
    ] = None,
    members: Annotated[int, typer.Option(help="Size of the ensemble.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the members, and of what is withheld.")] = 0,
    method: Annotated[str, typer.Option(help="Guidance method.")] = "mmps",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="method.OPTION=VALUE, such as method.iterations=5.")
    ] = None,
    error: Annotated[
        list[str] | None, typer.Option(help="Error of what states none: NUMBER, or VARIABLE=NUMBER (repeat).")
    ] = None,
    inflate_error: Annotated[
        float | None, typer.Option(help="Factor on all observation errors; that of --calibrate, or 1, by default.")
    ] = None,
    correlated_km: Annotated[
        float | None, typer.Option(help="Errors along one track or profile hang together over so many km.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="FIRST:LAST dates to analyse; all by default.")] = None,
    window_days: Annotated[
        float, typer.Option(help="Observations count for dates so many days away; 0: the day itself.")
    ] = 0.0,
    withhold: Annotated[
        float | None, typer.Option(help="Share of the observations to keep back and score, e.g. 0.1.")
    ] = None,
    by: Annotated[Literal["platform", "region"], typer.Option(help="What is withheld as a whole.")] = "platform",
    buffer_km: Annotated[
        float, typer.Option(help="Observations nearer than this to a withheld one are not used.")
    ] = 0.0,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Choose the factor on the errors by what is withheld; keep it in RUN.")
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Members at a time; does not change them.")] = 16,
    sampler: SamplerName = None,
    overwrite: Overwrite = False,
) -> None:
    """Constrain a trained prior by observations of any kind: an ensemble of fields that agrees with them."""
    from driftfield.data.observing_operators.withholding import withhold as choose
    from driftfield.data.sources import write_dataset
    from driftfield.reconstruct import load_reconstructor
    from driftfield.reconstruct.assimilation.analysis import Assimilation

    check_output(out, overwrite=overwrite)
    for value, option, least in ((members, "--members", 1), (batch_size, "--batch-size", 1), (seed, "--seed", 0)):
        whole(value, option, least=least)
    register()
    folder = find_run(run)
    if calibrate:
        _check_calibrate(run, method, withhold, members, inflate_error, overwrite=overwrite)
    reconstructor: Any = load_reconstructor(folder)
    if sampler:
        if not hasattr(reconstructor, "sampler"):
            raise ConfigurationError(f"{type(reconstructor).__name__} draws no samples: leave out --sampler.")
        reconstructor.sampler = read_sampler(sampler)
    options = _options(set_ or [])

    def assimilation(inflation: float | None) -> Assimilation:
        return Assimilation(
            reconstructor,
            method,
            options,
            inflation=inflation,
            default_error=read_errors(error) if error else None,
            correlation_km=correlated_km,
            window_days=window_days,
        )

    assimilation(inflate_error)  # refuses what makes no sense before files are read
    observations, condition = _sources(obs, points, read_pairs(variable or [], "--variable", "NAME=NAME IN THE FILES"))
    kept = None if withhold is None else partial(choose, fraction=withhold, by=by, buffer_km=buffer_km, seed=seed)
    period = slice(*read_period(time)) if time else None

    def analyse(inflation: float | None) -> Any:
        return assimilation(inflation).analyse(
            observations,
            condition=condition,
            times=period,
            members=members,
            seed=seed,
            batch_size=batch_size,
            withhold=kept,
        )

    analysis = _calibrated(folder, method, options, analyse) if calibrate else analyse(inflate_error)
    told = {"run": run.name, "observations": obs.name, **({"points": points.name} if points else {})}
    write_dataset(analysis.fields.assign_attrs(told), out, overwrite=overwrite)
    print(analysis.account)
    fields = analysis.fields
    print(
        f"{analysis.guided_by} observations guide {fields.sizes['time']} date(s), "
        f"{fields.attrs['observations_far_from_dates']} are far from them; errors x {fields.attrs['error_inflation']:g}"
    )
    if analysis.withheld:
        print(_table(analysis.withheld))
    print(f"wrote {out}: {', '.join(sorted(map(str, fields.data_vars)))}")


def _sources(obs: Path, points: Path | None, variables: dict[str, str]) -> tuple[Any, Any]:
    """What guides, and the gridded observations beside it."""
    from driftfield.data.observing_operators.reading import read_observations

    if points is not None:
        if not _is_gridded(obs):
            raise DataError(f"{obs} has no grid: with --points it is what the network is shown. Name the table alone.")
        return read_observations([points], variables or None), open_observations(obs, None)
    if _is_gridded(obs):
        return open_observations(obs, None), None
    return read_observations([obs], variables or None), None


def _is_gridded(path: Path) -> bool:
    import xarray as xr

    if path.suffix == ".zarr":
        return True
    if path.suffix not in (".nc", ".nc4", ".cdf"):
        return False
    try:
        with xr.open_dataset(path, decode_times=False) as dataset:
            dims = [{str(dim).lower() for dim in array.dims} for array in dataset.data_vars.values()]
    except (OSError, ValueError):
        return False  # the readers say what is wrong with it
    return any(one & {"lat", "latitude", "y"} and one & {"lon", "longitude", "x"} for one in dims)


def _options(texts: list[str]) -> dict[str, Any]:
    import yaml

    options: dict[str, Any] = {}
    for name, value in read_pairs(texts, "--set", "method.OPTION=VALUE").items():
        room, dot, option = name.partition(".")
        if room != "method" or not dot or not option:
            raise ConfigurationError(f"Cannot read --set {name}={value}: expected method.OPTION=VALUE.")
        try:
            options[option] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"Cannot read --set {name}={value}: expected a number or a word.") from error
    return options


def _check_calibrate(
    run: Path, method: str, withhold: float | None, members: int, inflate_error: float | None, *, overwrite: bool
) -> None:
    from driftfield.checkpoint import read_run

    if str(run).startswith("shipped:"):
        raise ConfigurationError(
            f"{run} belongs to the package: expected a run folder. Copy {find_run(run)} and name it."
        )
    if withhold is None or members < 2:
        raise ConfigurationError(
            "--calibrate needs something to look at: pass --withhold, such as 0.2, and 2 members or more."
        )
    if inflate_error is not None:
        raise ConfigurationError("--calibrate finds what --inflate-error would say: leave one of them out.")
    if method in read_run(run).extra.get("assimilation", {}) and not overwrite:
        raise ExistsError(f"{run} knows the inflation for {method} already. Pass --overwrite to find it again.")


def _calibrated(folder: Path, method: str, options: dict[str, Any], analyse: Any) -> Any:
    """The best analysis; what was found is written into the run."""
    from driftfield.checkpoint import amend_run, read_run
    from driftfield.reconstruct.assimilation.inflation import choose_inflation

    chosen = choose_inflation(analyse)
    known = read_run(folder).extra.get("assimilation", {})
    amend_run(folder, {"assimilation": known | {method: chosen.to_json() | {"options": options}}})
    print(f"{'errors x':>10}{'spread-skill':>14}")
    for one in chosen.to_json()["tried"]:
        mark = "  <-" if one["inflation"] == chosen.inflation else ""
        print(f"{one['inflation']:>10g}{one['spread_skill']:>14.3f}{mark}")
    print(f"wrote the inflation into {folder / 'run.json'}")
    return chosen.analysis


def _table(scores: Any) -> str:
    names = ("bias", "rmse", "crps", "spread", "spread_skill", "coverage_90")
    lines = [f"{'withheld':12}{'count':>8}" + "".join(f"{name:>14}" for name in names)]
    for variable, one in scores.items():
        numbers = "".join(f"{getattr(one, name):>14.4g}" for name in names)
        lines.append(f"{variable:12}{one.count:>8}{numbers}")
    return "\n".join(lines)
