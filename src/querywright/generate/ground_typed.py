"""Values of typed parameters only from the sentence: numbers, dates in any spelling, texts, enum values it mentions.

Gives terminals for `grammar.mask_source`, and the parameters to leave out because the sentence offers them no value.
Each terminal stays within the one that it replaces: its values are filtered by the parameter's own expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from statistics import median
from typing import Any

from querywright.api.definition import API, Param
from querywright.api.grammar import alternatives, value_terminal
from querywright.api.lexicon import lexicon
from querywright.api.param_names import HIGH, LOW, tokens
from querywright.api.patterns import compiled
from querywright.api.query_text import escape
from querywright.api.spoken import EDGE, MOST_WORDS, dates, signed, without_dates
from querywright.api.values import ValueProblem, printed, read_value, value_regex

_LONGEST = 6  # words of a text
_SWITCH = {"true", "false", "only", "all", "any", "none", "yes", "no", "both"}  # said in many ways
_FUNCTION_WORDS = {
    "a", "an", "the", "of", "in", "on", "at", "by", "to", "for", "and", "or", "not", "no", "with", "without",
    "from", "is", "are", "was", "were", "be", "been", "that", "which", "who", "what", "there", "all", "any", "some",
    "than", "more", "most", "less", "least", "only", "just", "me", "my", "i", "you", "it", "its", "do", "does",
    "did", "have", "has", "had", "can", "could", "please", "show", "find", "list", "get", "give", "count", "how",
    "many", "much", "this", "these", "those", "as", "between",
}  # fmt: skip
_COMMON = {
    "over", "under", "higher", "lower", "number", "value", "date", "time", "day", "moment", "or", "km", "degrees",
    "degree", "m", "up", "range", "limit",
}  # fmt: skip
_ONE = re.compile(r"\b(one|single|latest|newest|last|first|top|best|most \w+|\w{3,}est)\b", re.I)


def typed_terminals(
    api: API, sentence: str, words: Iterable[str], names: Iterable[str]
) -> tuple[dict[str, str], set[str]]:
    """Terminals of the values of the parameters `names`, and those of them to leave out of the grammar.

    Args:
        words: what the sentence offers as single words (see `ground.spans`).
    """
    sentence = " ".join(sentence.split()[:MOST_WORDS])
    terminals: dict[str, str] = {}
    without: set[str] = set()
    said_dates = dates(sentence)
    dated = any(p.kind == "date" for p in api.params.values())
    said_numbers = signed(without_dates(sentence) if dated else sentence)
    texts = [*words, *runs_of_words(sentence)]
    pieces = re.split(r"[\s,;()]+", without_dates(sentence) if dated else sentence)
    undated = {piece.strip(EDGE).lower() for piece in pieces}
    offers: dict[str, list[str]] = {}
    names = list(names)
    unsaid = _unsaid(api, names, sentence)
    for name in names:
        if name in unsaid and not _required(api, name):
            without.add(name)
            continue
        param = api.params[name]
        kind = param.items if param.kind == "list" else param.kind
        if kind in ("integer", "number"):
            found = _within(name, param, kind, [*said_numbers, *_paging(api, name, param, sentence, said_numbers)])
        elif kind == "date":
            found = said_dates
        elif kind == "enum":
            found = _mentioned(api, name, param, sentence)
        elif kind == "text":
            found = _texts(api, name, param, texts, undated)
        else:
            continue
        offers.setdefault(value_terminal(name, param), []).extend(found)
        if not found and not _required(api, name):
            without.add(name)
    for terminal, found in offers.items():
        if found:
            terminals[terminal] = f"/{alternatives(found)}/"
    return terminals, without


def runs_of_words(sentence: str) -> list[str]:
    """Every run of two to six words, without the punctuation at its edges."""
    raw = re.sub(r"[\x00-\x1f\x7f\ufffd]", "", " ".join(sentence.split()[:MOST_WORDS])).split()
    pieces = (raw[i : i + n] for i in range(len(raw)) for n in range(2, min(len(raw) - i, _LONGEST) + 1))
    found = (text.strip(edge) for text in map(" ".join, pieces) for edge in (EDGE, ".,;:!?\"'`"))
    return list(dict.fromkeys(f for f in found if " " in f))


def _required(api: API, name: str) -> bool:
    return any(name in e.in_path or any(group[0] == name for group in e.needs) for e in api.endpoints.values())


def _within(name: str, param: Param, kind: str, texts: Iterable[str]) -> list[str]:
    """Numbers that the parameter takes, in their one spelling."""
    found = []
    single = param.model_copy(update={"kind": kind}) if param.kind == "list" else param
    for text in dict.fromkeys(texts):
        try:
            found.append(printed(read_value(name, single, [text])))
        except ValueProblem:
            continue
    return [f for f in dict.fromkeys(found) if len(f.partition(".")[2]) <= 6]


def _paging(api: API, name: str, param: Param, sentence: str, numbers: list[str]) -> list[str]:
    """What pages come to ("the third page of 20"), and one for "the latest"."""
    words = {w for w in re.split(r"[\W_]+", name.lower()) if w}
    if param.role == "limit" or words & {"limit", "size", "count", "per", "rows", "top"}:
        return ["1"] if _ONE.search(sentence) else []
    if "page" in words or not (param.role == "offset" or words & {"offset", "skip"}):
        return []
    whole = sorted({int(n) for n in numbers if n.isdigit() and int(n) <= 10_000})
    first = int(param.default or param.min or 0)
    pages = [(a - 1) * b + first for a in whole for b in {*whole, 10} if 1 < a < 100]
    return [str(n) for n in (*pages, *(a + first for a in whole), *(a - 1 + first for a in whole if a))]


def _texts(api: API, name: str, param: Param, texts: Iterable[str], undated: set[str]) -> list[str]:
    in_path = any(name in e.in_path for e in api.endpoints.values())
    free = value_regex(param.model_copy(update={"pattern": ""}), "text", in_path)
    own = value_regex(param, "text", in_path)
    try:  # a pattern that others wrote is matched in linear time
        fits = re.compile(free).fullmatch if own == free else compiled(f"^{own}$")
    except ValueError:
        fits = re.compile(free).fullmatch
    found: dict[str, None] = {}
    for text in texts:
        cases = (text, text.lower(), text.upper()) if " " not in text else (text, text.lower())
        found.update(dict.fromkeys(escape(t) for t in cases if fits(escape(t))))
    matches = compiled(param.pattern) if param.pattern else None
    kept = [t for t in found if matches is None or matches(t)]
    known = {e.lower() for e in param.examples}
    if known and all(re.search(r"\d", e) for e in known):  # an id with digits is not a plain word
        kept = [t for t in kept if re.search(r"\d", t) and t.lower() in undated]
    return [t for t in kept if t.lower() not in _FUNCTION_WORDS or t.lower() in known]


# --- what is mentioned -----------------------------------------------------------------------------------------------
def _unsaid(api: API, names: list[str], sentence: str) -> set[str]:
    """Optional numbers and dates that a sentence has no word for, while it has one for others.

    "deeper than 100 km with a gap below 90" leaves out a significance that was never spoken of. Where none is
    mentioned, all stay; so do limits, places, the main dates, and what the definition gives by far the most weight.
    """
    words = {w.removesuffix("s") for w in re.findall(r"[a-z]+", sentence.lower())}
    own = {n: _words_for(api, n) for n in names}
    numeric = [n for n in names if api.params[n].kind in ("integer", "number") and own[n]]
    mentioned = {n for n in numeric if _any_said(own[n], words)}
    weights = [api.params[n].weight for n in numeric]
    usual = max(2 * median(weights), 0.75 * max(weights)) if weights else 0.0
    free = {n for n in numeric if api.params[n].role or api.params[n].weight >= usual or _in_place(api, n)}
    left_out = {n for n in numeric if n not in mentioned | free} if mentioned - free else set()
    days = [n for n in names if api.params[n].kind == "date"]
    if any(not own[n] for n in days):  # a main date needs no name; beside it the others do
        left_out |= {n for n in days if own[n] and not _any_said(own[n], words)}
    return left_out


def _any_said(known: set[str], words: set[str]) -> bool:
    """Whether a sentence has one of the words, small slips in longer ones forgiven."""
    return bool(known & words) or any(get_close_matches(k, words, 1, 0.85) for k in known if len(k) > 4)


def _in_place(api: API, name: str) -> bool:
    parts = set(tokens(api, name))
    return bool(parts & {"radius", "distance", "limit", "page", "size", "offset"}) or (
        bool(parts & {"latitude", "longitude", "lat", "lon", "lng"}) and not parts & (LOW | HIGH)
    )


@lru_cache(maxsize=1024)
def _words_for(api: API, name: str) -> set[str]:
    """Words that speak of a parameter: of its name, its synonyms and the lexicon's phrases; none for a plain date."""
    param, quantity = api.params[name], [t for t in tokens(api, name) if t not in LOW | HIGH]
    own = lexicon(api)
    told = list(param.synonyms)
    told += [str(p) for p in own.get("params", {}).get(name, {}).get("say", [])]
    told += [str(p) for ways in [own.get("ranges", {}).get(" ".join(quantity), {})] for ps in ways.values() for p in ps]
    noun = set(re.findall(r"[a-z]+", f"{api.noun} {' '.join(own.get('nouns', []))}".lower()))
    skipped = LOW | HIGH | _FUNCTION_WORDS | _COMMON | noun
    if param.kind == "date" and not [t for t in quantity if t not in _COMMON]:
        return set()
    found = {w for text in (" ".join(quantity), *told) for w in re.findall(r"[a-z]{2,}", text.lower())} - skipped
    boxed = {"box", "rectangle", "area"} if {"latitude", "longitude", "lat", "lon"} & set(quantity) else set()
    return {w.removesuffix("s") for w in found | boxed}


