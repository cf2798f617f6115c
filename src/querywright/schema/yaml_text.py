"""A definition as YAML that people like to edit: a line for each parameter where it fits."""

from __future__ import annotations

from typing import Any

import yaml

WIDTH = 118


def yaml_text(definition: dict[str, Any], head: str) -> str:
    """A definition as YAML; `head` is a comment on top."""
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for key, value in definition.items():
        if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
            lines.append(f"{key}:")
            for name, inner in value.items():
                lines += _entry(name, inner, spread=key == "endpoints")
        else:
            lines += _pair(key, value, "")
    return "\n".join(lines) + "\n"


def _entry(name: str, value: dict[str, Any], spread: bool) -> list[str]:
    line = f"  {flow(name)}: {flow(value)}"
    if not spread and len(line) <= WIDTH:
        return [line]
    return [f"  {flow(name)}:", *(row for key, inner in value.items() for row in _pair(key, inner, "    "))]


def _pair(key: str, value: Any, indent: str) -> list[str]:
    if not isinstance(value, dict | list | tuple):  # a plain text needs fewer quotation marks here than inside braces
        return [indent + yaml.safe_dump({key: value}, allow_unicode=True, width=float("inf")).rstrip("\n")]
    line = f"{indent}{flow(key)}: {flow(value)}"
    if len(line) <= WIDTH or isinstance(value, dict):
        return [line]
    start = f"{indent}{flow(key)}: ["
    lines = [start]
    for item in value:
        piece = flow(item) + ", "
        if len(lines[-1]) + len(piece) > WIDTH:
            lines.append(indent + "  ")
        lines[-1] += piece
    lines[-1] = lines[-1][:-2] + "]"
    return [line.rstrip() for line in lines]


def flow(value: Any) -> str:
    """A value on one line, quoted where YAML would read it otherwise."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    text = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.strip()[1:-1]
