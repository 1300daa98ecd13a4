"""`driftfield reconstruct`."""

__all__ = ["reconstruct"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.options import (
    Cluster,
    Device,
    DomainFile,
    DropOutside,
    Members,
    MembersAtATime,
    Out,
    Pack,
    Precision,
    QualityLevel,
    Quantiles,
    Raw,
    RejectFlags,
    Replacement,
    Resume,
    RunFolder,
    Seed,
    Smooth,
    TileOverlap,
    TilesApart,
    TileSize,
    WithheldShare,
)
from driftfield.cli.reconstruct_outcome import tell
from driftfield.cli.reconstruct_work import AskedReconstruction, prepare
from driftfield.cli.shared import (
    Job,
    Overwrite,
    Region,
    SamplerName,
    app,
    check_draws,
    write_with_bar,
)
from driftfield.errors import ConfigurationError


@app.command(rich_help_panel=Job.FILL)
def reconstruct(
    run: RunFolder,
    obs: Annotated[Path, typer.Argument(help="Observation file.")],
    out: Out,
    members: Members = 16,
    seed: Seed = 0,
    batch_size: MembersAtATime = None,
    tile: TileSize = None,
    overlap: TileOverlap = None,
    independent_tiles: TilesApart = False,
    sampler: SamplerName = None,
    precision: Precision = None,
    device: Device = "cpu",
    domain: DomainFile = None,
    smooth: Smooth = None,
    replacement: Replacement = False,
    quantiles: Quantiles = "",
    raw: Raw = False,
    withhold: WithheldShare = None,
    pack: Pack = None,
    resume: Resume = False,
    cluster: Cluster = None,
    region: Region = None,
    quality_level: QualityLevel = None,
    reject_flags: RejectFlags = None,
    drop_outside: DropOutside = False,
    overwrite: Overwrite = False,
) -> None:
    """Complete what was observed: an ensemble of fields, its mean and its standard deviation.

    Example: driftfield reconstruct shipped:ocean_diffusion seen.nc --members 16 --seed 0 --out fields.nc
    """
    check_draws(out, overwrite=overwrite or resume, seed=seed, members=members, batch_size=batch_size)
    if smooth is not None and not 0 <= smooth < float("inf"):
        raise ConfigurationError(f"Found --smooth {smooth:g}: expected a number of cells, 0 or more.")
    asked = AskedReconstruction(
        run=run,
        obs=obs,
        members=members,
        seed=seed,
        batch_size=batch_size,
        tile=tile,
        overlap=overlap,
        independent_tiles=independent_tiles,
        sampler=sampler,
        precision=precision,
        device=device,
        domain=domain,
        smooth=smooth,
        replacement=replacement,
        probabilities=_probabilities(quantiles, members) if quantiles else (),
        raw=raw,
        withhold=withhold,
        region=region,
        quality_level=quality_level,
        reject_flags=reject_flags,
        drop_outside=drop_outside,
        pack=pack,
    )
    prepared = prepare(asked)
    write_with_bar(prepared.work, out, label="reconstruct", resume=resume, overwrite=overwrite, cluster=cluster)
    tell(out, prepared.observations, prepared.shown, withhold)


def _probabilities(quantiles: str, members: int) -> tuple[float, ...]:
    from driftfield.reconstruction.output import check_quantiles

    try:
        probabilities = [float(part) for part in quantiles.split(",")]
    except ValueError as error:
        raise ConfigurationError(
            f"Found --quantiles {quantiles}: expected numbers between 0 and 1, such as 0.05,0.5,0.95."
        ) from error
    # outside of the try: what it says of members or of numbers given twice is an error of ours, and a ValueError, too
    return check_quantiles(probabilities, members)
