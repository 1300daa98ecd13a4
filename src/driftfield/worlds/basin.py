"""The one basin of the synthetic ocean: where land, shelf, slope and abyss lie, and where the jet runs.

    bathymetry(D):  land | shelf 40-200 m | slope | abyss 4500 m        D = distance offshore, km
                      0          70          220
    taper(D):        0 . . . . 0   rises     1                          psi = psi_shelf + taper (psi - psi_shelf)

The box is 33-41 N, 70-58 W; the coast fills its north-west corner and the jet crosses it from west-south-west to
east-north-east. `shape` divides the box, so that a finer grid shows the same basin. Nothing here depends on a seed.
"""

__all__ = ["BOX", "Basin"]

from dataclasses import dataclass

import numpy as np

from driftfield.errors import ConfigurationError

BOX = (33.0, 41.0, -70.0, -58.0)
"""Southern, northern, western and eastern edge, degrees."""

_KM_PER_DEGREE = 111.2
_TILT = np.deg2rad(12.0)  # of the jet against the parallels


@dataclass(frozen=True)
class Basin:
    """A grid on the basin.

    Arguments:
        shape: Number of latitudes and of longitudes; (32, 48) is a quarter of a degree.

    Raises:
        ConfigurationError: fewer than 8 cells in a direction: the jet would fall between them.
    """

    shape: tuple[int, int] = (32, 48)

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 8:
            raise ConfigurationError(
                f"shape is {tuple(self.shape)}: expected (latitudes, longitudes) of at least 8 each. "
                "(32, 48) is a quarter of a degree."
            )

    @property
    def lat(self) -> np.ndarray:
        """Latitude of the cell centres, ascending, degrees north."""
        return BOX[0] + (np.arange(self.shape[0]) + 0.5) * (BOX[1] - BOX[0]) / self.shape[0]

    @property
    def lon(self) -> np.ndarray:
        """Longitude of the cell centres, degrees east."""
        return BOX[2] + (np.arange(self.shape[1]) + 0.5) * (BOX[3] - BOX[2]) / self.shape[1]

    @property
    def east_north(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances from the middle of the box, km: two arrays (lat, lon)."""
        lat, lon = np.meshgrid(self.lat, self.lon, indexing="ij")
        middle = 0.5 * (BOX[0] + BOX[1])
        east = (lon - 0.5 * (BOX[2] + BOX[3])) * _KM_PER_DEGREE * np.cos(np.deg2rad(middle))
        return east, (lat - middle) * _KM_PER_DEGREE

    @property
    def along_across(self) -> tuple[np.ndarray, np.ndarray]:
        """Position along the mean jet and across it (positive on the cold side), m: two arrays (lat, lon)."""
        east, north = self.east_north
        along = np.cos(_TILT) * east + np.sin(_TILT) * north
        across = np.cos(_TILT) * north - np.sin(_TILT) * east
        return 1e3 * along, 1e3 * across

    @property
    def offshore(self) -> np.ndarray:
        """Distance from the coast, km, negative on land: (lat, lon)."""
        east, north = self.east_north
        # a straight coast rising to the north-east, with a cape and bays along it
        s = (7.0 * east + 2.0 * north) / np.hypot(7.0, 2.0)
        straight = (2.0 * (east + 530.0) - 7.0 * (north - 180.0)) / np.hypot(7.0, 2.0)
        return straight + 28.0 * np.sin(s / 62.0) + 16.0 * np.sin(s / 27.0 + 1.0)

    @property
    def bathymetry(self) -> np.ndarray:
        """Depth of the sea floor, m, 0 on land: (lat, lon)."""
        east, north = self.east_north
        depth = np.interp(self.offshore, [0.0, 70.0, 150.0, 220.0, 420.0], [40.0, 200.0, 1500.0, 3300.0, 4500.0])
        hills = 150.0 * np.sin(east / 90.0) * np.cos(north / 70.0) * np.clip((depth - 2000.0) / 2000.0, 0.0, 1.0)
        return np.where(self.offshore > 0, depth + hills, 0.0)

    @property
    def ocean(self) -> np.ndarray:
        """Where there is water at the surface: boolean (lat, lon)."""
        return self.bathymetry > 0

    @property
    def taper(self) -> np.ndarray:
        """Factor on the flow, 0 on the shelf and 1 off the slope: (lat, lon)."""
        s = np.clip((self.offshore - 45.0) / 175.0, 0.0, 1.0)
        return s * s * (3.0 - 2.0 * s)
