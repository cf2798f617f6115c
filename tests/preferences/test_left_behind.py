"""What other runs left behind: half a mix, judgements of another mix, outputs among the inputs; nothing is mixed up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="servers are an extra: pip install 'querywright[hosted]'")

from querywright.api.definition import load
from querywright.artefacts import read_jsonl, write_jsonl
from querywright.engines.budget import Budget
from querywright.engines.catalogue import Entry
from querywright.engines.ledger import Ledger
from querywright.engines.prices import Price
from querywright.errors import QuerywrightError
from querywright.preferences.annotate.again import ask_again
from querywright.preferences.annotate.convert import Judge, convert
from querywright.preferences.annotate.report import CSV, Report, names_in
from querywright.preferences.annotate.results import answered as result
from querywright.preferences.annotate.status import status
from querywright.preferences.annotate.upload import Limits, upload
from querywright.preferences.execute import Options as Judged
from querywright.preferences.execute import execute
from querywright.preferences.mix import Options as Mixed
from querywright.preferences.mix import mix
from querywright.preferences.parse import Options, parse
from querywright.preferences.prompts import read_prompts, read_shards
from querywright.preferences.rated import read_rated
from querywright.preferences.respond import respond
from querywright.preferences.responses import Outcome, plain_way
from tests.preferences.conftest import write_rows
from tests.preferences.mixes import Clock
from tests.preferences.mixes import mix as small_mix
from tests.preferences.test_mix import MODELS, SHIPPED, answered
from tests.protocol import Chat, serve
from tests.protocol.batches import Batches
from tests.protocol.http import Reply, Request

JUDGE = Judge("judge")


def judged(folder: Path) -> Path:
    """Results in which each model has a rating of its own, wherever it stands."""
    for path in (folder / "requests").glob("*.jsonl"):
        rows = []
        for row in read_jsonl(path):
            asked = row["body"]["messages"][-1]["content"]
            texts = re.findall(r"^=== TEXT (\d) (\w+) begins\n(\w+)", asked, re.M)
            said = "\n".join(f"Text {n}: {MODELS.index(model) + 1}" for n, _, model in texts)
            rows.append(result(row["custom_id"], said, model="j", finish="stop", tokens_in=1, tokens_out=1))
        write_jsonl(folder / "results" / path.name, rows)
    return folder


def made(folder: Path, n: int = 12, **options: int) -> tuple[Path, Path]:
    """A mix and what a judge said to it."""
    mix(Mixed(answered(folder / "in", n), folder / "mix", **options), SHIPPED)
    convert(folder / "mix", folder / "judged", JUDGE)
    return folder / "mix", judged(folder / "judged")


def test_half_a_mix_is_not_judged(tmp_path: Path) -> None:
    source, said = made(tmp_path, per_shard=4)
    (source / "manifest.json").rename(tmp_path / "kept")  # a mix that is killed has none
    for use in (lambda: convert(source, tmp_path / "a", JUDGE), lambda: parse(Options(source, said, tmp_path / "p"))):
        with pytest.raises(QuerywrightError, match=r"the mix in .* is not whole: no manifest.json") as error:
            use()
        assert "preferences mix" in error.value.hint
    (tmp_path / "kept").rename(source / "manifest.json")
    (source / "honesty" / "00002.jsonl").unlink()
    with pytest.raises(QuerywrightError, match=r"honesty/00002.jsonl is gone"):
        convert(source, tmp_path / "a", JUDGE)


def test_what_an_earlier_mix_left_is_not_asked(tmp_path: Path) -> None:
    source, _ = made(tmp_path)
    write_jsonl(source / "beauty" / "00000.jsonl", read_jsonl(source / "honesty" / "00000.jsonl"))
    assert all("beauty" not in shard.file for shard in convert(source, tmp_path / "a", JUDGE).shards)


def test_ratings_of_another_mix_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Requests are named after prompt and aspect; another mix puts other answers there under the same names."""
    source, said = made(tmp_path)
    report = parse(Options(source, said, tmp_path / "one"))
    means = {name: row["rating"] for name, row in report["means"].items()}
    assert means == {name: float(n) for n, name in enumerate(MODELS, 1)}
    answered(tmp_path / "in", says=lambda model, n, sample: f"{model} {n}.{sample}" + " more" * (n >= 9))
    mix(Mixed(tmp_path / "in", source), SHIPPED)
    for given in (said, said / "results"):
        report = parse(Options(source, given, tmp_path / "two"))
        assert report["other_mix"] == 3 * len(SHIPPED)
        assert report["answers"]["honesty"] == {"parsed": 9, "missing": 3}
        ratings = {(r["model"], r["rating"]) for row in read_rated(tmp_path / "two") for r in row["responses"]}
        assert ratings == {*means.items()} | {(name, None) for name in MODELS}
    assert "not of this mix" in capsys.readouterr().err
    mix(Mixed(tmp_path / "in", source, seed=5), SHIPPED)
    with pytest.raises(QuerywrightError, match="none of the 48 answers"):
        parse(Options(source, said, tmp_path / "two"))


