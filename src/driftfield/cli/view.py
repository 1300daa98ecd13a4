"""`driftfield view`."""

__all__ = ["view"]

from pathlib import Path
from typing import Annotated

import typer

from driftfield.cli.shared import Job, app


@app.command(rich_help_panel=Job.LOOK)
def view(
    file: Annotated[
        Path, typer.Argument(help="A reconstruction, samples, a forecast, observations or complete fields.")
    ],
    beside: Annotated[Path | None, typer.Option(help="A second file, shown beside it, and the difference.")] = None,
    observations: Annotated[
        Path | None,
        typer.Option(help="An observation file on the same cells: its values lie on the map, with departures."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the loopback; 0 for any free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Look at a file in the browser: maps, profiles, time series and sections; Ctrl-C ends it.

    The page is served to this machine alone, to whoever has the address that is printed, and shows files of the folder of FILE.

    Example: driftfield view fields.nc --beside truth.nc --observations seen.nc
    """
    import webbrowser

    from driftfield.errors import ConfigurationError
    from driftfield.viewer.folder import ViewedFolder
    from driftfield.viewer.server import ViewerServer

    if not 0 <= port < 65536:
        raise ConfigurationError(f"Found --port {port}: expected 0 to 65535.")
    shown = [path for path in (file, beside, observations) if path is not None]
    names = {path.name if [p.name for p in shown].count(path.name) == 1 else str(path): path for path in shown}
    folder = ViewedFolder(file.resolve().parent, names)
    for name in names:
        folder.open(name)
    try:
        server = ViewerServer(folder, port)
    except OSError as error:
        raise ConfigurationError(f"Cannot use port {port}: {error.strerror}. Choose another, or 0.") from error
    keys = dict(zip(("file", "beside", "observations"), (file, beside, observations), strict=True))
    called = {path: name for name, path in names.items()}
    from urllib.parse import urlencode

    state = urlencode({key: called[path] for key, path in keys.items() if path is not None})
    address = f"{server.url}#{state}"
    print(f"looking at {', '.join(names)}: {address}", flush=True)
    if browser:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped")
    finally:
        server.server_close()
