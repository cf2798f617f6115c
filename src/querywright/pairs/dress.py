"""What people do to sentences: capitals, end marks, slips of the pen. Literals stay as they are."""

from __future__ import annotations

import random
import re

from querywright.pairs.discourse_english import CONTEXT
from querywright.pairs.english import AFTER, BEFORE
from querywright.pairs.style import PEOPLE, Style

_KEEP = re.compile("\x02([^\x03]*)\x03")  # marks a literal: noise must not touch it


def keep(text: str) -> str:
    """Mark a literal so that no noise changes it."""
    return f"\x02{text}\x03"


def dress(text: str, rng: random.Random, how: Style = PEOPLE) -> str:
    """Capitals, an end mark, and now and then a slip of the pen; literals stay as they are."""
    text = re.sub(r" {2,}", " ", text).strip()
    if re.search("\x02[^\x03 ]*[?]\x03$", text):  # a pattern that ends a sentence would be read as a question
        text += rng.choice([" (wildcard)", " as a pattern", ", please", " - thanks", " with one unknown character"])
    parts = re.split("(\x02[^\x03]*\x03)", text)
    style = rng.random()
    if style < how.lower:
        parts = [p if p[:1] == "\x02" else p.lower() for p in parts]
    elif style < max(0.8, how.lower):
        parts = [re.sub(r"\bi\b", "I", p) if p[:1] != "\x02" else p for p in parts]
        if parts and parts[0][:1] != "\x02":
            parts[0] = parts[0][:1].upper() + parts[0][1:]
    if rng.random() < how.bare:
        parts = [re.sub(r"\b(the|a|an) ", "", p) if p[:1] != "\x02" else p for p in parts]
    if rng.random() < how.typos:
        i = rng.randrange(len(parts))
        if parts[i][:1] != "\x02":
            parts[i] = slip(parts[i], rng)
    sentence = _KEEP.sub(r"\1", "".join(parts)).strip()
    if sentence and sentence[-1] not in "?.!" and rng.random() < 0.45:
        sentence += "."
    if sentence.endswith("?") and rng.random() < 0.15:
        sentence = sentence[:-1]
    return sentence


def sentence(main: str, extras: list[str], rng: random.Random, how: Style = PEOPLE, steps: bool = False) -> str:
    """Join the parts, then what people do to sentences: capitals, punctuation, politeness, slips.

    Args:
        main: the main clause.
        extras: what is asked beside it.
        rng: decides all of it.
        how: how likely each of it is.
        steps: each part is a sentence of its own.
    """
    ask = main.endswith("?")
    glue = rng.choice([", ", ", ", ", ", " and ", "; ", " - ", " "])
    if steps and extras:
        main = rng.choice([". ", ". ", ". ", "\n", " ; "]).join([main.rstrip("?") + "?" * ask, *map(_own, extras)])
        main = main.replace("?.", "?")
    elif ask and extras:
        main = main[:-1] + (", " if rng.random() < 0.5 else "? ") + ", ".join(extras)
    elif extras and rng.random() < 0.16 and len(extras) == 1:
        main = f"{extras[0]}: {main}" if rng.random() < 0.3 else f"{main}. {_own(extras[0])}"
    elif extras:
        rest = extras[0] + "".join((", " if glue not in ("; ", " ") else glue) + e for e in extras[1:])
        if len(extras) > 1 and rng.random() < 0.5:
            rest = ", ".join(extras[:-1]) + " and " + extras[-1]
        main += glue + re.sub(r"^and ", "", rest) if glue == " and " else glue + rest
    if rng.random() < how.polite:
        main = rng.choice(BEFORE) + main
    elif rng.random() < how.context:
        main = rng.choice(CONTEXT) + main
    if rng.random() < how.polite * 5 / 6 and not main.endswith("?"):
        main += rng.choice(AFTER)
    return dress(re.sub(r"(\x02[^\x03]*\x03)|\ba (?=\x02?[aeio])", lambda m: m[1] or "an ", main), rng, how)


def _own(text: str) -> str:
    """A part as a sentence of its own."""
    text = re.sub(r"^(and|but) ", "", text)
    return text[:1].upper() + text[1:]


def slip(text: str, rng: random.Random) -> str:
    """One typing mistake in one longer word: a letter lost, doubled or swapped with its neighbour."""
    words = list(re.finditer(r"[a-z]{5,}", text))
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 2)
    kind = rng.random()
    if kind < 0.4:
        return text[:at] + text[at + 1 :]
    if kind < 0.6:
        return text[:at] + text[at] + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