def test_judgements_stay_good_where_a_mix_grows(tmp_path: Path) -> None:
    _, said = made(tmp_path, 6)
    mix(Mixed(answered(tmp_path / "more", 20), tmp_path / "larger"), SHIPPED)
    report = parse(Options(tmp_path / "larger", said, tmp_path / "out"))
    assert report["other_mix"] == 0
    assert report["answers"]["honesty"] == {"missing": 14, "parsed": 6}


def test_a_new_conversion_is_counted_anew(tmp_path: Path) -> None:
    source, _ = made(tmp_path)
    convert(source, tmp_path / "a", JUDGE, rows_per_shard=12)
    convert(source, tmp_path / "a", JUDGE, rows_per_shard=5)
    for shard in Report(tmp_path / "a").shards:
        assert shard.rows == len(read_jsonl(tmp_path / "a" / "requests" / shard.file))


def test_what_was_sent_stays_where_a_conversion_was_cut_short(tmp_path: Path) -> None:
    source, said = made(tmp_path)
    (said / "requests" / "manifest.json").unlink()
    with pytest.raises(QuerywrightError, match="sent or answered"):
        convert(source, said, JUDGE, rows_per_shard=5)
    assert (said / "requests" / "honesty-00000.jsonl").is_file()


@pytest.mark.parametrize("which", ["mix", "judged"])
def test_an_output_is_no_input(tmp_path: Path, which: str) -> None:
    source, said = made(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(QuerywrightError, match="is the source"):
        parse(Options(source, said, tmp_path / which))
    with pytest.raises(QuerywrightError, match="is the source"):
        convert(source, tmp_path / "in" / ".." / "mix", JUDGE)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


# --- respond


def said(body: dict[str, Any]) -> str:
    return f"{body['model']} on {body['messages'][-1]['content']} at {body['temperature']}"


def asked(source: Path, models: dict[str, dict[str, Any]], target: Path, **more: Any) -> list[Outcome]:
    entries = {name: Entry(**{"max_tokens": 20, **entry}) for name, entry in models.items()}
    rows = read_prompts([str(source)], into=target / "set")
    return respond(rows, entries, target, "set", locate=str, way=lambda entry: plain_way(entry.system), **more)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "in.jsonl", [{"text": f"question {i}"} for i in range(6)])


def test_a_budget_counts_models_that_are_left_out_this_time(source: Path, tmp_path: Path) -> None:
    with serve(Chat(said)) as service:
        asked(source, {"one": {"model": f"{service.url}#one"}}, tmp_path)
        spent = Ledger(tmp_path / "set" / "ledger" / "one.jsonl")
        limit = spent.total("tokens_in") + spent.total("tokens_out") + 5
        with pytest.raises(QuerywrightError, match="6 prompts are left"):
            asked(source, {"two": {"model": f"{service.url}#two"}}, tmp_path, tokens=limit)


