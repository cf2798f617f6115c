"""Judges' answers to rated rows and preferences: what is read, dropped, counted, combined; through the command too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from querywright.artefacts import read_jsonl, write_jsonl
from querywright.cli import cli
from querywright.errors import QuerywrightError
from querywright.finetune.preferences import read_preferences
from querywright.preferences.annotate.results import answered, missing
from querywright.preferences.parse import Options, parse
from querywright.preferences.rated import read_rated, write_rated
from tests.preferences.mixes import whole

ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")
MODELS = ("one", "two", "three", "four")
Said = dict[str, str | None]


def blocks(*values: Any) -> str:
    return "\n".join(f"#### Output for Text {n}\nRating: {v}\nRationale: because\n" for n, v in enumerate(values, 1))


def mixed(folder: Path, n: int = 3) -> list[dict[str, Any]]:
    """A mix of n prompts, with four responses each, in two shards."""
    rows = [
        {"prompt_hash": f"{i:016x}", "text": f"prompt {i}", "system": "", "turns": [], "topic": "t",
         "responses": [{"model": m, "sample": 0, "response": f"{m} says {i}"} for m in MODELS]}
        for i in range(n)
    ]  # fmt: skip
    for aspect in ASPECTS:
        asked = [{"custom_id": f"{row['prompt_hash']}-{aspect}", "aspect": aspect, "messages": []} for row in rows]
        write_jsonl(folder / aspect / "00000.jsonl", asked)
    write_jsonl(folder / "full" / "00000.jsonl", rows[: n // 2])
    write_jsonl(folder / "full" / "00001.jsonl", rows[n // 2 :])
    whole(folder)
    return rows


def judge(
    folder: Path, said: dict[tuple[int, str], str | None], name: str = "r-00000.jsonl", finish: str = "stop"
) -> None:
    """Results in the form of a batch's output; None is a request that failed."""
    lines = []
    for (i, aspect), text in said.items():
        ident = f"{i:016x}-{aspect}"
        lines.append(
            missing(ident, "expired", "not in time")
            if text is None
            else answered(ident, text, model="j", finish=finish, tokens_in=1, tokens_out=1)
        )
    write_jsonl(folder / "results" / name, lines)


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    mixed(tmp_path / "mix")
    return tmp_path / "mix"


def options(tmp_path: Path, **more: Any) -> Options:
    return Options(tmp_path / "mix", tmp_path / "judged", tmp_path / "out", **more)


def test_ratings_are_the_mean_over_aspects(mix: Path, tmp_path: Path) -> None:
    said = {(i, a): blocks(1, 2, 3, 4) for i in range(3) for a in ASPECTS}
    said[0, "honesty"] = blocks(5, "N/A", 3, 4)
    judge(tmp_path / "judged", said)
    report = parse(options(tmp_path))
    first, *rest = read_rated(tmp_path / "out")
    assert [r["rating"] for r in first["responses"]] == [2.0, 2.0, 3.0, 4.0]
    assert first["responses"][1]["ratings"] == {
        "instruction_following": 2.0, "honesty": None, "truthfulness": 2.0, "helpfulness": 2.0,
    }  # fmt: skip
    assert first["responses"][0]["why"]["honesty"] == "because"
    assert first["topic"] == "t"
    assert [r["rating"] for r in rest[0]["responses"]] == [1.0, 2.0, 3.0, 4.0]
    assert report["prompts"] == 3
    assert report["texts"]["honesty"] == {"rated": 11, "n/a": 1}
    assert report["means"]["four"] == {**dict.fromkeys(ASPECTS, 4.0), "rating": 4.0}
    assert {r["chosen_model"] for r in read_jsonl(tmp_path / "out" / "preferences.jsonl")} == {"four"}
    assert len(read_preferences(tmp_path / "out" / "preferences.jsonl")) == 3
    assert report["agreement"][0]["kappa"] is not None


