"""What may stand in a pattern's slot at a place of one sentence: fields, values, numbers, species, intervals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from querywright.api.nodes import Interval
from querywright.api.spoken import NUMBER_WORDS, UNITS, plain
from querywright.pairs.reader.known import Known, look
from querywright.pairs.reader.patterns import Found
from querywright.pairs.reader.tokens import Token

_STOP = """a an the of for in on at by with from to and or is are be as that which whose where who what how many not
no but any all their its it them those these this there have has do does i me my we our you your please can could would
than then also only just per each every over under if so"""
STOP = frozenset(_STOP.split())
_SURE = """i i'm i'd i've we we're we'd my our you your would could please kindly let's sorry hi hello hey thanks
collaborator colleague boss wonder interested hoping appreciate grateful morning thesis grant slides student lab
experiment beginner paper talk project looking trying wanted possible mind alright quick ok okay wants asked course"""
_TALK = """am are was were be been is have had has to for in at about of with this that which what something need
needs want like love know find get see look search searching searches obtain request requested provide providing
retrieve give tell show list listing me us out it if so as and help more thing one question good figure report review
checking next meeting tomorrow new preparing writing teach bear bother can may ask after use should do does there where
how able wish interest hope someone some those these now then up pull fetch return display by"""
TALK_SURE, TALK = frozenset(_SURE.split()), frozenset(_TALK.split())
_WITHIN = frozenset({"and", "or", "on", "but", "not", "excluding", "except", "gene", "genes", "hits", "of"})
_LONGEST = 8  # words of an unquoted value
_NUMBER = re.compile(r"[-−]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-−]?\d+(?:\.\d+)?(?:e-?\d+)?", re.I)
_INTERVAL = re.compile(r"(?:(\w+)\.)?(chr)?(\w{1,2}):(\d[\d,]*)(?:[-–](\d[\d,]*))?", re.I)
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?")


@dataclass(frozen=True)
class Value:
    """A literal of the sentence. `looks`: whether it looks like one (an id, a name) more than like a word."""

    text: str
    quoted: bool = False
    looks: bool = False

    @property
    def wild(self) -> bool:
        """Whether it holds a wildcard."""
        return not self.quoted and ("*" in self.text or "?" in self.text)


class Slots:
    """The slots of one sentence, each looked up once."""

    def __init__(self, known: Known, sentence: str, tokens: Sequence[Token], reserved: frozenset[str]) -> None:
        self.known, self.sentence, self.tokens, self.reserved = known, sentence, tokens, reserved
        self.question = bool(
            re.match(r"(which|what|what's|who|where|how|is|are|do|does|can|could|would|will|any)$", self._first())
        )
        self._found: dict[tuple[str, int], Sequence[Found]] = {}

    def _first(self) -> str:
        skip = {
            "please",
            "hi",
            "hello",
            "hey",
            "ok",
            "quick",
            "now",
            ",",
            ":",
            "question",
            "for",
            "my",
            "project",
            "talk",
        }
        return next((t.word for t in self.tokens if t.word not in skip), "")

    def __call__(self, name: str, at: int) -> Sequence[Found]:
        """Everything that slot `name` may hold from token `at` on."""
        key = (name, at)
        found = self._found.get(key)
        if found is None:
            base, _, more = name.partition(":")
            found = self._found[key] = self._glued(more, at) if more else getattr(self, f"_{base.lower()}")(at)
        return found

    # --- fields ---
    def _f(self, at: int) -> list[Found]:
        """A field, with or without `their`."""
        if self.tokens[at].word in ("their", "its", "any", "some") and at + 1 < len(self.tokens):
            at += 1
        out: list[Found] = []
        for end, name, cost in look(self.known.fields, self.tokens, at):
            text = self.tokens[at].text
            other = end == at + 1 and str(name).lower() == text.lower() and text != name  # `KEGG` is not named `kegg`
            out.append((end, name, cost + (0.06 if other else 0.0)))
        return out

    def _bf(self, at: int) -> list[Found]:
        """A field that is true or false."""
        fields = self.known.api.fields
        return [f for f in self("F", at) if (known := fields.get(str(f[1]))) is not None and known.type == "boolean"]

    def _fl(self, at: int) -> list[Found]:
        """Fields joined by commas and `and`; names as the schema spells them also by spaces."""
        out: list[Found] = []
        todo: list[tuple[int, tuple[str, ...], float]] = [(end, (str(n),), c) for end, n, c in self("F", at)]
        seen = {(end, names) for end, names, _ in todo}
        while todo:
            end, names, cost = todo.pop()
            out.append((end, names, cost))
            nxt = self._after_joint(end, ("and", "&", "plus", "+"))
            for start, more in ((nxt, 0.0), (end, 0.3)) if nxt != end else ((end, 0.3),):
                if start >= len(self.tokens):
                    continue
                for stop, name, own in self("F", start):
                    if start == end and not (
                        self.tokens[start].word in self._exact and self.tokens[end - 1].word in self._exact
                    ):
                        continue
                    key = (stop, (*names, str(name)))
                    if key not in seen and len(seen) < 400:
                        seen.add(key)
                        todo.append((stop, key[1], cost + own + more))
        return out

    @property
    def _exact(self) -> set[str]:
        known = getattr(self.known, "_lower_names", None)
        if known is None:
            known = {n.lower() for n in (*self.known.api.fields, *self.known.api.field_aliases)}
            object.__setattr__(self.known, "_lower_names", known)
        return known

    def _after_joint(self, at: int, words: tuple[str, ...]) -> int:
        """The place after a comma, one of the words, or both."""
        tokens, here = self.tokens, at
        if here < len(tokens) and tokens[here].text == ",":
            here += 1
        if here < len(tokens) and not tokens[here].quoted and tokens[here].word in words:
            here += 1
        return here

    # --- values ---
    def _v(self, at: int) -> list[Found]:
        """A literal: quoted, one word, or several words in a row."""
        token = self.tokens[at]
        if token.quoted:
            return [(at + 1, Value(token.text, True, True), 0.0)]
        capital = self._capital(token) and token.text not in ("AND", "OR", "NOT", "I", "A")
        if token.mark or (token.word in STOP and not capital):
            return []
        out: list[Found] = []
        named = 0.0
        if not re.search(r"\d", token.text):
            named = (
                1.0
                if token.stem == "id"
                else 0.4
                if self("F", at)
                else 0.35
                if token.stem in self.known.last_words
                else 0.0
            )
            named += 0.3 if look(self.known.scopes, self.tokens, at) else 0.0
        for text, more in self._spellings(token):
            looks = bool(re.search(r"\d|[*?_]|[a-z][A-Z]|[A-Z]{2}|^[A-Z]$", text[:-1] if token.asks else text)) or (
                self._capital(token) and at > 0 and text[:1].isupper()
            )
            reserved = 0.0 if looks else 1.1 if token.word in self.reserved else 0.25
            out.append((at + 1, Value(text, False, looks), reserved + more + named))
        cost = out[0][2] + 0.3
        for end in range(at + 1, min(at + _LONGEST, len(self.tokens))):
            nxt = self.tokens[end]
            if nxt.quoted or nxt.mark:
                break
            cost += 0.12 if nxt.word not in STOP and nxt.word not in self.reserved else 0.8
            text = self.sentence[token.start : nxt.end]
            if nxt.asks and text.endswith("?"):
                text = text[:-1]
            own = -0.5 if tuple(text.lower().split()) in self.known.phrases else 0.0
            if nxt.word in STOP and end + 1 < len(self.tokens) and not own:
                continue
            out.append((end + 1, Value(text), max(cost + own, 0.05)))
        return out

    def _capital(self, token: Token) -> bool:
        return token.text[:1].isupper() and len(token.text) <= 6 and token.text.isupper()

    def _spellings(self, token: Token) -> list[tuple[str, float]]:
        """A word with and without the question mark behind it."""
        if not token.asks:
            return [(token.text, 0.0)]
        at = self.tokens.index(token)
        asked = self.question and not any(t.word in ("wildcard", "pattern") for t in self.tokens[max(at - 2, 0) : at])
        within = at + 1 < len(self.tokens) and (self.tokens[at + 1].mark or self.tokens[at + 1].word in _WITHIN)
        if asked and within:
            return [(token.text, 0.0), (token.text[:-1], 0.2)]
        return [(token.text, 0.4 if asked else 0.0), (token.text[:-1], 0.0 if asked else 0.4)]

    def _vl(self, at: int) -> list[Found]:
        """Literals joined by `or`, commas and strokes: alternatives."""
        tokens, extra = self.tokens, 0.0
        if tokens[at].word == "either" and at + 1 < len(tokens):
            at += 1
        elif tokens[at].word in ("any", "one") and at + 2 < len(tokens) and tokens[at + 1].word == "of":
            at, extra = at + 2, -0.1
        out: list[Found] = []
        todo: list[tuple[int, tuple[Value, ...], float]] = [
            (end, (v,), c + extra) for end, v, c in self("V", at) if isinstance(v, Value)
        ]
        while todo and len(out) < 200:
            end, values, cost = todo.pop()
            out.append((end, values, cost))
            nxt, word = self._alternative(end)
            if nxt <= end or nxt >= len(tokens) or len(values) > 6:
                continue
            comma = 0.35 if word == "," and extra == 0.0 else 0.0
            for stop, value, own in self("V", nxt):
                if isinstance(value, Value) and (stop == nxt + 1 or value.quoted or not values[0].looks):
                    todo.append((stop, (*values, value), cost + own + comma))
        return out

    def _alternative(self, at: int) -> tuple[int, str]:
        tokens = self.tokens
        here, word = at, ""
        if here < len(tokens) and tokens[here].text in (",", "/"):
            here, word = here + 1, tokens[here].text
        if here < len(tokens) and not tokens[here].quoted and tokens[here].word == "or":
            here, word = here + 1, "or"
            if here < len(tokens) and tokens[here].word == "else":
                here += 1
        return here, word

    def _glued(self, prefix: str, at: int) -> list[Found]:
        """A value written against a word: `chr7`, `GO:0001234`."""
        out: list[Found] = []
        if prefix[0] == "-":
            spans = ((end, v, cost) for end, v, cost in self("V", at) if isinstance(v, Value))
            ends = ((end, v.text, cost) for end, v, cost in spans if v.text.lower().endswith(prefix))
            return [(end, Value(text[: -len(prefix)]), cost) for end, text, cost in ends if len(text) > len(prefix)]
        for end, values, cost in self("VL", at):
            assert isinstance(values, tuple)
            first = values[0].text
            if first.lower().startswith(prefix) and len(first) > len(prefix):
                rest = tuple(Value(_without(v.text, prefix), v.quoted, True) for v in values)
                out.append((end, rest, max(cost - 0.1, 0.0)))
        return out

    def _id(self, at: int) -> list[Found]:
        """A record's id."""
        token = self.tokens[at]
        text = token.text[:-1] if token.asks else token.text
        if self.known.is_id(text):
            return [(at + 1, text, 0.0)]
        return []

    # --- numbers ---
    def _n(self, at: int) -> list[Found]:
        """A number as a bound of a range: digits without separators, or a date."""
        token = self.tokens[at]
        text = (token.text[:-1] if token.asks else token.text).replace("−", "-")
        if _DATE.fullmatch(text):
            return [(at + 1, text, 0.0)]
        if _NUMBER.fullmatch(text):
            return self._with_unit(at, text.replace(",", ""))
        unit = re.fullmatch(r"(\d+(?:\.\d+)?)(kb|kbp|mb|mbp|k|m)", token.word)
        if unit:
            return [(at + 1, plain(float(unit[1]) * UNITS[unit[2]]), 0.05)]
        if token.word in NUMBER_WORDS and token.word not in (
            "no",
            "none",
            "first",
            "single",
            "once",
            "second",
            "third",
        ):
            return self._with_unit(at, str(NUMBER_WORDS[token.word]))
        return []

    def _with_unit(self, at: int, digits: str) -> list[Found]:
        out: list[Found] = [(at + 1, digits, 0.0)]
        if at + 1 < len(self.tokens) and (unit := UNITS.get(self.tokens[at + 1].word)):
            out.insert(0, (at + 2, plain(float(digits) * unit), 0.0))
        return out

    def _ab(self, at: int) -> list[Found]:
        """Two numbers with a dash between them."""
        text = self.tokens[at].text.rstrip("?")
        found = re.fullmatch(r"(\d[\d,]*(?:\.\d+)?)[-–](\d[\d,]*(?:\.\d+)?)", text)
        return [(at + 1, (found[1].replace(",", ""), found[2].replace(",", "")), 0.0)] if found else []

    def _c(self, at: int) -> list[Found]:
        """A count: how many, from which on."""
        return [(end, int(str(n)), cost) for end, n, cost in self("N", at) if str(n).isdigit() and len(str(n)) < 8]

    # --- places ---
    def _i(self, at: int) -> list[Found]:
        """A stretch of a chromosome."""
        spans = self.known.api.intervals
        text = self.tokens[at].text.rstrip("?.,")
        found = _INTERVAL.fullmatch(text)
        if spans is None or not found or not (found[2] or found[5]):
            return []
        assembly = self.known.assemblies.get((found[1] or "").lower())
        if found[1] and assembly is None:
            return []
        start, end = (int(p.replace(",", "")) for p in (found[4], found[5] or found[4]))
        if not found[5] and not spans.positions:
            return []
        return [(at + 1, Interval(assembly, found[3], start, end), 0.0)]

    def _chr(self, at: int) -> list[Found]:
        """A chromosome: `chr 7`, `chromosome X`, `chr7`."""
        token = self.tokens[at]
        glued = re.fullmatch(r"chr(?:omosome)?\.?([\dxymt]{1,2})", token.word)
        if glued:
            return [(at + 1, token.text.rstrip("?")[-len(glued[1]) :], 0.0)]
        if token.word in ("chr", "chromosome") and at + 1 < len(self.tokens):
            nxt = self.tokens[at + 1]
            if not nxt.quoted and re.fullmatch(r"\w{1,4}", nxt.word) and nxt.word not in STOP:
                return [(at + 2, nxt.text.rstrip("?"), 0.0)]
        return []

    def _g(self, at: int) -> list[Found]:
        """A genome assembly."""
        name = self.known.assemblies.get(self.tokens[at].word)
        return [(at + 1, name, 0.0)] if name else []

    # --- talk ---
    def _talk(self, at: int) -> list[Found]:
        """A run of words that people say around a request, with at least one that is said for nothing else."""
        sure = False
        out: list[Found] = []
        for end in range(at, len(self.tokens)):
            token = self.tokens[end]
            if token.quoted or (token.word not in TALK and token.word not in TALK_SURE and not self._aside(end, at)):
                break
            sure = sure or token.word in TALK_SURE
            if sure:
                out.append((end + 1, None, 0.01 * (end - at)))
        return out

    def _aside(self, here: int, at: int) -> bool:
        return here > at and self.tokens[here].text == "," and here + 1 < len(self.tokens)

    # --- species, nouns ---
    def _s(self, at: int) -> list[Found]:
        """One value of the vocabulary, in words or as a number."""
        out: list[Found] = [(end, str(v), cost) for end, v, cost in look(self.known.scopes, self.tokens, at)]
        name = self.known.scope_param
        if name and self.known.api.params[name].numeric:
            text = self.tokens[at].text.rstrip("?")
            if re.fullmatch(r"[1-9]\d{1,8}", text) and not self.tokens[at].quoted:
                out.append((at + 1, self.known.api.word_for(self.known.api.params[name], text), 0.5))
        return out

    def _sl(self, at: int) -> list[Found]:
        """Values of the vocabulary, joined."""
        out: list[Found] = []
        if self.tokens[at].word in ("either", "both") and at + 1 < len(self.tokens):
            at += 1
        todo: list[tuple[int, tuple[str, ...], float]] = [(end, (str(v),), c) for end, v, c in self("S", at)]
        todo += [(end, (str(v),), c) for end, v, c in self._framed(at)]
        while todo and len(out) < 100:
            end, values, cost = todo.pop()
            out.append((end, values, cost))
            nxt = self._after_joint(end, ("and", "or", "&"))
            if nxt == end and end < len(self.tokens) and self.tokens[end].text == "/":
                nxt += 1
            if end < nxt < len(self.tokens) and len(values) < 8:
                for stop, value, own in [*self("S", nxt), *self._framed(nxt)]:
                    todo.append((stop, (*values, str(value)), cost + own))
        return out

    def _framed(self, at: int) -> list[Found]:
        """`taxid 9606`: a number after what it is."""
        out: list[Found] = []
        for end, _, _ in look(self.known.frames, self.tokens, at):
            if end < len(self.tokens) and self.tokens[end].text[:1].isdigit():
                out += [(stop, v, 0.05) for stop, v, _ in self("S", end)]
        return out

    def _noun(self, at: int) -> list[Found]:
        """What a record is called: `own` or `any`, and whether it stands in the singular."""
        out: list[Found] = []
        for end, kind, cost in look(self.known.nouns, self.tokens, at):
            last = self.tokens[end - 1]
            out.append((end, (kind, last.word == last.stem), cost))
        return out


def _without(text: str, prefix: str) -> str:
    return text[len(prefix) :] if text.lower().startswith(prefix) else text
