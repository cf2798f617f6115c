"""Text that others wrote, in a prompt: cleaned, between markers that it can't contain. And JSON out of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from querywright.artefacts import content_id

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]+")
HIDDEN = re.compile(r"[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u00ad]+")
_UNSEEN_INLINE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd]+")
_TOKENS = re.compile(
    r"<(?=[|｜])|<(?=<?/?SYS>)|<(?=/?(?:[a-z]{1,12}:)?(?:s|bos|eos|pad|unk|mask|cls|sep|[se]op|eo[dmt]|end|think)>)"
    r"|<(?=/?[a-z_][\w.:▁|｜-]{0,40}[_▁|｜][\w.:▁|｜-]{0,40}>)"  # <tool_call>, <turn|>, <reserved_106>
    r"|\[(?=/?(?:INST|(?-i:[gs]?MASK|BOS|EOS|CLS|SEP|PAD|UNK|THINK|IMG|[A-Z]{2,20}(?:_[A-Z]{2,20})+))\])",
    re.I,
)  # narrower than CONTROL: a judge of code has to see `<div>` and `a[i]` as they are, a reader of documents `[ATP]`
_MOST_BRACES = 50
CONTROL = re.compile(r"<(?=[|/｜]?[A-Za-z_|｜])|\[(?=/?(?:[A-Z_]{2,20}|[gs]MASK)\])")


def clean(text: str) -> str:
    """Text without control characters and without line breaks."""
    return " ".join(UNSEEN.sub(" ", HIDDEN.sub("", text)).split())


def inert(text: str) -> str:
    """Clean text in which nothing reads as a chat template's control token: `<|im_end|>`, `</s>`, `[INST]`.

    Servers put a chat into their template as text, so what a log holds could end its message there. A space breaks it.
    """
    return CONTROL.sub(lambda m: m[0] + " ", clean(text))


def inert_lines(text: str) -> str:
    """Text with its layout, without control characters, in which nothing reads as a chat template's control token."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _TOKENS.sub(lambda found: found[0] + " ", _UNSEEN_INLINE.sub(" ", HIDDEN.sub("", text)))


def code_for(key: str, texts: Iterable[str]) -> str:
    """A code for `fence` that is in none of the texts, and that none of their writers could know."""
    material = json.dumps([key, *texts])
    code = content_id(material, 8)
    while code in material:
        code = content_id(material + code, 8)
    return code


def fence(material: str, name: str = "DATA", code: str = "") -> str:
    """`material` between the lines `=== NAME code begins` and `=== NAME code ends`; the mark is not in it.

    Args:
        code: in place of one that is made of the material; several places of one prompt may share it.
    """
    mark = f"=== {name} {code or content_id(material, 8)}"
    while mark in material:
        mark = f"=== {name} {content_id(material + mark, 8)}"
    return f"{mark} begins\n{material}\n{mark} ends"


def rooms(lengths: Sequence[int], most: int) -> list[int]:
    """How many characters of each text are shown, `most` of all together: what short ones leave the long ones share."""
    found, left = [0] * len(lengths), most
    for shown, place in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        found[place] = min(lengths[place], left // (len(lengths) - shown))
        left -= found[place]
    return found


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


def json_objects(text: str) -> tuple[list[dict[str, Any]], str]:
    """The whole JSON objects in a text, of its first fifty braces, and what stands around them."""
    found: list[dict[str, Any]] = []
    around, behind, start = "", 0, text.find("{")
    for _ in range(_MOST_BRACES):
        if start < 0:
            break
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
            found.append(value)
            around, behind = f"{around}{text[behind:start]}\n", end
        except (ValueError, RecursionError):
            end = start + 1
        start = text.find("{", end)
    return found, around + text[behind:]


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
