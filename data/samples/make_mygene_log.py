"""Make `mygene_access.log.gz`: a sample access log of MyGene-style traffic, nginx combined format.

    python data/samples/make_mygene_log.py            # needs: pip install goatools

Nobody's log: clients, addresses (documentation ranges), times and requests are drawn from a seed; the gene data in
the requests are NCBI's (see `mygene_values.py`). It has what production logs have: a few busy pipelines and a long
tail of people, every style of percent-encoding, repeats, bots, health probes, vulnerability scans, errors, requests
without hits, broken lines. Same seed, same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import random
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from urllib.parse import quote, quote_plus

from mygene_shapes import SHAPES
from mygene_values import Genes, Params, Request, field_list

SEED = 20260302
START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 7
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
)
CLIENTS = (  # user agent, weight, how it spells a URL
    ("python-requests/2.31.0", 18, "form"),
    ("python-requests/2.28.2", 6, "form"),
    ("biothings_client.py/0.3.1 (python:3.11.7 requests:2.31.0)", 14, "form"),
    ("Python-mygene/3.2.2 (python:3.9.18 requests:2.31.0)", 4, "form"),
    ("libcurl/8.4.0 r-curl/5.2.0 httr/1.4.7", 6, "percent"),
    ("mygene.R (libcurl/7.68.0 r-curl/4.3.2 httr/1.4.5)", 4, "percent"),
    ("curl/8.5.0", 6, "raw"),
    ("curl/7.81.0", 4, "raw"),
    ("Go-http-client/1.1", 4, "form"),
    ("Go-http-client/2.0", 2, "form"),
    ("axios/1.6.7", 3, "light"),
    ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", 2, "light"),
    ("okhttp/4.12.0", 2, "percent"),
    ("Java/17.0.9", 2, "light"),
    ("Apache-HttpClient/4.5.14 (Java/11.0.21)", 2, "percent"),
    ("python-httpx/0.26.0", 2, "percent"),
    ("Python/3.11 aiohttp/3.9.3", 3, "light"),
    ("Python-urllib/3.10", 3, "form"),
    ("Wget/1.21.4", 1, "raw"),
    ("PostmanRuntime/7.36.3", 1, "light"),
    ("libwww-perl/6.72", 1, "percent"),
    ("Ruby", 1, "form"),
    *((ua, 3, "light") for ua in BROWSERS),
)
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.0; +https://openai.com/gptbot)",
    "CCBot/2.0 (https://commoncrawl.org/faq/)",
    "Mozilla/5.0 (compatible; DotBot/1.2; +https://opensiteexplorer.org/dotbot; help@moz.com)",
)
PROBES = (
    "ELB-HealthChecker/2.0",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
    "kube-probe/1.28",
    "Prometheus/2.49.1",
    "GoogleStackdriverMonitoring-UptimeChecks(https://cloud.google.com/monitoring)",
)
SCANS = (
    "/wp-login.php",
    "/.env",
    "/xmlrpc.php",
    "/wp-admin/setup-config.php",
    "/phpmyadmin/index.php",
    "/.git/config",
    "/cgi-bin/luci/;stok=/locale",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
    "/actuator/health",
    "/boaform/admin/formLogin",
    "/?XDEBUG_SESSION_START=phpstorm",
)
STATIC = (
    "/",
    "/favicon.ico",
    "/robots.txt",
    "/static/css/main.css",
    "/static/js/app.min.js",
    "/static/img/logo.png",
    "/sitemap.xml",
    "/v3/api",
    "/about",
    "/privacy",
    "/static/fonts/roboto.woff2",
    "/apple-touch-icon.png",
    "/v3/query/docs",
    "/demo/autocomplete.html",
    "/.well-known/security.txt",
)
ALIASES = {"size": "limit", "fields": "filter", "from": "skip"}


def spell(r: random.Random, params: Params, style: str) -> str:
    """A query string in a client's spelling: form (+, all escaped), percent (%20), light (few escapes), raw, double."""
    if r.random() < 0.006:
        style = "double"
    escape = {
        "form": quote_plus,
        "percent": lambda s: quote(s, safe=""),
        "light": lambda s: quote(s, safe=':,*()"[]').replace('"', "%22"),
        "raw": lambda s: quote(s, safe=":,*()[]{}?!^~@/$").replace("%20", r.choice(["%20", "%20", "+"])),
        "double": lambda s: quote(quote(s, safe=""), safe=""),
    }[style]
    return "&".join(f"{k}={escape(v)}" for k, v in params)


