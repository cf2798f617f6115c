"""Batches of judgements against a local server that speaks the protocol: limits, faults, clients that are killed."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="batches are an extra: pip install 'querywright[hosted]'")

from querywright.artefacts import read_jsonl, write_jsonl
from querywright.engines.prices import Price
from querywright.errors import QuerywrightError
from querywright.preferences.annotate.again import ask_again
from querywright.preferences.annotate.convert import Judge, convert, estimate
from querywright.preferences.annotate.download import download
from querywright.preferences.annotate.report import CSV, FAILED, Report
from querywright.preferences.annotate.results import Answer, answers, read_line
from querywright.preferences.annotate.status import status
from querywright.preferences.annotate.upload import Limits, upload
from tests.preferences.conftest import command
from tests.preferences.mixes import Clock, mix, whole
from tests.protocol import Fault, Service, serve
from tests.protocol.batches import Batches

JUDGE = Judge("small", max_tokens=64)


@pytest.fixture
def room() -> Batches:
    return Batches()


@pytest.fixture
def server(room: Batches) -> Iterator[Service]:
    with serve(room) as service:
        yield service
        room.gate.set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten requests in four files."""
    convert(mix(tmp_path / "mix"), tmp_path / "out", JUDGE, rows_per_shard=3)
    return tmp_path / "out"


def finish(folder: Path, server: Service, **options: Any) -> Any:
    upload(folder, server.url, wait=Clock())
    return download(folder, watch=True, wait=Clock(), **options)


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / CSV, encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))


def test_a_download_of_what_was_never_sent_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(folder)
    assert f"4 files were not sent: querywright preferences annotate upload --dir {folder}" in capsys.readouterr().err


# --- convert


def test_requests_are_in_the_form_of_the_batch_api(folder: Path) -> None:
    files = sorted((folder / "requests").glob("*.jsonl"))
    assert [p.name for p in files] == [f"{a}-0000{i}.jsonl" for a in ("helpfulness", "honesty") for i in (0, 1)]
    rows = [row for path in files for row in read_jsonl(path)]
    assert len({row["custom_id"] for row in rows}) == len(rows) == 10
    for row in rows:
        assert set(row) == {"custom_id", "method", "url", "body"}
        assert (row["method"], row["url"], row["body"]["model"]) == ("POST", "/v1/chat/completions", "small")
        assert row["body"]["max_completion_tokens"] == 64
    assert rows[0]["body"]["messages"][0]["content"].startswith("Rate helpfulness of answer 0, é\u2028")
    assert [(r["file"], r["rows"], r["state"]) for r in table(folder)] == [
        (p.name, n, "new") for p, n in zip(files, "3232", strict=True)
    ]
    assert all(path.read_bytes().count(b"\n") == len(read_jsonl(path)) for path in files)


def test_what_is_there_is_not_made_again(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p: p.stat().st_mtime_ns for p in (folder / "requests").iterdir()}
    convert(tmp_path / "mix", folder, JUDGE, rows_per_shard=3)
    assert before == {p: p.stat().st_mtime_ns for p in (folder / "requests").iterdir()}
    convert(tmp_path / "mix", folder, JUDGE, rows_per_shard=50)  # never sent: made anew
    assert len(list((folder / "requests").glob("*.jsonl"))) == 2
    assert "never sent" in capsys.readouterr().err


def test_what_was_sent_is_not_written_over(folder: Path, tmp_path: Path, server: Service) -> None:
    upload(folder, server.url, wait=Clock())
    with pytest.raises(QuerywrightError, match="other requests"):
        convert(tmp_path / "mix", folder, JUDGE, rows_per_shard=50)
    with pytest.raises(QuerywrightError, match="other requests"):
        convert(tmp_path / "mix", folder, Judge("large"), rows_per_shard=3)


