"""Requests at once are answered as one at a time, each in its own slot; none disturbs another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from querywright.engines import slots as module
from querywright.engines.base import Cancelled, Completion, EngineError, Grammar, MaskError
from querywright.engines.llama import LlamaEngine
from querywright.engines.open import open_engine
from querywright.engines.sequences import Part
from querywright.engines.slots import PIECE, WORTH_COPYING
from tests.engines.tiny_gguf import tiny_gguf

pytest.importorskip("llama_cpp")
pytest.importorskip("llguidance")
pytest.importorskip("gguf")
CONTEXT = 512
GRAMMARS = [
    None,
    Grammar('start: "/v3/gene/" /[0-9]{3,9}/ "?fields=" /[a-z]{2,30}/'),
    Grammar("[A-F ]{5,60}", "regex"),
    Grammar('root ::= "/count?n=" [0-9]+ "&x=" ("a" | "b")* "."', "gbnf"),
]
ASKED: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "system", "content": "Write the call. " * (i % 4)},
            {"role": "user", "content": f"what is number {i * i}? " * (1 + i % 5 * 3)},
        ],
        "grammar": GRAMMARS[i % 4], "max_tokens": 10 + 3 * i, "temperature": [0.0, 0.8, 1.0][i % 3], "seed": i,
        "n": 1 + i % 3,
    }
    for i in range(12)
]  # fmt: skip


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="module")
def one(model: Path) -> Iterator[LlamaEngine]:
    opened = LlamaEngine(model, threads=1, context=CONTEXT)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared(model: Path) -> Iterator[LlamaEngine]:
    opened = LlamaEngine(model, threads=1, context=CONTEXT, slots=4)
    yield opened
    opened.close()


@pytest.fixture
def four(shared: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> LlamaEngine:
    """Four slots that remember nothing yet, and wait for each other: what goes into a step is the same in each run."""
    shared._slots.forget()
    monkeypatch.setattr(module, "PATIENCE", 1.0)
    return shared


@pytest.fixture
def steps(four: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> list[list[Part]]:
    """What the four slots' steps compute, as they go."""
    seen: list[list[Part]] = []
    real = four._sequences.compute

    def recorded(parts: Sequence[Part]) -> list[dict[int, int]]:
        seen.append(list(parts))
        return real(parts)

    monkeypatch.setattr(four._sequences, "compute", recorded)
    return seen


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call returned or raised, all of them begun together."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return call()
        except EngineError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def taken_together(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch, count: int = 4) -> None:
    """From now on so many requests have to have a slot before any of them goes on."""
    real, gate = engine._slots._take, threading.Barrier(count)

    def take(*given: Any) -> Any:
        slot = real(*given)
        gate.wait(20)
        return slot

    monkeypatch.setattr(engine._slots, "_take", take)


def same(got: Sequence[Completion], wanted: Sequence[Completion]) -> None:
    for a, b in zip(got, wanted, strict=True):
        assert (a.text, a.finish, a.tokens_in, a.tokens_out) == (b.text, b.finish, b.tokens_in, b.tokens_out)
        assert a.logprob == pytest.approx(b.logprob, abs=1e-3)
        assert a.grammar_logprob == pytest.approx(b.grammar_logprob, abs=1e-3)


def test_answers_at_once_are_answers_one_at_a_time(one: LlamaEngine, four: LlamaEngine) -> None:
    """Of other prompts, lengths, grammars and temperatures, more of them than slots."""
    wanted = [one.generate(**asked) for asked in ASKED]
    for _ in range(2):  # the second time with kept prefixes
        got = at_once(*(lambda asked=asked: four.generate(**asked) for asked in ASKED))
        # company may round a draw to the next token: seen in one text of a thousand
        others = [a for a, b in zip(got, wanted, strict=True) if [c.text for c in a] != [c.text for c in b]]
        assert len(others) <= 1
        for a, b in zip(got, wanted, strict=True):
            if a not in others:
                same(a, b)


def test_texts_are_weighed_at_once(one: LlamaEngine, four: LlamaEngine) -> None:
    texts = [f"/v3/gene/{n}?fields=symbol" for n in (1234, 99, 123456)] + ["/v3/none"]
    jobs = [(ask("which gene? " * n), GRAMMARS[n % 2]) for n in range(1, 6)]
    wanted = [one.score(messages, texts, grammar=grammar) for messages, grammar in jobs]
    calls = [lambda job=job: four.score(job[0], texts, grammar=job[1]) for job in jobs]
    calls += [lambda asked=asked: four.generate(**asked) for asked in ASKED[:3]]
    for a, b in zip(at_once(*calls), wanted, strict=False):
        assert [c.tokens_out for c in a] == [c.tokens_out for c in b]
        assert [c.logprob for c in a] == [
            c.logprob if c.logprob is None else pytest.approx(c.logprob, abs=1e-3) for c in b
        ]


