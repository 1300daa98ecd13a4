"""From files to the table of observations.

    our own table (NetCDF, CSV, Parquet: a row per value)        as it is; so is one of `driftfield gather --table`
    CF discrete sampling geometry (point, trajectory, profile)   every value takes the coordinates of its instance
    Argo, ERDDAP, World Ocean Database, along-track altimetry    through `data.readers`, flags and modes honoured
    BUFR                                                         decoded by pdbufr, by the keys of ecCodes

The geometries of CF 1.10, chapter 9: a variable on (instance, element), on a dimension of samples with a `sample_dimension`
(contiguous ragged) or an `instance_dimension` (indexed ragged), or on one dimension of points. Where a coordinate lies on fewer
dimensions than the value, it holds for all of the others.
"""

__all__ = ["from_dataset", "read_observations"]

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.conventions import description_of
from driftfield.errors import DataError, FileFormatError, UserError, suggest
from driftfield.gridded.gridded_files import expand_paths
from driftfield.gridded.stores import options_for
from driftfield.gridded.units import convert, depth_of_pressure
from driftfield.observations.columns import PARQUETS, TEXTS, header_of, is_bufr, read_rows, read_text, separator_of
from driftfield.observations.readers import Quality, read_points
from driftfield.observations.readers.collection import are_points
from driftfield.observations.readers.potential import is_potential, to_potential
from driftfield.observations.table import COLUMNS, ObservationTable

log = logging.getLogger(__name__)

_STANDARD = {
    "longitude": "longitude",
    "latitude": "latitude",
    "time": "time",
    "depth": "depth",
    "height": "depth",
    "altitude": "depth",
    "sea_water_pressure": "pressure",
}
_NAMES = {name: ours for ours in ("longitude", "latitude", "depth", "time") for name in (ours, *COLUMNS[ours])}
_NAMES |= {"pres": "pressure", "pressure": "pressure"}
_GEOMETRIES = ("point", "profile", "trajectory", "trajectoryprofile", "timeseries", "timeseriesprofile")


def read_observations(
    paths: str | Path | Sequence[str | Path],
    variables: Mapping[str, str] | None = None,
    quality: Quality | None = None,
    *,
    potential: Sequence[str] | None = None,
) -> ObservationTable:
    """Reads files of any of these kinds into one table.

    Arguments:
        paths: Files or globs: .nc, .csv (.tsv, .txt), .parquet.
        variables: Our name -> name in the files; may be left out for tables of our own, which name their variables.
        quality: What is asked of profiles and tracks; the default honours flags, modes and ranges.
        potential: Variables that the state carries as potential temperature: temperatures in situ that profiles and tracks
            hold are turned into it. By default those that models call so, such as thetao; an empty list for none.

    Raises:
        DataError: no such file, a variable that none of them has, units that do not convert.
        FileFormatError: a file that is none of the known kinds, or damaged.
        MissingExtraError: a Parquet file without the library that reads it.
    """
    tables, delivered = [], []
    for path in expand_paths(paths):
        table = _own_table(path, variables)
        if table is None:
            delivered.append(path)
        else:
            log.info("%s: a table of %d observations", path, len(table))
            tables.append(table)
    if delivered:
        if not variables:
            raise DataError(
                f"{delivered[0]} is no table with a column 'variable': say which variables are meant, such as thetao=TEMP."
            )
        points = read_points(delivered, variables, quality)
        for name in filter(is_potential, variables) if potential is None else potential:
            points = to_potential(points, name) if name in points else points
        tables.append(ObservationTable.from_points(points))
    return ObservationTable.join(tables)


def from_dataset(
    dataset: xr.Dataset, variables: Mapping[str, str] | None = None, *, source: str = "the data set"
) -> ObservationTable:
    """From a data set with a CF discrete sampling geometry, or with the columns of our own table.

    Arguments:
        dataset: Opened, times decoded.
        variables: Our name -> name in the data set. Errors and flags are found as `<name>_error` or `_uncertainty`, and as
            `<name>_quality`, `_flag` or `_qc`, on Argo's scale.
        source: What messages call it.

    Raises:
        DataError: no such variable, or no coordinates for it.
    """
    if {"variable", "value"} <= {str(name) for name in dataset.variables}:
        frame = dataset.reset_coords().to_dataframe().reset_index(drop=True)
        return _chosen(ObservationTable.from_frame(frame), variables, source)
    if not variables:
        raise DataError(f"Say which variables of {source} are meant: found {sorted(map(str, dataset.data_vars))}.")
    tables = []
    for ours, theirs in variables.items():
        if theirs not in dataset:
            raise DataError(f"No variable {theirs!r} in {source}: {suggest(theirs, map(str, dataset.data_vars))}")
        tables.append(_one_variable(dataset, ours, theirs, source))
    return ObservationTable.join(tables)


