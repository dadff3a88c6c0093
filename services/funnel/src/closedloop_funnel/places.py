"""Distances on the earth."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt

# Mean radius (IUGG), metres.
EARTH = 6_371_008.8

# Latitude and longitude in degrees.
Place = tuple[float, float]


def metres(one: Place, other: Place) -> float:
    """Along the great circle (haversine)."""
    (lat1, lon1), (lat2, lon2) = ((radians(lat), radians(lon)) for lat, lon in (one, other))
    half = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH * asin(min(1.0, sqrt(half)))
