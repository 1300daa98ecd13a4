"""`driftfield assimilate`."""

__all__ = ["assimilate"]

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from driftfield.cli.shared import (
    DropOutside,
    Overwrite,
    QualityLevel,
    RejectFlags,
    SamplerName,
    app,
    check_output,
    open_observations,
    read_acceptance,
    read_errors,
    read_pairs,
    read_period,
    use_sampler,
    whole,
)
from driftfield.errors import ConfigurationError, DataError, ExistsError, UserError


@app.command()
def assimilate(
    run: Annotated[
        Path, typer.Argument(help="Run folder of a diffusion model or a prior of trajectories, or shipped:NAME.")
    ],
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
    method: Annotated[str | None, typer.Option(help="Guidance method: mmps, or that of the run, by default.")] = None,
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
    footprint_km: Annotated[
        list[str] | None,
        typer.Option(help="Observations are means over discs of this radius: NUMBER, or VARIABLE=NUMBER (repeat)."),
    ] = None,
    time: Annotated[str | None, typer.Option(help="FIRST:LAST dates to analyse; all by default.")] = None,
    window_days: Annotated[
        float, typer.Option(help="Observations count for dates so many days away; 0: the day itself.")
    ] = 0.0,
    withhold: Annotated[
        float | None, typer.Option(help="Share of the observations to keep back and score, e.g. 0.1.")
    ] = None,
    by: Annotated[Literal["platform", "region"], typer.Option(help="What is withheld as a whole.")] = "platform",
    of: Annotated[
        list[str] | None, typer.Option(help="Variables that may be withheld (repeat); all by default.")
    ] = None,
    buffer_km: Annotated[
        float, typer.Option(help="Observations nearer than this to a withheld one are not used.")
    ] = 0.0,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Choose the factor on the errors by what is withheld; keep it in RUN.")
    ] = False,
    try_: Annotated[
        list[str] | None,
        typer.Option(
            "--try",
            help="method.OPTION=VALUE,VALUE,... for --calibrate to choose from, such as method.sda_scale=0.1,0.3,1.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Members at a time; does not change them.")] = 16,
    sampler: SamplerName = None,
    quality_level: QualityLevel = None,
    reject_flags: RejectFlags = None,
    drop_outside: DropOutside = False,
    overwrite: Overwrite = False,
) -> None:
    """Constrain a trained prior by points, footprints, means over depth, profiles, tracks or cells: an ensemble that agrees."""
    from driftfield.assimilation.analysis import Assimilation
    from driftfield.data.sources import write_dataset
    from driftfield.observations.stated import as_stated
    from driftfield.observations.withholding import withhold as choose
    from driftfield.runs import find_run, load_reconstructor

    check_output(out, overwrite=overwrite)
    for value, option, least in ((members, "--members", 1), (batch_size, "--batch-size", 1), (seed, "--seed", 0)):
        whole(value, option, least=least)
    folder = find_run(run)
    reconstructor: Any = load_reconstructor(folder)
    use_sampler(reconstructor, sampler)
    options, choices = _options(set_ or []), _choices(try_ or [])
    if both := sorted(set(options) & set(choices)):
        raise ConfigurationError(f"Found --set and --try of {both[0]!r}: expected one of them. Leave one out.")

    def assimilation(inflation: float | None, constants: Mapping[str, Any] | None = None) -> Assimilation:
        return Assimilation(
            reconstructor,
            method,
            options | dict(constants or {}),
            inflation=inflation,
            default_error=read_errors(error) if error else None,
            correlation_km=correlated_km,
            window_days=window_days,
            place=partial(as_stated, radius_km=read_errors(footprint_km, "--footprint-km"))
            if footprint_km
            else as_stated,
        )

    # what makes no sense is refused before files are read
    method = assimilation(inflate_error).method
    for name, values in choices.items():
        for value in values:
            assimilation(inflate_error, {name: value})
    if calibrate:
        _check_calibrate(run, method, withhold, members, inflate_error, overwrite=overwrite)
    elif choices:
        raise ConfigurationError("--try says what --calibrate chooses from: add it, or leave it out.")
    gridded = {"acceptance": read_acceptance(quality_level, reject_flags), "drop_outside": drop_outside}
    names = read_pairs(variable or [], "--variable", "NAME=NAME IN THE FILES")
    observations, condition = _sources(obs, points, names, gridded)
    kept = None
    if withhold is not None:
        kept = partial(choose, fraction=withhold, by=by, variables=of, buffer_km=buffer_km, seed=seed)
    elif of or buffer_km:
        raise ConfigurationError("--of and --buffer-km say what --withhold keeps back: add it, or leave them out.")
    period = slice(*read_period(time)) if time else None

    def analyse(inflation: float | None, constants: Mapping[str, Any] | None = None) -> Any:
        return assimilation(inflation, constants).analyse(
            observations,
            condition=condition,
            times=period,
            members=members,
            seed=seed,
            batch_size=batch_size,
            withhold=kept,
        )

    analysis = _calibrated(folder, method, options, choices, analyse) if calibrate else analyse(inflate_error)
    told = {"run": run.name, "observations": obs.name, **({"points": points.name} if points else {})}
    told |= {"footprint_km": " ".join(footprint_km)} if footprint_km else {}
    told |= {"error_of_what_states_none": " ".join(error)} if error else {}
    told |= {"errors_correlated_km": f"{correlated_km:g}"} if correlated_km else {}
    write_dataset(analysis.fields.assign_attrs(told), out, overwrite=overwrite)
    print(analysis.account)
    fields = analysis.fields
    print(
        f"{analysis.guided_by} observations guide {fields.sizes['time']} date(s), "
        f"{fields.attrs['observations_far_from_dates']} are far from them; errors x {fields.attrs['error_inflation']:g}"
    )
    if analysis.withheld:
        held = [fields.attrs[f"observations_{part}"] for part in ("withheld", "in_margin")]
        print(f"{held[0]} are withheld, {held[1]} lie in the margin around them")
        print(_table(analysis.withheld))
        if chosen := fields.attrs.get("chosen_on_withheld"):
            print(f"{chosen} chosen on these very observations: for scores on others, withhold with another --seed")
    print(f"wrote {out}: {', '.join(sorted(map(str, fields.data_vars)))}")


