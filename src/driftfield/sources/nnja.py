"""Observations of the atmosphere from the archive NNJA-AI: BUFR decoded to Parquet, a folder a day, on public cloud storage.

    catalog.json --data set--> its description (units, root) --day--> ROOT/OBS_DATE=2021-01-01/*.parquet --columns, region--> rows

A piece is a day. The columns asked for are read and the region is cut before anything is kept; the rows become the table of
observations, a row per value. `--variable t2m=TMPSQ1.TMDB` gives a column a name of ours.
"""

__all__ = ["NNJASource"]

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.errors import ConfigurationError, DataError, need, suggest
from driftfield.observations.table import ObservationTable
from driftfield.sources.asked import AskedBox, Piece, eastward, spans
from driftfield.sources.fetching import EMPTY, Carrier, client_errors, public_fsspec

PLACES = ("OBS_TIMESTAMP", "LAT", "LON")
PLATFORMS = ("RPID", "STID", "SAID", "WMOS")
UNITS_KEY = b"driftfield_units"


class NNJASource:
    """Data sets such as conv-adpsfc-NC000001 (stations at the surface); variables are columns, by their own or by our names."""

    server = "gs://gcp-nnja-ai/data/v1"
    terms = "NNJA-AI is CC-BY 4.0; cite doi:10.5281/zenodo.14633508"
    account = "no account"
    takes: tuple[str, ...] = ("dataset",)

    def carrier(self, server: str) -> Carrier:
        """Reads the store; its catalogue once."""
        return partial(_rows_of_a_day, {}, server)

    def pieces(self, asked: AskedBox, server: str) -> list[Piece]:
        """A day each.

        Raises:
            ConfigurationError: no data set, or no variable.
        """
        if not asked.dataset or not asked.variables:
            raise ConfigurationError(
                "nnja has no usual data set and variable: expected --dataset, such as conv-adpsfc-NC000001, and --variable NAME "
                "or OURS=NAME, such as t2m=TMPSQ1.TMDB."
            )
        columns = sorted(set(_names(asked.variables).values()))
        pieces = []
        for day, _ in spans(asked.first, asked.last, 1):
            request = {"columns": columns, "lat": list(asked.lat), "lon": list(eastward(*asked.lon)), "day": str(day)}
            url = f"{server} {asked.dataset} OBS_DATE={day} {json.dumps(request)}"
            call = request | {"dataset": asked.dataset}
            pieces.append(Piece(url, f"{asked.dataset}_{day}.parquet", may_be_empty=True, request=call))
        return pieces

    def joined(self, files: Sequence[Path], asked: AskedBox) -> xr.Dataset:
        """The table of observations.

        Raises:
            DataError: there is no row in the box.
        """
        tables = []
        for path in files:
            if path.read_bytes()[: len(EMPTY)] != EMPTY:
                tables += _tables(path, _names(asked.variables))
        if not tables or not (joined := ObservationTable.join(tables)):
            raise DataError("No observation in this box and time. Ask for a wider one.")
        order = np.argsort(joined.time, kind="stable")
        return joined.select(order).to_dataset()


def _names(variables: Sequence[str]) -> dict[str, str]:
    """Our name -> column."""
    parts = [text.partition("=") for text in variables]
    return {ours: column if sign else ours for ours, sign, column in parts}


