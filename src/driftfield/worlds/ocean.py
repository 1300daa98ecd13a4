r"""A small ocean that is known everywhere: temperature (time, depth, lat, lon), sea surface temperature and height.

    two-layer quasi-geostrophic jet  ->  psi_1, psi_2, tracer c     (quasi_geostrophic.py)
    held constant on the shelf       ->  zos = f psi_1 / g,  h ~ psi_1 - psi_2     (basin.py)
    season, weather, years           ->  mixed layer M, surface warming S
    water column                     ->  thetao(z) = T(z; h, c, M, S),  sst = T(0)     (water_column.py)

The basin is the same for every seed; the seed draws the eddies, the weather and the good and bad years. So a model
that has learned from one seed is tested on another. It is a world to test methods in, not a model of the Gulf Stream:
the box is periodic along the jet (what leaves in the east returns in the west some weeks later), there is no salinity,
the shelf is at rest, and the sea floor does not steer the flow. The flow is turbulent: a seed gives the same ocean on
the same machine and libraries, and elsewhere another one of the same kind.
"""

__all__ = ["DEFAULT_LEVELS", "simulate_ocean"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import ndimage

from driftfield import conventions
from driftfield.errors import ConfigurationError
from driftfield.worlds.basin import Basin
from driftfield.worlds.quasi_geostrophic import DAY, JetParameters, QuasiGeostrophicJet
from driftfield.worlds.water_column import temperature

DEFAULT_LEVELS = (5.0, 20.0, 50.0, 80.0, 120.0, 200.0, 300.0, 450.0, 650.0, 1000.0)
"""Depths of the default grid, m."""

GRAVITY = 9.81
_YEAR = 365.2425
_WARMEST, _DEEPEST_MIXING = 240.0, 60.0  # day of the year
_REFERENCE_DISPLACEMENT = 350.0  # m of interface displacement for h = 1
_SHELF = -0.30  # streamfunction of the shelf, in units of the mean jump across the jet: the cold side's


@dataclass(frozen=True)
class _Weather:
    """Large-scale random fields on the basin with a memory: what the flow does not explain."""

    waves: np.ndarray  # (wave, lat, lon), unit variance in sum
    rng: np.random.Generator
    fast: np.ndarray
    slow: np.ndarray
    years: np.ndarray

    @classmethod
    def first(cls, basin: Basin, rng: np.random.Generator) -> "_Weather":
        east, north = basin.east_north
        count = 24
        length = rng.uniform(500.0, 2000.0, count)[:, None, None]
        angle = rng.uniform(0.0, 2 * np.pi, count)[:, None, None]
        phase = 2 * np.pi * (east * np.cos(angle) + north * np.sin(angle)) / length
        waves = np.concatenate([np.cos(phase), np.sin(phase)]) / np.sqrt(count)
        return cls(waves, rng, *(rng.standard_normal(n) for n in (2 * count, 2 * count, 4)))

    def advance(self, days: float) -> None:
        """First-order autoregressions: days for storms, a month for heat fluxes, a year and more for the years."""
        for state, memory in ((self.fast, 6.0), (self.slow, 30.0), (self.years, 400.0)):
            keep = np.exp(-days / memory)
            state *= keep
            state += np.sqrt(1 - keep**2) * self.rng.standard_normal(state.shape)

    @property
    def storms(self) -> np.ndarray:
        return np.tensordot(self.fast, self.waves, 1)

    @property
    def heat(self) -> np.ndarray:
        return np.tensordot(self.slow, self.waves, 1)


def simulate_ocean(
    *,
    years: float = 2.0,
    every_days: float = 5.0,
    start: str = "2000-01-01",
    shape: tuple[int, int] = (32, 48),
    levels: Sequence[float] = DEFAULT_LEVELS,
    seed: int = 0,
) -> xr.Dataset:
    """Simulates the synthetic ocean; about four seconds per year on one core.

    Arguments:
        years: Length of the record.
        every_days: Time between two snapshots, days; up to 30.
        start: Date of the first snapshot.
        shape: Latitudes and longitudes into which the basin is divided; (32, 48) is a quarter of a degree.
        levels: Depths, m, positive down and rising.
        seed: Of the eddies, the weather and the years. The basin does not depend on it.

    Returns:
        `thetao` (time, depth, lat, lon) and `sst` (time, lat, lon), degC; `zos` (time, lat, lon), m; float32, NaN on
        land and below the sea floor. `bathymetry` (lat, lon), m, NaN on land.

    Raises:
        ConfigurationError: a length of time, the date, the shape, the levels or the seed make no sense.
    """
    basin = Basin(shape)
    depth = _checked_levels(levels, float(basin.bathymetry.max()))
    if seed < 0:
        raise ConfigurationError(f"seed is {seed}: expected 0 or more. Choose another whole number.")
    time, day_of_year = _times(years, every_days, start)
    flow_rng, weather_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    flow = QuasiGeostrophicJet(flow_rng)
    weather = _Weather.first(basin, weather_rng)
    wet = basin.bathymetry[None] >= depth[:, None, None]
    thetao = np.full((len(time), len(depth), *basin.shape), np.nan, np.float32)
    sst, zos = (np.full((len(time), *basin.shape), np.nan, np.float32) for _ in range(2))
    for i, day in enumerate(day_of_year):
        columns, height = _snapshot(basin, flow, weather, depth, float(day))
        thetao[i][wet] = columns[1:][wet]
        sst[i][basin.ocean] = columns[0][basin.ocean]
        zos[i][basin.ocean] = height[basin.ocean]
        weather.advance(every_days)
        flow.strength, flow.shift = 1 + 0.1 * weather.years[1], 25e3 * weather.years[2]
        if i + 1 < len(time):
            flow.advance(every_days * DAY)
    return _dataset(basin, time, depth, {"thetao": thetao, "sst": sst, "zos": zos}, seed)


def _snapshot(
    basin: Basin, flow: QuasiGeostrophicJet, weather: _Weather, depth: np.ndarray, day: float
) -> tuple[np.ndarray, np.ndarray]:
    """Temperature at the surface and the levels (1 + depth, lat, lon), degC, and sea surface height (lat, lon), m."""
    p = flow.parameters
    psi_1, psi_2 = flow.streamfunction
    fields = _on_basin(basin, p, np.stack([psi_1, psi_1 - psi_2, flow.tracer]))
    shelf = _SHELF * 2 * p.speed * p.width
    surface, thickness = (shelf + basin.taper * (field - shelf) for field in fields[:2])
    c = np.clip(basin.taper * fields[2], 0.0, 1.0)
    h = p.coriolis / p.reduced_gravity * thickness / _REFERENCE_DISPLACEMENT

    summer = 0.5 * (1 + np.cos(2 * np.pi * (day - _WARMEST) / _YEAR))
    winter = 0.5 * (1 + np.cos(2 * np.pi * (day - _DEEPEST_MIXING) / _YEAR))
    north = basin.east_north[1] / 500.0
    # storms deepen the mixed layer, heat makes it shallow; anticyclones (h > 0) mix deeper in winter
    mixing = 0.25 * weather.storms - 0.12 * weather.heat + 0.5 * winter * h
    mixed_layer = (16.0 + 120.0 * winter**2) * np.exp(mixing)
    # warm water loses its lead in summer: the season adds less to it
    season = (8.5 - 0.35 * 8.5 * (c - 0.5) - 0.8 * north) * summer**1.3
    anomaly = 0.9 * weather.heat + 0.4 * weather.storms + 0.3 * weather.years[0]
    warming = 0.4 * np.logaddexp(0.0, (season + anomaly) / 0.4)

    z = np.concatenate([[0.0], depth])[:, None, None]
    columns = temperature(z, h=h, c=c, mixed_layer=mixed_layer, warming=warming)
    steric = 0.05 * (summer - 0.5) + 0.01 * weather.years[3]
    return columns, p.coriolis / GRAVITY * surface + steric


def _on_basin(basin: Basin, p: JetParameters, fields: np.ndarray) -> np.ndarray:
    """Cubic interpolation from the periodic box of the flow to the cells of the basin."""
    along, across = basin.along_across
    where = np.stack(
        [
            (x + 0.5 * size) / size * n - 0.5
            for x, size, n in zip((across, along), p.size[::-1], p.cells[::-1], strict=True)
        ]
    )
    return np.stack([ndimage.map_coordinates(field, where, order=3, mode="grid-wrap") for field in fields]).astype(
        float
    )


def _checked_levels(levels: Sequence[float], floor: float) -> np.ndarray:
    depth = np.asarray(levels, dtype=float)
    if depth.ndim != 1 or not depth.size or not np.isfinite(depth).all() or depth[0] < 0 or (np.diff(depth) <= 0).any():
        raise ConfigurationError(
            f"levels are {list(levels)}: expected rising depths in metres, positive down. "
            "Sort them and leave out repetitions."
        )
    if depth[-1] > floor:
        raise ConfigurationError(
            f"The deepest level is {depth[-1]:g} m: expected at most {floor:.0f} m, the deepest sea floor. "
            "Leave it out."
        )
    return depth


def _times(years: float, every_days: float, start: str) -> tuple[np.ndarray, np.ndarray]:
    """Time stamps and their day of the year (fractional, from 0)."""
    if not (years > 0 and np.isfinite(years)):
        raise ConfigurationError(
            f"years is {years}: expected a positive length. The record always has one snapshot at least."
        )
    if not 0 < every_days <= 30:
        raise ConfigurationError(
            f"every_days is {every_days}: expected more than 0 and at most 30. Thin the record afterwards."
        )
    try:
        first = np.datetime64(start, "ms")
    except ValueError as error:
        raise ConfigurationError(f"start is {start!r}: expected a date such as '2000-01-01'.") from error
    if np.isnat(first) or not np.datetime64("1700-01-01") <= first <= np.datetime64("2200-01-01"):
        raise ConfigurationError(f"start is {start!r}: expected a date from 1700 to 2200. Choose one in between.")
    count = max(1, round(years * _YEAR / every_days))
    time = first + np.round(np.arange(count) * every_days * DAY * 1e3).astype("timedelta64[ms]")
    time = time.astype("datetime64[ns]")
    return time, (time - time.astype("datetime64[Y]")) / np.timedelta64(1, "D")


def _dataset(basin: Basin, time: np.ndarray, depth: np.ndarray, fields: dict[str, np.ndarray], seed: int) -> xr.Dataset:
    """The result with CF names and units."""
    names = {
        "thetao": ("sea_water_potential_temperature", "potential temperature", "degC"),
        "sst": ("sea_surface_temperature", "sea surface foundation temperature", "degC"),
        "zos": ("sea_surface_height_above_geoid", "sea surface height", "m"),
    }
    dataset = xr.Dataset(
        {
            name: (
                ("time", "depth", "lat", "lon") if array.ndim == 4 else ("time", "lat", "lon"),
                array,
                {"standard_name": names[name][0], "long_name": names[name][1], "units": names[name][2]},
            )
            for name, array in fields.items()
        },
        coords={
            "time": ("time", time, {"standard_name": "time", "long_name": "time", "axis": "T"}),
            "depth": (
                "depth",
                depth,
                {"standard_name": "depth", "long_name": "depth", "units": "m", "axis": "Z", "positive": "down"},
            ),
            "lat": ("lat", basin.lat, conventions.LATITUDE),
            "lon": ("lon", basin.lon, conventions.LONGITUDE),
        },
        attrs={
            "title": "Synthetic ocean: a meandering front with eddies over a sharp thermocline",
            "Conventions": "CF-1.11",
            "source": f"driftfield simulate ocean, seed {seed}",
            "seed": seed,
            "driftfield_format": conventions.FORMAT,
        },
    )
    floor = np.where(basin.ocean, basin.bathymetry, np.nan).astype(np.float32)
    attrs = {"standard_name": "sea_floor_depth_below_geoid", "long_name": "depth of the sea floor", "units": "m"}
    dataset["bathymetry"] = (("lat", "lon"), floor, attrs)
    return dataset
