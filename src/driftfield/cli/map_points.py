"""`driftfield map`."""

__all__ = ["map_command"]

import logging
import sys
import time as clock
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, app, check_counts, check_output, read_pairs, read_period
from driftfield.errors import ConfigurationError

if TYPE_CHECKING:
    import xarray as xr

    from driftfield.filling.map_grid import MapGrid
    from driftfield.filling.point_choice import Choice
    from driftfield.gaussian.point_likelihood import Stated
    from driftfield.observations.table import ObservationTable


@app.command("map", rich_help_panel=Job.FILL)
def map_command(
    points: Annotated[list[str], typer.Argument(help="Profiles, tracks, tables: Argo, altimetry, CSV; globs too.")],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr; OUT.png and OUT.tried.csv come beside it.")],
    variable: Annotated[
        list[str] | None, typer.Option(help="OURS=NAME_IN_FILE, e.g. thetao=TEMP (repeat); a table names its own.")
    ] = None,
    box: Annotated[str | None, typer.Option(help="S,N,W,E in degrees: centres of the outer cells.")] = None,
    step: Annotated[float | None, typer.Option(help="Degrees between cells.")] = None,
    every: Annotated[str | None, typer.Option(help="Step of the dates: 1D, 5D, 1M (months, at their middle).")] = None,
    levels: Annotated[str | None, typer.Option(help="Depths in metres, e.g. 5,50,200; else the surface.")] = None,
    time: Annotated[str | None, typer.Option(help="FIRST:LAST dates of the map; else those of the points.")] = None,
    like: Annotated[
        Path | None,
        typer.Option(help="Instead of box and step: the grid of a file, a run or shipped:NAME, with its land."),
    ] = None,
    at: Annotated[
        Path | None,
        typer.Option(
            help="Instead of a grid: a table with time, latitude, longitude (depth); OUT.csv adds the answers."
        ),
    ] = None,
    method: Annotated[str | None, typer.Option(help="Use this one, such as climatology; else the best is.")] = None,
    length_km: Annotated[
        float | None, typer.Option("--length-km", help="Length of the covariance, km, if known.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="Its scale in time, days, if you know it.")] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of what a value does not say of its surroundings, units of the variable."
        ),
    ] = None,
    members: Annotated[int, typer.Option(help="Also write an ensemble of so many fields: <variable>_member.")] = 0,
    no_members: Annotated[bool, typer.Option("--no-members", help="Mean and spread only (the default).")] = False,
    seed: Annotated[int, typer.Option(help="Of what is left out to choose the method, and of the members.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Map profiles, tracks or stations: no recipe, no archive. Tries methods on profiles left out, uses the best.

    Example: driftfield map argo.nc --variable thetao=TEMP --box 42.5,45,-57.5,-55 --step .25 --levels 5,50 --out map.nc
    """
    check_output(out, overwrite=overwrite, suffixes=(".nc", ".zarr") if at is None else (".csv",))
    for beside in (*([out.with_suffix(".png")] if at is None else []), out.with_suffix(".tried.csv")):
        check_output(beside, overwrite=overwrite, suffixes=())
    check_counts({"--seed": seed, "--members": members}, least=0)
    if members and no_members:
        raise ConfigurationError(f"Found --members {members} and --no-members: leave one of them out.")
    from driftfield.filling.points import map_points
    from driftfield.gaussian.point_likelihood import Stated
    from driftfield.gridded.gridded_files import write_dataset
    from driftfield.observations.reading import read_observations

    stated = Stated.checked(length_km, days, noise)
    if at is not None:
        grid_options = {"--box": box, "--step": step, "--every": every, "--time": time, "--like": like}
        _refuse_beside_at(grid_options | {"--members": members or None})
        table = read_observations(points, _wanted(variable or []))
        _answer_at(table, at, levels, stated, method, seed, out, overwrite=overwrite)
        return
    _check_grid(box, step, like, levels)
    table = read_observations(points, _wanted(variable or []))
    grid = _grid(table, box, step, like, levels, every, time)
    result, choices = map_points(
        table, grid, method=method, stated=stated, members=members, seed=seed, progress=_CountedProgress()
    )
    write_dataset(result, out, overwrite=overwrite)
    _say_tried(choices, out, overwrite=overwrite)
    pictures = _draw(result, choices, out, overwrite=overwrite)
    print(f"wrote {out}: {result.sizes['time']} dates; {', '.join(pictures)}; {out.with_suffix('.tried.csv')}")
    named = "".join(f" --variable {text}" for text in variable or [])
    print("By hand:")
    print(f"  driftfield gather {' '.join(points)}{named} --like {out} --out seen.nc")
    print("  driftfield fill seen.nc --out filled.nc")


def _refuse_beside_at(options: "Mapping[str, object]") -> None:
    """No option is ignored: a table of places needs no grid, and its answers are a mean and a spread each."""
    if beside := [name for name, value in options.items() if value is not None]:
        raise ConfigurationError(
            f"Found --at and {', '.join(beside)}: the rows of the table say where and when, and each is given a mean and a "
            "spread. Leave out --at, or the others."
        )


def _answer_at(
    table: "ObservationTable",
    at: Path,
    levels: str | None,
    stated: "Stated",
    method: str | None,
    seed: int,
    out: Path,
    *,
    overwrite: bool,
) -> None:
    """The table of places with what is mapped there."""
    from driftfield.files import write_text
    from driftfield.filling.point_targets import map_at

    depths = _numbers(levels, "--levels", "metres, such as 5,50,200") if levels else None
    rows, choices = map_at(
        table, at, levels=depths, method=method, stated=stated, seed=seed, progress=_CountedProgress()
    )
    write_text(out, rows.to_csv(index=False, float_format="%.7g"), overwrite=overwrite)
    _say_tried(choices, out, overwrite=overwrite)
    print(f"wrote {out}: {len(rows)} rows; {out.with_suffix('.tried.csv')}")


def _say_tried(choices: "dict[str, Choice]", out: Path, *, overwrite: bool) -> None:
    """Prints what was tried, and writes it beside the output."""
    from driftfield.files import write_text
    from driftfield.filling.point_choice import table_of

    rows = ["variable,method,chosen,rmse,crps,coverage_90,spread_factor,rmse_fitted,constants"]
    for name, choice in choices.items():
        units = str(choice.values.attrs.get("units", ""))
        print(f"{name}: {choice.name}\n{table_of(choice, units)}")
        rows += [
            f'{name},"{t.name}",{int(t.name == choice.name)},{t.rmse:.6g},{t.crps:.6g},{t.coverage:.4f},{t.factor:.4f},'
            f'{t.fitted_rmse:.6g},"{t.constants}"'
            for t in choice.tried
        ]
    write_text(out.with_suffix(".tried.csv"), "\n".join(rows) + "\n", overwrite=overwrite)


def _wanted(texts: list[str]) -> dict[str, str] | None:
    """TEMP alone is temp=TEMP."""
    named = [text if "=" in text else f"{text.lower()}={text}" for text in texts]
    return read_pairs(named, "--variable", "OURS=NAME_IN_FILE, such as thetao=TEMP") or None


def _check_grid(box: str | None, step: float | None, like: Path | None, levels: str | None) -> None:
    if like is not None and (box is not None or step is not None or levels is not None):
        raise ConfigurationError(
            "Found --like and one of --box, --step, --levels: the grid has its own. Leave one out."
        )
    if like is None and (box is None or step is None):
        raise ConfigurationError(
            "The map needs a grid: expected --box S,N,W,E and --step DEGREES, or --like FILE (or --at TABLE in place of one)."
        )


def _grid(
    table: "ObservationTable",
    box: str | None,
    step: float | None,
    like: Path | None,
    levels: str | None,
    every: str | None,
    time: str | None,
) -> "MapGrid":
    from driftfield.filling.map_grid import MapGrid

    period = read_period(time) if time else [None, None]
    if like is None:
        south, north, west, east = _numbers(box or "", "--box", "S,N,W,E, such as 42.5,45,-57.5,-55", count=4)
        depths = tuple(_numbers(levels, "--levels", "metres, such as 5,50,200")) if levels else None
        return MapGrid((south, north, west, east), step, every, depths, (period[0], period[1]))
    from driftfield.observations.readers.grid_like import read_target
    from driftfield.runs import find_run

    names = list(dict.fromkeys(str(v) for v in table.variable))
    target, _ = read_target(find_run(like), names[:1], table.to_dataset(), period, every)
    own = target.levels[names[0]]
    depths = None if own == (None,) else tuple(float(z) for z in own if z is not None)
    domain = target.domains[names[0]]
    dates = target.times.values
    return MapGrid(levels=depths, lat=target.lat, lon=target.lon, dates=dates, domain=domain)


def _numbers(text: str, option: str, form: str, *, count: int | None = None) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigurationError(f"Cannot read {option} {text!r}: expected {form}.") from error
    if count is not None and len(numbers) != count:
        raise ConfigurationError(f"Found {len(numbers)} numbers in {option} {text!r}: expected {form}.")
    if option == "--levels" and (min(numbers) < 0 or len(set(numbers)) < len(numbers)):
        raise ConfigurationError(f"Found {option} {text!r}: expected different depths of 0 m or more.")
    return numbers


def _draw(result: "xr.Dataset", choices: "dict[str, Choice]", out: Path, *, overwrite: bool) -> list[str]:
    """A picture per variable; the first has the plain name."""
    from driftfield.files import replacing
    from driftfield.filling.point_picture import picture_of

    paths = []
    for number, (name, choice) in enumerate(choices.items()):
        path = out.with_suffix(f".{name}.png" if number else ".png")
        with replacing(path, overwrite=overwrite) as temporary:
            picture_of(result, choice, name).savefig(temporary, dpi=130)
        paths.append(str(path))
    return paths


class _CountedProgress:
    """Says what is being done and how long it may still take, every few seconds."""

    def __init__(self) -> None:
        self.log = logging.getLogger(__name__)
        self.what, self.began, self.said = "", 0.0, 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        now = clock.monotonic()
        if what != self.what or done == 0:
            self.what, self.began, self.said = what, now, now
        if done < of and now - self.said < 5.0:
            return
        self.said = now
        left = f", about {(now - self.began) * (of - done) / done:.0f} s left" if 0 < done < of else ""
        self.log.info("%s: %d of %d (%.0f s%s)", what, done, of, now - self.began, left)
        sys.stderr.flush()
