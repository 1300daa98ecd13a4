"""`driftfield compare`."""

__all__ = ["compare"]

import shlex
from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.options import Cluster
from driftfield.cli.shared import Job, Overwrite, app, check_counts, check_output, open_crew_of, reporting
from driftfield.errors import ConfigurationError


@app.command(rich_help_panel=Job.JUDGE)
def compare(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe of a comparison, such as recipes/compare/ersst.yaml.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="OUT.md; OUT.json beside it. docs/comparison/NAME.md by default.")
    ] = None,
    members: Annotated[int | None, typer.Option(help="Size of the ensembles, in place of the recipe's.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Compare this method only (repeat).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.of.the.recipe=value (repeat).")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of runs and of results that are kept.")] = Path("runs"),
    train: Annotated[
        bool, typer.Option("--train", help="Train networks whose run is missing; may take hours.")
    ] = False,
    afresh: Annotated[bool, typer.Option("--afresh", help="Fit and compute again what is there already.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the reconstructions too, not only their scores.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the pairs of method and setting that a killed one had begun.")
    ] = False,
    cluster: Cluster = None,
    overwrite: Overwrite = False,
) -> None:
    """Set all methods before the same observations of a data set; write one table of their scores.

    Example: driftfield compare recipes/compare/ersst.yaml
    """
    target = Path("docs/comparison") / f"{recipe.stem}.md" if out is None else out
    if target.suffix != ".md":
        raise ConfigurationError(f"Cannot write {target}: expected a name that ends in .md. Rename the output.")
    for path in (target, target.with_suffix(".json")):
        check_output(path, overwrite=overwrite, suffixes=())
    check_counts({"--members": members})
    from driftfield.compare import read_comparison, run_comparison, write_tables
    from driftfield.compare.pairs import AskedComparison, Sharing

    comparison = read_comparison(recipe, set_ or [], runs=runs)
    with open_crew_of(cluster) as crew:
        asked = AskedComparison(recipe, tuple(set_ or ()), runs)
        sharing = Sharing(resume, crew, asked, lambda length: reporting(length, crew))
        results = run_comparison(
            comparison,
            members=members,
            only=only or (),
            runs=runs,
            train=train,
            afresh=afresh,
            keep=keep,
            sharing=sharing,
        )
    words = ["driftfield", "compare", str(recipe)]
    words += ["--members", str(members)] if members is not None else []
    words += [part for label in only or () for part in ("--only", label)]
    words += [part for text in set_ or () for part in ("--set", text)]
    write_tables(results, target, command=shlex.join(words), overwrite=overwrite)
    for note in results.notes:
        print(f"left out  {note}")
    print(f"wrote {target} and {target.with_suffix('.json')}")
