"""What services answer, small: a table of ERDDAP, a global day, a globe of hours, fields on a cone, rows of stations."""

__all__ = ["Marine", "Service", "day", "rows", "store_answer", "write_globe", "write_stations"]

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr


@dataclass
class Service:
    """Files by the end of their address, and what goes wrong before each is given."""

    files: dict[str, bytes] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def body(self, path: str) -> bytes | None:
        return next((body for name, body in self.files.items() if name in path), None)


def rows(folder: Path, first: str, temperatures: list[float]) -> bytes:
    """A table as ERDDAP writes it."""
    count = len(temperatures)
    seconds = (np.datetime64(first) - np.datetime64("1970-01-01")).astype("timedelta64[s]").astype(float)
    text = {"platform_number": "1900857", "direction": "A", "data_mode": "D", "time_qc": "1", "position_qc": "1"}
    text |= {f"{name}_qc": "1" for name in ("pres", "temp", "pres_adjusted", "temp_adjusted")}
    numbers = {"pres": np.arange(count) * 10.0, "temp": np.array(temperatures), "cycle_number": np.arange(count)}
    numbers |= {"pres_adjusted": numbers["pres"], "temp_adjusted": numbers["temp"]}
    numbers |= {
        "latitude": np.full(count, 40.0),
        "longitude": np.full(count, -60.0),
        "time": seconds + np.arange(count)[::-1],
    }
    table = xr.Dataset({name: ("row", np.array(values, dtype=float)) for name, values in numbers.items()})
    for name, value in text.items():
        table[name] = ("row", np.array([value] * count, dtype="S8"))
    table["time"].attrs = {"units": "seconds since 1970-01-01T00:00:00Z", "standard_name": "time"}
    table["temp"].attrs = table["temp_adjusted"].attrs = {"units": "degree_Celsius"}
    table["pres"].attrs = table["pres_adjusted"].attrs = {"units": "decibar"}
    table.to_netcdf(folder / "rows.nc")
    return (folder / "rows.nc").read_bytes()


def day(folder: Path, text: str, value: float) -> bytes:
    """A global field of one day, as the service lays it out."""
    lat, lon = np.arange(-89.0, 90.0, 2.0), np.arange(1.0, 360.0, 2.0)
    sst = np.full((1, 1, lat.size, lon.size), value) + 0.01 * lat[None, None, :, None]
    fields = xr.Dataset(
        {
            "sst": (
                ("time", "zlev", "lat", "lon"),
                sst,
                {"units": "Celsius", "long_name": "Daily sea surface temperature"},
            )
        },
        coords={"time": [np.datetime64(f"{text}T12:00:00")], "zlev": [0.0], "lat": lat, "lon": lon},
    )
    fields["zlev"].attrs = {"units": "meters", "positive": "down"}
    fields.to_netcdf(folder / "day.nc")
    return (folder / "day.nc").read_bytes()


