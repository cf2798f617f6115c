"""Executors: the same call gives the same hits, embedded or over HTTP; real and random queries run."""

from __future__ import annotations

import contextlib
import http.server
import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querywright.api import fetch, search
from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.api.executors import EmbeddedExecutor, Hits, HttpExecutor, hits_of
from querywright.api.query import Bool, Everything, Exists, Node, Range, Term, escape, print_query
from querywright.errors import QuerywrightError

pytest.importorskip("tantivy")
REAL = Path(__file__).parents[3] / "shared" / "data" / "real_queries.jsonl"


@pytest.fixture(scope="module")
def embedded(mygene: API, index: Any) -> EmbeddedExecutor:
    return EmbeddedExecutor(mygene, index=index)


def test_embedded_executor_builds_its_index(mygene: API, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"_id": "7", "symbol": "A", "taxid": 9606}\n')
    executor = EmbeddedExecutor(mygene, tmp_path / "r.jsonl", tmp_path)
    hits = executor.run(parse(mygene, "/v3/query?q=symbol:a&fields=symbol"))
    assert (hits.total, hits.ids, hits.rows[0]["symbol"]) == (1, ("7",), "A")
    assert list((tmp_path / "index").iterdir())


@pytest.mark.parametrize(
    "path",
    [
        "/v3/query?q=cdk2",
        "/v3/query?q=kinase&species=mouse&sort=symbol&size=30",
        "/v3/gene/1017",
        "/v3/gene/0",
        "/v3/metadata",
        '/v3/query?q=name:"protein kinase" AND taxid:9606&size=3&fields=all',
        "/v3/query?q=go:GO%5C:0000307&facets=taxid",
    ],
)
def test_http_and_embedded_agree(mygene: API, embedded: EmbeddedExecutor, url: str, path: str) -> None:
    call = parse(mygene, path)
    here, there = embedded.run(call), HttpExecutor(mygene, url).run(call)
    assert (here.total, here.ids, here.rows) == (there.total, there.ids, there.rows)


@pytest.mark.parametrize(
    ("body", "total", "ids"),
    [
        ({"total": {"value": 3}, "hits": [{"_id": "1"}]}, 3, ("1",)),
        ([{"_id": 1}, {"query": "x", "notfound": True}], 2, ("1",)),
        ({"stats": {}}, 1, ()),
        ({"count": 7, "next": None, "results": [{"id": 4}, {"id": 5}]}, 7, ("4", "5")),
        ({"data": [{"uid": "a"}], "meta": {"total": 12}}, 12, ("a",)),
        ({"response": {"numFound": 2, "docs": [{"id": "x"}]}}, 2, ("x",)),
        ({"hits": {"total": {"value": 9}, "hits": [{"_id": "y"}]}}, 9, ("y",)),
        ({"items": []}, 0, ()),
        ({"count": 17, "maxAllowed": 20000}, 17, ()),
        ({"type": "FeatureCollection", "metadata": {"count": 1}, "features": [{"id": "e1"}]}, 1, ("e1",)),
        ({"total": None, "hits": [{}]}, 1, ()),
    ],
)
def test_hits_of_answers_of_every_shape(body: Any, total: int, ids: tuple[str, ...]) -> None:
    hits = hits_of(body, 1.0)
    assert (hits.total, hits.ids) == (total, ids)


def test_a_record_is_one_row_whatever_lists_it_has() -> None:
    record = {"_id": "9", "items": [1, 2, 3]}
    assert hits_of(record, 1.0, record=True) == Hits(1, ("9",), [record], 1.0)
    assert hits_of({"total": 2, "hits": [{"id": 4}]}, 0.0, record=True).total == 2  # a path that ends in a search
    with pytest.raises(QuerywrightError, match="'many' hits"):
        hits_of({"total": "many", "hits": []}, 0.0)


