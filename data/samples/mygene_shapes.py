"""What MyGene users ask for: the shapes of requests from which `make_mygene_log.py` draws its sample log.

A *shape* is a function `(rng, genes) -> Request`; `SHAPES` names them all with a weight.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from mygene_values import (
    EXISTS,
    IDS,
    TAXA,
    TERMS,
    Gene,
    Genes,
    Request,
    cased,
    digits,
    extras,
    field_list,
    species_value,
    without,
    words,
)


def atom(r: random.Random, g: Gene) -> str:
    """One clause about gene `g` that finds it (save for the made-up identifiers)."""
    kind = r.choices(
        [
            "symbol",
            "bare",
            "entrezgene",
            "name",
            "phrase",
            "alias",
            "type",
            "taxid",
            "chr",
            "wild",
            "range",
            "exists",
            "id",
            "text",
            "mim",
            "map",
            "species",
            "other",
        ],
        [20, 10, 8, 12, 6, 5, 6, 7, 4, 6, 5, 4, 6, 3, 2, 2, 3, 2],
    )[0]
    if kind == "symbol":
        s = cased(r, g.symbol)
        return f'symbol:"{s}"' if r.random() < 0.15 or not re.fullmatch(r"[\w.-]+", s) else f"symbol:{s}"
    if kind == "bare":
        return cased(r, g.symbol) if re.fullmatch(r"[\w.]+", g.symbol) else f'"{g.symbol}"'
    if kind == "entrezgene":
        return f"entrezgene:{g.geneid}"
    if kind == "name":
        w = words(r, g, r.choice([1, 1, 1, 2]))
        return f"name:({w})" if " " in w else f"name:{w}"
    if kind == "phrase":
        w = words(r, g, r.choice([2, 2, 3]))
        return (r.choice(["name:", "", "other_names:"]) if " " in w else "name:") + f'"{w}"'
    if kind == "alias":
        return f"alias:{r.choice(g.aliases)}" if g.aliases else f"symbol:{g.symbol}"
    if kind == "type":
        return "type_of_gene:" + r.choice(
            ["protein-coding"] * 5 + ['"protein-coding"', "pseudo", "ncRNA", "snoRNA", "tRNA", "rRNA"]
        )
    if kind == "taxid":
        return f"taxid:{g.taxid}"
    if kind == "species":
        return f"species:{TAXA[g.taxid]}"
    if kind == "chr":
        return f"genomic_pos.chr:{g.chromosome}"
    if kind == "wild":
        return wildcard(r, g)
    if kind == "range":
        return interval_range(r, g)
    if kind == "exists":
        return f"_exists_:{exists_field(r)}"
    if kind == "mim":
        return f"MIM:{g.omim}" if g.omim.isdigit() else f"taxid:{g.taxid}"
    if kind == "map":
        return (
            f"map_location:{g.map_location.split()[0]}"
            if re.fullmatch(r"[\w.]+", g.map_location or "")
            else f"taxid:{g.taxid}"
        )
    if kind == "other":
        return f"other_names:{words(r, g, 1)}"
    if kind == "text":
        f = r.choice(sorted(TERMS))
        return f"{f}:{r.choice(TERMS[f])}"
    f = r.choice(sorted(IDS))
    return f"{f}:{IDS[f](r)}"


def exists_field(r: random.Random) -> str:
    return EXISTS[min(int(r.paretovariate(0.5)) - 1, len(EXISTS) - 1)]


def wildcard(r: random.Random, g: Gene) -> str:
    s = re.sub(r"[^A-Za-z0-9]", "", g.symbol) or "CDK2"
    cut = s[: max(2, min(len(s) - 1, r.choice([2, 3, 3, 4])))]
    form = r.random()
    if form < 0.35:
        return f"symbol:{cut}*"
    if form < 0.5:
        return f"symbol:{s[:-1]}?" if len(s) > 2 else f"symbol:{s}*"
    if form < 0.7:
        return f"{cut.lower() if r.random() < 0.5 else cut}{r.choice('**?')}"
    if form < 0.8 and len(s) > 3:
        return f"{r.choice(['', 'symbol:'])}{s[:2]}*{s[-1]}"
    if form < 0.95:
        return f"name:{words(r, g, 1)[:5].lower()}*"
    return f"ensembl.gene:ENSG00000{digits(r, 3)}*"


def interval_range(r: random.Random, g: Gene) -> str:
    low, high = sorted((max(1, g.start - r.choice([0, 1000, 10000])), g.end + r.choice([0, 1000, 10000])))
    return r.choice(
        [
            f"taxid:[{r.choice([7227, 9606])} TO {r.choice([10090, 10116])}]",
            f"entrezgene:[{g.geneid} TO {g.geneid + r.choice([10, 50, 100, 1000])}]",
            f"genomic_pos.start:[{low} TO {high}]",
            f"genomic_pos.end:[{low} TO {high}]",
            f"genomic_pos.start:>{low}",
            f"genomic_pos.end:<={high}",
            f"genomic_pos.start:>={low}",
            f"taxid:<{g.taxid + 1}",
            f"genomic_pos.start:{{{low - 1} TO {high}}}",
            f"genomic_pos.start:[* TO {high}]",
            f"genomic_pos.end:[{low} TO *]",
            f"genomic_pos.chr:{g.chromosome} AND genomic_pos.start:[{low} TO {high}]",
        ]
    )


def genome_interval(r: random.Random, g: Gene) -> str:
    low, high = sorted((max(1, g.start - r.choice([0, 0, 500, 5000])), g.end + r.choice([0, 0, 500, 5000])))
    text = f"chr{g.chromosome}:{low:,}-{high:,}" if r.random() < 0.3 else f"chr{g.chromosome}:{low}-{high}"
    return (r.choice(["hg19.", "hg38."]) if g.taxid == 9606 and r.random() < 0.08 else "") + text


def boolean(r: random.Random, g: Gene, genes: Genes) -> str:
    """Two to four clauses joined the ways people join them."""
    other = genes.draw(r, g.taxid)
    a, b, c = atom(r, g), atom(r, g), atom(r, other)
    sym = [f"symbol:{x.symbol}" for x in (g, other, genes.draw(r, g.taxid))]
    return r.choices(
        [
            f"{a} AND {b}",
            f"{a} AND {b} AND taxid:{g.taxid}",
            f"{sym[0]} OR {sym[1]}",
            f"({sym[0]} OR {sym[1]}) AND taxid:{g.taxid}",
            f"({sym[0]} OR {sym[1]} OR {sym[2]})",
            f"symbol:({g.symbol} OR {other.symbol})",
            f"{a} NOT {c}",
            f"{a} AND NOT {c}",
            f"({a} OR {c}) AND {b}",
            f"{a} AND ({b} OR {c})",
            f"{a} -{c}",
            f"+{a} +{b}",
            f"{a} && {b}",
            f"{a} || {c}",
            f"NOT {c}",
            f"({a} AND {b}) OR ({c} AND {atom(r, other)})",
            f"{a} OR {c}",
            f"{g.symbol} OR {other.symbol}",
            f"{words(r, g, 1)} AND {words(r, other, 1)}",
            f"({words(r, g, 1)} OR {words(r, other, 1)}) AND {words(r, g, 1)}",
            f"{a} AND _exists_:{exists_field(r)}",
            f"{a} NOT _exists_:{exists_field(r)}",
            f"{a} AND !{c}",
            f"{a}^2 OR {c}",
            f"{a} {b}",
        ],
        [12, 5, 7, 6, 3, 4, 3, 4, 4, 3, 1, 1, 1, 1, 1, 2, 4, 4, 3, 2, 6, 2, 0.4, 0.4, 3],
    )[0]


# ---- shapes -----------------------------------------------------------------------------------------------------

Shape = Callable[[random.Random, Genes], Request]


def query(
    make: Callable[[random.Random, Gene, Genes], str], p: float = 0.5, taxid: int | None = None, alias: bool = False
) -> Shape:
    """A shape from a maker of `q`, with the usual extras each at likelihood around `p`."""

    def shape(r: random.Random, genes: Genes) -> Request:
        g = genes.draw(r, taxid, alias)
        return Request("query", [("q", make(r, g, genes)), *extras(r, g, p)])

    return shape


def gene_by_id(r: random.Random, genes: Genes) -> Request:
    g = genes.draw(r)
    made_up = r.random() < 0.15
    gid = IDS["ensembl.gene"](r) if made_up else str(g.geneid)
    out = Request(f"gene/{gid}", [], 404 if made_up and r.random() < 0.5 else 200)
    if r.random() < 0.55:
        out.params.append(("fields", field_list(r)))
    if r.random() < 0.1:
        out.params.append(("species", species_value(r, g.taxid)))
    if r.random() < 0.06:
        out.params.append(("dotfield", r.choice(["true", "1", "false"])))
    if r.random() < 0.02:
        out.params.append(("email", "someone@example.org"))
    return out


def scoped(r: random.Random, genes: Genes) -> Request:
    g = genes.draw(r, alias=True)
    scope, value = r.choice(
        [
            ("symbol", g.symbol),
            ("symbol,alias", r.choice(g.aliases)),
            ("entrezgene", str(g.geneid)),
            ("alias", r.choice(g.aliases)),
            ("ensembl.gene", IDS["ensembl.gene"](r)),
            ("uniprot", IDS["uniprot"](r)),
            ("symbol", g.symbol),
            ("refseq", IDS["refseq"](r)),
            ("entrezgene,retired", str(g.geneid)),
        ]
    )
    return Request("query", [("q", value), ("scopes", scope), *extras(r, g)])


def faceted(r: random.Random, genes: Genes) -> Request:
    g = genes.draw(r)
    q = r.choice([atom(r, g), wildcard(r, g), words(r, g, 1), "__all__", "*"])
    params = [
        ("q", q),
        (
            "facets" if r.random() < 0.8 else "aggs",
            r.choice(
                [
                    "taxid",
                    "taxid",
                    "type_of_gene",
                    "taxid,type_of_gene",
                    "genomic_pos.chr",
                    "symbol",
                    "pathway.kegg.name",
                    "go.BP.id",
                ]
            ),
        ),
    ]
    if r.random() < 0.5:
        params.append(("size", r.choice(["0", "0", "1", "10"])))
    if r.random() < 0.4:
        params.append(("facet_size", str(r.choice([5, 10, 20, 50, 100]))))
    if r.random() < 0.25:
        params.append(("species_facet_filter", species_value(r, g.taxid)))
    if r.random() < 0.3:
        params.append(("species", species_value(r, g.taxid)))
    return Request("query", params)


def fetch_all(r: random.Random, genes: Genes) -> Request:
    g = genes.draw(r)
    q = r.choice([f"name:{words(r, g, 1)}", f"_exists_:{exists_field(r)}", f"taxid:{g.taxid}", "__all__", atom(r, g)])
    return Request("query", [("q", q), ("fetch_all", r.choice(["true", "TRUE", "1", "True"])), *extras(r, g, 0.35)])


def scroll(r: random.Random, genes: Genes) -> Request:
    token = "".join(r.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") for _ in range(24))
    return Request(
        "query",
        [("scroll_id", f"cXVlcnlUaGVuRmV0Y2g{token}=="), *([("fetch_all", "true")] if r.random() < 0.3 else [])],
    )


def paged(r: random.Random, genes: Genes) -> Request:
    g, size = genes.draw(r), r.choice([10, 20, 50, 100])
    return Request(
        "query",
        [
            ("q", r.choice([words(r, g, 1), f"name:{words(r, g, 1)}", wildcard(r, g)])),
            ("size", str(size)),
            ("from", str(size * r.randint(1, 6))),
            *without(extras(r, g, 0.3), "size", "from"),
        ],
    )


def everything(r: random.Random, genes: Genes) -> Request:
    """The API explorer's request: every default filled in."""
    g = genes.draw(r)
    return Request(
        "query",
        [
            ("q", atom(r, g)),
            ("fields", field_list(r)),
            ("species", species_value(r, g.taxid)),
            ("size", "10"),
            ("from", "0"),
            ("fetch_all", "false"),
            ("facet_size", "10"),
            ("entrezonly", "false"),
            ("ensemblonly", "false"),
            ("dotfield", "false"),
        ],
    )