def test_files_keep_to_limits_of_tokens_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = mix(tmp_path / "mix", 40, ("helpfulness",))
    report = convert(source, tmp_path / "a", JUDGE, tokens_per_shard=100)
    assert len(report.shards) > 4
    assert all(s.tokens <= 100 for s in report.shards)
    monkeypatch.setattr("querywright.preferences.annotate.convert.MOST_BYTES", 1000)
    report = convert(source, tmp_path / "b", JUDGE)
    assert len(report.shards) > 4
    assert all(s.bytes <= 1000 for s in report.shards)
    assert sum(s.rows for s in report.shards) == 40


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"messages": []}', "00000.jsonl:3: no custom_id"),
        ('{"custom_id": 5, "messages": [{"role": "user", "content": "x"}]}', "00000.jsonl:3: no custom_id"),
        ('{"custom_id": "a", "messages": [{"role": "user"}]}', "00000.jsonl:3: no chat messages"),
        ('{"custom_id": "a", "messages": "x"}', "00000.jsonl:3: no chat messages"),
        ('{"custom_id": "a", "aspect": "honesty", "messages": [{"role": "user", "content": "x"}]}', "aspect 'honesty'"),
        ('{"custom_id": "a"', "00000.jsonl:3: not a JSON line"),
        ("[]", "00000.jsonl:3: not a JSON object"),
        (
            '{"custom_id": "0000000000000000-helpfulness", "messages": [{"role": "user", "content": "x"}]}',
            "two prompts with the custom_id",
        ),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, line: str, words: str) -> None:
    path = mix(tmp_path / "mix") / "helpfulness" / "00000.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(QuerywrightError, match=words):
        convert(tmp_path / "mix", tmp_path / "out", JUDGE)
    assert not (tmp_path / "out" / CSV).exists()


def test_the_same_prompt_twice_is_asked_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = mix(tmp_path / "mix") / "honesty"
    write_jsonl(folder / "00002.jsonl", read_jsonl(folder / "00000.jsonl"))
    whole(tmp_path / "mix")
    report = convert(tmp_path / "mix", tmp_path / "out", JUDGE)
    assert sum(s.rows for s in report.shards) == 10
    assert "honesty: 2 prompts stand there twice" in capsys.readouterr().err


def test_mistakes_in_the_settings_are_told(tmp_path: Path) -> None:
    source, out = mix(tmp_path / "mix"), tmp_path / "out"
    with pytest.raises(QuerywrightError, match="did you mean 'helpfulness'"):
        convert(source, out, JUDGE, aspects=["helpfullness"])
    with pytest.raises(QuerywrightError, match="50,000"):
        convert(source, out, JUDGE, rows_per_shard=50_001)
    for key in ("api_key", "model", "stream"):
        with pytest.raises(QuerywrightError, match="--body"):
            convert(source, out, Judge("m", body={key: "x"}))
    with pytest.raises(QuerywrightError, match="no folders of aspects") as error:
        convert(tmp_path, out, JUDGE)
    assert str(source) in error.value.hint
    with pytest.raises(QuerywrightError, match="no requests"):
        upload(tmp_path / "nowhere", "http://127.0.0.1:9/v1")


def test_the_estimate_counts_what_is_sent(folder: Path, tmp_path: Path) -> None:
    facts = estimate(tmp_path / "mix", JUDGE, price=Price(1.0, 2.0, "2026-11-01"))
    assert (facts["requests"], facts["tokens_out_at_most"]) == (10, 640)
    assert facts["tokens_in"] == sum(int(r["tokens"]) for r in table(folder))
    assert facts["money_at_most"] == pytest.approx((facts["tokens_in"] + 2 * 640) / 1e6, abs=1e-4)
    assert "money_at_most" not in estimate(tmp_path / "mix", JUDGE)
    counted = estimate(tmp_path / "mix", JUDGE, aspects=["honesty"], count=lambda messages: 7)
    assert (counted["tokens_in"], list(counted["aspects"])) == (35, ["honesty"])


# --- upload, status, download


def test_from_requests_to_answers(folder: Path, room: Batches, server: Service) -> None:
    room.answer = lambda name, body, before: f"{name}: {body['messages'][0]['content']}"
    report, outcome = finish(folder, server)
    found = answers(folder)
    assert len(found) == len(outcome.done) == 10
    for name, answer in found.items():
        i = int(name.split("-")[0], 16)
        assert answer.text.startswith(f"{name}: Rate {name.split('-')[1]} of answer {i},")
        assert answer.tokens_in
        assert answer.tokens_out
    for shard in report.shards:  # in the order of the requests, whatever the server's was
        names = [[r["custom_id"] for r in read_jsonl(p)] for p in (report.requests(shard), report.results(shard))]
        assert names[0] == names[1]
        assert (shard.state, shard.done, shard.failed) == ("completed", shard.rows, 0)
    assert {u["purpose"] for u in room.uploads} == {"batch", "batch_output"}
    assert room.bodies["file-1"] == (folder / "requests" / "helpfulness-00000.jsonl").read_bytes()
    assert not (folder / FAILED).exists()
    assert set(room.asked.values()) == {1}


