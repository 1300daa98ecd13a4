"""`driftfield members`."""

__all__ = ["members"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, app, check_output


@app.command(rich_help_panel=Job.LOOK)
def members(
    fields: Annotated[
        Path, typer.Argument(help="A file with <variable>_member: a reconstruction, samples, a forecast.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: member_000.nc, member_001.nc ...")],
    overwrite: Overwrite = False,
) -> None:
    """Write one file per member, as CDO's ensemble operators take them (it reads no variable of five dimensions).

    Example: driftfield members fields.nc --out members
    """
    from driftfield.gridded.gridded_files import open_fields
    from driftfield.reconstruction.member_files import write_members

    check_output(out, overwrite=overwrite, suffixes=())
    written = write_members(open_fields(fields), out, overwrite=overwrite)
    print(f"wrote {len(written)} files: {written[0]} ... {written[-1].name}")
