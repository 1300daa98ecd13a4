"""The Earth as every distance sees it: a sphere."""

__all__ = ["EARTH_RADIUS_KM", "KM_PER_DEGREE"]

from math import pi

EARTH_RADIUS_KM = 6371.0
"""Mean radius."""

KM_PER_DEGREE = EARTH_RADIUS_KM * pi / 180
"""Length of a degree of latitude, 111.19 km."""