# --- enums -----------------------------------------------------------------------------------------------------------
def _mentioned(api: API, name: str, param: Param, sentence: str) -> list[str]:
    """The values of an enum that a sentence mentions; all of them where it mentions none, or says an order.

    Where somebody wrote down words for the values (`lexicon.yaml`), a value without a mention is left out.
    """
    values = [v for v in param.values if v != param.default] or list(param.values)
    words = re.findall(r"[\w.+-]+", sentence.lower())
    words += [part for w in words for part in re.split(r"[-.+_]+", w) if part]
    text = " ".join(re.findall(r"[\w.+-]+", sentence.lower()))
    spoken = {value: _spoken(api, name, value) for value in values}
    found = [v for v in values if v.lower() in _SWITCH or any(_heard(p, text, words) for p in spoken[v])]
    if param.role == "sort" or name.lower() in ("sort", "order", "orderby", "order_by", "direction"):
        return [escape(v) for v in values]  # "largest first" names none
    mentioned = [v for v in found if v.lower() not in _SWITCH]
    if not mentioned and not (found or _all_known(api, name, values)):
        found = values
    return [escape(v) for v in found]


def _spoken(api: API, name: str, value: str) -> list[str]:
    """What people say for a value: its words, and those of the lexicon."""
    own: dict[str, Any] = lexicon(api).get("params", {}).get(name, {}).get("values", {}).get(value, {})
    vocabulary: dict[str, Any] = lexicon(api).get("vocabularies", {}).get(name, {}).get(value, {})
    phrases = [str(p) for told in (own, vocabulary) if isinstance(told, dict) for form in told.values() for p in form]
    spaced = re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", value)).strip().lower()
    told = (" ".join(re.findall(r"[\w.+-]+", p.lower())) for p in phrases)
    return list(dict.fromkeys([value.lower(), spaced, *told]))


def _heard(phrase: str, text: str, words: list[str]) -> bool:
    if not phrase:
        return False
    if re.search(rf"(?<![\w]){re.escape(phrase)}(s|es)?(?![\w])", text) or phrase in words:
        return True
    if phrase.endswith("y") and re.search(rf"(?<!\w){re.escape(phrase[:-1])}ies(?!\w)", text):
        return True
    if len(phrase) < 6 or " " in phrase:
        return False
    return bool(get_close_matches(phrase, [w for w in words if w[:1] == phrase[:1]], 1, 0.82))


def _all_known(api: API, name: str, values: list[str]) -> bool:
    own = lexicon(api).get("params", {}).get(name, {}).get("values", {})
    vocabulary = lexicon(api).get("vocabularies", {}).get(name, {})
    return all(v in own or v in vocabulary for v in values)