def _own_table(path: Path, variables: Mapping[str, str] | None) -> ObservationTable | None:
    """The table that a file holds, if it is one of ours or of a CF geometry; None if it is for the readers."""
    if is_bufr(path):
        return None
    if path.suffix.lower() in PARQUETS:
        frame = read_rows(path)
        names = {str(name).strip().lower() for name in frame.columns}
        if not (names & {"variable", *COLUMNS["variable"]} and names & {"value", *COLUMNS["value"]}):
            return None
        return _chosen(ObservationTable.from_frame(frame), variables, str(path))
    if path.suffix.lower() in TEXTS:
        try:
            names = {name.strip().strip('"').lower() for name in header_of(path).split(separator_of(path))}
            if not (names & {"variable", *COLUMNS["variable"]} and names & {"value", *COLUMNS["value"]}):
                return None
            frame = read_text(path)
        except (OSError, UnicodeDecodeError, ValueError) as error:  # ParserError is a ValueError
            if isinstance(error, UserError):
                raise
            raise FileFormatError(
                f"Cannot read {path} as CSV: {error}. Expected a line of names, then rows."
            ) from error
        return _chosen(ObservationTable.from_frame(frame), variables, str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xr.SerializationWarning)
            opened = xr.open_dataset(path, decode_timedelta=False, **options_for(path))
        with opened as dataset:
            if are_points(dataset):
                return _chosen(ObservationTable.from_points(dataset), variables, str(path))
            own = {"variable", "value"} <= {str(name) for name in dataset.variables}
            geometry = str(dataset.attrs.get("featureType", "")).lower() in _GEOMETRIES
            if own or (geometry and variables and not _for_readers(dataset)):
                return from_dataset(dataset, variables, source=str(path))
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        return None  # the readers say what is wrong with it
    return None


def _for_readers(dataset: xr.Dataset) -> bool:
    names = {str(name) for name in dataset.variables}
    return {"N_PROF", "N_LEVELS"} <= set(dataset.dims) or any(
        name.endswith(("_WODflag", "_IQUODflag", "_QC", "_qc")) for name in names
    )


def _chosen(table: ObservationTable, variables: Mapping[str, str] | None, source: str) -> ObservationTable:
    """The rows of the variables that were asked for, under our names."""
    if not variables:
        return table
    ours = {theirs.strip(): name for name, all_of in variables.items() for theirs in (name, *all_of.split(","))}
    wanted = np.isin(table.variable.astype(str), list(ours))
    if not wanted.any() and len(table):
        first = next(iter(variables.values()))
        raise DataError(f"No variable {first!r} in {source}: {suggest(first, set(table.variable))}")
    chosen = table.select(wanted)
    columns = {name: getattr(chosen, name) for name in COLUMNS}
    columns["variable"] = np.array([ours[name] for name in chosen.variable], dtype=object)
    return ObservationTable.of(attrs={ours[n]: a for n, a in table.attrs.items() if n in ours}, **columns)


def _one_variable(dataset: xr.Dataset, ours: str, theirs: str, source: str) -> ObservationTable:
    array = dataset[theirs]
    instance = _instance_of_samples(dataset, array, source)
    columns: dict[str, tuple[np.ndarray, xr.DataArray]] = {}
    for name, coordinate in _coordinates(dataset).items():
        on_value = _beside(coordinate, array, instance)
        if on_value is not None:
            columns.setdefault(name, (on_value, coordinate))
    for needed in ("longitude", "latitude", "time"):
        if needed not in columns:
            raise DataError(
                f"{theirs!r} in {source} has no {needed}: expected a coordinate on some of its dimensions {array.dims}. Add it."
            )
    lat = columns["latitude"][0].astype(float)
    error = _part(dataset, theirs, ("error", "uncertainty", "ADJUSTED_ERROR"), array)
    flag = _part(dataset, theirs, ("quality", "flag", "qc", "QC"), array)
    units = description_of(array.attrs)
    return ObservationTable.of(
        longitude=columns["longitude"][0].astype(float),
        latitude=lat,
        depth=_depth(columns, lat),
        time=columns["time"][0],
        variable=ours,
        value=array.values.ravel().astype(float),
        error=np.nan if error is None else error.astype(float),
        flag=0 if flag is None else flag.astype(float),
        platform=_platform(dataset, array, instance),
        attrs={ours: units},
    )


