"""Conversations that refine a call: what is asked at the end, said in two to four turns.

A conversation is made backwards: a piece is taken away from the final call (a species, a field, a condition), which
gives the call of the turn before, and an edit that leads back. The first call is said in full, each edit in a follow-up
sentence: `only in mouse`, `also give me the name`, `no, make it CDK4`. The assistant's messages are the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from querywright.api.call import Call, CallError, normalise, parse
from querywright.api.query import Bool, Node, Term, rewrite, simplify
from querywright.pairs import turns_english as te
from querywright.pairs.clauses import Unsayable
from querywright.pairs.dress import dress, keep
from querywright.pairs.roles import roles
from querywright.pairs.say import Speaker
from querywright.pairs.typed_say import Parts, TypedSpeaker
from querywright.rows import Message, Row, row


@dataclass(frozen=True)
class Edit:
    """A change of a call: parameters that get a value (None: lose theirs), or a change of its query or its id."""

    says: str
    params: tuple[tuple[str, Any], ...] = ()
    change: Callable[[Node], Node] | None = None
    id: str | None = None
    anew: Call | None = None

    def apply(self, call: Call) -> Call:
        """The call after the edit."""
        if self.anew is not None:
            return self.anew
        values = {**dict(call.params), **dict(self.params)}
        query = self.change(call.query) if self.change and call.query is not None else call.query
        kept = tuple((n, v) for n, v in values.items() if v is not None)
        return normalise(replace(call, id=self.id or call.id, query=query, params=kept))


@dataclass(frozen=True)
class Conversation:
    """The calls of a conversation in order, the edits between them, and the sentences that ask for them."""

    calls: tuple[Call, ...]
    edits: tuple[Edit, ...]
    sentences: tuple[str, ...]

    def row(self, source: str = "drawn", persona: str = "", teacher: str = "templates") -> Row:
        """The pair: all turns but the last as chat messages, the last sentence, the final call."""
        turns: list[Message] = []
        for call, said in zip(self.calls[:-1], self.sentences[:-1], strict=True):
            turns += [{"role": "user", "content": said}, {"role": "assistant", "content": call.text}]
        return row(self.calls[-1], self.sentences[-1], source, turns=turns, persona=persona, teacher=teacher)


def converse(speaker: Speaker | TypedSpeaker, call: Call, draw: Callable[[], Call]) -> Conversation | None:
    """A conversation that ends with `call`, or None where nothing can be taken away from it.

    Args:
        speaker: says the first call and the edits.
        call: the final call.
        draw: gives other calls, to start over from and to take other values from.
    """
    rng = speaker.rng
    calls: list[Call] = [call]
    edits: list[Edit] = []
    for _ in range(rng.choices([1, 2, 3], [0.55, 0.32, 0.13])[0]):
        step = _before(speaker, calls[0], draw)
        if step is None:
            break
        calls.insert(0, step[0])
        edits.insert(0, step[1])
        if step[1].anew is not None:
            break  # what was asked before a new question has nothing to do with it
    if not edits:
        return None
    try:
        first = speaker.say(calls[0])
    except Unsayable:
        return None
    return Conversation(tuple(calls), tuple(edits), (first, *(e.says for e in edits)))


def _before(speaker: Speaker | TypedSpeaker, call: Call, draw: Callable[[], Call]) -> tuple[Call, Edit] | None:
    """A call that was asked for just before, and the edit that leads from it to `call`."""
    options = [*_steps(speaker, call, draw)]
    speaker.rng.shuffle(options)
    for earlier, make in options:
        try:
            says, *rest = make()
            edit = Edit(dress(says, speaker.rng, speaker.style), *rest)
            earlier = normalise(earlier)
            leads = edit.apply(earlier).canonical == call.canonical
            if leads and earlier.canonical != call.canonical and _whole(earlier):
                return earlier, edit
        except (Unsayable, CallError):
            continue
    return None


def _whole(call: Call) -> bool:
    """Whether a call is read back as it was written, and asks for something."""
    return parse(call.api, call.text).text == call.text


Step = tuple[Call, Callable[[], tuple[Any, ...]]]


def _steps(speaker: Speaker | TypedSpeaker, call: Call, draw: Callable[[], Call]) -> Iterator[Step]:
    """The calls that may have been asked for before, each with what makes the edit's parts (sentence, parameters)."""
    if isinstance(speaker, Speaker):
        yield from _param_steps(speaker, call)
        yield from _query_steps(speaker, call, draw)
    else:
        yield from _typed_steps(speaker, call)
    if speaker.rng.random() < 0.12:
        other = draw()

        def anew() -> tuple[Any, ...]:
            return keep(speaker.pick(te.ANEW).format(X=speaker.say(call))), (), None, None, call

        yield other, anew


