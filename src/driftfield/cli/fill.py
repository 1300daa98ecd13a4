"""`driftfield fill`."""

__all__ = ["fill"]

import logging
import sys
import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftfield.cli.options import Dates, MaskFile, Pack, QualityLevel, RejectFlags, read_acceptance
from driftfield.cli.shared import (
    Job,
    Overwrite,
    Region,
    app,
    check_counts,
    check_output,
    read_period,
    read_region,
)
from driftfield.errors import ConfigurationError

if TYPE_CHECKING:
    from driftfield.filling.filling import Filled


@app.command(rich_help_panel=Job.FILL)
def fill(
    file: Annotated[str, typer.Argument(help="NetCDF, GRIB or Zarr (or a glob) with NaN where nothing was seen.")],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr; OUT.png and OUT.recipe.yaml come beside it.")],
    variable: Annotated[
        str | None,
        typer.Option(help="Which one, or EASTWARD,NORTHWARD of a vector; may be left out where there is one."),
    ] = None,
    method: Annotated[str | None, typer.Option(help="Use this one: kriging, linear, ... or a class name.")] = None,
    members: Annotated[
        int, typer.Option("--members", help="Also write an ensemble of so many fields: <variable>_member.")
    ] = 0,
    no_members: Annotated[bool, typer.Option("--no-members", help="Mean and spread only (the default).")] = False,
    learn: Annotated[
        str | None,
        typer.Option(
            help="How long a diffusion model may learn what the best method leaves: 10min, 1h. OUT.network/ keeps it."
        ),
    ] = None,
    length_km: Annotated[
        float | None,
        typer.Option("--length-km", help="Distance in km at which the correlation is 1/e, if you know it."),
    ] = None,
    days: Annotated[float | None, typer.Option(help="Days after which it is, if you know it.")] = None,
    noise: Annotated[
        float | None, typer.Option(help="Standard deviation of the observation error, units of the variable.")
    ] = None,
    region: Region = None,
    time: Dates = None,
    domain: MaskFile = None,
    quality_level: QualityLevel = None,
    reject_flags: RejectFlags = None,
    seed: Annotated[int, typer.Option(help="Of what is hidden to choose the method, and of the members.")] = 0,
    pack: Pack = None,
    overwrite: Overwrite = False,
) -> None:
    """Fill the gaps of a field: no recipe, no archive. Tries what fits the record on hidden blocks, uses the best.

    Example: driftfield fill sst.nc --variable sst --region lat=34:38,lon=-6:0 --out filled.nc
    """
    check_output(out, overwrite=overwrite)
    network = out.with_suffix(".network")
    for file_beside in (*_beside(out), *([network] if learn else [])):
        check_output(file_beside, overwrite=overwrite, suffixes=())
    check_counts({"--seed": seed, "--members": members}, least=0)
    if members and no_members:
        raise ConfigurationError(f"Found --members {members} and --no-members: leave one of them out.")
    from driftfield.filling.calls import Wishes, fill_records, joined
    from driftfield.filling.methods import Knowledge
    from driftfield.filling.reading import read_records
    from driftfield.gridded.gridded_files import write_dataset
    from driftfield.gridded.packing import Packing

    packing = None if pack is None else Packing.parse(pack)
    records = read_records(
        file,
        variable,
        region=read_region(region),
        time=read_period(time) if time else None,
        domain=domain,
        acceptance=read_acceptance(quality_level, reject_flags),
    )
    for record in records[1:]:
        for file_beside in _beside(out, record.name):
            check_output(file_beside, overwrite=overwrite, suffixes=())
    wishes = Wishes(method, members, learn, network, Knowledge(length_km, days, noise), seed)
    filled = fill_records(records, wishes, progress=_Progress())
    write_dataset(joined(filled), out, overwrite=overwrite, packing=packing)
    written = [out]
    for k, result in enumerate(filled):
        if len(filled) > 1:
            print(f"{result.record.name}:")
        written += _report(result, _beside(out, result.record.name if k else ""), overwrite=overwrite)
    print(f"wrote {', '.join(map(str, written))}")


def _beside(out: Path, name: str = "") -> tuple[Path, Path]:
    """Picture and recipe; those of a second variable bear its name."""
    picture, recipe_file = (f"{name}.{suffix}".lstrip(".") for suffix in ("png", "recipe.yaml"))
    return out.with_suffix(f".{picture}"), out.with_suffix(f".{recipe_file}")


def _report(filled: "Filled", beside: tuple[Path, Path], *, overwrite: bool) -> list[Path]:
    """Prints what was tried and how to go on, and writes picture and recipe: what was written."""
    from driftfield.files import replacing, write_text
    from driftfield.filling.account import commands, recipe, table
    from driftfield.filling.picture import draw

    picture, recipe_file = beside
    with replacing(picture, overwrite=overwrite) as temporary:
        draw(filled).savefig(temporary, dpi=130)
    print(table(filled))
    for line in filled.lines:
        print(f"- {line}")
    if not filled.scores:
        return [picture]
    if not filled.method.shipped:
        write_text(recipe_file, recipe(filled))
    print("By hand:")
    for command in commands(filled, recipe_file):
        print(f"  {command}")
    return [picture] if filled.method.shipped else [picture, recipe_file]


class _Progress:
    """Says what is being done and how long the rest may take."""

    def __init__(self) -> None:
        self.began = clock.monotonic()
        self.log = logging.getLogger(__name__)

    def __call__(self, what: str, share: float) -> None:
        passed = clock.monotonic() - self.began
        left = "" if share <= 0.02 or share >= 1 else f", about {_duration(passed * (1 - share) / share)} left"
        self.log.info("%3.0f %%  %s (%s%s)", 100 * share, what, _duration(passed), left)
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
