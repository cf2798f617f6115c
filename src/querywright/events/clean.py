"""A message's words, without what no model should learn by heart: links, code, ids, addresses, marks of the chat."""

from __future__ import annotations

import html
import re
from functools import lru_cache

_FENCE = re.compile(r"(?s)(```|~~~).*?(?:\1|\Z)")
_INLINE = re.compile(r"`[^`\n]{1,500}`")
_CONTROL = re.compile(r"<\|[^|>\s]{0,40}\|>")
_ENTITY = re.compile(r"<([^<>\n]{1,2000})>")
_MARKDOWN = re.compile(r"!?\[([^\[\]\n]{0,200})\]\((?:https?://|mailto:|/|#|www\.)[^\s()]{0,2000}\)")
_URL = re.compile(r"(?i)\b(?:[a-z][a-z0-9+.-]{1,10}://|www\.)\S+")
_HOST = re.compile(r"(?i)\A[\w.-]+\.[a-z]{2,}(?:[/:?#]\S*)?\Z")
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_HANDLE = re.compile(r"(?<![\w@])@[A-Za-z][\w.-]{1,40}")
_IDS = tuple(
    re.compile(p)
    for p in (
        r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",  # UUID
        r"(?<![\w.])(?!\d{4}-\d\d-\d\d)\+?\(?\d(?:[\s()/-]{0,2}\d){7,14}(?!\w)",  # telephone numbers, not dates
        r"\b[UWCDGTB](?=[A-Z0-9]*\d)[A-Z0-9]{8,11}\b",  # Slack's own
        r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b",  # hashes
        r"\b[A-Z][A-Z0-9]{1,9}-\d{1,7}\b",  # tickets
        r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b",  # addresses of machines
        r"(?<!\w)#?\d{5,}\b",  # numbers that only name something
    )
)
_EMOJI = re.compile(r":(?=[a-z0-9_+'-]*[a-z+])[a-z0-9_+'-]{2,50}:(?::skin-tone-\d:)?")
_QUOTE = re.compile(r"(?m)^\s{0,3}>+\s?")
_EMPHASIS = re.compile(r"(?<![\w*_~])([*_~]{1,2})(?=\S)([^*_~\n]{1,500}?)(?<=\S)\1(?![\w*_~])")
_EMPTY_BRACKETS = re.compile(r"[(\[{]\s*[)\]}]")
_BEFORE_STOP = re.compile(r"\s+([,.;:!?])(?=\s|\Z)")
_SPACE = re.compile(r"\s+")
_LETTERS = re.compile(r"[^\W\d_]{2,}")


@lru_cache(maxsize=1 << 16)
def clean(text: str) -> str:
    """A message's words on one line; empty where nothing is left.

    Code (fenced and inline), links, mentions of people and channels, e-mail addresses, telephone numbers, ids (UUIDs,
    hashes, tickets, machine addresses, numbers of five digits and more), emoji codes and a chat model's control tokens
    leave. A link's own words stay: `<https://x.example|the plan>` is `the plan`.
    """
    text = _INLINE.sub(" ", _FENCE.sub(" ", text))
    text = _CONTROL.sub(" ", text)
    text = _MARKDOWN.sub(r"\1", text)
    text = _ENTITY.sub(lambda m: f" {_said(m[1])} ", text)
    # what Slack escaped are signs that people typed; a control token that was escaped is one again now
    text = _CONTROL.sub(" ", html.unescape(text)).replace("<|", " ").replace("|>", " ")
    for pattern in (_URL, _MAIL, _HANDLE, *_IDS, _EMOJI):
        text = pattern.sub(" ", text)
    text = _QUOTE.sub("", text)
    text = _EMPHASIS.sub(r"\2", text)
    text = "".join(c if c.isprintable() or c.isspace() else " " for c in text)
    return _BEFORE_STOP.sub(r"\1", _SPACE.sub(" ", _EMPTY_BRACKETS.sub(" ", text))).strip()


def words(text: str) -> int:
    """How many words of two letters or more a text has."""
    return len(_LETTERS.findall(text))


def _said(inner: str) -> str:
    """What stays of one `<...>`: a link's words; of a mention, an address or a date nothing; other text as it is."""
    target, bar, label = inner.partition("|")
    if target.startswith(("@", "#", "!")):
        return ""
    if re.match(r"(?i)[a-z][a-z0-9+.-]{1,10}:\S", target):
        return label if bar and not _URL.search(label) and not _MAIL.search(label) and not _HOST.match(label) else ""
    return inner
