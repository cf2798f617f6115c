"""Which lines of a log are calls of people and programs to the API: reason codes for all others.

Crawlers are those of two maintained lists: `crawlerdetect` (JayBizzle/Crawler-Detect) and `crawler-user-agents`
(monperrus). Of the 2,123 agents that the second gives as examples the first misses 299, crawlers of language models
among them; the first knows older feed readers. Both also name the HTTP libraries through which an API is used, so an
allow-list of these goes first: they are the users.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

from querywright.api.definition import API
from querywright.logs.crawlers import listed

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
    r"(?:"
    r"python-requests|python-httpx|python-urllib|python|aiohttp|urllib3|httpx|niquests|pycurl|requests|"  # Python
    r"biothings|mygene|myvariant|mychem|mydisease|biopython|bioservices|gget|rentrez|biomart|cytoscape|knime|galaxy|"
    r"curl|libcurl|wget|wget2|aria2|libfetch|fetch libfetch|httpie|xh|hurl|"
    r"httr|httr2|r-curl|rcurl|r|rstudio|"
    r"go-http-client|go-resty|resty|fasthttp|"
    r"axios|node-fetch|node-superagent|superagent|node|undici|got|ky|needle|deno|bun|"
    r"okhttp|retrofit|java|java-http-client|apache-httpclient|apache-httpasyncclient|jakarta|reactornetty|ahc|ktor|"
    r"akka-http|pekko-http|sttp|http4s|dispatch|spring|resttemplate|feign|jersey|vert\.x|unirest|google-http-java-client|"
    r"ruby|rest-client|faraday|http\.rb|typhoeus|httparty|excon|mechanize|"
    r"guzzlehttp|guzzle|php|symfony|http_request2?|pecl|"
    r"libwww-perl|lwp|lwp-request|http-tiny|www-mechanize|mojolicious|perl|"
    r"reqwest|ureq|hyper|isahc|surf|awc|julia|http\.jl|dart|alamofire|cfnetwork|nim|tcl|hackney|mint|finch|req|"
    r"cpp-httplib|cpprestsdk|boost\.beast|libsoup|restsharp|refit|\.net|dotnet|powershell|microsoft\.data\.mashup|"
    r"microsoft office excel|matlab|wolfram|mathematica|stata|sas|emacs|"
    r"postmanruntime|insomnia|bruno|bruno-runtime|vscode-restclient|intellij http client|thunder client|rapidapi|paw|"
    r"hoppscotch|swagger-codegen|openapi-generator|kiota"
    r")(?![a-z])|"
    r"mozilla/\S{1,9} \(windows nt[^)]{0,80}\) (?:windows)?powershell|mozilla/\S{1,9} \(compatible; google-apps-script|"
    r"[^()]{1,60} (?:cfnetwork|r-curl|okhttp|python-requests|libcurl)/",
    re.I,
)
PROBES = re.compile(
    r"elb-healthchecker|uptimerobot|uptime-?kuma|pingdom|statuscake|kube-probe|prometheus|blackbox|nagios|check_http|zabbix|"
    r"stackdriver|googlehc|uptimechecks|site24x7|newrelicpinger|datadog|consul health check|haproxy|better ?uptime|"
    r"route ?53-health|health-?check",
    re.I,
)
PROBE_PATHS = re.compile(r"/(?:status|health|healthz|livez|readyz|ping|heartbeat|alive)/?(?:\?|$)", re.I)
NAMED_BOT = re.compile(r"(?<!cu)bot\b|crawl|spider|slurp|scanner|masscan|zgrab|nuclei|sqlmap|nikto", re.I)
_VERSION = re.compile(r"(?<=[/ ])v?\d+(?:[._-]\d+)*(?![A-Za-z\d])|[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.I)
AGENT = 300
"""Characters of a user agent that are looked at."""


def agent_kind(agent: str) -> str:
    """What a user agent is: `probe`, `bot`, or `user` (people and their programs; the empty agent too)."""
    return _kind(_VERSION.sub("0", agent[:AGENT]))  # thousands of versions are one agent


@lru_cache(maxsize=65_536)
def _kind(agent: str) -> str:
    if agent in ("", "-"):
        return "user"
    if PROBES.search(agent):
        return "probe"
    if NAMED_BOT.search(agent):
        return "bot"
    if CLIENTS.match(agent):
        return "user"
    return "bot" if listed(agent) else "user"


_SLASHES = re.compile("/{2,}")
_HEADS = 4096
"""Paths without a query that are remembered; those with an id in them are too many to remember all."""
_seen: dict[int, tuple[API, dict[str, str]]] = {}


def is_endpoint(api: API, path: str) -> bool:
    """Whether a path is one of the API's endpoints, of any version that it reads."""
    return route(api, path) != ""


def route(api: API, path: str) -> str:
    """How a path is one of the API's endpoints: `named` as a whole, `filled` in a placeholder; empty where it is none.

    The routes are those that `call.parse` reads, tidied as it does.
    """
    known = _seen.get(id(api))
    if known is None or known[0] is not api:
        known = _seen[id(api)] = (api, {})
    heads, head = known[1], path.partition("?")[0]
    if head not in heads:
        if len(heads) >= _HEADS:
            heads.clear()
        heads[head] = _route(api, head)
    return heads[head]


def _route(api: API, head: str) -> str:
    for text in (head, unquote(head)) if "%" in head else (head,):
        found = api.routes.match(_SLASHES.sub("/", text).rstrip("/") or "/")
        if found is not None and found.lastgroup is not None:
            return "filled" if api.route_names[found.lastgroup][1] else "named"
    return ""


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
    how = route(api, path)
    if how != "named" and PROBE_PATHS.match(path):  # an API may have an endpoint of that name
        return "probe"
    return None if how else "not_api"