def test_answers_of_other_settings_do_not_stay_among_new_ones(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed behind its first model, a run with other settings has none of the second one's answers."""

    def killed(*args: Any, **more: Any) -> Outcome:
        raise KeyboardInterrupt

    with serve(Chat(said)) as service:
        models = {name: {"model": f"{service.url}#{name}"} for name in ("one", "two")}
        asked(source, models, tmp_path)
        monkeypatch.setattr("querywright.preferences.respond.run", killed)
        with pytest.raises(KeyboardInterrupt):
            asked(source, {"one": models["one"], "two": {**models["two"], "temperature": 0.5}}, tmp_path, batch_size=7)
        responses = tmp_path / "set" / "responses"
        assert [len([*read_shards(responses / name)]) for name in models] == [6, 0]


def test_texts_that_are_too_long_do_not_stop_the_others(tmp_path: Path) -> None:
    """Also where they come first, and on a server that says so of each."""
    rows = [{"text": f"{i} " * 900} for i in range(4)] + [{"text": f"question {i}"} for i in range(6)]
    error = {"message": "This model's maximum context length is 512 tokens", "code": "context_length_exceeded"}

    def small(request: Request) -> Reply | None:
        return Reply(400, {"error": error}) if len(request.body) > 1500 else None

    with serve(small, Chat(said)) as service:
        source = write_rows(tmp_path / "in.jsonl", rows)
        (done,) = asked(source, {"one": {"model": f"{service.url}#one"}}, tmp_path, batch_size=1)
    assert (done.answered, done.failed) == (6, 4)
    assert "context length" in read_jsonl(tmp_path / "set" / "failed" / "one.jsonl")[0]["reason"]


def test_what_a_server_says_is_one_plain_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal obeys control characters, whoever wrote them."""

    def rude(request: Request) -> Reply | None:
        return Reply(400, "\x1b[2J\x1b]0;owned\x07 no\r\nmodel\u202e here")

    source = write_rows(tmp_path / "in.jsonl", [{"text": f"question {i}"} for i in range(6)])
    with serve(rude) as service, pytest.raises(QuerywrightError) as error:
        asked(source, {"one": {"model": f"{service.url}#one"}}, tmp_path)
    reasons = [row["reason"] for row in read_jsonl(tmp_path / "set" / "failed" / "one.jsonl")]
    for text in (str(error.value), capsys.readouterr().err.replace("\n", ""), *reasons):
        assert "no model here" in text
        assert text.isprintable()


def test_prompts_do_not_lie_where_they_are_written_to(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "set" / "prompts" / "00000.jsonl", [{"text": "mine"}])
    with pytest.raises(QuerywrightError, match="which is written to"):
        asked(path, {"one": {"model": "http://127.0.0.1:9/v1#x"}}, tmp_path)
    assert read_jsonl(path) == [{"text": "mine"}]


def test_an_execution_does_not_write_into_what_it_judges(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="is the source"):
        execute(load("mygene"), Judged(answered(tmp_path / "in"), tmp_path / "in"), None)


def test_a_budget_is_a_number() -> None:
    with pytest.raises(QuerywrightError, match="no number"):
        Budget(money=float("nan"))


# --- annotate


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    """Ten requests in four files."""
    convert(small_mix(tmp_path / "small"), tmp_path / "out", JUDGE, rows_per_shard=3)
    return tmp_path / "out"


def test_half_a_conversion_is_not_sent(requests: Path) -> None:
    (requests / "requests" / "manifest.json").unlink()
    (requests / "requests" / "honesty-00001.jsonl").unlink()
    with serve(Batches()) as service:
        with pytest.raises(QuerywrightError, match="not all there") as error:
            upload(requests, service.url, wait=Clock())
        assert "annotate convert" in error.value.hint
        assert not service.requests


def test_results_that_another_tool_wrote_half_are_asked_again(requests: Path) -> None:
    """`vllm run-batch` writes a line as it comes; killed, it leaves some of them."""
    said = result("0000000000000001-helpfulness", "4", model="j", finish="stop", tokens_in=1, tokens_out=1)
    write_jsonl(requests / "results" / "helpfulness-00000.jsonl", [said])
    report = Report(requests)
    assert [(s.rows, s.done, s.failed, s.state) for s in report.shards[:2]] == [
        (3, 1, 2, "completed"),
        (2, 0, 0, "new"),
    ]
    again = [name for shard in ask_again(report, 3) for name in names_in(report.requests(shard))]
    assert again == ["0000000000000000-helpfulness", "0000000000000002-helpfulness"]


def test_a_budget_of_batches_reckons_with_the_worst(requests: Path, tmp_path: Path) -> None:
    """Reckoned tokens are those of English; and where answers have no end, no budget can hold."""
    report = Report(requests)
    about = sum(s.tokens for s in report.shards)
    with serve(Batches()) as service:
        upload(requests, service.url, limits=Limits(price=Price(1e6, 0.0), budget=float(about)), wait=Clock())
        assert sum(s.under_way for s in Report(requests).shards) < 4
        convert(tmp_path / "small", tmp_path / "endless", Judge("judge", body={"max_completion_tokens": None}))
        with pytest.raises(QuerywrightError, match="at any length"):
            upload(tmp_path / "endless", service.url, limits=Limits(price=Price(1.0, 1.0), budget=9.0), wait=Clock())


@pytest.mark.parametrize("body", ["{}", '{"messages": 5}', '{"messages": [1]}', "[]", '{"messages": [{"content": 1}]}'])
def test_requests_that_are_none_are_named(requests: Path, body: str) -> None:
    (requests / "requests" / "honesty-00000.jsonl").write_text(f'{{"custom_id": "a", "body": {body}}}\n')
    (requests / CSV).unlink()
    with pytest.raises(QuerywrightError, match=r"honesty-00000.jsonl:1: no request with chat messages"):
        status(requests)


def test_a_misspelt_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no requests in"):
        status(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
