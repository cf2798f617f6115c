"""Scores of short answers as SQuAD's script gives them; intervals and tests that draw whole clusters; rows; config."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from querywright import squad
from querywright.artefacts import repo_dir
from querywright.engines.prices import Price
from querywright.errors import QuerywrightError
from querywright.evaluate.questions_ask import said
from querywright.evaluate.questions_config import check, load
from querywright.evaluate.questions_rows import Question, clusters, questions, read_rows
from querywright.evaluate.questions_run import _astray
from querywright.evaluate.questions_score import add_text_scores, summary
from querywright.questions.chunks import Chunk
from querywright.statistics import clustered_interval, clustered_paired, interval, paired


@pytest.mark.parametrize(
    ("expected", "given", "exact", "f1"),
    [  # as the evaluation script of SQuAD 1.1 scores them
        ("Denver Broncos", "The Denver Broncos.", 1, 1),
        ("Denver Broncos", "Broncos", 0, 2 / 3),
        ("four millimetres", "It had sunk by four millimetres", 0, 0.5),
        ("the", "cat", 0, 0),
        ("1,000", "1000", 1, 1),
        ("to be or not to be", "to be", 0, 0.5),
        ("an apple", "another apple", 0, 2 / 3),
        ("Straße", "STRASSE", 0, 0),
        ("x", "y", 0, 0),
        ("COVID-19", "covid19", 1, 1),
        ("in 12,500 B.C.", "In 12500 BC", 1, 1),
        ("a five-year plan", "the fiveyear plan!", 1, 1),
    ],
)
def test_squad(expected: str, given: str, exact: float, f1: float) -> None:
    assert squad.exact(expected, given) == exact
    assert squad.f1(expected, given) == pytest.approx(f1)
    assert squad.contains(expected, f"I say: {given}, yes") >= exact * bool(squad.normalised(expected))
    assert squad.f1(given, expected) == pytest.approx(f1), "it is the same both ways"


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ("-5", "5"), ("-.5", "5"), (".5", "5"), ("1.5", "15"), ("10:30", "1030"), ("2,5", "25"), ("10^6", "106"),
        ("1/2", "12"), ("3-5", "35"), ("p < 0.05", "p > 0.05"), ("<5", "5"), ("2019-05-01", "20190501"),
        ("C++", "C#"), ("C++", "C"), ("Na+", "Na-"), ("blood group A+", "blood group A-"), ("A-", "a"),
        ("A", "the"), ("A", "an"), ("+", "-"), ("+/-", "-/-"),
    ],
)  # fmt: skip
def test_a_sign_that_makes_another_value_counts(expected: str, wrong: str) -> None:
    """SQuAD's own rule takes each of these for the same."""
    for one, other in ((expected, wrong), (wrong, expected)):
        assert squad.exact(one, other) == squad.contains(one, f"{other}.") == 0
        assert squad.f1(one, other) < 1
        for given in (one, one.lower(), f"{one}.", f"'{one}'", f"**{one}**"):
            assert squad.exact(one, given) == squad.f1(one, given) == squad.contains(one, given) == 1


def test_signs_are_read_as_they_are_written_elsewhere() -> None:
    for one, other in (
        ("1990\u20131995", "1990-1995"), ("\u22125", "-5"), ("< 5", "<5"), ("1,234,567.5", "1234567.5"),
        ("(-5)", "-5"), ("it is 5.", "it is 5"), ("since 1990: 5", "since 1990 5"), ("C++.", "c++"), ("-> 5", "5"),
    ):  # fmt: skip
        assert squad.exact(one, other) == squad.exact(other, one) == 1, (one, other)
    assert squad.exact("A", "?!") == squad.exact("?!", "A") == 0
    assert squad.contains("A", "It is a gene.") == 0, "nearly every answer has an article"


def test_an_answer_that_says_more() -> None:
    assert squad.contains("four millimetres", "It sank by four millimetres.") == 1
    assert squad.contains("12", "in 1912") == squad.contains("the", "the cat") == squad.contains("x b", "b c") == 0


def test_several_references_and_samples() -> None:
    assert squad.best(squad.f1, ["black", "dark blue"], "blue") == pytest.approx(2 / 3)
    assert squad.nearest(["black", "dark blue"], "blue") == "dark blue"
    assert squad.nearest_to_others(["no idea", "the blue door", "a blue door"]) == 1
    assert squad.nearest_to_others(["x"]) == 0
    assert [said(text) for text in ("Answer: blue", "<think>red?</think> blue ", "blue", "")] == ["blue"] * 3 + [""]