def _sources(obs: Path, points: Path | None, names: dict[str, str], gridded: dict[str, Any]) -> tuple[Any, Any]:
    """What guides, and the gridded observations beside it; `gridded` are options of these alone."""
    from driftfield.gridded.acceptance import USUAL
    from driftfield.observations.reading import read_observations

    if _is_gridded(obs):
        fields = open_observations(obs, None, **gridded)
        return (fields, None) if points is None else (read_observations([points], names or None), fields)
    if points is not None:
        raise DataError(f"{obs} has no grid: with --points it is what the network is shown. Name the table alone.")
    if gridded != {"acceptance": USUAL, "drop_outside": False}:
        raise ConfigurationError(
            f"--quality-level, --reject-flags and --drop-outside are of gridded files, and {obs} is a table or holds points. "
            "Leave them out: `driftfield gather --flags` chooses among points."
        )
    return read_observations([obs], names or None), None


def _is_gridded(path: Path) -> bool:
    from driftfield.gridded.gridded_files import open_raw

    if path.suffix == ".zarr":
        return True
    if path.suffix not in (".nc", ".nc4", ".cdf"):
        return False
    try:
        dims = [{str(dim).lower() for dim in array.dims} for array in open_raw(path).data_vars.values()]
    except UserError:
        return False  # the readers say what is wrong with it
    return any(one & {"lat", "latitude", "y"} and one & {"lon", "longitude", "x"} for one in dims)


def _options(texts: list[str]) -> dict[str, Any]:
    """Of --set: option -> value."""
    pairs = read_pairs(texts, "--set", "method.OPTION=VALUE").items()
    return {
        _option_name(name, f"--set {name}={value}"): _value(value, f"--set {name}={value}") for name, value in pairs
    }


def _choices(texts: list[str]) -> dict[str, list[Any]]:
    """Of --try: option -> values."""
    choices: dict[str, list[Any]] = {}
    for name, values in read_pairs(texts, "--try", "method.OPTION=VALUE,VALUE,...").items():
        said = f"--try {name}={values}"
        choices[_option_name(name, said)] = [_value(value, said) for value in values.split(",")]
    return choices


def _option_name(name: str, said: str) -> str:
    room, dot, option = name.partition(".")
    if room != "method" or not dot or not option:
        raise ConfigurationError(f"Cannot read {said}: expected method.OPTION=VALUE.")
    return option


def _value(text: str, said: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"Cannot read {said}: expected a number or a word.") from error


def _check_calibrate(
    run: Path, method: str, withhold: float | None, members: int, inflate_error: float | None, *, overwrite: bool
) -> None:
    from driftfield.checkpoint import read_run
    from driftfield.runs import find_run

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


def _calibrated(folder: Path, method: str, options: dict[str, Any], choices: dict[str, list[Any]], analyse: Any) -> Any:
    """The best analysis; what was found is written into the run."""
    from driftfield.assimilation.constants import choose_constants
    from driftfield.assimilation.inflation import choose_inflation
    from driftfield.checkpoint import amend_run, read_run

    constants, found = {}, {}
    if choices:
        best = choose_constants(lambda some: analyse(1.0, some), choices)
        constants, found = dict(best.options), {"constants_tried": best.to_json()}
        for tried, crps in best.tried:
            told = " ".join(f"{name}={value}" for name, value in tried.items())
            print(f"{told:>24}  CRPS {crps:.4g}{'  <-' if tried == best.options else ''}")
    chosen = choose_inflation(lambda factor: analyse(factor, constants))
    known = read_run(folder).extra.get("assimilation", {})
    before = known.get(method, {}).get("options", {})
    found |= chosen.to_json() | {"options": before | options | constants}
    amend_run(folder, {"assimilation": known | {method: found}})
    print(f"{'errors x':>10}{'spread-skill':>14}")
    for one in chosen.to_json()["tried"]:
        mark = "  <-" if one["inflation"] == chosen.inflation else ""
        print(f"{one['inflation']:>10g}{one['spread_skill']:>14.3f}{mark}")
    if chosen.remark:
        print(chosen.remark)
    print(f"wrote {', '.join(['the inflation', *constants])} into {folder / 'run.json'}")
    fields = chosen.analysis.fields.assign_attrs(chosen_on_withheld=", ".join(["the inflation", *constants]))
    return replace(chosen.analysis, fields=fields)


def _table(scores: Any) -> str:
    names = ("bias", "rmse", "crps", "spread", "spread_skill", "coverage_90")
    lines = [f"{'withheld':12}{'count':>8}" + "".join(f"{name:>14}" for name in names)]
    for variable, one in scores.items():
        numbers = "".join(f"{getattr(one, name):>14.4g}" for name in names)
        lines.append(f"{variable:12}{one.count:>8}{numbers}")
    return "\n".join(lines)
