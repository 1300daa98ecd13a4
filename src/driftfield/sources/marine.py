"""GLORYS12, and other gridded data sets of the Copernicus Marine Service, through its client copernicusmarine.

Days are asked for in pieces of up to 200 MB. Credentials are those of the client: `copernicusmarine login`, or its environment
variables.
"""

__all__ = ["GLORYSSource"]

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import require
from driftfield.errors import need
from driftfield.gridded.gridded_files import open_fields
from driftfield.gridded.region import select_region
from driftfield.sources.asked import AskedBox, Piece, cells_in, eastward, spans
from driftfield.sources.fetching import Carrier, TryAgainError, client_errors

DATASET = "cmems_mod_glo_phy_my_0.083deg_P1D-m"
SPACING = 1 / 12
LEVELS = (
    0.494, 1.541, 2.646, 3.819, 5.078, 6.441, 7.93, 9.573, 11.41, 13.47, 15.81, 18.5, 21.6, 25.21, 29.44, 34.43, 40.34,
    47.37, 55.76, 65.81, 77.85, 92.33, 109.7, 130.7, 155.9, 186.1, 222.5, 266.0, 318.1, 380.2, 453.9, 541.1, 643.6, 763.3,
    902.3, 1062.0, 1245.0, 1452.0, 1684.0, 1942.0, 2225.0, 2533.0, 2866.0, 3221.0, 3597.0, 3992.0, 4405.0, 4833.0, 5275.0, 5728.0,
)  # fmt: skip
"""Metres."""
SURFACE = ("zos", "mlotst", "bottomT", "siconc", "sithick", "usi", "vsi")
PIECE_BYTES = 200_000_000


class GLORYSSource:
    """Daily fields; variables are thetao, or more of so, uo, vo, zos, mlotst, siconc ..."""

    server = "copernicusmarine"
    terms = "free under the licence of the Copernicus Marine Service; cite doi:10.48670/moi-00021"
    account = "a free account of the Copernicus Marine Service (`copernicusmarine login`)"
    takes: tuple[str, ...] = ("depth", "dataset")

    def carrier(self, server: str) -> Carrier:
        """The client."""
        return _subset

    def pieces(self, asked: AskedBox, server: str) -> list[Piece]:
        """A request for some days; how large it is, is known of the usual data set."""
        dataset, names = asked.dataset or DATASET, list(asked.variables or ("thetao",))
        daily = _bytes_a_day(asked, names) if dataset == DATASET else None
        days = 30 if daily is None else max(1, min(31, PIECE_BYTES // max(1, daily)))
        west, east = eastward(*asked.lon)
        pieces = []
        for first, last in spans(asked.first, asked.last, days):
            request: dict[str, Any] = {
                "dataset_id": dataset,
                "variables": names,
                "minimum_longitude": west,
                "maximum_longitude": east,
                "minimum_latitude": asked.lat[0],
                "maximum_latitude": asked.lat[1],
                "start_datetime": f"{first}T00:00:00",
                "end_datetime": f"{last}T23:59:59",
            }
            if asked.depth is not None:
                request |= {"minimum_depth": asked.depth[0], "maximum_depth": asked.depth[1]}
            size = None if daily is None else daily * ((last - first).days + 1)
            url = f"copernicusmarine subset {json.dumps(request)}"
            pieces.append(Piece(url, f"{dataset}_{first}.nc", size, request=request))
        return pieces

    def joined(self, files: Sequence[Path], asked: AskedBox) -> xr.Dataset:
        """The region on all days."""
        fields = open_fields(list(files))
        names = list(asked.variables or ("thetao",))
        require(fields, names, "the files of the service")
        return select_region(fields[names], {"lat": list(asked.lat), "lon": list(asked.lon)})


def _subset(piece: Piece, part: Path) -> None:
    client = need("copernicusmarine", "glorys", "GLORYS")
    whole = part.with_name(f"{piece.name}.subset.nc")
    try:
        with client_errors(_refused):
            client.subset(
                **piece.request,
                output_directory=str(part.parent),
                output_filename=whole.name,
                overwrite=True,
                disable_progress_bar=True,
            )
            with xr.open_dataset(whole) as fields:
                require(fields, piece.request["variables"], "the answer of the service")
        whole.replace(part)
    finally:
        whole.unlink(missing_ok=True)


def _refused(error: Exception) -> str:
    if type(error).__name__ == "CouldNotConnectToAuthenticationSystem":  # no refusal
        raise TryAgainError("no connection to the service that knows the accounts") from error
    said = " ".join(str(error).split())[:400] or (type(error).__doc__ or type(error).__name__).strip().splitlines()[0]
    if type(error).__name__ in ("InvalidUsernameOrPassword", "CredentialsCannotBeNone", "Abort"):
        return f"The Copernicus Marine Service knows no such account: {said}. Run `copernicusmarine login` once."
    return f"copernicusmarine refused the request: {type(error).__name__}: {said}. Check data set, region, dates and variables."


def _bytes_a_day(asked: AskedBox, names: Sequence[str]) -> int:
    """At most: single precision, not compressed."""
    shallow, deep = asked.depth or (0.0, np.inf)
    levels = sum(shallow <= level <= deep for level in LEVELS) or 1
    return 4 * cells_in(asked, SPACING) * sum(1 if name in SURFACE else levels for name in names)
