"""Chats that are answered together are answered as they are alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from querywright.api.definition import API
from querywright.engines.base import Completion, EngineError, Grammar
from querywright.engines.gathered import Gathered
from querywright.engines.hf import TransformersEngine
from querywright.engines.hf_batch import Request
from querywright.generate.answer import grammar_for
from tests.finetune.tiny import tiny_checkpoint

TEXTS = ["a", "what is this, and what is that, and why?", "BRCA1", "three words here", "b" * 60, "?", "x y", "zz"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    """Noise, of bytes: quick to load, and its choices are near each other, so that a wrong place or mask is seen."""
    return TransformersEngine(tiny_checkpoint(tmp_path_factory.mktemp("tiny")), threads=1)


def requests(temperature: float = 0.0, n: int = 1, grammar: Grammar | None = None, most: int = 16) -> list[Request]:
    chats = [[{"role": "user", "content": text}] for text in TEXTS]
    return [Request(chat, grammar, most - i, temperature, 7 + i, n) for i, chat in enumerate(chats)]


def plain(done: Sequence[Completion] | EngineError) -> list[tuple[Any, ...]]:
    assert not isinstance(done, EngineError), done
    return [(c.text, c.finish, c.tokens_in, c.tokens_out) for c in done]


@pytest.mark.parametrize(("temperature", "n"), [(0.0, 2), (0.9, 2)])
def test_a_batch_of_eight_is_eight_of_one(engine: TransformersEngine, temperature: float, n: int) -> None:
    asked = requests(temperature, n)
    together = engine.many(asked)
    for request, mine in zip(asked, together, strict=True):
        (alone,) = engine.many([request])
        assert plain(mine) == plain(alone)
        assert len(plain(mine)) == n
        single = engine.generate(
            request.messages, max_tokens=request.max_tokens, temperature=temperature, seed=request.seed
        )
        assert plain(single)[0] == plain(mine)[0]  # and as the engine writes one by itself
        assert not isinstance(mine, EngineError)
        assert single[0].logprob == pytest.approx(mine[0].logprob, abs=1e-3)
    if temperature and n > 1:
        assert any(len({c[0] for c in plain(mine)}) > 1 for mine in together)


def test_each_has_its_own_grammar(engine: TransformersEngine, mygene: API) -> None:
    grammars = [grammar_for(mygene, "grammar"), Grammar("yes|no", "regex"), None, Grammar('start: "abcdefgh" "i"?')]
    asked = [Request(r.messages, grammars[i % 4], 40, 0.9, i, 2) for i, r in enumerate(requests())]
    together = engine.many(asked)
    for i, (request, mine) in enumerate(zip(asked, together, strict=True)):
        assert plain(mine) == plain(engine.many([request])[0])
        if i % 4 == 1:
            assert {c[0] for c in plain(mine)} <= {"yes", "no"}
        single = engine.generate(
            request.messages, grammar=request.grammar, max_tokens=40, temperature=0.9, seed=request.seed
        )
        assert plain(single)[0][:2] == plain(mine)[0][:2]


def test_one_that_fails_does_not_stop_the_others(engine: TransformersEngine) -> None:
    good = requests()
    bad = [Request(good[0].messages, Grammar("start: (", "lark"), 16), Request(good[0].messages, None, engine.context)]
    done = engine.many([good[0], bad[0], good[1], bad[1]])
    assert [isinstance(one, EngineError) for one in done] == [False, True, False, True]
    assert plain(done[0]) == plain(engine.many(good[:1])[0])
    assert plain(done[2]) == plain(engine.many(good[1:2])[0])
    assert "does not compile" in str(done[1])
    assert "the context holds" in str(done[3])
    assert all(isinstance(one, EngineError) for one in engine.many(bad))


class Counting:
    """An engine that says how many came at once, and has memory for a few answers only."""

    def __init__(self, most: int = 99, error: Exception | None = None) -> None:
        self.sizes: list[int] = []
        self.taken = 0
        self.most, self.error, self.closed = most, error, False
        self.go = threading.Event()

    def many(self, requests: Sequence[Request]) -> list[list[Completion] | EngineError]:
        self.taken += len(requests)
        self.go.wait(120)
        if self.error:
            raise self.error
        rows = sum(r.rows for r in requests)
        if rows > self.most:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        self.sizes.append(rows)
        return [[Completion(str(r.messages[0]["content"]), 1, 1, 1.0, "stop")] * r.n for r in requests]

    def describe(self) -> dict[str, Any]:
        return {"engine": "counting"}

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("n", "most"), [(1, 99), (2, 99), (1, 3), (2, 3), (1, 1)])
def test_requests_of_threads_come_together(n: int, most: int) -> None:
    inner = Counting(most)
    engine = Gathered(inner, 8)
    texts = [str(i) for i in range(20)]
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(engine.generate, [{"role": "user", "content": t}], n=n, temperature=1.0) for t in texts]
        while inner.taken + len(engine._waiting) < len(texts):  # until all have come
            time.sleep(0.001)
        inner.go.set()
        assert [w.result(120)[0].text for w in waiting] == texts
    engine.close()
    assert inner.closed
    assert sum(inner.sizes) == 20 * n
    assert max(inner.sizes) <= min(8, most)
    if most > 8:
        assert len(inner.sizes) <= 20 * n // 8 + 2  # the first may have set out alone
    with pytest.raises(EngineError, match="closed"):
        engine.generate([])


def test_nobody_waits_for_an_engine_that_failed() -> None:
    inner = Counting(error=ValueError("odd"))
    inner.go.set()
    engine = Gathered(inner, 4)
    for _ in range(2):
        with pytest.raises(EngineError, match="the model failed: odd"):
            engine.generate([])
    inner.error, inner.most = None, 0
    with pytest.raises(EngineError, match="memory does not hold this request"):
        engine.generate([])
    engine.close()
