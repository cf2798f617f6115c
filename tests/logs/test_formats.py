# ruff: noqa: E501 - one line of a log a line
"""Formats: each gives the same request, is known from its first lines, and no line raises, hangs or is lost."""

import json
import pickle
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querywright.errors import QuerywrightError
from querywright.logs import access
from querywright.logs.formats import NAMES, Format, Line, Options, Spec, detect, open_format
from querywright.logs.hit import MALFORMED
from querywright.logs.source import MAX_LINE

PATH = "/v3/query?q=symbol%3ACDK2&species=human"
AGENT = "curl/8.5.0"
TIME = "02/Mar/2026:08:16:53 +0000"
COMBINED = f'203.0.113.7 - - [{TIME}] "GET {PATH} HTTP/1.1" 200 1340 "-" "{AGENT}"'
ALB = (
    f"https 2026-03-02T08:16:53.186641Z app/lb/50dc6c495c0c9188 203.0.113.7:2817 10.0.0.1:80 0.001 0.002 0.000 200 200 34 "
    f'366 "GET https://api.example.org:443{PATH} HTTP/1.1" "{AGENT}" - - arn:aws:elasticloadbalancing:x:1:targetgroup/t/7 '
    '"Root=1-58337262-36d2" "-" "-" 0 2026-03-02T08:16:53.364000Z "forward" "-" "-"'
)
ELB = (
    f"2026-03-02T08:16:53.945958Z lb 203.0.113.7:2817 10.0.0.1:80 0.000086 0.001048 0.001337 200 200 0 57 "
    f'"GET https://api.example.org:443{PATH} HTTP/1.1" "{AGENT}" - -'
)
STEM, _, QUERY = PATH.partition("?")
CLOUDFRONT = [
    "#Version: 1.0",
    "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) "
    "cs-uri-query cs(Cookie)",
    f"2026-03-02\t08:16:53\tLAX1\t392\t203.0.113.7\tGET\td1.cloudfront.net\t{STEM}\t200\t-\tcurl%2F8.5.0\t{QUERY}\t-",
]
IIS = [
    "#Software: Microsoft Internet Information Services 10.0",
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status",
    f"2026-03-02 08:16:53 10.0.0.1 GET {STEM} {QUERY} 443 - 203.0.113.7 curl/8.5.0 200",
]
CADDY = {
    "level": "info", "logger": "http.log.access", "status": 200,
    "request": {"client_ip": "203.0.113.7", "method": "GET", "uri": PATH, "headers": {"User-Agent": [AGENT]}},
}  # fmt: skip
TRAEFIK = {"ClientHost": "203.0.113.7", "RequestMethod": "GET", "RequestPath": PATH, "DownstreamStatus": 200,
           "OriginStatus": 500, "request_User-Agent": AGENT}  # fmt: skip
NGINX_JSON = {"time": TIME, "remote_addr": "203.0.113.7", "request_method": "GET", "request_uri": PATH, "status": "200",
              "http_user_agent": AGENT}  # fmt: skip
ECS = {"url": {"path": STEM, "query": QUERY}, "http": {"request": {"method": "get"}, "response": {"status_code": 200}},
       "user_agent": {"original": AGENT}, "client": {"ip": "203.0.113.7"}}  # fmt: skip
GOOGLE = {"httpRequest": {"requestMethod": "GET", "requestUrl": f"https://x.org{PATH}", "status": 200.0,
                          "userAgent": AGENT, "remoteIp": "203.0.113.7"}}  # fmt: skip
CSV = ["time,client,method,path,status,user_agent", f'x,203.0.113.7,GET,"{PATH}",200,{AGENT}']
TSV = ["ip\tverb\turi\tcode\tua", f"203.0.113.7\tGET\t{PATH}\t200\t{AGENT}"]

FULL = Line(PATH, "GET", 200, AGENT, "203.0.113.7")
BARE = Line(PATH)


def given_format(form: str) -> Options:
    return Options(format=form)


