"""What the template teacher calls an API's things: `lexicon.yaml` where there is one, else derived from its noun."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.pairs import english as en

_UNCOUNTED = ("data", "information", "genomics", "news", "series", "species", "metadata")


def plural(phrase: str) -> str:
    """A plural good enough for field names and nouns; `analysis/analyses` names its own."""
    if "/" in phrase and " " not in phrase:
        return phrase.partition("/")[2] if re.fullmatch(r"\w+/\w+", phrase) else phrase
    if phrase.endswith(("\x03", *_UNCOUNTED)) or " of " in phrase or " in " in phrase or "/" in phrase:
        return phrase
    if re.search(r"(ss|sh|ch|x)$", phrase):
        return phrase + "es"
    if phrase.endswith("s"):
        return phrase
    return phrase[:-1] + "ies" if re.search(r"[^aeiou]y$", phrase) else phrase + "s"


def noun_plural(noun: str) -> str:
    """The plural of a noun of the lexicon: unlike a field's name it is never one already."""
    if re.fullmatch(r"[^/]+/[^/]+", noun):
        return noun.partition("/")[2]
    if noun.endswith("s") and not noun.endswith(("ss", *_UNCOUNTED)):
        return noun[:-2] + "es" if noun.endswith("sis") else noun + "es"
    return plural(noun)


def noun_singular(noun: str) -> str:
    """The noun itself, without the plural that may stand behind a stroke."""
    return noun.partition("/")[0]


@lru_cache(maxsize=16)
def words(api: API) -> dict[str, Any]:
    """The lexicon with every missing key filled in: nouns, ways to name one record, and what to call loose words."""
    given = lexicon(api)
    own_noun = api.noun if api.noun != "record" else guessed_noun(api)
    noun = noun_singular(own_noun)
    nouns = [str(n) for n in given.get("nouns") or [own_noun]]
    items = [str(n) for n in given.get("item_nouns") or (t.format(N=noun) for t in en.ITEM_NOUNS)]
    own_bare = given.get("bare") or {}
    bare = {
        kind: [str(t) for t in own_bare.get(kind) or (_filled(t, noun, own_noun) for t in templates)]
        for kind, templates in en.BARE.items()
    }
    singulars = {noun_plural(n): noun_singular(n) for n in nouns}
    for phrases in (p for values in (given.get("nouns_for") or {}).values() for p in values.values()):
        singulars.update({p: p[:-1] for p in map(str, phrases) if "{N}" not in p and p.endswith("s")})
    return {
        **given,
        "nouns": nouns,
        "item_nouns": items,
        "item": [str(t) for t in given.get("item") or (_filled(t, noun, own_noun) for t in en.ITEM)],
        "bare": bare,
        "singulars": singulars,
    }


def guessed_noun(api: API) -> str:
    """What a definition without a noun is about: the plural a description begins with (`books and their loans`)."""
    for text in (api.about, *(e.description for e in api.endpoints.values())):
        first = re.match(r"(?:[\w ]+? of |the |all )?([a-z]{3,}s)\b", text[:1].lower() + text[1:])
        if first and singular(first[1]) != first[1] and not first[1].endswith(("ess", "ous")):
            return singular(first[1])
    return api.noun


def _filled(template: str, noun: str, both: str) -> str:
    return template.replace("{N}", noun).replace("{Ns}", noun_plural(both))


def label(name: str) -> str:
    """A parameter's name in words: `species_facet_filter`, `maxRadiusKm` and `max.radius-km` with spaces."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.sub(r"[\W_]+", " ", spaced).strip().lower() or name


def field_words(name: str) -> str:
    """A field's path in words, for a field that nobody gave synonyms: its last parts, none of them twice."""
    parts = list(dict.fromkeys(w for part in name.split(".")[-3:] for w in label(part).split()))
    return " ".join(parts) or name


