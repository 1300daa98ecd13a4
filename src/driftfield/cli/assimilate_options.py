"""What a user can type after `driftfield assimilate`, and what it is read as."""

__all__ = [
    "BatchSize",
    "BufferKm",
    "By",
    "Calibrate",
    "Coarse",
    "CorrelatedKm",
    "Errors",
    "FootprintKm",
    "Function",
    "InflateError",
    "Members",
    "Method",
    "Obs",
    "Of",
    "Out",
    "Points",
    "Run",
    "Seed",
    "Set",
    "Time",
    "Try",
    "Variable",
    "WindowDays",
    "Withhold",
    "read_choices",
    "read_functions",
    "read_options",
    "read_sizes",
]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from driftfield.cli.options import Members, Out
from driftfield.cli.shared import read_errors, read_pairs
from driftfield.errors import ConfigurationError

if TYPE_CHECKING:
    from driftfield.observations.derived import Derived

Run = Annotated[
    Path,
    typer.Argument(help="Run folder of a diffusion model or a prior of trajectories, or shipped:NAME, or hub:REPO."),
]
Obs = Annotated[
    Path | None,
    typer.Argument(
        help="A table of observations, files of profiles or tracks, or a gridded file; may be left out with --coarse."
    ),
]
Points = Annotated[
    Path | None, typer.Option(help="A table that guides; OBS is then gridded, and what the network is shown.")
]
Coarse = Annotated[
    Path | None,
    typer.Option(
        help="A gridded file of larger cells that guides: a value is the mean of the run's cells inside. A gridded OBS is then "
        "what the network is shown."
    ),
]
Function = Annotated[
    list[str] | None,
    typer.Option(
        help="Rows that are functions of variables (repeat): speed=u,v, or under another name, wspd=speed:u10,v10."
    ),
]
Variable = Annotated[
    list[str] | None,
    typer.Option(help="NAME=NAME IN THE FILES (repeat), such as thetao=TEMP, for profiles and tracks."),
]
Seed = Annotated[int, typer.Option(help="Of the members, and of what is withheld.")]
Method = Annotated[str | None, typer.Option(help="Guidance method: mmps, or that of the run, by default.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="method.OPTION=VALUE, such as method.iterations=5.")]
Errors = Annotated[
    list[str] | None,
    typer.Option(help="Error of what states none, units of the variable: NUMBER, or VARIABLE=NUMBER (repeat)."),
]
InflateError = Annotated[
    float | None, typer.Option(help="Factor on all observation errors; that of --calibrate, or 1, by default.")
]
CorrelatedKm = Annotated[
    float | None, typer.Option(help="Errors along one track or profile hang together over so many km.")
]
FootprintKm = Annotated[
    list[str] | None,
    typer.Option(help="Observations are means over discs of this radius, km: NUMBER, or VARIABLE=NUMBER (repeat)."),
]
Time = Annotated[str | None, typer.Option(help="FIRST:LAST dates to analyse; all by default.")]
WindowDays = Annotated[float, typer.Option(help="Observations count for dates so many days away; 0: the day itself.")]
Withhold = Annotated[float | None, typer.Option(help="Share of the observations to keep back and score, e.g. 0.1.")]
By = Annotated[Literal["platform", "region"], typer.Option(help="What is withheld as a whole.")]
Of = Annotated[list[str] | None, typer.Option(help="Variables that may be withheld (repeat); all by default.")]
BufferKm = Annotated[float, typer.Option(help="Observations nearer than so many km to a withheld one are not used.")]
Calibrate = Annotated[
    bool,
    typer.Option("--calibrate", help="Choose the factor on the errors by what is withheld; keep it in RUN."),
]
Try = Annotated[
    list[str] | None,
    typer.Option(
        "--try",
        help="method.OPTION=VALUE,VALUE,... for --calibrate to choose from, such as method.sda_scale=0.1,0.3,1.",
    ),
]
BatchSize = Annotated[int, typer.Option(help="Members at a time; does not change them.")]


def read_options(texts: list[str]) -> dict[str, Any]:
    """Of --set: option -> value."""
    pairs = read_pairs(texts, "--set", "method.OPTION=VALUE").items()
    return {
        _option_name(name, f"--set {name}={value}"): _value(value, f"--set {name}={value}") for name, value in pairs
    }


def read_choices(texts: list[str]) -> dict[str, list[Any]]:
    """Of --try: option -> values."""
    choices: dict[str, list[Any]] = {}
    for name, values in read_pairs(texts, "--try", "method.OPTION=VALUE,VALUE,...").items():
        typed = f"--try {name}={values}"
        choices[_option_name(name, typed)] = [_value(value, typed) for value in values.split(",")]
    return choices


def read_functions(texts: list[str]) -> "dict[str, Derived]":
    """Of --function: the name of the rows -> the function of variables."""
    from driftfield.observations.derived import Derived

    functions = {}
    for name, text in read_pairs(texts, "--function", "NAME=FUNCTION:VARIABLE,VARIABLE, or speed=u,v").items():
        function, colon, arguments = text.partition(":")
        if not colon:
            function, arguments = name, text
        functions[name] = Derived.named(function, [part.strip() for part in arguments.split(",") if part.strip()])
    return functions


def read_sizes(texts: list[str] | None, option: str) -> float | dict[str, float] | None:
    """NUMBER, or VARIABLE=NUMBER (repeat); None for nothing."""
    return read_errors(texts, option) if texts else None


def _option_name(name: str, typed: str) -> str:
    room, dot, option = name.partition(".")
    if room != "method" or not dot or not option:
        raise ConfigurationError(f"Cannot read {typed}: expected method.OPTION=VALUE.")
    return option


def _value(text: str, typed: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"Cannot read {typed}: expected a number or a word.") from error