def test_what_cannot_be_read_is_counted(mix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge(
        tmp_path / "judged",
        {
            (0, "honesty"): blocks(1, 7, "3-4", 4),
            (0, "helpfulness"): "I like them all.",
            (1, "honesty"): None,
            (1, "helpfulness"): blocks(3, 3, 3, 3),
            (2, "honesty"): blocks("N/A", "N/A", "N/A", "N/A"),
        },
    )
    report = parse(options(tmp_path))
    assert report["aspects"] == ["honesty", "helpfulness"]
    assert report["not_asked"] == ["instruction_following", "truthfulness"]
    assert report["answers"]["honesty"] == {"parsed": 2, "failed": 1}
    assert report["answers"]["helpfulness"] == {"unparsable": 1, "parsed": 1, "missing": 1}
    assert report["texts"]["honesty"] == {"n/a": 4, "rated": 2, "out of range": 1, "unclear": 1}
    assert report["preferences"]["left_out"] == {"tied": 1, "unrated": 1}
    assert len(read_jsonl(tmp_path / "out" / "preferences.jsonl")) == 1
    said = capsys.readouterr().err
    assert "1 prompt with fewer than two rated responses" in said
    assert "not in time" in said
    first, second, third = read_rated(tmp_path / "out")
    assert first["responses"][1]["ratings"] == {"honesty": None, "helpfulness": None}
    assert [r["rating"] for r in third["responses"]] == [None] * 4
    assert second["responses"][0]["ratings"] == {"honesty": None, "helpfulness": 3.0}


def test_aspects_are_those_of_the_mix(mix: Path, tmp_path: Path) -> None:
    """A template of one's own asks about other things; answers about what was not asked are left alone."""
    write_jsonl(mix / "brevity" / "00000.jsonl", [])
    whole(mix)
    judge(tmp_path / "judged", {(0, "brevity"): blocks(1, 2, 3, 4), (0, "beauty"): blocks(4, 3, 2, 1)})
    report = parse(options(tmp_path))
    assert (report["aspects"], report["other_mix"]) == (["brevity"], 1)
    assert [r["rating"] for r in next(iter(read_rated(tmp_path / "out")))["responses"]] == [1.0, 2.0, 3.0, 4.0]
    write_jsonl(mix / "execution" / "00000.jsonl", [])
    whole(mix)
    with pytest.raises(QuerywrightError, match="another judge"):
        parse(options(tmp_path))


def test_a_later_answer_takes_the_place_of_a_failure(mix: Path, tmp_path: Path) -> None:
    judge(tmp_path / "judged", {(0, "honesty"): None, (1, "honesty"): blocks(1, 2, 3, 4)})
    judge(tmp_path / "judged", {(0, "honesty"): blocks(4, 3, 2, 1)}, "again-1-r-00000.jsonl")
    assert parse(options(tmp_path))["answers"]["honesty"] == {"parsed": 2, "missing": 1}


def test_an_answer_that_was_cut_counts_as_far_as_it_goes(mix: Path, tmp_path: Path) -> None:
    judge(tmp_path / "judged", {(0, "honesty"): blocks(2, 1) + "#### Output for Text 3\nRating: 4"}, finish="length")
    report = parse(options(tmp_path))
    assert report["answers"]["honesty"] == {"missing": 2, "parsed": 1, "cut": 1}
    assert report["texts"]["honesty"] == {"rated": 2, "missing": 2}
    assert report["preferences"]["rows"] == 1


def test_it_is_done_once_and_again_where_anything_changed(
    mix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(tmp_path / "judged", {(0, "honesty"): blocks(1, 2, 3, 4)})
    first = parse(options(tmp_path))
    before = (tmp_path / "out" / "preferences.jsonl").read_bytes()
    assert parse(options(tmp_path)) == first
    assert "parsed already" in capsys.readouterr().err
    judge(tmp_path / "judged", {(1, "honesty"): blocks(1, 2, 3, 4)}, "r-00001.jsonl")
    parse(options(tmp_path))
    assert (tmp_path / "out" / "preferences.jsonl").read_bytes().startswith(before)
    assert len(read_jsonl(tmp_path / "out" / "preferences.jsonl")) == 2
    assert parse(options(tmp_path, rejected="all"))["preferences"]["rows"] == 6


def executed(folder: Path, rows: list[dict[str, Any]], values: list[float | None]) -> Path:
    """What `execute` writes: a rating by execution, and the expected call as one more response."""
    made = []
    for row in rows:
        responses = [
            {**r, "ratings": {"execution": v}, "rating": v, "why": {"execution": "ran"}}
            for r, v in zip(row["responses"], values, strict=True)
        ]
        reference = {
            "model": "reference",
            "sample": 0,
            "response": "/expected",
            "ratings": {"execution": 5.0},
            "rating": 5.0,
        }
        elsewhere = {"model": "zoo", "sample": 0, "response": "?", "ratings": {"execution": 1.0}, "rating": 1.0}
        made.append({**row, "path": "/expected", "responses": [*responses, reference, elsewhere]})
    write_rated(folder, [*made, {**made[0], "prompt_hash": "of another mix"}])
    return folder


def test_execution_counts_as_one_more_aspect(mix: Path, tmp_path: Path) -> None:
    rows = list(read_jsonl(mix / "full" / "00001.jsonl"))
    judge(tmp_path / "judged", {(i, "honesty"): blocks(1, 2, 3, 4) for i in range(3)})
    report = parse(options(tmp_path, execution=executed(tmp_path / "run", rows, [5.0, 4.0, 2.0, 1.0])))
    plain, both = list(read_rated(tmp_path / "out"))[:2]
    assert "execution" not in plain["responses"][0]["ratings"]
    assert [(r["model"], r["rating"]) for r in both["responses"]] == [
        ("one", 3.0), ("two", 3.0), ("three", 2.5), ("four", 2.5), ("reference", 5.0),
    ]  # fmt: skip
    assert both["responses"][0]["why"] == {"honesty": "because", "execution": "ran"}
    with_execution = report["agreement"][0]
    assert with_execution["judges"] == ["mean of aspects", "execution"]
    assert (with_execution["pairs"], with_execution["kappa"]) == (12, -1.0)
    assert report["preferences"]["chosen"] == {"reference": 2, "four": 1}


def test_execution_can_decide_alone(mix: Path, tmp_path: Path) -> None:
    rows = [row for name in ("00000", "00001") for row in read_jsonl(mix / "full" / f"{name}.jsonl")]
    judge(tmp_path / "judged", {(i, "honesty"): blocks(1, 2, 3, 5) for i in range(3)})
    ran = executed(tmp_path / "run", rows[1:], [4.0, 4.0, 2.0, None])
    parse(options(tmp_path, execution=ran, combine="execution", rejected="all"))
    made = read_jsonl(tmp_path / "out" / "preferences.jsonl")
    pairs = {(r["chosen_model"], r["rejected_model"]) for r in made if r["prompt_hash"] != rows[0]["prompt_hash"]}
    assert pairs == {("reference", "one"), ("reference", "two"), ("reference", "three")}
    rated = list(read_rated(tmp_path / "out"))
    assert [r["rating"] for r in rated[1]["responses"]] == [4.0, 4.0, 2.0, None, 5.0]
    assert rated[1]["responses"][1]["tie"] > rated[1]["responses"][0]["tie"], "the aspects order what runs alike"
    assert [r["rating"] for r in rated[0]["responses"]] == [1.0, 2.0, 3.0, 5.0], "what was not run keeps its ratings"


def test_ratings_alike_are_not_told_apart_by_length(mix: Path, tmp_path: Path) -> None:
    """Execution's order among equals (the shorter call) says nothing once other judges count."""
    rows = [row for name in ("00000", "00001") for row in read_jsonl(mix / "full" / f"{name}.jsonl")]
    ran = executed(tmp_path / "run", rows, [4.0, 2.0, 2.0, 2.0])
    with_ties = [
        {**row, "responses": [{**row["responses"][0], "tie": -9.0}, *row["responses"][1:4]]} for row in read_rated(ran)
    ]
    write_rated(ran, with_ties)
    judge(tmp_path / "judged", {(i, "honesty"): blocks(2, 4, 4, 4) for i in range(3)})
    report = parse(options(tmp_path, execution=ran))
    assert report["preferences"]["left_out"] == {"tied": 3}


def test_the_expected_call_is_no_worse_than_its_equals(mix: Path, tmp_path: Path) -> None:
    rows = [row for name in ("00000", "00001") for row in read_jsonl(mix / "full" / f"{name}.jsonl")]
    judge(tmp_path / "judged", {(i, "honesty"): blocks(1, 5, 3, 3) for i in range(3)})
    ran = executed(tmp_path / "run", rows, [5.0, 5.0, 2.0, 2.0])
    parse(options(tmp_path, execution=ran, combine="execution", rejected="all"))
    made = read_jsonl(tmp_path / "out" / "preferences.jsonl")
    assert {r["chosen_model"] for r in made} <= {"two", "reference"}
    assert "reference" not in {r["rejected_model"] for r in made}


def test_execution_of_other_prompts_is_refused(mix: Path, tmp_path: Path) -> None:
    judge(tmp_path / "judged", {(0, "honesty"): blocks(1, 2, 3, 4)})
    write_rated(tmp_path / "run", [{"prompt_hash": "other", "text": "x", "responses": []}])
    with pytest.raises(QuerywrightError, match="none of the prompts"):
        parse(options(tmp_path, execution=tmp_path / "run"))


def test_a_judge_that_goes_by_the_place_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixed(tmp_path / "mix", 60)
    judge(
        tmp_path / "judged",
        {(i, a): blocks(5, 4, 4, 3) if a == "honesty" else blocks(3, 3, 3, 3) for i in range(60) for a in ASPECTS[:2]},
    )
    report = parse(options(tmp_path))
    assert report["by_place"] == {"honesty": [5.0, 4.0, 4.0, 3.0], "instruction_following": [3.0] * 4}
    said = capsys.readouterr().err
    assert "honesty: the judge goes by the place" in said
    assert "following: the judge goes" not in said


def test_other_judges_are_compared(mix: Path, tmp_path: Path) -> None:
    judge(tmp_path / "judged", {(i, "honesty"): blocks(1, 2, 3, 4) for i in range(3)})
    parse(options(tmp_path))
    judge(tmp_path / "other", {(i, "honesty"): blocks(4, 3, 2, 1) for i in range(3)})
    found = parse(Options(mix, tmp_path / "other", tmp_path / "out2", compare=[tmp_path / "out"]))["agreement"]
    assert found == [{**found[0], "judges": ["rating", str(tmp_path / "out")], "pairs": 18, "kappa": -1.0}]


def test_mistakes_are_said(mix: Path, tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no judge's answers") as none:
        parse(options(tmp_path))
    assert "annotate" in none.value.hint
    begun = tmp_path / "begun"  # `annotate local`, stopped in its first file
    write_jsonl(begun / "requests" / "honesty-00000.jsonl", [{"custom_id": "x", "body": {"messages": []}}])
    write_jsonl(begun / "answers.jsonl", [{"key": "k", "text": "4"}])
    with pytest.raises(QuerywrightError, match="holds requests only"):
        parse(Options(mix, begun, tmp_path / "out"))
    write_jsonl(
        tmp_path / "judged" / "results" / "x.jsonl",
        [answered("ff-honesty", "4", model="j", finish="stop", tokens_in=1, tokens_out=1)],
    )
    with pytest.raises(QuerywrightError, match="none of the 1 answers"):
        parse(options(tmp_path))
    with pytest.raises(QuerywrightError, match="did you mean 'execution'"):
        parse(options(tmp_path, combine="excution"))
    with pytest.raises(QuerywrightError, match="no mixed responses"):
        parse(Options(tmp_path / "nowhere", tmp_path / "judged", tmp_path / "out"))
    judge(tmp_path / "judged", {(0, "honesty"): blocks(1, 2, 3, 4)})
    with pytest.raises(QuerywrightError, match="no rated rows"):
        parse(options(tmp_path, execution=tmp_path / "nowhere"))
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"text": "x", "responses": []}, "no prompt_hash"),
        ({"prompt_hash": "1", "text": "x", "responses": "?"}, "no list"),
        ({"prompt_hash": "1", "text": "x", "responses": [{"model": "m", "response": None}]}, "no list"),
        ({"prompt_hash": f"{0:016x}", "text": "x", "responses": []}, "the same prompt as in"),
    ],
)
def test_damaged_rows_are_named(mix: Path, tmp_path: Path, row: dict[str, Any], says: str) -> None:
    write_jsonl(mix / "full" / "00002.jsonl", [row])
    judge(tmp_path / "judged", {(0, "honesty"): blocks(1, 2, 3, 4)})
    with pytest.raises(QuerywrightError, match=says) as error:
        parse(options(tmp_path))
    assert "00002.jsonl, row 1" in str(error.value)


def test_the_command(mix: Path, tmp_path: Path) -> None:
    judge(tmp_path / "judged", {(i, a): blocks(1, 2, 3, 4) for i in range(3) for a in ASPECTS})
    args = ["--input", str(mix), "--annotations", str(tmp_path / "judged"), "--output", str(tmp_path / "out")]
    cli(["preferences", "parse", *args, "--rejected", "all", "--api", "mygene"], standalone_mode=False)
    made = read_jsonl(tmp_path / "out" / "preferences.jsonl")
    assert len(made) == 9
    assert made[0]["prompt"][0]["role"] == "system"
    assert "mygene" in made[0]["prompt"][0]["content"]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["rows"] == {"rated": 3, "preferences": 9}
