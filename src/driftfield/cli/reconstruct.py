"""`driftfield reconstruct`."""

__all__ = ["reconstruct"]

from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.shared import (
    Overwrite,
    SamplerName,
    app,
    check_output,
    find_run,
    open_observations,
    read_sampler,
    register,
    whole,
)
from driftfield.errors import ConfigurationError


@app.command()
def reconstruct(
    run: Annotated[Path, typer.Argument(help="Run folder that `driftfield train` wrote, or shipped:NAME.")],
    obs: Annotated[Path, typer.Argument(help="Observation file.")],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")],
    members: Annotated[int, typer.Option(help="Size of the ensemble.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the members.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Members at a time; does not change them.")] = 16,
    sampler: SamplerName = None,
    domain: Annotated[Path | None, typer.Option(help="File with the domain, if OBS has none.")] = None,
    smooth: Annotated[float, typer.Option(help="Smooth every member: Gaussian sigma in cells.")] = 0.0,
    replacement: Annotated[
        bool, typer.Option("--replacement", help="Impose the observations without error while sampling.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Complete what was observed: an ensemble of fields, its mean and its standard deviation."""
    from driftfield.conventions import FORMAT
    from driftfield.data.sources import is_periodic, write_dataset
    from driftfield.reconstruct import load_reconstructor
    from driftfield.reconstruct.postprocess import smoothed

    check_output(out, overwrite=overwrite)
    if not 0 <= smooth < float("inf"):
        raise ConfigurationError(f"Found --smooth {smooth:g}: expected a number of cells, 0 or more.")
    for value, option, least in ((members, "--members", 1), (batch_size, "--batch-size", 1), (seed, "--seed", 0)):
        whole(value, option, least=least)
    register()
    reconstructor = load_reconstructor(find_run(run))
    observations = open_observations(obs, domain)
    given: dict[str, Any] = {}
    if hasattr(reconstructor, "sampler"):
        given["batch_size"] = batch_size
        if sampler:
            reconstructor.sampler = read_sampler(sampler)
    elif sampler:
        raise ConfigurationError(f"{type(reconstructor).__name__} draws no samples: leave out --sampler.")
    if replacement:
        if not hasattr(reconstructor, "replacement"):
            raise ConfigurationError(f"{type(reconstructor).__name__} draws no samples: leave out --replacement.")
        reconstructor.replacement = True
    result = reconstructor.reconstruct(observations, members=members, seed=seed, **given)
    if smooth:
        result = smoothed(result, smooth, is_periodic(result["lon"]))
    result.attrs |= {"run": run.name, "observations": obs.name, "driftfield_format": FORMAT}
    write_dataset(result, out, overwrite=overwrite)
    print(f"wrote {out}: {', '.join(map(str, result.data_vars))}")