def on_a_cone(request: dict[str, Any], folder: Path) -> Path:
    """What the store sends of CERRA: the whole domain, rows and columns with positions."""
    month = f"{request['year'][0]}-{request['month'][0]}"
    times = [np.datetime64(f"{month}-{day}T{hour}", "ns") for day in request["day"] for hour in request["time"]]
    y, x = np.meshgrid(np.arange(30.0), np.arange(40.0), indexing="ij")
    where = {
        "latitude": (("y", "x"), 35.0 + 0.5 * y + 0.02 * x, {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": (
            ("y", "x"),
            (-5.0 + 0.6 * x - 0.05 * y) % 360.0,
            {"units": "degrees_east", "standard_name": "longitude"},
        ),
    }
    values = 280.0 + 0.01 * y + np.zeros((len(times), *x.shape))
    field = (("valid_time", "y", "x"), values, {"units": "K", "coordinates": "latitude longitude"})
    path = folder / f"answer_{len(list(folder.iterdir()))}.nc"
    xr.Dataset({"t2m": field}, coords={"valid_time": times, **where}).to_netcdf(path)
    return path


def store_answer(request: dict[str, Any], folder: Path) -> Path:
    """What the store sends: valid_time, descending latitudes, versions, levels."""
    if "area" not in request:
        return on_a_cone(request, folder)
    month = f"{request['year'][0]}-{request['month'][0]}"
    times = [np.datetime64(f"{month}-{d}T{h}", "ns") for d in request["day"] for h in request["time"]]
    levels = [float(level) for level in request.get("pressure_level", [])]
    north, west, south, east = request["area"]
    lat, lon = np.arange(north, south - 0.1, -1.0), np.arange(west, east + 0.1, 1.0)
    hour = np.array([(t - np.datetime64("2015-01-01", "ns")) / np.timedelta64(1, "h") for t in times])
    values = 280.0 + 0.01 * hour[:, None, None] + 0.1 * lat[:, None] + 0 * lon
    dims: tuple[str, ...] = ("valid_time", "latitude", "longitude")
    if levels:
        values, dims = (
            values[:, None] - 0.01 * np.array(levels)[:, None, None],
            ("valid_time", "pressure_level", *dims[1:]),
        )
    name = "t" if levels else "t2m"
    fields = xr.Dataset(
        {name: (dims, values, {"units": "K", "long_name": "temperature"})},
        coords={"valid_time": times, "latitude": lat, "longitude": lon, "number": 0},
    )
    fields["expver"] = ("valid_time", np.array(["0001"] * (len(times) - 1) + ["0005"]))
    fields = fields.assign_coords(pressure_level=levels) if levels else fields
    path = folder / f"answer_{len(list(folder.iterdir()))}.nc"
    fields.to_netcdf(path)
    return path


class Marine:
    """In place of the client: writes what was asked, after the failures that are due."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.failures: list[Exception] = []

    def subset(self, **asked: Any) -> None:
        self.calls.append(asked)
        if self.failures:
            raise self.failures.pop(0)
        days = np.arange(np.datetime64(asked["start_datetime"][:10]), np.datetime64(asked["end_datetime"][:10]) + 1)
        lat = np.arange(asked["minimum_latitude"], asked["maximum_latitude"] + 0.1)
        lon = np.arange(asked["minimum_longitude"], asked["maximum_longitude"] + 0.1)
        shape = (days.size, 2, lat.size, lon.size)
        fields = xr.Dataset(
            {
                n: (("time", "depth", "latitude", "longitude"), np.full(shape, 10.0), {"units": "degrees_C"})
                for n in asked["variables"]
            },
            coords={"time": days.astype("datetime64[ns]"), "depth": [0.5, 10.0], "latitude": lat, "longitude": lon},
        )
        fields["depth"].attrs = {"units": "m", "positive": "down"}
        fields.to_netcdf(Path(asked["output_directory"]) / asked["output_filename"])


def write_globe(folder: Path) -> None:
    """A store of the layout of ARCO-ERA5, coarse: hours since 1900, latitudes from the north, 0 to 360."""
    lat, lon, levels = np.arange(90.0, -91.0, -10.0), np.arange(0.0, 360.0, 10.0), np.array([500, 850])
    times = np.datetime64("2015-01-30", "ns") + np.arange(96) * np.timedelta64(1, "h")
    plain = 280.0 + 0.1 * np.arange(96)[:, None, None] + 0.01 * lat[:, None] + 0.001 * lon
    fields = xr.Dataset(
        {
            "2m_temperature": (
                ("time", "latitude", "longitude"),
                plain,
                {"units": "K", "long_name": "2 metre temperature"},
            ),
            "temperature": (
                ("time", "level", "latitude", "longitude"),
                plain[:, None] - levels[:, None, None],
                {"units": "K"},
            ),
        },
        coords={"time": times, "level": levels, "latitude": lat, "longitude": lon},
    )
    chunks = {"2m_temperature": {"chunks": (1, 19, 36)}, "temperature": {"chunks": (1, 2, 19, 36)}}
    encoding: dict[str, Any] = {**chunks, "time": {"units": "hours since 1900-01-01"}}
    fields.to_zarr(folder / "era5.zarr", consolidated=True, zarr_format=2, encoding=encoding)


def write_stations(folder: Path) -> None:
    """Of NNJA-AI: a catalogue, a description and two days of rows."""
    described = {"name": "conv-adpsfc-NC000001", "description": "", "tags": [], "json": "adpsfc.json"}
    catalogue = {
        "adpsfc": {"description": "", "datasets": {"NC000001": described, "NC000002": {**described, "name": "x"}}}
    }
    columns = [{"id": "TMPSQ1.TMDB", "description": "", "category": "", "extra_metadata": {"units": "K"}}]
    (folder / "catalog.json").write_text(json.dumps(catalogue))
    content = {"name": "", "parquet_root_path": "conv/rows", "variables": columns}
    (folder / "adpsfc.json").write_text(json.dumps(content))
    for number, day in enumerate(("2015-01-30", "2015-01-31")):
        rows = pd.DataFrame(
            {
                "OBS_TIMESTAMP": pd.to_datetime(
                    [f"{day}T06:00", f"{day}T00:30", f"{day}T12:00", f"{day}T13:00"], utc=True
                ),
                "LAT": [35.0, 36.0, 50.0, 35.0],
                "LON": [295.0, -61.0, -65.0, -65.0],
                "RPID": ["A", "B", "C", "D"],
                "TMPSQ1.TMDB": [280.0 + number, 281.0 + number, 282.0, np.nan],
                "WNDSQ1.WSPD": [1.0, 2.0, 3.0, 4.0],
            }
        )
        (folder / f"conv/rows/OBS_DATE={day}").mkdir(parents=True)
        rows.to_parquet(folder / f"conv/rows/OBS_DATE={day}/a-0.parquet")