def test_steps_are_shared(four: LlamaEngine, steps: list[list[Part]], monkeypatch: pytest.MonkeyPatch) -> None:
    taken_together(four, monkeypatch)
    asked = {"grammar": Grammar("[a-d]{40}", "regex"), "max_tokens": 60}
    at_once(*(lambda i=i: four.generate(ask(f"{i}"), **asked) for i in range(4)))
    assert len(steps) < 2 * 40
    assert max(len(parts) for parts in steps) == 4
    assert sum(len(parts) for parts in steps) >= 4 * 39


def test_one_that_is_given_up_leaves_the_others_alone(one: LlamaEngine, four: LlamaEngine) -> None:
    told: list[str] = []

    def progress(text: str) -> bool:
        told.append(text)
        return len(text) < 5

    letters = Grammar("[a-p]{30}", "regex")
    wanted = [one.generate(ask(f"letters {i}"), grammar=letters)[0] for i in range(4)]
    calls = [lambda i=i: four.generate(ask(f"letters {i}"), grammar=letters) for i in range(3)]
    got = at_once(*calls, lambda: four.generate(ask("letters 3"), grammar=letters, progress=progress))
    for a, b in zip(got[:3], wanted[:3], strict=True):
        same(a, [b])
    assert isinstance(got[3], Cancelled)
    assert told[-1] == wanted[3].text[:5]
    same(four.generate(ask("letters 3"), grammar=letters), wanted[3:])  # in the slot that was left in the middle


def test_a_long_prompt_can_be_given_up_while_it_is_read(one: LlamaEngine, four: LlamaEngine) -> None:
    asked: list[str] = []
    long = ask("word " * 80)
    with pytest.raises(Cancelled):
        four.generate(long, max_tokens=5, progress=lambda text: asked.append(text) is not None)
    assert asked == [""]  # after the first piece
    same(four.generate(long, max_tokens=5), one.generate(long, max_tokens=5))


def test_a_request_that_waits_for_a_slot_can_be_given_up(four: LlamaEngine) -> None:
    go_on = threading.Event()
    calls = [
        lambda: four.generate(ask("x"), max_tokens=4, progress=lambda _: go_on.wait(20)) for _ in range(four.capacity)
    ]
    with ThreadPoolExecutor(8) as pool:
        busy = [pool.submit(call) for call in calls]
        while not all(slot.taken for slot in four._slots._slots):
            time.sleep(0.01)
        with pytest.raises(Cancelled):
            four.generate(ask("y"), max_tokens=4, progress=lambda _: False)
        go_on.set()
        assert all(future.result() for future in busy)


