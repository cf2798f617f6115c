"""`querywright call` and `querywright grammar` as a shell user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def run(*args: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "querywright", *args], input=text, capture_output=True, timeout=120)


def test_parse_gives_one_json_a_line_and_never_dies() -> None:
    lines = [b"\xef\xbb\xbf/v3/query?limit=5&q=symbol:CDK2\r", b"/nowhere", b"\xff\xfe", b"", b"\r"]
    lines += [b"/v3/query?q=" + b"(" * 3000, b"/v3/query?q=%00"]
    done = run("call", "parse", "--api", "mygene", "--counts", text=b"\n".join(lines) + b"\n")
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().startswith("7 paths: 3 unknown_endpoint, 2 bad_encoding, 1 call, 1 bad_query")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(lines)
    assert all(list(row) == ["path", "ok", "canonical", "reason"] for row in rows)
    assert rows[0]["ok"] is True
    assert rows[0]["canonical"] == "/v3/query?q=symbol:cdk2&size=5"
    assert rows[0]["reason"] is None
    assert all(not row["ok"] and row["canonical"] is None and row["reason"] for row in rows[1:])


def test_same_answers_with_its_exit_code() -> None:
    def same(x: str, y: str) -> subprocess.CompletedProcess[bytes]:
        return run("call", "same", "--api", "mygene", x, y)

    assert same("/v3/query?q=symbol:CDK2&size=10", "/query/?q=symbol:cdk2").returncode == 0
    assert same("/v3/query?q=symbol:CDK2", "/v3/query?q=symbol:CDK3").returncode == 1
    broken = same("/v3/query?q=symbol:CDK2", "/elsewhere")
    assert broken.returncode == 2
    assert b"'/elsewhere' is no call: unknown endpoint" in broken.stderr
    assert b"Traceback" not in broken.stderr


def test_an_unknown_api_is_a_sentence() -> None:
    done = run("call", "parse", "--api", "mygenes")
    assert done.returncode == 2
    assert b"did you mean 'mygene'" in done.stderr
    assert b"Traceback" not in done.stderr


def test_grammar_build_writes_both_forms(tmp_path: Path) -> None:
    done = run("grammar", "build", "--api", "mygene", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split() == [str(tmp_path / "mygene.lark"), str(tmp_path / "mygene.gbnf")]
    assert "call:" in (tmp_path / "mygene.lark").read_text()
    assert "root ::=" in (tmp_path / "mygene.gbnf").read_text()