NGINX = [  # format, line, what is read
    ('$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
     '$request_time "$upstream_addr"', f'{COMBINED} 0.012 "10.0.0.1:80, 10.0.0.2:80"', FULL),
    ('$host $remote_addr [$time_local] "$request" $status "$http_user_agent"',
     f'api.example.org 203.0.113.7 [{TIME}] "GET {PATH} HTTP/1.1" 200 "{AGENT}"', FULL),
    ("$time_iso8601|$remote_addr|$request_method|$request_uri|$status|$http_user_agent",
     f"2026-03-02T08:16:53+00:00|203.0.113.7|GET|{PATH}|200|{AGENT}", FULL),
    ("$remote_addr $request_method $uri$is_args$args $status", f"203.0.113.7 GET {PATH} 200", FULL._replace(agent="")),
    ("$remote_addr $request_method $uri?$args $status", f"203.0.113.7 GET {PATH} 200", FULL._replace(agent="")),
    ("$remote_addr $request_method $uri $query_string $status", f"203.0.113.7 GET {STEM} {QUERY} 200", FULL._replace(agent="")),
    ("[$time_local] $scheme://$host$request_uri $status", f"[{TIME}] https://api.example.org{PATH} 200", BARE._replace(status=200)),
    ("$status $request $remote_addr", f"200 GET {PATH} HTTP/1.1 203.0.113.7", FULL._replace(agent="")),
    ("${remote_addr}:$remote_port ${request_uri} $upstream_response_time $status",
     f"203.0.113.7:443 {PATH} 0.001, 0.002 : 0.1 200", FULL._replace(agent="")),
    ("$http_x_forwarded_for - $remote_addr \"$request\" $status", f'1.2.3.4, 5.6.7.8 - 203.0.113.7 "GET {PATH} HTTP/2.0" 200',
     FULL._replace(agent="")),
    ("log_format main escape=json '{\"ip\":\"$remote_addr\",\"r\":\"$request_uri\",'\n  '\"s\":$status,\"a\":\"$http_user_agent\"}';",
     json.dumps({"ip": "203.0.113.7", "r": PATH, "s": 200, "a": AGENT}).replace(", ", ",").replace(": ", ":"), FULL),
    ("log_format main '$remote_addr [$time_local] \"$request\" '\n    '$status \"$http_user_agent\"';",
     f'203.0.113.7 [{TIME}] "GET {PATH} HTTP/1.1" 200 "{AGENT}"', FULL),
]  # fmt: skip


def the(lines: list[str], options: Options = Options()) -> tuple[Format, Line | None]:
    """The format of a log of these lines, and its last line."""
    form = detect([line.encode() for line in lines], options)
    return form, form.parse(lines[-1].encode())


@pytest.mark.parametrize(
    ("lines", "name", "expected"),
    [
        ([COMBINED], "combined", FULL),
        ([COMBINED + ' 0.012 "upstream"'], "combined", FULL),
        ([COMBINED.replace("203.0.113.7", "2001:db8::7").replace(" - - ", " - jane doe ")], "combined", FULL._replace(client="2001:db8::7")),
        (["www.example.org:443 " + COMBINED], "combined", FULL),
        (["www.example.org " + COMBINED], "combined", FULL),
        (["2026-03-02T08:16:53.1Z " + COMBINED], "combined", FULL),
        (["web-1  | " + COMBINED], "combined", FULL),
        (["www.example.org:443 " + COMBINED.replace("203.0.113.7", "host.example.org")], "combined", FULL._replace(client="host.example.org")),
        ([COMBINED.replace("203.0.113.7", "host.example.org")], "combined", FULL._replace(client="host.example.org")),
        ([COMBINED.rsplit(' "-"', 1)[0]], "common", FULL._replace(agent="")),
        (["www.example.org:443 " + COMBINED.rsplit(' "-"', 1)[0]], "common", FULL._replace(agent="")),
        ([COMBINED.replace(PATH, "https://mygene.info" + PATH)], "combined", FULL),
        ([COMBINED.replace(PATH, PATH + "#top")], "combined", FULL),
        ([COMBINED.replace(" HTTP/1.1", "")], "combined", FULL),
        ([ALB], "alb", FULL),
        ([ELB], "elb", FULL),
        ([ELB, ALB, ALB], "alb", FULL),
        (CLOUDFRONT, "w3c", FULL),
        (IIS, "w3c", FULL),
        ([json.dumps(CADDY)], "json", FULL),
        ([json.dumps(TRAEFIK)], "json", FULL),
        ([json.dumps(NGINX_JSON)], "json", FULL),
        ([json.dumps(ECS)], "json", FULL),
        ([json.dumps(GOOGLE)], "json", FULL),
        ([json.dumps(CADDY), json.dumps(TRAEFIK), json.dumps(NGINX_JSON)], "json", FULL),
        ([json.dumps({"path": PATH})], "json", BARE),
        ([json.dumps({"request": f"GET {PATH} HTTP/2.0", "remote_addr": "203.0.113.7"})], "json", BARE._replace(client="203.0.113.7")),
        ([json.dumps(NGINX_JSON).replace("curl/8.5.0", r"curl/8.5.0\x22")], "json", FULL._replace(agent=AGENT + "%22")),
        (CSV, "csv", FULL),
        (TSV, "tsv", FULL),
        ([line.replace(",", ";") for line in CSV], "csv", FULL),
        (["path", PATH], "csv", BARE),
        ([PATH], "paths", BARE),
        (["https://mygene.info" + PATH], "paths", BARE),
        ([f"GET {PATH} HTTP/1.1"], "paths", BARE),
    ],
)  # fmt: skip
def test_every_format_is_found_and_gives_the_same_request(lines: list[str], name: str, expected: Line) -> None:
    form, line = the(lines)
    assert form.name == name
    assert line == expected
    assert form.about
    assert not isinstance(form.scan((lines[-1] + "\n").encode())[0], str)


