"""Documents as the service answers them: only the fields asked for, nested or with dotted names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_Tree = dict[str, Any]


def _tree(names: Iterable[str]) -> _Tree:
    """Dotted names as a tree; an empty branch means everything below."""
    root: _Tree = {}
    for name in sorted(names, key=len):
        node = root
        parts = name.split(".")
        for n, part in enumerate(parts):
            if part in node and not node[part]:
                break  # a parent was asked for already
            node = node.setdefault(part, {})
            if n == len(parts) - 1:
                node.clear()
    return root


def _pick(value: Any, tree: _Tree) -> Any:
    if not tree:
        return value
    if isinstance(value, list):
        kept = [picked for picked in (_pick(item, tree) for item in value) if picked is not None]
        return kept or None
    if not isinstance(value, dict):
        return None
    found = {key: _pick(value[key], below) for key, below in tree.items() if key in value}
    return {key: item for key, item in found.items() if item is not None} or None


def select(record: dict[str, Any], names: Iterable[str] | None) -> dict[str, Any]:
    """The fields of a record, parents with all below them; None is the whole record. `_id` always stays."""
    if names is None:
        return dict(record)
    return {"_id": record["_id"], **(_pick(record, _tree(n for n in names if n != "_id")) or {})}


def dotted(record: dict[str, Any]) -> dict[str, Any]:
    """The record without nesting: `{"a": [{"b": 1}, {"b": 2}]}` becomes `{"a.b": [1, 2]}`."""
    flat: dict[str, list[Any]] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, below in value.items():
                walk(below, f"{path}.{key}" if path else key)
        elif isinstance(value, list):
            for item in value:
                walk(item, path)
        else:
            flat.setdefault(path, []).append(value)

    walk(record, "")
    return {path: values[0] if len(values) == 1 else values for path, values in flat.items()}
