"""A new import into an `api.yaml` that a person has edited: only what changed in the source is changed in the file.

The last import lies beside it as `imported.json`. A key that the source has changed since then takes the new value; a
key that only the person has changed stays. Comments and layout stay (ruamel.yaml keeps them).
"""

from __future__ import annotations

import io
import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError, need
from querywright.schema.facts import some

IMPORTED = "imported.json"
_NAMED = ("endpoints", "params")


def imported_text(definition: dict[str, Any], source: str, kept: dict[str, Any] | None = None) -> str:
    """What `imported.json` holds: the definition as the source gave it.

    Args:
        kept: endpoints and parameters of earlier imports that the source no longer has, and `api.yaml` still does.
    """
    whole = {"source": source, "definition": definition, **({"kept": kept} if kept else {})}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def last_import(folder: Path) -> dict[str, Any]:
    """The definition of the last import with what it left in `api.yaml` of those before; or an empty one."""
    try:
        told = json.loads((folder / IMPORTED).read_text(encoding="utf-8"))
        definition = dict(told["definition"])
        kept = told.get("kept", {})
        return definition | {p: {**kept[p], **definition.get(p, {})} for p in _NAMED if kept.get(p)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


@dataclass
class Updated:
    """The text of `api.yaml` with the source's changes in it.

    Attributes:
        told: what changed, in sentences.
        params: the names of its parameters.
        kept: endpoints and parameters that the source no longer has, as it last gave them.
    """

    text: str
    told: list[str]
    params: set[str]
    kept: dict[str, Any]


def update_yaml(path: Path, new: dict[str, Any], remove: bool = False) -> Updated:
    """Take the source's changes into `api.yaml`.

    Raises:
        QuerywrightError: the file is no YAML.
    """
    need("ruamel.yaml", extra="schema")
    from ruamel.yaml import YAML, YAMLError

    yaml = YAML()
    yaml.width = 118
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        own = yaml.load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise QuerywrightError(f"{path} is no YAML: {' '.join(str(error).split())[:160]}", hint="correct it") from None
    if not isinstance(own, MutableMapping):
        raise QuerywrightError(f"{path} is no definition", hint="move it away and import again")
    old = last_import(path.parent) or new
    told: list[str] = []
    kept: dict[str, Any] = {}
    _merge(
        own,
        {k: v for k, v in old.items() if k not in _NAMED},
        {k: v for k, v in new.items() if k not in _NAMED},
        "",
        told,
    )
    for part in _NAMED:
        before, after, mine = old.get(part, {}), new.get(part, {}), own.setdefault(part, {})
        for name, value in after.items():
            if name not in mine and name not in before:
                mine[name] = _flow(value) if part == "params" else _spread(value)
                told.append(f"new in {part}: {name}")
            elif name not in mine and before is after:
                continue  # no earlier import to compare with: the person may have taken it out
            elif name in mine:
                _merge(mine[name], before.get(name, value), value, f"{part}.{name}.", told)
        gone = [name for name in before if name not in after and name in mine]
        if gone:
            told.append(f"no longer in the source, {'taken out' if remove else 'kept'}: {part} {some(gone)}")
        if gone and not remove:
            kept[part] = {name: before[name] for name in gone}
        for name in gone if remove else ():
            del mine[name]
    params = set(map(str, own["params"]))
    if not told:
        return Updated(path.read_text(encoding="utf-8"), told, params, kept)
    out = io.StringIO()
    yaml.dump(own, out)
    return Updated(out.getvalue(), told, params, kept)


def _merge(mine: Any, old: dict[str, Any], new: dict[str, Any], where: str, told: list[str]) -> None:
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) == new.get(key) or (mine.get(key) == new.get(key) and key in mine):
            continue
        if key not in old and key in mine:
            continue  # the source says now what a person has said already
        if key not in new:
            if mine.get(key) == old.get(key):
                told.append(f"{where}{key} was {_short(mine.pop(key, None))}, is no longer given")
        elif all(isinstance(part.get(key), list) for part in (mine, old, new)):
            merged = _merged(list(mine[key]), old[key], new[key])
            for word, items in (("new", [v for v in merged if v not in mine[key]]), ("gone", _gone(mine[key], merged))):
                if items:
                    told.append(f"{where}{key}, {word} ({len(items)}): {some(map(str, items))}")
            mine[key] = _flow(merged)
        else:
            told.append(f"{where}{key} was {_short(mine.get(key))}, is {_short(new[key])}")
            mine[key] = _flow(new[key])


def _merged(mine: list[Any], old: list[Any], new: list[Any]) -> list[Any]:
    """The source's list, without what a person took out of it and with what a person put in."""
    return [*(v for v in new if v in mine or v not in old), *(v for v in mine if v not in old and v not in new)]


def _gone(before: Any, after: list[Any]) -> list[Any]:
    return [v for v in before if v not in after]


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _flow(value: Any) -> Any:
    """A value on one line."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, dict):
        made: Any = CommentedMap((k, _flow(v)) for k, v in value.items())
    elif isinstance(value, list):
        made = CommentedSeq(map(_flow, value))
    else:
        return value
    made.fa.set_flow_style()
    return made


def _spread(value: dict[str, Any]) -> Any:
    from ruamel.yaml.comments import CommentedMap

    return CommentedMap((k, _flow(v)) for k, v in value.items())
