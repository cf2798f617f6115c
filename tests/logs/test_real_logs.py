"""Real logs that lie beside the project: every line is accounted for, and few real calls are lost."""

from pathlib import Path

import pytest

from querywright.api.definition import load
from querywright.errors import QuerywrightError
from querywright.logs.build import build
from querywright.logs.read import Options, parse_line, raw_lines

DATA = Path(__file__).parents[3] / "shared" / "data"
API = load("mygene")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real logs are not beside this checkout")


@pytest.mark.parametrize(
    ("name", "lines", "malformed"),
    [("apache_combined_elastic.log", 10_000, 0), ("nasa_http_jul95_common.log", 4_000, 0)],
)
def test_real_access_logs_are_read(name: str, lines: int, malformed: int) -> None:
    parsed = [parse_line(raw) for raw in raw_lines(str(DATA / "logs" / name))]
    assert len(parsed) == lines
    assert sum(p is None for p in parsed) <= malformed + lines // 1000


@pytest.mark.parametrize("name", ["apache_combined_elastic.log", "aws_alb_samples.log", "json_lines_samples.log"])
def test_logs_of_other_services_hold_no_call(name: str, tmp_path) -> None:
    with pytest.raises(QuerywrightError, match="is a call to mygene"):
        build(API, [str(DATA / "logs" / name)], tmp_path / "out")


def test_requests_that_people_sent(tmp_path) -> None:
    where = Options(where=(("api", "mygene"),))
    report = build(API, [str(DATA / "real_queries.jsonl")], tmp_path / "out", options=where)
    assert report["lines"] == 919 == report["accepted"] + sum(report["rejected"].values())
    assert report["rejected"]["where"] == 547
    assert report["accepted"] >= 330  # the rest are bad requests, many of them on purpose
    assert report["signatures"] > 100
