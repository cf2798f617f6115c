"""Reading: every format gives the same request, and no line raises."""

import gzip
import json
import random
import time

import pytest

from querywright.errors import QuerywrightError
from querywright.logs.build import without_email
from querywright.logs.read import MAX_LINE, Line, Options, expand, parse_line, raw_lines

PATH = "/v3/query?q=symbol%3ACDK2&species=human"
COMBINED = f'203.0.113.7 - - [02/Mar/2026:08:16:53 +0000] "GET {PATH} HTTP/1.1" 200 1340 "-" "curl/8.5.0"'


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (COMBINED, Options()),
        (COMBINED + ' 0.012 "upstream"', Options()),
        (COMBINED.replace("203.0.113.7", "2001:db8::7").replace(" - - ", " - jane doe "), Options()),
        ("www.example.org:443 " + COMBINED, Options()),
        (COMBINED.rsplit(' "-"', 1)[0], Options()),
        (COMBINED.replace(PATH, "https://mygene.info" + PATH), Options()),
        (PATH, Options()),
        ("https://mygene.info" + PATH, Options()),
        (f"GET {PATH} HTTP/1.1", Options()),
        (json.dumps({"path": PATH}), Options()),
        (json.dumps({"http": {"url": PATH}, "status": "200"}), Options("http.url")),
        (json.dumps({"request": f"GET {PATH} HTTP/2.0", "remote_addr": "203.0.113.7"}), Options("request")),
    ],
)
def test_every_format_gives_the_same_path(text: str, options: Options) -> None:
    line = parse_line(text.encode(), options)
    assert line is not None
    assert (line.method, line.path) == ("GET", PATH)
    assert line.status in (200, None)


def test_fields_of_a_combined_line() -> None:
    assert parse_line(COMBINED.encode()) == Line(PATH, "GET", 200, "curl/8.5.0", "203.0.113.7")


def test_log_escapes_become_percent_encodings() -> None:
    line = parse_line(COMBINED.replace(PATH, r"/v3/query?q=name:\x22cyclin kinase\x22").encode())
    assert line is not None
    assert line.path == "/v3/query?q=name:%22cyclin kinase%22"


def test_a_post_in_json_is_a_post() -> None:
    line = parse_line(json.dumps({"path": PATH, "method": "post", "status": 502}).encode())
    assert line is not None
    assert (line.method, line.status) == ("POST", 502)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"   ",
        b"\x00" * 40,
        b"\x16\x03\x01\x00\xf6\xff\xfe",
        b"{",
        b"{}",
        b'{"path": 7}',
        b'{"path": ""}',
        b"[1, 2]",
        b'{"path":' * 5000,
        b"hello",
        COMBINED[:60].encode(),
        COMBINED.encode() + COMBINED.encode(),
        COMBINED.replace(f"GET {PATH} HTTP/1.1", r"\x16\x03\x01").encode(),
        COMBINED.replace(f"GET {PATH} HTTP/1.1", "").encode(),
    ],
)
def test_what_is_no_line_is_none(raw: bytes | None) -> None:
    assert parse_line(raw) is None


def test_no_line_raises() -> None:
    r = random.Random(5)
    for _ in range(3000):
        raw = bytearray(COMBINED.encode())
        for _ in range(r.randint(1, 8)):
            raw[r.randrange(len(raw))] = r.randrange(256)
        parse_line(bytes(raw[: r.randint(0, len(raw))]))


@pytest.mark.parametrize(
    "text",
    [
        "a b c" + "[" * 60_000,
        "a" * 60_000,
        "a:1 " * 15_000,
        COMBINED[:-1] + '\\"' * 30_000,
        '{"path": "/v3/gene/\\ud800", "ip": "\\ud800"}',
        COMBINED.replace("GET", "GET " * 10_000),
        '{"path": "/x", "n": ' + "1" * 60_000 + "}",
        COMBINED.replace("CDK2", "a@" * 25_000),
    ],
)
def test_hostile_lines_cost_no_time(text: str) -> None:
    start = time.perf_counter()
    line = parse_line(text.encode())
    without_email(line.path if line else text)
    assert time.perf_counter() - start < 0.5
    assert line is None or line.path.encode()


def test_long_lines_are_skipped_and_counted(tmp_path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"/v3/gene/1\n" + b"x" * 1_000_000 + b"\n/v3/gene/2\n" + b"y" * (MAX_LINE + 1))
    assert list(raw_lines(str(log))) == [b"/v3/gene/1", None, b"/v3/gene/2", None]


def test_gzip_is_known_by_its_bytes_and_a_cut_file_gives_what_it_has(tmp_path, capsys) -> None:
    text = "".join(f"/v3/gene/{i}\n" for i in range(20_000)).encode()
    whole, cut = tmp_path / "whole.log", tmp_path / "cut.log"
    whole.write_bytes(gzip.compress(text))
    cut.write_bytes(gzip.compress(text)[:-9000])
    assert len(list(raw_lines(str(whole)))) == 20_000
    assert 0 < len(list(raw_lines(str(cut)))) < 20_000
    assert "cut or damaged" in capsys.readouterr().err


def test_patterns_are_sorted_and_a_missing_log_is_said(tmp_path) -> None:
    for name in ("b.log", "a.log"):
        (tmp_path / name).touch()
    assert [p[-5:] for p in expand([str(tmp_path / "*.log")])] == ["a.log", "b.log"]
    for wrong in (str(tmp_path / "none*.log"), str(tmp_path)):
        with pytest.raises(QuerywrightError):
            expand([wrong])
