"""Values only from the sentence: terminals of the API's grammar, narrowed for one request.

A small model copies badly: it cuts an id short or invents one. Under a grounded grammar a value can only be a word or a
run of words of the sentence, whole; written as it is, in small letters or in capitals, with wildcards around it. What
people say in other words stays possible: numbers in words or with a unit ("1.5 Mb"), plurals, the names of a
vocabulary. A sentence that offers nothing leaves `*`, so every call can still be finished.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

from querywright.api.definition import API
from querywright.api.grammar import SPECIAL, alternatives, integer_terminal, mask_source, rule_name, vocabulary_terminal
from querywright.api.lexicon import lexicon
from querywright.api.query import Term, escape, print_query
from querywright.api.spoken import EDGE, MOST_WORDS, numbers
from querywright.generate.ground_typed import typed_terminals

_LONGEST = 10  # words of a phrase
_LONGEST_WORD = 1000  # characters; what is longer (a file pasted by mistake) is no value, and would take minutes


@dataclass(frozen=True)
class Spans:
    """What a sentence offers: bare words, whole and decimal numbers (as digits), whole numbers; and which of the words
    are two of the sentence, joined."""

    words: tuple[str, ...]
    numbers: tuple[str, ...]
    integers: tuple[int, ...]
    joined: frozenset[str] = frozenset()


def spans(sentence: str) -> Spans:
    """Collect what a sentence offers as values."""
    raw = sentence.split()[:MOST_WORDS]
    words: dict[str, None] = {}
    for token in raw:
        words.update(dict.fromkeys(_parts(token)))
    single = {*words}
    for left, right in pairwise(raw):
        a, b = left.strip(EDGE), right.strip(EDGE)
        if a and b and not any(re.search(r"[A-Za-z].*\d|\d.*[A-Za-z]", part) for part in (a, b)):  # an id stays whole
            words.update(dict.fromkeys((f"{a}-{b}", f"{a}_{b}", f"{a}{b}")))
    found = numbers(sentence)
    found += [n for text in re.findall(r"(?<![\w.])\.\d{1,12}(?![\w.])", sentence) for n in (f"0{text}", text)]
    coded = {*re.findall(r"(?<=[A-Za-z:_])0[0-9]*", sentence)}  # of ENST00000266970: digits, no number
    integers = sorted({int(n) for n in found if n.isdigit() and len(n) < 12 and n not in coded})
    return Spans(tuple(words), tuple(found), tuple(integers), frozenset(words.keys() - single))


def _parts(token: str) -> list[str]:
    """The words that one run of characters may stand for: whole, without edges, in parts, in the singular."""
    bare = token.strip(EDGE)
    found = [bare, token.strip(EDGE + "*?~^"), re.sub(r"['’]s?$", "", bare)]
    found += re.split(r"[/,;:=|()\[\]{}<>\"'“”‘’&+]+", bare)
    found += [p for piece in re.split(r"[/,;=|()\"'“”‘’]+", bare) for p in re.split(r"[-–_.]", piece)]
    found += re.split(r"[*?]+", bare) if re.search(r"[*?]", bare) else []
    found += [bare[: m.start()] for m in re.finditer("[-–]", bare)]
    found += [bare.replace(",", ""), bare.partition(":")[2], bare.lstrip("#@$")]
    found += re.findall(r"(?i)\bchr(?:omosome)?[\s:]?(\w+)", bare)
    for word in [w for w in found if len(w) > 3]:
        if word.endswith("ies"):
            found.append(word[:-3] + "y")
        if word.endswith("es"):
            found.append(word[:-2])
        if word.endswith("s"):
            found += [word[:-1], word[:1].upper() + word[1:-1]]  # "peptides" are of the type Peptide
    return [w for w in (*(w.strip(EDGE) for w in found), *_with_edges(token)) if w]


def _with_edges(token: str) -> list[str]:
    """Words whose edges are their own: `...8(11)12/h2-5H,(H,11,12)` ends with a bracket, `1.14.*` with a full stop."""
    found = []
    ended = token.lstrip(EDGE).rstrip(EDGE.replace(")", "").replace("]", ""))
    for text in (ended, ended.partition(":")[2]):
        while text.endswith((")", "]")) and text.count("(") + text.count("[") < text.count(")") + text.count("]"):
            text = text[:-1]  # a bracket that was opened before this word
        found += [text] if text.endswith((")", "]")) else []
    found += [piece.lstrip(EDGE) for piece in re.findall(r"([^:=*?]+)[*?]", token)]
    return found


_QUOTES = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|(?<!\w)'([^']+)'(?!\w)")


def _verbatim(sentence: str) -> list[str]:
    """Phrases as they stand, edges and all: what is quoted ("Take with food."), and words with a sign ("-gliptin")."""
    text = " ".join(sentence.split()[:MOST_WORDS])
    found = [" ".join("".join(parts).split()) for parts in _QUOTES.findall(text)]
    found += [w.rstrip(EDGE) for w in re.findall(r"(?<!\S)[\"'(]?(-\w\S*)", text)]
    found = [re.sub(r"[\"\\\x00-\x1f\x7f\ufffd]", "", w) for w in found]
    return list(dict.fromkeys(escape(v) for w in found if w.strip() for v in (w, w.lower())))


def runs(sentence: str) -> str:
    """A regular expression of the runs of words, escaped as in a phrase; it begins and ends at a word's edge.

    It nests (`gene( of( the( mouse)?)?)?`, once for each first word): compiled ten times faster than a list of runs.
    A hyphen and a space take each other's place; the last word may lose a plural's s.
    """
    cleaned = re.sub(r"[\"“”\\\x00-\x1f\x7f\ufffd]", "", " ".join(sentence.split()[:MOST_WORDS]))
    pieces = re.split(r"([^\w%&#+*)\]]*[\s–-]+[^\w%&#+*]*)", cleaned.strip(EDGE.replace(")", "").replace("]", "")))
    words, gaps = pieces[::2], pieces[1::2]

    def after(i: int, left: int) -> str:
        more = f"({_gap(gaps[i])}{after(i + 1, left - 1)})?" if left > 1 and i < len(gaps) else ""
        word = escape(words[i])
        closing = word[len(word.rstrip(")]")) :].translate(SPECIAL)  # "(anticodon GAA)" ends with or without it
        word = word.rstrip(")]")
        if len(word) > 3 and word.endswith("s"):
            return f"{word[:-1].translate(SPECIAL)}(s({closing}{more})?)?"
        return word.translate(SPECIAL) + (f"({closing}{more})?" if closing else more)

    return "(" + ("|".join(after(i, _LONGEST) for i, word in enumerate(words) if word) or "a") + ")"


def _gap(text: str) -> str:
    plain = escape(text).translate(SPECIAL)
    return f"({plain}|[ \\-])" if text.strip() in ("", "-", "–") else plain


# --- the terminals -------------------------------------------------------------------------------------------------
def ground(api: API, sentence: str) -> str:
    """The grammar of an API's calls, as llguidance reads it, with values only from `sentence`.

    A parameter whose values would all have to come from the sentence, and for which it offers none, is left out:
    no species where none is named, no offset where no number is.
    """
    sentence = " ".join(word for word in sentence.split() if len(word) <= _LONGEST_WORD)
    offered = spans(sentence)
    if api.query_language == "none":
        words = dict.fromkeys(part for token in sentence.split()[:MOST_WORDS] for part in _parts(token))
        terminals, without = typed_terminals(api, sentence, words, [*api.params])
        if any("{id}" in e.path for e in api.endpoints.values()):
            terminals["ID"] = _ids(api, offered)
        return _with_records_said(api, mask_source(api, terminals, frozenset(without)), offered)
    terminals = _values(api, sentence, offered)
    usual = [n for n, p in api.params.items() if p.kind in ("number", "date", "enum", "list")]
    typed, without = typed_terminals(api, sentence, offered.words, usual)
    terminals |= typed
    for name, param in api.params.items():
        if param.kind == "integer":
            high = None if param.max is None else int(param.max)
            terminals[integer_terminal(param)] = f"/{alternatives(_counts(offered, int(param.min or 0), high))}/"
            if not offered.integers and name not in _SAID_WITHOUT_NUMBERS:
                without.add(name)
        if param.kind == "vocabulary":
            ids = [str(n) for n in offered.integers if 0 < n < 10**8] if param.numeric else []
            said = [*mentioned(api, param.vocabulary, sentence), *ids]
            terminals[vocabulary_terminal(param)] = f"/{alternatives(said or ['0'])}/"
            without |= set() if said else {name}
    return _with_records_said(api, mask_source(api, terminals, frozenset(without)), offered)


# how many: also said as "how many", "the top one" or "all"
_SAID_WITHOUT_NUMBERS = {"size"}


def mentioned(api: API, vocabulary: str, sentence: str) -> list[str]:
    """The names of a vocabulary that a sentence mentions, by their ids or any of their words, small slips forgiven.

    All of them where nobody wrote their words down (`lexicon.yaml`).
    """
    names = api.vocabularies[vocabulary]
    spoken: dict[str, list[str]] = _known(api)["spoken"].get(vocabulary, {})
    if not spoken:
        return [*names]
    words = [w.rstrip(".") if w[0].isdigit() else w for w in re.findall(r"[\w.]+", sentence.lower())]
    text = " ".join(words)
    pairs = [f"{a} {b}" for a, b in pairwise(words)]
    found = []
    for name in {**names, **spoken}:
        phrases = spoken.get(name, [name])
        said = str(names.get(name, name)) in words
        said = said or any(re.search(rf"(?<!\w){re.escape(p)}(s|es)?(?!\w)", text) for p in phrases)
        if said or any(_near(p, pairs if " " in p else words) for p in phrases):
            found.append(name)
    return found


def _near(phrase: str, texts: list[str]) -> bool:
    if len(phrase) < 5:
        return False
    alike = [t for t in texts if t[:1] == phrase[:1] and abs(len(t) - len(phrase)) < 3]
    return bool(get_close_matches(phrase, alike, 1, 0.8))


def _values(api: API, sentence: str, offered: Spans) -> dict[str, str]:
    """Right-hand sides of the terminals that hold values, by name (see `grammar.mask_source`)."""
    known = _known(api)
    words = {w: None for word in offered.words for w in _cases(word)}
    if api.intervals and re.search(r"(?i)\bmito|\bmtdna\b", sentence):
        words["MT"] = None
    words.update(dict.fromkeys([*offered.numbers, *known["words"], "1", "-1"]))
    values = [v for v in map(_word, words) if _WORD.fullmatch(v)]
    whole = [str(n) for n in offered.integers]
    bounds = [w for w in {*offered.numbers, *words} if any(c.isdigit() for c in w) and _BOUND.fullmatch(w)]
    lower = runs(sentence.lower())
    phrases = lower if sentence.islower() else f"({runs(sentence)}|{lower})"
    phrases = "|".join([phrases, *(v.translate(SPECIAL) for v in _verbatim(sentence)), *known["phrases"]])
    terminals = {
        "VALUE": f"/{alternatives(values)}/",
        "WILD": "/[*?]{1,3}/",
        "TAIL": r"/(~[0-9]?)?(\^[0-9]+(\.[0-9]+)?)?/",
        "INNER": f"/{alternatives([v for v in values if v[0] not in _FIRST_ONLY])}/",
        "WORD": "(VALUE (WILD INNER?)* | WILD (INNER WILD?)?) TAIL",
        "PHRASE": f'/"({phrases})"/ TAIL',
        "SOME": f"/{alternatives(bounds or ['0'])}/",
        "RANGE": r'/[\[{]/ ("*" | "-"? SOME) " TO " ("*" | "-"? SOME) /[\]}]/',
        "COMPARE": r"/[<>]=?-?/ SOME",
        "ID": _ids(api, offered),
    }
    if api.intervals:
        known_assemblies = api.intervals.model_extra or {} if api.intervals.prefixed else {}
        names = [a for a in known_assemblies if re.fullmatch(r"[a-z]{2}[0-9]{1,2}", a)]
        said = [*offered.words, *(w.upper() for w in offered.words if len(w) < 3)]  # "chr x" is written chrX
        chromosomes = [w for w in said if re.fullmatch(r"[0-9A-Z_][0-9A-Za-z_]{0,11}", w)]
        assembly = rf"({alternatives(names)}\.)?" if names else ""
        ends = alternatives(whole or ["0"])
        terminals["INTERVAL"] = rf"/{assembly}chr{alternatives(chromosomes or ['1'])}:{ends}-{ends}/"
    return terminals


def _counts(offered: Spans, low: int, high: int | None) -> list[str]:
    """Numbers for `size` and `from`: those said, none, one, all; and what pages come to ("the third page of 20")."""
    said = {n for n in offered.integers if n <= 10_000}
    pages = {(a - 1) * b for a in said for b in {*said, 10} if a < 100}
    between = {b - a + 1 for a in said for b in said if b > a} | {a - 1 for a in said}
    values = {*said, *pages, *between, 0, 1, *([high] if high and high <= 1000 else [])}
    return [str(n) for n in sorted(values) if n >= low and (high is None or n <= high)]


def _cases(word: str) -> tuple[str, ...]:
    return word, word.lower(), word.upper()


def _word(text: str) -> str:
    return escape(print_query(Term(None, text)))


@lru_cache(maxsize=8)
def _known(api: API) -> dict[str, Any]:
    """Values that need no span: ids of vocabularies, and values that people say as a noun ("pseudogenes")."""
    own = lexicon(api)
    ids = [str(n) for values in (own.get("other_values") or {}).values() for n in values]
    words = [str(v) for values in (own.get("nouns_for") or {}).values() for v in values]
    named = [str(v) for vocabulary in api.vocabularies.values() for v in vocabulary.values()]
    flags = ["true", "false"] if any(f.type == "boolean" for f in api.fields.values()) else []
    spoken = {
        vocabulary: {
            name: sorted({" ".join(re.findall(r"[\w.]+", str(p).lower())) for p in chain([name], *forms.values())})
            for name, forms in names.items()
            if isinstance(forms, dict)
        }
        for vocabulary, names in (own.get("vocabularies") or {}).items()
        if isinstance(names, dict)
    }
    phrases = [escape(w) for w in words if re.fullmatch(r"[\w(),./-]+( [\w(),./-]+)+", w)]
    known = [w for w in words if " " not in w]
    values = [*known, *ids, *named, *flags]
    return {"words": values, "phrases": [p.translate(SPECIAL) for p in phrases], "spoken": spoken}


# What the grammar's own terminals take; a word that needs another spelling is left out. See `grammar.WRITE`.
_WORD = re.compile(r"""([^\s"():\[\]{}^~\\<>&#%+\x00-\x20\x7f\uFFFD]|%2[356B]|\\[:()\[\]{}^~<>*?\-!/|,;=])+""")
_BOUND = re.compile(r"[0-9A-Za-z_.]([0-9A-Za-z_.:\-]*[0-9A-Za-z_.])?")
_FIRST_ONLY = "\\"  # an escape at the start may be one that only a start needs (\-1)
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.\-]*")