@pytest.mark.parametrize(("form", "line", "expected"), NGINX)
def test_nginx_formats(form: str, line: str, expected: Line) -> None:
    read = detect([line.encode()], given_format(form))
    assert read.name == "nginx"
    assert read.parse(line.encode()) == expected
    for cut in range(1, len(line) - 1, 7):
        read.parse(line[:cut].encode())
    assert read.scan(b"\n\x16\x03\x01\n" + line.encode() + b"\n")[:2] == [MALFORMED, MALFORMED]


def test_what_nginx_decoded_is_encoded_again_and_what_it_escaped_is_read() -> None:
    decoded = detect([], given_format("$uri|$args|$status"))
    assert decoded.parse(b"/v1/variant/chr1:g.1A>T 100%|q=a%20b|200") == Line("/v1/variant/chr1:g.1A%3ET%20100%25?q=a%20b", "GET", 200)
    assert decoded.parse(rb"/v1/\xC3\xA9|-|200") == Line("/v1/%C3%A9", "GET", 200)
    as_json = detect([], given_format('escape=json "$request" $status "$http_user_agent"'))
    assert as_json.parse(rb'"GET /q?q=\"a\\b\" HTTP/1.1" 200 "a\tb"') == Line("/q?q=%22a%5Cb%22", "GET", 200, "a\tb")
    plain = detect([], given_format('escape=none "$request_uri" $status'))
    assert plain.parse(rb'"/q?q=\x22" 200') == Line("/q?q=\\x22", "GET", 200)


@pytest.mark.parametrize(
    ("form", "said"),
    [("$remote_addr $status", "no request"), ("log_format x '$status';", "no request"), ("combind", "did you mean 'combined'"),
     ("w3c", "#Fields"), ("csv", "path")],
)  # fmt: skip
def test_wrong_formats_are_told(form: str, said: str) -> None:
    with pytest.raises(QuerywrightError) as caught:
        detect([b"a,b", b"1,2"], given_format(form))
    assert said in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"http": {"url": PATH}, "status": "200"}, Options("http.url")),
        ({"http.url": PATH, "status": 200}, Options("http.url")),
        ({"req": {"u": PATH}, "code": {"n": 200}, "path": "/else"}, Options(keys=(("path", "req.u"), ("status", "code.n")))),
        ({"line": f"GET {PATH} HTTP/2.0", "status": 200}, Options(keys=(("request", "line"),))),
        ({"p": STEM, "a": QUERY, "status": 200}, Options(keys=(("path", "p"), ("query", "a")))),
        ({"p": STEM, "a": "?" + QUERY, "status": 200}, Options(keys=(("path", "p"), ("query", "a")))),
    ],
)  # fmt: skip
def test_other_keys_by_a_mapping(row: dict[str, object], options: Options) -> None:
    _, line = the([json.dumps(row)], options)
    assert line == BARE._replace(status=200)


