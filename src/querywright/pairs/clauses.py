"""The template teacher's words for the parts of a query: fields, values, conditions, alternatives, negations."""

from __future__ import annotations

import random
import re

from querywright.api.definition import API
from querywright.api.query import Bool, Exists, Interval, Node, Range, Term
from querywright.pairs import discourse_english as dis
from querywright.pairs import english as en
from querywright.pairs.dress import keep
from querywright.pairs.style import PEOPLE, Style
from querywright.pairs.words import called, in_units, is_position, noun_plural, words


class Unsayable(ValueError):
    """The call holds something that templates have no words for."""


class Clauses:
    """Says the parts of a query. Same random state, same words."""

    def __init__(self, api: API, rng: random.Random, style: Style = PEOPLE) -> None:
        self.api, self.rng, self.style = api, rng, style
        self.words = words(api)

    # --- small pieces ---
    def pick(self, phrases: list[str]) -> str:
        return self.rng.choice(phrases)

    def field(self, name: str, facet: bool = False) -> str:
        """A field in words: a synonym mostly, sometimes its own name."""
        if facet and name in self.words.get("facet_words", {}) and self.rng.random() < 0.8:
            return str(self.pick(self.words["facet_words"][name]))
        field = self.api.fields.get(name)
        roll = self.rng.random()
        if field is not None and not field.synonyms and roll > 0.4:
            return str(self.pick(called(self.api, name)))
        if field is None or not field.synonyms or roll < self.style.names:
            return keep(name)
        if roll < self.style.names + 0.04 and re.search(r"[._]", name):
            return re.sub(r"[._]", " ", name)
        return str(self.pick(called(self.api, name)))

    def value(self, text: str) -> str:
        """A literal, sometimes in quotation marks."""
        roll = self.rng.random()
        return keep(f'"{text}"' if roll < 0.04 else f"'{text}'" if roll < 0.07 else text)

    def number(self, n: str) -> str:
        """A number, sometimes with commas."""
        if n.isdigit() and len(n) > 3 and n[0] != "0" and self.rng.random() < 0.3:
            return keep(f"{int(n):,}")
        return keep(n)

    def count(self, n: int) -> str:
        if 0 < n <= 20 and self.rng.random() < 0.3:
            return keep(en.NUMBERS[n])
        return keep(str(n))

    def join(self, parts: list[str], word: str = "and") -> str:
        if len(parts) == 1:
            return parts[0]
        comma = "," if len(parts) > 2 and self.rng.random() < 0.4 else ""
        if self.rng.random() < 0.1:
            return ", ".join(parts) if word == "and" else " or ".join(parts)
        return ", ".join(parts[:-1]) + f"{comma} {word} {parts[-1]}"

    # --- conditions ---
    def term(self, node: Term) -> str:
        name, value = node.field, node.value
        if node.tail:
            raise Unsayable("fuzzy or boosted terms")
        if node.kind == "wildcard":
            return self.wildcard(name, value)
        if name is None:
            quoted = node.kind == "phrase"
            text = (
                keep(f'"{value}"')
                if quoted and self.rng.random() < 0.75
                else self.value(value)
                if not quoted
                else keep(f"'{value}'")
            )
            return self.pick(en.FREE_PHRASE if quoted else en.FREE).format(V=text)
        own = self.words.get("clauses", {}).get(name)
        if own and self.rng.random() < 0.4:
            return str(self.pick(own)).format(V=self.value(value))
        if name in self.api.fields and self.api.fields[name].type == "boolean":
            return self.pick(en.TRUE if value.lower() == "true" else en.FALSE).format(F=self.field(name))
        analysis = self.api.analysis(name)
        is_id = self.api.fields.get(name) is not None and bool(self.api.fields[name].shape)
        if analysis == "text" and not is_id:
            if node.kind == "phrase":
                text = keep(f'"{value}"') if self.rng.random() < 0.6 else keep(value)
                return self.pick(en.TEXT_PHRASE).format(F=self.field(name), V=text)
            return self.pick(en.TEXT).format(F=self.field(name), V=self.value(value))
        prefix = self.api.value_prefixes.get(name.split(".")[0])
        if prefix and self.rng.random() < 0.5 and value.isdigit():
            value = f"{prefix}:{value}"
        return self.pick(en.WORD).format(F=self.field(name), V=self.value(value))

    def wildcard(self, name: str | None, value: str) -> str:
        plain = re.sub(r"[*?]", "", value)
        if name is None:
            if value.count("*") == 1 and value.endswith("*") and "?" not in value and self.rng.random() < 0.35:
                return self.pick(
                    ["starting with {V}", "that start with {V}", "beginning with {V}", "with the prefix {V}"]
                ).format(V=self.value(plain))
            if re.fullmatch(r"[^*?]+\?", value) and self.rng.random() < 0.35:
                return self.pick(en.FREE_ONE_MORE).format(V=self.value(plain))
            return self.pick([*en.FREE[:8], "matching the wildcard {V}", "matching the pattern {V}"]).format(
                V=keep(value)
            )
        field = self.field(name)
        if re.fullmatch(r"[^*?]+\*", value) and self.rng.random() < 0.7:
            return self.pick(en.PREFIX).format(F=field, V=self.value(plain))
        if re.fullmatch(r"[^*?]+\?", value) and self.rng.random() < 0.3:
            return self.pick(en.ONE_MORE).format(F=field, V=self.value(plain))
        gap = re.fullmatch(r"([^*?]+)\*([^*?]+)", value)
        if gap and self.rng.random() < 0.4:
            return self.pick(en.GAP).format(F=field, V=self.value(gap[1]), W=self.value(gap[2]))
        return self.pick(en.PATTERN).format(F=field, V=keep(value))

    def ends(self, node: Range) -> tuple[str, str]:
        """Both ends of a range, in one manner: both with units or none."""
        plain = [n for n in (node.low, node.high) if n != "*"]
        units = [in_units(int(n), is_position(node.field)) if n.isdigit() else [] for n in plain]
        if all(units) and self.rng.random() > self.style.digits:
            said = iter([keep(self.pick(u)) for u in units])
            low, high = (next(said) if n != "*" else n for n in (node.low, node.high))
            return low, high
        return self.number(node.low), self.number(node.high)

    def range(self, node: Range) -> str:
        low, high = self.ends(node)
        field = self.field(node.field)
        if node.high == "*":
            return self.pick(en.AT_LEAST if node.include_low else en.MORE).format(F=field, A=low)
        if node.low == "*":
            return self.pick(en.AT_MOST if node.include_high else en.LESS).format(F=field, A=high)
        if not (node.include_low and node.include_high):
            frames = dis.FROM_BELOW if node.include_low else dis.ABOVE_TO if node.include_high else dis.STRICTLY
            return self.pick(frames).format(F=field, A=low, B=high)
        frame = self.pick(en.BETWEEN)
        return (frame if low[-2:-1].isdigit() else frame.replace("{A}-{B}", "{A} to {B}")).format(
            F=field, A=low, B=high
        )

    def interval(self, node: Interval) -> str:
        a, b = str(node.start), str(node.end)
        if self.rng.random() < 0.35:
            a, b = f"{node.start:,}", f"{node.end:,}"
        units = [in_units(n, True) for n in (node.start, node.end)]
        if self.rng.random() > self.style.digits and (node.start == 1 or units[0]) and units[1] and a != b:
            frames = dis.FIRST_BASES if node.start == 1 else en.INTERVAL_WORDS[:-1]
            low, high = (keep(self.pick(u)) if u else "" for u in units)
            text = self.pick(frames).format(C=keep(node.chromosome), A=low, B=high, L=high)
            return text + self.assembly(node)
        inline = node.assembly and self.rng.random() < 0.3
        if a == b:
            text = self.position(node.chromosome, a, f"{node.assembly}." if node.assembly and inline else "")
        elif self.rng.random() < 0.45 and not inline:
            text = self.pick(en.INTERVAL_WORDS).format(C=keep(node.chromosome), A=keep(a), B=keep(b))
        else:
            chromosome = ("chr" if self.rng.random() < 0.88 or inline else "") + node.chromosome
            region = f"{f'{node.assembly}.' if inline else ''}{chromosome}:{a}-{b}"
            text = self.pick(en.INTERVAL).format(I=keep(region))
        return text + ("" if inline else self.assembly(node))

    def assembly(self, node: Interval) -> str:
        """The assembly of an interval, where it has one."""
        if not node.assembly:
            return ""
        names = en.ASSEMBLIES.get(node.assembly, [node.assembly])
        return " " + self.pick(en.ASSEMBLY).format(G=keep(self.pick(names)))

    def position(self, chromosome: str, at: str, assembly: str) -> str:
        """One base of a chromosome."""
        if not assembly and self.rng.random() < 0.5:
            return self.pick(en.POSITION_WORDS).format(C=keep(chromosome), A=keep(at))
        return self.pick(en.POSITION).format(I=keep(f"{assembly}chr{chromosome}:{at}"))

    def exists(self, node: Exists, lacking: bool = False) -> str:
        field = self.field(node.field)
        text = self.pick(en.LACKS if lacking else en.EXISTS)
        return self.with_article(text, field).format(F=field)

    def with_article(self, text: str, field: str) -> str:
        """The article before a field's words as English has it: none before what is not counted."""
        if field.endswith(("s", "data", "information")) or self.rng.random() < 0.15:
            return re.sub(r" an? (?=\{F\})", " ", text)
        if re.match(r"[aeioAEIO]|\x02?[AEIOFHLMNRSX][A-Z]", field):
            return text.replace(" a {F}", " an {F}")
        return text

    def condition(self, node: Node) -> str:
        """A condition to stand behind a noun."""
        if isinstance(node, Term):
            return self.term(node)
        if isinstance(node, Range):
            return self.range(node)
        if isinstance(node, Interval):
            return self.interval(node)
        if isinstance(node, Exists):
            return self.exists(node)
        if isinstance(node, Bool):
            if node.should and not node.must and not node.must_not:
                return self.either(node.should)
            if node.must and not node.should and not node.must_not:
                if all(isinstance(n, Term) and n.field is None and n.kind == "word" for n in node.must):
                    return self.pick(en.FREE).format(
                        V=keep(" ".join(n.value for n in node.must if isinstance(n, Term)))
                    )
                return " and ".join(self.condition(n) for n in node.must)
            if not node.must and not node.should and len(node.must_not) == 1:
                return self.negative(node.must_not[0], alone=True)
        raise Unsayable("a nesting without words")

    def either(self, nodes: tuple[Node, ...]) -> str:
        """Alternatives; said together where they ask the same field."""
        terms = [n for n in nodes if isinstance(n, Term) and n.kind in ("word", "phrase") and not n.tail]
        names = {n.field for n in terms}
        if len(terms) == len(nodes) and len(names) == 1:
            values = [
                keep(f'"{t.value}"') if t.kind == "phrase" and self.rng.random() < 0.7 else keep(t.value) for t in terms
            ]
            style = self.rng.random()
            text = self.join(values, "or")
            if style < 0.2:
                text = "either " + text
            elif style < 0.3:
                text = "any of " + ", ".join(values)
            elif style < 0.36:
                text = " / ".join(values)
            elif style < 0.42 and len(values) == 2:
                text = f"{values[0]} or else {values[1]}"
            name = names.pop()
            if name is None:
                return self.pick(
                    [
                        "matching {V}",
                        "for {V}",
                        "about {V}",
                        "related to {V}",
                        "mentioning {V}",
                        "containing {V}",
                        "that match {V}",
                    ]
                ).format(V=text)
            is_text = self.api.analysis(name) == "text" and not self.api.fields[name].shape
            own = self.words.get("clauses", {}).get(name)
            if own and self.rng.random() < 0.25:
                return str(self.pick(own)).format(V=text)
            return self.pick(en.TEXT if is_text else en.WORD).format(F=self.field(name), V=text)
        parts = [self.condition(n) for n in nodes]
        if self.rng.random() < 0.35:
            return "either " + " or ".join(parts)
        return self.pick([" or ", " or ", " or else ", ", or "]).join(parts)

    def negative(self, node: Node, alone: bool = False) -> str:
        """What must not hold."""
        if isinstance(node, Exists):
            return ("" if alone else self.pick(["", "but ", "and "])) + self.exists(node, lacking=True)
        if isinstance(node, Term) and node.field is None and node.kind == "word" and self.rng.random() < 0.7:
            return self.pick(en.BUT_NOT_WORD).format(V=keep(node.value))
        nouns = self.words.get("nouns_for", {}).get(node.field, {}) if isinstance(node, Term) else {}
        if isinstance(node, Term) and node.value in nouns and self.rng.random() < 0.5:
            return self.pick(["excluding {X}", "but not {X}", "except {X}", "that are not {X}"]).format(
                X=str(self.pick(nouns[node.value])).format(N=noun_plural(self.words["nouns"][0]))
            )
        return self.pick(en.BUT_NOT).format(C=self.condition(node))
