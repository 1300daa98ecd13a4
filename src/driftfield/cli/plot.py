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
    out: Annotated[Path, typer.Option("--out", help="PNG to write.")],
    variable: Annotated[str | None, typer.Option(help="The first of the file by default.")] = None,
    show: Annotated[
        str, typer.Option(help="Parts of the picture, those that the file has.")
    ] = "mean,spread,members,section,profile",
    time: Annotated[
        str | None, typer.Option(help="Beginning of a date, such as 2015-06; the first by default.")
    ] = None,
    depth: Annotated[float | None, typer.Option(help="Metres, the nearest level; the first by default.")] = None,
    lat: Annotated[
        float | None, typer.Option(help="Of section and profile; where the spread is widest by default.")
    ] = None,
    lon: Annotated[float | None, typer.Option(help="Of the profile; where the spread is widest by default.")] = None,
    members: Annotated[int, typer.Option(help="Members to draw, at most.")] = 4,
    overwrite: Overwrite = False,
) -> None:
    """Draw a file: mean, spread, members, a section and a profile; no truth is needed."""
    from driftfield.conventions import require, state_variables
    from driftfield.evaluate.field_plots import FieldPlot, draw_fields
    from driftfield.files import replacing
    from driftfield.gridded.gridded_files import open_fields

    if out.suffix.lower() != ".png":
        raise ConfigurationError(f"Cannot write {out}: expected a name that ends in .png. Rename the output.")
    check_output(out, overwrite=overwrite, suffixes=())
    fields = open_fields(file)
    names = state_variables(fields)
    name = variable or names[0]
    require(fields, [name], str(file))
    check_counts({"--members": members})
    parts = [part.strip() for part in show.split(",")]
    look = FieldPlot.at(fields, parts, time=time, depth=depth, lat=lat, lon=lon, members=members)
    figure = draw_fields(fields, name, look)
    with replacing(out, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format="png", dpi=110, facecolor="white")
    others = f"; also there: {', '.join(n for n in names if n != name)} (--variable)" if len(names) > 1 else ""
    print(f"wrote {out}: {name}{others}")
