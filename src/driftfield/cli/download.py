"""`driftfield download`."""

__all__ = ["download"]

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, app, check_output, read_period, read_region
from driftfield.errors import ConfigurationError, suggest

if TYPE_CHECKING:
    from driftfield.sources.asked import AskedBox, Piece, Source

OPTIONS = {"depth": "--depth", "levels": "--level", "hours": "--hours", "dataset": "--dataset"}


@app.command(rich_help_panel=Job.GET)
def download(
    source: Annotated[
        str,
        typer.Argument(
            help="argo (profiles), oisst (daily sst), glorys (ocean), era5, era5-cds or cerra (atmosphere), nnja (stations)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")],
    region: Annotated[str, typer.Option(help="lat=30:40,lon=-70:-60 in degrees; may cross the dateline.")],
    time: Annotated[str, typer.Option(help="FIRST:LAST days, both included: 2015-01-01:2015-03-31.")],
    depth: Annotated[
        str | None, typer.Option(help="SHALLOWEST:DEEPEST in metres, of argo (0:2000 by default) and glorys (all).")
    ] = None,
    level: Annotated[
        list[int] | None,
        typer.Option(help="Pressure in hPa, of era5, era5-cds and cerra (repeat); the surface by default."),
    ] = None,
    hours: Annotated[
        str | None, typer.Option(help="Of each day, UTC, of era5, era5-cds and cerra; 0,6,12,18 by default.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Of glorys (any gridded one of the Copernicus Marine Service) and nnja.")
    ] = None,
    variable: Annotated[
        list[str] | None, typer.Option(help="Name of the service (repeat); its usual ones by default.")
    ] = None,
    server: Annotated[str | None, typer.Option(help="Another server that answers alike, such as a mirror.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked, how large it is and what it costs; ask nothing.")
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
    service = SOURCES[source]
    check_output(out, overwrite=overwrite)
    box = read_region(region)
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
        levels=tuple(level or ()),
        hours=_hours(hours),
        dataset=dataset or "",
    )
    _check_taken(source, service, asked, server)
    pieces = service.pieces(asked, server or service.server)
    if dry_run:
        print("\n".join(piece.url for piece in pieces))
    print(
        f"{source}: {len(pieces)} requests, {_size(pieces)}, free of charge, {service.account}. Data: {service.terms}"
    )
    if dry_run:
        return
    fetcher = Fetcher(service.carrier(server or service.server))
    before = fetched(service, pieces, asked, out, fetcher=fetcher, overwrite=overwrite)
    print(f"wrote {out}" + (f" ({before} of {len(pieces)} pieces were there from before)" if before else ""))


def _check_taken(source: str, service: "Source", asked: "AskedBox", server: str | None) -> None:
    """Refuses what this service cannot be asked for."""
    for name, option in OPTIONS.items():
        if getattr(asked, name) and name not in service.takes:
            takes = [OPTIONS[each] for each in service.takes]
            taken = " and ".join(takes) or "none of such"
            raise ConfigurationError(f"Found {option} for {source}, which takes {taken}. Leave it out.")
    if server is None:
        return
    if "://" not in service.server:
        raise ConfigurationError(
            f"Found --server for {source}, whose address is a setting of its client {service.server}. Set it there."
        )
    if not server.startswith(("https://", "http://", "gs://", "s3://")):
        raise ConfigurationError(f"Found --server {server}: expected an address that begins with https://.")


def _size(pieces: "list[Piece]") -> str:
    sizes = [piece.bytes for piece in pieces if piece.bytes is not None]
    if len(sizes) < len(pieces):
        return "a size that the service does not say beforehand"
    megabytes = sum(sizes) / 1e6
    return f"about {megabytes:,.0f} MB to fetch" if megabytes >= 1 else "less than 1 MB to fetch"


def _hours(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) < 24 for part in parts) or len(set(parts)) < len(parts):
        raise ConfigurationError(
            f"Cannot read --hours {text!r}: expected different hours of the day, such as 0,6,12,18."
        )
    return tuple(sorted(map(int, parts)))


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