def test_columns_by_a_mapping_and_what_is_wrong_with_one() -> None:
    table = ["when,u,n", f'x,"{PATH}",200']
    assert the(table, Options("u", keys=(("status", "n"),)))[1] == BARE._replace(status=200)
    assert the(table, Options("u"))[0].name == "csv"
    for options, said in ((Options(keys=(("path", "uu"),), format="csv"), "'uu'"), (Options(keys=(("pat", "u"),)), "'path'"),
                          (Options("u", where=(("x", "1"),)), "'x'")):  # fmt: skip
        with pytest.raises(QuerywrightError, match=said):
            the(table, options)


def test_where_concerns_lines_that_have_keys() -> None:
    options = Options(where=(("api", "mygene"), ("ok", "true")))
    form = detect([], options._replace(format="json"))
    rows = [{"path": "/a", "api": "mygene", "ok": True}, {"path": "/a", "api": "mychem", "ok": True}, {"path": "/a"}, {"x": 1}]
    hits = form.scan("".join(json.dumps(r) + "\n" for r in rows).encode())
    assert [h if isinstance(h, str) else "hit" for h in hits] == ["hit", "where", "where", "where"]
    form = detect([b"path,api", b"/a,mygene"], Options(where=(("api", "mygene"),)))
    assert form.scan(b"path,api\n/a,mygene\n/a,mychem\n/a\n")[2:] == ["where", "malformed"]


def test_headers_are_counted_apart_wherever_they_stand() -> None:
    form = detect([line.encode() for line in CLOUDFRONT])
    block = "\n".join(CLOUDFRONT * 2) + "\n"
    assert [h for h in form.scan(block.encode()) if isinstance(h, str)] == ["header"] * 4
    form = detect([line.encode() for line in CSV])
    assert [h for h in form.scan(("\n".join(CSV * 2) + "\n").encode()) if isinstance(h, str)] == ["header"] * 2


def test_mixed_logs_are_read_and_a_named_format_is_the_only_one() -> None:
    mixed = [COMBINED, COMBINED, ELB, ALB, json.dumps(CADDY), PATH, f"GET {PATH}", COMBINED.replace('"-"', '"\\"x\\" y"')]
    form = detect([line.encode() for line in mixed])
    assert form.name == "combined"
    assert [form.parse(line.encode()) is not None for line in mixed] == [True] * 8
    named = detect([line.encode() for line in mixed], given_format("combined"))
    assert [named.parse(line.encode()) is not None for line in mixed] == [True, True, False, False, False, False, False, True]
    assert form.parse(b'/v3/gene/1 HTTP/1.1" 200 12 "-" "x"') is None  # the rest of a broken line


@pytest.mark.parametrize(
    ("request_field", "path"),
    [
        (r"GET /v3/query?q=name:\x22cyclin kinase\x22 HTTP/1.1", "/v3/query?q=name:%22cyclin kinase%22"),
        (r"GET /q?q=\"a\" HTTP/1.1", "/q?q=%22a%22"),
        (r"GET /q?q=a\\b HTTP/1.1", "/q?q=a%5Cb"),
        (r"GET /q?q=a\:b HTTP/1.1", r"/q?q=a\:b"),
        (r"GET /q?q=\xC3\xA9\xFF HTTP/1.1", "/q?q=%C3%A9%FF"),
        ("GET /q?q=é HTTP/1.1", "/q?q=é"),
        ("GET /q?q=%zz%2 HTTP/1.0", "/q?q=%zz%2"),
        ("GET http://x.org HTTP/1.1", "/"),
        ("GET http://x.org?q=a HTTP/1.1", "/?q=a"),
        ("OPTIONS * HTTP/1.1", "*"),
        (" GET /q HTTP/2.0 ", "/q"),
        ("-", None),
        ("", None),
        (r"\x16\x03\x01", None),
        ("GET", None),
        ("get /q", None),
        ("GET /\x00 HTTP/1.1", None),
    ],
)
def test_requests(request_field: str, path: str | None) -> None:
    found = detect([COMBINED.encode()]).request(request_field.encode())
    assert (found[1] if found else None) == path


