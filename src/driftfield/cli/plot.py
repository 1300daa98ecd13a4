"""`driftfield plot`."""

__all__ = ["plot"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftfield.cli.shared import Overwrite, app, check_output, whole
from driftfield.errors import ConfigurationError

if TYPE_CHECKING:
    import xarray as xr


@app.command()
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
    from driftfield.data.sources import open_fields
    from driftfield.evaluate.field_plots import FieldPlot, draw_fields
    from driftfield.files import replacing

    if out.suffix.lower() != ".png":
        raise ConfigurationError(f"Cannot write {out}: expected a name that ends in .png. Rename the output.")
    check_output(out, overwrite=overwrite, suffixes=())
    fields = open_fields(file)
    names = state_variables(fields)
    name = variable or names[0]
    require(fields, [name], str(file))
    look = FieldPlot(
        parts=[part.strip() for part in show.split(",")],
        time=_date(fields, time),
        depth=0 if depth is None else _nearest(fields, "depth", depth),
        row=None if lat is None else _nearest(fields, "lat", lat),
        column=None if lon is None else _nearest(fields, "lon", lon),
        members=whole(members, "--members", least=1),
    )
    figure = draw_fields(fields, name, look)
    with replacing(out, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format="png", dpi=110, facecolor="white")
    others = f"; also there: {', '.join(n for n in names if n != name)} (--variable)" if len(names) > 1 else ""
    print(f"wrote {out}: {name}{others}")


def _date(fields: "xr.Dataset", text: str | None) -> int:
    """The first date that begins so."""
    from driftfield.gridded.encodings import date_text

    if text is None:
        return 0
    dates = [date_text(date) for date in fields["time"].values] if "time" in fields.dims else []
    found = [index for index, date in enumerate(dates) if date.startswith(text)]
    if not found:
        holds = f"{dates[0]} ... {dates[-1]}" if dates else "no dates"
        raise ConfigurationError(f"No date in the file begins with {text!r}: it holds {holds}.")
    return found[0]


def _nearest(fields: "xr.Dataset", axis: str, value: float) -> int:
    """The place on an axis that is nearest, if the axis reaches there."""
    import numpy as np

    if axis not in fields.dims:
        raise ConfigurationError(f"The file has no {axis}: leave out --{axis}.")
    values = np.asarray(fields[axis].values, dtype=float)
    away = np.abs(values - value)
    if axis == "lon":
        away = np.abs((values - value + 180.0) % 360.0 - 180.0)
    step = float(np.abs(np.diff(values)).max()) if values.size > 1 else float("inf")
    if away.min() > step:
        raise ConfigurationError(
            f"Found --{axis} {value:g}: expected {values.min():g} to {values.max():g}, which the file holds."
        )
    return int(away.argmin())
