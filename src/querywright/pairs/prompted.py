"""Rows with the fields that the tuned prompt shows for their sentence: the same search as in use, of the same words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from querywright.api.definition import API, load, shipped
from querywright.api.nearest import FIELDS, nearest_fields
from querywright.errors import QuerywrightError
from querywright.rows import Row


def with_fields(rows: Iterable[Row], api: API | None = None) -> Iterator[Row]:
    """The rows with `fields`; those of other machinery (no call, no refusal) as they are.

    Args:
        api: whose fields, in place of an API that is not shipped; a row of a shipped one has its own.

    Raises:
        QuerywrightError: a row of an API that is not shipped, and none given.
    """
    apis: dict[str, API] = {}
    for r in rows:
        if "system" in r or not (r.get("path") or r.get("refusal")):
            yield r
            continue
        name = str(r.get("api", ""))
        if api is not None and (name == api.name or name not in shipped()):
            apis[name] = api
        if name not in apis:
            if name not in shipped():  # a row's word is no path to read a definition from
                raise QuerywrightError(
                    f"pairs of the API {name!r}, which is not shipped: its fields are part of the prompt",
                    hint="--api with its name or definition file",
                )
            apis[name] = load(name)
        yield {**r, "fields": nearest_fields(apis[name], r["instruction"], FIELDS)}
