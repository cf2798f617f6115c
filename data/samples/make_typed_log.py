"""Make an access log of an API of plain typed parameters, nginx combined format, from its definition alone.

    python data/samples/make_typed_log.py --api earthquakes --out work/new_api/access.log.gz

Nobody's log: clients, addresses (documentation ranges), times and requests are drawn from a seed. It has what
production logs have: a few busy pipelines and a long tail of people, every client's own style of percent-encoding,
repeats, pages, bots, health probes, vulnerability scans, mistakes that the service refuses, keys and addresses in
queries, broken lines. Same seed, same definition: same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
from datetime import timedelta
from itertools import accumulate
from pathlib import Path

from make_mygene_log import BOTS, CLIENTS, DAYS, PROBES, SCANS, START, broken, line, size_of, spell

from querywright.api.call import Call
from querywright.api.definition import API, load
from querywright.api.values import printed
from querywright.artefacts import replacing
from querywright.pairs.make import sound
from querywright.pairs.typed_draw import TypedDrawer

Params = list[tuple[str, str]]
_KINDS = {"call": 80, "wrong": 3, "bot": 5, "probe": 4, "scan": 1.5, "static": 3, "broken": 0.8, "other": 1}
_STATIC = ("/", "/favicon.ico", "/robots.txt", "/docs", "/static/app.js", "/static/style.css", "/sitemap.xml", "/about")


def written(call: Call) -> tuple[str, Params]:
    """A call's path and the parameters behind it, as a client would give them."""
    spec = call.api.endpoints[call.endpoint]
    path = call.path.partition("?")[0]
    params: Params = []
    for name, value in call.params:
        if name in spec.in_path:
            continue
        if isinstance(value, tuple) and call.api.params[name].explode:
            params += [(name, v) for v in value]
        else:
            params.append((name, ",".join(value) if isinstance(value, tuple) else printed(value)))
    return path, params


class Client:
    """One user of the API: address, agent, spelling, favourite requests, and the memory to repeat itself."""

    def __init__(self, r: random.Random, rank: int, favourites: list[Call]) -> None:
        net = r.choice(["192.0.2", "198.51.100", "203.0.113"])
        v6 = f"2001:db8:{r.randrange(65536):x}::{r.randrange(4096):x}"
        self.ip = f"{net}.{r.randint(1, 254)}" if r.random() < 0.85 else v6
        agents = [c for c in CLIENTS if "mygene" not in c[0] and "biothings" not in c[0]]
        self.ua, _, self.style = r.choices(agents, [w for _, w, _ in agents])[0]
        self.favourites = r.sample(favourites, min(len(favourites), 4 if rank < 8 else r.randint(6, 30)))
        self.loyalty = 0.75 if rank < 8 else 0.4
        self.key = f"{r.getrandbits(128):032x}" if r.random() < 0.03 else ""
        self.referer = r.choice(["-", "-", "https://example.org/dashboard"]) if self.ua.startswith("Mozilla") else "-"
        self.past: list[str] = []

    def ask(self, r: random.Random, calls: list[Call]) -> str:
        """The path of the client's next GET; a sixth of them repeat a recent one."""
        if self.past and r.random() < 0.16:
            return r.choice(self.past)
        path, params = written(r.choice(self.favourites if r.random() < self.loyalty else calls))
        if r.random() < 0.25:
            r.shuffle(params)
        if self.key:
            params.append(("api_key", self.key))
        if r.random() < 0.003:
            params.append(("email", f"user{r.randint(1, 99)}@example.org"))
        text = spell(r, params, self.style)
        out = path + (f"?{text}" if text else "")
        self.past = [*self.past[-12:], out]
        return out


def mistaken(r: random.Random, api: API, call: Call) -> str:
    """A request that the service refuses: a misspelt name, a value of another kind, an endpoint that is not there."""
    path, params = written(call)
    roll = r.random()
    if roll < 0.3 or not params:
        return path + r.choice(["s", "/all", ".json", "/1"])
    i = r.randrange(len(params))
    name, value = params[i]
    if roll < 0.7:
        params[i] = (r.choice([name[:-1], name + "s", name.swapcase() + "_"]), value)
    else:
        params[i] = (name, r.choice(["abc", "??", "undefined", "NaN", "2020-13-45", ""]))
    return f"{path}?{spell(r, params, 'light')}"


def event(r: random.Random, api: API, calls: list[Call], client: Client, second: float) -> bytes:
    """One line of the log."""
    when = START + timedelta(seconds=second)
    kind = r.choices(list(_KINDS), list(_KINDS.values()))[0]
    method, status, ip, ua, referer = "GET", 200, client.ip, client.ua, client.referer
    path = client.ask(r, calls) if kind in ("call", "broken") else "/"
    if kind == "call" and r.random() < 0.01:
        status = r.choice([500, 502, 503, 504, 499, 429])
    elif kind == "wrong":
        path, status = mistaken(r, api, r.choice(calls)), r.choice([400, 400, 404])
    elif kind == "bot":
        ua, ip, referer = r.choice(BOTS), f"203.0.113.{r.randint(200, 254)}", "-"
        path = r.choice(calls).path if r.random() < 0.5 else r.choice(_STATIC)
    elif kind == "probe":
        ua, ip, referer = r.choice(PROBES), f"192.0.2.{r.randint(1, 6)}", "-"
        path = r.choice(["/status", "/health", "/", calls[0].path])
        method = "HEAD" if path == "/" else "GET"
    elif kind == "scan":
        ua = r.choice(["-", "Mozilla/5.0 zgrab/0.x", "masscan/1.3"])
        path, status = r.choice(SCANS), r.choice([404, 404, 403])
    elif kind == "static":
        path, status = r.choice(_STATIC), r.choice([200, 200, 304])
    elif kind == "other":
        method, status = r.choice([("OPTIONS", 204), ("POST", 405), ("PUT", 405), ("DELETE", 405)])
        path = r.choice(calls).path
    request = f"{method} {path} HTTP/{r.choice(['1.1', '1.1', '1.1', '2.0', '1.0'])}"
    out = line(ip, when, request, status, size_of(r, status, path), referer, ua)
    return broken(r, when, out) if kind == "broken" else out


def make(api: API, lines: int, seed: int) -> bytes:
    """The whole log, uncompressed."""
    r = random.Random(seed)
    drawn = sound(iter(TypedDrawer(api, r, []).call, None))
    calls = [next(drawn) for _ in range(max(40, lines // 6))]
    clients = [Client(r, i, calls) for i in range(min(400, max(12, lines // 40)))]
    weights = list(accumulate(1 / (i + 3) ** 0.85 for i in range(len(clients))))
    seconds = sorted(r.random() * DAYS * 86400 for _ in range(lines))
    return b"".join(event(r, api, calls, r.choices(clients, cum_weights=weights)[0], s) for s in seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", required=True, help="a shipped API's name, or a definition file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20260302)
    args = parser.parse_args()
    text, packed = make(load(args.api), args.lines, args.seed), io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(text)
    with replacing(args.out, "wb") as out:
        out.write(packed.getvalue())
    print(f"{args.out}: {len(text.splitlines())} lines, {len(text)} bytes, {len(packed.getvalue())} compressed")


if __name__ == "__main__":
    main()
