"""Opening, drawing and writing fields: `open`, `save`, `plot`, `animate`, `observe`, `coarsen`."""

__all__ = ["animate", "coarsen", "observe", "open", "plot", "save"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from driftfield.conventions import require, state_variables
from driftfield.data.twin import observe as observe
from driftfield.errors import ConfigurationError
from driftfield.face.argument import Fields, as_fields
from driftfield.gridded.gridded_files import open_fields, write_dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def open(path: str | Path | Sequence[str | Path], variables: Sequence[str] | None = None) -> xr.Dataset:
    """Opens gridded fields lazily: axes named time, depth, lat, lon, in degrees, metres and our units, NaN where missing.

    Example:
        >>> seen = df.open("sst_2020.nc")  # doctest: +SKIP

    Arguments:
        path: A NetCDF or GRIB file, a Zarr store, a glob or a list of them.
        variables: Names in the file; all gridded ones by default.

    Raises:
        DataError: no such file, or axes and units that cannot be understood.
        FileFormatError: a file that cannot be read.
    """
    return open_fields(path, variables=variables)


def save(dataset: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes a data set as .nc or .zarr under a temporary name, then renames it.

    Example:
        >>> df.save(fields, "fields.nc")  # doctest: +SKIP

    Raises:
        ExistsError: the file is there and `overwrite` is false.
    """
    write_dataset(dataset, path, overwrite=overwrite)


def plot(
    fields: Fields,
    variable: str | None = None,
    *,
    parts: Sequence[str] | None = None,
    time: str | None = None,
    depth: float | None = None,
    lat: float | None = None,
    lon: float | None = None,
    along: str = "lon",
    minus: Fields | None = None,
    members: int = 4,
) -> "Figure":
    """Draws a reconstruction, samples, a forecast, observations or complete fields.

    Example:
        >>> df.plot(fields, "thetao", depth=100).savefig("thetao.png")  # doctest: +SKIP

    Arguments:
        fields: A data set, or the name of a file.
        variable: Which one; the first by default.
        parts: Some of "mean", "spread", "difference", "members", "quantiles", "section", "profile" and "series"; all that the
            fields have by default.
        time: Beginning of a date; the first one by default.
        depth: Metres, the nearest level; the first one by default.
        lat, lon: Degrees, of section, profile and series; where the spread is widest by default.
        along: "lon" for a section along a row, "lat" for one along a column.
        minus: A second data set or file with the variable at the same dates and cells: the difference is drawn, too.
        members: Panels of members, at most.

    Returns:
        A figure of matplotlib.

    Raises:
        ConfigurationError: a part, a date or a place that the fields do not have.
        DataError: no such variable, or one that is missing everywhere at this date.
    """
    from driftfield.evaluate.field_plots import FieldPlot, draw_fields

    dataset = as_fields(fields)
    name = variable or state_variables(dataset)[0]
    require(dataset, [name], "the fields")
    other = None if minus is None else as_fields(minus)
    if other is not None:
        require(other, [name], "the second data set")
    called = Path(minus).name if isinstance(minus, str | Path) else "the second one"
    look = FieldPlot.at(dataset, parts, time=time, depth=depth, lat=lat, lon=lon, members=members, along=along)
    return draw_fields(dataset, name, look, minus=other, minus_name=called)


def animate(
    fields: Fields,
    path: str | Path,
    variable: str | None = None,
    *,
    layout: Sequence[str] | None = None,
    truth: Fields | None = None,
    observations: Fields | None = None,
    depth: float | None = None,
    frames_per_second: float = 6.0,
    overwrite: bool = False,
) -> list[str]:
    """Makes a film of a data set: one frame a date, one scale of colours for all panels and dates.

    Example:
        >>> df.animate(fields, "film.gif", layout=["truth", "mean", "spread"], truth="truth.nc")  # doctest: +SKIP

    Arguments:
        fields: A reconstruction, a forecast or an archive, with several dates.
        path: Film to write: .gif, or .mp4 (needs driftfield[film]).
        variable: Which one; the first by default.
        layout: Panels: "truth", "observed", "mean", "spread", "member:0"; by default those that there is something for.
        truth: Complete fields, for the panel truth.
        observations: For the panel observed.
        depth: Metres, the nearest level; the first one by default.
        frames_per_second: Of the film.
        overwrite: Whether a film that is there may be replaced.

    Returns:
        What stands on each frame: its date.

    Raises:
        ConfigurationError: a panel that there is nothing for, or another suffix.
        DataError: no such variable, no dates, or other places.
        ExistsError: the film is there and `overwrite` is false.
    """
    from driftfield.evaluate.film import write_film
    from driftfield.evaluate.film_of_files import film_of
    from driftfield.files import refuse_existing

    refuse_existing(Path(path), overwrite=overwrite)
    dataset = as_fields(fields)
    film = film_of(
        dataset,
        variable or state_variables(dataset)[0],
        layout=layout,
        truth=None if truth is None else as_fields(truth),
        observations=None if observations is None else as_fields(observations),
        depth=depth,
    )
    write_film(film, Path(path), frames_per_second=frames_per_second, overwrite=overwrite)
    return list(film.stamps)


def coarsen(
    fields: Fields,
    *,
    factor: float | tuple[float, float] | None = None,
    like: Fields | None = None,
    least: float = 0.5,
    by: str = "mean",
) -> xr.Dataset:
    """Area-weighted means of fine fields over blocks of cells, or over the cells of another grid; waves or points of a torus.

    Example:
        >>> coarse = df.coarsen("fine.nc", factor=4)  # doctest: +SKIP

    Arguments:
        fields: On any grid.
        factor: Cells per block, in each direction or in rows and columns; need be no whole number.
        like: Gives the coarse grid; one of the two.
        least: Least known share of a coarse cell; below it the cell is missing.
        by: "mean", or on a torus with a whole factor "truncation" (the waves that the coarse grid holds) or "points".

    Raises:
        ConfigurationError: both or none of `factor` and `like`.
        DataError: grids that do not overlap; a grid that is no torus, where waves or points are asked for.
    """
    from driftfield.data.coarsening import coarsened, regridding_by_factor, regridding_onto
    from driftfield.data.torus_coarsening import coarsened_torus

    if (factor is None) == (like is None):
        raise ConfigurationError("Found both or none of factor and like: expected one of them, such as factor=4.")
    fine = as_fields(fields)
    if by != "mean":
        if factor is None or least != 0.5:
            raise ConfigurationError(f"Found by={by!r}: it needs factor, and takes neither like nor least.")
        return coarsened_torus(fine, factor, by)
    target = None if like is None else as_fields(like)
    regridding = regridding_onto(fine, target) if target is not None else regridding_by_factor(fine, factor or 1)
    return coarsened(fine, regridding, like=target, least=least)
