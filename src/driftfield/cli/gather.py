"""`driftfield gather`."""

__all__ = ["gather"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, app, check_output, read_errors, read_pairs, read_period
from driftfield.errors import ConfigurationError, DataError, suggest

if TYPE_CHECKING:
    import xarray as xr


@app.command(rich_help_panel=Job.GET)
def gather(
    files: Annotated[list[str], typer.Argument(help="Profiles and tracks: Argo, ERDDAP, WOD, altimetry; globs too.")],
    variable: Annotated[list[str], typer.Option(help="OURS=NAME_IN_FILE, e.g. thetao=TEMP (repeat).")],
    out: Annotated[Path | None, typer.Option(help="Observation file on the grid of --like: .nc or .zarr")] = None,
    like: Annotated[Path | None, typer.Option(help="Grid to bin to: a gridded file or a run.")] = None,
    table: Annotated[Path | None, typer.Option(help="Also (or only) the points themselves: .nc or .zarr")] = None,
    times: Annotated[str | None, typer.Option(help="FIRST:LAST dates to bin to, and of the points.")] = None,
    every: Annotated[
        str | None, typer.Option(help="Step of these dates, e.g. 5D, 1D, 1MS; else those of --like.")
    ] = None,
    error: Annotated[
        list[str] | None,
        typer.Option(
            help="What a point does not know of its cell, units of the variable: NUMBER, or VARIABLE=NUMBER (repeat)."
        ),
    ] = None,
    flags: Annotated[str, typer.Option(help="Quality flags to accept, or all.")] = "1,2",
    modes: Annotated[str, typer.Option(help="Argo modes to accept.")] = "D,A,R",
    raw: Annotated[bool, typer.Option("--raw", help="Raw values also where there are adjusted ones.")] = False,
    ranges: Annotated[bool, typer.Option(help="Drop values outside the global and depth ranges.")] = True,
    spikes: Annotated[bool, typer.Option("--spikes", help="Drop spikes.")] = False,
    outliers: Annotated[
        bool,
        typer.Option(
            "--outliers",
            help="Drop values far from their neighbours, or from the climatology where they have none; else counted.",
        ),
    ] = False,
    interpolated: Annotated[
        bool, typer.Option("--interpolated", help="Keep profiles whose position is interpolated (position flag 8).")
    ] = False,
    max_gap: Annotated[
        float | None, typer.Option(help="Widest gap in a profile to interpolate across, m; 50 by default.")
    ] = None,
    surface: Annotated[
        float | None, typer.Option(help="A profile counts at the surface down to this depth, m; 10 by default.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Collect profiles and tracks into an observation file that `reconstruct` takes; say what was dropped, and why.

    Example: driftfield gather argo_*.nc --variable thetao=TEMP --like shipped:ocean_oi --every 5D --out seen.nc
    """
    from driftfield.gridded.gridded_files import write_dataset
    from driftfield.observations.readers import Quality, counts, read_points

    _check(out, like, table, overwrite=overwrite)
    wanted = read_pairs(variable, "--variable", "OURS=NAME_IN_FILE, such as thetao=TEMP")
    for value, option in ((max_gap, "--max-gap"), (surface, "--surface")):
        if value is not None and not 0 <= value < float("inf"):
            raise ConfigurationError(f"Found {option} {value:g}: expected metres, 0 or more.")
    _check_grid_options(out, {"--every": every, "--max-gap": max_gap, "--surface": surface})
    errors = read_errors(error or [])
    if isinstance(errors, dict) and (unknown := sorted(set(errors) - set(wanted))):
        raise ConfigurationError(f"--error names {unknown[0]!r}, which is not gathered: {suggest(unknown[0], wanted)}")
    quality = Quality(
        flags=_read_flags(flags),
        modes=tuple(part.strip().upper() for part in modes.split(",")),
        adjusted=not raw,
        ranges=ranges,
        spikes=spikes,
        outliers=outliers,
        interpolated=interpolated,
    )
    points = read_points(files, wanted, quality)
    for name, count in counts(points).items():
        print(f"{name}: {count}")
    if times is not None:
        points = _within(points, times)
    if points.sizes["observation"] == 0:
        raise DataError("Nothing is left of these files. Accept more with --flags, --modes or --times, or name others.")
    if out is not None and like is not None:
        options = {"max_gap": 50.0 if max_gap is None else max_gap, "surface": 10.0 if surface is None else surface}
        gridded = _grid(points, list(wanted), like, times, every, errors, **options)
        write_dataset(gridded, out, overwrite=overwrite)
        print(f"wrote {out}: {gridded.sizes['time']} dates")
    if table is not None:
        write_dataset(_with_errors(points, list(wanted), errors), table, overwrite=overwrite)
        print(f"wrote {table}: {points.sizes['observation']} points of {int(points['profile'].max()) + 1} profiles")


def _grid(
    points: "xr.Dataset",
    names: list[str],
    like: Path,
    times: str | None,
    every: str | None,
    errors: float | dict[str, float],
    **options: float,
) -> "xr.Dataset":
    """The observation file; says how many values found a cell."""
    from driftfield.observations.readers.grid_like import only_seen, read_target, with_unseen
    from driftfield.observations.readers.potential import is_potential, to_potential
    from driftfield.observations.readers.superobs import bin_to_grid
    from driftfield.runs import find_run

    period = read_period(times) if times else [None, None]
    target, others = read_target(find_run(like), names, points, period, every)
    for name in names:
        if is_potential(name, target.attrs.get(name, {}).get("standard_name", "")):
            points = to_potential(points, name)
    binned = bin_to_grid(points, target, representativeness=errors, **options)
    if not any(binned.used.values()):
        said = "; ".join(f"{name}: {binned.account(name)}" for name in names)
        raise DataError(
            f"No value falls on the grid and the dates of {like}: {said}. Name another grid, or add --every."
        )
    for name in names:
        print(f"{name} on the grid: {binned.account(name)}")
    dataset = only_seen(binned.dataset, names) if times is None and every is None else binned.dataset
    return with_unseen(dataset, others)


def _within(points: "xr.Dataset", times: str) -> "xr.Dataset":
    """The points of a period, both ends included; says how many are left out."""
    import numpy as np
    import pandas as pd

    first, last = read_period(times)
    try:
        stamps = pd.DatetimeIndex(points["time"].values)
        begin = stamps.min() if first is None else pd.Period(first).start_time
        end = stamps.max() if last is None else pd.Period(last).end_time
    except ValueError as error:
        raise ConfigurationError(f"Cannot read --times {times!r}: {error}. Say 2015-01:2016-06.") from error
    inside = np.asarray((stamps >= begin) & (stamps <= end))
    if not inside.all():
        print(f"{int((~inside).sum())} points are outside --times {times}")
    return points.isel(observation=np.flatnonzero(inside))


def _with_errors(points: "xr.Dataset", names: list[str], errors: float | dict[str, float]) -> "xr.Dataset":
    """The points with what they do not know of their surroundings in their errors: instrument and this, as variances."""
    import numpy as np

    points = points.copy()
    for name in names:
        more = errors.get(name, 0.0) if isinstance(errors, dict) else errors
        if more > 0 and name in points:
            stated = points[f"{name}_error"]
            total = np.sqrt(np.nan_to_num(stated.values) ** 2 + more**2)
            points[f"{name}_error"] = stated.copy(data=np.where(np.isfinite(points[name].values), total, np.nan))
    return points


def _check_grid_options(out: Path | None, options: "dict[str, str | float | None]") -> None:
    """Refuses what says how to bin where nothing is binned."""
    if out is None and (named := [option for option, value in options.items() if value is not None]):
        raise ConfigurationError(
            f"Found {named[0]} without --out: it says how points are brought to a grid, and --table holds the points "
            "themselves. Leave it out, or add --out and --like."
        )


def _check(out: Path | None, like: Path | None, table: Path | None, *, overwrite: bool) -> None:
    if out is None and table is None:
        raise ConfigurationError("Nothing to write: expected --out FILE with --like GRID, or --table FILE. Name one.")
    if (out is None) != (like is None):
        raise ConfigurationError("Found one of --out and --like: a gridded file needs both. Add the other one.")
    for path in (p for p in (out, table) if p is not None):
        check_output(path, overwrite=overwrite)
    if out is not None and out == table:
        raise ConfigurationError(f"--out and --table both name {out}: expected two files. Rename one.")


def _read_flags(text: str) -> tuple[int, ...] | None:
    if text.strip().lower() == "all":
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigurationError(f"Cannot read --flags {text!r}: expected numbers such as 1,2, or all.") from error
