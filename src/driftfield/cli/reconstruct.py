"""`driftfield reconstruct`."""

__all__ = ["reconstruct"]

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.options import (
    Device,
    DomainFile,
    DropOutside,
    Members,
    MembersAtATime,
    Out,
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
    read_acceptance,
)
from driftfield.cli.reconstruct_outcome import tell
from driftfield.cli.shared import (
    Job,
    Overwrite,
    Region,
    SamplerName,
    app,
    check_draws,
    read_region,
    read_sampler,
    write_with_bar,
)
from driftfield.cli.tile_options import read_tiles
from driftfield.errors import ConfigurationError

BATCH_SIZE = 16
"""Members at a time, unless another number is asked for."""


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
    resume: Resume = False,
    region: Region = None,
    quality_level: QualityLevel = None,
    reject_flags: RejectFlags = None,
    drop_outside: DropOutside = False,
    overwrite: Overwrite = False,
) -> None:
    """Complete what was observed: an ensemble of fields, its mean and its standard deviation.

    Example: driftfield reconstruct shipped:ocean_diffusion seen.nc --members 16 --seed 0 --out fields.nc
    """
    from driftfield import __version__
    from driftfield.checkpoint import hash_run
    from driftfield.data.masks.withheld import withhold_share
    from driftfield.data.observation_files import open_observations
    from driftfield.gridded.measures import in_units_of_run
    from driftfield.reconstruction.draws import Draws
    from driftfield.reconstruction.settings import Settings, check_ability, imposing, with_settings
    from driftfield.reconstruction.writer import Work
    from driftfield.runs import called, find_run, load_reconstructor

    check_draws(out, overwrite=overwrite or resume, seed=seed, members=members, batch_size=batch_size)
    if smooth is not None and not 0 <= smooth < float("inf"):
        raise ConfigurationError(f"Found --smooth {smooth:g}: expected a number of cells, 0 or more.")
    probabilities = _probabilities(quantiles, members) if quantiles else ()
    folder = find_run(run)
    method = load_reconstructor(folder)
    sigma, smoothing = _smoothing(folder, smooth)
    settings = Settings(read_sampler(sampler) if sampler else None, precision, replacement, device, raw)
    applied = with_settings(method, settings)
    if probabilities:
        check_ability(method, "spreads", asked="--quantiles")
    if batch_size is not None:
        check_ability(method, "batch_size", asked="--batch-size")
    tiles = read_tiles(method, tile, overlap, independent=independent_tiles)
    acceptance, part = read_acceptance(quality_level, reject_flags), read_region(region)
    opened = open_observations(obs, domain, region=part, acceptance=acceptance, drop_outside=drop_outside)
    observations = in_units_of_run(method, opened, str(obs))
    shown = observations if withhold is None else withhold_share(observations, withhold, seed=seed)
    attrs = {"run": called(run, folder), "observations": obs.name} | smoothing | imposing(method, shown)
    attrs |= {"calibration": "left out (--raw)"} if applied.calibration_left_out else {}
    divided = {} if tiles is None else {"tiles": str(tiles)}
    depends_on = {"run": hash_run(folder), "version of driftfield": __version__, "smooth": sigma, "raw": raw}
    depends_on |= {"sampler": sampler or "", "precision": precision or "", "replacement": replacement}
    elsewhere = None if applied.device == "cpu" else applied.device
    depends_on |= _stated(quantiles=list(probabilities) or None, region=region or None, device=elsewhere)
    depends_on |= _stated(reject_flags=reject_flags or None, quality_level=quality_level, withhold=withhold)
    at_once = (batch_size or BATCH_SIZE) if method.abilities.batch_size else None
    draws = Draws(members, seed, batch_size=at_once, tiles=tiles)
    work = Work(method, shown, draws, _Finish(sigma, probabilities, attrs | divided), depends_on | divided)
    write_with_bar(work, out, label="reconstruct", resume=resume, overwrite=overwrite)
    tell(out, observations, shown, withhold)


def _stated(**options: Any) -> dict[str, Any]:
    """Those that were asked for."""
    return {name: value for name, value in options.items() if value is not None}


def _smoothing(folder: Path, asked: float | None) -> tuple[float, dict[str, str]]:
    """Sigma in cells, that of the run unless another is asked for, and what the output says of it."""
    from driftfield.checkpoint import read_run

    stated = read_run(folder).extra.get("reconstruction") or {}
    sigma = stated.get("smooth", 0.0) if isinstance(stated, Mapping) else None
    if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0 <= sigma < float("inf"):
        raise ConfigurationError(
            f"The run {folder} states reconstruction {stated!r}: expected {{'smooth': CELLS}}. Say --smooth, and mend run.json."
        )
    if asked is None:
        if sigma:
            logging.getLogger(__name__).info("every member is smoothed with %g cells, as the run states", sigma)
        return float(sigma), {"smoothing": f"{sigma:g} cells, as the run states"} if sigma else {}
    instead = f" in place of the {sigma:g} of the run" if sigma and sigma != asked else ""
    return asked, {"smoothing": f"{asked:g} cells (--smooth){instead}"} if asked or instead else {}


@dataclass(frozen=True)
class _Finish:
    """What is done to the reconstruction of each date.

    Arguments:
        smooth: Gaussian sigma in cells.
        probabilities: Of quantiles.
        attrs: Global attributes.
    """

    smooth: float
    probabilities: tuple[float, ...]
    attrs: Mapping[str, str]

    def __call__(self, part: Any) -> Any:
        from driftfield.conventions import FORMAT
        from driftfield.gridded.region import is_periodic
        from driftfield.reconstruction.output import with_quantiles
        from driftfield.reconstruction.postprocess import smoothed

        part = smoothed(part, self.smooth, is_periodic(part["lon"])) if self.smooth else part
        part = with_quantiles(part, self.probabilities) if self.probabilities else part
        return part.assign_attrs(self.attrs, driftfield_format=FORMAT)


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
