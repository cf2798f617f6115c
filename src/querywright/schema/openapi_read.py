"""An OpenAPI document that follows its own `$ref`s.

They are resolved by `referencing`, the maintained resolver of the python-jsonschema project: it goes lazily, so that
schemas which contain themselves are no trouble; it fetches nothing on its own; and it is there already with
`jsonschema`. (`jsonref` fetches what a document names; `openapi-core` and `prance` validate, which is not asked here.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from querywright.errors import QuerywrightError, need
from querywright.schema.sources import MOST_BYTES, Source, load_yaml

MAX_HOPS = 50


class At:
    """A place in a document: its value with every `$ref` on the way followed, and the resolver that is right there."""

    def __init__(self, value: Any, resolver: Any) -> None:
        """Follow `value` as long as it is a reference; what stands beside a `$ref` wins over what it names."""
        beside: dict[str, Any] = {}
        for _ in range(MAX_HOPS):
            if not (isinstance(value, dict) and isinstance(value.get("$ref"), str)):
                break
            beside = {k: v for k, v in value.items() if k != "$ref"} | beside
            value, resolver = _look_up(value["$ref"], resolver)
        else:
            raise QuerywrightError("a $ref leads to itself", hint="correct the document")
        self.value = {**value, **beside} if beside and isinstance(value, dict) else value
        self.resolver = resolver

    def get(self, *keys: str) -> At:
        """What lies under these keys; a place with None where there is nothing."""
        here = self
        for key in keys:
            here = At(here.value.get(key) if isinstance(here.value, dict) else None, here.resolver)
        return here

    def items(self) -> Iterator[tuple[str, At]]:
        """The entries of an object."""
        if isinstance(self.value, dict):
            for key, value in self.value.items():
                yield str(key), At(value, self.resolver)

    def entries(self) -> Iterator[At]:
        """The entries of an array."""
        if isinstance(self.value, list):
            for value in self.value:
                yield At(value, self.resolver)

    def text(self, *keys: str) -> str:
        """A text under these keys, on one line; empty where there is none."""
        value = self.get(*keys).value
        return " ".join(value.split()) if isinstance(value, str) else ""

    def mapping(self) -> dict[str, Any]:
        """The value where it is an object, else an empty one."""
        return self.value if isinstance(self.value, dict) else {}


def _look_up(ref: str, resolver: Any) -> tuple[Any, Any]:
    import referencing.exceptions as problems

    try:
        found = resolver.lookup(ref)
    except (problems.Unresolvable, problems.NoSuchResource, TypeError, ValueError) as error:
        reason = error.__cause__ if isinstance(error.__cause__, QuerywrightError) else None
        raise reason or QuerywrightError(
            f"nothing is found at $ref {ref[:120]!r}", hint="correct the document, or bundle it into one file"
        ) from None
    return found.contents, found.resolver


def open_document(source: Source) -> At:
    """The root of a document. Other files are read where they lie in the folder of the first; nothing is fetched."""
    referencing = need("referencing", extra="schema")
    need("referencing.jsonschema", extra="schema")
    from referencing.jsonschema import DRAFT202012

    local = not urlsplit(source.where).netloc
    root = Path(source.where or "openapi").resolve()
    base = root.as_uri() if local else source.where

    def retrieve(uri: str) -> Any:
        parts = urlsplit(uri)
        if parts.scheme != "file" or not local:
            raise QuerywrightError(f"{source.name} refers to {uri[:120]}", hint="bundle it into one file first")
        path = Path(unquote(parts.path)).resolve()
        if not path.is_relative_to(root.parent) or not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise QuerywrightError(
                f"{source.name} refers to {path}, which is no file beside it", hint="bundle it into one file first"
            )
        data = load_yaml(path.name, path.read_text(encoding="utf-8-sig"))
        return referencing.Resource(contents=data, specification=DRAFT202012)

    registry = referencing.Registry(retrieve=retrieve).with_resource(
        base, referencing.Resource(contents=source.data, specification=DRAFT202012)
    )
    return At(source.data, registry.resolver(base))
