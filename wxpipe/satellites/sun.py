"""Where the sun stands, as well as it takes to tell day from night: within five degrees."""

from __future__ import annotations

import math
from datetime import datetime

_TILT = 23.44


def sun_elevation(when: datetime, latitude: float, longitude: float) -> float:
    """Degrees of the sun above the horizon of a place.

    A circular orbit is taken; the equation of time, up to 16 minutes or 4 degrees, is left out.

    Args:
        when: UTC, timezone-aware.
        latitude, longitude: degrees north and east.
    """
    day = when.timetuple().tm_yday
    hours = when.hour + when.minute / 60 + when.second / 3600
    declination = math.radians(_TILT) * math.sin(2 * math.pi * (284 + day) / 365.25)
    turned = math.radians((hours - 12) * 15 + longitude)
    phi = math.radians(latitude)
    height = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(turned)
    return math.degrees(math.asin(max(-1.0, min(1.0, height))))
