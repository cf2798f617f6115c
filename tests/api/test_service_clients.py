"""The public clients work against the embedded service unchanged; what is refused is refused as the services do."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from typer.testing import CliRunner

httpx = pytest.importorskip("httpx")


@pytest.fixture(params=["biothings_client", "mygene"])
def client(request: pytest.FixtureRequest, url: str) -> Any:
    module = pytest.importorskip(request.param)
    if request.param == "mygene":
        own = module.MyGeneInfo()
        own.url = url + "/v3"
        return own
    return module.get_client("gene", url=url + "/v3")


def test_query(client: Any) -> None:
    answer = client.query("symbol:cdk2", species="human", fields="symbol,taxid", size=5)
    assert answer["total"] == 1
    assert answer["hits"][0]["symbol"] == "CDK2"
    assert answer["max_score"] == answer["hits"][0]["_score"]


def test_querymany(client: Any) -> None:
    rows = client.querymany(
        ["1017", "CDK3", "no-such-gene", "ENSG90000000001"],
        scopes="symbol,entrezgene,ensembl.gene",
        species="human",
        fields="symbol",
        returnall=True,
        verbose=False,
    )
    assert [(r["query"], r.get("symbol")) for r in rows["out"]] == [
        ("1017", "CDK2"),
        ("CDK3", "CDK3"),
        ("no-such-gene", None),
        ("ENSG90000000001", "QWA1"),
    ]
    assert rows["missing"] == ["no-such-gene"]
    default = client.querymany([1017, "ENSG90000000009"], verbose=False)  # Entrez and Ensembl ids need no scopes
    assert [r["symbol"] for r in default] == ["CDK2", "QWA1"]


def test_getgene_and_getgenes(client: Any) -> None:
    assert client.getgene(1017, fields="symbol,genomic_pos.chr", dotfield=True) == {
        "_id": "1017",
        "_version": 1,
        "symbol": "CDK2",
        "genomic_pos.chr": "12",
    }
    assert client.getgene("no-such-gene") is None
    rows = client.getgenes(["1017", "1018", "nothing"], fields="symbol")
    assert [(r["query"], r.get("symbol"), r.get("notfound")) for r in rows] == [
        ("1017", "CDK2", None),
        ("1018", "CDK3", None),
        ("nothing", None, True),
    ]


def test_metadata_and_fields(client: Any, genes: list[Any]) -> None:
    assert client.metadata(verbose=False)["stats"]["total"] == len(genes)
    fields = client.get_fields("uniprot")
    assert fields["uniprot.Swiss-Prot"] == {"type": "keyword", "index": True, "searched_by_default": True}
    assert all("uniprot" in name for name in fields)


def test_fetch_all(client: Any) -> None:
    total = client.query("taxid:9606", size=0)["total"]
    rows = list(client.query("taxid:9606", fetch_all=True, fields="symbol", verbose=False))
    assert len(rows) == len({r["_id"] for r in rows}) == total > 2000


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v3/query?q=symbol:(", 400, "parentheses"),
        ("/v3/query", 400, "needs a value for q"),
        ("/v3/query?q=symbl:cdk2", 400, "did you mean 'symbol'"),
        ("/v3/query?q=cdk2&size=1001", 400, "above the maximum 1000"),
        ("/v3/query?q=cdk2&species=elf", 400, "species takes"),
        ("/v3/query?q=cdk2&sort=genomic_pos", 400, "No mapping found"),
        ("/v3/query?scroll_id=unknown", 400, "stale"),
        ("/v3/query?q=cdk2&callback=alert(1)", 400, "callback"),
        ("/v3/gene/0", 404, "no gene has the id"),
        ("/v3/nothing", 404, "unknown endpoint"),
        ("/v3/query?q=%ff", 400, "UTF-8"),
    ],
)
def test_refusals(url: str, path: str, status: int, reason: str) -> None:
    response = httpx.get(url + path)
    assert response.status_code == status
    assert response.json()["success"] is False
    assert reason in response.json()["error"]


@pytest.mark.parametrize(
    ("path", "what", "status", "reason"),
    [
        ("/v3/query", {"data": {"q": "1017", "scopes": "symbl"}}, 400, "unknown field 'symbl'"),
        ("/v3/query", {"data": {"scopes": "symbol"}}, 400, "q"),
        ("/v3/query", {"data": {"q": ",".join(map(str, range(1001)))}}, 400, "1001 terms"),
        ("/v3/query", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, "not JSON"),
        ("/v3/query", {"content": b"[]", "headers": {"content-type": "application/json"}}, 400, "no JSON object"),
        ("/v3/metadata", {"data": {"q": "1017"}}, 404, "no POST"),
    ],
)
def test_refused_batches(url: str, path: str, what: dict[str, Any], status: int, reason: str) -> None:
    response = httpx.post(url + path, **what)
    assert response.status_code == status
    assert reason in response.json()["error"]


def test_batch_as_json_and_old_prefixes(url: str) -> None:
    rows = httpx.post(
        url + "/v3/query",
        json={
            "q": ["tumor protein p53", "1017"],
            "scopes": ["name", "entrezgene"],
            "species": "human",
            "fields": ["symbol"],
        },
    ).json()
    assert [(r["query"], r["symbol"]) for r in rows if r["query"] == "1017"] == [("1017", "CDK2")]
    assert ("tumor protein p53", "TP53") in [(r["query"], r["symbol"]) for r in rows]
    assert (
        httpx.get(url + "/query?q=symbol:cdk2").json()["total"]
        == httpx.get(url + "/v2/query/?q=symbol:cdk2").json()["total"]
    )
    assert httpx.post(url + "/gene/", data={"ids": "1017"}).json()[0]["symbol"] == "CDK2"


def test_jsonp(url: str) -> None:
    response = httpx.get(url + "/v3/gene/1017?fields=symbol&callback=show.gene")
    assert response.text == 'show.gene({"_id":"1017","_version":1,"symbol":"CDK2"})'
    assert response.headers["content-type"].startswith("application/javascript")


def test_species_entry(url: str) -> None:
    assert httpx.get(url + "/v3/species/human").json() == {
        "_id": "9606",
        "_version": 1,
        "taxid": 9606,
        "common_name": "human",
        "has_gene": True,
    }
    assert httpx.get(url + "/v3/species/46170").status_code == 404


def test_taken_port_is_a_sentence() -> None:
    from querywright.api.definition import load
    from querywright.api.service import serve
    from querywright.errors import QuerywrightError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(QuerywrightError, match="cannot listen on"):
            serve(load("mygene"), None, "127.0.0.1", taken.getsockname()[1])


def test_command_says_its_options() -> None:
    from querywright.cli.api import app

    shown = CliRunner().invoke(app, ["serve", "--help"])
    assert shown.exit_code == 0
    for option in ("--api", "--records", "--port", "--host"):
        assert option in shown.stdout
