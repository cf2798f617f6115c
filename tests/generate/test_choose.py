"""One answer out of several, with an engine that writes what it is told: meaning, weights, certainty."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from querywright.api.call import Call, parse
from querywright.api.definition import API
from querywright.artefacts import MANIFEST
from querywright.engines.base import Completion, Grammar, Message
from querywright.errors import QuerywrightError
from querywright.generate.choose import Aids, choose
from querywright.generate.confidence import SIGNS, Fit, agreement, calibration_of, confidence, read_calibration, word

Q = "/v3/query?q="


class Told:
    """Writes `first` when asked for the likeliest text and `samples` in turn; knows how likely each text is."""

    def __init__(self, first: str, samples: Sequence[str] = (), chances: dict[str, float] | None = None) -> None:
        self.first, self.samples, self.chances = first, [*samples], chances or {}
        self.drawn, self.weighed = 0, [""][:0]

    def _done(self, text: str) -> Completion:
        known = math.log(self.chances[text]) if text in self.chances else None
        return Completion(text, 5, 10, 2.0, "stop", known, known, known)

    def generate(
        self, messages: Sequence[Message], *, grammar: Grammar | None = None, max_tokens: int = 256,
        temperature: float = 0.0, seed: int = 0, n: int = 1,
    ) -> list[Completion]:  # fmt: skip
        if temperature == 0:
            return [self._done(self.first)] * n
        self.drawn += n
        return [self._done(self.samples[i % len(self.samples)]) for i in range(n)]

    def score(
        self, messages: Sequence[Message], texts: Sequence[str], *, grammar: Grammar | None = None
    ) -> list[Completion]:
        self.weighed += texts
        return [self._done(text) for text in texts]

    def describe(self) -> dict[str, Any]:
        return {"engine": "told"}

    def close(self) -> None: ...


class Found:
    """Only what is searched for by symbol finds anything."""

    def run(self, call: Call) -> Any:
        from querywright.api.executors import Hits

        if "bad" in call.text:
            raise QuerywrightError("refused")
        return Hits(int("symbol" in call.text), (), [])


def reads(*paths: str, sure: bool = True) -> Any:
    return lambda api, sentence, turns: ([parse(api, path) for path in paths], sure)


def test_most_mean_it(mygene: API) -> None:
    engine = Told(Q + "cdk3", [Q + "symbol:CDK2", Q + "symbol:cdk2", "free text"], {Q + "symbol:cdk2": 0.3})
    got = choose(mygene, "CDK2", engine, n=4)
    assert (got.path, got.votes, got.ok) == (Q + "symbol:cdk2", 2, True)
    assert (got.tokens, got.ms) == (40, 8.0), "what was spent is spent on all of them"
    assert got.confidence == 0.5
    assert not got.calibrated
    assert [c["votes"] for c in got.candidates] == [1, 2, 1]
    alone = choose(mygene, "CDK2", Told("free text"), n=1)
    assert (alone.ok, alone.path, alone.confidence) == (False, "free text", 0.0)


def test_refusals_vote_together(mygene: API) -> None:
    engine = Told(Q + "CDK2", ["nil chat", "nil topic"])
    assert choose(mygene, "CDK2", engine, n=3).refused
    engine = Told(Q + "CDK2", ["nil chat", "nil topic", Q + "cdk2", Q + "CDK2"])
    assert choose(mygene, "CDK2", engine, n=5).path == Q + "CDK2"


def test_the_reader_and_the_records_have_a_say(mygene: API) -> None:
    engine = Told(Q + "name:CDK2", [Q + "CDK2"])
    assert choose(mygene, "CDK2", engine, n=2, aids=Aids(reads(Q + "CDK2"))).path == Q + "CDK2"
    read = choose(mygene, "CDK2", engine, n=2, aids=Aids(reads(Q + "symbol:CDK2"), Found()))
    assert read.path == Q + "symbol:CDK2"
    assert read.hits == 1
    assert engine.weighed == [Q + "symbol:CDK2"], "what the model wrote itself is not weighed again"
    assert read.candidates[-1]["sources"] == ["reader"]
    assert read.votes == 0


def test_one_pass_is_one_pass(mygene: API) -> None:
    engine = Told(Q + "CDK2", chances={Q + "CDK2": 0.25})
    got = choose(mygene, "CDK2", engine, aids=Aids(reads(Q + "symbol:CDK2")))
    assert (got.path, engine.drawn, engine.weighed, got.candidates) == (Q + "CDK2", 0, [], [])
    assert got.confidence == pytest.approx(0.25)
    assert got.signs["differs"] == got.signs["surely_differs"] == 1


def test_half_a_character_is_no_crash(mygene: API) -> None:
    """As an argument arrives from a terminal in Latin-1, or an escape in JSON."""
    asked: list[str] = []

    def hears(api: API, sentence: str, turns: Any) -> Any:
        asked.append(sentence)
        return [], False

    assert choose(mygene, "caf\udce9 CDK2", Told(Q + "symbol:CDK2"), aids=Aids(hears)).ok
    assert asked == ["caf? CDK2"]


def test_a_calibration_chooses_abstains_and_saves_samples(mygene: API) -> None:
    fits = {"one": Fit(-2, {"agrees": 6}), "several": Fit(-3, {"surely_agrees": 5, "share": 1})}
    engine = Told(Q + "CDK2", [Q + "CDK2"])
    sure = choose(mygene, "CDK2", engine, n=3, aids=Aids(reads(Q + "CDK2"), calibration=fits))  # type: ignore[arg-type]
    assert (engine.drawn, sure.calibrated, sure.abstained) == (0, True, False)
    assert sure.confidence == pytest.approx(1 / (1 + math.exp(-4)))
    other = Aids(reads(Q + "symbol:CDK2"), calibration=fits, least=0.9)  # type: ignore[arg-type]
    read = choose(mygene, "CDK2", engine, n=3, aids=other)
    assert (read.path, engine.drawn, read.abstained) == (Q + "symbol:CDK2", 2, True)
    assert read.confidence == pytest.approx(1 / (1 + math.exp(-2)))
    assert word(read.confidence) == "fairly sure"


def test_what_the_reader_says_of_an_answer(mygene: API) -> None:
    one, two = parse(mygene, Q + "CDK2"), parse(mygene, Q + "symbol:CDK2")
    assert agreement(one, False, ([one, two], True)) == {"agrees": 1, "surely_agrees": 1}
    assert agreement(two, False, ([one, two], False)) == {"among": 1, "surely_differs": 0}
    assert agreement(two, False, ([one], True)) == {"differs": 1, "surely_differs": 1}
    assert agreement(two, False, ([], False)) == agreement(two, False, None) == {}
    assert agreement(None, True, ([], False)) == {"refused": 1, "agrees": 1}
    assert agreement(None, True, ([one], True)) == {"refused": 1, "differs": 1, "surely_differs": 1}


def test_without_a_calibration_it_is_an_order() -> None:
    assert confidence({"grammar": math.log(0.5)}, "one", {}) == pytest.approx(0.5)
    assert confidence({"grammar": -20.0, "unknown": 1.0}, "one", {}) is None
    assert Fit(0, {"no_hits": 2.0}, {"no_hits": 0.5}).chance({}) == pytest.approx(1 / (1 + math.exp(-1)))
    assert Fit(-1e6, {}).chance({}) == 0


def test_a_calibration_belongs_to_its_model(mygene: API, tmp_path: Path) -> None:
    model, file = tmp_path / "model.gguf", tmp_path / "calibration.json"
    assert calibration_of(mygene, model) == calibration_of(mygene, "http://127.0.0.1:1/v1") == {}
    whole = {"version": 1, "fits": {"one": {"bias": 1, "weights": {"agrees": 2}, "threshold": 0.8}}}
    file.write_text(json.dumps(whole))
    assert calibration_of(mygene, model)["one"].threshold == 0.8
    (tmp_path / MANIFEST).write_text(json.dumps({"config": {"adapter_sha256": "new"}}))
    assert calibration_of(mygene, model) == {}, "fitted for the model that was here before"
    file.write_text(json.dumps({**whole, "adapter": "new"}))
    assert set(calibration_of(mygene, model)) == {"one"}


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"version": 2, "fits": {}}', '{"version": 1}', '{"version": 1, "fits": {"one": {"bias": 0}}}',
     '{"version": 1, "fits": {"two": {"bias": 0, "weights": {}}}}',
     '{"version": 1, "fits": {"one": {"bias": 0, "weights": {"magic": 1}}}}',
     '{"version": 1, "fits": {"one": {"bias": NaN, "weights": {"agrees": 1}}}}'],
)  # fmt: skip
def test_a_broken_calibration_is_a_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(QuerywrightError, match="is no calibration"):
        read_calibration(tmp_path / "calibration.json")


def test_every_sign_is_told(mygene: API) -> None:
    engine = Told(Q + "CDK2", [Q + "name:bad"], {Q + "CDK2": 0.5, Q + "name:bad": 0.1})
    got = choose(mygene, "CDK2", engine, n=2, aids=Aids(reads(Q + "CDK2", "/v3/metadata"), Found()))
    assert {name for c in got.candidates for name in c["signs"]} <= set(SIGNS)
    assert json.loads(json.dumps(got.as_dict())) == got.as_dict()
