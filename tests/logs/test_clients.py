"""Who counts as one client: addresses in other spellings, with ports, from one network, behind proxies."""

from __future__ import annotations

from pathlib import Path

import pytest

from querywright.api.definition import load
from querywright.errors import QuerywrightError
from querywright.logs.build import build
from querywright.logs.formats import Options
from querywright.logs.shard import who


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (b"203.0.113.7", b"203.0.113.7:51234"),
        (b"203.0.113.7", b"::ffff:203.0.113.7"),
        (b"203.0.113.7", b"6.6.6.6, 203.0.113.7"),  # what the client itself wrote stands first
        (b"2001:db8::1", b"[2001:DB8:0:0::2]:443"),
        (b"2001:db8::1", b"2001:db8::ffff:1"),
        (b"Host.example", b"host.example"),
    ],
)
def test_one_client(x: bytes, y: bytes) -> None:
    assert who(x) == who(y)


@pytest.mark.parametrize(("x", "y"), [(b"203.0.113.7", b"203.0.113.8"), (b"2001:db8::1", b"2001:db8:1::1")])
def test_two_clients(x: bytes, y: bytes) -> None:
    assert who(x) != who(y)


@pytest.mark.parametrize(
    ("written", "client"),
    [
        (b"9.9.9.9,", b"9.9.9.9"),
        (b"6.6.6.6, 9.9.9.9:80,", b"9.9.9.9"),
        (b'"[2001:db8::1]:80"', b"2001:db8::2"),
        (b"6.6.6.6,9.9.9.9", b"9.9.9.9"),
    ],
)
def test_a_comma_after_an_address_is_not_the_address(written: bytes, client: bytes) -> None:
    assert who(written) == who(client) != who(b"")


COMBINED = '{} - - [21/Nov/2026:10:00:00 +0000] "GET /v3/query?q=cdk{} HTTP/1.1" 200 5 "-" "curl/8.5.0"'
COMMON = '{} - - [21/Nov/2026:10:00:00 +0000] "GET /v3/query?q=cdk{} HTTP/1.1" 200 5'
FORWARDED = '{} "GET /v3/query?q=cdk{} HTTP/1.1" 200'
FORWARDED_FORMAT = '$http_x_forwarded_for "$request" $status'
JSON = '{{"remote_addr": "{}", "path": "/v3/query?q=cdk{}", "status": 200}}'
JSON_LIST = '{{"x_forwarded_for": ["6.6.6.{1}", "{0}"], "path": "/v3/query?q=cdk{1}", "status": 200}}'

ONE = ["9.9.9.9:{}", "2001:db8::{}", "[2001:db8::{}]:443", "6.6.6.{}, 9.9.9.9", "6.6.6.{}, 6.7.8.{}, 9.9.9.9"]
TWO = ["9.9.9.{}", "2001:db8:{}::1", "6.6.6.6, 9.9.9.{}", "6.6.6.6, 7.7.7.7, 9.9.9.{}"]


def single(tmp_path: Path, line: str, address: str, log_format: str = "", more: str = "") -> bool:
    """Whether lines with the address (a number in it changes) count as one client's, through the stage itself."""
    log = tmp_path / "a.log"
    log.write_text("".join(line.format(address.replace("{}", str(n)), n) + "\n" for n in range(1, 41)) + more)
    try:
        report = build(load("mygene"), [str(log)], tmp_path / "out", options=Options(format=log_format))
    except QuerywrightError as error:
        return "one client alone" in str(error)
    assert report["accepted"] == report["lines"]
    return False


LINES = [(COMBINED, ""), (COMMON, ""), (FORWARDED, FORWARDED_FORMAT), (JSON, "")]


@pytest.mark.parametrize(("line", "log_format"), LINES)
@pytest.mark.parametrize("address", [*ONE, *TWO])
def test_one_client_stays_one_through_the_stage(tmp_path: Path, line: str, log_format: str, address: str) -> None:
    assert single(tmp_path, line, address, log_format) == (address in ONE)


@pytest.mark.parametrize(("address", "one"), [("9.9.9.9,", True), ("9.9.9.9:{},", True), ("9.9.9.{},", False)])
def test_a_list_may_end_with_a_comma(tmp_path: Path, address: str, one: bool) -> None:
    assert single(tmp_path, COMBINED, address) == one


@pytest.mark.parametrize(("address", "one"), [("9.9.9.9", True), ("9.9.9.{}", False)])
def test_of_a_list_of_headers_the_last_counts(tmp_path: Path, address: str, one: bool) -> None:
    assert single(tmp_path, JSON_LIST, address) == one


def test_the_address_that_the_server_saw_goes_before_the_forwarded_one(tmp_path: Path) -> None:
    log_format = f"$remote_addr {FORWARDED_FORMAT}"
    assert single(tmp_path, "9.9.9.9 " + FORWARDED, "6.6.6.{}", log_format)
    assert not single(tmp_path, '9.9.9.{1} {0} "GET /v3/query?q=cdk{1} HTTP/1.1" 200', "6.6.6.6", log_format)


@pytest.mark.parametrize("nobody", ["/v3/query?q=cdk7\n", COMBINED.format("-", 7) + "\n"])
def test_lines_of_nobody_are_no_second_client(tmp_path: Path, nobody: str) -> None:
    assert single(tmp_path, COMBINED, "9.9.9.9", more=nobody * 3)
    assert not single(tmp_path, COMBINED, "9.9.9.{}", more=nobody * 3)