def test_refused_call_and_absent_service_are_told_apart(mygene: API, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call = parse(mygene, "/v3/query?q=a&sort=genomic_pos")
    with pytest.raises(QuerywrightError, match="No mapping found") as refused:
        HttpExecutor(mygene, url).run(call)
    assert not refused.value.retryable
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    with pytest.raises(QuerywrightError, match="does not answer") as absent:
        HttpExecutor(mygene, "http://127.0.0.1:9").run(call)
    assert absent.value.retryable
    with pytest.raises(QuerywrightError, match="no address"):
        HttpExecutor(mygene, "file:///etc/passwd")


def test_busy_service_is_asked_again_and_redirects_are_not_followed(
    mygene: API, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WAIT_S", 0.01)
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status = 302 if "elsewhere" in self.path else 503 if len(asked) < 3 else 200
            body = json.dumps({"total": 1, "hits": [{"_id": "5"}]}).encode()
            self.send_response(status)
            self.send_header("Location", "/v3/query?q=followed")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        executor = HttpExecutor(mygene, f"http://127.0.0.1:{server.server_port}")
        assert executor.run(parse(mygene, "/v3/query?q=cdk2")).ids == ("5",)
        assert len(asked) == 3
        with pytest.raises(QuerywrightError, match=r"302 it sends on to .*, which is not followed"):
            executor.run(parse(mygene, "/v3/query?q=elsewhere"))
        assert not any("followed" in path for path in asked)
        server.shutdown()


def test_only_an_address_that_was_asked_for_may_be_private(mygene: API, url: str) -> None:
    call = parse(mygene, "/v3/query?q=cdk2")
    moved = mygene.model_copy(update={"base_url": url})
    with pytest.raises(QuerywrightError, match="loopback address") as refused:
        HttpExecutor(moved).run(call)
    assert "--allow-private" in refused.value.hint
    assert not refused.value.retryable
    for executor in (
        HttpExecutor(moved, allow_private=True),
        HttpExecutor(mygene, url),
        HttpExecutor(mygene, url.replace("127.0.0.1", "localhost")),
    ):
        assert executor.run(call).total > 0
        executor.close()
    with pytest.raises(QuerywrightError, match="metadata service"):
        HttpExecutor(mygene, "http://169.254.169.254", allow_private=True).run(call)


def test_host_of_a_logged_address_goes_nowhere(mygene: API, url: str) -> None:
    here = HttpExecutor(mygene, url).run(parse(mygene, "/v3/query?q=cdk2"))
    for origin in ("http://169.254.169.254", "https://user@evil.example:8443", "mygene.info"):
        call = parse(mygene, origin + "/v3/query?q=cdk2")
        assert HttpExecutor(mygene, url).run(call).ids == here.ids


@pytest.mark.skipif(not REAL.is_file(), reason="the real queries lie beside the project, not in it")
def test_real_queries_run(mygene: API, embedded: EmbeddedExecutor) -> None:
    ran, refused = 0, []
    for row in map(json.loads, REAL.read_text(encoding="utf-8").splitlines()):
        if row["api"] != "mygene":
            continue
        try:
            call = parse(mygene, row["path"])
        except CallError:
            continue
        try:
            embedded.run(call)
        except search.ServiceError as error:
            refused.append((error.status, row["path"]))
        ran += 1
    assert ran > 300
    assert all(status == 400 for status, _ in refused), refused


# --- random queries -------------------------------------------------------------------------------------------------
SYMBOLS = ["CDK2", "brca1", "BTK", "Tp53", "HLA-A", "qwa1", "IL2RA", "INS"]
KINDS = ["protein-coding", "pseudo", "ncRNA", "snoRNA"]
WORDS = ["kinase", "Receptor", "cyclin", "pseudogene", "alpha", "QWA1", "2"]

scanned: st.SearchStrategy[Node] = st.one_of(
    st.sampled_from(SYMBOLS).map(lambda v: Term("symbol", v)),
    st.sampled_from(KINDS).map(lambda v: Term("type_of_gene", v)),
    st.sampled_from(["9606", "10090", "7227"]).map(lambda v: Term("taxid", v)),
    st.sampled_from(["alias", "MIM", "genomic_pos", "go.BP", "ensembl"]).map(Exists),
    st.builds(
        Range,
        st.just("genomic_pos.start"),
        st.sampled_from(["1", "100000", "*"]),
        st.sampled_from(["50000000", "*"]),
        st.booleans(),
        st.booleans(),
    ),
    st.just(Everything()),
)
leaf: st.SearchStrategy[Node] = st.one_of(
    scanned,
    st.sampled_from(["CDK*", "cdk?", "b*", "*2", "h?a-*"]).map(lambda v: Term("symbol", v, "wildcard")),
    st.sampled_from(WORDS).map(lambda v: Term("name", v)),
    st.sampled_from(WORDS).map(lambda v: Term(None, v)),
    st.sampled_from(["protein kinase", "alpha 1", "Cyclin-dependent kinase"]).map(lambda v: Term("name", v, "phrase")),
)


def lists_of(below: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Clause lists with at least one clause that is not a negation, or only negations."""
    some, few = st.lists(below, max_size=3).map(tuple), st.lists(below, max_size=1).map(tuple)
    first = st.lists(below, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Bool, must=first, should=few, must_not=few),
        st.builds(Bool, should=first, must_not=few),
        st.builds(Bool, must=some, must_not=first),
    )


def trees(leaves: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.recursive(leaves, lists_of, max_leaves=6)


def path_of(node: Node, rng: random.Random) -> str:
    """Another way to write the same search: operands moved, letter case changed, parameters under other names."""

    def other(n: Node) -> Node:
        if isinstance(n, Bool):
            return Bool(*(tuple(rng.sample([other(c) for c in p], len(p))) for p in (n.must, n.should, n.must_not)))
        if isinstance(n, Term) and n.field != "taxid":
            return Term(n.field, rng.choice([str.lower, str.upper, str])(n.value), n.kind, n.tail)
        return n

    params = [rng.choice(["size=300", "limit=300"]), rng.choice(["fields=symbol", "filter=symbol"])]
    params.append("q=" + escape(print_query(other(node))))
    return f"/{rng.choice(['v3/', 'v2/', ''])}query?" + "&".join(rng.sample(params, 3))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(node=trees(leaf), seed=st.integers(0, 2**16))
def test_same_meaning_same_hits(mygene: API, embedded: EmbeddedExecutor, node: Node, seed: int) -> None:
    rng = random.Random(seed)
    calls = [parse(mygene, path_of(node, rng)) for _ in range(3)]
    assert len({c.canonical for c in calls}) == 1
    found = [embedded.run(c) for c in [*calls, parse(mygene, calls[0].canonical), parse(mygene, calls[0].text)]]
    assert len({h.total for h in found}) == 1
    if found[0].total <= 300:
        assert len({frozenset(h.ids) for h in found}) == 1


def _values(record: Any, name: str) -> list[Any]:
    items = [record]
    for part in name.split("."):
        items = [item[part] for item in items if isinstance(item, dict) and part in item]
        items = [deep for item in items for deep in (item if isinstance(item, list) else [item])]
    return items


def holds(record: dict[str, Any], node: Node) -> bool:
    """The semantics again, record by record, without an index."""
    if isinstance(node, Everything):
        return True
    if isinstance(node, Exists):
        return bool(_values(record, node.field))
    if isinstance(node, Range):
        low, high = (None if b == "*" else int(b) for b in (node.low, node.high))
        return any(
            (low is None or v > low or (node.include_low and v == low))
            and (high is None or v < high or (node.include_high and v == high))
            for v in _values(record, node.field)
        )
    if isinstance(node, Bool):
        return (
            all(holds(record, c) for c in node.must)
            and (bool(node.must) or not node.should or any(holds(record, c) for c in node.should))
            and not any(holds(record, c) for c in node.must_not)
        )
    assert isinstance(node, Term)
    return str(node.value).lower() in [str(v).lower() for v in _values(record, str(node.field))]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(node=trees(scanned))
def test_totals_are_those_of_a_scan(mygene: API, embedded: EmbeddedExecutor, genes: list[Any], node: Node) -> None:
    call = parse(mygene, "/v3/query?size=0&q=" + escape(print_query(node)))
    assert embedded.run(call).total == sum(holds(g, node) for g in genes)


@pytest.mark.parametrize(
    "query",
    [
        "a" * 8000,
        "symbol:" + "?" * 300,
        "symbol:a" + "*a" * 200,
        "name:" + "*x" * 50 + "*",
        "(" * 90 + "a" + ")" * 90,
        " OR ".join(f"symbol:a{n}" for n in range(1000)),
        "symbol:\\*\\?",
        'name:""',
        'name:"..."',
        "symbol:a~9",
        "a^0.5",
        "taxid:99999999999999999999",
        "taxid:[* TO 99999999999999999999]",
        "chrX:9-1",
        "chr999:1-999999999999",
        "基因",
        "symbol:µ*",
    ],
)
def test_odd_queries_are_answered_or_refused(mygene: API, embedded: EmbeddedExecutor, query: str) -> None:
    with contextlib.suppress(QuerywrightError):
        assert embedded.run(parse(mygene, "/v3/query?q=" + escape(query))).total >= 0
