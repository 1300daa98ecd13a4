"""`driftfield plot`."""

__all__ = ["plot"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, app, check_counts, check_output
from driftfield.errors import ConfigurationError


@app.command(rich_help_panel=Job.LOOK)
def plot(
    file: Annotated[
        Path, typer.Argument(help="A reconstruction, samples, a forecast, observations or complete fields.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Picture to write: .png or .pdf.")],
    variable: Annotated[str | None, typer.Option(help="The first of the file by default.")] = None,
    show: Annotated[
        str | None,
        typer.Option(
            help="Parts of the picture, by commas: mean, spread, difference, members, quantiles, section, profile, series; "
            "those that the file has by default."
        ),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Beginning of a date, such as 2015-06; the first by default.")
    ] = None,
    depth: Annotated[float | None, typer.Option(help="Metres, the nearest level; the first by default.")] = None,
    lat: Annotated[
        float | None,
        typer.Option(help="Degrees north, of section, profile and series; where the spread is widest by default."),
    ] = None,
    lon: Annotated[
        float | None, typer.Option(help="Degrees east, of profile and series; where the spread is widest by default.")
    ] = None,
    along: Annotated[str, typer.Option(help="Section along a row (lon) or along a column (lat).")] = "lon",
    minus: Annotated[
        Path | None,
        typer.Option(help="A second file with the variable at the same dates and cells: the difference, too."),
    ] = None,
    members: Annotated[int, typer.Option(help="Members to draw, at most.")] = 4,
    overwrite: Overwrite = False,
) -> None:
    """Draw a file: mean, spread, members, quantiles, sections, profiles and time series; no truth is needed.

    Example: driftfield plot fields.nc --out fields.png --variable thetao --time 2015-06 --depth 100
    """
    from driftfield.conventions import require, state_variables
    from driftfield.evaluate.field_plots import FieldPlot, draw_fields
    from driftfield.files import replacing
    from driftfield.gridded.gridded_files import open_fields

    suffix = out.suffix.lower().removeprefix(".")
    if suffix not in ("png", "pdf"):
        raise ConfigurationError(f"Cannot write {out}: expected a name that ends in .png or .pdf. Rename the output.")
    check_output(out, overwrite=overwrite, suffixes=())
    fields = open_fields(file)
    other = None if minus is None else open_fields(minus)
    names = state_variables(fields)
    name = variable or names[0]
    require(fields, [name], str(file))
    if other is not None:
        require(other, [name], str(minus))
    check_counts({"--members": members})
    parts = None if show is None else [part.strip() for part in show.split(",")]
    look = FieldPlot.at(fields, parts, time=time, depth=depth, lat=lat, lon=lon, members=members, along=along)
    figure = draw_fields(fields, name, look, minus=other, minus_name="" if minus is None else minus.name)
    with replacing(out, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=suffix, dpi=110, facecolor="white")
    others = f"; also there: {', '.join(n for n in names if n != name)} (--variable)" if len(names) > 1 else ""
    print(f"wrote {out}: {name}{others}")