def test_a_request_never_holds_half_a_character() -> None:
    form = detect([COMBINED.encode()])
    assert form.request(b"GET /q?q=\xff\xfe\xc3 HTTP/1.1") == ("GET", "/q?q=%FF%FE%C3")
    for raw in (rb'{"path": "/v3/gene/\ud800", "ip": "\ud800"}', b'{"path": "/v3/gene/\xff"}', b'{"path":"/\xed\xa0\x80"}'):
        line = detect([raw]).parse(raw)
        assert line is not None
        assert line.path.encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"   ", b"\x00", b"\x00" * 40, b"\x16\x03\x01\x00\xf6\xff\xfe", b"{", b"{}", b'{"path": 7}', b'{"path": ""}', b"[1, 2]",
        b'{"path":' * 5000, b"hello", COMBINED[:60].encode(), COMBINED[:-4].encode(), COMBINED.encode() + COMBINED.encode(),
        COMBINED.replace(f"GET {PATH} HTTP/1.1", r"\x16\x03\x01").encode(),
        COMBINED.replace(f"GET {PATH} HTTP/1.1", "").encode(), ALB[:200].encode(), b"#Fields: a", b"\xef\xbb\xbf",
    ],
)  # fmt: skip
def test_what_is_no_request_is_none(raw: bytes) -> None:
    for form in ALL:
        assert form.parse(raw) is None or form.name in ("csv", "tsv")


SAMPLES: dict[str, list[str]] = {
    "combined": [COMBINED], "vhost": ["www.example.org:443 " + COMBINED], "common": [COMBINED.rsplit(' "-"', 1)[0]],
    "alb": [ALB], "elb": [ELB], "cloudfront": CLOUDFRONT, "iis": IIS, "caddy": [json.dumps(CADDY)], "csv": CSV, "tsv": TSV,
    "paths": [PATH], "nothing": [],
}  # fmt: skip
ALL = [detect([line.encode() for line in lines]) for lines in SAMPLES.values()]
ALL += [detect([], given_format(form)) for form, *_ in NGINX] + [detect([COMBINED.encode()], given_format("combined"))]
LINES = [line.encode() for lines in SAMPLES.values() for line in lines] + [line.encode() for _, line, _ in NGINX]


def mutated(r: random.Random) -> bytes:
    """A line of some format with a few bytes replaced, cut or doubled; no line end."""
    raw = bytearray(r.choice(LINES))
    for _ in range(r.randint(0, 6)):
        at = r.randrange(len(raw) + 1)
        raw[at : at + r.randint(0, 3)] = r.choice([b'"', b"\\", b'\\"', b"\x00", b"\xff", b" ", b"\r", b"{", b"[", b"\t", b",", b"#", bytes([r.randrange(256)])])  # fmt: skip
    return bytes(raw[: r.choice([len(raw), len(raw), r.randint(0, len(raw))])]).replace(b"\n", b"")


@pytest.mark.parametrize("form", ALL, ids=lambda f: f.name)
def test_a_block_gives_one_entry_a_line_and_the_same_as_line_by_line(form: Format) -> None:
    r = random.Random(6)
    lines = [mutated(r) for _ in range(1500)] + [r.randbytes(r.randint(0, 80)).replace(b"\n", b"") for _ in range(300)]
    hits = form.scan(b"\n".join(lines) + b"\n")
    assert len(hits) == len(lines)
    assert hits == [form.scan(line + b"\n")[0] for line in lines]
    for hit in hits:
        if isinstance(hit, str):
            assert hit in ("malformed", "header", "where")
            continue
        client, request, status, agent = hit
        assert isinstance(client + request + status + agent, bytes)
        assert len(status) in (0, 3)
        split = form.request(request)
        assert split is None or (split[0] + split[1] + form.agent(agent)).encode()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.text(alphabet='"\\ ab-[]{}:,0123456789GET/?', max_size=80).map(str.encode), max_size=6))
