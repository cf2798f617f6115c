"""Real logs that lie beside the project: every line is accounted for, and few real calls are lost."""

from pathlib import Path

import pytest

from querywright.api.definition import load
from querywright.errors import QuerywrightError
from querywright.logs.build import build
from querywright.logs.formats import Options, detect
from querywright.logs.privacy import scrub
from querywright.logs.source import lines, open_source

DATA = Path(__file__).parents[3] / "shared" / "data"
API = load("mygene")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real logs are not beside this checkout")


@pytest.mark.parametrize(
    ("name", "form", "count", "unread"),
    [
        ("apache_combined_elastic.log", "combined", 10_000, 1),  # one line has no closing quote
        ("nasa_http_jul95_common.log", "common", 4_000, 0),
        ("aws_alb_samples.log", "alb", 14, 0),  # the first one is a classic load balancer's
        ("aws_cloudfront_samples.log", "w3c", 8, 2),  # two headers
        ("json_lines_samples.log", "json", 6, 0),  # of three programs
    ],
)
def test_real_access_logs_are_read(name: str, form: str, count: int, unread: int) -> None:
    source = open_source(str(DATA / "logs" / name))
    found = detect(source.head.splitlines())
    assert found.name == form
    parsed = [found.parse(raw) for raw in lines(source)]
    assert len(parsed) == count
    assert sum(p is None for p in parsed) == unread
    silent = sum(not line.agent for line in parsed if line)
    assert form == "common" or silent <= max(2, count // 20)
    for line in filter(None, parsed):
        assert line.path.startswith("/")
        assert line.client
        assert line.status is not None


@pytest.mark.parametrize("name", ["apache_combined_elastic.log", "aws_alb_samples.log", "json_lines_samples.log"])
def test_logs_of_other_services_hold_no_call(name: str, tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="is a call to mygene"):
        build(API, [str(DATA / "logs" / name)], tmp_path / "out")


def test_requests_that_people_sent(tmp_path: Path) -> None:
    where = Options(where=(("api", "mygene"),))
    report = build(API, [str(DATA / "real_queries.jsonl")], tmp_path / "out", options=where, keep_single_client=True)
    assert report["lines"] == 919 == report["accepted"] + sum(report["rejected"].values())
    assert report["rejected"]["where"] == 547
    assert report["accepted"] >= 330  # the rest are bad requests, many of them on purpose
    assert report["signatures"] > 100


def test_no_request_that_people_sent_is_taken_for_personal_data() -> None:
    source = open_source(str(DATA / "real_queries.jsonl"))
    form = detect(source.head.splitlines())
    found = [scrub(line.path).found for raw in lines(source) if (line := form.parse(raw))]
    assert len(found) == 919
    assert [f for f in found if f] == [("parameter",)]  # somebody's email=
