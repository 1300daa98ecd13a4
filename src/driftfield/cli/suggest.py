"""`driftfield suggest`."""

__all__ = ["suggest"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, Region, app, check_output, read_region
from driftfield.errors import ConfigurationError


@app.command(rich_help_panel=Job.FILL)
def suggest(
    fields: Annotated[Path, typer.Argument(help="A file with <variable>_member: a reconstruction, a forecast.")],
    out: Annotated[Path, typer.Option("--out", help="Table to write, .csv or .nc; the map lies beside it as .png.")],
    error: Annotated[float, typer.Option(help="Standard deviation of an observation, units of the variable.")],
    number: Annotated[int, typer.Option(help="Places to suggest.")] = 20,
    variable: Annotated[str | None, typer.Option(help="That is observed; the first of the file by default.")] = None,
    target: Annotated[str | None, typer.Option(help="Whose variance shall fall; the observed one by default.")] = None,
    region: Region = None,
    places: Annotated[
        str | None, typer.Option("--places", help="Where observations are possible, degrees: lat=30:35,lon=-100:-95.")
    ] = None,
    depth: Annotated[
        list[float] | None, typer.Option("--depth", help="Level that is observed, metres; whole columns by default.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Beginning of a date, for a file with several.")] = None,
    of_mean: Annotated[
        bool, typer.Option("--of-mean", help="The variance of the region's mean, not its mean variance.")
    ] = False,
    localisation_km: Annotated[
        float | None, typer.Option(help="Of Gaspari and Cohn, km; 0 for none; found from the members by default.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Where to observe next: the places whose observation would lower the expected variance of a region most.

    Example: driftfield suggest fields.nc --error 0.05 --number 20 --time 2015-06 --out places.csv
    """
    from driftfield.assimilation.suggesting import NextObservations, suggest_places
    from driftfield.assimilation.suggestion_files import write
    from driftfield.data.sources import open_fields

    if out.suffix not in (".csv", ".nc"):
        raise ConfigurationError(f"Cannot write {out}: expected a name that ends in .csv or .nc. Rename the output.")
    for path in (out, out.with_suffix(".png")):
        check_output(path, overwrite=overwrite, suffixes=())
    asked = NextObservations(
        error,
        number,
        variable,
        target,
        read_region(region),
        read_region(places),
        depth or None,
        time,
        of_mean,
        localisation_km,
    )
    suggestion = suggest_places(open_fields(fields), asked)
    write(suggestion, out, overwrite=overwrite)
    before, after = float(suggestion["variance_before"]), float(suggestion["variance_left"][-1])
    print(
        f"{suggestion.attrs['asked']}: {before:.4g} expected to fall to {after:.4g} with {suggestion.sizes['place']} places"
    )
    print(f"wrote {out} and {out.with_suffix('.png')}")