def _without(call: Call, *names: str) -> Call:
    return replace(call, params=tuple((n, v) for n, v in call.params if n not in names))


def _with(call: Call, name: str, value: Any) -> Call:
    return replace(_without(call, name), params=(*_without(call, name).params, (name, value)))


def _param_steps(speaker: Speaker, call: Call) -> Iterator[Step]:
    api, rng = call.api, speaker.rng
    values: dict[str, Any] = dict(call.params)
    for name, value in values.items():
        kind = api.params[name].kind
        if name == "fields" and value != (api.params[name].all,):
            yield from _field_steps(speaker, call, value)
        elif kind in ("vocabulary", "enum"):
            one = value if isinstance(value, tuple) else (value,)
            said = lambda frames, n=name, v=one: speaker.pick(frames).format(S=speaker.scoped((n, v)).strip("()"))  # noqa: E731
            yield _without(call, name), lambda n=name, v=value, s=said: (s(te.NARROW), ((n, v),))  # type: ignore[misc]
            others = list(api.params[name].values or api.vocabularies.get(api.params[name].vocabulary, ()))
            others = [v for v in others if v not in one]
            if others and kind == "vocabulary":
                other = _with(call, name, (rng.choice(others),))
                yield other, lambda n=name, v=value, s=said: (s(te.MOVE), ((n, v),))  # type: ignore[misc]
        elif name == "from" and values.get("size", 10) <= value:
            size = values.get("size", 10)
            earlier = _with(call, "from", value - size) if value > size else _without(call, "from")
            yield (
                earlier,
                lambda n=size, v=value: (  # type: ignore[misc]
                    speaker.pick(te.NEXT_PAGE).format(n=keep(str(n))),
                    (("from", v),),
                ),
            )
        elif name == "size" and value > 1 and rng.random() < 0.3:
            m = rng.choice([n for n in (3, 5, 10, 20, 50) if n != value])
            yield (
                _with(call, name, m),
                lambda v=value, m=m: (  # type: ignore[misc]
                    speaker.pick(te.MORE).format(n=keep(str(v)), m=keep(str(m))),
                    (("size", v),),
                ),
            )
        if name not in ("fields", "facet_size") and kind not in ("vocabulary", "enum") and "facet" not in name[1:]:
            drop = [name, *(("facet_size", "species_facet_filter") if name == "facets" else ())]
            again = tuple((n, values[n]) for n in drop if n in values)
            if len(again) == 1:
                yield _without(call, *drop), lambda n=name, v=value, a=again: (speaker.extra(n, v), a)  # type: ignore[misc]


def _field_steps(speaker: Speaker, call: Call, names: tuple[str, ...]) -> Iterator[Step]:
    rng = speaker.rng

    def said(frames: list[str], which: tuple[str, ...]) -> str:
        text = speaker.returned(which)
        bare = text.removeprefix("the ").removeprefix("their ").removeprefix("its ")
        return speaker.pick(frames).format(R=text, R0=bare)

    yield _without(call, "fields"), lambda: (said(te.RETURN, names), (("fields", names),))
    if len(names) > 1:
        yield _with(call, "fields", names[:-1]), lambda: (said(te.ALSO, names[-1:]), (("fields", names),))
    known = [f for f in call.api.fields if f not in names and not any(f.startswith(n + ".") for n in names)]
    known = [f for f in known if not any(n.startswith(f + ".") for n in names)]
    if known:
        extra = rng.choices(known, [call.api.fields[f].weight ** 2 for f in known])[0]
        at = rng.randint(0, len(names))
        more = (*names[:at], extra, *names[at:])
        yield _with(call, "fields", more), lambda: (said(te.WITHOUT, (extra,)), (("fields", names),))


