"""Rows with the fields that the tuned prompt shows for their sentence: the same search as in use, of the same words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from querywright.api.definition import API, load, shipped
from querywright.api.lexicon import lexicon
from querywright.api.nearest import FIELDS, nearest_fields
from querywright.artefacts import content_id
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
        if not _shows_some(r):
            yield r
            continue
        name = str(r.get("api", ""))
        if name not in apis:
            known = _known(name, api)
            if known is None:  # a row's word is no path to read a definition from
                raise QuerywrightError(
                    f"pairs of the API {name!r}, which is not shipped: its fields are part of the prompt",
                    hint="--api with its name or definition file",
                )
            apis[name] = known
        yield {**r, "fields": nearest_fields(apis[name], r["instruction"], FIELDS)}


def searched(rows: Iterable[Row], api: API | None = None) -> dict[str, str]:
    """What the fields of some rows hang on: for each API an id of its definition and lexicon, people's words included.

    Args:
        api: see `with_fields`.
    """
    names = sorted({str(r.get("api", "")) for r in rows if _shows_some(r)})
    found = {name: one for name in names if (one := _known(name, api)) is not None}
    return {
        name: content_id(json.dumps([one.model_dump(mode="json", exclude={"folder"}), lexicon(one)], default=str))
        for name, one in found.items()
    }


def _shows_some(r: Row) -> bool:
    return "system" not in r and bool(r.get("path") or r.get("refusal"))


def _known(name: str, given: API | None) -> API | None:
    """The API that a row names; `given` stands for those that are not shipped."""
    if given is not None and name == given.name:
        return given
    return load(name) if name in shipped() else given
