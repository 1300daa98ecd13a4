"""What commands that read fields can be told of flags, quality and the domain."""

__all__ = ["DropOutside", "QualityLevel", "RejectFlags", "read_acceptance"]

from typing import Annotated, Any

import typer

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