def _query_steps(speaker: Speaker, call: Call, draw: Callable[[], Call]) -> Iterator[Step]:
    query = call.query
    if query is None:
        if call.id is not None:
            other = next((c.id for c in (draw() for _ in range(12)) if c.id and c.endpoint == call.endpoint), None)
            if other and other != call.id:
                said = speaker.pick(te.SWAP).format(V=keep(call.id), W=keep(other))
                yield replace(call, id=other), lambda: (said, (), None, call.id)
        return
    parts = query if isinstance(query, Bool) else Bool((query,))
    if len(parts.must) > 1 and not parts.should and not all(isinstance(n, Term) and not n.field for n in parts.must):
        last = parts.must[-1]
        rest = simplify(Bool(parts.must[:-1], (), parts.must_not))
        yield (
            replace(call, query=rest),
            lambda: (speaker.pick(te.ADD).format(C=speaker.condition(last)), (), lambda q: simplify(Bool((q, last)))),
        )
    if parts.must_not and (parts.must or parts.should):
        out = parts.must_not[-1]
        rest = simplify(Bool(parts.must, parts.should, parts.must_not[:-1]))
        yield (
            replace(call, query=rest),
            lambda: (
                speaker.pick(te.DROP).format(C=speaker.condition(out)),
                (),
                lambda q: simplify(Bool((q,), (), (out,))),
            ),
        )
    if isinstance(query, Bool) and len(query.should) > 1 and not query.must and not query.must_not:
        new = query.should[-1]
        rest = simplify(Bool(should=query.should[:-1]))
        yield (
            replace(call, query=rest),
            lambda: (
                speaker.pick(te.OR).format(C=speaker.condition(new)),
                (),
                lambda q: simplify(Bool(should=(q, new))),
            ),
        )
    terms = [n for n in parts.must if isinstance(n, Term) and n.kind in ("word", "phrase") and not n.tail]
    if terms:
        term = speaker.rng.choice(terms)
        other_value = _other_value(term, draw)
        if other_value:
            before = replace(term, value=other_value, kind="phrase" if " " in other_value else "word")
            yield (
                replace(call, query=rewrite(query, lambda n: before if n == term else n)),
                lambda: (
                    speaker.pick(te.SWAP).format(V=keep(term.value), W=keep(other_value)),
                    (),
                    lambda q: rewrite(q, lambda n: term if n == before else n),
                ),
            )


def _other_value(term: Term, draw: Callable[[], Call]) -> str | None:
    """Another value of the same field, from other calls."""
    for _ in range(15):
        query = draw().query
        for node in (query, *(query.must if isinstance(query, Bool) else ())) if query else ():
            same = isinstance(node, Term) and node.field == term.field and node.kind in ("word", "phrase")
            if same and isinstance(node, Term) and node.value.lower() != term.value.lower() and not node.tail:
                return node.value
    return None


def _typed_steps(speaker: TypedSpeaker, call: Call) -> Iterator[Step]:
    """Calls without one of the things that a call of typed parameters asks for."""
    known, values = roles(call.api, call.endpoint), dict(call.params)
    spec = call.api.endpoints[call.endpoint]
    units = [[n for n in span.names if n in values] for span in known.spans]
    units += [[n for n in known.place if n in values], *([n] for n in known.single if n in values)]
    for unit in (u for u in units if u and not set(u) & set(spec.in_path)):
        again = {n: values[n] for n in unit}

        def said(again: dict[str, Any] = again) -> tuple[Any, ...]:
            parts = Parts(speaker.words["nouns"][0])
            for name in speaker.ranges(known, again, parts):
                speaker.single(call, name, again, known, parts)
            if parts.literal:
                raise Unsayable("a kind that makes a noun of its own")
            shape = [*parts.after]
            held = [*parts.behind, *(f"that are {b}" for b in parts.before)]
            text = speaker.pick(te.ADD).format(C=" and ".join(held)) if held else shape.pop(0)
            return ", ".join([text, *shape]), tuple(again.items())

        yield _without(call, *unit), said