@lru_cache(maxsize=8192)
def called(api: API, name: str) -> list[str]:
    """What people call a field: its synonyms and the lexicon's; without any, its path and its description in words."""
    field = api.fields[name]
    own = [*field.synonyms, *map(str, lexicon(api).get("synonyms", {}).get(name, ()))]
    if own:
        return own
    parts = [label(part) for part in name.split(".")]
    found = [field_words(name), " ".join(parts), f"{parts[-1]} of the {parts[-2]}" if len(parts) > 1 else "", parts[-1]]
    taken = {label(other.rpartition(".")[2]) for other in api.fields if other != name}
    found = [f for f in found[:3] if f] + [f for f in found[3:] if f not in taken]
    description = field.description.lower() + "."
    about = re.match(r"(?:the |an? )?([a-z][a-z ]{3,40}?)(?: of (?:the|an?) \w+)?[.,;]", description)
    if about and sum(f.description == field.description for f in api.fields.values()) == 1:
        found.append(about[1])
    return list(dict.fromkeys(found))


def is_position(name: str) -> bool:
    """Whether a field holds places on a chromosome, which have units of their own."""
    return bool(re.search(r"(start|end|pos|position|cdsstart|cdsend)$", name.lower()))


def in_units(n: int, position: bool) -> list[str]:
    """A round number as people say it: `two million`, `1.5 Mb`, `20 kb`; none for numbers that are not round."""
    for size, word, letters in ((10**6, "million", ("Mb", "Mbp", "megabases")), (10**3, "thousand", ("kb", "kbp"))):
        if size <= n < 1000 * size and n % (size // 100) == 0:
            digits = format(n / size, ".2f").rstrip("0").rstrip(".")
            said = [f"{digits} {unit}" for unit in (word, *(letters * position))]
            said += [f"{digits}{letters[0]}"] * position + [f"{digits}k"] * (size == 10**3)
            if digits.isdigit() and int(digits) < len(en.NUMBERS):
                said.append(f"{en.NUMBERS[int(digits)]} {word}")
            return said
    return []


_GENERIC = {"query", "search", "find", "list", "lookup", "count", "all", "feed", "get", "index", "items", "records"}


def endpoint_nouns(api: API, endpoint: str) -> list[str]:
    """What an endpoint's records are called: the lexicon's word, the path's (`/books/{id}`), or the API's noun."""
    own = lexicon(api).get("endpoints", {}).get(endpoint)
    if isinstance(own, dict) and own.get("nouns"):
        return [str(n) for n in own["nouns"]]
    path = api.endpoints[endpoint].path
    segments = [s for s in path.split("/") if s and "{" not in s and not re.fullmatch(r"v?\d[\w.]*", s)]
    last = label(re.sub(r"\.\w+$", "", segments[-1])) if segments else ""
    nouns = [str(n) for n in words(api)["nouns"]]
    if not last or set(last.split()) & _GENERIC or singular(last) in {noun_singular(n) for n in nouns}:
        return nouns
    return [singular(last)]


def singular(phrase: str) -> str:
    """`countries` is country, `boxes` is box; what is no plural stays."""
    if phrase.endswith(_UNCOUNTED) or re.search(r"(ss|us|is|as)$", phrase):
        return phrase
    if phrase.endswith("ies") and len(phrase) > 4:
        return phrase[:-3] + "y"
    if re.search(r"(ss|sh|ch|x|z)es$", phrase):
        return phrase[:-2]
    return phrase.removesuffix("s")


def counts(api: API, endpoint: str) -> bool:
    """Whether an endpoint answers how many there are."""
    own = lexicon(api).get("endpoints", {}).get(endpoint)
    told = own.get("how_many") if isinstance(own, dict) else None
    last = api.endpoints[endpoint].path.rstrip("/").rsplit("/", 1)[-1].lower()
    return bool(told if told is not None else re.fullmatch(r"count|total|number|.*[_-]count", last))
