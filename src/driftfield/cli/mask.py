"""`driftfield mask`."""

__all__ = ["mask"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftfield.cli.options import QualityLevel, RejectFlags, read_acceptance
from driftfield.cli.shared import (
    Job,
    Overwrite,
    Region,
    app,
    check_draws,
    read_errors,
    read_number,
    read_pairs,
    read_period,
    read_region,
)
from driftfield.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    import xarray as xr


@app.command(rich_help_panel=Job.GET)
def mask(
    fields: Annotated[Path, typer.Argument(help="Complete fields: NetCDF or Zarr.")],
    obs: Annotated[Path, typer.Argument(help="Observation file to write.")],
    observe: Annotated[list[str], typer.Option(help="VARIABLE=PATTERN, e.g. thetao=profiles:0.95, sst=clouds:0.8")],
    error: Annotated[
        list[str] | None,
        typer.Option(
            help="Standard deviation of the noise, units of the variable: NUMBER, or VARIABLE=NUMBER (repeat); of a "
            "pattern a+b also VARIABLE=NUMBER+NUMBER, one for each part."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of masks and noise.")] = 0,
    time: Annotated[
        str | None, typer.Option(help="FIRST:LAST dates to take, both included; 2015:2016 are two years.")
    ] = None,
    region: Region = None,
    split: Annotated[
        Path | None,
        typer.Option(help="RECIPE whose archive FIELDS is: score the test part of its split alone, cells or dates."),
    ] = None,
    quality_level: QualityLevel = None,
    reject_flags: RejectFlags = None,
    overwrite: Overwrite = False,
) -> None:
    """Hide most of a field: write what an observing system would have seen of it.

    Example: driftfield mask truth.nc seen.nc --observe thetao=profiles:0.95 --error 0.05 --seed 0
    """
    from driftfield.data.sources import open_archive
    from driftfield.data.twin import observe as observe_fields
    from driftfield.gridded.gridded_files import open_fields, write_dataset

    check_draws(obs, overwrite=overwrite, seed=seed)
    patterns = read_pairs(observe, "--observe", "VARIABLE=PATTERN")
    archive = open_archive(
        fields,
        list(patterns),
        time=read_period(time) if time else None,
        region=read_region(region),
        acceptance=read_acceptance(quality_level, reject_flags),
    )
    seen = observe_fields(archive.dataset, patterns, error=_read_errors(error or []), seed=seed, domain=archive.domains)
    if split is not None:
        seen = _only_tested(seen, split, fields)
    write_dataset(seen, obs, overwrite=overwrite)
    if any(seen[name].chunks is not None for name in patterns):
        seen = open_fields(obs)  # and not drawn again
    for name in patterns:
        share = float(seen[name].notnull().sum()) / max(float(archive.domain(name).sum()) * seen.sizes["time"], 1)
        print(f"{name}: {100 * share:.1f} % of the domain seen as {patterns[name]}")
    print(f"wrote {obs}")


def _only_tested(seen: "xr.Dataset", recipe: Path, fields: Path) -> "xr.Dataset":
    """Observations that are scored in the test part of a recipe's split and nowhere else; dates without any are left out."""
    from driftfield.data.prepare import divide
    from driftfield.data.sources import open_archive
    from driftfield.gridded.acceptance import Acceptance
    from driftfield.recipe import read_recipe

    data = read_recipe(recipe).data
    if data.get("sections"):
        raise ConfigurationError(
            f"--split divides one archive, and {recipe} names data.sections: expected a recipe without them. Leave --split out "
            "and choose dates of the test period with --time."
        )
    if Path(data["archive"]).resolve() != fields.resolve():
        raise ConfigurationError(
            f"--split divides the archive of its recipe, {data['archive']}, and {fields} is another file: expected the same. "
            "Leave --split out, every date of another file is a test."
        )
    archive = open_archive(
        fields,
        data["targets"],
        levels=data.get("levels"),
        region=data.get("region"),
        domain=data.get("domain"),
        time=data.get("time"),
        acceptance=Acceptance.of(data.get("quality_level"), data.get("reject_flags")),
    )
    splits = divide(archive, data["targets"], split=data.get("split"), windows=data.get("windows"))
    tested = splits.held_out("test", archive.dataset[data["targets"][0]])
    tested = tested.reindex_like(seen[["time", "lat", "lon"]], fill_value=False)
    masks = {str(name): seen[name] & tested for name in seen.data_vars if str(name).endswith("held_out")}
    masks = {name: mask.transpose(*seen[name].dims).assign_attrs(seen[name].attrs) for name, mask in masks.items()}
    dates = tested.any(("lat", "lon")).values
    if not dates.any():
        raise DataError(f"No date of the observations is in the test part of {recipe}. Take others with --time.")
    print(f"scored is the test part of {recipe}: {int(dates.sum())} of {dates.size} dates")
    return seen.assign(masks).isel(time=dates)


def _read_errors(texts: list[str]) -> float | Mapping[str, float | Sequence[float]]:
    """Of --error: a number, or by variable a number or one for each part of its pattern."""
    if not any("=" in text for text in texts):
        return read_errors(texts)
    pairs = read_pairs(texts, "--error", "VARIABLE=NUMBER or VARIABLE=NUMBER+NUMBER")
    errors: dict[str, float | Sequence[float]] = {}
    for name, text in pairs.items():
        numbers = [read_number(part, f"--error of {name}") for part in text.split("+")]
        errors[name] = numbers if len(numbers) > 1 else numbers[0]
    return errors
