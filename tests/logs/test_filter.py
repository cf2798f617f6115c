# ruff: noqa: E501 - one user agent a line
"""Filtering: one reason code a line; users of the API are never taken for crawlers."""

import pytest

from querywright.api.call import CallError, parse
from querywright.api.definition import API as Definition
from querywright.api.definition import load
from querywright.logs import filter as filter_module
from querywright.logs.crawlers import fixed_text, listed
from querywright.logs.filter import REASONS, agent_kind, of_path, of_request

API = load("mygene")


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "-",
        "python-requests/2.31.0",
        "python-httpx/0.27",
        "Python-urllib/3.10",
        "Python/3.11 aiohttp/3.9.3",
        "niquests/3.5",
        "PycURL/7.45.2 libcurl/8.1",
        "curl/8.5.0",
        "Wget/1.21.4",
        "Go-http-client/2.0",
        "biothings_client.py/0.3.1 (python:3.11.7 requests:2.31.0)",
        "Python-mygene/3.2.2",
        "mygene.R (libcurl/7.68.0 r-curl/4.3.2 httr/1.4.5)",
        "libcurl/8.4.0 r-curl/5.2.0 httr/1.4.7",
        "httr2/1.0.0 r-curl/5.2.0 libcurl/8.4.0",
        "RCurl",
        "R (4.3.1 x86_64-pc-linux-gnu x86_64 linux-gnu)",
        "RStudio Desktop (2023.9.1.494); R (4.3.1)",
        "my-shiny-app r-curl/5.2.0",
        "okhttp/4.12.0",
        "Java/17.0.9",
        "Java-http-client/17.0.9",
        "Apache-HttpClient/4.5.14 (Java/11.0.21)",
        "Jakarta Commons-HttpClient/3.1",
        "ReactorNetty/1.1.13",
        "AHC/2.1",
        "akka-http/10.5.0",
        "axios/1.6.7",
        "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
        "undici",
        "got (https://github.com/sindresorhus/got)",
        "node-superagent/8.1.2",
        "Deno/1.40.0",
        "Bun/1.0.25",
        "Dart/3.2 (dart:io)",
        "Ruby",
        "rest-client/2.1.0 (linux x86_64) ruby/3.2.2p53",
        "Faraday v2.9.0",
        "http.rb/5.1.1",
        "Typhoeus - https://github.com/typhoeus/typhoeus",
        "GuzzleHttp/7",
        "PHP/8.2",
        "Symfony HttpClient (Curl)",
        "libwww-perl/6.72",
        "LWP::Simple/6.72",
        "HTTP-Tiny/0.088",
        "Mojolicious (Perl)",
        "reqwest/0.11",
        "ureq/2.9.1",
        "hyper/0.14",
        "HTTP.jl/1.10.1",
        "PostmanRuntime/7.36.3",
        "insomnia/8.6.1",
        "HTTPie/3.2.2",
        "vscode-restclient",
        "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041",
        "RestSharp/110.2.0.0",
        "Microsoft.Data.Mashup (https://go.microsoft.com/fwlink/?LinkID=304225)",
        "Mozilla/5.0 (compatible; Google-Apps-Script; beanserver; +https://script.google.com; id: UAEmdDd)",
        "MATLAB 23.2.0 (R2023b)",
        "Wolfram HTTPClient 13.3",
        "Cytoscape/3.10.1",
        "KNIME (Windows 10)",
        "biopython/1.81",
        "MyApp/1 CFNetwork/1410.0.3 Darwin/22.6.0",
        "Swagger-Codegen/1.0.0/python",
        "cpp-httplib/0.14",
        "libsoup/3.4",
        "hackney/1.20.1",
        "Boost.Beast/345",
        "lwp-request/6.61",
        "Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.3 Safari/605.1.15",
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
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)", "bot"),
        ("meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)", "bot"),
        ("anthropic-ai", "bot"),
        ("LiveJournal.com (webmaster@livejournal.com; 1 readers)", "bot"),
        ("Mozilla/5.0 zgrab/0.x", "bot"),
        ("curl/8.5.0 (a crawler of ours)", "bot"),
        ("ELB-HealthChecker/2.0", "probe"),
        ("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "probe"),
        ("kube-probe/1.28", "probe"),
    ],
)
def test_crawlers_and_probes(agent: str, kind: str) -> None:
    assert agent_kind(agent) == kind


