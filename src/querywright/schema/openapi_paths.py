"""Names of an OpenAPI document's endpoints and of what stands in their paths."""

from __future__ import annotations

import re
from typing import Any


def endpoint_name(path: str, operation_id: str, taken: dict[str, Any]) -> str:
    """A name for an endpoint: its operationId in small letters and underlines, else the words of its path."""
    made = re.sub(r"\W", "_", path) + "_get"  # what FastAPI puts behind a function's name
    words = operation_id.removesuffix(made) or re.sub(r"[{}]", "", path)
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words)
    base = re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")
    base = base if re.match(r"[a-z]", base) else f"get_{base}".rstrip("_")
    name, n = base, 2
    while name in taken:
        name, n = f"{base}_{n}", n + 1
    return name


def name_placeholders(paths: list[str], keep_id: bool = False) -> dict[str, dict[str, str]]:
    """New names for what stands between braces, by path: one name for one place.

    `/pets/{id}` and `/pets/{petId}/visits` mean the same thing in the same place; with one name for it a grammar can
    read both. `id` is a name only where a record's id is meant (`keep_id`), else it becomes `pet_id`.
    """
    places: dict[tuple[str, ...], list[str]] = {}
    of_path: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for path in paths:
        pieces = re.split(r"(\{[^{}]+\})", path)
        plain = ["{}" if p.startswith("{") else p for p in pieces]
        of_path[path] = [(tuple(plain[: i + 1]), p[1:-1]) for i, p in enumerate(pieces) if p.startswith("{")]
        for place, name in of_path[path]:
            places.setdefault(place, []).append(name)
    chosen: dict[tuple[str, ...], str] = {}
    for place in sorted(places, key=len):
        above = {chosen[place[:i]] for i in range(len(place)) if place[:i] in chosen}
        names = places[place]
        if not (keep_id and set(names) == {"id"}):
            word = re.sub(r"\W+", "_", place[-2].strip("/").rpartition("/")[2]).strip("_").removesuffix("s")
            names = [n for n in names if n != "id"] or [f"{word or 'record'}_id"]
        free = [n for n in names if n not in above]
        name, number = free[0] if free else names[0], 2
        while name in above:
            name, number = f"{names[0]}_{number}", number + 1
        chosen[place] = name
    return {path: {old: chosen[place] for place, old in found} for path, found in of_path.items()}
