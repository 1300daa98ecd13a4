"""`driftfield models`."""

__all__ = ["models"]

from driftfield.cli.shared import Job, app


@app.command(rich_help_panel=Job.LOOK)
def models() -> None:
    """List the runs that come with the package: what they complete, from what, and where.

    Example: driftfield models
    """
    from driftfield.checkpoint import read_run
    from driftfield.reconstruction.description import about
    from driftfield.runs import shipped_runs

    for name, folder in shipped_runs().items():
        print(f"shipped:{name}\n    {about(read_run(folder))}")
