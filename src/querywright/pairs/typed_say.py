"""The template teacher's voice for APIs of plain typed parameters: every parameter of a call becomes a clause.

`earthquakes above magnitude 5 between 2020-01-01 and 2020-06-30, ten at most, largest first`: a noun with adjectives
before it and clauses behind it, a frame around that, and what is asked of the answer. What stands in the call stands in
the sentence, and the other way round.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from querywright.api.call import Call
from querywright.api.param_names import tokens
from querywright.api.values import printed
from querywright.pairs import english as en
from querywright.pairs import typed_english as te
from querywright.pairs.clauses import Unsayable
from querywright.pairs.dress import keep, sentence
from querywright.pairs.roles import Roles, Span, roles, unit
from querywright.pairs.typed_values import TypedValues, nouns_of, openings, quantities, value_words
from querywright.pairs.words import counts, endpoint_nouns, noun_plural, noun_singular, singular

_ADJECTIVES = {"status", "state", "condition", "phase", "quality", "access", "visibility"}
_KINDS = {"type", "kind", "category", "class", "species", "genre"}
_LEVELS = {"level", "color", "colour", "severity", "priority", "grade", "rating"}
_QUALITIES = {"private", "public", "active", "inactive", "free", "old", "new", "open", "empty", "hidden"}
_BARE_KIND = {"event", "item", "object", "record", "entity", "entry", "resource"}


@dataclass
class Parts:
    """What a sentence is put together from."""

    head: str
    literal: bool = False  # whether the head is itself a value of the call
    before: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


class TypedSpeaker(TypedValues):
    """Says calls of one API. Same random state, same sentences."""

    def say(self, call: Call) -> str:
        """One sentence that asks for `call`.

        Raises:
            Unsayable: there are no words for a part of it.
        """
        rng, values = self.rng, dict(call.params)
        known = roles(self.api, call.endpoint)
        noun = str(self.pick(endpoint_nouns(self.api, call.endpoint)))
        parts = Parts(noun)
        left = self.ranges(known, values, parts)
        for name in left:
            self.single(call, name, values, known, parts)
        rng.shuffle(parts.behind)
        while parts.behind and rng.random() < 0.14:
            parts.after.append(parts.behind.pop())
        rng.shuffle(parts.after)
        steps = rng.random() < self.style.steps
        return sentence(self.main(call, parts), parts.after, rng, self.style, steps=steps)

    # --- ranges and places ---
    def ranges(self, known: Roles, values: dict[str, Any], parts: Parts) -> list[str]:
        """Say ranges, boxes and places; gives back the parameters that are left."""
        done: set[str] = set()
        place = [n for n in known.place if n in values]
        if len([n for n in known.place[:2] if n in values]) == 2 and len(place) <= 3:
            parts.behind.append(self.place(place, values))
            done |= set(place)
        spans = {s.word: s for s in known.spans if set(s.names) <= set(values) and len(s.names) == 2}
        north, east = spans.get("latitude", spans.get("lat")), spans.get("longitude", spans.get("lon"))
        if north and east and self.rng.random() < 0.6:
            ends = (values[n] for n in (*north.names, *east.names))
            a, b, o, p = (keep(printed(v)) for v in ends)
            parts.behind.append(self.pick(te.BOX).format(A=a, B=b, O=o, P=p))
            done |= {*north.names, *east.names}
        for span in known.spans:
            given = {n: values[n] for n in span.names if n in values and n not in done}
            if given:
                parts.behind.append(self.span(span, given.get(span.low), given.get(span.high)))
                done |= set(given)
        return [n for n in values if n not in done]

    def place(self, names: list[str], values: dict[str, Any]) -> str:
        """`within 100 km of 35.7, 139.7`."""
        a, o = (keep(printed(values[n])) for n in names[:2])
        own = self.words.get("place")
        if len(names) < 3:
            return self.pick(te.NEAR).format(A=a, O=o)
        said = self.measure(values[names[2]], "")
        radius = f"{said} {unit(self.api, names[2])}".strip()
        template = self.pick(own if own and self.rng.random() < 0.4 and "km" in radius else te.AROUND)
        return template.format(A=a, O=o, R=radius)

    def span(self, span: Span, low: Any, high: Any) -> str:
        """A range with one or both ends."""
        own = self.words.get("ranges", {}).get(span.word or "time", {})
        if span.kind == "date":
            return self.when(span, low, high, own)
        measured = unit(self.api, span.names[0])
        a, b = (self.measure(v, measured) if v is not None else "" for v in (low, high))
        ends = tuple(n for n, v in ((span.low, low), (span.high, high)) if v is not None)
        which, default = (
            ("between", [*en.BETWEEN, *te.BETWEEN]) if a and b
            else ("low", [*en.AT_LEAST, *te.AT_LEAST]) if a
            else ("high", [*en.AT_MOST, *te.AT_MOST])
        )  # fmt: skip
        if a and low == high:
            return self.pick(te.EXACTLY).format(F=self.quantity(span, ends), A=a)
        opened = [] if a and b else openings(self.api, span.low if a else span.high)
        if opened and self.rng.random() < 0.3:
            return f"{self.pick(opened)} {a or b}"
        frames = own[which] if own.get(which) and self.rng.random() < 0.5 else default
        text = self.pick(frames).format(F=self.quantity(span, ends), A=a or b, B=b)
        return re.sub(rf"(?<= {measured})\x03? {measured}\b", "", text) if measured else text

    def when(self, span: Span, low: Any, high: Any, own: dict[str, Any]) -> str:
        """A range over dates; the main one needs no name, others do (`updated since ...`)."""
        f = self.pick([*quantities(self.api, span), span.word]) if span.word else ""
        done = f.endswith("ed") or f in ("sent", "made", "begun", "built", "written")
        if low is not None and high is not None:
            said, frames = self.period(low, high, self.api.params[span.high].moment)
            if said and self.rng.random() < 0.6:
                text = self.pick(frames).format(M=said)
                return f"{f} {text}" if f else text
            if low == high and not f:
                return self.pick(te.WHEN_DAY).format(A=self.moment(low))
            frames = te.WHEN if not f else te.WHEN_DONE if done else te.WHEN_OF
            which = "between"
        elif low is not None:
            frames, which = te.SINCE if not f else te.SINCE_DONE if done else te.SINCE_OF, "low"
        else:
            frames, which = te.UNTIL if not f else te.UNTIL_DONE if done else te.UNTIL_OF, "high"
        frames = own[which] if own.get(which) and self.rng.random() < 0.4 else frames
        opened = [] if which == "between" else openings(self.api, span.low if which == "low" else span.high)
        if opened and self.rng.random() < 0.25:
            return f"{self.pick(opened)} {self.moment(high if low is None else low)}"
        a, b = (self.moment(v) if v is not None else "" for v in (low, high))
        return self.pick(frames).format(F=f, A=a, B=b)

    # --- single parameters ---
    def single(self, call: Call, name: str, values: dict[str, Any], known: Roles, parts: Parts) -> None:
        """Say one parameter: as an adjective, a clause, or an afterthought."""
        value, role, kind = values[name], known.of(name), self.api.params[name].kind
        own = self.words.get("params", {}).get(name, {})
        if role in ("limit", "offset", "page", "format", "direction", "sort"):
            self.shape(name, role, value, values, known, parts)
        elif kind == "boolean" or (kind == "enum" and str(value).lower() in ("true", "false")):
            parts.after.append(self.boolean(name, str(printed(value)).lower() == "true"))
        elif kind == "list":
            own = {**own, "one": True}
            texts = [self.enum(name, v) if self.api.params[name].items == "enum" else self.value(v) for v in value]
            word = "or" if self.rng.random() < 0.7 else "and"
            parts.behind.append(self.clause(name, role, self.join(texts, word), own))
        elif kind == "enum":
            self.enumerated(name, str(value), own, parts)
        elif kind == "date":
            bare = set(tokens(self.api, name)) <= {"date", "day", "time", "on", "at"}
            frames = te.ON if bare else te.ON_OF
            parts.behind.append(self.pick(frames).format(F=self.param(name), V=self.moment(value)))
        elif kind in ("integer", "number"):
            said = self.measure(value, unit(self.api, name))
            parts.behind.append(self.clause(name, role, said, own))
        elif kind == "text":
            parts.behind.append(self.clause(name, role, self.value(str(value)), own))
        else:
            raise Unsayable(f"parameter {name}")

    def clause(self, name: str, role: str, said: str, own: dict[str, Any]) -> str:
        """A value in a clause behind the noun."""
        if own.get("say") and self.rng.random() < 0.5:
            return str(self.pick(own["say"])).format(V=said)
        opened = openings(self.api, name)
        if opened and self.rng.random() < 0.25:
            return f"{self.pick(opened)} {said}"
        last = tokens(self.api, name)[-1]
        frames = next((phrases for names, phrases in te.BY_NAME if last in names), te.IS)
        if role == "search":
            frames = te.MENTION
        elif last == "id":
            of = [t for t in tokens(self.api, name)[:-1] if t not in _BARE_KIND]
            if of and self.rng.random() < 0.5:
                return self.pick(te.ID_OF).format(F=" ".join(of), V=said)
            frames = te.IS if of else te.ID
        elif frames is not te.IS and self.rng.random() < 0.3:
            frames = te.IS
        called = self.param(name)
        return self.pick(frames).format(F=singular(called) if own.get("one") else called, V=said)

    def enumerated(self, name: str, value: str, own: dict[str, Any], parts: Parts) -> None:
        """An enum: before the noun, in place of it, or as a clause."""
        told, roll = own.get("values", {}).get(value, {}), self.rng.random()
        if told.get("adjective") and roll < 0.5:
            parts.before.append(keep(str(self.pick(told["adjective"]))))
            return
        if told.get("clause") and roll < 0.7:
            parts.behind.append(keep(str(self.pick(told["clause"]))))
            return
        words = tokens(self.api, name)
        spelt, lower = value_words(value), value.lower()
        if lower == "only" and words[0] == "include" and words[1:]:
            parts.after.append(self.pick(te.ONLY_ONES).format(F=keep(" ".join(words[1:]))))
        elif lower in ("all", "any"):
            parts.behind.append(self.pick(te.ANY).format(F=self.param(name)))
        elif words[-1] in _KINDS and set(words[:-1]) <= _BARE_KIND | set(parts.head.split()) and roll < 0.6:
            self.kind(spelt, parts)
        elif words[-1] in _ADJECTIVES and roll < 0.4 and " " not in spelt:
            parts.before.append(keep(spelt))
        elif words[-1] in _LEVELS and roll < 0.6:
            parts.behind.append(self.pick(te.LEVEL).format(F=self.param(name), V=self.enum(name, value)))
        else:
            parts.behind.append(self.clause(name, "", self.enum(name, value), own))

    def kind(self, spelt: str, parts: Parts) -> None:
        """The kind of a thing: `quarry blasts`, or `events of type quarry blast`."""
        is_noun = not re.search(r"(^not |ed$|^other )", spelt)
        if spelt in (noun_singular(parts.head), noun_plural(parts.head)) and self.rng.random() < 0.7:
            parts.behind.append(self.pick(te.KIND).format(V=keep(spelt)))
        elif is_noun and self.rng.random() < 0.6:
            parts.head, parts.literal = spelt, True
        else:
            parts.behind.append(self.pick(te.KIND).format(V=keep(spelt)))

    def boolean(self, name: str, on: bool) -> str:
        """A switch: `including deleted ones`, `that have images`, `only open ones`."""
        own = self.words.get("params", {}).get(name, {}).get("true" if on else "false")
        if own and self.rng.random() < 0.8:
            return str(self.pick(own))
        synonyms = nouns_of(self.api, name)
        whole = [s for s in self.api.params[name].synonyms if re.match(r"(including|with|that|only)\b", s)]
        if whole and on and self.rng.random() < 0.3:
            return str(self.pick(whole))
        if synonyms and self.rng.random() < 0.4:
            return ("with " if on else "without ") + self.pick(synonyms)
        first, *rest = tokens(self.api, name)
        said = keep(" ".join(rest)) if rest else ""
        ones = bool(rest) and (rest[-1].endswith("ed") or rest[-1] in _QUALITIES)
        if first in ("include", "with", "show", "return", "add", "including") and rest:
            frames = (te.INCLUDE_ONES if on else te.EXCLUDE_ONES) if ones else te.INCLUDE if on else te.EXCLUDE
        elif first in ("exclude", "without", "no", "hide", "skip", "omit") and rest:
            frames = (te.EXCLUDE_ONES if on else te.INCLUDE_ONES) if ones else te.EXCLUDE if on else te.INCLUDE
        elif first in ("has", "have", "having") and rest:
            frames = te.HAS if on else te.HAS_NOT
        elif first in ("in", "on", "at") and rest:
            frames, said = (te.ONLY if on else te.NOT), keep(f"{first} {' '.join(rest)}")
        elif (first in ("is", "only") and rest) or (not rest and re.search(r"(ed|able|open|active|free|new)$", first)):
            frames, said = (te.ONLY if on else te.NOT), said or first
        else:
            frames, said = (te.FLAG if on else te.FLAG_OFF), self.param(name)
        return self.pick(frames).format(F=said)

    def shape(self, name: str, role: str, value: Any, values: dict[str, Any], known: Roles, parts: Parts) -> None:
        """What is asked of the answer: how many, from where, in which order and form."""
        page = next((n for n in values if known.of(n) == "page"), "")
        if role == "limit":
            if page:
                return  # said with the page
            frames = en.SIZE_ONE if value == 1 and self.rng.random() < 0.5 else en.SIZE
            parts.after.append(self.pick(frames).format(n=self.count(value)))
        elif role == "page":
            size = next((values[n] for n in values if known.of(n) == "limit"), None)
            frames = te.PAGE if size is None else te.PAGE_SIZE
            parts.after.append(self.pick(frames).format(n=keep(str(value)), m=keep(str(size))))
        elif role == "offset":
            from_one = self.api.params[name].default == 1 or (self.api.params[name].min or 0) >= 1
            parts.after.append(self.pick(te.FROM_ONE if from_one else en.FROM).format(n=keep(str(value))))
        elif role == "format":
            text = str(value) if self.rng.random() < 0.4 else str(value).upper()
            parts.after.append(self.pick(te.FORMAT).format(V=keep(text)))
        elif role == "direction":
            if not any(known.of(n) == "sort" for n in values):
                parts.after.append(self.pick(te.UP if str(value).lower().startswith("asc") else te.DOWN))
        else:
            way = next((str(v).lower() for n, v in values.items() if known.of(n) == "direction"), "")
            direction = "up" if way.startswith("asc") else "down" if way.startswith("desc") else ""
            given = value if isinstance(value, tuple) else (str(value),)
            parts.after.append(" and then ".join(self.order(name, v, direction) for v in given))

    # --- sentences ---
    def main(self, call: Call, parts: Parts) -> str:
        """The frame around the noun phrase."""
        rng, api = self.rng, self.api
        spec = api.endpoints[call.endpoint]
        own = self.words.get("endpoints", {}).get(call.endpoint, {})
        own = own if isinstance(own, dict) else {"say": own}
        if call.id is not None:
            record = self.value(call.id)
            if own.get("say") and rng.random() < 0.5:
                return str(self.pick(own["say"])).format(V=record)
            return self.pick(te.RECORD).format(N=noun_singular(parts.head), V=record) + self.tail(parts)
        if not spec.params:
            return self.about_service(call, own)
        many = noun_plural(parts.head)
        noun = " ".join([*parts.before, keep(many) if parts.literal else many]) + self.tail(parts)
        if own.get("say") and not parts.before and not parts.behind:
            return str(self.pick(own["say"]))
        if counts(api, call.endpoint):
            return self.pick(te.COUNT).format(N=noun)
        roll = rng.random()
        the = self.pick(["", "", "", "all ", "the ", "all the ", "any "] if parts.behind else ["all ", "the ", ""])
        if roll < 0.16:
            return self.pick([f for f in en.ASK if "who" not in f]).format(N=noun)
        if roll < 0.34:
            return (the if the.strip() != "the" else "") + noun
        verb = self.pick(en.FIND_LIST)
        if verb.endswith("all"):
            return f"{verb} {noun}"
        return f"{verb} {the}{noun}"

    def tail(self, parts: Parts) -> str:
        """The clauses behind the noun."""
        text = ""
        for i, clause in enumerate(parts.behind):
            glue = " " if i == 0 else self.pick([" ", " ", " ", ", ", ", ", " and "])
            text += glue + clause
        return text

    def about_service(self, call: Call, own: dict[str, Any]) -> str:
        """An endpoint without parameters: a list of things, or one fact."""
        if own.get("say"):
            return str(self.pick(own["say"]))
        spec = self.api.endpoints[call.endpoint]
        last = re.sub(r"[\W_]+", " ", spec.path.rstrip("/").rsplit("/", 1)[-1]).strip().lower()
        described = re.sub(r"^(get|list|show|return|returns) (of )?", "", spec.description.rstrip(".")).strip()
        described = re.sub(r"^(the|a|an|all) ", "", described[:1].lower() + described[1:])
        noun = described if 0 < len(described.split()) <= 9 and self.rng.random() < 0.35 else last
        if counts(self.api, call.endpoint):
            return self.pick(te.COUNT).format(N=noun_plural(endpoint_nouns(self.api, call.endpoint)[0]))
        return self.pick(te.LISTED if last.endswith("s") and not last.endswith("ss") else te.SINGLE).format(N=noun)
