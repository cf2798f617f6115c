"""An OpenAPI document that follows its own `$ref`s.

They are resolved by `referencing`, the maintained resolver of the python-jsonschema project: it goes lazily, so that
schemas which contain themselves are no trouble; it fetches nothing on its own; and it is there already with
`jsonschema`. (`jsonref` fetches what a document names; `openapi-core` and `prance` validate, which is not asked here.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from querywright.errors import QuerywrightError, need
from querywright.schema.sources import MOST_BYTES, Source, load_yaml

MAX_HOPS = 50
MOST_SCHEMAS = 200_000


@dataclass
class Book:
    """What has been worked out of one document: schemas that many references lead to are read once.

    Attributes:
        known: results by place and depth, each with the place's value, which its `id` stands for as long as it lives.
        read: how many schemas were read; `full` once there were too many, and the rest is taken as unknown.
    """

    known: dict[tuple[int, int], tuple[Any, At]] = field(default_factory=dict)
    read: int = 0

    @property
    def full(self) -> bool:
        return self.read >= MOST_SCHEMAS


class At:
    """A place in a document: its value with every `$ref` on the way followed, and the resolver that is right there."""

    def __init__(self, value: Any, resolver: Any, book: Book | None = None) -> None:
        """Follow `value` as long as it is a reference; what stands beside a `$ref` wins over what it names."""
        self.written, self.book = value, book or Book()
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

    def made(self, value: Any) -> At:
        """A place that is not in the document, with a value made from what is here."""
        return At(value, self.resolver, self.book)

    def get(self, *keys: str) -> At:
        """What lies under these keys; a place with None where there is nothing."""
        here = self
        for key in keys:
            here = here.made(here.value.get(key) if isinstance(here.value, dict) else None)
        return here

    def items(self) -> Iterator[tuple[str, At]]:
        """The entries of an object."""
        if isinstance(self.value, dict):
            for key, value in self.value.items():
                yield str(key), self.made(value)

    def entries(self) -> Iterator[At]:
        """The entries of an array."""
        if isinstance(self.value, list):
            for value in self.value:
                yield self.made(value)

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