def test_what_is_done_is_not_done_again(folder: Path, room: Batches, server: Service) -> None:
    finish(folder, server)
    n = len(server.requests)
    finish(folder, server)
    status(folder, wait=Clock())
    assert len(server.requests) == n
    (folder / CSV).unlink()  # the results say that nothing is to be sent
    finish(folder, server)
    assert len(server.requests) == n
    assert [r["state"] for r in table(folder)] == ["completed"] * 4


def test_a_lost_report_is_found_again_at_the_server(folder: Path, room: Batches, server: Service) -> None:
    upload(folder, server.url, wait=Clock())
    room.page = 2
    (folder / CSV).unlink()
    finish(folder, server)
    assert len(room.created) == 4
    assert set(room.asked.values()) == {1}
    assert len(answers(folder)) == 10


FAULTS = [
    Fault(429, retry_after="7"), Fault(500), Fault(503), Fault(drop="before"), Fault(drop="after"),
    Fault(body="<html>"), Fault(cut=20),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.status or f.drop or ('html' if f.body else 'cut')}")
@pytest.mark.parametrize("at", range(3))
def test_faults_at_every_step_are_got_over(fault: Fault, at: int, tmp_path: Path) -> None:
    """Every third request fails, reads as well as writes: nothing is sent twice, and nothing is missing at the end."""
    room, clock = Batches(steps=("validating", "completed")), Clock()
    convert(mix(tmp_path / "mix", 3, ("honesty",)), tmp_path / "out", JUDGE)
    with serve(room, faults=[None] * at + [fault, None, None] * 20) as server:
        server.faulty = ("GET", "POST")
        upload(tmp_path / "out", server.url, wait=clock)
        download(tmp_path / "out", watch=True, wait=clock)
    assert len([u for u in room.uploads if u["purpose"] == "batch"]) == len(room.created) == 1
    assert [a.text for a in answers(tmp_path / "out").values()] == ["Rating: 3"] * 3
    assert len(clock.waits) >= 3
    assert not fault.retry_after or clock.waits.count(7.0) >= 3