def all_of(r: random.Random, genes: Genes) -> Request:
    g = genes.draw(r)
    return Request(
        "query",
        [
            ("q", r.choice(["__all__", "*", "*:*"])),
            ("species", species_value(r, g.taxid)),
            *without(extras(r, g), "species"),
        ],
    )


def no_hits(r: random.Random, genes: Genes) -> Request:
    """A symbol that no gene has, a misspelling, a fusion name."""
    g, h = genes.draw(r), genes.draw(r)
    made_up = r.choice(
        [f"{g.symbol}-{h.symbol}", f"QZ{digits(r, 3)}X", g.symbol + "zz", f"LOC9{digits(r, 8)}", f"ZZ{g.symbol}"]
    )
    return Request("query", [("q", r.choice(["symbol:", "", "alias:"]) + made_up), *extras(r, g, 0.4)])


def bad(r: random.Random, genes: Genes) -> Request:
    """Requests that the service refuses."""
    g = genes.draw(r)
    q = f"symbol:{g.symbol}"
    return r.choice(
        [
            Request("query", [("q", q), ("size", "abc")], 400),
            Request("query", [("q", q), ("size", "1a")], 400),
            Request("query", [("q", q), ("size", "5000")], 400),
            Request("query", [("q", ""), ("fields", "symbol")], 400),
            Request("query", [("fields", field_list(r))], 400),
            Request("query", [], 400),
            Request("query", [("q", q), ("from", "-5")], 400),
            Request("query", [("q", f"(symbol:{g.symbol} AND")], 400),
            Request("query", [("q", f"{q} AND AND taxid:9606")], 400),
            Request("query", [("q", f'name:"{words(r, g, 2)}')], 400),
            Request("query", [("q", "genomic_pos.start:[1 TO")], 400),
            Request("query", [("q", q), ("species", "elf")], 400),
            Request("gene/", [], 404),
            Request(f"gene/{g.symbol}", [], 404),
            Request("query", [("q", q), ("facet_size", "99999"), ("facets", "taxid")], 400),
            Request("query", [("q", f"genename:{g.symbol}")]),
            Request("query", [("q", q), ("feilds", "symbol")]),
            Request("query", [("q", q), ("organism", "human")]),
            Request("genes/1017", [], 404),
            Request("search", [("q", q)], 404),
        ]
    )


