"""What in a text is no text: what can be taken out of it, and what spoils it."""

from __future__ import annotations

import html
import re
import unicodedata

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffb]")
_TAG = re.compile(
    r"</?(?:a|b|body|br|code|div|em|font|form|h[1-6]|head|hr|html|i|img|input|li|ol|p|pre|script|small|span|strong|style"
    r"|sub|sup|table|tbody|td|th|thead|tr|u|ul)(?:\s+[\w:-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+))?)*\s*/?>|<!--.*?-->",
    re.IGNORECASE | re.DOTALL,
)
_ENTITY = re.compile(r"&(?:#\d{2,5}|#x[\da-fA-F]{2,5}|amp|lt|gt|quot|apos|nbsp|hellip|mdash|ndash|rsquo|lsquo);")
_MOJIBAKE = re.compile(r"[ÂÃ][\x80-\xbf‚„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ€ƒ]|â€|ï»¿|ðŸ")
_BLOB = re.compile(r"[A-Za-z0-9+/_-]{80,}={0,2}")
_TEXTUAL = 0.5  # at least this share of the signs of a text are letters and digits
_FEW = 4  # shorter texts are not judged by it


def cleaned(text: str, keep: str = "") -> tuple[str, list[str]]:
    """A text without noise, and the kinds of noise that were in it.

    Args:
        keep: what is found here too (a row's answer) is meant, and stays.
    """
    kinds = []
    for kind, mend in (("mojibake", _mended), ("control", _without_control), ("html", _without_html)):
        new = mend(text, keep)
        if new != text:
            kinds.append(kind)
            text = new
    spaced = unicodedata.normalize("NFC", re.sub(r"[ \t\xa0\u2000-\u200a\u202f\u3000]+", " ", text)).strip()
    if spaced != text:
        kinds.append("spaces")
    return spaced, kinds


def spoilt(text: str) -> str:
    """Why a text is no text (`replacement`, `mojibake`, `blob`, `punctuation`), or the empty string."""
    if "\ufffd" in text:
        return "replacement"
    if _MOJIBAKE.search(text):
        return "mojibake"
    for blob in _BLOB.findall(text):
        if re.search(r"[a-z]", blob) and re.search(r"[A-Z]", blob) and re.search(r"\d", blob):
            return "blob"
    signs = [c for c in text if not c.isspace()]
    if len(signs) >= _FEW and sum(c.isalnum() for c in signs) < _TEXTUAL * len(signs):
        return "punctuation"
    return ""


def _mended(text: str, _: str) -> str:
    """UTF-8 that was read as Windows-1252, read right; the text itself where that gives none."""
    if not _MOJIBAKE.search(text):
        return text
    try:
        raw = b"".join(bytes([ord(c)]) if ord(c) < 256 else c.encode("cp1252") for c in text)
        return raw.decode("utf-8")
    except UnicodeError:
        return text


def _without_control(text: str, _: str) -> str:
    return _CONTROL.sub(lambda m: " " if m[0] in "\r\x0b\x0c\x85" else "", text)


def _without_html(text: str, keep: str) -> str:
    bare = _TAG.sub(lambda m: m[0] if m[0] in keep else " ", text)
    return _ENTITY.sub(lambda m: m[0] if m[0] in keep else html.unescape(m[0]), bare)
