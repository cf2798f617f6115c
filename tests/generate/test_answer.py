"""Sentences to answers with an engine that says what it is told: judging, strategies, files of sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import API, load, shipped
from querywright.api.nearest import FIELDS
from querywright.api.refusal import REASONS
from querywright.engines.base import Completion, EngineError, Grammar, MaskError, Message
from querywright.errors import QuerywrightError
from querywright.generate import batch
from querywright.generate.answer import answer, grammar_for
from querywright.generate.prompts import STRATEGIES, strategy
from querywright.generate.turns import heard
from querywright.pairs.prompted import with_fields
from querywright.rows import chat


class Parrot:
    """An engine that repeats its lines, and keeps what it was asked."""

    def __init__(self, *lines: str | BaseException, finish: Any = "stop") -> None:
        self.lines, self.finish = list(lines), finish
        self.asked: list[tuple[list[Message], Grammar | None]] = []

    def generate(
        self, messages: Sequence[Message], *, grammar: Grammar | None = None, max_tokens: int = 256,
        temperature: float = 0.0, seed: int = 0, n: int = 1,
    ) -> list[Completion]:  # fmt: skip
        self.asked.append((list(messages), grammar))
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if isinstance(line, BaseException):
            raise line
        return [Completion(line, 10, 5, 1.0, self.finish)] * n

    def describe(self) -> dict[str, Any]:
        return {"engine": "parrot"}

    def close(self) -> None: ...


def test_a_call_is_ok_and_in_its_readable_form(mygene: API) -> None:
    got = answer(mygene, "CDK2", Parrot("/v3/query?limit=5&q=symbol:CDK2\n"))
    assert (got.ok, got.path, got.reason) == (True, "/v3/query?q=symbol:CDK2&size=5", None)


def test_no_call_is_not_ok_and_says_why(mygene: API) -> None:
    got = answer(mygene, "CDK2", Parrot("/v3/query?q=simbol:CDK2"), decoding="free")
    assert not got.ok
    assert "unknown field 'simbol'; did you mean 'symbol'" in str(got.reason)
    assert got.path == "/v3/query?q=simbol:CDK2"


def test_out_of_tokens_is_never_a_call(mygene: API) -> None:
    got = answer(mygene, "CDK2", Parrot("/v3/query?q=symbol:CDK2", finish="length"))
    assert not got.ok
    assert "ran out of tokens" in str(got.reason)


def test_a_mask_failure_fails_the_request(mygene: API) -> None:
    with pytest.raises(MaskError):
        answer(mygene, "CDK2", Parrot(MaskError("lost")))


def test_tuned_prompt_is_the_training_format(mygene: API) -> None:
    engine = Parrot("/v3/metadata")
    answer(mygene, "Give me CDK2", engine)
    messages, grammar = engine.asked[0]
    trained = next(with_fields([{"api": "mygene", "instruction": "Give me CDK2", "path": "/v3/query?q=symbol:CDK2"}]))
    assert messages == chat(trained)["messages"][:-1]
    first, *shown = messages[0]["content"].splitlines()
    assert first == "Write the mygene call."
    assert len(shown) == FIELDS
    assert set(shown) <= set(mygene.fields)
    assert "symbol" in shown
    assert grammar is not None
    assert "CDK2" in grammar.text  # grounded in the sentence


def test_decodings(mygene: API) -> None:
    assert grammar_for(mygene, "free") is None
    assert grammar_for(mygene, "gbnf").kind == "gbnf"  # type: ignore[union-attr]
    engine = Parrot("/v3/metadata")
    answer(mygene, "Give me CDK2", engine, "zero_shot")
    assert engine.asked[0][1] == grammar_for(mygene, "grammar")  # not grounded
    with pytest.raises(QuerywrightError, match="did you mean 'grammar'"):
        grammar_for(mygene, "gramar")


def test_zero_shot_explains_the_api_and_keeps_the_constant_part_first(mygene: API) -> None:
    build = strategy("zero_shot", mygene)
    one, two = build("first"), build("second")
    assert one[0] == two[0]
    for word in ("MyGene.info", "/v3/query?q=", "symbol", "zebrafish", "size"):
        assert word in one[0]["content"]
    assert "{" not in one[0]["content"].replace("/{id}", "")
    assert len(one[0]["content"]) < 5000


def test_icl_shows_examples_and_says_where_they_should_be(mygene: API, tmp_path: Path) -> None:
    pairs = tmp_path / "train.jsonl"
    pairs.write_text("".join(json.dumps({"instruction": f"i{n}", "path": f"/v3/gene/{n}"}) + "\n" for n in range(20)))
    first, again = (strategy("icl", mygene, examples=pairs, seed=1)("x") for _ in range(2))
    assert first == again
    assert [m["role"] for m in first] == ["system", *["user", "assistant"] * 8, "user"]
    with pytest.raises(QuerywrightError, match="examples") as failed:
        strategy("icl", mygene, examples=tmp_path / "none.jsonl")
    assert failed.value.hint


def test_unknown_strategy(mygene: API) -> None:
    with pytest.raises(QuerywrightError, match="did you mean 'zero_shot'"):
        strategy("zeroshot", mygene)
    assert "rag" in STRATEGIES


def _session(api: API, engine: Parrot) -> batch.Session:
    return batch.Session(api, engine, strategy("tuned", api), "grammar", {"grounded": True}, {"engine": "parrot"})


def _rows(path: Path, n: int) -> Path:
    path.write_text("".join(json.dumps({"instruction": f"gene {i}", "id": i}) + "\n" for i in range(n)))
    return path


def test_a_file_of_sentences(mygene: API, tmp_path: Path) -> None:
    file, out = _rows(tmp_path / "in.jsonl", 3), tmp_path / "deep" / "out.jsonl"
    said = batch.run(_session(mygene, Parrot("/v3/gene/1", "nonsense", "/v3/gene/3")), file, out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    answered = ["path", "ok", "ms", "tokens", "reason", "refused", "confidence", "abstained"]
    assert [list(r) for r in rows] == [["instruction", "id", *answered]] * 3
    assert [r["ok"] for r in rows] == [True, False, True]
    assert "3 answers" in said
    assert "2 of them calls" in said
    assert sorted(p.name for p in out.parent.iterdir()) == ["out.jsonl"]


def test_an_interrupted_file_goes_on(mygene: API, tmp_path: Path) -> None:
    file, out = _rows(tmp_path / "in.jsonl", 4), tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        batch.run(_session(mygene, Parrot("/v3/gene/0", "/v3/gene/1", KeyboardInterrupt())), file, out)
    assert not out.exists()
    with open(tmp_path / "out.jsonl.part", "a") as part:
        part.write('{"row": 2, "pa')  # torn by the crash
    engine = Parrot("/v3/gene/2", "/v3/gene/3")
    batch.run(_session(mygene, engine), file, out)
    assert len(engine.asked) == 2
    assert [json.loads(line)["path"] for line in out.read_text().splitlines()] == [f"/v3/gene/{i}" for i in range(4)]


def test_one_sentence_fails_alone_but_a_dead_engine_ends_the_run(mygene: API, tmp_path: Path) -> None:
    file, out = _rows(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    batch.run(_session(mygene, Parrot(MaskError("lost"), "/v3/gene/1", "/v3/gene/2")), file, out)
    assert [json.loads(line)["reason"] for line in out.read_text().splitlines()] == ["lost", None, None]
    with pytest.raises(EngineError, match="gone"):
        batch.run(_session(mygene, Parrot(EngineError("gone"))), file, tmp_path / "second.jsonl")


def test_a_row_without_an_instruction_is_named(mygene: API, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"instruction": "a"}\n{"text": "b"}\n')
    with pytest.raises(QuerywrightError, match="row 2"):
        batch.run(_session(mygene, Parrot("/v3/metadata")), tmp_path / "in.jsonl", tmp_path / "out.jsonl")


# --- refusals and turns --------------------------------------------------------------------------------------------
def test_nil_is_a_refusal_and_no_call(mygene: API) -> None:
    got = answer(mygene, "what's for dinner?", Parrot("nil topic\n"))
    assert (got.ok, got.refused, got.path) == (False, "topic", "nil topic")
    assert "knows nothing about" in str(got.reason)
    assert answer(mygene, "hi", Parrot("nil")).refused == "topic"
    for text in ("nil whim", "nil topic topic", "nilpotent", "/v3/query?q=nil"):
        assert answer(mygene, "hi", Parrot(text), decoding="free").refused is None
    assert answer(mygene, "hi", Parrot("nil to", finish="length")).refused is None


def test_who_may_refuse(mygene: API) -> None:
    def grammar(strategy: str = "tuned", **options: Any) -> str:
        engine = Parrot("/v3/metadata")
        answer(mygene, "CDK2", engine, strategy, **options)
        return str(engine.asked[0][1].text)  # type: ignore[union-attr]

    assert "REFUSAL" in grammar()
    assert "REFUSAL" not in grammar(refuse=False)
    assert "REFUSAL" not in grammar("zero_shot")  # its prompt does not speak of refusals
    assert "REFUSAL" in grammar("zero_shot", refuse=True)
    assert 'root ::= call | "nil " ("chat" | "missing" | "topic" | "unsupported")' in grammar(decoding="gbnf")
    assert "nil" not in grammar(decoding="gbnf", refuse=False)
    # the API's own language stays calls only
    assert "REFUSAL" not in grammar_for(mygene, "grammar").text  # type: ignore[union-attr]


def test_turns_stand_before_the_sentence_and_offer_their_values(mygene: API) -> None:
    engine = Parrot("/v3/query?q=symbol:CDK2&species=mouse")
    turns = [
        {"role": "user", "content": "genes with symbol CDK2 in the rat"},
        {"role": "assistant", "content": "/v3/query?q=symbol:CDK2 AND chr7:1000-2000&species=rat"},
    ]
    assert answer(mygene, "only in mice", engine, turns=turns).ok
    messages, grammar = engine.asked[0]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user"]
    assert messages[1:3] == turns
    assert messages[-1]["content"] == "only in mice"
    text = str(grammar.text)  # type: ignore[union-attr]
    assert "CDK2" in text
    assert "1000" in text
    for name in ("mouse", "rat"):
        assert any(name in line for line in text.splitlines() if line.startswith("P_SPECIES"))
    alone = grammar_for(mygene, "grounded", "only in mice")
    assert "CDK2" not in alone.text  # type: ignore[union-attr]


def test_what_a_conversation_offers(mygene: API) -> None:
    earthquakes = load("earthquakes")
    said = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "nil chat"}]
    assert heard(mygene, "now", said) == "now ; first"
    assert heard(mygene, "now", []) == "now"
    call = "/v3/query?q=name:CDK* AND taxid:[9606 TO *]&species=human&size=7&fields=symbol"
    offered = heard(mygene, "now", [{"role": "assistant", "content": call}]).split(" ; ")
    assert offered[0] == "now"
    assert {"CDK", "9606", "human", "7"} <= set(offered)
    assert "symbol" not in offered
    typed = "/fdsnws/event/1/query?starttime=2020-01-01&minmagnitude=5.5&orderby=magnitude"
    offered = heard(earthquakes, "just ten", [{"role": "assistant", "content": typed}]).split(" ; ")
    assert {"2020-01-01", "5.5", "magnitude"} <= set(offered)


def test_a_file_with_turns_and_refusals(mygene: API, tmp_path: Path) -> None:
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    turns = [{"role": "user", "content": "CDK2"}, {"role": "assistant", "content": "/v3/query?q=CDK2"}]
    rows = [{"instruction": "in mice", "turns": turns}, {"instruction": "hello"}]
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    engine = Parrot("/v3/query?q=CDK2&species=mouse", "nil chat")
    said = batch.run(_session(mygene, engine), file, out)
    assert "1 of them calls, 1 refusals" in said
    got = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["refused"] for r in got] == [None, "chat"]
    assert [len(messages) for messages, _ in engine.asked] == [4, 2]
    file.write_text(json.dumps({"instruction": "in mice", "turns": ["CDK2"]}) + "\n")
    with pytest.raises(QuerywrightError, match=r"row 1: `turns` are no chat messages"):
        batch.run(_session(mygene, engine), file, out)


@pytest.mark.parametrize("name", shipped())
def test_the_mask_takes_calls_and_refusals(name: str) -> None:
    lib = pytest.importorskip("llguidance")
    from querywright.engines.mask import Compiler, matches

    compiler, api = Compiler(lib.LLTokenizer("byte")), load(name)
    for sentence in (None, "seven things of 2020"):
        plain, wide = (grammar_for(api, "grammar", sentence, refuse=refuse) for refuse in (False, True))
        assert plain is not None
        assert wide is not None
        for code in REASONS:
            assert matches(compiler, wide, list(f"nil {code}".encode()))
            assert not matches(compiler, plain, list(f"nil {code}".encode()))
        for text in ("nil", "nil ", "nil chats", "nil whim", ""):
            assert not matches(compiler, wide, list(text.encode()))
        call = next(e.path for e in api.endpoints.values() if "{" not in e.path)
        call += "?q=*" if api.query_language == "lucene" and "query" in call else ""
        assert matches(compiler, plain, list(call.encode())) == matches(compiler, wide, list(call.encode()))
