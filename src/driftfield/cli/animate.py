"""`driftfield animate`."""

__all__ = ["animate"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, Region, app, check_output, read_period, read_region


@app.command(rich_help_panel=Job.LOOK)
def animate(
    fields: Annotated[Path, typer.Argument(help="A reconstruction, a forecast, an archive: with several dates.")],
    out: Annotated[Path, typer.Option("--out", help="Film to write: .gif, or .mp4 (needs driftfield[film]).")],
    layout: Annotated[
        str | None,
        typer.Option(help="Panels: truth,observed,mean,spread,member:0; by default those that there is something for."),
    ] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="Complete fields, for the panel truth.")] = None,
    observations: Annotated[
        Path | None, typer.Option("--observations", help="Observation file, for the panel observed.")
    ] = None,
    variable: Annotated[str | None, typer.Option(help="The first of the file by default.")] = None,
    depth: Annotated[float | None, typer.Option(help="Metres, the nearest level; the first by default.")] = None,
    region: Region = None,
    time: Annotated[str | None, typer.Option(help="FIRST:LAST dates, both included; all by default.")] = None,
    frames_per_second: Annotated[float, typer.Option("--fps", help="Frames per second.")] = 6.0,
    overwrite: Overwrite = False,
) -> None:
    """Make a film of a file: one frame a date, one scale of colours for all panels and dates.

    Example: driftfield animate fields.nc --out film.gif --variable thetao --layout mean,spread --depth 100
    """
    import xarray as xr

    from driftfield.conventions import state_variables
    from driftfield.data.sources import open_fields, select_time
    from driftfield.evaluate.film import write_film
    from driftfield.evaluate.film_of_files import film_of
    from driftfield.gridded.region import select_region

    check_output(out, overwrite=overwrite, suffixes=(".gif", ".mp4"))

    def opened(path: Path | None) -> xr.Dataset | None:
        return None if path is None else select_region(open_fields(path), read_region(region))

    shown = opened(fields)
    assert shown is not None
    if time is not None:
        shown = select_time(shown, read_period(time))
    film = film_of(
        shown,
        variable or state_variables(shown)[0],
        layout=None if layout is None else [word.strip() for word in layout.split(",")],
        truth=opened(truth),
        observations=opened(observations),
        depth=depth,
    )
    write_film(film, out, frames_per_second=frames_per_second, overwrite=overwrite)
    print(f"wrote {out}: {len(film.stamps)} frames of {', '.join(panel.title for panel in film.panels)}")