@lru_cache(maxsize=8)
def _id_shapes(api: API) -> list[re.Pattern[str]]:
    """What the grammar takes as a record's id; a shape is tried in the sentence's spelling and in its own case."""
    shapes = [re.compile(entry.write or entry.shape) for entry in api.ids]
    return shapes if api.id_refused else [*(s for s in shapes if ":" in s.pattern), _ID]


def _with_records_said(api: API, source: str, offered: Spans) -> str:
    """The grammar without the calls for a record where the sentence has no id: else one would have to be invented.

    An API that has no other calls keeps them.
    """
    if _said_ids(api, offered):
        return source
    kept = [f"{rule_name(name)}_call" for name, e in api.endpoints.items() if "{id}" not in e.path]
    return re.sub(r"(?m)^call: .*$", f"call: {' | '.join(kept)}", source, count=1) if kept else source


def _spare(api: API) -> str:
    """An id for a sentence that offers none, so that every call can still be finished."""
    return next((e.example for e in api.ids if e.example), "0") if api.id_refused else "0"


def _ids(api: API, offered: Spans) -> str:
    return f"/{alternatives(_said_ids(api, offered) or [_spare(api)])}/"


def _said_ids(api: API, offered: Spans) -> list[str]:
    """The words that a record may be asked for by: those that look like a code, if there are any."""
    words = [w for w in offered.words if w not in offered.joined]
    if api.ids:
        cased = chain.from_iterable(map(_cases, words))
        found = dict.fromkeys(w for w in cased if any(shape.fullmatch(w) for shape in _id_shapes(api)))
    else:
        found = dict.fromkeys(w for w in words if _ID.fullmatch(w))
    return [w for w in found if re.search(r"\d|^[A-Z]+(-[A-Z]+)+$", w)] or [*found]