def test_intervals_of_clusters() -> None:
    rng = random.Random(0)
    values = [float(rng.random() < 0.6) for _ in range(40)]
    assert clustered_interval(values, range(40)) == interval(values), "each its own: the plain interval"
    copied = clustered_interval([v for v in values for _ in range(5)], [i for i in range(40) for _ in range(5)])
    assert copied == pytest.approx(interval(values)), "what is said five times is known no better"
    assert clustered_interval([1.0] * 50, [0] * 50) == pytest.approx((0.2065, 1.0), abs=1e-3), (
        "one cluster is one value"
    )
    assert all(map(math.isnan, clustered_interval([], [])))


def test_the_interval_of_clusters_holds_what_it_promises() -> None:
    inside = 0
    for draw in range(120):
        rng = random.Random(draw)
        means = [rng.choice([0.05, 0.95]) for _ in range(25)]
        values = [(float(rng.random() < p), i) for i, p in enumerate(means) for _ in range(4)]
        low, high = clustered_interval([v for v, _ in values], [i for _, i in values], draw)
        inside += low <= 0.5 <= high
    assert inside >= 108, "95 % of 120 is 114; the interval of single values holds 97 of these"


def test_few_clusters_are_not_sure_of_themselves() -> None:
    low, high = clustered_interval([0.1, 0.1, 0.2, 0.2, 0.3, 0.3], [0, 0, 1, 1, 2, 2])
    assert (low < 0.05, high > 0.6) == (True, True), "three values say little"
    found = clustered_paired([0.9, 0.8, 0.7], [0.1, 0.2, 0.3], range(3))
    assert found["low"] < 0, "as the test has it: p is 0.25"


