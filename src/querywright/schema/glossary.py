"""What the parts of a name stand for: abbreviations, proper names, words that are written together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from querywright.errors import QuerywrightError

OWN = "glossary.yaml"  # beside a definition: an API's own words
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class Glossary:
    """Proper names by their lower-case key; words with what they are called; words that stand in run-together names."""

    names: dict[str, str]
    words: dict[str, tuple[str, ...]]
    common: frozenset[str]

    def readings(self, level: str) -> list[tuple[str, ...]]:
        """One level of a name (between dots) as words, each with all its readings, the best first."""
        whole = self._known(level.lower())
        if whole:
            return [whole]
        found: list[tuple[str, ...]] = []
        for token in re.split(r"[\s_\-/:.]+", level):
            if not token:
                continue
            known = self._known(token.lower())
            if known:
                found.append(known)
                continue
            for piece in _CAMEL.sub(" ", token).split():
                found += [self._known(p.lower()) or (_cased(p),) for p in self._apart(piece)]
        return found

    def is_name(self, level: str) -> bool:
        """Whether a level is a proper name, such as a database."""
        return level.lower() in self.names

    def knows(self, word: str) -> bool:
        """Whether a word of a name stands in the glossary."""
        key = word.lower()
        return key in self.names or key in self.words or key in self.common

    def _known(self, key: str) -> tuple[str, ...]:
        if key in self.names:
            return (self.names[key],)
        return self.words.get(key, ())

    def _apart(self, token: str) -> list[str]:
        """`maxradiuskm` as max, radius, km where all its parts are known words; else the token itself."""
        low = token.lower()
        if len(low) < 6 or not low.isalpha() or low in self.common:
            return [token]
        best: list[list[str] | None] = [[]] + [None] * len(low)
        for end in range(1, len(low) + 1):
            for start in range(max(0, end - 14), end):
                before, piece = best[start], low[start:end]
                if before is None or not (piece in self.common or (len(piece) > 2 and piece in self.words)):
                    continue
                if best[end] is None or len(before) + 1 < len(best[end] or []):
                    best[end] = [*before, piece]
        return best[-1] or [token]


def _cased(word: str) -> str:
    """Capitals stay (mRNA, GO:BP); a word that only begins with one loses it."""
    return word if sum(c.isupper() for c in word) > 1 or any(c.isdigit() for c in word) else word.lower()


@lru_cache(maxsize=8)
def load_glossary(folder: str = "") -> Glossary:
    """The general glossary, with the entries of `glossary.yaml` in a definition's folder before it.

    Raises:
        QuerywrightError: the API's own glossary is no mapping of `names`, `words` and `common`.
    """
    glossary = _read(Path(__file__).with_name(OWN))
    own = Path(folder) / OWN if folder else None
    if own is None or not own.is_file():
        return glossary
    mine = _read(own)
    return Glossary(
        {**glossary.names, **mine.names}, {**glossary.words, **mine.words}, glossary.common | mine.common
    )  # fmt: skip


def _read(path: Path) -> Glossary:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        names = {str(k).lower(): str(v) for k, v in (raw.get("names") or {}).items()}
        words = {
            str(k).lower(): tuple(map(str, v)) if isinstance(v, list) else (str(v),)
            for k, v in (raw.get("words") or {}).items()
        }
        nested = raw.get("common") or []
        common = frozenset(str(w).lower() for row in nested for w in (row if isinstance(row, list) else [row]))
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise QuerywrightError(
            f"{path} is no glossary: {' '.join(str(error).split())[:160]}",
            hint="names: {dbsnp: dbSNP}, words: {af: [allele frequency]}",
        ) from error
    return Glossary(names, words, common)
