"""`driftfield hub push`."""

__all__ = ["push"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Overwrite, hub_app
from driftfield.errors import ConfigurationError


@hub_app.command()
def push(
    run: Annotated[Path, typer.Argument(help="Run folder that `driftfield train` wrote.")],
    repo: Annotated[str, typer.Argument(help="OWNER/NAME of the repository; made if it is not there.")],
    licence: Annotated[
        str, typer.Option("--license", help="Of the weights, as the service spells it: apache-2.0, cc-by-4.0, other.")
    ],
    data: Annotated[
        str, typer.Option(help="What it learnt from and on which terms, in your words, for the card.")
    ] = "",
    scores: Annotated[
        Path | None, typer.Option(help="REPORT/scores.json of `driftfield evaluate`, for the card.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="If it is made now: seen by you alone.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the files and the card; ask the service nothing.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Push a run to a model hub: weights, description, recipe, hashes of them, and a card. Log in with `hf auth login` before.

    Example: driftfield hub push runs/mine sea-lab/sst-atlantic --license cc-by-4.0 --scores report/scores.json
    """
    from driftfield.checkpoint import read_run
    from driftfield.hub.manifest import CARD, MANIFEST, parts_of
    from driftfield.hub.reference import HubReference
    from driftfield.hub.service import push as pushed
    from driftfield.reconstruction.card import Provenance, machine_paths, read_scores, write_card
    from driftfield.runs import find_run

    named = HubReference.parse(repo)
    if named.revision is not None or "/" not in named.repo:
        raise ConfigurationError(f"Found {repo}: a push goes to OWNER/NAME, without a revision.")
    repo = named.repo
    folder = find_run(run)
    content = read_run(folder)
    parts, behind = parts_of(folder)
    recipe = folder / "recipe.yaml"
    text = recipe.read_text(encoding="utf-8") if recipe.is_file() else ""
    card = write_card(content, repo, Provenance(licence, data, text, read_scores(scores) if scores else {}))
    size = sum(path.stat().st_size for path in parts.values()) / 1e6
    print(f"{repo}: {', '.join([*parts, CARD, MANIFEST])} ({size:.1f} MB)")
    if behind:
        print(f"left behind, as no reconstruction needs it: {', '.join(behind)}")
    if paths := machine_paths(parts):
        print(f"readable by all who see the repository, paths of this machine: {', '.join(paths[:5])}")
    if dry_run:
        print(f"\n{card}")
        return
    outcome = pushed(parts, card, repo, private=private, overwrite=overwrite)
    print(f"pushed {outcome.address}\n  driftfield inspect {outcome.reference}")
