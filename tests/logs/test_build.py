"""The stage: lines are accounted for, rare shapes survive, same seed same bytes, resumed equals uninterrupted."""

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from querywright.api.call import Call
from querywright.api.definition import load
from querywright.api.problems import RefusedAddress
from querywright.errors import QuerywrightError
from querywright.logs.build import FILES, build
from querywright.logs.formats import Options
from querywright.logs.validate import CACHE, probe

API = load("mygene")
SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "mygene_access.log.gz"


class Fake:
    """An executor that finds nothing for symbols in Q and refuses fuzzy terms; stops after `until` calls."""

    def __init__(self, until: int = 10**9) -> None:
        self.until, self.ran = until, []

    def run(self, call: Call) -> SimpleNamespace:
        if len(self.ran) >= self.until:
            raise KeyboardInterrupt
        self.ran.append(call.canonical)
        if "~" in call.text:
            raise QuerywrightError("no fuzzy terms here")
        return SimpleNamespace(total=0 if "symbol:Q" in call.text else len(call.text))


def combined(
    path: str, status: int = 200, agent: str = "curl/8.5.0", ip: str = "203.0.113.7", method: str = "GET"
) -> str:
    return f'{ip} - - [02/Mar/2026:08:16:53 +0000] "{method} {path} HTTP/1.1" {status} 40 "-" "{agent}"'


def write(tmp_path: Path, lines: list[str], name: str = "a.log") -> str:
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    return str(tmp_path / name)


def make(sources: list[str], out: Path, **options: Any) -> dict[str, Any]:
    """`build` where one client may say all."""
    return build(API, sources, out, **{"keep_single_client": True, "per_client": 1000, **options})


def rows(out: Path, name: str = "calls.jsonl") -> list[dict]:
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def many() -> list[str]:
    common = [combined(f"/v3/query?q=symbol:{'Q' if i % 5 == 0 else ''}A{i}&species=human") for i in range(120)]
    rare = [
        combined("/v3/query?q=symbol:CDK?&sort=-symbol"),
        combined("/v3/query?q=_exists_:pdb&fetch_all=true"),
        combined("/v3/query?q=symbol:CDK2~1"),
        combined("/v3/gene/1017?fields=go"),
        combined("/v3/query?q=chr1:1-1000"),
    ]
    return common + rare


def test_lines_are_accounted_for(tmp_path) -> None:
    hostile = [
        "",
        "\x00\x00",
        "x" * 200_000,
        combined("/v3/query?q=a")[:50],
        combined("/v3/query?q=a", 500),
        combined("/v3/query?q=a", method="POST"),
        combined("/v3/query?q=a", agent="CCBot/2.0"),
        combined("/status"),
        combined("/favicon.ico"),
        combined("/v3/query?q=a&size=abc"),
        combined("/v3/query?q=%FF%FE"),
        combined("/v3/query?q=(a"),
        combined("/v3/query?scroll_id=abc"),
        combined("/v3/query?q=nofield:a"),
        combined("/v3/query?q=a"),
        combined("/v3/query?q=a"),
        "{}",
        '{"path": "/v3/gene/1"}',
        "/v3/gene/2",
        "\ufffd\ufffe",
    ]
    report = make([write(tmp_path, hostile)], tmp_path / "out", rejects=tmp_path / "rejects.jsonl")
    assert report["lines"] == len(hostile) == report["accepted"] + sum(report["rejected"].values())
    assert report["accepted"] == 4
    assert sum(report["bad_call"].values()) == report["rejected"]["bad_call"] == 5
    noted = rows(tmp_path, "rejects.jsonl")
    assert sum(r.get("count", 1) for r in noted) == sum(report["rejected"].values())


def test_the_sample_log(tmp_path) -> None:
    report = build(API, [str(SAMPLE)], tmp_path / "out", keep_single_client=True)
    assert report["lines"] == 40_000 == report["accepted"] + sum(report["rejected"].values())
    assert all(
        report["rejected"][r] > 100 for r in ("malformed", "not_get", "status", "probe", "bot", "not_api", "bad_call")
    )
    assert report["accepted"] > 25_000
    assert report["signatures"] > 3000
    assert report["kept_signatures"] == report["signatures"]
    assert report["calls"] == report["kept"] + report["not_sampled"]
    text = (tmp_path / "out" / "calls.jsonl").read_text()
    assert "example.o" not in text
    assert "email" not in text
    assert "203.0.113" not in text


def test_rare_signatures_survive_and_frequent_ones_are_capped(tmp_path) -> None:
    report = make([write(tmp_path, many())], tmp_path / "out", per_signature=10)
    kept = rows(tmp_path / "out")
    assert report["signatures"] == 6
    assert sorted(sum(r["signature"] == s for r in kept) for s in {r["signature"] for r in kept}) == [1, 1, 1, 1, 1, 10]
    assert sum(r["weight"] for r in kept) == pytest.approx(report["accepted"], rel=1e-3)