def test_two_models_are_compared_by_clusters() -> None:
    a, b, groups = [1.0] * 12, [0.0] * 12, [i // 4 for i in range(12)]
    found = clustered_paired(a, b, groups)
    assert (found["n"], found["groups"], found["only_a"], found["only_b"], found["difference"]) == (12, 3, 3, 0, 1)
    assert found["p"] == pytest.approx(0.25)
    b = [float(i % 3 == 0) for i in range(12)]
    found = clustered_paired(a, b, groups)
    assert found["difference"] == pytest.approx(sum(a) / 12 - sum(b) / 12)
    assert found["low"] <= found["difference"] <= found["high"] <= 1
    other = clustered_paired(b, a, groups)
    assert (other["difference"], other["p"]) == (pytest.approx(-found["difference"]), found["p"])
    assert clustered_paired([], [], [])["p"] == 1
    same = clustered_paired(a, a, groups)
    assert same["low"] < 0 == same["difference"] < same["high"]


@pytest.mark.parametrize("draw", range(60))
def test_an_interval_is_no_surer_than_its_test_where_few_clusters_differ(draw: int) -> None:
    rng = random.Random(draw)
    a, b, groups = [], [], []
    n, apart, up = rng.randint(2, 100), rng.randint(0, 9), rng.choice([0.5, 0.9, 1.0])
    for group in range(n):
        more = (1 if rng.random() < up else -1) * rng.choice([1, 1, 0.5, 0.1]) if group < apart else 0
        for _ in range(rng.choice([1, 1, 3])):
            a.append(max(more, 0.0) or 0.5 * (more == 0))
            b.append(max(-more, 0.0) or 0.5 * (more == 0))
            groups.append(group)
    found = clustered_paired(a, b, groups)
    assert found["only_a"] + found["only_b"] == min(n, apart)
    assert found["low"] <= 0 <= found["high"] or found["p"] <= 0.05
    other = clustered_paired(b, a, groups)
    assert [other[k] for k in ("only_b", "only_a", "p")] == [found[k] for k in ("only_a", "only_b", "p")]
    assert other["difference"] == pytest.approx(-found["difference"])
    alone = paired(a, b)
    assert alone["low"] <= 0 <= alone["high"] or alone["p"] <= 0.05 or alone["only_a"] + alone["only_b"] >= 10


def test_the_same_scores_in_another_order_are_no_win() -> None:
    rng = random.Random(0)
    a, b, groups = [], [], []
    for group in range(2000):  # of three such scores in another order one sum of twenty differs in its last digit
        scores = [rng.choice([2 / 3, 0.4, 0.8, 0.5, 2 / 7, 0.25, 1 / 3]) for _ in range(3)]
        a += scores
        b += rng.sample(scores, 3)
        groups += [group] * 3
    found = clustered_paired(a, b, groups)
    assert [found[k] for k in ("only_a", "only_b", "difference", "p")] == [0, 0, 0, 1]
    assert paired([0.1 + 0.2, 2 / 3 - 1 / 3], [0.3, 1 / 3])["only_a"] == 0
    alike = [score for _ in range(12) for score in rng.sample([0.4, 0.8, 2 / 3], 3)]
    twelve = [i // 3 for i in range(36)]
    low, high = clustered_interval(alike, twelve)
    assert high - low > 0.4, "twelve clusters with one mean are twelve values, not certainty"
    found = clustered_paired([x / 2 + 0.5 for x in alike], [x / 2 for x in alike], twelve)
    assert found["high"] - found["low"] > 0.4, "nor are twelve that differ by the same"


def row(**more: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "strategy": "rag", "samples": 1, "finish": "stop", "f1": 1.0, "exact": 1.0,
            "ms": 5.0, "tokens_in": 100, "tokens_out": 10, "answers": ["red"], "response": "red", **more}  # fmt: skip


def test_a_cell_in_numbers() -> None:
    rows = [
        row(),
        row(id="2", finish="error", ms=None, tokens_in=None, tokens_out=None, f1=0.0, exact=0.0, response=""),
    ]
    cell = summary("c", rows, {"1": "a", "2": "b"}, 0, Price(2.0, 10.0, "2026-11-01"))
    assert (cell["errors"], cell["tokens_in"], cell["tokens_out"], cell["ms"]["p95"]) == (1, 100, 10, 5)
    assert cell["cost"]["total"] == pytest.approx((100 * 2 + 10 * 10) / 1e6)
    assert cell["finish"] == {"error": 1, "stop": 1}
    assert "f1_by_hit" not in cell
    assert summary("c", rows[1:], {"2": "b"}, 0, None)["ms"] == {"p50": None, "p95": None, "steps": []}
    assert summary("c", rows, {"1": "a", "2": "b"}, 0, None)["cost"]["total"] is None


def test_meteor_is_left_out_where_it_can_not_be(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    rows = [row(), row(answers=["dark red", "green"], response="the dark red one")]
    add_text_scores(rows, {"meteor": True, "bertscore": "", "layer": None})
    assert (rows[0]["meteor"], rows[1]["meteor"] > 0.4) == (0.5, True), "one word alone is half a match"
    monkeypatch.setitem(__import__("sys").modules, "nltk", None)
    bare = [row()]
    add_text_scores(bare, {"meteor": True})
    assert "meteor" not in bare[0]
    assert "no METEOR: this needs the package 'nltk'" in capsys.readouterr().err
    with pytest.raises(QuerywrightError, match="no model in nowhere"):
        add_text_scores(bare, {"bertscore": "nowhere"})


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_rows_of_spreadsheets_are_read(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f'question{mark}answer\n"Which; of, them?"{mark}"a, b; c"\n', encoding="utf-8")
    assert read_rows(path) == [{"question": "Which; of, them?", "answer": "a, b; c"}]


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
def test_rows_of_every_form(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{kind}"
    given = {"question": "Which?", "answer": "ré, d", "evidence": "it is ré, d", "evidence_chunk": 3, "window": [3, 6]}
    text = {
        "jsonl": json.dumps(given), "json": json.dumps({"rows": [given]}),
        "csv": '\ufeffquestion,answer,evidence,evidence_chunk,window\nWhich?,"ré, d","it is ré, d",3,"[3, 6]"\n',
    }[kind]  # fmt: skip
    path.write_text(text, encoding="utf-8")
    (one,) = questions(read_rows(path))
    assert (one.answers, one.window, one.evidence_chunk, one.evidence) == (("ré, d",), (3, 6), 3, "it is ré, d")


def test_tables_are_read_as_documents_are(tmp_path: Path) -> None:
    for name, text in (("a.tsv", "question\tanswer\nHow high, in m?\t1,5\n"),
                       ("a.csv", "sep=;\nquestion;answer\nHow high, in m?;1,5\n"),
                       ("b.csv", "question;answer;unit, short\nHow high, in m?;1,5;m\n")):  # fmt: skip
        (tmp_path / name).write_text(text)
        (one,) = questions(read_rows(tmp_path / name))
        assert (one.question, one.answers) == ("How high, in m?", ("1,5",))
    (tmp_path / "c.csv").write_text("question,answer\nq,a,b\n")
    with pytest.raises(QuerywrightError, match=r"c\.csv:2: 3 cells, and the first row has 2 names"):
        read_rows(tmp_path / "c.csv")


def test_a_long_cell_is_read_whoever_set_the_limit_before(tmp_path: Path) -> None:
    csv.field_size_limit(131_072)
    (tmp_path / "rows.csv").write_text(f"question,answer,evidence\nq,a,{'x' * 200_000}\n")
    assert len(read_rows(tmp_path / "rows.csv")[0]["evidence"]) == 200_000


def test_answers_as_the_squad_data_set_has_them() -> None:
    (one,) = questions([{"question": "q", "answers": {"text": ["red", "dark red"], "answer_start": [3, 0]}}])
    assert one.answers == ("red", "dark red")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({}, "has no question"), ({"question": "q"}, "has no answer"), ({"question": "q", "answer": ""}, "no text"),
        ({"question": " ", "answer": "a"}, "question is no text"), ({"question": "q", "answer": 5}, "row 1"),
        ({"question": "q", "answers": ["a", 5]}, "answer is no text"),
        ({"question": "q", "answers": {"x": 1}}, "no answer"),
        ({"question": ["q"], "answer": "a"}, "no text"),
        ({"question": "q", "answer": "a", "window": [4, 1]}, "window is no first"),
        ({"question": "q", "answer": "a", "window": [0, 1]}, "no number from 1 on"),
        ({"question": "q", "answer": "a", "window": {"a": 1}}, "window is no first"),
        ({"question": "q", "answer": "a", "window": "1-x"}, "row 1"),
        ({"question": "q", "answer": "a", "window": [1, None]}, "window"),
        ({"question": "q", "answer": "a", "evidence_chunk": 1.5}, "no number"),
        ({"question": "q", "answer": "a", "evidence_chunk": 1e400}, "row 1"),
        ({"question": "q", "answer": "a", "evidence_chunk": []}, "row 1"),
        ("text", "is no object"), (None, "is no object"), ([1], "is no object"),
    ],
)  # fmt: skip
def test_rows_that_can_not_be_asked_are_named(bad: Any, said: str) -> None:
    with pytest.raises(QuerywrightError, match="1 of 2 rows can't be asked") as caught:
        questions([bad, {"question": "q", "answer": "a"}])
    assert said in str(caught.value)
    assert "row 1" in str(caught.value)


def test_files_that_are_no_rows(tmp_path: Path) -> None:
    for name, text in (("a.json", "{"), ("a.json", "3"), ("a.csv", 'a,b\n"x'), ("a.jsonl", "[1]"), ("b.csv", "\udcff")):
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(QuerywrightError):
            read_rows(tmp_path / name)
    for name in ("none.csv", "none.json", "none.jsonl"):
        with pytest.raises(QuerywrightError, match="could not read"):
            read_rows(tmp_path / name)
    with pytest.raises(QuerywrightError, match="no question rows"):
        questions([])


def test_rows_are_each_once_with_an_id_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "1", "question": f"q{i % 3}", "answer": "\ud800a"} for i in range(6)]
    found = questions(rows)
    assert len({q.id for q in found}) == 3
    assert "3 repeats of question rows left out" in capsys.readouterr().err
    assert [q.id for q in questions(rows)] == [q.id for q in questions(rows[::-1])], "their order is the seed's"
    json.dumps(found[0].answers).encode()
    assert found[0].answers[0] == "?a"


