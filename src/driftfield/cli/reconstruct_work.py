"""What `driftfield reconstruct` does, from plain options to a `Work`: asked for by the command and by every worker."""

__all__ = ["AskedReconstruction", "Prepared", "make_work", "prepare"]

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftfield.cli.options import read_acceptance
from driftfield.cli.shared import read_region, read_sampler
from driftfield.cli.tile_options import read_tiles
from driftfield.errors import ConfigurationError

if TYPE_CHECKING:
    import xarray as xr

    from driftfield.reconstruction.writer import Work


@dataclass(frozen=True)
class AskedReconstruction:
    """The options of the command, by their names."""

    run: Path
    obs: Path
    members: int
    seed: int
    batch_size: int | None
    tile: int | None
    overlap: int | None
    independent_tiles: bool
    sampler: str | None
    precision: str | None
    device: str
    domain: Path | None
    smooth: float | None
    replacement: bool
    probabilities: tuple[float, ...]
    raw: bool
    withhold: float | None
    region: str | None
    quality_level: int | None
    reject_flags: str | None
    drop_outside: bool
    pack: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A work, what was seen, and what of it is shown."""

    work: "Work"
    observations: "xr.Dataset"
    shown: "xr.Dataset"


def make_work(asked: AskedReconstruction) -> "Work":
    """On a worker."""
    return prepare(asked).work


def prepare(asked: AskedReconstruction) -> Prepared:
    """Opens and checks everything.

    Raises:
        UserError: something that cannot be read, or that the method does not do.
    """
    from driftfield import __version__
    from driftfield.checkpoint import hash_run
    from driftfield.gridded.packing import Packing
    from driftfield.reconstruction.draws import Draws
    from driftfield.reconstruction.settings import Settings, check_ability, imposing, with_settings
    from driftfield.reconstruction.units import Again
    from driftfield.reconstruction.writer import Work
    from driftfield.runs import called, find_run, load_reconstructor

    folder = find_run(asked.run)
    method = load_reconstructor(folder)
    sigma, smoothing = _smoothing(folder, asked.smooth)
    sampler = read_sampler(asked.sampler) if asked.sampler else None
    applied = with_settings(method, Settings(sampler, asked.precision, asked.replacement, asked.device, asked.raw))
    if asked.probabilities:
        check_ability(method, "spreads", asked="--quantiles")
    if asked.batch_size is not None:
        check_ability(method, "batch_size", asked="--batch-size")
    tiles = read_tiles(method, asked.tile, asked.overlap, independent=asked.independent_tiles)
    observations, shown = _opened(asked, method)
    attrs = {"run": called(asked.run, folder), "observations": asked.obs.name} | smoothing | imposing(method, shown)
    attrs |= {"calibration": "left out (--raw)"} if applied.calibration_left_out else {}
    divided = {} if tiles is None else {"tiles": str(tiles)}
    depends_on = {"run": hash_run(folder), "version of driftfield": __version__, "smooth": sigma, "raw": asked.raw}
    elsewhere = None if applied.device == "cpu" else applied.device
    depends_on |= _dependencies(asked) | _stated(device=elsewhere) | divided
    at_once = (asked.batch_size or _usual(method, tiles)) if method.abilities.batch_size else None
    draws = Draws(asked.members, asked.seed, batch_size=at_once, tiles=tiles)
    finish = _Finish(sigma, asked.probabilities, attrs | divided)
    packing = None if asked.pack is None else Packing.parse(asked.pack)
    work = Work(method, shown, draws, finish, depends_on, Again(make_work, asked), packing)
    return Prepared(work, observations, shown)


def _usual(method: Any, tiles: Any) -> int:
    """Members at a time, where nobody says how many."""
    from driftfield.reconstruction.draws import members_at_once

    grid = method.codec.grid
    return members_at_once(grid.lat.size * grid.lon.size, tiles)


def _opened(asked: AskedReconstruction, method: Any) -> "tuple[xr.Dataset, xr.Dataset]":
    """What was seen, and what of it is shown."""
    from driftfield.data.masks.withheld import withhold_share
    from driftfield.data.observation_files import open_observations
    from driftfield.gridded.measures import in_units_of_run

    acceptance, part = read_acceptance(asked.quality_level, asked.reject_flags), read_region(asked.region)
    opened = open_observations(
        asked.obs, asked.domain, region=part, acceptance=acceptance, drop_outside=asked.drop_outside
    )
    observations = in_units_of_run(method, opened, str(asked.obs))
    if asked.withhold is None:
        return observations, observations
    return observations, withhold_share(observations, asked.withhold, seed=asked.seed)


def _dependencies(asked: AskedReconstruction) -> dict[str, Any]:
    """The options that an output depends on."""
    always = {"sampler": asked.sampler or "", "precision": asked.precision or "", "replacement": asked.replacement}
    return always | _stated(
        quantiles=list(asked.probabilities) or None,
        region=asked.region or None,
        reject_flags=asked.reject_flags or None,
        quality_level=asked.quality_level,
        withhold=asked.withhold,
    )


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