@pytest.mark.parametrize("size", [0, -200])
def test_a_file_that_came_in_part_is_fetched_again(
    folder: Path, room: Batches, server: Service, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(folder, server.url, wait=Clock())
    whole = json.dumps({"custom_id": "x", "response": {"status_code": 200, "body": {}}}).encode() * 2
    room.spoilt = [whole[:size], None, whole + b"\n" + whole[:30]]
    download(folder, watch=True, wait=Clock())
    assert [a.text for a in answers(folder).values()] == ["Rating: 3"] * 10
    assert capsys.readouterr().err.count("bytes came") == 2


def test_a_file_cut_between_lines_by_a_server_that_tells_no_sizes(folder: Path, room: Batches, server: Service) -> None:
    upload(folder, server.url, wait=Clock())
    status(folder, watch=True, wait=Clock())
    for file in room.uploads:
        file.pop("bytes")
    first = room.bodies[next(u["id"] for u in room.uploads if u["purpose"] == "batch_output")]
    room.spoilt = [first.split(b"\n")[0] + b"\n"]
    download(folder, wait=Clock())
    assert len([a for a in answers(folder).values() if a.text]) == 10


def test_an_expired_batch_keeps_what_it_did(folder: Path, room: Batches, server: Service) -> None:
    room.expires = {0: 2, 2: 0}
    _, outcome = finish(folder, server)
    assert (len(outcome.done), len(outcome.failed)) == (6, 4)
    assert {a.why for _, a in outcome.failed.values()} == {
        "batch_expired: This request could not be executed before the completion window."
    }
    with open(folder / FAILED, encoding="utf-8", newline="") as rows:
        assert sorted(r["custom_id"] for r in csv.DictReader(rows)) == sorted(outcome.failed)
    upload(folder, server.url, failed=True, wait=Clock())
    _, outcome = download(folder, watch=True, wait=Clock())
    assert (len(outcome.done), len(outcome.failed)) == (10, 0)
    assert set(room.asked.values()) == {1}  # no row was paid for twice
    assert not (folder / FAILED).exists()


@pytest.mark.parametrize("error_files", [True, False])
def test_rows_that_failed_are_sent_again(folder: Path, room: Batches, server: Service, error_files: bool) -> None:
    room.error_files = error_files
    bad = "0000000000000001-honesty"

    def answer(name: str, body: dict[str, Any], before: int) -> str | tuple[str, str] | int:
        if name == bad:
            return 400
        if name.startswith("0000000000000004"):
            return 500 if before == 0 else ("", "length") if before == 1 else "Rating: 5"
        return "Rating: 4"

    room.answer = answer
    _, outcome = finish(folder, server, resend=True)
    assert (len(outcome.done), list(outcome.failed)) == (9, [bad])
    assert outcome.failed[bad][1].why == "HTTP 400: server_error: fault 400"
    assert (outcome.tries[bad], room.asked[bad]) == (3, 3)
    assert room.asked["0000000000000004-honesty"] == 3
    assert room.asked["0000000000000000-honesty"] == 1
    assert answers(folder)["0000000000000004-honesty"].text == "Rating: 5"
    assert [r["file"] for r in table(folder) if r["file"].startswith("again")] == [
        "again-1-helpfulness-00000.jsonl", "again-1-honesty-00000.jsonl", "again-1-honesty-00001.jsonl",
        "again-2-helpfulness-00000.jsonl", "again-2-honesty-00000.jsonl", "again-2-honesty-00001.jsonl",
    ]  # fmt: skip
    n = len(room.created)
    upload(folder, server.url, failed=True, wait=Clock())
    assert len(room.created) == n  # three times are enough


def test_a_row_in_both_files_has_its_answer(folder: Path, room: Batches, server: Service) -> None:
    room.expires = {0: 2}
    upload(folder, server.url, wait=Clock())
    status(folder, watch=True, wait=Clock())
    out, late = (next(u for u in room.uploads if u["filename"] == f"batch_1_{k}.jsonl") for k in ("output", "error"))
    name = json.loads(room.bodies[out["id"]].splitlines()[0])["custom_id"]
    row = {"custom_id": name, "response": None, "error": {"code": "batch_expired", "message": "late"}}
    for file in (out, late):
        room.bodies[file["id"]] += json.dumps(row).encode() + b"\n"
        file["bytes"] = len(room.bodies[file["id"]])
    _, outcome = download(folder, wait=Clock())
    assert (len(outcome.done), len(outcome.failed)) == (9, 1)


def test_a_refused_batch_says_why(folder: Path, room: Batches, server: Service) -> None:
    room.refused = {1: ("model_not_found", "The model 'small' does not exist.")}
    report, outcome = finish(folder, server)
    assert (len(outcome.done), len(outcome.failed)) == (8, 2)
    assert report.shards[1].state == "failed"
    assert {a.why for _, a in outcome.failed.values()} == {"batch_failed: The model 'small' does not exist."}
    assert table(folder)[1]["note"] == "The model 'small' does not exist."


def test_what_a_server_has_no_room_for_is_sent_later(folder: Path, room: Batches, server: Service) -> None:
    room.most_waiting = 3
    _, outcome = finish(folder, server)
    assert len(outcome.done) == 10
    assert len(room.created) > 4
    assert set(room.asked.values()) == {1}


def test_no_more_is_sent_than_may_wait(folder: Path, room: Batches, server: Service) -> None:
    tokens = [int(r["tokens"]) for r in table(folder)]
    limits = Limits(waiting=tokens[0] + tokens[1])
    upload(folder, server.url, limits=limits, wait=Clock())
    assert len(room.created) == 2
    busiest = 0

    def wait(seconds: float) -> None:
        nonlocal busiest
        busiest = max(busiest, sum(b["status"] not in ("completed",) for b in room.created))

    _, outcome = download(folder, watch=True, limits=limits, wait=wait)
    assert len(outcome.done) == 10
    assert busiest <= 2
    convert(mix(folder / "m"), folder / "o", JUDGE)
    with pytest.raises(QuerywrightError, match="alone has about"):
        upload(folder / "o", server.url, limits=Limits(waiting=5), wait=Clock())


def test_the_budget_is_not_gone_beyond(
    folder: Path, room: Batches, server: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    price = Price(0.0, 1e6)  # one a token: 64 a row at most
    upload(folder, server.url, limits=Limits(price=price, budget=64 * 5), wait=Clock())
    assert len(room.created) == 2
    assert "does not allow helpfulness" not in capsys.readouterr().err
    download(folder, watch=True, limits=Limits(price=price, budget=64 * 5), wait=Clock())
    assert len(room.created) == 4  # what was answered cost less than the most, so more is allowed
    with pytest.raises(QuerywrightError, match="needs a price"):
        upload(folder, server.url, limits=Limits(budget=1.0), wait=Clock())


def test_a_batch_that_the_server_lost(folder: Path, room: Batches, server: Service) -> None:
    upload(folder, server.url, wait=Clock())
    room.created.pop(0)
    report, outcome = download(folder, watch=True, wait=Clock())
    assert report.shards[0].state == "gone"
    assert len(outcome.failed) == 3
    _, outcome = download(folder, watch=True, resend=True, wait=Clock())
    assert len(outcome.done) == 10


def test_a_server_that_is_gone_or_refuses_the_key(
    folder: Path, room: Batches, server: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(QuerywrightError, match="does not answer"):
        upload(folder, "http://127.0.0.1:9/v1", wait=Clock())
    room.key = "k"
    with pytest.raises(QuerywrightError, match="401"):
        upload(folder, server.url, wait=Clock())
    assert [r["state"] for r in table(folder)] == ["new"] * 4
    monkeypatch.setenv("QUERYWRIGHT_SERVER_KEY", "k")
    finish(folder, server)
    assert len(answers(folder)) == 10
    assert not any(word == "k" for p in folder.rglob("*") if p.is_file() for word in p.read_text().split('"'))
    with pytest.raises(QuerywrightError, match="password"):
        upload(folder, "http://user:secret@127.0.0.1:9/v1", wait=Clock())


def test_one_run_at_a_time(folder: Path, server: Service) -> None:
    from querywright.artefacts import alone

    with alone(folder), pytest.raises(QuerywrightError, match="another run"):
        upload(folder, server.url, wait=Clock())


# --- killed


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize("gated", ["upload", "create"])
def test_killed_between_the_servers_work_and_the_note(
    gated: str, folder: Path, room: Batches, server: Service, tmp_path: Path
) -> None:
    room.gated = (gated,)
    args = command("annotate", "upload", "--dir", folder, "--base-url", server.url)
    client = subprocess.Popen(args, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until(lambda: bool(room.uploads if gated == "upload" else room.created))
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait()
    room.gate.set()
    finish(folder, server)
    assert len([u for u in room.uploads if u["purpose"] == "batch"]) == 4
    assert len(room.created) == 4
    assert set(room.asked.values()) == {1}


def test_killed_before_rows_are_sent_again(folder: Path, room: Batches, server: Service) -> None:
    """The file of rows to be asked again is there, but was not sent: they are not put into another one."""
    room.expires = {0: 0, 2: 1}
    finish(folder, server)
    report = Report(folder)
    made = ask_again(report, 3)
    (folder / "requests" / made[1].file).unlink()  # killed between the two files
    upload(folder, server.url, failed=True, wait=Clock())
    _, outcome = download(folder, watch=True, wait=Clock())
    assert len(outcome.done) == 10
    assert set(room.asked.values()) == {1}


# --- reading what others wrote


def test_a_report_that_was_spoilt(folder: Path) -> None:
    text = (folder / CSV).read_text(encoding="utf-8")
    for wrong in (text.replace("tokens", "token", 1), text.replace(",3,", ",three,", 1), text + "a,b\n", "\x00\n\xff"):
        (folder / CSV).write_text(wrong, encoding="utf-8")
        with pytest.raises(QuerywrightError, match=r"batches\.csv") as error:
            Report(folder)
        assert "delete it" in error.value.hint
    (folder / CSV).unlink()
    assert [s.rows for s in Report(folder).shards] == [3, 2, 3, 2]


def test_a_servers_words_are_no_formula(folder: Path, room: Batches, server: Service) -> None:
    room.refused = {0: ("x", '=HYPERLINK("http://x")\n\x1b[31m')}
    finish(folder, server)
    note = table(folder)[0]["note"]
    assert note.startswith("'=")
    assert "\x1b" not in note
    assert Report(folder).shards[0].note == '=HYPERLINK("http://x") [31m'


ODD: list[Any] = [None, "x", [None], {"choices": 3}, {"choices": [{"message": {"content": None}}]}, True]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_lines_are_failures_not_crashes(folder: Path, room: Batches, server: Service, odd: Any) -> None:
    upload(folder, server.url, wait=Clock())
    status(folder, watch=True, wait=Clock())
    for file in room.uploads:
        if file["purpose"] == "batch_output":
            lines = [json.loads(line) for line in room.bodies[file["id"]].splitlines()]
            for where in ("response", "error", "custom_id"):
                lines.append({**lines[0], where: odd})
            lines += [{**lines[0], "response": {"status_code": 200, "body": odd}}]
            lines[0] = {**lines[0], "response": {"status_code": odd, "body": odd}}
            room.bodies[file["id"]] = "".join(json.dumps(line) + "\n" for line in lines).encode() + b"{\n[]\n7\n{}\n"
            file["bytes"] = len(room.bodies[file["id"]])
    _, outcome = download(folder, wait=Clock())
    assert len(outcome.done) + len(outcome.failed) == 10
    assert len(outcome.done) >= 6


def line(name: str, text: str, status: int = 200) -> dict[str, Any]:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    return {"custom_id": name, "response": {"status_code": status, "body": body}, "error": None}


def test_a_text_beats_a_failure_wherever_it_stands(tmp_path: Path) -> None:
    good, bad = line("a", "Rating: 1"), {"custom_id": "a", "response": None, "error": {"message": "late"}}
    for n, rows in enumerate(([good, bad], [bad, good])):
        write_jsonl(tmp_path / f"one{n}" / "h-00000.jsonl", rows)
        write_jsonl(tmp_path / f"two{n}" / "results" / "h-00000.jsonl", rows[:1])
        write_jsonl(tmp_path / f"two{n}" / "results" / "again-1-h-00000.jsonl", rows[1:])
        for folder in (tmp_path / f"one{n}", tmp_path / f"two{n}"):
            assert answers(folder)["a"].text == "Rating: 1"
    write_jsonl(tmp_path / "two0" / "results" / "again-2-h-00000.jsonl", [line("a", "Rating: 2")])
    assert answers(tmp_path / "two0")["a"].text == "Rating: 2"


def test_an_answer_is_one_only_with_a_good_status_and_a_text() -> None:
    assert read_line(line("a", "Rating: 1", 503)) == Answer("a", status=503, why="HTTP 503")
    assert read_line(line("a", " ")) == Answer("a", status=200, why="an empty answer")
    refused = line("a", "")
    refused["response"]["body"]["choices"][0]["message"]["refusal"] = "I can't\x1b[2J rate that"
    answer = read_line(refused)
    assert answer is not None
    assert answer.why == "refused: I can't [2J rate that"


def test_results_of_elsewhere_are_taken(folder: Path) -> None:
    """What `vllm run-batch -i requests/X -o results/X` wrote: no batch, no server."""
    for path in sorted((folder / "requests").glob("*.jsonl")):
        rows = [
            {
                "id": "vllm-1", "custom_id": r["custom_id"], "error": None,
                "response": {"status_code": 200, "request_id": "v", "body": {
                    "choices": [{"index": 0, "message": {"role": "assistant", "content": [{"text": "Rating: 2"}]}}],
                    "usage": None,
                }},
            }
            for r in read_jsonl(path)
        ]  # fmt: skip
        write_jsonl(folder / "results" / path.name, rows)
    report = status(folder)
    assert [s.state for s in report.shards] == ["completed"] * 4
    assert {a.text for a in report.outcome().done.values()} == {"Rating: 2"}