def test_calls_without_hits_make_room_for_others(tmp_path) -> None:
    report = make([write(tmp_path, many())], tmp_path / "out", per_signature=40, executor=Fake(), executor_id="fake")
    kept, candidates = rows(tmp_path / "out"), rows(tmp_path / "out", "candidates.jsonl")
    assert sum("symbol:A" in r["path"] for r in kept) == 40
    assert all(r["hits"] for r in kept)
    assert report["failed"] == 1
    assert {bool(r["hits"]) for r in candidates} == {False}
    assert report["calls"] == report["kept"] + report["no_hits"] + report["failed"] + report["not_sampled"]


def test_calls_on_fields_that_no_record_has_are_marked(tmp_path) -> None:
    class NoPdb(Fake):
        def run(self, call: Call) -> SimpleNamespace:
            return SimpleNamespace(total=0 if any(x in call.text for x in ("pdb", "zz", "hg19", "ensembl")) else 3)

    paths = ["/v3/query?q=pdb:1AQ1", "/v3/query?q=symbol:zz", "/v3/query?q=symbol:CDK2", "/v3/query?q=hg19.chr1:1-9"]
    paths.append("/v3/query?q=symbol:CDK2&ensemblonly=true")
    report = make([write(tmp_path, paths)], tmp_path / "out", executor=NoPdb(), executor_id="fake")
    candidates = rows(tmp_path / "out", "candidates.jsonl")
    assert {r["path"]: r.get("uncovered") for r in candidates} == {
        paths[0]: ["pdb"], paths[1]: None, paths[3]: ["genomic_pos_hg19.start"], paths[4]: ["ensembl.gene"],
    }  # fmt: skip
    assert (report["no_hits"], report["uncovered"], report["kept"]) == (4, 3, 1)


def test_same_seed_same_bytes_another_seed_another_sample(tmp_path) -> None:
    log = write(tmp_path, many())
    shuffled = many()
    random.Random(1).shuffle(shuffled)
    other = write(tmp_path, shuffled, "b.log")
    for name, source, seed in (("a", log, 1), ("b", other, 1), ("c", log, 2)):
        make([source], tmp_path / name, per_signature=10, seed=seed)
    read = {name: (tmp_path / name / "calls.jsonl").read_bytes() for name in "abc"}
    assert read["a"] == read["b"] != read["c"]


def test_resumed_equals_uninterrupted(tmp_path) -> None:
    log = write(tmp_path, many())
    make([log], tmp_path / "whole", per_signature=40, executor=Fake(), executor_id="fake")
    stopped, resumed = Fake(until=30), Fake()
    with pytest.raises(KeyboardInterrupt):
        make([log], tmp_path / "two", per_signature=40, executor=stopped, executor_id="fake")
    assert not (tmp_path / "two" / "manifest.json").exists()
    with open(tmp_path / "two" / CACHE, "a") as cache:
        cache.write('{"call": "/v3/query?q=sy')  # as a kill leaves it
    make([log], tmp_path / "two", per_signature=40, executor=resumed, executor_id="fake")
    assert len(stopped.ran) == 30
    assert not set(stopped.ran) & set(resumed.ran)
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_finished_run_is_not_made_again_and_another_service_is_asked_anew(tmp_path) -> None:
    log = write(tmp_path, many())
    runs = []
    for executor_id in ("fake", "fake", "other"):
        fake = Fake()
        make([log], tmp_path / "out", executor=fake, executor_id=executor_id)
        runs.append(len(fake.ran))
    assert runs[0] == runs[2] > 0 == runs[1]


def test_an_unreachable_service_is_no_verdict_on_a_call(tmp_path) -> None:
    class Down:
        def run(self, call: Call) -> None:
            raise QuerywrightError("connection refused", retryable=True)

    with pytest.raises(QuerywrightError, match="refused"):
        make([write(tmp_path, many())], tmp_path / "out", executor=Down(), executor_id="down")
    assert not (tmp_path / "out" / "calls.jsonl").exists()


def test_a_call_that_gets_no_answer_does_not_stop_the_others(tmp_path) -> None:
    class Slow(Fake):
        def run(self, call: Call) -> SimpleNamespace:
            if "symbol:A7&" in call.text:
                raise QuerywrightError("timed out", retryable=True)
            return super().run(call)

    log = write(tmp_path, many())
    report = make([log], tmp_path / "out", per_signature=200, executor=Slow(), executor_id="slow")
    failed = [r for r in rows(tmp_path / "out", "candidates.jsonl") if "error" in r]
    assert sorted(r["error"] for r in failed) == ["no answer: timed out", "no fuzzy terms here"]
    assert report["kept"] > 90


