"""Records around a place: what latitude, longitude and radius of a call mean together."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from querywright.api.definition import Endpoint

if TYPE_CHECKING:
    from querywright.api.rows import Rows

EARTH_KM = 6371.0
_LATITUDE = re.compile(r"(?i)^(center_?|near_?)?lat(itude)?$")
_LONGITUDE = re.compile(r"(?i)^(center_?|near_?)?(lon|lng|long|longitude)$")
_RADIUS = re.compile(r"(?i)^(max_?)?(radius|distance|dist)_?(km|kilomet(er|re)s|m|met(er|re)s|mi|miles|deg(rees)?)?$")
DEGREE_KM = EARTH_KM * math.pi / 180


@dataclass(frozen=True)
class Circle:
    """Names of the parameters that say a circle, and the fields that say where a record is."""

    latitude: str
    longitude: str
    radii: tuple[str, ...]
    fields: tuple[str, str]

    @property
    def params(self) -> tuple[str, ...]:
        """All of its parameters."""
        return (self.latitude, self.longitude, *self.radii)


def circle_of(spec: Endpoint, known: Sequence[str]) -> Circle | None:
    """The circle of an endpoint: it takes latitude, longitude and a radius, and records have the first two."""
    found = [next((n for n in spec.params if p.match(n)), "") for p in (_LATITUDE, _LONGITUDE)]
    fields = [
        min((f for f in known if p.match(f.rpartition(".")[2])), key=len, default="") for p in (_LATITUDE, _LONGITUDE)
    ]
    radii = tuple(n for n in spec.params if _RADIUS.match(n))
    return Circle(found[0], found[1], radii, (fields[0], fields[1])) if all((*found, *fields, radii)) else None


def within(rows: Rows, circle: Circle, given: dict[str, Any], found: Sequence[int]) -> Sequence[int]:
    """The rows inside the circle that a call gives; all of them where it gives no whole circle."""
    radii = [float(given[n]) * _kilometres(n, len(circle.radii) == 1) for n in circle.radii if n in given]
    if not radii or circle.latitude not in given or circle.longitude not in given:
        return found
    centre = (float(given[circle.latitude]), float(given[circle.longitude]))
    north, east = (rows.column(name, "number") for name in circle.fields)
    radius = min(radii)
    high = radius / DEGREE_KM + 0.001  # no place within the radius is further north or south

    def near(row: int) -> bool:
        if not (north[row] and east[row]) or abs(north[row][0] - centre[0]) > high:
            return False
        return _distance(centre, (north[row][0], east[row][0])) <= radius

    return [row for row in found if near(row)]


def _kilometres(name: str, alone: bool) -> float:
    """A radius's unit in kilometres, by its name: without one kilometres, or degrees beside another radius."""
    match = _RADIUS.match(name)
    unit = (match[3] or "").lower() if match else ""
    if unit.startswith("mi"):
        return 1.609344
    if unit.startswith("m"):
        return 0.001
    return DEGREE_KM if unit.startswith("deg") or not (unit or alone) else 1.0


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Kilometres between two places (latitude, longitude in degrees) on a sphere."""
    (la, lo), (lb, lp) = (map(math.radians, place) for place in (a, b))
    h = math.sin((lb - la) / 2) ** 2 + math.cos(la) * math.cos(lb) * math.sin((lp - lo) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(h)))
