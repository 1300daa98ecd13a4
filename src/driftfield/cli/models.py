"""`driftfield models`."""

__all__ = ["models"]

from typing import TYPE_CHECKING

from driftfield.cli.shared import Job, app

if TYPE_CHECKING:
    from driftfield.checkpoint import Run


@app.command(rich_help_panel=Job.LOOK)
def models() -> None:
    """List the runs that come with the package: what they complete, from what, and where."""
    from driftfield.checkpoint import read_run
    from driftfield.runs import shipped_runs

    for name, folder in shipped_runs().items():
        print(f"shipped:{name}\n    {_about(read_run(folder))}")


def _about(run: "Run") -> str:
    """Method, variables and place of a run."""
    import numpy as np

    facts = run.extra.get("codec", run.extra)
    targets = facts.get("targets")
    if not targets:
        return f"{run.class_name}: not bound to variables or a place"
    covariates = facts.get("covariates") or [v for v in facts.get("variables", ()) if v not in targets]
    said = f"{run.class_name} of {', '.join(targets)}" + (f" with {', '.join(covariates)}" if covariates else "")

    def axis(kind: str) -> "np.ndarray | None":
        found = [array for key, array in run.arrays.items() if key.rpartition(".")[2] == kind]
        return max(found, key=len) if found else None

    for kind, unit in (("depth", "m"), ("lat", "°N"), ("lon", "°E")):
        if (values := axis(kind)) is not None:
            said += f"; {kind} {float(np.min(values)):.4g} to {float(np.max(values)):.4g} {unit} ({values.size})"
    return said
