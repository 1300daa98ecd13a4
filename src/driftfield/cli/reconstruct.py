"""`driftfield reconstruct`."""

__all__ = ["reconstruct"]

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from driftfield.cli.shared import (
    Overwrite,
    SamplerName,
    app,
    check_output,
    open_observations,
    read_sampler,
    whole,
)
from driftfield.errors import ConfigurationError, suggest

DEVICES = ("auto", "cpu", "cuda")


@app.command()
def reconstruct(
    run: Annotated[Path, typer.Argument(help="Run folder that `driftfield train` wrote, or shipped:NAME.")],
    obs: Annotated[Path, typer.Argument(help="Observation file.")],
    out: Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")],
    members: Annotated[int, typer.Option(help="Size of the ensemble.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the members.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Members at a time; does not change them.")] = 16,
    sampler: SamplerName = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Of the network while sampling: float32, or bfloat16 (faster where it is native)."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where the network computes: cpu, cuda (a GPU), or auto: a GPU where there is one.")
    ] = "cpu",
    domain: Annotated[Path | None, typer.Option(help="File with the domain, if OBS has none.")] = None,
    smooth: Annotated[float, typer.Option(help="Smooth every member: Gaussian sigma in cells.")] = 0.0,
    replacement: Annotated[
        bool, typer.Option("--replacement", help="Impose the observations without error while sampling.")
    ] = False,
    quantiles: Annotated[
        str, typer.Option(help="Also write quantiles of the members, e.g. 0.05,0.5,0.95: <variable>_quantile.")
    ] = "",
    raw: Annotated[bool, typer.Option("--raw", help="Leave out the calibration of the run, if it has one.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with OUT.partial, which a killed one left.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Complete what was observed: an ensemble of fields, its mean and its standard deviation."""
    from driftfield import __version__
    from driftfield.checkpoint import hash_run
    from driftfield.conventions import FORMAT
    from driftfield.data.sources import is_periodic
    from driftfield.models.diffusion import PRECISIONS
    from driftfield.reconstruction.output import with_quantiles
    from driftfield.reconstruction.postprocess import smoothed
    from driftfield.reconstruction.writer import Work, write_reconstruction
    from driftfield.runs import find_run, load_reconstructor

    check_output(out, overwrite=overwrite or resume)
    if not 0 <= smooth < float("inf"):
        raise ConfigurationError(f"Found --smooth {smooth:g}: expected a number of cells, 0 or more.")
    for value, option, least in ((members, "--members", 1), (batch_size, "--batch-size", 1), (seed, "--seed", 0)):
        whole(value, option, least=least)
    levels = _levels(quantiles, members) if quantiles else ()
    folder = find_run(run)
    reconstructor: Any = load_reconstructor(folder)
    left_out = {}
    if raw and getattr(reconstructor, "calibration", None) is not None:
        reconstructor.calibration, left_out = None, {"calibration": "left out (--raw)"}
    observations = open_observations(obs, domain)
    given: dict[str, Any] = {}
    if hasattr(reconstructor, "sampler"):
        given["batch_size"] = batch_size
        if sampler:
            reconstructor.sampler = read_sampler(sampler)
    elif sampler:
        raise ConfigurationError(f"{type(reconstructor).__name__} draws no samples: leave out --sampler.")
    if precision:
        if not hasattr(reconstructor, "precision"):
            raise ConfigurationError(f"{type(reconstructor).__name__} draws no samples: leave out --precision.")
        if precision not in PRECISIONS:
            raise ConfigurationError(f"Found --precision {precision}: expected one of {PRECISIONS}.")
        reconstructor.precision = precision
    place = _place(reconstructor, device)
    if replacement:
        if not hasattr(reconstructor, "replacement"):
            raise ConfigurationError(f"{type(reconstructor).__name__} draws no samples: leave out --replacement.")
        reconstructor.replacement = True

    def finish(part: Any) -> Any:
        part = smoothed(part, smooth, is_periodic(part["lon"])) if smooth else part
        part = with_quantiles(part, levels) if levels else part
        return part.assign_attrs(left_out, run=run.name, observations=obs.name, driftfield_format=FORMAT)

    depends_on = {"run": hash_run(folder), "sampler": sampler or "", "smooth": smooth, "replacement": replacement}
    depends_on |= {"precision": precision or ""}
    depends_on |= {"quantiles": list(levels)} if levels else {}
    depends_on |= {} if place == "cpu" else {"device": place}
    depends_on |= {"version of driftfield": __version__, "raw": raw}
    work = Work(reconstructor, observations, members, seed, given, finish, depends_on)
    if sys.stderr.isatty():
        with typer.progressbar(length=work.dates * members, label="reconstruct", file=sys.stderr) as bar:
            write_reconstruction(work, out, resume=resume, overwrite=overwrite, progress=bar.update)
    else:
        write_reconstruction(work, out, resume=resume, overwrite=overwrite)
    print(f"wrote {out}: {', '.join(_variables(out))}")


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


def _place(reconstructor: Any, device: str) -> str:
    """Moves a network to the device that was asked for, and says which it is; a method without one has no other place."""
    import torch

    if device not in DEVICES:
        raise ConfigurationError(f"Found --device {device}: {suggest(device, DEVICES)}")
    found = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    movable = hasattr(reconstructor, "to")
    if device == "cuda" and not (movable and found == "cuda"):
        why = "PyTorch finds no GPU here" if movable else f"{type(reconstructor).__name__} computes on the processor"
        raise ConfigurationError(f"Found --device cuda, but {why}: expected auto or cpu. Leave out --device.")
    if not movable:
        return "cpu"
    reconstructor.to(found)
    return found


def _variables(out: Path) -> list[str]:
    from driftfield.data.sources import open_fields

    return sorted(map(str, open_fields(out).data_vars))
