"""Answers judged by running them: what beats what, on three invented records and through the real command."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from querywright.api.call import Call
from querywright.api.definition import API, load
from querywright.api.executors import Hits
from querywright.api.hits import run_cached
from querywright.artefacts import read_jsonl, write_jsonl
from querywright.cli import cli
from querywright.errors import QuerywrightError
from querywright.finetune.preferences import read_preferences
from querywright.preferences import execute, levels, rated
from querywright.preferences.execute import Options
from querywright.preferences.levels import HITS, INVALID, MEANING, OTHER, VALID
from querywright.preferences.prompts import prompt_hash

Q = "/v3/query?q="
WANTED = Q + "symbol:CDK2&species=human"
RECORDS = [
    {"_id": "1017", "entrezgene": "1017", "taxid": 9606, "symbol": "CDK2", "name": "cyclin dependent kinase 2"},
    {"_id": "12566", "entrezgene": "12566", "taxid": 10090, "symbol": "Cdk2", "name": "cyclin dependent kinase 2"},
    {"_id": "3630", "entrezgene": "3630", "taxid": 9606, "symbol": "INS", "name": "insulin"},
]


class Executor:
    """Finds by the printed canonical form; refuses what it does not know."""

    def __init__(self) -> None:
        self.runs = 0
        self.gone = False
        self.last: int | None = None
        self.found = {
            WANTED.lower(): Hits(1, ("1017",), []),
            "/v3/query?q=entrezgene:1017": Hits(1, ("1017",), []),
            "/v3/query?q=symbol:cdk2": Hits(2, ("1017", "12566"), []),
            "/v3/query?q=symbol:ins": Hits(1, ("3630",), []),
            "/v3/query?q=symbol:none": Hits(0, (), []),
            "/v3/query?q=symbol:nothing": Hits(0, (), []),
            "/v3/gene/1017": Hits(1, ("1017",), []),
            "/v3/metadata": Hits(1, ("1017",), []),
            WANTED.lower() + "&size=0": Hits(1, (), []),
            "/v3/query?q=entrezgene:1017&size=0": Hits(1, (), []),
            "/v3/query?q=symbol:ins&size=0": Hits(1, (), []),
        }

    def run(self, call: Call) -> Hits:
        self.runs += 1
        if self.gone or (self.last is not None and self.runs > self.last):
            raise QuerywrightError("nobody answers", retryable=True)
        if call.canonical.lower() not in self.found:
            raise QuerywrightError(f"400 {call.canonical}")
        return self.found[call.canonical.lower()]


def level(api: API, path: str, text: str, *, runs: bool = True, **more: Any) -> levels.Judgement:
    run = run_cached(Executor(), patient=False) if runs else None
    return levels.judge(api, levels.expected_of(api, {"path": path}), {"response": text, **more}, run)


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (WANTED, WANTED, MEANING),
        (WANTED, " /v3/query?species=9606&q=symbol:cdk2\n", MEANING),
        (WANTED, Q + "entrezgene:1017", HITS),
        (WANTED, "/v3/gene/1017", HITS),
        (WANTED, Q + "symbol:CDK2", OTHER),
        (WANTED, Q + "symbol:INS", OTHER),
        (WANTED, "/v3/metadata", OTHER),
        (WANTED, Q + "symbol:UNKNOWN", INVALID),
        (WANTED, Q + "no_such_field:CDK2", INVALID),
        (WANTED, "I am sorry, I can't.", INVALID),
        (WANTED, "", INVALID),
        (WANTED, "nil topic", OTHER),
        (WANTED + "&size=0", Q + "entrezgene:1017&size=0", HITS),
        (WANTED + "&size=0", Q + "symbol:INS&size=0", OTHER),
        (WANTED, Q + "symbol:INS&size=0", OTHER),
        (Q + "symbol:none", Q + "symbol:nothing", OTHER),
        ("nil chat", "nil topic", MEANING),
        ("nil chat", WANTED, OTHER),
        ("nil chat", "hello", INVALID),
        ("", WANTED, VALID),
        ("", Q + "symbol:UNKNOWN", INVALID),
        ("", "nil chat", VALID),
        ("", "hello", INVALID),
    ],
)
def test_levels(mygene: API, path: str, text: str, expected: str) -> None:
    assert level(mygene, path, text).level == expected


def test_an_api_of_parameters_is_compared_by_what_it_finds() -> None:
    quakes = load("earthquakes")
    path = "/fdsnws/event/1/{}?minmagnitude={}"
    strong, stronger, count, counted = (
        path.format(*parts) for parts in (("query", 6), ("query", 6.1), ("count", 6), ("count", 6.1))
    )

    class Quakes:
        def run(self, call: Call) -> Hits:
            return Hits(2, () if call.endpoint == "count" else ("us1", "us2"), [])

    run = run_cached(Quakes())
    for wanted, given, expected in (
        (strong, strong + ".0", MEANING),
        (strong, stronger, HITS),
        (count, counted, OTHER),
    ):
        judged = levels.judge(quakes, levels.expected_of(quakes, {"path": wanted}), {"response": given}, run)
        assert judged.level == expected, judged


def test_what_was_cut_off_is_no_call_and_a_failed_engine_says_nothing(mygene: API) -> None:
    assert level(mygene, WANTED, WANTED, finish="length").level == INVALID
    assert level(mygene, WANTED, "", finish="error").rating is None
    assert level(mygene, WANTED, Q + "entrezgene:1017", runs=False).level == OTHER, "not run, hits can't be the same"


def test_the_order_of_the_levels() -> None:
    ratings = [levels.RATINGS[name] for name in (INVALID, OTHER, VALID, HITS, MEANING)]
    assert ratings == sorted(set(ratings))
    assert (ratings[0], ratings[-1]) == (rated.LOW, rated.HIGH)


@pytest.mark.parametrize(
    ("path", "refusal", "call"), [("nil chat", "", None), ("", "chat", None), ("", "nil chat", None)]
)
def test_a_refusal_may_be_expected_as_text_or_as_code(mygene: API, path: str, refusal: str, call: None) -> None:
    expected = levels.expected_of(mygene, {"path": path, "refusal": refusal})
    assert (expected.text, expected.call) == ("nil chat", call)


def test_shorter_wins_only_within_a_level_and_only_where_it_is_asked_for(mygene: API) -> None:
    short, long = Q + "symbol:cdk2&species=human", Q + 'symbol:"cdk2"&species=human&size=10'
    row = {"prompt_hash": "a", "text": "x", "path": long, "responses": [
        {"model": "m", "response": short}, {"model": "n", "response": Q + "symbol:INS"},
        {"model": "o", "response": Q + "symbol:CDK2"},
    ]}  # fmt: skip
    run = run_cached(Executor())

    def orders(shorter: str) -> dict[str, tuple[float, float]]:
        options = Options(Path(), Path(), shorter=shorter)
        found = execute.judge_row(mygene, row, run, options)["responses"]
        return {r["model"]: rated.order(r) for r in found}

    right, anywhere, off = orders("right"), orders("any"), orders("off")
    assert right["m"] > right["reference"] > right["n"] == right["o"]
    assert anywhere["m"] > anywhere["reference"] > anywhere["n"] > anywhere["o"], "INS is shorter by a character"
    assert off["m"] == off["reference"] > off["n"] == off["o"]
    with pytest.raises(QuerywrightError, match=r"--shorter 'rigth'; did you mean 'right'"):
        levels.tie(levels.Judgement(MEANING), short, "rigth")


def test_garbage_is_judged_not_raised(mygene: API) -> None:
    rng = random.Random(8)
    run = run_cached(Executor())
    expected = levels.expected_of(mygene, {"path": WANTED})
    alphabet = '/v3query?=symbol:&()[]{}"\\%+~^*<>!|\x00\ud800é\u202e \n0123456789AND NOT TO'
    texts = ["".join(rng.choices(alphabet, k=rng.randrange(80))) for _ in range(300)]
    texts += [Q + "".join(rng.choices(alphabet, k=rng.randrange(80))) for _ in range(300)]
    texts += [WANTED[:n] for n in range(len(WANTED))] + [Q + "(" * 5000, Q + "a OR " * 4000 + "a", "%" * 20_000]
    for text in texts:
        found = levels.judge(mygene, expected, {"response": text}, run)
        assert found.level in levels.RATINGS
        assert found.why


def write_answers(folder: Path, **models: list[str]) -> Path:
    """What `respond` writes: three prompts, answered by each model."""
    prompts = [
        {"text": "CDK2 in humans", "path": WANTED, "id": "1"},
        {"text": "and insulin?",
         "turns": [{"role": "user", "content": "CDK2"}, {"role": "assistant", "content": WANTED}],
         "path": Q + "symbol:INS", "id": "2"},
        {"text": "hello", "path": "", "refusal": "chat", "id": "3"},
    ]  # fmt: skip
    prompts = [{"prompt_hash": prompt_hash(p), **p} for p in prompts]
    write_jsonl(folder / "prompts" / "00000.jsonl", prompts)
    for model, texts in models.items():
        rows = [
            {**p, "model": model, "sample": 0, "response": t, "finish": "stop"}
            for p, t in zip(prompts, texts, strict=True)
        ]
        write_jsonl(folder / "responses" / model / "00000.jsonl", rows)
    return folder


BEST = [WANTED, Q + "symbol:ins", "nil chat"]
WORSE = [Q + "entrezgene:1017", Q + "symbol:CDK2", WANTED]
WORST = ["no", "no", "no"]


def test_answers_that_are_not_all_there_are_judged_and_that_is_said(
    mygene: API, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_answers(tmp_path / "in", a=BEST, b=WORSE)
    execute.execute(mygene, Options(source, tmp_path / "out"), Executor(), "three records")
    assert "only what is there is judged" in capsys.readouterr().err
    (source / "manifest.json").write_text("{}")
    execute.execute(mygene, Options(source, tmp_path / "out"), Executor(), "three records")
    assert "only what is there" not in capsys.readouterr().err


def test_answers_become_preference_rows(mygene: API, tmp_path: Path) -> None:
    source = write_answers(tmp_path / "in", a=BEST, b=WORSE, c=WORST)
    report = execute.execute(mygene, Options(source, tmp_path / "out"), Executor(), "three records")
    rows = read_jsonl(tmp_path / "out" / "preferences.jsonl")
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert [row["chosen"][0]["content"] for row in rows] == [WANTED, Q + "symbol:ins", "nil chat"]
    assert {row["rejected_model"] for row in rows} <= {"b", "c"}
    assert [m["content"] for m in rows[1]["prompt"]] == ["CDK2", WANTED, "and insulin?"]
    assert len(read_preferences(tmp_path / "out" / "preferences.jsonl")) == 3
    assert report["levels"]["b"] == {HITS: 1, OTHER: 2}
    assert report["levels"]["reference"] == {MEANING: 3}
    assert report["best_of_models"] == {MEANING: 3}


def test_the_same_from_what_mix_writes(mygene: API, tmp_path: Path) -> None:
    source = write_answers(tmp_path / "in", a=BEST, b=WORSE)
    write_jsonl(tmp_path / "mixed" / "full" / "00000.jsonl", execute.answers(source))
    for place in (source, tmp_path / "mixed"):
        execute.execute(mygene, Options(place, tmp_path / f"out-{place.name}"), Executor())
    one, other = (
        (tmp_path / f"out-{name}" / "preferences.jsonl").read_bytes() for name in ("in", "mixed")
    )  # fmt: skip
    assert one == other


def test_without_the_reference_only_models_are_chosen(mygene: API, tmp_path: Path) -> None:
    source = write_answers(tmp_path / "in", b=WORSE, c=WORST)
    report = execute.execute(mygene, Options(source, tmp_path / "out", reference=False), Executor())
    assert report["preferences"]["chosen"] == {"b": 3}
    report = execute.execute(mygene, Options(source, tmp_path / "out", rejected="all"), Executor())
    assert report["preferences"]["chosen"] == {"reference": 6}, "each of the two worse ones is rejected"
    assert report["preferences"]["pairs"] == {
        "meaning over invalid": 3,
        "meaning over other": 2,
        "meaning over hits": 1,
    }


def test_again_is_nothing_to_do_and_other_answers_are_judged_anew(mygene: API, tmp_path: Path) -> None:
    source, executor = write_answers(tmp_path / "in", a=BEST, c=WORST), Executor()
    first = execute.execute(mygene, Options(source, tmp_path / "out"), executor)
    runs = executor.runs
    assert execute.execute(mygene, Options(source, tmp_path / "out"), executor) == first
    assert executor.runs == runs
    write_answers(source, a=WORSE, c=WORST)
    assert execute.execute(mygene, Options(source, tmp_path / "out"), executor) != first


def test_a_service_that_is_gone_is_no_judgement(mygene: API, tmp_path: Path) -> None:
    source, executor = write_answers(tmp_path / "in", a=WORSE), Executor()
    executor.gone = True
    with pytest.raises(QuerywrightError, match="nobody answers"):
        execute.execute(mygene, Options(source, tmp_path / "out"), executor)
    assert not (tmp_path / "out" / "manifest.json").exists()
    executor.gone = False
    assert execute.execute(mygene, Options(source, tmp_path / "out"), executor)["prompts"] == 3


def test_over_a_network_no_call_is_run_twice(mygene: API, tmp_path: Path) -> None:
    source, stopped = write_answers(tmp_path / "in", a=WORSE, b=BEST), Executor()
    options = Options(source, tmp_path / "out", remember=True)
    stopped.last = 2
    with pytest.raises(QuerywrightError, match="nobody answers"):
        execute.execute(mygene, options, stopped, "a service")
    executor = Executor()
    found = execute.execute(mygene, options, executor, "a service")
    assert executor.runs == 2, "of four calls two had been run"
    assert found == execute.execute(mygene, Options(source, tmp_path / "once"), Executor(), "a service")
    execute.execute(mygene, options, executor, "another service")
    assert executor.runs == 2 + 4


def test_a_prompt_whose_own_call_is_none_is_counted(mygene: API, tmp_path: Path) -> None:
    responses = [{"model": "a", "sample": 0, "response": WANTED}]
    row = {"text": "x", "prompt_hash": "h", "path": Q + "nope:1", "responses": responses}
    write_jsonl(tmp_path / "in" / "full" / "00000.jsonl", [row])
    report = execute.execute(mygene, Options(tmp_path / "in", tmp_path / "out"), Executor())
    assert report["no_call_expected"] == 1
    assert report["examples"][0].startswith("h: its path is no call to mygene")
    assert report["preferences"]["left_out"] == {"unrated": 1}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"prompt_hash": None}, "no prompt_hash or no text"),
        ({"text": 5}, "no prompt_hash or no text"),
        ({"turns": [{"role": "user"}]}, "`turns` are no chat messages"),
        ({"responses": "many"}, "its responses are no list"),
        ({"responses": [{"response": "x"}]}, "a response has no model"),
        ({"responses": [{"model": "a"}]}, "the response of a has no text"),
        ({"responses": [{"model": "a", "response": "x", "sample": "s"}]}, "the sample of a is no number"),
        ({"responses": [{"model": "a", "response": "x", "ratings": {"honesty": 9}}]}, "a rating of a is no number"),
    ],
)
def test_damaged_rows_are_named(mygene: API, tmp_path: Path, damage: dict[str, Any], said: str) -> None:
    good = {"text": "x", "prompt_hash": "h", "responses": [{"model": "a", "sample": 0, "response": "y"}]}
    write_jsonl(tmp_path / "full" / "00000.jsonl", [good, {**good, **damage}])
    with pytest.raises(QuerywrightError, match=rf"00000.jsonl:2: .*{said}"):
        execute.execute(mygene, Options(tmp_path, tmp_path / "out"), Executor())
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_ratings_of_another_judge_stay(mygene: API, tmp_path: Path) -> None:
    response = {"model": "a", "sample": 0, "response": WANTED, "ratings": {"helpfulness": 2.0}}
    row = {"text": "x", "prompt_hash": "h", "path": WANTED, "responses": [response]}
    write_jsonl(tmp_path / "in" / "rated" / "00000.jsonl", [row])
    execute.execute(mygene, Options(tmp_path / "in", tmp_path / "out"), Executor())
    (judged,) = rated.read_rated(tmp_path / "out")
    assert judged["responses"][0]["ratings"] == {"helpfulness": 2.0, "execution": 5.0}
    assert judged["responses"][0]["rating"] == 3.5


@pytest.mark.parametrize("words", [{"rejected": "al"}, {"shorter": "of"}, {"margin": -1.0}])
def test_a_misspelt_option_is_said_before_anything_is_run(mygene: API, tmp_path: Path, words: dict[str, Any]) -> None:
    source, executor = write_answers(tmp_path / "in", b=WORSE), Executor()
    with pytest.raises(QuerywrightError, match=f"--{next(iter(words))}"):
        execute.execute(mygene, Options(source, tmp_path / "out", **words), executor)
    assert executor.runs == 0


def test_a_folder_without_answers_says_what_writes_them(mygene: API, tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no answers in") as error:
        execute.execute(mygene, Options(tmp_path, tmp_path / "out"), Executor())
    assert "preferences respond" in error.value.hint


def test_ratings_of_two_judges_are_put_together_by_answer() -> None:
    answer = {"model": "a", "sample": 0, "response": "x"}
    mine = {"prompt_hash": "h", "text": "t", "responses": [{**rated.rated(answer, {"execution": 5.0}), "tie": -1.0}]}
    theirs = {"prompt_hash": "h", "text": "t", "responses": [
        rated.rated(answer, {"honesty": 2.0, "helpfulness": None}),
        rated.rated({**answer, "response": "another text"}, {"honesty": 1.0}),
    ]}  # fmt: skip
    alone = {"prompt_hash": "i", "text": "t", "responses": []}
    one, other = rated.together([theirs], [mine, alone])
    assert other == alone
    assert one["responses"][0]["ratings"] == {"honesty": 2.0, "helpfulness": None, "execution": 5.0}
    assert one["responses"][0]["rating"] == 3.5
    assert one["responses"][0]["tie"] == -1.0
    assert one["responses"][1]["rating"] == 1.0, "the same model's other text is another answer"


def test_rated_rows_are_read_back_and_old_shards_go(tmp_path: Path) -> None:
    response = rated.rated({"model": "a", "sample": 0, "response": "x"}, {"execution": 1.0})
    rows = [{"prompt_hash": str(n), "text": "t", "responses": [response]} for n in range(5)]
    assert rated.write_rated(tmp_path, rows, per_shard=2) == [f"rated/0000{n}.jsonl" for n in range(3)]
    assert list(rated.read_rated(tmp_path)) == rows
    rated.write_rated(tmp_path, rows[:2], per_shard=2)
    assert list(rated.read_rated(tmp_path)) == rows[:2]


@pytest.mark.parametrize(
    "damage",
    [{"ratings": [1]}, {"ratings": {"x": 9}}, {"rating": True}, {"model": 3}, {"tie": "short"}, {"sample": "first"}],
)
def test_rows_that_are_not_rated_are_named(tmp_path: Path, damage: dict[str, Any]) -> None:
    response = rated.rated({"model": "a", "sample": 0, "response": "x"}, {"execution": 1.0})
    write_jsonl(tmp_path / "r.jsonl", [{"prompt_hash": "h", "text": "t", "responses": [{**response, **damage}]}])
    with pytest.raises(QuerywrightError, match=r"r\.jsonl, row 1: "):
        list(rated.read_rated(tmp_path / "r.jsonl"))


def test_the_command_runs_the_calls_on_records(mygene: API, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tantivy")
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "records.jsonl", RECORDS)
    write_answers(tmp_path / "in", a=BEST, b=WORSE, c=WORST)
    words = ["preferences", "execute", "--api", "mygene", "--input", "in", "--output", "out"]
    done = CliRunner().invoke(cli, [*words, "--records", "records.jsonl"])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["levels"]["a"] == {MEANING: 3}
    assert report["levels"]["b"] == {HITS: 1, OTHER: 2}
    (prompt, *_) = (row.prompt for row in read_preferences(tmp_path / "out" / "preferences.jsonl"))

    from querywright.generate.answer import prepare

    assert prompt == prepare(mygene, "CDK2 in humans", "tuned", "free")[0], (
        "the prompt of use is the prompt of training"
    )
    gone = CliRunner().invoke(cli, [*words, "--input", "gone", "--records", "none.jsonl"])
    assert "no answers in gone" in str(gone.exception), "said before records are opened"
    both = CliRunner().invoke(cli, [*words, "--records", "records.jsonl", "--http"])
    assert isinstance(both.exception, QuerywrightError)
