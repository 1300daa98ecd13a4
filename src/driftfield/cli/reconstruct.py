"""`driftfield reconstruct`."""

__all__ = ["reconstruct"]

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.acceptance_options import DropOutside, QualityLevel, RejectFlags, read_acceptance
from driftfield.cli.shared import Overwrite, Region, SamplerName, app, check_draws, read_region, read_sampler
from driftfield.errors import ConfigurationError, visible

BATCH_SIZE = 16
"""Members at a time, unless another number is asked for."""


@app.command()
def reconstruct(
    run: Annotated[Path, typer.Argument(help="Run folder that `driftfield train` wrote, or shipped:NAME.")],
    obs: Annotated[Path, typer.Argument(help="Observation file.")],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")],
    members: Annotated[int, typer.Option(help="Size of the ensemble.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the members.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(help="Members at a time, 16 by default; does not change them.")
    ] = None,
    sampler: SamplerName = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Of the network while sampling: float32, or bfloat16 (faster where it is native)."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where the network computes: cpu, cuda (a GPU), or auto: a GPU where there is one.")
    ] = "cpu",
    domain: Annotated[Path | None, typer.Option(help="File with the domain, if OBS has none.")] = None,
    smooth: Annotated[
        float | None,
        typer.Option(help="Smooth every member: Gaussian sigma in cells; what the run states, or 0, by default."),
    ] = None,
    replacement: Annotated[
        bool, typer.Option("--replacement", help="Impose the observations without error while sampling.")
    ] = False,
    quantiles: Annotated[
        str, typer.Option(help="Also write quantiles of the members, e.g. 0.05,0.5,0.95: <variable>_quantile.")
    ] = "",
    raw: Annotated[bool, typer.Option("--raw", help="Leave out the calibration of the run, if it has one.")] = False,
    withhold: Annotated[
        float | None,
        typer.Option(
            help="Share of what was seen that the run is not shown, in blocks like the gaps, and is scored on."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with OUT.partial, which a killed one left.")] = False,
    region: Region = None,
    quality_level: QualityLevel = None,
    reject_flags: RejectFlags = None,
    drop_outside: DropOutside = False,
    overwrite: Overwrite = False,
) -> None:
    """Complete what was observed: an ensemble of fields, its mean and its standard deviation."""
    from driftfield import __version__
    from driftfield.checkpoint import hash_run
    from driftfield.data.masks.withheld import withhold_share
    from driftfield.data.observation_files import open_observations
    from driftfield.gridded.measures import in_units_of_run
    from driftfield.reconstruction.draws import Draws
    from driftfield.reconstruction.settings import Settings, check_ability, imposing, with_settings
    from driftfield.reconstruction.writer import Work, write_reconstruction
    from driftfield.runs import find_run, load_reconstructor

    check_draws(out, overwrite=overwrite or resume, seed=seed, members=members, batch_size=batch_size)
    if smooth is not None and not 0 <= smooth < float("inf"):
        raise ConfigurationError(f"Found --smooth {smooth:g}: expected a number of cells, 0 or more.")
    levels = _levels(quantiles, members) if quantiles else ()
    folder = find_run(run)
    method = load_reconstructor(folder)
    sigma, smoothing = _smoothing(folder, smooth)
    asked = Settings(read_sampler(sampler) if sampler else None, precision, replacement, device, raw)
    applied = with_settings(method, asked)
    if levels:
        check_ability(method, "spreads", asked="--quantiles")
    if batch_size is not None:
        check_ability(method, "batch_size", asked="--batch-size")
    draws = Draws(members, seed, batch_size=(batch_size or BATCH_SIZE) if method.abilities.batch_size else None)
    attrs = {"calibration": "left out (--raw)"} if applied.calibration_left_out else {}
    depends_on = {"run": hash_run(folder), "sampler": sampler or "", "smooth": sigma, "replacement": replacement}
    depends_on |= {"precision": precision or "", "version of driftfield": __version__, "raw": raw}
    elsewhere = "" if applied.device == "cpu" else applied.device
    asked_for = {"quantiles": list(levels), "region": region, "device": elsewhere, "reject_flags": reject_flags}
    depends_on |= {name: value for name, value in asked_for.items() if value}
    depends_on |= {} if quality_level is None else {"quality_level": quality_level}
    opened = open_observations(
        obs,
        domain,
        region=read_region(region),
        acceptance=read_acceptance(quality_level, reject_flags),
        drop_outside=drop_outside,
    )
    observations = in_units_of_run(method, opened, str(obs))
    whole = observations
    if withhold is not None:
        observations = withhold_share(observations, withhold, seed=seed)
        depends_on |= {"withhold": withhold}
    attrs |= imposing(method, observations)
    finish = _Finish(sigma, levels, attrs | smoothing | {"run": run.name, "observations": obs.name})
    work = Work(method, observations, draws, finish, depends_on)
    if sys.stderr.isatty():
        with typer.progressbar(length=work.dates * members, label="reconstruct", file=sys.stderr) as bar:
            write_reconstruction(work, out, resume=resume, overwrite=overwrite, progress=bar.update)
    else:
        write_reconstruction(work, out, resume=resume, overwrite=overwrite)
    _say_of_gaps(out, observations)
    if withhold is not None:
        _print_scores(out, whole, observations, withhold)
    print(visible(f"wrote {out}: {', '.join(_variables(out))}"))


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
        levels: Probabilities of quantiles.
        attrs: Global attributes.
    """

    smooth: float
    levels: tuple[float, ...]
    attrs: Mapping[str, str]

    def __call__(self, part: Any) -> Any:
        from driftfield.conventions import FORMAT
        from driftfield.gridded.region import is_periodic
        from driftfield.reconstruction.output import with_quantiles
        from driftfield.reconstruction.postprocess import smoothed

        part = smoothed(part, self.smooth, is_periodic(part["lon"])) if self.smooth else part
        part = with_quantiles(part, self.levels) if self.levels else part
        return part.assign_attrs(self.attrs, driftfield_format=FORMAT)


def _levels(quantiles: str, members: int) -> tuple[float, ...]:
    from driftfield.reconstruction.output import check_quantiles

    try:
        probabilities = [float(part) for part in quantiles.split(",")]
    except ValueError as error:
        raise ConfigurationError(
            f"Found --quantiles {quantiles}: expected numbers between 0 and 1, such as 0.05,0.5,0.95."
        ) from error
    # outside of the try: what it says of members or of numbers given twice is an error of ours, and a ValueError, too
    return check_quantiles(probabilities, members)


def _say_of_gaps(out: Path, observations: Any) -> None:
    """A line where nothing was filled, or where some observation or none could be used."""
    from driftfield.conventions import domain_of, state_variables
    from driftfield.gridded.gridded_files import open_fields

    written, log = open_fields(out), logging.getLogger(__name__)
    for name in (n for n in state_variables(observations) if n in written):
        dims = observations[name].dims
        if observations[name].shape != written[name].transpose(*dims, missing_dims="ignore").shape:
            continue
        seen, there = observations[name].notnull().values, written[name].transpose(*dims).notnull().values
        if not (there & ~seen).any():
            gaps = int((~seen).sum())
            why = f"all {gaps} gaps lie outside of its domain" if gaps else "there is no gap"
            log.warning("nothing of %r was filled: %s", name, why)
        elif domain_of(observations, name) is None and (outside := int((seen & ~there).sum())):
            log.info(
                "%d of %d observed values of %r lie outside of the domain of the run and are not used",
                outside, int(seen.sum()), name,
            )  # fmt: skip
        if seen.any() and not (there & seen).any():
            log.warning(
                "none of the %d observed values of %r lies in its domain: what was written is what the method says without them",
                int(seen.sum()),
                name,
            )


def _print_scores(out: Path, whole: Any, shown: Any, share: float) -> None:
    """RMSE, CRPS and coverage on what the run was not shown, of every variable that it completes."""
    from driftfield.conventions import state_variables
    from driftfield.data.sources import open_fields
    from driftfield.evaluate.evaluation import evaluate

    written = open_fields(out).drop_attrs(deep=False)  # scored under one name, whatever the method calls itself
    names = [name for name in state_variables(shown) if name in written]
    label = out.stem
    scores = evaluate(whole, {label: written}, shown, variables=names).scores[label]
    for name in names:
        found = scores[name]
        values = [
            f"{word} {value:.4g}"
            for word, key in (("RMSE", "rmse"), ("CRPS", "crps"), ("90 % coverage", "coverage_90"))
            if isinstance(value := found.get(key), float | int)
        ]
        units = str(whole[name].attrs.get("units", ""))
        print(f"{name} on {found['n']:,} withheld values{f' [{units}]' if units else ''}: {', '.join(values)}")
    print(f"{out} was made without these {share:.0%} of what was seen: leave --withhold out to use everything")


def _variables(out: Path) -> list[str]:
    from driftfield.gridded.gridded_files import open_fields

    return sorted(map(str, open_fields(out).data_vars))
