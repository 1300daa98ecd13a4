"""`driftfield extract`."""

__all__ = ["extract"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, Overwrite, app, check_output


@app.command(rich_help_panel=Job.LOOK)
def extract(
    file: Annotated[Path, typer.Argument(help="Fields: a reconstruction, a map, a forecast, an archive.")],
    at: Annotated[
        Path,
        typer.Option(
            help="CSV with columns time, latitude, longitude and, below the surface, depth [m]; a row per answer."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="CSV to write: the rows with value and spread.")],
    variable: Annotated[
        list[str] | None, typer.Option(help="Variable of the file (repeat); all of them by default.")
    ] = None,
    members: Annotated[bool, typer.Option("--members", help="A column for every member, too.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """What a file of fields says at places and times of a table: interpolated values with their spread, as CSV.

    Example: driftfield extract fields.nc --at moorings.csv --out values.csv
    """
    from driftfield.files import write_text
    from driftfield.filling.extracting import extract as extracted
    from driftfield.gridded.gridded_files import open_fields

    check_output(out, overwrite=overwrite, suffixes=(".csv",))
    rows = extracted(open_fields(file), at, variables=variable, members=members)
    write_text(out, rows.to_csv(index=False, float_format="%.7g"), overwrite=overwrite)
    without = int((rows["problem"] != "").sum())
    print(
        f"wrote {out}: {len(rows)} rows"
        + (f", {without} of them without a value (column 'problem')" if without else "")
    )
