"""Arguments and options that several commands have, each in the same words."""

__all__ = [
    "BatchSize",
    "Cluster",
    "Dates",
    "Device",
    "DomainFile",
    "MaskFile",
    "Members",
    "MembersAtATime",
    "Out",
    "OutFolder",
    "OutRun",
    "Pack",
    "Precision",
    "Quantiles",
    "Raw",
    "Replacement",
    "Resume",
    "RunFolder",
    "Seed",
    "Smooth",
    "TileOverlap",
    "TileSize",
    "TilesApart",
    "WithheldShare",
    "DropOutside",
    "QualityLevel",
    "RejectFlags",
    "read_acceptance",
]

from pathlib import Path
from typing import Annotated, Any

import typer

RunFolder = Annotated[
    Path, typer.Argument(help="Run folder that `driftfield train` wrote, or shipped:NAME, or hub:REPO.")
]
Out = Annotated[Path, typer.Option("--out", help="OUT.nc or OUT.zarr")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write.")]
Members = Annotated[int, typer.Option(help="Size of the ensemble.")]
Seed = Annotated[int, typer.Option(help="Of the members.")]
BatchSize = Annotated[int, typer.Option(help="Members at a time; does not change them.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with OUT.partial, which a killed one left.")]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster", help="Workers that share the dates and members: local:4, tcp://HOST:8786, or a file cluster.yaml."
    ),
]
MembersAtATime = Annotated[
    int | None, typer.Option(help="Members at a time, 16 by default, fewer on large grids; does not change them.")
]
TileSize = Annotated[
    int | None,
    typer.Option(
        "--tile", help="Rows and columns that the network sees at a time, as in training; for a grid of any size."
    ),
]
TileOverlap = Annotated[
    int | None, typer.Option("--overlap", help="Cells that neighbouring tiles share; a quarter of a tile by default.")
]
TilesApart = Annotated[
    bool,
    typer.Option(
        "--independent-tiles", help="Every tile to its end by itself, blended once; less memory, borders show more."
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(help="Of the network while sampling: float32, or bfloat16 (faster where it is native)."),
]
Device = Annotated[
    str, typer.Option(help="Where the network computes: cpu, cuda (a GPU), or auto: a GPU where there is one.")
]
DomainFile = Annotated[Path | None, typer.Option(help="File with the domain, if OBS has none.")]
Smooth = Annotated[
    float | None,
    typer.Option(help="Smooth every member: Gaussian sigma in cells; what the run states, or 0, by default."),
]
Replacement = Annotated[
    bool, typer.Option("--replacement", help="Impose the observations without error while sampling.")
]
Quantiles = Annotated[
    str, typer.Option(help="Also write quantiles of the members, e.g. 0.05,0.5,0.95: <variable>_quantile.")
]
Pack = Annotated[
    str | None,
    typer.Option(
        "--pack",
        help="Smaller files: int16 (scale and offset), or bitround:N, N bits of the mantissa; the error is stated.",
    ),
]
Raw = Annotated[bool, typer.Option("--raw", help="Leave out the calibration of the run, if it has one.")]
WithheldShare = Annotated[
    float | None,
    typer.Option(help="Share of what was seen that the run is not shown, in blocks like the gaps, and is scored on."),
]
Dates = Annotated[str | None, typer.Option(help="FIRST:LAST dates, both included.")]
OutRun = Annotated[Path, typer.Option("--out", help="Run folder to write.")]
MaskFile = Annotated[Path | None, typer.Option(help="File whose 'domain' or 'mask' says where the field exists.")]
QualityLevel = Annotated[
    int | None,
    typer.Option("--quality-level", help="Least quality_level to accept, such as 4 (GHRSST has 0 to 5); 2 by default."),
]
RejectFlags = Annotated[
    str | None,
    typer.Option("--reject-flags", help="Meanings of flags that reject beside the usual ones, such as ice,sun_glint."),
]
DropOutside = Annotated[
    bool,
    typer.Option("--drop-outside", help="Do without observed values outside of the domain, however many they are."),
]


def read_acceptance(quality_level: int | None, reject_flags: str | None) -> Any:
    """Of --quality-level and --reject-flags: a `gridded.acceptance.Acceptance`."""
    from driftfield.gridded.acceptance import Acceptance

    return Acceptance.of(quality_level, reject_flags)