def test_errors_stay_in_their_slot(one: LlamaEngine, four: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grammar that does not compile, a callback that raises, a token that is none, and a sequence that fails."""
    letters = Grammar("[a-p]{30}", "regex")
    wanted = one.generate(ask("letters"), grammar=letters)

    def token_that_is_none() -> None:
        with four._slots.take([]) as slot:
            for length in range(1, 20):
                slot.follow([1] * length + [10**6] * (length == 19))

    got = at_once(
        lambda: four.generate(ask("letters"), grammar=letters),
        lambda: four.generate(ask("x"), grammar=Grammar("start: nope")),
        token_that_is_none,
        lambda: four.generate(ask("letters"), grammar=letters),
    )
    same(got[0], wanted)
    same(got[3], wanted)
    assert isinstance(got[1], MaskError)
    assert isinstance(got[2], EngineError)
    assert got[2].retryable

    real, broken = four._sequences.compute, [2]

    def failing(parts: Sequence[Part]) -> list[dict[int, int]]:
        found = real(parts)  # what it computed is there, and has to be forgotten
        if any(part.sequence in broken and len(part.tokens) == 1 for part in parts):
            raise RuntimeError("a defect")
        return found

    monkeypatch.setattr(four._sequences, "compute", failing)
    taken_together(four, monkeypatch)
    got = at_once(*[lambda: four.generate(ask("letters"), grammar=letters)] * 4)
    failed = [one for one in got if isinstance(one, EngineError)]
    assert [str(error) for error in failed] == ["llama.cpp failed: a defect"]
    for done in got:
        if done is not failed[0]:
            same(done, wanted)
    broken.clear()
    for done in at_once(*[lambda: four.generate(ask("letters"), grammar=letters)] * 4):
        same(done, wanted)


def test_each_slot_has_all_of_the_context(one: LlamaEngine, four: LlamaEngine) -> None:
    whole = [ask(chr(97 + i) * (CONTEXT - 64)) for i in range(4)]
    wanted = [one.generate(messages, max_tokens=20) for messages in whole]
    for a, b in zip(at_once(*(lambda m=m: four.generate(m, max_tokens=20) for m in whole)), wanted, strict=True):
        same(a, b)
    with pytest.raises(EngineError, match=f"the context holds {CONTEXT}"):
        four.generate(ask("a" * CONTEXT), max_tokens=1)


def test_next_tokens_do_not_wait_for_long_prompts(four: LlamaEngine, steps: list[list[Part]]) -> None:
    begun = threading.Event()

    def late() -> Any:
        begun.wait(20)
        return four.generate(ask("b" * 400), max_tokens=2)

    def early() -> Any:
        return four.generate(
            ask("a"), grammar=Grammar("[a-p]{60}", "regex"), max_tokens=60, progress=lambda _: begun.set() is None
        )

    at_once(early, late)
    mixed = [parts for parts in steps if len(parts) == 2 and max(len(part.tokens) for part in parts) > 1]
    assert len(mixed) >= 400 // PIECE - 2
    assert all(sorted(len(part.tokens) for part in parts)[0] == 1 for parts in mixed[1:])
    assert all(sum(len(part.tokens) for part in parts) <= PIECE + 1 for parts in mixed[1:])


def test_a_request_goes_where_its_start_is_kept(
    four: LlamaEngine, steps: list[list[Part]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"role": "system", "content": f"{letter} " * 60} for letter in "abcd"]

    def generate(letter: int, question: str) -> Any:
        return four.generate([rules[letter], *ask(question)], max_tokens=2)

    with monkeypatch.context() as patch:
        taken_together(four, patch)
        at_once(*(lambda i=i: generate(i, "one") for i in range(4)))
    steps.clear()
    for letter in (2, 0, 3, 1):
        generate(letter, "two")
    assert sum(len(part.tokens) for parts in steps for part in parts) < 4 * 40
    assert len({part.sequence for parts in steps for part in parts}) == 4


def test_a_start_that_another_slot_holds_is_copied(
    one: LlamaEngine, four: LlamaEngine, steps: list[list[Part]], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_together(four, monkeypatch)
    rules = {"role": "system", "content": "These are the rules. " * 12}
    asks = [[rules, *ask(f"{word}?")] for word in ("what", "why", "who", "when")]
    wanted = [one.generate(messages, max_tokens=8) for messages in asks]
    steps.clear()
    got = at_once(*(lambda m=m: four.generate(m, max_tokens=8) for m in asks))  # also one that is being read meanwhile
    for a, b in zip(got, wanted, strict=True):
        same(a, b)
    read = sum(len(part.tokens) for parts in steps for part in parts)
    assert read < len(one._prompt(asks[0])) + 4 * (WORTH_COPYING + 40)


def test_two_requests_of_one_slot_wait_for_each_other(one: LlamaEngine) -> None:
    assert one.capacity == 1
    assert one._slots._thread is None
    wanted = [one.generate(**asked) for asked in ASKED[:4]]
    for a, b in zip(at_once(*(lambda a=a: one.generate(**a) for a in ASKED[:4])), wanted, strict=True):
        same(a, b)


def test_an_engine_that_is_closed_lets_requests_fail(model: Path) -> None:
    for slots in (1, 3):
        engine = open_engine(model, threads=1, slots=slots)
        assert getattr(engine, "capacity", None) == slots
        running = threading.Event()

        def endless(engine: Any = engine, running: threading.Event = running) -> Any:
            many = {"max_tokens": 2000, "temperature": 1.0, "n": 10_000}
            return engine.generate(ask("x"), progress=lambda _: running.set() is None, **many)

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(endless)
            assert running.wait(20)
            engine.close()
            with pytest.raises(EngineError, match="closed"):
                future.result(20)
        with pytest.raises(EngineError, match="closed"):
            engine.generate(ask("x"))
        engine.close()


@pytest.mark.parametrize("slots", [0, 100_000])
def test_a_number_of_slots_that_there_is_not(model: Path, slots: int) -> None:
    with pytest.raises(EngineError, match=f"{slots} slots"):
        LlamaEngine(model, threads=1, context=CONTEXT, slots=slots)