def _coordinates(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Longitude, latitude, time, depth and pressure, by standard name, else by name; those on more dimensions first."""
    coordinates: dict[str, xr.DataArray] = {}
    for name, array in sorted(dataset.variables.items(), key=lambda item: -item[1].ndim):
        ours = _STANDARD.get(str(array.attrs.get("standard_name", "")), _NAMES.get(str(name).lower()))
        if ours is not None and (ours != "time" or array.dtype.kind == "M"):
            coordinates.setdefault(ours, dataset[name])
    return coordinates


def _instance_of_samples(dataset: xr.Dataset, array: xr.DataArray, source: str) -> tuple[str, str, np.ndarray] | None:
    """(dimension of samples, dimension of instances, instance of each sample) of a ragged array."""
    for name, index in dataset.variables.items():
        samples = str(index.attrs.get("sample_dimension", ""))
        if samples in array.dims and index.ndim == 1:
            size = np.nan_to_num(index.values.astype(float)).astype(np.int64)
            if size.sum() != dataset.sizes[samples]:
                raise DataError(
                    f"{name!r} in {source} counts {size.sum()} samples, its dimension {samples!r} has "
                    f"{dataset.sizes[samples]}: expected as many. The file is damaged."
                )
            return samples, str(index.dims[0]), np.repeat(np.arange(size.size), size)
        instances = str(index.attrs.get("instance_dimension", ""))
        if instances in dataset.dims and index.ndim == 1 and index.dims[0] in array.dims:
            return str(index.dims[0]), instances, index.values.astype(np.int64)
    return None


def _beside(part: xr.DataArray, array: xr.DataArray, instance: tuple[str, str, np.ndarray] | None) -> np.ndarray | None:
    """A coordinate for every value of an array, flat; None if it lies on other dimensions."""
    if instance is not None and instance[1] in part.dims and instance[0] in array.dims:
        part = part.reset_coords(drop=True).isel({instance[1]: xr.DataArray(instance[2], dims=instance[0])})
    if not set(part.dims) <= set(array.dims):
        return None
    shape = xr.DataArray(np.empty(array.shape, dtype=bool), dims=array.dims)
    return np.asarray(part.reset_coords(drop=True).broadcast_like(shape).transpose(*array.dims).values).ravel()


def _depth(columns: Mapping[str, tuple[np.ndarray, xr.DataArray]], lat: np.ndarray) -> np.ndarray:
    """Metres, positive downwards; NaN if there is neither depth nor pressure."""
    if "depth" in columns:
        values, described = columns["depth"]
        units = str(described.attrs.get("units", "m"))
        metres = convert(xr.DataArray(values.astype(float), name="depth", attrs={"units": units}), "m").values
        up = str(described.attrs.get("positive", "")).lower() == "up"
        standard = str(described.attrs.get("standard_name", ""))
        return -metres if up or standard in ("height", "altitude") else metres
    if "pressure" in columns:
        values, described = columns["pressure"]
        units = str(described.attrs.get("units", "dbar"))
        pressure = convert(xr.DataArray(values.astype(float), name="pressure", attrs={"units": units}), "dbar").values
        return depth_of_pressure(pressure, lat)
    return np.full(lat.shape, np.nan)


def _part(dataset: xr.Dataset, name: str, suffixes: Sequence[str], array: xr.DataArray) -> np.ndarray | None:
    named = str(array.attrs.get("ancillary_variables", "")).split()
    for other in (*(f"{name}_{suffix}" for suffix in suffixes), *named):
        if other not in dataset or dataset[other].dims != array.dims or dataset[other].dtype.kind not in "fiu":
            continue
        standard = str(dataset[other].attrs.get("standard_name", ""))
        about_errors = suffixes[0] == "error"
        if other in named and about_errors != standard.endswith("standard_error"):
            continue
        return np.asarray(dataset[other].values).ravel()
    return None


def _platform(dataset: xr.Dataset, array: xr.DataArray, instance: tuple[str, str, np.ndarray] | None) -> np.ndarray:
    """What the values of one instrument share: `cf_role`, a platform by name, else the instance they belong to."""
    named = [str(n) for n, v in dataset.variables.items() if "cf_role" in v.attrs]
    named += [n for n in ("platform", "platform_number", "trajectory", "profile", "station") if n in dataset.variables]
    for name in named:
        platform = _beside(dataset[name].reset_coords(drop=True), array, instance)
        if platform is not None and dataset[name].ndim <= 1:
            return platform.astype(object)
    if instance is not None:
        return instance[2].astype(str).astype(object)
    if array.ndim > 1:
        return np.repeat(np.arange(array.shape[0]), array.size // array.shape[0]).astype(str).astype(object)
    return np.full(array.size, str(dataset.attrs.get("platform", dataset.attrs.get("id", ""))), dtype=object)