def test_any_bytes(lines: list[bytes]) -> None:
    lines = [line.replace(b"\n", b"\r") for line in lines]
    block = b"".join(line + b"\n" for line in lines)
    for form in ALL:
        hits = form.scan(block)
        assert len(hits) == len(lines)
        for hit in hits:
            if not isinstance(hit, str):
                form.request(hit[1])
                form.agent(hit[3])


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(['"', "\\", " ", " 200 ", " 99 ", "GET /x", "a", "-", '"-"', ' "', '" ', '\\"', "\\\\"]), max_size=22))
def test_the_fast_path_reads_what_the_careful_one_reads(pieces: list[str]) -> None:
    line = "".join(pieces).encode()
    for place in (0, 1):
        careful = access.combined(place)
        assert access.scan_combined(place, careful)(line + b"\n") == [careful(line)]
        assert access.scan_common(place, careful)(line + b"\n") == [careful(line)]
    assert access.scan_aws(access.aws)(line + b"\n") == [access.aws(line)]


@pytest.mark.parametrize("form", ALL, ids=lambda f: f.name)
def test_another_process_can_make_the_format_again(form: Format) -> None:
    again = open_format(pickle.loads(pickle.dumps(form.spec)))  # noqa: S301 - as a pool of processes does it
    assert again.spec == form.spec
    assert again.escape == form.escape
    block = b"\n".join(LINES) + b"\n"
    assert again.scan(block) == form.scan(block)


HOSTILE = [
    "a", "[", "a:1 ", " ", '"', '" ', "\\", '\\"', "{", '{"a":', "a@", ", ", " : ", "\t", ",", "#", "x HTTP/1.1 ", "GET ", '","',
    "|", "\\x", "/", "1", "1.", "::", "[::1]:", "a, ", "9.9.9.9, ",
]  # fmt: skip
"""What a hostile line repeats, alone or within a line of the log."""


@pytest.mark.parametrize("within", ["{}", "GET /{}", "9.9.9.9, {}", COMBINED.replace("CDK2", "{}"), COMBINED[:-1] + "{}"])
def test_hostile_lines_cost_no_time(within: str) -> None:
    """Twice the line costs about twice the time, in every format; what is quadratic costs four times as much."""

    def seconds(form: Format, raw: bytes) -> float:
        start = time.process_time()
        form.parse(raw)
        return time.process_time() - start

    slow = []
    for unit in HOSTILE:
        half, whole = (within.replace("{}", unit * (size // len(unit))).encode() for size in (32_000, 64_000))
        assert len(whole) <= MAX_LINE
        for form in ALL:
            ratios = (seconds(form, whole) / max(seconds(form, half), 5e-3) for _ in range(6))  # 5 ms is no cost
            if not any(ratio < 3.2 for ratio in ratios):
                slow.append((unit, form.name))
    assert not slow


def test_formats_have_the_names_that_people_use() -> None:
    assert detect([COMBINED.encode()], given_format("nginx")).parse(COMBINED.encode()) == FULL
    assert detect([line.encode() for line in CLOUDFRONT], given_format("cloudfront")).name == "w3c"
    assert detect([], given_format("traefik")).parse(json.dumps(TRAEFIK).encode()) == FULL


@pytest.mark.parametrize(
    ("lines", "name", "said"),
    [
        (['{"req": {"u": "/v3/gene/1"}, "t": 1, "l": []}'], "json", "--key path=KEY, of: req.u, t"),
        (["when,what,code", "1,/v3/gene/1,200"], "combined", "--key path=NAME, of: when, what, code"),
        (["hello", "you"], "combined", "no known format in the first 2 lines"),
    ],
)
def test_what_no_format_reads_is_said_with_what_to_do(
    lines: list[str], name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect([line.encode() for line in lines]).name == name
    assert said in capsys.readouterr().err
    assert detect([PATH.encode()]).name == "paths"
    assert capsys.readouterr().err == ""


def test_no_sample_makes_detection_fail() -> None:
    r = random.Random(8)
    for _ in range(300):
        sample = [mutated(r) for _ in range(r.randint(0, 5))]
        assert detect(sample).name in NAMES
    assert detect([]).name == "combined"
    assert detect([b"\x16\x03\x01", b"\x00" * 9]).name == "combined"


def test_a_spec_is_plain() -> None:
    for form in ALL:
        assert isinstance(form.spec, Spec)
        assert json.loads(json.dumps(form.spec))
