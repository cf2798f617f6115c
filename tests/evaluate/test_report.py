"""What a person acts on: errors with what exactly and what to do, tables of what was asked, costs; and their page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from querywright.api.call import parse
from querywright.api.definition import API, load
from querywright.engines.prices import Price, price_of
from querywright.errors import QuerywrightError
from querywright.evaluate import report, score
from querywright.evaluate.breakdown import traits
from querywright.evaluate.config import Config
from querywright.evaluate.diagnose import diagnose
from querywright.evaluate.page_errors import differing
from querywright.evaluate.problems import PROBLEMS, told
from querywright.evaluate.wrong_value import value_error

Q = "/v3/query?q="


def made(n: int = 24, **more: Any) -> list[dict[str, Any]]:
    """Responses of two cells: the second of them loses limits, takes fields for others and cuts values."""
    rows = []
    for cell in ("grammar", "grounded"):
        for i in range(n):
            expected = f"{Q}symbol:AB{i} AND NOT name:kinase&fields=go&size=5"
            given = {0: expected, 1: expected, 2: f"{Q}symbol:AB{i} AND name:kinase&fields=pathway&size=5",
                     3: f"{Q}alias:AB{i} AND NOT name:kin&fields=go"}[i % (4 if cell == "grounded" else 2)]  # fmt: skip
            rows.append({
                "id": str(i), "instruction": f"five symbols AB{i} that are no kinase <b>", "expected": expected,
                "model": "m", "strategy": "tuned", "decoding": cell, "path": given, "finish": "stop", "ms": 100.0 + i,
                "tokens_in": 100, "tokens_out": 20, "signature": "s", "source": "drawn", "weight": 1.0 + (i == 2) * 99,
                "confidence": 0.9 if given == expected else 0.2, "peak_mb": 200.0 + i, "engine": "llama", "n": 1,
                **more,
            })  # fmt: skip
    return rows


def test_what_exactly_is_wrong(api: API) -> None:
    want = parse(api, Q + "symbol:CDK2 AND NOT name:kinase&fields=go,symbol&size=5")
    given = parse(api, Q + "alias:CDK2 AND name:kinases&fields=pathway,symbol")
    found = diagnose(want, given, "five CDK2 without kinase")
    assert found.details == (
        ("wrong field", "symbol → alias"), ("value lengthened", "kinase → kinases"), ("NOT lost", "name"),
        ("fields changed", "go → pathway"), ("size lost", "5"),
    )  # fmt: skip
    assert found.confused == (("searched", "symbol", "alias"), ("returned", "go", "pathway"))
    assert all(problem in PROBLEMS or told(problem)[1] for problem in found.problems)


@pytest.mark.parametrize(
    ("want", "given", "error"),
    [
        ("ENST00000266970", "ENTEST00000266970", "value damaged"),
        ("cyclin dependent kinase", "cyclin dependent", "value cut"),
        ("CDK2", "cdk2", "letter case"),
        ("protein-coding", "protein coding", "value damaged"),
        ("CDK2", "mouse", "another span"),
        ("CDK2", "TP53", "value invented"),
        ("1017", "", "value cut"),
    ],
)
def test_how_a_value_went_wrong(want: str, given: str, error: str) -> None:
    if given or error != "value cut":
        assert value_error(want, given, "the gene CDK2 of the mouse, ENST00000266970") == error
    assert value_error("CDK2", "TP53") == "wrong value", "without a sentence it can't be told"


def test_what_a_call_makes_use_of(api: API) -> None:
    call = parse(api, Q + '(name:"protein kinase" OR symbol:cdk*) AND NOT _exists_:pdb AND x&fields=go&species=human')
    found = traits(call)
    assert found["operators"] == [
        "3 or more conditions", "AND", "NOT", "OR", "any field", "brackets", "endpoint query", "exists", "fields=",
        "phrase", "species=", "wildcard", "word",
    ]  # fmt: skip
    assert (found["searched"], found["returned"]) == (["name", "pdb", "symbol"], ["go"])
    ranged = traits(parse(api, Q + "genomic_pos.start:[5 TO *] AND chr1:1-100"))["operators"]
    assert {"range", "open range", "interval"} <= {*ranged}


def test_an_api_without_a_query_is_scored_by_its_parameters() -> None:
    quakes = load("earthquakes")
    path = "/fdsnws/event/1/query?minmagnitude=5&starttime=2020-01-01"
    row = score.score_row(quakes, {"expected": path + "&limit=5", "path": path.replace("=5", "=6")})
    assert (row["same"], row["query_same"], row["query_f1"]) == (0, 0, 0.5)
    assert row["fields_f1"] is None, "it has no parameter for fields"
    assert row["details"] == [["minmagnitude changed", "5 → 6"], ["limit lost", "5"]]
    assert row["want"]["operators"] == ["endpoint query", "limit=", "minmagnitude=", "starttime="]
    only_limit = score.score_row(quakes, {"expected": path + "&limit=5", "path": path})
    assert (only_limit["same"], only_limit["query_same"], only_limit["query_f1"]) == (0, 1, 1)


def test_tables_of_a_cell(api: API) -> None:
    cells = score.score(api, made())["cells"]
    bad = {kind: {line["name"]: line for line in cells[1][kind]} for kind in ("operators", "searched", "returned")}
    assert (bad["operators"]["NOT"]["n"], bad["operators"]["NOT"]["lost"]) == (24, 6)
    assert bad["operators"]["size="]["lost"] == 6
    assert (bad["operators"]["NOT"]["same"], bad["operators"]["NOT"]["added"]) == (0.5, 0)
    assert bad["searched"]["symbol"]["lost"] == bad["searched"]["alias"]["added"] == 6
    assert bad["searched"]["alias"]["same"] is None, "nobody asked for it"
    assert (bad["returned"]["go"]["lost"], bad["returned"]["pathway"]["added"]) == (6, 6)
    assert cells[1]["confused"][0][0] in ("searched", "returned")
    assert cells[1]["peak_mb"] == 223.0
    assert cells[1]["tokens_per_s"] == pytest.approx(24 * 20 / sum((100 + i) / 1000 for i in range(24)))
    assert cells[1]["reliability"]["chosen"]["answered"]["mean"] == 0.5
    # one sentence of 24 is most of the traffic, and its answer is wrong in this cell
    assert cells[1]["same_by_traffic"]["mean"] == pytest.approx(12 / 123)
    assert cells[1]["same_by_traffic"]["high"] > 0.3, "an interval of about one sentence is wide"
    assert cells[0]["same_by_traffic"]["mean"] == 1


def test_cells_are_named_by_what_tells_them_apart(api: API) -> None:
    rows = made(2)
    assert {row["cell"] for row in score.score(api, rows)["rows"]} == {"m · tuned · grammar", "m · tuned · grounded"}
    rows[0]["n"] = 5
    rows[1]["engine"] = "hf"
    names = [cell["name"] for cell in score.score(api, rows)["cells"]]
    assert names == ["m · tuned · grammar · llama · n=5", "m · tuned · grammar · hf",
                     "m · tuned · grounded · llama"]  # fmt: skip


def test_costs(api: API, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("models:\n  big: {in: 0.5, out: 2, as_of: 2026-11-01}\n  half: {in: 1}\n")
    monkeypatch.setattr("querywright.engines.prices.data_dir", lambda: tmp_path)
    assert price_of("model.gguf") == Price(local=True)
    assert price_of("http://127.0.0.1:1/v1#small") is None
    priced = price_of("http://127.0.0.1:1/v1#big")
    assert priced == Price(0.5, 2.0, "2026-11-01")
    with pytest.raises(QuerywrightError, match="'half'"):
        price_of("http://127.0.0.1:1/v1#half")
    cell = score.score(api, made(engine="server"), prices={"m": priced})["cells"][0]
    assert cell["cost"]["per_1000"] == pytest.approx(1000 * (100 * 0.5 + 20 * 2) / 1e6)
    assert "2026-11-01" in cell["cost"]["note"]
    assert score.score(api, made(engine="server"))["cells"][0]["cost"]["total"] is None
    local = score.score(api, made())["cells"][0]["cost"]
    assert (local["total"], "local" in local["note"]) == (0.0, True)


def test_the_page_leads_to_ten_examples_of_each_kind(api: API, config: Config) -> None:
    scores = score.score(api, made(60))
    for kind in ("jsonl", "pkl"):
        path = Path(config.out) / f"responses_{config.name}.{kind}"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    report.write(config, scores)
    page = (Path(config.out) / "report.html").read_text(encoding="utf-8")
    targets, places = (re.findall(pattern, page) for pattern in (r"href='#([^']+)'", r"id='([^']+)'"))
    assert {*targets} <= {*places}
    assert len(places) == len({*places})
    assert "m-tuned-grounded--not-lost" in targets
    kind = page[page.index("id='m-tuned-grounded--not-lost'") :]
    kind = kind[: kind.index("</table>")]
    assert kind.count("<small>given</small>") == 10
    assert "&lt;b&gt;" in kind
    assert "<mark>" in kind
    assert page.count("<svg") == 3, "scores, seconds, confidence"
    assert {"latency.svg", "confidence.svg"} <= {path.name for path in Path(config.out).iterdir()}


def test_what_differs_is_marked() -> None:
    meant, given = differing("q=symbol:a<b&size=5", "q=alias:a<b")
    assert meant == "q=<mark>symbol</mark>:a&lt;b<mark>&amp;size=5</mark>"
    assert given == "q=<mark>alias</mark>:a&lt;b"