def test_what_varies() -> None:
    def made(n: int, **more: Any) -> tuple[str, int]:
        rows = [{"question": f"q{i}", "answer": "a", **{k: v(i) for k, v in more.items()}} for i in range(n)]
        by, groups = clusters(questions(rows))
        return by, len({*groups.values()})

    assert made(12) == ("question", 12)
    assert made(12, window=lambda i: [1 + i // 4, 4 + i // 4]) == ("window", 3)
    assert made(12, window=lambda i: [1, 4], document=lambda i: f"d{i % 3}") == ("window", 3)
    assert made(24, window=lambda i: [i + 1, i + 2], document=lambda i: f"d{i % 12}") == ("document", 12)


def test_the_shipped_config_and_its_overrides() -> None:
    path = repo_dir() / "eval_configs" / "questions.yaml"
    plain = load(path)
    assert path.read_text().startswith("# querywright questions eval "), "the header is the command that runs it"
    assert plain.name == "questions"
    assert [*plain.models] == ["smollm2"]
    changed = load(path, ["models.smollm2.max_tokens=8", "k=7", "judge.controls=3", "n=[1,5]"], judge="smollm2")
    assert (changed.models["smollm2"].max_tokens, changed.k, changed.n) == (8, 7, (1, 5))
    assert changed.judge is not None
    assert (changed.judge.controls, changed.judge.name) == (3, "smollm2")
    some = load(path, [], ["smollm2_warm", "smollm2"], judge="smollm2_hot", limit=None)
    assert [*some.models] == ["smollm2_warm", "smollm2"]
    assert [*some.entries] == ["smollm2_warm", "smollm2", "smollm2_hot"]
    other = load(path, [], ["smollm2_warm"], judge="smollm2")
    assert other.entries["smollm2"].max_tokens == plain.models["smollm2"].max_tokens
    with pytest.raises(QuerywrightError, match="no model 'smollm2_wram' in the catalogue; did you mean 'smollm2_warm'"):
        load(path, [], ["smollm2_wram"])


def test_all_mistakes_of_a_config_at_once() -> None:
    entry = {"model": "m.gguf", "tempratur": 1, "api_key": "sk-1234"}
    with pytest.raises(QuerywrightError) as caught:
        check({"models": {"a": entry}, "strategys": ["rag"], "k": 0, "judge": {"name": "a", "critera": ""},
               "text_scores": {"meteor": "often"}, "strategies": ["clsed"]}, "x.yaml")  # fmt: skip
    text = str(caught.value)
    assert text.startswith("x.yaml: 7 mistakes")
    for part in ("models.a.tempratur: unknown key; did you mean 'temperature'", "'strategies'", "k:", "'criteria'",
                 "text_scores.meteor", "did you mean 'closed'", "models.a.api_key: write `env:NAME`"):  # fmt: skip
        assert part in text
    assert "sk-1234" not in text
    for raw, told in (
        ({"models": {}}, "models"), ({"models": {"a/b": "m.gguf"}}, "becomes a file's"), ({}, "models: is missing"),
        ({"models": {"a": "m.gguf"}, "judge": {"name": "a", "entry": {"model": "other"}}}, "name of another model"),
        ({"models": {"a": "m.gguf"}, "strategies": []}, "at least one strategy"),
        ({"models": {"a": "http://u:p@host/v1"}}, "holds no key and no password"),
    ):  # fmt: skip
        with pytest.raises(QuerywrightError, match=told):
            check(raw, "x")


def test_what_is_public_names_no_place_and_no_key(tmp_path: Path) -> None:
    made = check(
        {"models": {"a": "/home/me/models/m.gguf", "b": {"model": "https://host:8/v1#org/big", "api_key": "env:MY_KEY"},
                    "c": {"model": "https://host:8/v1"}, "d": {"model": "x", "adapter": "/home/me/adapter"}},
         "judge": {"name": "j", "entry": {"model": "https://host:8/v1#judge", "api_key": "env:MY_KEY"}},
         "out": str(tmp_path), "text_scores": {"bertscore": "/home/me/encoder"}}, "x",
    )  # fmt: skip
    told = yaml.safe_dump(made.public())
    for secret in ("/home", "host", "MY_KEY", str(tmp_path)):
        assert secret not in told
    assert [one["model"] for one in made.public()["models"].values()] == ["m.gguf", "org/big", "server", "x"]


def test_evidence_that_is_not_in_its_chunk_is_counted() -> None:
    passages = {1: Chunk(1, "The mill  was built in 1787."), 2: Chunk(2, "Another text.")}
    rows = [Question("a", "q", ("a",), "mill was built", 1), Question("b", "q", ("a",), "mill was built", 2),
            Question("c", "q", ("a",), "mill was built", 9), Question("d", "q", ("a",), "anything")]  # fmt: skip
    assert [_astray(row, passages) for row in rows] == [False, True, True, False]
