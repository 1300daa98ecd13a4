"""`driftfield evaluate`."""

__all__ = ["evaluate"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.evaluation_parts import Parts, make_parts, structure_of, write_parts
from driftfield.cli.options import QualityLevel, RejectFlags, read_acceptance
from driftfield.cli.shared import Job, Overwrite, Region, app, check_output, read_region


@app.command(rich_help_panel=Job.JUDGE)
def evaluate(
    truth: Annotated[Path, typer.Argument(help="The complete fields.")],
    outputs: Annotated[list[Path], typer.Argument(help="Reconstructions to score.")],
    out: Annotated[Path, typer.Option("--out", help="Report folder to write.")],
    observations: Annotated[
        Path | None,
        typer.Option("--observations", help="The observation file they were made from; without it every cell counts."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Scores by hour, month, season, year (commas): REPORT/groups.csv.")
    ] = None,
    land: Annotated[
        str | None, typer.Option("--land", help="FILE or FILE:VARIABLE with land: groups land and sea.")
    ] = None,
    in_box: Annotated[
        list[str] | None,
        typer.Option("--in-box", help="NAME=SOUTH:NORTH:WEST:EAST in degrees, a group of its own (repeat)."),
    ] = None,
    sites: Annotated[
        Path | None, typer.Option("--sites", help="CSV of stations: name, lat, lon; a group each.")
    ] = None,
    cells: Annotated[bool, typer.Option("--cells", help="Scores of every cell: REPORT/cells.nc.")] = False,
    rain: Annotated[
        str | None, typer.Option("--rain", help="Variable of rain: wet days, extremes, spells, near misses.")
    ] = None,
    wet: Annotated[float, typer.Option("--wet", help="From which value on it is wet, units of the variable.")] = 1.0,
    coarse: Annotated[
        Path | None,
        typer.Option("--coarse", help="What was downscaled: power beyond its cells, distance of spectra."),
    ] = None,
    area_weighted: Annotated[bool, typer.Option("--area-weighted", help="Weight cells by their area.")] = False,
    region: Region = None,
    quality_level: QualityLevel = None,
    reject_flags: RejectFlags = None,
    overwrite: Overwrite = False,
) -> None:
    """Score reconstructions on the hidden cells of the domain, or downscaled fields on all; write scores.json and report.html.

    Example: driftfield evaluate truth.nc fields.nc oi.nc --observations seen.nc --out report
    """
    from driftfield.conventions import state_variables
    from driftfield.evaluate.alignment import everything_held_out
    from driftfield.evaluate.comparison import scores_table
    from driftfield.evaluate.evaluation import evaluate as score
    from driftfield.evaluate.report import write_report_folder
    from driftfield.gridded.gridded_files import open_fields
    from driftfield.gridded.measures import Measures
    from driftfield.gridded.region import select_region
    from driftfield.gridded.removal import count_removed
    from driftfield.gridded.units import check_plausible

    check_output(out, overwrite=overwrite, suffixes=())
    parts = Parts(by, land, tuple(in_box or ()), sites, cells, rain, wet, coarse)
    parts.check()
    fields = open_fields(truth, marks=True, acceptance=read_acceptance(quality_level, reject_flags))
    methods = {str(path): open_fields(path) for path in outputs}  # named by their attribute `method` where it is unique
    seen = None if observations is None else open_fields(observations)
    if box := read_region(region):
        fields, seen = select_region(fields, box), None if seen is None else select_region(seen, box)
        methods = {path: select_region(output, box) for path, output in methods.items()}
    fields, _ = count_removed(fields, state_variables(fields), str(truth))
    for name in state_variables(fields):
        if any(name in output for output in methods.values()):
            check_plausible(fields[name], source=str(truth))
    measures = Measures.fit(fields, state_variables(fields))
    methods = {path: measures.brought(output, path) for path, output in methods.items()}
    seen = everything_held_out(fields, methods) if seen is None else measures.brought(seen, str(observations))
    made = make_parts(parts, fields, methods, seen)
    structure = structure_of(parts, methods, measures)
    evaluation = score(fields, methods, seen, area_weighted=area_weighted, structure=structure)
    provenance = {
        "truth": str(truth),
        "observations": str(observations or "none: every cell counts"),
        "outputs": [str(path) for path in outputs],
    }
    write_report_folder(evaluation, fields, methods, seen, provenance=provenance, folder=out, overwrite=overwrite)
    print(scores_table(evaluation))
    further = write_parts(made, out)
    also = "".join(f", {path}" for path in further)
    print(f"wrote {out / 'report.html'}, {out / 'scores.json'}, {out / 'figures'}{also}")