def test_a_run_in_which_every_call_fails_is_no_success(tmp_path) -> None:
    log = write(tmp_path, [combined("/v3/query?q=symbol:CDK2~1", ip=ip) for ip in ("203.0.113.7", "203.0.113.8")])
    with pytest.raises(QuerywrightError, match="all 1 calls that were run failed: no fuzzy terms here"):
        make([log], tmp_path / "out", executor=Fake(), executor_id="fake")
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert [r["error"] for r in rows(tmp_path / "out", "candidates.jsonl")] == ["no fuzzy terms here"]


def test_a_refused_address_ends_the_run_at_the_first_call(tmp_path) -> None:
    class Refused(Fake):
        def run(self, call: Call) -> SimpleNamespace:
            super().run(call)
            raise RefusedAddress("no request goes there")

    executor = Refused()
    with pytest.raises(RefusedAddress):
        make([write(tmp_path, many())], tmp_path / "out", executor=executor, executor_id="fake")
    assert len(executor.ran) == 1


def test_an_empty_log_is_said_to_be_empty(tmp_path, capsys) -> None:
    (tmp_path / "empty.log").touch()
    with pytest.raises(QuerywrightError, match="the log is empty"):
        make([str(tmp_path / "empty.log")], tmp_path / "out")
    assert "combined" not in capsys.readouterr().err
    make([str(tmp_path / "empty.log"), write(tmp_path, many())], tmp_path / "out")
    assert "empty.log: the log is empty" in capsys.readouterr().err


def test_lines_of_no_format_are_told_to_name_one(tmp_path) -> None:
    with pytest.raises(QuerywrightError, match="none of 3 lines") as said:
        make([write(tmp_path, ["so", "it", "goes"])], tmp_path / "out")
    assert "--format" in said.value.hint


def test_personal_data_reaches_no_file(tmp_path) -> None:
    lines = [
        combined("/v3/query?q=cdk2&email=jane.roe@example.org"),
        combined("/v3/query?q=jane.roe%40example.org"),
        combined("/v3/query?q=cdk2&size=abc&email=jane.roe%40example.org"),
        combined("/v3/query?q=cdk2", ip="203.0.113.8"),
        combined("/x?email=jane.roe@example.org"),
        combined("/v3/query?q=cdk2&lname=Croesus&patient_id=998877"),
        combined("/~jane.roe/private?note=Croesus"),
        combined("/~jane.roe/private?note=Croesus", 404),
        combined("/v3/query?q=cdk2&dob=998877&note=jane.roe", 500),
        combined("/v3/query?q=cdk2&jane.roe=1"),
        combined("/v3/query?q=" + "cdk2 " * 4000),
    ]
    report = make([write(tmp_path, lines)], tmp_path / "out", rejects=tmp_path / "out" / "rejects.jsonl")
    assert report["bad_call"] == {"unknown_parameter": 2, "bad_value": 1, "too_long": 1}
    assert report["rejected"]["personal_data"] == 1
    assert sum(report["masked"].values()) == 2
    assert [r["clients"] for r in rows(tmp_path / "out")] == [2]
    for path in (tmp_path / "out").iterdir():
        assert "roe" not in path.read_text()
        assert "203.0" not in path.read_text()


def test_spellings_of_one_call_are_counted_together(tmp_path) -> None:
    spellings = [
        "/v3/query?q=symbol:CDK2&size=5",
        "/v3/query?size=5&q=symbol%3ACDK2",
        "/v3/query/?limit=5&q=symbol:CDK2",
        "/v3/query?q=symbol%253ACDK2&size=5",
        "/v2/query?q=symbol:CDK2&size=5&email=a@example.org",
    ]
    make([write(tmp_path, [combined(s) for s in spellings])], tmp_path / "out")
    assert [(r["path"], r["count"]) for r in rows(tmp_path / "out")] == [("/v3/query?q=symbol:CDK2&size=5", 5)]


def test_json_lines_with_where(tmp_path) -> None:
    log = write(
        tmp_path,
        [json.dumps({"api": a, "path": f"/v3/gene/{i}"}) for i, a in enumerate(["mygene", "mychem", "mygene"])],
    )
    report = make([log], tmp_path / "out", options=Options(where=(("api", "mygene"),)))
    assert (report["accepted"], report["rejected"]["where"]) == (2, 1)


def test_logs_without_a_call_say_so(tmp_path) -> None:
    with pytest.raises(QuerywrightError, match="not_api"):
        make([write(tmp_path, [combined("/favicon.ico")])], tmp_path / "out")
    assert not (tmp_path / "out" / "calls.jsonl").exists()


def test_calls_that_differ_in_what_they_show_run_once() -> None:
    from querywright.api.call import parse

    paths = [
        "/v3/query?q=symbol:CDK2&fields=go",
        "/v3/query?q=symbol:CDK2&size=50&from=5&dotfield=true",
        "/v3/query?q=symbol:CDK2&fetch_all=1",
    ]
    assert len({probe(parse(API, p)).canonical for p in paths}) == 1
    assert probe(parse(API, paths[0])).canonical != probe(parse(API, "/v3/query?q=symbol:CDK2&species=human")).canonical