def path_of(
    r: random.Random, request: Request, style: str, version: str = "v3", habits: frozenset[str] = frozenset()
) -> str:
    """Request → path as it stands in a log; `habits` are the parameter names for which the client uses the alias."""
    params = [(ALIASES[k] if k in habits else k, v) for k, v in request.params]
    if r.random() < 0.3:
        r.shuffle(params)
    slash = "/" if "slash" in habits and request.endpoint == "query" else ""
    text = spell(r, params, style)
    return f"/{version}/{request.endpoint}{slash}" + (f"?{text}" if text else "")


class Client:
    """One user of the API: address, agent, spelling, a few favourite shapes, and the memory to repeat itself."""

    def __init__(self, r: random.Random, rank: int) -> None:
        net = r.choice(["192.0.2", "198.51.100", "203.0.113"])
        self.ip = (
            f"{net}.{r.randint(1, 254)}"
            if r.random() < 0.85
            else f"2001:db8:{r.randrange(65536):x}::{r.randrange(4096):x}"
        )
        self.ua, _, self.style = r.choices(CLIENTS, [w for _, w, _ in CLIENTS])[0]
        self.habits = frozenset([*(k for k in ALIASES if r.random() < 0.12), *(["slash"] if r.random() < 0.08 else [])])
        names = list(SHAPES)
        self.shapes = r.choices(
            names, [SHAPES[n][0] for n in names], k=r.randint(1, 3) if rank < 12 else r.randint(2, 7)
        )
        self.loyalty = 0.5 if rank < 12 else 0.65
        self.referer = r.choice(["-", "-", "https://example.org/genes"]) if self.ua.startswith("Mozilla") else "-"
        self.past: list[tuple[str, int]] = []

    def ask(self, r: random.Random, genes: Genes) -> tuple[str, int]:
        """(path, status) of the client's next GET; a fifth of them repeat a recent one."""
        if self.past and r.random() < 0.2:
            return r.choice(self.past)
        names = list(SHAPES)
        name = (
            r.choice(self.shapes) if r.random() < self.loyalty else r.choices(names, [SHAPES[n][0] for n in names])[0]
        )
        request = SHAPES[name][1](r, genes)
        out = (path_of(r, request, self.style, habits=self.habits), request.status)
        self.past = [*self.past[-15:], out]
        return out


def size_of(r: random.Random, status: int, path: str) -> int:
    """Bytes sent, in steps: the exact number carries nothing and would only make the file bigger."""
    if status >= 400:
        return r.choice([45, 162, 153, 548])
    return int(r.lognormvariate(6.5 if "/query" in path else 8.5, 0.8)) // 32 * 32 + 60


def line(ip: str, when: datetime, request: str, status: int, size: int, referer: str, ua: str) -> bytes:
    stamp = when.strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{ip} - - [{stamp}] "{request}" {status} {size} "{referer}" "{ua}"\n'.encode()


def broken(r: random.Random, when: datetime, good: bytes) -> bytes:
    """What is in a log and is no log line."""
    stamp = when.strftime("%d/%b/%Y:%H:%M:%S +0000")
    ip = f"198.51.100.{r.randint(1, 254)}"
    return r.choice([
        good[: r.randint(10, max(11, len(good) - 20))] + b"\n", b"\n", b"\x00" * 40 + b"\n",
        f'{ip} - - [{stamp}] "\\x16\\x03\\x01\\x02\\x00\\x01\\x00\\x01\\xFC\\x03\\x03" 400 157 "-" "-"\n'.encode(),
        f'{ip} - - [{stamp}] "" 400 0 "-" "-"\n'.encode(), f'{ip} - - [{stamp}] "-" 408 0 "-" "-"\n'.encode(),
        b"\x16\x03\x01\x00\xf6\x01\x00\x00\xf2\xff\xfe\n", b"nginx: worker process exited on signal 9\n",
        f'{ip} - - [{stamp}] "GET /v3/query?q=\\xC3\\x28caf\\xE9 HTTP/1.1" 200 91 "-" "curl/8.5.0"\n'.encode(),
        good[:-1] + good,
        f'{ip} - - [{stamp}] "GET /v3/query?q={"A" * r.choice([900, 4000])} HTTP/1.1" 414 177 "-" "-"\n'.encode(),
    ])  # fmt: skip


