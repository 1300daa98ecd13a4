"""`driftfield models`."""

__all__ = ["models"]

from driftfield.cli.shared import Job, app


@app.command(rich_help_panel=Job.LOOK)
def models() -> None:
    """List the runs that come with the package, and those fetched from a hub: what they complete, from what, and where.

    Example: driftfield models
    """
    from driftfield.checkpoint import read_run
    from driftfield.hub.service import cached_runs
    from driftfield.reconstruction.card import headline
    from driftfield.reconstruction.description import about
    from driftfield.runs import shipped_runs

    for name, folder in shipped_runs().items():
        print(f"shipped:{name}\n    {about(read_run(folder))}")
    for reference, folder in cached_runs().items():
        print(f"{reference}\n    {headline(folder)}")
