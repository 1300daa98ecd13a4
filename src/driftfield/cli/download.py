"""`driftfield download`."""

__all__ = ["download"]

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, app, check_output, read_period, read_region
from driftfield.errors import ConfigurationError, suggest


@app.command(rich_help_panel=Job.GET)
def download(
    source: Annotated[
        str, typer.Argument(help="argo (profiles, a table for gather and map) or oisst (daily sst, 1/4 degree).")
    ],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")],
    region: Annotated[str, typer.Option(help="lat=30:40,lon=-70:-60 in degrees; may cross the dateline.")],
    time: Annotated[str, typer.Option(help="FIRST:LAST days, both included: 2015-01-01:2015-03-31.")],
    depth: Annotated[
        str | None, typer.Option(help="SHALLOWEST:DEEPEST in metres, of profiles; 0:2000 by default.")
    ] = None,
    variable: Annotated[
        list[str] | None, typer.Option(help="Name of the service (repeat); its usual ones by default.")
    ] = None,
    server: Annotated[str | None, typer.Option(help="Another server that answers alike, such as a mirror.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked, and how large it is; ask nothing.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fetch data of others: in pieces, asked again where the service fails; the same command goes on after a break.

    Example: driftfield download argo --region lat=42:45,lon=-58:-55 --time 2015-01-01:2015-12-31 --depth 0:500 --out argo.nc
    """
    from driftfield.sources.asked import AskedBox
    from driftfield.sources.downloading import SOURCES
    from driftfield.sources.downloading import download as fetched
    from driftfield.sources.fetching import Fetcher

    if source not in SOURCES:
        raise ConfigurationError(f"No source {source!r}: {suggest(source, SOURCES)}")
    if depth is not None and source != "argo":
        raise ConfigurationError(f"Found --depth for {source}, which is of the surface: leave it out.")
    if server is not None and not server.startswith(("https://", "http://")):
        raise ConfigurationError(f"Found --server {server}: expected an address that begins with https://.")
    check_output(out, overwrite=overwrite)
    box, service = read_region(region), SOURCES[source]
    if set(box) != {"lat", "lon"}:
        raise ConfigurationError(f"Found --region {region}: expected both, lat=SOUTH:NORTH,lon=WEST:EAST.")
    first, last = (_day(text, time) for text in read_period(time))
    asked = AskedBox(
        (box["lat"][0], box["lat"][1]),
        (box["lon"][0], box["lon"][1]),
        first,
        last,
        depth=_depths(depth),
        variables=variable or (),
    )
    pieces = service.pieces(asked, server or service.server)
    sizes = [piece.bytes for piece in pieces if piece.bytes is not None]
    size = (
        f"about {sum(sizes) / 1e6:.0f} MB to fetch"
        if len(sizes) == len(pieces)
        else "a size that the service does not say beforehand"
    )
    if dry_run:
        print("\n".join(piece.url for piece in pieces))
    print(f"{source}: {len(pieces)} requests, {size}, free of charge. {service.terms}")
    if dry_run:
        return
    before = fetched(service, pieces, asked, out, fetcher=Fetcher(), overwrite=overwrite)
    print(f"wrote {out}" + (f" ({before} of {len(pieces)} pieces were there from before)" if before else ""))


def _day(text: str | None, period: str) -> date:
    try:
        return date.fromisoformat(text or "")
    except ValueError as error:
        raise ConfigurationError(
            f"Cannot read --time {period!r}: expected FIRST:LAST days, such as 2015-01-01:2015-03-31."
        ) from error


def _depths(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        shallow, deep = (float(end) for end in text.split(":"))
    except ValueError as error:
        raise ConfigurationError(
            f"Cannot read --depth {text!r}: expected SHALLOWEST:DEEPEST in metres, such as 0:500."
        ) from error
    return shallow, deep
