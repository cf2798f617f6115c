"""Whether a user agent is a crawler, by two maintained lists; quick enough for logs with many thousand agents.

The lists are regular expressions, nearly all of them with some fixed text. Each is filed under three letters of its
text; an agent is matched only with those whose letters it has. The answers are those of the packages themselves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from querywright.errors import need

_COMMON = (
    "mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko) chrome/120.0.0.0 safari/537.36 "
    "(macintosh; intel mac os x 10_15_7) version/17.3 mobile (x11; ubuntu; linux x86_64; rv:123.0) gecko/20100101 "
    "firefox (compatible; msie trident/ android build/ (iphone; cpu iphone os edg/ opr/ http:// https://www. .com/"
)
_TOKEN = re.compile(
    r"(?P<group>[(|)])|(?P<set>\[(?:\\.|[^\]\\])+\])|\\(?P<escaped>[^\w\s])|(?P<any>\\.|[.^$])|(?P<plain>[^\\])", re.S
)
_LEADING = re.compile(r"^\[[^\]\\]*(?:\\.[^\]\\]*)*\]\*")  # may be empty: it decides nothing and costs most
_REPEAT = re.compile(r"[?*]|\{\d*,?\d*\}|\+")


class Index(NamedTuple):
    """Patterns by three letters that an agent must have, and the rest in one expression."""

    filed: dict[str, list[tuple[str, re.Pattern[str]]]]
    rest: re.Pattern[str] | None


def fixed_text(pattern: str) -> str:
    """The longest text that whatever matches must hold, in lower case; empty where that is not easily said."""
    runs, at = [""], 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None or token["group"]:
            return ""
        at = token.end()
        repeat = _REPEAT.match(pattern, at)
        at = repeat.end() if repeat else at
        char = token["escaped"] or token["plain"]
        optional = repeat is not None and not repeat[0].startswith("+")
        if char and not optional:
            runs[-1] += char
        if not char or repeat:
            runs.append("")
    return max(runs, key=len).lower()


def index(patterns: Iterable[str], flags: int) -> Index:
    """File patterns under the three letters of their text that are rarest."""
    texts = [(pattern, fixed_text(pattern)) for pattern in patterns]
    count = Counter(text[n : n + 3] for _, text in texts for n in range(len(text) - 2))
    filed: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    rest = []
    for pattern, text in texts:
        if len(text) < 3:
            rest.append(_LEADING.sub("", pattern))
            continue
        letters = min((text[n : n + 3] for n in range(len(text) - 2)), key=lambda t: (t in _COMMON, count[t]))
        filed.setdefault(letters, []).append((text, re.compile(pattern, flags)))
    return Index(filed, re.compile("|".join(f"(?:{p})" for p in rest), flags) if rest else None)


def matches(found: Index, agent: str) -> bool:
    """Whether a pattern of the index is in an agent."""
    lower = agent.lower()
    for n in range(len(lower) - 2):
        for text, pattern in found.filed.get(lower[n : n + 3], ()):
            if text in lower and pattern.search(agent):
                return True
    return found.rest is not None and found.rest.search(agent) is not None


@lru_cache(maxsize=1)
def _lists() -> tuple[re.Pattern[str], Index, Index]:
    need("crawlerdetect", extra="logs")
    names = need("crawlerdetect.providers.crawlers", extra="logs").data
    browsers = need("crawlerdetect.providers.exclusions", extra="logs").data
    agents = need("crawleruseragents", extra="logs").CRAWLER_USER_AGENTS_DATA
    strip = re.compile(f"({'|'.join(browsers)})", re.IGNORECASE)
    return strip, index(names, re.IGNORECASE), index([row["pattern"] for row in agents], 0)


def listed(agent: str) -> bool:
    """Whether one of the lists names the agent."""
    strip, crawlers, others = _lists()
    return matches(crawlers, strip.sub("", agent.strip())) or matches(others, agent)
