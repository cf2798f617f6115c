"""The template teacher's predicates and keywords: the same conditions as in `clauses`, as a verb or in shorthand."""

from __future__ import annotations

import re

from querywright.api.query import Bool, Everything, Exists, Interval, Node, Range, Term
from querywright.pairs import discourse_english as dis
from querywright.pairs.clauses import Clauses, Unsayable
from querywright.pairs.dress import keep

_VERBS = {
    True: {"have": "has", "be": "is", "s": "s", "es": "es", "ies": "ies"},
    False: {"have": "have", "be": "are", "s": "", "es": "", "ies": "y"},
}


class Predicates(Clauses):
    """Conditions that follow `which genes` or `that`, and conditions in keywords."""

    def predicate(self, node: Node, one: bool) -> str | None:
        """`have the symbol CDK2`: what a condition says of its subject; None where no verb fits.

        Args:
            one: whether the subject is in the singular.
        """
        frames, words = self._frames(node)
        if not frames:
            return None
        text = self.pick(frames)
        for plain, verb in _VERBS[one].items():
            text = text.replace("{" + plain + "}", verb)
        if "F" in words:
            text = self.with_article(text, words["F"])
        return text.format(**words)

    def _frames(self, node: Node) -> tuple[list[str], dict[str, str]]:
        if isinstance(node, Exists):
            return dis.HAS_ANY, {"F": self.field(node.field)}
        if isinstance(node, Bool) and not node.must and not node.should and len(node.must_not) == 1:
            only = node.must_not[0]
            return (dis.HAS_NONE, {"F": self.field(only.field)}) if isinstance(only, Exists) else ([], {})
        if isinstance(node, Range):
            return self._range_frames(node)
        if isinstance(node, Interval):
            text = self.interval(node)
            found = re.match(r"(?:in|within|inside) (?=the |chr|\x02)", text)
            return (dis.LIES_IN, {"I": text[found.end() :]}) if found else ([], {})
        if not isinstance(node, Term) or node.tail:
            return [], {}
        name, value = node.field, node.value
        if node.kind == "wildcard":
            if name is None or not re.fullmatch(r"[^*?]+[*?]", value):
                return [], {}
            if value.endswith("*"):
                return dis.HAS_PREFIX, {"F": self.field(name), "V": self.value(value[:-1])}
            return dis.HAS_PATTERN, {"F": self.field(name), "V": keep(value)}
        if name is None:
            quoted = node.kind == "phrase"
            return dis.HAS_FREE, {"V": keep(f'"{value}"') if quoted else self.value(value)}
        field = self.api.fields.get(name)
        if field is not None and field.type == "boolean":
            return [], {}
        if self.api.analysis(name) == "text" and not (field and field.shape):
            quoted = node.kind == "phrase"
            said = keep(f'"{value}"') if quoted and self.rng.random() < 0.6 else self.value(value)
            return dis.HAS_PHRASE if quoted else dis.HAS_TEXT, {"F": self.field(name), "V": said}
        return dis.HAS_WORD, {"F": self.field(name), "V": self.value(value)}

    def _range_frames(self, node: Range) -> tuple[list[str], dict[str, str]]:
        low, high = self.ends(node)
        words = {"F": self.field(node.field), "A": low if node.low != "*" else high, "B": high}
        if node.high == "*":
            return dis.HAS_AT_LEAST if node.include_low else dis.HAS_MORE, words
        if node.low == "*":
            return dis.HAS_AT_MOST if node.include_high else dis.HAS_LESS, words
        return (dis.HAS_BETWEEN, words) if node.include_low and node.include_high else ([], {})

    # --- keywords ---
    def short(self, node: Node) -> str:
        """A condition in keywords: `symbol CDK2`, `has pdb`, `start > 1000`."""
        if isinstance(node, Everything):
            return ""
        if isinstance(node, Exists):
            return self.pick(dis.YES_SHORT).format(F=self.field(node.field))
        if isinstance(node, Interval):
            name = f"{node.assembly} " if node.assembly else ""
            mark = "chr" if self.rng.random() < 0.8 else ""
            ends = f"{node.start}-{node.end}" if node.start != node.end else f"{node.start}"
            return keep(f"{name}{mark}{node.chromosome}:{ends}")
        if isinstance(node, Range):
            return self._short_range(node)
        if isinstance(node, Term) and not node.tail:
            said = keep(f'"{node.value}"') if node.kind == "phrase" else self.value(node.value)
            if node.field is None:
                return said
            glue = self.pick([" ", " ", " ", ":", "=", ": ", " = ", " is "])
            return f"{self.field(node.field)}{glue}{said}"
        if isinstance(node, Bool):
            if node.should and not node.must and not node.must_not:
                return self._short_either(node.should)
            if not node.should and all(isinstance(n, Term) and n.field is None for n in node.must):
                plain = [n.value for n in node.must if isinstance(n, Term) and n.kind == "word"]
                if len(plain) == len(node.must) and not node.must_not:
                    return keep(" ".join(plain))
        raise Unsayable("a nesting without words")

    def _short_range(self, node: Range) -> str:
        field, (a, b) = self.field(node.field), self.ends(node)
        if node.high == "*":
            return f"{field} {self.pick(['>=', 'at least', 'min'] if node.include_low else ['>', 'above'])} {a}"
        if node.low == "*":
            return f"{field} {self.pick(['<=', 'at most', 'max'] if node.include_high else ['<', 'below'])} {b}"
        if not (node.include_low and node.include_high):
            return self.range(node)
        return self.pick(["{F} {A} to {B}", "{F} {A} - {B}", "{F} between {A} and {B}", "{A} <= {F} <= {B}"]).format(
            F=field, A=a, B=b
        )

    def _short_either(self, nodes: tuple[Node, ...]) -> str:
        names = {n.field for n in nodes if isinstance(n, Term)}
        alike = len(names) == 1 and all(isinstance(n, Term) and n.kind in ("word", "phrase") for n in nodes)
        if alike and (name := names.pop()):
            said = [keep(f'"{n.value}"' if n.kind == "phrase" else n.value) for n in nodes if isinstance(n, Term)]
            return f"{self.field(name)} {self.pick([' or ', ' / ', ' OR ', ' or ']).join(said)}"
        return self.pick([" or ", " OR ", " or "]).join(self.short(n) for n in nodes)

    def short_not(self, node: Node) -> str:
        """What must not hold, in keywords."""
        if isinstance(node, Exists):
            return self.pick(dis.NO_SHORT).format(F=self.field(node.field))
        return self.pick(["not ", "no ", "without ", "-", "NOT ", "but not ", "excluding "]) + self.short(node)