def event(r: random.Random, genes: Genes, clients: list[Client], weights: list[float], when: datetime) -> bytes:
    """One line of the log."""
    client = r.choices(clients, cum_weights=weights)[0]
    kind = r.choices(
        ["call", "post", "legacy", "meta", "bot", "probe", "scan", "static", "broken", "other"],
        [76, 6, 2, 1.5, 5, 4, 1.2, 2.8, 0.8, 0.7],
    )[0]
    method, status, ip, ua, referer = "GET", 200, client.ip, client.ua, client.referer
    path = "/"
    if kind in ("call", "broken"):
        path, status = client.ask(r, genes)
        if status == 200 and r.random() < 0.006:
            status = r.choice([500, 502, 503, 504, 499, 429])
    elif kind == "post":
        method, path = "POST", r.choice(["/v3/query", "/v3/query", "/v3/query/", "/v3/gene", "/v3/gene/"])
        if r.random() < 0.15:
            path += "?" + spell(r, [("fields", field_list(r))], client.style)
    elif kind == "legacy":
        name = r.choice(["symbol", "gene", "simple", "entrezgene", "words", "interval"])
        request = SHAPES[name][1](r, genes)
        path, status = path_of(r, request, client.style, r.choice(["v2", "v2", "v2", "v1"])), request.status
    elif kind == "meta":
        path = r.choice(
            [
                "/v3/metadata",
                "/v3/metadata",
                "/v3/metadata/fields",
                "/v3/metadata/fields?search=refseq",
                "/metadata",
                "/v3/metadata?dev=1",
                "/v3/species/9606",
                "/v3/spec",
            ]
        )
        status = 404 if path == "/v3/spec" else 200
    elif kind == "bot":
        ua, ip, referer = r.choice(BOTS), f"203.0.113.{r.randint(200, 254)}", "-"
        path = path_of(r, SHAPES["gene"][1](r, genes), "light") if r.random() < 0.5 else r.choice(STATIC)
        status = 404 if path in ("/sitemap.xml", "/about") else 200
    elif kind == "probe":
        ua, ip, referer = r.choice(PROBES), f"192.0.2.{r.randint(1, 6)}", "-"
        path = r.choice(
            ["/status", "/status", "/", "/v3/query?q=_exists_:entrezgene&size=1", "/v3/gene/1017", "/v3/metadata"]
        )
        method = "HEAD" if path == "/" else "GET"
    elif kind == "scan":
        path, status, ua = (
            r.choice(SCANS),
            r.choice([404, 404, 403]),
            r.choice(["-", "Mozilla/5.0 zgrab/0.x", BROWSERS[0], "masscan/1.3"]),
        )
        method = r.choice(["GET", "GET", "POST"])
    elif kind == "static":
        path, ua = r.choice(STATIC), r.choice(BROWSERS)
        status = r.choice([200, 200, 304])
    else:
        method, path, status = r.choice(
            [
                ("OPTIONS", "/v3/query", 204),
                ("HEAD", "/v3/gene/1017", 200),
                ("PUT", "/v3/gene/1017", 405),
                ("GET", "/v4/query?q=tp53", 404),
                ("GET", "http://example.com/", 400),
                ("CONNECT", "example.com:443", 400),
                ("GET", "*", 400),
                ("DELETE", "/v3/gene/1017", 405),
            ]
        )
    request_line = f"{method} {path} HTTP/{r.choice(['1.1', '1.1', '1.1', '2.0', '1.0'])}"
    out = line(ip, when, request_line, status, size_of(r, status, path), referer, ua)
    return broken(r, when, out) if kind == "broken" else out


def make(lines: int, seed: int) -> bytes:
    """The whole log, uncompressed."""
    r, genes = random.Random(seed), Genes()
    clients = [Client(r, i) for i in range(700)]
    weights = list(accumulate(1 / (i + 3) ** 0.85 for i in range(len(clients))))
    seconds = sorted(r.random() * DAYS * 86400 for _ in range(lines))
    return b"".join(event(r, genes, clients, weights, START + timedelta(seconds=s)) for s in seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("mygene_access.log.gz"))
    parser.add_argument("--lines", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    text, packed = make(args.lines, args.seed), io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as f:
        f.write(text)
    temporary = args.out.with_suffix(".tmp")
    temporary.write_bytes(packed.getvalue())
    os.replace(temporary, args.out)
    print(f"{args.out}: {len(text.splitlines())} lines, {len(text)} bytes, {len(packed.getvalue())} compressed")


if __name__ == "__main__":
    main()
