"""Which lines of a log are calls of people and programs to the API: reason codes for all others.

Bots come from the list of the package `crawlerdetect` (JayBizzle/Crawler-Detect). That list also names the HTTP
libraries through which an API is used, so an allow-list of these goes first.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from querywright.api.definition import API
from querywright.errors import need
from querywright.logs.read import Line

REASONS = {
    "malformed": "no log line: cut, empty, binary, or over 64 KiB",
    "header": "a header or comment of the log itself",
    "where": "a line that --where leaves out",
    "not_get": "another method: a POST's query is in its body, which logs do not hold",
    "status": "the server refused or failed (status not 2xx or 304)",
    "probe": "a health check",
    "bot": "a crawler",
    "not_api": "no endpoint of this API",
    "personal_data": "an e-mail address, a key or the like, without which the call means nothing",
    "bad_call": "an endpoint, but the API's language does not allow the request",
}
"""Every reason code with its meaning, in the order in which they are tried."""

CLIENTS = re.compile(
    r"(?:python-requests|python-httpx|python-urllib|python/|aiohttp|urllib3|biothings|python-mygene|mygene|myvariant|mychem|"
    r"mydisease|curl|libcurl|httr|r-curl|wget|go-http-client|axios|node-fetch|node|undici|got|okhttp|java|apache-httpclient|"
    r"jakarta|postmanruntime|insomnia|httpie|libwww-perl|lwp|ruby|faraday|rest-client|guzzlehttp|php|julia|http\.jl|reqwest|"
    r"dart|deno|bun|powershell|mozilla/5\.0 \(windows nt; windows nt 10\.0; [^)]*\) windowspowershell)",
    re.I,
)
PROBES = re.compile(
    r"elb-healthchecker|uptimerobot|uptime-?kuma|pingdom|statuscake|kube-probe|prometheus|blackbox|nagios|check_http|zabbix|"
    r"stackdriver|googlehc|uptimechecks|site24x7|newrelicpinger|datadog|consul health check|haproxy|better ?uptime|"
    r"route ?53-health|health-?check",
    re.I,
)
PROBE_PATHS = re.compile(r"/(?:status|health|healthz|livez|readyz|ping|heartbeat|alive)/?(?:\?|$)", re.I)
NAMED_BOT = re.compile(r"bot\b|crawl|spider|slurp|scan", re.I)


@lru_cache(maxsize=1)
def _detector() -> Any:
    return need("crawlerdetect", extra="logs").CrawlerDetect()


@lru_cache(maxsize=65_536)
def agent_kind(agent: str) -> str:
    """What a user agent is: `probe`, `bot`, or `user` (people and their programs; the empty agent too)."""
    if PROBES.search(agent):
        return "probe"
    if CLIENTS.match(agent) and not NAMED_BOT.search(agent):
        return "user"
    if agent in ("", "-"):
        return "user"
    return "bot" if _detector().isCrawler(agent[:1024]) or NAMED_BOT.search(agent) else "user"


@lru_cache(maxsize=8)
def _endpoints(paths: tuple[str, ...], prefixes: tuple[str, ...]) -> re.Pattern[str]:
    longest = max(prefixes, key=len, default="")
    stems = {p[len(longest) :] if longest and p.startswith(longest) else p for p in paths}
    shapes = "|".join(re.escape(s).replace(r"\{id\}", r"[^/?]+") for s in sorted(stems, key=len, reverse=True))
    return re.compile(rf"(?:{'|'.join(map(re.escape, prefixes)) or ''})(?:{shapes})/?(?:\?|$)")


def is_endpoint(api: API, path: str) -> bool:
    """Whether a path is one of the API's endpoints, of any version that it reads."""
    paths = tuple(e.path for e in api.endpoints.values())
    return _endpoints(paths, tuple(api.version_prefixes)).match(path) is not None


def of_request(method: str, status: bytes, agent: str) -> str | None:
    """The reason code that method, status and user agent give a line, or None. An unknown status passes."""
    if method != "GET":
        return "not_get"
    if status and not (status[:1] == b"2" or status == b"304"):
        return "status"
    kind = agent_kind(agent)
    return None if kind == "user" else kind


def of_path(api: API, path: str) -> str | None:
    """The reason code that the path gives a line, or None. `bad_call` and `personal_data` are decided later."""
    if PROBE_PATHS.match(path):
        return "probe"
    return None if is_endpoint(api, path) else "not_api"


def reject(line: Line | None, api: API, where: tuple[tuple[str, str], ...] = ()) -> str | None:
    """The reason code of a line that is no candidate, or None. `bad_call` is decided later, once a distinct URL."""
    if line is None:
        return "malformed"
    if where and line.fields is not None and any(str(line.fields.get(k)) != v for k, v in where):
        return "where"
    if line.method != "GET":
        return "not_get"
    if line.status is not None and not (200 <= line.status < 300 or line.status == 304):
        return "status"
    kind = agent_kind(line.agent)
    if kind == "probe" or PROBE_PATHS.match(line.path):
        return "probe"
    if kind == "bot":
        return "bot"
    return None if is_endpoint(api, line.path) else "not_api"
