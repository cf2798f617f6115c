"""Filtering: one reason code a line; users of the API are never taken for crawlers."""

import pytest

from querywright.api.definition import load
from querywright.logs.filter import REASONS, agent_kind, reject
from querywright.logs.read import Line

API = load("mygene")


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "-",
        "python-requests/2.31.0",
        "curl/8.5.0",
        "Go-http-client/1.1",
        "biothings_client.py/0.3.1 (python:3.11.7 requests:2.31.0)",
        "Python-mygene/3.2.2",
        "mygene.R (libcurl/7.68.0 r-curl/4.3.2 httr/1.4.5)",
        "libcurl/8.4.0 r-curl/5.2.0 httr/1.4.7",
        "axios/1.6.7",
        "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
        "okhttp/4.12.0",
        "Java/17.0.9",
        "Python/3.11 aiohttp/3.9.3",
        "Wget/1.21.4",
        "Python-urllib/3.10",
        "PostmanRuntime/7.36.3",
        "Ruby",
        "libwww-perl/6.72",
        "Apache-HttpClient/4.5.14 (Java/11.0.21)",
        "Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0",
    ],
)
def test_clients_are_users(agent: str) -> None:
    assert agent_kind(agent) == "user"


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "bot"),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "bot"),
        ("python-requests/2.31.0 (MyCrawler; crawl@example.org)", "bot"),
        ("CCBot/2.0 (https://commoncrawl.org/faq/)", "bot"),
        ("ELB-HealthChecker/2.0", "probe"),
        ("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "probe"),
        ("kube-probe/1.28", "probe"),
    ],
)
def test_crawlers_and_probes(agent: str, kind: str) -> None:
    assert agent_kind(agent) == kind


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (None, "malformed"),
        (Line("/v3/query?q=cdk2", "POST", 200), "not_get"),
        (Line("/v3/query?q=cdk2", "HEAD", 200), "not_get"),
        (Line("/v3/query?q=cdk2", "GET", 500), "status"),
        (Line("/v3/query?q=cdk2&size=x", "GET", 400), "status"),
        (Line("/status", "GET", 200), "probe"),
        (Line("/v3/gene/1", "GET", 200, "kube-probe/1.28"), "probe"),
        (Line("/v3/gene/1", "GET", 200, "CCBot/2.0"), "bot"),
        (Line("/wp-login.php", "GET", 200), "not_api"),
        (Line("/v3/query/docs", "GET", 200), "not_api"),
        (Line("/v3/genes/1", "GET", 200), "not_api"),
        (Line("/", "GET", 200), "not_api"),
        (Line("/v3/query?q=cdk2", "GET", 200), None),
        (Line("/v3/query/?q=cdk2", "GET", 304), None),
        (Line("/v2/gene/1017", "GET", None), None),
        (Line("/query?q=cdk2", "GET", 200, "curl/8.5.0"), None),
        (Line("/v3/metadata", "GET", 200), None),
    ],
)
def test_reasons(line: Line | None, reason: str | None) -> None:
    assert reject(line, API) == reason
    assert reason is None or reason in REASONS


def test_where_concerns_json_lines_only() -> None:
    where = (("api", "mygene"),)
    assert reject(Line("/v3/gene/1", fields={"api": "mygene"}), API, where) is None
    assert reject(Line("/v3/gene/1", fields={"api": "mychem"}), API, where) == "where"
    assert reject(Line("/v3/gene/1"), API, where) is None