def _rows_of_a_day(catalogue: dict[str, Any], server: str, piece: Piece, part: Path) -> None:
    fsspec = public_fsspec("NNJA-AI")
    parquet = need("pyarrow.parquet", "parquet", "NNJA-AI")
    asked = piece.request

    def unreadable(error: Exception) -> str:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        return f"{server} could not be read: {said}. Check its address and the data set."

    with client_errors(unreadable):
        if not catalogue:
            catalogue.update(_described(fsspec, server, asked["dataset"]))
        files, root = fsspec.url_to_fs(f"{catalogue['root'].rstrip('/')}/OBS_DATE={asked['day']}")
        try:
            listed = sorted(name for name in files.ls(root, detail=False) if name.endswith(".parquet"))
        except FileNotFoundError:
            listed = []
        kept = [_cut(parquet, files, name, catalogue["units"], asked) for name in listed]
        rows = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()
    if rows.empty:
        part.write_bytes(EMPTY)
        return
    table = need("pyarrow", "parquet", "NNJA-AI").Table.from_pandas(rows, preserve_index=False)
    units = json.dumps({name: catalogue["units"].get(name, "") for name in asked["columns"]}).encode()
    parquet.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), UNITS_KEY: units}), part)


def _described(fsspec: Any, server: str, dataset: str) -> Mapping[str, Any]:
    """Where the rows of a data set lie, and the units of its columns."""
    with fsspec.open(f"{server}/catalog.json", "rb") as file:
        catalogue = json.load(file)
    known: dict[str, str] = {}
    for group, of_group in catalogue.items():
        for message, described in of_group["datasets"].items():
            spellings = [str(described["name"]), f"{group}_{described['name']}", f"{group}-{message}"]
            spellings += [str(group)] if len(of_group["datasets"]) == 1 else []
            known |= dict.fromkeys(spellings, str(described["json"]))
    if dataset not in known:
        raise DataError(f"NNJA-AI has no data set {dataset!r}: {suggest(dataset, known)}")
    with fsspec.open(_under(server, known[dataset]), "rb") as file:
        described = json.load(file)
    units = {str(v["id"]): str((v.get("extra_metadata") or {}).get("units") or "") for v in described["variables"]}
    return {"root": _under(server, str(described["parquet_root_path"])), "units": units}


def _under(server: str, path: str) -> str:
    return path if "://" in path else f"{server}/{path.lstrip('/')}"


def _cut(parquet: Any, files: Any, name: str, units: Mapping[str, str], asked: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of one file in the region, with places, platforms and the columns that were asked for."""
    with files.open(name, "rb") as file:
        content = parquet.ParquetFile(file)
        present = list(content.schema_arrow.names)
        for column in (*PLACES, *asked["columns"]):
            if column not in present:
                raise DataError(f"{asked['dataset']} has no column {column!r}: {suggest(column, present)}")
        platform = [column for column in PLATFORMS if column in present][:1]
        frame = content.read(columns=[*PLACES, *asked["columns"], *platform]).to_pandas()
    lat, lon = frame["LAT"].to_numpy(float), frame["LON"].to_numpy(float)
    (south, north), (west, east) = asked["lat"], asked["lon"]
    inside = (lat >= south) & (lat <= north) & ((lon - west) % 360.0 <= east - west)
    return frame[inside & frame[asked["columns"]].notna().any(axis=1).to_numpy()]


def _tables(path: Path, names: Mapping[str, str]) -> list[ObservationTable]:
    """A table for each variable of a piece."""
    parquet = need("pyarrow.parquet", "parquet", "NNJA-AI")
    content = parquet.read_table(path)
    units = json.loads((content.schema.metadata or {}).get(UNITS_KEY, b"{}"))
    frame = content.to_pandas()
    platform = next((column for column in PLATFORMS if column in frame), None)
    tables = []
    for ours, column in names.items():
        rows = frame[frame[column].notna()]
        unit = {"units": units[column]} if units.get(column) else {}
        tables.append(
            ObservationTable.of(
                attrs={ours: unit},
                longitude=rows["LON"].to_numpy(),
                latitude=rows["LAT"].to_numpy(),
                time=pd.to_datetime(rows["OBS_TIMESTAMP"], utc=True).dt.tz_localize(None).to_numpy("datetime64[us]"),
                variable=np.full(len(rows), ours, dtype=object),
                value=rows[column].to_numpy(float),
                platform="" if platform is None else rows[platform].astype(str).to_numpy(object),
            )
        )
    return [table for table in tables if len(table)]