@pytest.mark.parametrize(
    ("method", "status", "agent", "reason"),
    [
        ("GET", b"200", "curl/8.5.0", None),
        ("GET", b"304", "", None),
        ("GET", b"", "", None),
        ("GET", b"206", "-", None),
        ("POST", b"200", "", "not_get"),
        ("HEAD", b"200", "", "not_get"),
        ("GET", b"500", "", "status"),
        ("GET", b"400", "CCBot/2.0", "status"),
        ("GET", b"101", "", "status"),
        ("GET", b"301", "", "status"),
        ("GET", b"000", "", "status"),
        ("GET", b"200", "kube-probe/1.28", "probe"),
        ("GET", b"200", "CCBot/2.0", "bot"),
    ],
)
def test_reasons_of_a_request(method: str, status: bytes, agent: str, reason: str | None) -> None:
    assert of_request(method, status, agent) == reason
    assert reason is None or reason in REASONS


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/status", "probe"),
        ("/wp-login.php", "not_api"),
        ("/v3/query/docs", "not_api"),
        ("/v3/genes/1", "not_api"),
        ("/", "not_api"),
        ("", "not_api"),
        ("*", "not_api"),
        ("/v3/query?q=cdk2", None),
        ("/v3/query/?q=cdk2", None),
        ("/v2/gene/1017", None),
        ("/query?q=cdk2", None),
        ("/v3/metadata", None),
    ],
)
def test_reasons_of_a_path(path: str, reason: str | None) -> None:
    assert of_path(API, path) == reason
    assert reason is None or reason in REASONS


def test_there_are_at_most_twelve_reasons() -> None:
    assert len(REASONS) <= 12


@pytest.mark.parametrize("agent", ["a" * 60_000, "(" * 60_000, "Mozilla/5.0 " * 5000, "1." * 30_000, "\x00\x01", "\ufffd" * 999])
def test_of_a_hostile_agent_only_the_start_is_looked_at(agent: str) -> None:
    before = filter_module._kind.cache_info().misses
    assert agent_kind(agent) == agent_kind(agent[: filter_module.AGENT]) == agent_kind(agent + agent)
    assert filter_module._kind.cache_info().misses - before <= (1 if len(agent) > filter_module.AGENT else 2)


PATHS = [
    "//v3/query?q=a",
    "/v3//query?q=a",
    "/v3/quer%79?q=a",
    "/v3/query//?q=a",
    "/v3/gene/1017/",
    "/v3/gene/HLA%2FB?fields=go",
    "/v3/nothing?q=a",
    "/v3/quer%FF?q=a",
    "/query?q=a",
    "/v1/gene/1017",
    "/v9/gene/1017",
    "/v3/query?q=a/b//c",
    "/",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_has_the_endpoint_that_the_parser_gives_it(path: str) -> None:
    for api in (API, load("myvariant"), load("earthquakes")):
        try:
            parse(api, path)
            read = True
        except CallError as error:
            read = error.code not in ("unknown_endpoint", "bad_encoding")
        assert (of_path(api, path) is None) == read, api.name


def test_an_endpoint_may_be_called_as_health_checks_are() -> None:
    def with_path(path: str) -> Definition:
        metadata = {**API.endpoints["metadata"].model_dump(), "path": path, "aliases": (), "params": ("species",)}
        return type(API).model_validate({**API.model_dump(), "endpoints": {"metadata": metadata}})

    named, filled = with_path("/v3/status"), with_path("/v3/{species}")
    assert of_path(named, "/v3/status?x=1") is None
    assert of_path(named, "/status/") is None  # as the version before
    assert of_path(named, "/health") == "probe"
    assert of_path(filled, "/health") == "probe"
    assert of_path(filled, "/cdk2") is None


def test_versions_of_an_agent_are_looked_up_once() -> None:
    before = filter_module._kind.cache_info().misses
    for n in range(500):
        agent_kind(f"SomethingNew/{n}.{n}.7 (build {n})")
    assert filter_module._kind.cache_info().misses - before <= 2


def test_the_index_of_the_lists_answers_as_the_lists_do() -> None:
    import crawleruseragents
    from crawlerdetect import CrawlerDetect

    own = CrawlerDetect()
    agents = [a for row in crawleruseragents.CRAWLER_USER_AGENTS_DATA for a in row.get("instances", [])]
    agents = agents[::4] + [a.swapcase() for a in agents[::40]] + [a[:25] for a in agents[::20]]
    asked = [own.isCrawler(a) or crawleruseragents.is_crawler(a) for a in agents]
    assert [listed(a) for a in agents] == asked
    assert sum(asked) > 400


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^Java\/", "java/"),
        (r"Goo[gq]lebot", "lebot"),
        (r"colou?r", "colo"),
        (r"ab+c\.d", "c.d"),
        (r"a(b|c)def", ""),
        (r"\bfoo\d+bar$", "foo"),
        (r"x{2,3}yz", "yz"),
        (r"[a-z]*", ""),
    ],
)
def test_fixed_text_of_a_pattern(pattern: str, text: str) -> None:
    assert fixed_text(pattern) == text