def id_query(r: random.Random, g: Gene, _: Genes) -> str:
    f = r.choice(sorted(IDS))
    value = IDS[f](r)
    name = f.lower() if r.random() < 0.2 else f
    return value.strip('"') if r.random() < 0.2 and "\\" not in value else f"{name}:{value}"


def text_query(r: random.Random, g: Gene, _: Genes) -> str:
    f = r.choice(sorted(TERMS))
    return f"{f}:{r.choice(TERMS[f])}"


SHAPES: dict[str, tuple[float, Shape]] = {
    "symbol": (14, query(lambda r, g, _: f"symbol:{cased(r, g.symbol)}")),
    "simple": (11, query(lambda r, g, _: cased(r, g.symbol))),
    "gene": (15, gene_by_id),
    "entrezgene": (4, query(lambda r, g, _: f"entrezgene:{g.geneid}")),
    "alias": (2.5, query(lambda r, g, _: f"alias:{r.choice(g.aliases)}", alias=True)),
    "name": (4, query(lambda r, g, _: f"name:{words(r, g, 1)}")),
    "words": (4, query(lambda r, g, _: words(r, g, r.choice([1, 2, 2, 3])))),
    "phrase": (
        3,
        query(lambda r, g, _: r.choice(["", "name:", "name:", "other_names:"]) + f'"{words(r, g, r.choice([2, 3]))}"'),
    ),
    "id": (9, query(id_query)),
    "text": (2, query(text_query)),
    "mim": (1, query(lambda r, g, _: f"MIM:{g.omim}" if g.omim.isdigit() else f"MIM:1{digits(r, 5)}", taxid=9606)),
    "wildcard": (4, query(lambda r, g, _: wildcard(r, g))),
    "range": (3, query(lambda r, g, _: interval_range(r, g))),
    "interval": (4, query(lambda r, g, _: genome_interval(r, g), 0.6)),
    "exists": (2.5, query(lambda r, g, _: f"_exists_:{exists_field(r)}")),
    "not_exists": (0.7, query(lambda r, g, _: f"NOT _exists_:{exists_field(r)}")),
    "boolean": (13, query(lambda r, g, gs: boolean(r, g, gs), 0.45)),
    "atom": (4, query(lambda r, g, _: atom(r, g), 0.7)),
    "type": (
        1.5,
        query(lambda r, g, _: "type_of_gene:" + r.choice(["protein-coding", "pseudo", "ncRNA", "snRNA"]), 0.6),
    ),
    "taxid": (1.5, query(lambda r, g, _: f"taxid:{g.taxid}", 0.5)),
    "chromosome": (1, query(lambda r, g, _: f"genomic_pos.chr:{g.chromosome}", 0.6)),
    "fuzzy": (0.3, query(lambda r, g, _: f"symbol:{g.symbol}~{r.choice(['', '1', '2'])}")),
    "proximity": (0.15, query(lambda r, g, _: f'name:"{words(r, g, 2)}"~{r.choice([2, 3])}')),
    "scoped": (3, scoped),
    "faceted": (3, faceted),
    "fetch_all": (1.5, fetch_all),
    "scroll": (0.8, scroll),
    "paged": (1.5, paged),
    "everything": (1, everything),
    "all_of": (1, all_of),
    "no_hits": (4, no_hits),
    "bad": (3, bad),
}
