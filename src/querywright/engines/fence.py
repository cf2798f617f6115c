"""Text that others wrote, in a prompt: cleaned, between markers that it can't contain. And JSON out of an answer."""

from __future__ import annotations

import json
import re
from typing import Any

from querywright.artefacts import content_id

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]+")
HIDDEN = re.compile(r"[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u00ad]+")
CONTROL = re.compile(r"<(?=[|/｜]?[A-Za-z_|｜])|\[(?=/?[A-Z_]{2,20}\])")


def clean(text: str) -> str:
    """Text without control characters and without line breaks."""
    return " ".join(UNSEEN.sub(" ", HIDDEN.sub("", text)).split())


def inert(text: str) -> str:
    """Clean text in which nothing reads as a chat template's control token: `<|im_end|>`, `</s>`, `[INST]`.

    Servers put a chat into their template as text, so what a log holds could end its message there. A space breaks it.
    """
    return CONTROL.sub(lambda m: m[0] + " ", clean(text))


def fence(material: str) -> str:
    """`material` between the lines `=== DATA code begins` and `=== DATA code ends`; the code is not in it."""
    mark = f"=== DATA {content_id(material, 8)}"
    while mark in material:
        mark = f"=== DATA {content_id(material + mark, 8)}"
    return f"{mark} begins\n{material}\n{mark} ends"


def json_object(text: str) -> dict[str, Any] | None:
    """The first whole JSON object in a text, with or without something around it; None where there is none."""
    text = text.rpartition("</think>")[2]
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_parts(text: str, mark: str = "") -> dict[str, Any]:
    """The JSON object in a text; of one that was cut, the objects in it that are whole, by their keys.

    Args:
        mark: a regular expression for how such an inner object begins, behind its brace.
    """
    whole = json_object(text)
    if whole is not None:
        return whole
    found: dict[str, Any] = {}
    for match in re.finditer(r'"((?:[^"\\]|\\.){1,200})"\s*:\s*(?=\{' + mark + ")", text):
        try:
            found[json.loads(f'"{match[1]}"')], _ = json.JSONDecoder().raw_decode(text[match.end() :])
        except (ValueError, RecursionError):
            continue
    return found
