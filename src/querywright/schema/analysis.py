"""How an index compares values: what an analyzer or a normalizer does to letter case and to the order of words."""

from __future__ import annotations

from typing import Any

# Built-in analyzers (Elasticsearch 8, "Built-in analyzer reference"); the language analyzers are text as well.
_BUILT_IN = {"keyword": "exact", "whitespace": "text", "standard": "text", "simple": "text", "stop": "text"}
_LANGUAGES = (
    "arabic armenian basque bengali brazilian bulgarian catalan cjk czech danish dutch english estonian finnish french"
    " galician german greek hindi hungarian indonesian irish italian latvian lithuanian norwegian persian portuguese"
    " romanian russian serbian sorani spanish swedish turkish thai"
)
_TEXT = frozenset({"pattern", "fingerprint", *_LANGUAGES.split()})


def names_in(value: Any) -> list[str]:
    """One name or a list of names, as mappings have them."""
    if isinstance(value, str):
        return [value]
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


class Analysers:
    """The analyzers, normalizers and filters of one index's settings; remembers what it had to guess."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        """Take an index's `settings`, with or without the `index` level, nested or with dotted keys."""
        self.analyzers: dict[str, Any] = {}
        self.normalizers: dict[str, Any] = {}
        self.filters: dict[str, Any] = {}
        self.tokenizers: dict[str, Any] = {}
        self.guessed: dict[str, str] = {}
        self.case_kept: set[str] = set()
        self.add(settings or {})

    def add(self, settings: dict[str, Any]) -> None:
        """Take in the definitions of one more index; the first of a name stays."""
        analysis = _nested(settings, "analysis")
        self.analyzers = _nested(analysis, "analyzer") | self.analyzers
        self.normalizers = _nested(analysis, "normalizer") | self.normalizers
        self.filters = _nested(analysis, "filter") | self.filters
        self.tokenizers = _nested(analysis, "tokenizer") | self.tokenizers

    def of_normalizer(self, name: Any) -> str:
        """exact or lower, for a keyword."""
        if not name or not isinstance(name, str):
            return "exact"
        spec = self.normalizers.get(name)
        if isinstance(spec, dict):
            return "lower" if self._lowers(spec) else "exact"
        if name == "lowercase":
            return "lower"
        return self._guess(name, "lower" if "lower" in name.lower() else "exact")

    def of_analyzer(self, name: Any) -> str:
        """exact, lower or text, for a text field. None is the index's own default."""
        name = name if isinstance(name, str) else None
        spec = self.analyzers.get(name or "default")
        if isinstance(spec, dict):
            return self._custom(name or "default", spec)
        if not name:
            return "text"
        if name in _BUILT_IN or name in _TEXT:
            if name == "whitespace":
                self.case_kept.add(name)
            return _BUILT_IN.get(name, "text")
        lowered = name.lower()
        whole = any(part in lowered for part in ("string", "keyword")) and "lower" in lowered
        return self._guess(name, "lower" if whole else "text")

    def _custom(self, name: str, spec: dict[str, Any]) -> str:
        kind = spec.get("type", "custom")
        if kind != "custom" and "tokenizer" not in spec:
            return _BUILT_IN.get(str(kind), "text")
        tokenizer = spec.get("tokenizer")
        definition = self.tokenizers.get(str(tokenizer))
        if isinstance(definition, dict):
            tokenizer = definition.get("type", tokenizer)
        lowers = self._lowers(spec) or tokenizer == "lowercase"
        if tokenizer == "keyword":
            splits = any(self._filter_type(f) in _SPLITTING for f in names_in(spec.get("filter")))
            return "text" if splits else "lower" if lowers else "exact"
        if not lowers:
            self.case_kept.add(name)
        return "text"

    def _filter_type(self, name: str) -> str:
        spec = self.filters.get(name)
        return str(spec.get("type", name)) if isinstance(spec, dict) else name

    def _lowers(self, spec: dict[str, Any]) -> bool:
        return any(self._filter_type(f) in _LOWERING for f in names_in(spec.get("filter")))

    def _guess(self, name: str, what: str) -> str:
        self.guessed[name] = what
        return what

    def notes(self) -> list[str]:
        """What a person should know about what was read."""
        notes = []
        if self.guessed:
            told = ", ".join(f"{n} as {w}" for n, w in sorted(self.guessed.items()))
            notes.append(f"taken by its name, because no settings define it: {told}")
        if self.case_kept:
            told = ", ".join(sorted(self.case_kept))
            notes.append(f"keeps letter case, which text fields of a definition do not: {told}")
        return notes


_LOWERING = frozenset({"lowercase", "icu_folding", "icu_normalizer"})
_SPLITTING = frozenset(
    {"word_delimiter", "word_delimiter_graph", "ngram", "edge_ngram", "nGram", "edgeNGram", "shingle"}
)


def _nested(settings: dict[str, Any], key: str) -> dict[str, Any]:
    """`settings.index.analysis`, `settings.analysis` or `settings["index.analysis"]`, whichever is there."""
    found: dict[str, Any] = {}
    for prefix in ("", "index."):
        value = settings.get(prefix + key)
        if isinstance(value, dict):
            found |= value
        dotted = prefix + key + "."
        for name, value in settings.items():
            if name.startswith(dotted):
                _put(found, name[len(dotted) :].split("."), value)
    inner = settings.get("index")
    return found | _nested(inner, key) if isinstance(inner, dict) else found


def _put(into: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = into.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        into = inner
    into[path[-1]] = value
