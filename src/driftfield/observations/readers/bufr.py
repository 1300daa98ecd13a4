"""BUFR, the messages in which observations are exchanged (WMO, EUMETSAT, ECMWF), decoded by pdbufr and ecCodes (extra `bufr`).

    messages    latitude longitude year...minute | depthBelowWaterSurface | oceanographicWaterTemperature salinity ...
    rows        a row per depth, or per report;  thetao=oceanographicWaterTemperature names a variable by ecCodes' key

Units are those that the messages state. Where a report has depths (or pressures of the water) each of them is a row; what lies
on levels of atmospheric pressure is refused, since the rows of one place would not be told apart. Quality bits are not read.
"""

__all__ = ["keys_of", "read_bufr"]

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from driftfield.errors import DataError, FileFormatError, need
from driftfield.observations.readers.argo import reading_of_rows
from driftfield.observations.readers.quality import Quality
from driftfield.observations.readers.reader import Reading

log = logging.getLogger(__name__)

DEPTHS = ("depthBelowWaterSurface", "depthBelowSeaSurface")
PRESSURES_OF_WATER = ("waterPressure",)
PLATFORMS = (
    "marineObservingPlatformIdentifier", "stationaryBuoyPlatformIdentifierEGCManBuoys", "buoyOrPlatformIdentifier",
    "shipOrMobileLandStationIdentifier", "WMO_station_id", "stationIdentifier", "satelliteIdentifier",
)  # fmt: skip
UNITS = {"0/00": "1e-3", "part per thousand": "1e-3", "deg": "degree", "degree true": "degree"}
"""Of BUFR's tables, as CF spells them."""
LOOKED_AT = 20
"""Messages whose keys are looked at."""


def read_bufr(path: Path, keys: Mapping[str, str], quality: Quality, units: Mapping[str, str]) -> Reading:
    """Reads the messages of a file.

    Arguments:
        path: Of the file.
        keys: Our name -> key of ecCodes.
        quality: What is asked of a value.
        units: Of all keys that the messages have, see `keys_of`.

    Raises:
        DataError: the values lie on levels of atmospheric pressure, or none has a place and a date.
        FileFormatError: messages that cannot be decoded.
        MissingExtraError: pdbufr is not installed.
    """
    pdbufr = need("pdbufr", "bufr", "Reading BUFR")
    depth = next((key for key in (*DEPTHS, *PRESSURES_OF_WATER) if key in units), None)
    platform = next((key for key in PLATFORMS if key in units), None)
    columns = ["data_datetime", "latitude", "longitude", *filter(None, (depth, platform))]
    in_air = "pressure" in units and depth is None
    wanted = [*columns, *dict.fromkeys(keys.values()), *(["pressure"] if in_air else [])]
    with _readable(path):
        frame = pdbufr.read_bufr(path, columns=wanted, required_columns=["data_datetime", "latitude", "longitude"])
    frame = frame.reindex(columns=wanted)
    frame = frame[frame[list(keys.values())].notna().any(axis=1)].reset_index(drop=True)
    if in_air:
        for key in keys.values():
            _check_one_level(frame[frame[key].notna()], key, path)
        frame = frame.drop(columns="pressure")
    if frame.empty:
        raise DataError(f"No message of {path} has a value of {', '.join(keys.values())} with a place and a date.")
    names = {"data_datetime": "time", **({depth: "pres" if depth in PRESSURES_OF_WATER else "depth"} if depth else {})}
    names |= {platform: "platform_number"} if platform else {}
    frame = frame.rename(columns=names)
    for key in keys.values():
        frame[key] = pd.to_numeric(frame[key], errors="coerce").astype(float)
    attrs = {ours: {"units": UNITS.get(units[key].lower(), units[key])} for ours, key in keys.items()}
    more = {names[depth]: "Pa" if depth in PRESSURES_OF_WATER else "m"} if depth else {}
    return reading_of_rows(frame, keys, quality, attrs, more, str(path))


def _check_one_level(rows: pd.DataFrame, key: str, path: Path) -> None:
    """Refuses values of one place and date on several levels of pressure."""
    levels = rows.groupby(["data_datetime", "latitude", "longitude"], dropna=False)["pressure"].nunique()
    if (levels > 1).any():
        raise DataError(
            f"{key} of {path} lies on levels of atmospheric pressure, up to {int(levels.max())} at one place, which have no "
            "depth. Decode the level that you want with pdbufr (filters={'pressure': 50000}) into a table (.csv, .parquet)."
        )


def keys_of(path: Path) -> dict[str, str]:
    """The keys of the data in the first messages, with their units.

    Raises:
        FileFormatError: messages that cannot be decoded.
        MissingExtraError: pdbufr is not installed.
    """
    codes: Any = need("eccodes", "bufr", "Reading BUFR")
    units: dict[str, str] = {}
    with _readable(path), path.open("rb") as file:
        for _ in range(LOOKED_AT):
            message = codes.codes_bufr_new_from_file(file)
            if message is None:
                break
            codes.codes_set(message, "unpack", 1)
            for key in _keys(codes, message):
                if key not in units:
                    units[key] = _unit(codes, message, key)
            codes.codes_release(message)
    return units


def _keys(codes: Any, message: Any) -> Iterator[str]:
    iterator = codes.codes_bufr_keys_iterator_new(message)
    while codes.codes_bufr_keys_iterator_next(iterator):
        name = codes.codes_bufr_keys_iterator_get_name(iterator)
        if name.startswith("#"):
            yield name.rpartition("#")[2]
    codes.codes_bufr_keys_iterator_delete(iterator)


def _unit(codes: Any, message: Any, key: str) -> str:
    try:
        return str(codes.codes_get_string(message, f"{key}->units"))
    except codes.CodesInternalError:
        return ""


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    codes: Any = need("eccodes", "bufr", "Reading BUFR")
    try:
        yield
    except (codes.CodesInternalError, KeyError, ValueError) as error:
        raise FileFormatError(
            f"Cannot decode the BUFR messages of {path}: {error}. Check that the file is whole."
        ) from error
