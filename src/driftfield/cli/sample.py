"""`driftfield sample`."""

__all__ = ["sample"]

from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.shared import (
    Overwrite,
    SamplerName,
    app,
    check_output,
    find_run,
    read_sampler,
    register,
    whole,
)
from driftfield.errors import ConfigurationError


@app.command()
def sample(
    run: Annotated[
        Path, typer.Argument(help="Run folder of a diffusion model that was trained with the pattern none.")
    ],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")],
    members: Annotated[int, typer.Option(help="How many fields.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the members.")] = 0,
    date: Annotated[str, typer.Option(help="Date of the fields; matters where there are seasons.")] = "2000-01-01",
    batch_size: Annotated[int, typer.Option(help="Members at a time; does not change them.")] = 64,
    sampler: SamplerName = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw fields from a model without any observation: what it has learnt to be possible."""
    from driftfield.data.sources import write_dataset
    from driftfield.reconstruct import load_reconstructor
    from driftfield.reconstruct.unconditional import draw_unconditionally

    check_output(out, overwrite=overwrite)
    for value, option, least in ((members, "--members", 1), (batch_size, "--batch-size", 1), (seed, "--seed", 0)):
        whole(value, option, least=least)
    register()
    reconstructor: Any = load_reconstructor(find_run(run))
    if sampler:
        if not hasattr(reconstructor, "sampler"):
            raise ConfigurationError(f"{type(reconstructor).__name__} draws no samples: leave out --sampler.")
        reconstructor.sampler = read_sampler(sampler)
    drawn = draw_unconditionally(reconstructor, members=members, seed=seed, date=date, batch_size=batch_size)
    write_dataset(drawn.assign_attrs(run=run.name), out, overwrite=overwrite)
    print(f"wrote {out}: {', '.join(sorted(map(str, drawn.data_vars)))}")
