"""What one record of an imported API is called: the noun of its paths, as `book` of `/books/{isbn}`."""

from __future__ import annotations

import re
from collections.abc import Iterable

GENERIC = "record"
# What stands in a path or a title and names no thing.
_NO_THING = {
    "api", "apis", "rest", "service", "services", "server", "web", "v", "query", "queries", "search", "searches",
    "find", "list", "lists", "get", "all", "count", "counts", "data", "item", "items", "record", "records",
    "result", "results", "entry", "entries", "object", "objects", "document", "documents", "doc", "docs",
    "resource", "resources", "index", "catalog", "catalogue", "catalogs", "catalogues", "metadata", "status",
    "health", "version", "versions", "info", "public", "open", "id", "ids", "by", "name", "names", "latest",
    "recent", "random", "featured", "lookup", "batch", "export", "download", "archive", "feed", "json", "xml",
    "csv", "test",
}  # fmt: skip
_NO_PLURAL = re.compile(r"(ss|us|is|news|series|species)$")


def of_path(path: str) -> str:
    """The noun of one path, in the singular: its last plain part that names a thing; else the empty string."""
    for part in reversed([p for p in path.split("/") if p and "{" not in p]):
        words = [w for w in re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", part).lower()) if w]
        if words and words[-1] not in _NO_THING and not re.fullmatch(r"v\d.*", part) and len(words[-1]) > 2:
            return " ".join([*words[:-1], singular(words[-1])])
    return ""


def noun_of(paths: Iterable[str], title: str) -> str:
    """The noun of an API: of the paths of one record (`/books/{isbn}`), of lists, of a plural in the title.

    The first path of each kind decides, as documents begin with what they are about; `record` where nothing says it.
    """
    known = list(paths)
    single = [p.rpartition("/{")[0] for p in known if re.search(r"[^{}]/\{[^{}/]+\}/?$", p)]
    top = sorted(single, key=lambda p: p.count("/"))
    lists = [p for p in known if "{" not in p and _plural(re.sub(r"[^a-z]+$", "", p.lower()).rpartition("/")[2])]
    for path in (*top, *lists):
        last = path.rpartition("/")[2]
        if "{" not in last and (noun := of_path(last)):
            return noun
    words = re.findall(r"[a-z]+", title.lower())
    return next((singular(w) for w in words if w not in _NO_THING and _plural(w)), GENERIC)


def _plural(word: str) -> bool:
    return len(word) > 3 and word.endswith("s") and not _NO_PLURAL.search(word) and word not in _NO_THING


def singular(word: str) -> str:
    """An English noun in the singular, as far as its ending says it."""
    if len(word) < 4 or _NO_PLURAL.search(word) or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if re.search(r"(ch|sh|x|ss|zz)es$", word) else word[:-1]
