"""`driftfield evaluate`."""

__all__ = ["evaluate"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Overwrite, Region, app, check_output, read_region


@app.command()
def evaluate(
    truth: Annotated[Path, typer.Argument(help="The complete fields.")],
    outputs: Annotated[list[Path], typer.Argument(help="Reconstructions to score.")],
    observations: Annotated[Path, typer.Option("--observations", help="The observation file they were made from.")],
    out: Annotated[Path, typer.Option("--out", help="Report folder to write.")],
    area_weighted: Annotated[bool, typer.Option("--area-weighted", help="Weight cells by their area.")] = False,
    region: Region = None,
    overwrite: Overwrite = False,
) -> None:
    """Score reconstructions on the hidden cells of the domain; write scores.json, figures and report.html."""
    from driftfield.conventions import state_variables
    from driftfield.evaluate.comparison import scores_table
    from driftfield.evaluate.evaluation import evaluate as score
    from driftfield.evaluate.report import write_report_folder
    from driftfield.gridded.gridded_files import open_fields
    from driftfield.gridded.measures import Measures
    from driftfield.gridded.region import select_region

    check_output(out, overwrite=overwrite, suffixes=())
    fields, seen = open_fields(truth), open_fields(observations)
    methods = {str(path): open_fields(path) for path in outputs}  # named by their attribute `method` where it is unique
    if box := read_region(region):
        fields, seen = select_region(fields, box), select_region(seen, box)
        methods = {path: select_region(output, box) for path, output in methods.items()}
    measures = Measures.fit(fields, state_variables(fields))
    methods = {path: measures.brought(output, path) for path, output in methods.items()}
    seen = measures.brought(seen, str(observations))
    evaluation = score(fields, methods, seen, area_weighted=area_weighted)
    provenance = {"truth": str(truth), "observations": str(observations), "outputs": [str(path) for path in outputs]}
    write_report_folder(evaluation, fields, methods, seen, provenance=provenance, folder=out, overwrite=overwrite)
    print(scores_table(evaluation))
    print(f"wrote {out / 'report.html'}, {out / 'scores.json'} and {out / 'figures'}")
