# ruff: noqa: E501 - one line of a log a line
"""The whole stage on hostile logs of every format: the lines are counted exactly, the calls found, nobody is named."""

import gzip
import json
import random
from pathlib import Path

import pytest

from querywright.api.definition import load
from querywright.logs.build import build
from querywright.logs.formats import Options
from querywright.logs.source import MAX_LINE

zstandard = pytest.importorskip("zstandard", reason="needs the package zstandard")
API = load("mygene")
AGENT = "python-requests/2.31.0"
TIME = "02/Mar/2026:08:16:53 +0000"
MINE = "$request_method $request_uri $status $remote_addr [$time_local]"
HOSTILE = [
    b"",
    b"   ",
    b"\x00" * 50,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\xff\xfe\xed\xa0\x80",
    b'"',
    b"\\x",
    b'GET "%',
    b"z" * (MAX_LINE + 1),
    b"{" * 3000,
    b'{"path": "/v3/gene/1',
]
"""No requests in any format."""


def line(kind: str, path: str, client: str) -> str:
    before, _, query = path.partition("?")
    rows = {
        "combined": f'{client} - - [{TIME}] "GET {path} HTTP/1.1" 200 40 "http://x.org/?u=jane.roe@example.org" "{AGENT}"',
        "common": f'{client} - jane.roe [{TIME}] "GET {path} HTTP/1.1" 200 40',
        "alb": f'h2 2026-03-02T08:16:53Z app/a/5 {client}:281 10.0.0.1:80 0 0 0 200 200 3 6 "GET https://x.org:443{path} '
        f'HTTP/2.0" "{AGENT}" - - arn "Root=1" "-" "-" 0 2026-03-02T08:16:53Z "forward" "-" "-"',
        "elb": f'2026-03-02T08:16:53Z a {client}:281 10.0.0.1:80 0 0 0 200 200 3 6 "GET https://x.org:443{path} HTTP/1.1" '
        f'"{AGENT}" - -',
        "cloudfront": f"2026-03-02\t08:16:53\tLAX1\t{client}\tGET\t{before}\t200\t{AGENT}\t{query or '-'}\tsid=jane.roe",
        "json": json.dumps({"remote_addr": client, "request_uri": path, "status": 200, "http_user_agent": AGENT, "u": "jane.roe"}),
        "caddy": json.dumps({"request": {"client_ip": client, "uri": path, "headers": {"User-Agent": [AGENT]}}, "status": 200}),
        "csv": f'{client},"{path}",200,"{AGENT}",jane.roe',
        "paths": path,
        "mine": f"GET {path} 200 {client} [{TIME}]",
    }  # fmt: skip
    return rows[kind]


HEADERS = {
    "cloudfront": "#Version: 1.0\n#Fields: date time x-edge-location c-ip cs-method cs-uri-stem sc-status cs(User-Agent) "
    "cs-uri-query cs(Cookie)",
    "csv": "ip,path,status,agent,who",
}
KINDS = ["combined", "common", "alb", "elb", "cloudfront", "json", "caddy", "csv", "paths", "mine"]


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_line_is_counted_and_every_call_found(tmp_path: Path, kind: str, ends: bytes) -> None:
    r = random.Random(kind)
    paths = [f"/v3/gene/{n}?fields=symbol" for n in range(1, 40)] + ["/v3/query?q=jane.roe%40example.org&size=1"]
    good = [line(kind, p, f"203.0.113.{n % 9 + 1}").encode() for n, p in enumerate(paths * 2)]
    rest = good[5:] + HOSTILE * 2
    r.shuffle(rest)
    header = HEADERS[kind].encode().split(b"\n") if kind in HEADERS else []
    lines = header + good[:5] + rest  # the first lines tell the format
    data = ends.join(lines) + ends
    packed = r.choice([bytes, gzip.compress, zstandard.ZstdCompressor().compress])(data)
    log = tmp_path / "access.log"
    log.write_bytes(packed)
    report = build(
        API, [str(log)], tmp_path / "out", rejects=tmp_path / "out" / "rejects.jsonl", keep_single_client=kind == "paths",
        options=Options(format=MINE if kind == "mine" else ""),
    )  # fmt: skip
    rejected = {reason: n for reason, n in report["rejected"].items() if n}
    assert report["lines"] == len(lines) == report["accepted"] + sum(rejected.values())
    assert report["accepted"] == 78
    assert rejected.pop("header", 0) == len(header)
    assert rejected == {"malformed": len(HOSTILE) * 2, "personal_data": 2}
    assert report["calls"] == 39
    for path in (tmp_path / "out").iterdir():
        text = path.read_text()
        assert "roe" not in text
        assert "203.0.113" not in text
