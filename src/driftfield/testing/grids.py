"""Files with two-dimensional latitude and longitude, of every kind that ocean, climate and radar people write."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.geometry import Geometry, unrotated

__all__ = ["MEMBERS", "Member", "member"]

NORTH = {"units": "degrees_north", "standard_name": "latitude"}
EAST = {"units": "degrees_east", "standard_name": "longitude"}


@dataclass(frozen=True)
class Member:
    """A file as its program would write it, and what it must be read as.

    Arguments:
        dataset: The file.
        geometry: Where its cells lie.
        values: The field (time, row, column), NaN on land.
    """

    dataset: xr.Dataset
    geometry: Geometry
    values: np.ndarray


def field(rng: np.random.Generator, geometry: Geometry, times: int) -> np.ndarray:
    """Smooth anomalies in space, persistent in time, on a season."""
    points = geometry.points / 6371.0
    waves = 40.0 * rng.standard_normal((12, 3))
    phase, drift = rng.uniform(0, 2 * np.pi, 12), rng.normal(0, 0.15, 12)
    t = np.arange(times)[:, None, None, None]
    anomaly = np.cos(points @ waves.T + phase + drift * t).sum(axis=-1) / 3
    return 12 + 3 * np.sin(2 * np.pi * t[..., 0] * 5 / 365) + anomaly


def rotated_pole(rng: np.random.Generator, times: int) -> Member:
    """CORDEX: rlat, rlon, a grid mapping, and often lat and lon."""
    rlat = rng.uniform(-20, 10) + 0.44 * np.arange(9)
    rlon = rng.uniform(-20, 10) + 0.44 * np.arange(11)
    pole = float(rng.uniform(30, 80)), float(rng.uniform(-180, 180))
    geometry = Geometry(*unrotated(rlat[:, None], rlon[None], *pole))
    values = field(rng, geometry, times)
    mapping = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": pole[0],
        "grid_north_pole_longitude": pole[1],
    }
    dataset = xr.Dataset(
        {
            "tos": (("time", "rlat", "rlon"), values, {"grid_mapping": "rotated_pole"}),
            "rotated_pole": ((), 0, mapping),
        },
        {
            "rlat": ("rlat", rlat, {"standard_name": "grid_latitude", "units": "degrees", "axis": "Y"}),
            "rlon": ("rlon", rlon, {"standard_name": "grid_longitude", "units": "degrees", "axis": "X"}),
        },
    )
    if rng.random() < 0.6:  # otherwise the pole says it all
        dims = ("rlat", "rlon")
        dataset = dataset.assign_coords(lat=(dims, geometry.latitude, NORTH), lon=(dims, geometry.longitude, EAST))
    return Member(dataset, geometry, values)


def nemo(rng: np.random.Generator, times: int) -> Member:
    """NEMO: nav_lat(y, x) and nav_lon(y, x), no axes, zeros where land was left out."""
    j, i = np.meshgrid(np.arange(10.0), np.arange(12.0), indexing="ij")
    latitude = rng.uniform(-60, 60) + 0.3 * j + 0.01 * (i - 6) ** 2
    longitude = (rng.uniform(-180, 180) + 0.5 * i + 0.1 * j + 180) % 360 - 180
    geometry = Geometry(latitude, longitude)
    values = field(rng, geometry, times)
    values[:, :3, :4] = np.nan
    written = [np.where(np.isnan(values[0]), 0.0, part) for part in (latitude, longitude)]
    dims = ("y", "x")
    dataset = xr.Dataset(
        {
            "tos": (("time", *dims), values, {"coordinates": "nav_lat nav_lon"}),
            "nav_lat": (dims, written[0].astype(np.float32), {"units": "degrees_north"}),
            "nav_lon": (dims, written[1].astype(np.float32), {"units": "degrees_east"}),
        }
    )
    if rng.random() < 0.5:
        dataset = dataset.assign_coords(y=np.arange(40, 50), x=np.arange(100, 112))
    return Member(dataset, geometry, values)


def roms(rng: np.random.Generator, times: int) -> Member:
    """ROMS: eta_rho, xi_rho with lat_rho and lon_rho, and another, staggered grid in the same file."""
    j, i = np.meshgrid(np.arange(8.0), np.arange(9.0), indexing="ij")
    turn = rng.uniform(0, np.pi / 3)
    latitude = rng.uniform(-50, 50) + 0.1 * (j * np.cos(turn) + i * np.sin(turn))
    longitude = rng.uniform(0, 300) + 0.1 * (i * np.cos(turn) - j * np.sin(turn))
    geometry = Geometry(latitude, longitude)
    values = field(rng, geometry, times)
    rho, u = ("eta_rho", "xi_rho"), ("eta_u", "xi_u")
    dataset = xr.Dataset(
        {
            "tos": (("time", *rho), values),
            "lat_rho": (rho, latitude, {"long_name": "latitude of RHO-points"}),
            "lon_rho": (rho, longitude, {"long_name": "longitude of RHO-points"}),
            "lat_u": (u, latitude[:, 1:]),
            "lon_u": (u, longitude[:, 1:]),
            "h": (rho, np.full(latitude.shape, 100.0)),
        }
    )
    return Member(dataset, geometry, values)


def polar(rng: np.random.Generator, times: int) -> Member:
    """Sea ice: a polar stereographic plane in metres or kilometres, y from the top, positions beside it."""
    scale = float(rng.choice([1.0, 1000.0]))
    y, x = 1200.0 - 50.0 * np.arange(9) + rng.uniform(-900, 0), -700.0 + 50.0 * np.arange(12)
    east, north = np.meshgrid(x, y)
    colatitude = 2 * np.degrees(np.arctan2(np.hypot(east, north), 2 * 6371.0))
    geometry = Geometry(90 - colatitude, np.degrees(np.arctan2(east, -north)))
    values = field(rng, geometry, times)
    units = "km" if scale == 1 else "m"
    dims = ("yc", "xc")
    dataset = xr.Dataset(
        {"tos": (("time", *dims), values)},
        {
            "yc": ("yc", y * scale, {"standard_name": "projection_y_coordinate", "units": units}),
            "xc": ("xc", x * scale, {"standard_name": "projection_x_coordinate", "units": units}),
            "lat": (dims, geometry.latitude, NORTH),
            "lon": (dims, geometry.longitude, EAST),
        },
    )
    return Member(dataset, Geometry(geometry.latitude[::-1], geometry.longitude[::-1]), values[:, ::-1])


def section(rng: np.random.Generator, times: int) -> Member:
    """Stations along a line, in any direction."""
    angle, n = rng.uniform(0, 2 * np.pi), 14
    along = np.sort(rng.uniform(0, 6, n))
    latitude = rng.uniform(-40, 40) + along * np.sin(angle)
    longitude = rng.uniform(-150, 150) + along * np.cos(angle)
    if rng.random() < 0.3:
        longitude = np.full(n, longitude[0])  # along a meridian
    geometry = Geometry(latitude[None], longitude[None])
    values = field(rng, geometry, times)
    dataset = xr.Dataset(
        {"tos": (("time", "station"), values[:, 0])},
        {"lat": ("station", latitude, NORTH), "lon": ("station", longitude, EAST)},
    )
    # stations that run from east to west are turned round
    order = slice(None, None, -1) if (np.diff(longitude) < 0).all() else slice(None)
    return Member(dataset, Geometry(latitude[None, order], longitude[None, order]), values[..., order])


def radar(rng: np.random.Generator, times: int) -> Member:
    """A composite on a plane: x and y as numbers of pixels, positions of their centres."""
    j, i = np.meshgrid(np.arange(9.0), np.arange(9.0), indexing="ij")
    latitude = 47.0 + rng.uniform(0, 5) + 0.01 * j
    longitude = 5.0 + rng.uniform(0, 5) + 0.01 * i / np.cos(np.radians(latitude))
    geometry = Geometry(latitude, longitude)
    values = field(rng, geometry, times)
    dims = ("y", "x")
    dataset = xr.Dataset(
        {"tos": (("time", *dims), values)},
        {
            "y": np.arange(9),
            "x": np.arange(9),
            "latitude": (dims, np.radians(latitude), {"units": "radians", "standard_name": "latitude"}),
            "longitude": (dims, -longitude, {"units": "degrees_west", "standard_name": "longitude"}),
        },
    )
    return Member(dataset, geometry, values)


def wrf(rng: np.random.Generator, times: int) -> Member:
    """WRF: positions that are repeated for every time, under names of its own."""
    j, i = np.meshgrid(np.arange(9.0), np.arange(10.0), indexing="ij")
    latitude = rng.uniform(-60, 60) + 0.2 * j - 0.004 * (i - 5) ** 2
    longitude = rng.uniform(-170, 160) + 0.25 * i + 0.01 * j * (i - 5)
    geometry = Geometry(latitude, longitude)
    values = field(rng, geometry, times)
    dims = ("time", "south_north", "west_east")
    dataset = xr.Dataset(
        {
            "tos": (dims, values),
            "XLAT": (dims, np.tile(latitude, (times, 1, 1)), {"units": "degree_north"}),
            "XLONG": (dims, np.tile(longitude, (times, 1, 1)), {"units": "degree_east"}),
        }
    )
    return Member(dataset, geometry, values)


MEMBERS = {kind.__name__: kind for kind in (rotated_pole, nemo, roms, polar, section, radar, wrf)}


def member(kind: str, seed: int, times: int = 36) -> Member:
    """A member of a kind, with dates and units, and its longitudes in either convention."""
    rng = np.random.default_rng([seed, list(MEMBERS).index(kind)])
    made = MEMBERS[kind](rng, times)
    dataset = made.dataset.assign_coords(
        time=("time", 5.0 * np.arange(times), {"units": "days since 2001-01-03", "axis": "T"})
    )
    dataset["tos"].attrs |= {"units": "degC", "standard_name": "sea_surface_temperature"}
    return Member(dataset, made.geometry, made.values)
