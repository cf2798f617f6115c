"""What stands in the requests of the sample log: genes, identifiers, fields, and the usual parameters.

Symbols, aliases, GeneIDs, chromosomes, positions and OMIM numbers come from the NCBI gene tables that the package
`goatools` carries (human 9606, mouse 10090, fly 7227); identifiers of other databases are made up by their shape,
so that, as in production, a part of the requests finds nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

Params = list[tuple[str, str]]
TAXA = {9606: "human", 10090: "mouse", 7227: "fruitfly"}
TABLES = {9606: "9606_ProteinCoding", 10090: "10090_ProteinCoding", 7227: "7227_ProteinCoding"}
FAMOUS = [
    "TP53",
    "BRCA1",
    "BRCA2",
    "EGFR",
    "CDK2",
    "KRAS",
    "MYC",
    "PTEN",
    "APOE",
    "TNF",
    "IL6",
    "VEGFA",
    "ESR1",
    "AKT1",
    "MTOR",
    "BRAF",
    "ERBB2",
    "CFTR",
    "HTT",
    "APP",
    "TGFB1",
    "STAT3",
    "PIK3CA",
    "NOTCH1",
    "JAK2",
    "CD4",
    "CD8A",
    "CD274",
    "PDCD1",
    "CTLA4",
    "SOX2",
    "GATA3",
    "FOXP3",
    "INS",
    "LEP",
    "DMD",
    "MAPK1",
    "RB1",
    "CDKN2A",
    "TERT",
    "ALK",
    "RET",
    "KIT",
    "FLT3",
    "IDH1",
    "NRAS",
    "ATM",
    "MLH1",
    "MSH2",
    "VHL",
    "HLA-A",
    "HLA-DRB1",
    "ACE2",
    "TMPRSS2",
    "GAPDH",
    "ACTB",
    "LDLR",
    "PCSK9",
    "HBB",
    "F8",
    "SNCA",
    "MAPT",
    "PARK7",
    "LRRK2",
]


@dataclass
class Request:
    """One request before it is spelt: endpoint below /v3, parameters in order, the status a server would answer."""

    endpoint: str
    params: Params = field(default_factory=list)
    status: int = 200


@dataclass(frozen=True)
class Gene:
    """One row of an NCBI gene table."""

    taxid: int
    geneid: int
    symbol: str
    aliases: tuple[str, ...]
    name: str
    map_location: str
    chromosome: str
    start: int
    end: int
    omim: str


PAIR = re.compile(r"(\w+)=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|-?\d+)")


def read_table(taxid: int) -> list[Gene]:
    """The genes of one species, in file order. Read as text: importing the 12 MB module takes a gigabyte."""
    spec = find_spec("goatools")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("goatools is not installed; run: pip install goatools")
    path = Path(spec.submodule_search_locations[0]) / "test_data" / f"genes_NCBI_{TABLES[taxid]}.py"
    genes = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if "NtData(" not in line or "GeneID=" not in line:
            continue
        row = {k: v.strip("'\"").replace("\\\\", "\\") for k, v in PAIR.findall(line)}
        start, end = (
            row.get("start_position_on_the_genomic_accession"),
            row.get("end_position_on_the_genomic_accession"),
        )
        genes.append(
            Gene(
                taxid,
                int(row["GeneID"]),
                row["Symbol"],
                tuple(
                    a for a in row["Aliases"].split(", ") if a.isascii() and re.fullmatch(r"[\w.-]+", a) and len(a) > 1
                ),
                row["description"],
                row["map_location"],
                row["chromosome"].split("|")[0],
                int(start) if start and start.isdigit() else 0,
                int(end) if end and end.isdigit() else 0,
                row["OMIM"],
            )
        )
    return genes


class Genes:
    """The three tables, with draws that are skewed as people's interests are: few famous genes, a long tail."""

    def __init__(self) -> None:
        self.by_taxid = {t: [g for g in read_table(t) if g.start and g.name and g.symbol] for t in TABLES}
        human = {g.symbol: g for g in self.by_taxid[9606]}
        self.famous = [human[s] for s in FAMOUS if s in human]
        self.with_alias = {t: [g for g in gs if g.aliases] for t, gs in self.by_taxid.items()}

    def draw(self, r: random.Random, taxid: int | None = None, alias: bool = False) -> Gene:
        taxid = taxid or r.choices([9606, 10090, 7227], [70, 22, 8])[0]
        if taxid == 9606 and not alias and r.random() < 0.25:
            return self.famous[min(int(r.paretovariate(0.7)) - 1, len(self.famous) - 1)]
        return r.choice((self.with_alias if alias else self.by_taxid)[taxid])


# ---- values -----------------------------------------------------------------------------------------------------


def digits(r: random.Random, n: int) -> str:
    return "".join(r.choice("0123456789") for _ in range(n))


def words(r: random.Random, gene: Gene, n: int) -> str:
    """`n` neighbouring plain words of the gene's name, fewer where the name is shorter."""
    plain = [w for w in re.split(r"[\s,/()\[\]:;]+", gene.name) if re.fullmatch(r"[A-Za-z][A-Za-z-]{2,}", w)]
    plain = [w for w in plain if w.lower() not in ("and", "the", "for", "not", "like", "from", "with")] or ["protein"]
    n = min(n, len(plain))
    at = r.randrange(len(plain) - n + 1)
    return " ".join(plain[at : at + n])


def cased(r: random.Random, symbol: str) -> str:
    """A symbol as people type it: mostly right, at times in lower case."""
    return symbol.lower() if r.random() < 0.15 else symbol


IDS: dict[str, Callable[[random.Random], str]] = {
    "ensembl.gene": lambda r: r.choice(["ENSG", "ENSG", "ENSG", "ENSMUSG"]) + "00000" + digits(r, 6),
    "ensembl.transcript": lambda r: r.choice(["ENST", "ENST", "ENSMUST"]) + "00000" + digits(r, 6),
    "ensembl.protein": lambda r: "ENSP00000" + digits(r, 6),
    "refseq": lambda r: r.choice(["NM_", "NM_", "NP_", "XM_"]) + digits(r, r.choice([6, 6, 9])),
    "refseq.rna": lambda r: r.choice(["NM_", "NR_", "XM_"]) + digits(r, r.choice([6, 9])),
    "refseq.protein": lambda r: r.choice(["NP_", "XP_"]) + digits(r, r.choice([6, 9])),
    "uniprot": lambda r: r.choice("OPQ") + digits(r, 5),
    "uniprot.Swiss-Prot": lambda r: r.choice("OPQ") + digits(r, 5),
    "uniprot.TrEMBL": lambda r: (
        "A0A0" + r.choice("ABCDEFGH") + digits(r, 1) + r.choice("KLMNRSTW") + digits(r, 2) + "5"
    ),
    "go": lambda r: r.choice(["", "", "GO\\:"]) + "00" + digits(r, 5),
    "go.BP.id": lambda r: '"GO:00' + digits(r, 5) + '"',
    "go.MF.id": lambda r: '"GO:00' + digits(r, 5) + '"',
    "go.CC.id": lambda r: "GO\\:00" + digits(r, 5),
    "pathway.kegg.id": lambda r: r.choice(["hsa", "mmu"]) + "0" + digits(r, 4),
    "pathway.reactome.id": lambda r: "R-HSA-" + digits(r, 6),
    "pathway.wikipathways.id": lambda r: "WP" + digits(r, 3),
    "interpro": lambda r: "IPR0" + digits(r, 5),
    "interpro.id": lambda r: "IPR0" + digits(r, 5),
    "pfam": lambda r: "PF0" + digits(r, 4),
    "prosite": lambda r: "PS0" + digits(r, 4),
    "pdb": lambda r: r.choice("123456") + r.choice("ABCGHJKMQ") + r.choice("ABDEFHKMW") + digits(r, 1),
    "HGNC": lambda r: digits(r, r.choice([3, 4, 5])).lstrip("0") + "1",
    "HPRD": lambda r: "0" + digits(r, 4),
    "MGI": lambda r: r.choice(['"MGI:1%s"', "MGI\\:1%s"]) % digits(r, 5),
    "RGD": lambda r: "6" + digits(r, 5),
    "FLYBASE": lambda r: "FBgn00" + digits(r, 5),
    "WormBase": lambda r: "WBGene0000" + digits(r, 4),
    "ZFIN": lambda r: "ZDB-GENE-" + digits(r, 6) + "-" + digits(r, 3),
    "TAIR": lambda r: "AT" + r.choice("12345") + "G" + digits(r, 4) + "0",
    "Xenbase": lambda r: "XB-GENE-" + digits(r, 6),
    "miRBase": lambda r: "MI000" + digits(r, 4),
    "reporter": lambda r: digits(r, 6) + r.choice(["_at", "_s_at", "_x_at"]),
    "unigene": lambda r: r.choice(["Hs.", "Mm."]) + digits(r, 5),
    "homologene": lambda r: "7" + digits(r, 4),
    "homologene.id": lambda r: "7" + digits(r, 4),
    "accession": lambda r: r.choice(["AA", "BC", "AK", "AF"]) + digits(r, 6),
    "accession.rna": lambda r: r.choice(["BC", "AK"]) + digits(r, 6),
    "accession.protein": lambda r: "AAH" + digits(r, 5),
    "pharmgkb": lambda r: "PA" + digits(r, 5),
    "ec": lambda r: f"{r.randint(1, 6)}.{r.randint(1, 8)}.{r.randint(1, 9)}.{r.randint(1, 60)}",
    "retired": lambda r: digits(r, 5).lstrip("0") + "9",
    "ipi": lambda r: "IPI000" + digits(r, 5),
    "umls.cui": lambda r: "C1" + digits(r, 6),
    "chembl.chembl_target": lambda r: "CHEMBL" + digits(r, 4),
    "generif.pubmed": lambda r: "1" + digits(r, 7),
    "pantherdb.uniprot_kb": lambda r: r.choice("OPQ") + digits(r, 5),
    "reagent": lambda r: "GNF" + digits(r, 6),
    "locus_tag": lambda r: "Dmel_CG" + digits(r, 4),
    "clingen.clinical_validity.mondo": lambda r: '"MONDO:000' + digits(r, 4) + '"',
}
TERMS = {  # text fields of which the sample knows no values
    "summary": [
        "insulin",
        "apoptosis",
        "receptor",
        "tumor suppressor",
        "ion channel",
        '"DNA repair"',
        "mitochondrial",
        "kinase",
        "angiogenesis",
    ],
    "go.MF.term": ['"kinase activity"', "binding", '"DNA binding"', "transporter", "hydrolase"],
    "go.BP.term": ['"cell cycle"', "apoptosis", '"immune response"', '"protein folding"', "autophagy"],
    "go.CC.term": ["nucleus", '"plasma membrane"', "mitochondrion", "centrosome", "synapse"],
    "pathway.kegg.name": ['"cell cycle"', '"Wnt signaling pathway"', "glycolysis", '"MAPK signaling"'],
    "pathway.reactome.name": ['"signal transduction"', '"DNA repair"', "hemostasis", '"innate immune system"'],
    "pathway.wikipathways.name": ['"Apoptosis"', '"TGF-beta"', "ferroptosis"],
    "interpro.desc": ['"protein kinase domain"', '"zinc finger"', "homeobox"],
    "pathway.biocarta.name": ['"p53 signaling pathway"', '"cell cycle"'],
    "clingen.clinical_validity.classification": ["definitive", "strong", "moderate", "limited"],
    "pharos.tdl": ["Tclin", "Tchem", "Tbio", "Tdark"],
}
EXISTS = [
    "entrezgene",
    "ensembl.gene",
    "uniprot",
    "uniprot.Swiss-Prot",
    "pdb",
    "summary",
    "pathway",
    "pathway.kegg",
    "pathway.reactome",
    "go",
    "go.BP",
    "MIM",
    "HGNC",
    "refseq.rna",
    "refseq.protein",
    "interpro",
    "homologene",
    "genomic_pos",
    "genomic_pos.chr",
    "alias",
    "map_location",
    "type_of_gene",
    "pharmgkb",
    "other_names",
    "MGI",
    "FLYBASE",
    "reporter",
    "wikipedia.url_stub",
    "exac",
    "umls.cui",
    "clingen",
    "chembl.chembl_target",
    "miRBase",
    "ec",
    "locus_tag",
]
FIELD_SETS = [
    "symbol",
    "symbol,name",
    "symbol,name,taxid,entrezgene",
    "name,symbol,taxid",
    "entrezgene",
    "symbol,entrezgene",
    "ensembl.gene",
    "uniprot",
    "uniprot.Swiss-Prot",
    "refseq",
    "refseq.rna",
    "refseq.protein",
    "go",
    "go.BP",
    "go.MF",
    "go.CC",
    "pathway",
    "pathway.kegg",
    "pathway.reactome",
    "pathway.wikipathways.name",
    "summary",
    "symbol,summary",
    "name,symbol,summary",
    "genomic_pos",
    "genomic_pos.chr,genomic_pos.start,genomic_pos.end",
    "genomic_pos_hg19",
    "exons",
    "all",
    "interpro",
    "pdb",
    "homologene",
    "alias",
    "symbol,alias",
    "name,alias,other_names",
    "map_location",
    "symbol,map_location",
    "type_of_gene",
    "HGNC",
    "MIM",
    "symbol,HGNC,MIM",
    "ensembl.transcript",
    "ensembl.protein",
    "entrezgene,ensembl.gene,symbol,uniprot",
    "entrezgene,symbol,name,type_of_gene,map_location",
    "symbol,name,alias,summary,genomic_pos,type_of_gene",
    "accession",
    "accession.rna",
    "reporter",
    "generif",
    "pharmgkb",
    "unigene",
    "wikipedia.url_stub",
    "umls.cui",
    "pantherdb.uniprot_kb",
    "taxid",
    "MGI",
    "FLYBASE",
    "symbol,taxid",
    "ec",
    "pfam",
    "prosite",
    "retired",
    "homologene.id",
    "reagent",
    "exac.bp",
    "pharos.tdl",
    "genomic_pos.strand",
    "_id",
    "_score,symbol",
    "symbol,genomic_pos",
]
SINGLE = sorted({f for s in FIELD_SETS for f in s.split(",") if not f.startswith("_") and f != "all"})


def field_list(r: random.Random) -> str:
    if r.random() < 0.75:
        return FIELD_SETS[min(int(r.paretovariate(0.6)) - 1, len(FIELD_SETS) - 1)]
    return ",".join(r.sample(SINGLE, r.choices([1, 2, 3, 4, 5], [30, 35, 20, 10, 5])[0]))


def species_value(r: random.Random, taxid: int) -> str:
    """A species as people give it: name, taxid, or a list in which it is."""
    names = ["human", "mouse", "rat", "fruitfly", "nematode", "zebrafish", "thale-cress", "frog", "pig"]
    own = TAXA[taxid] if r.random() < 0.65 else str(taxid)
    if r.random() < 0.15:
        others = r.sample([n for n in names if n != TAXA[taxid]], r.choice([1, 1, 2, 3]))
        if own.isdigit():
            others = [
                {"human": "9606", "mouse": "10090", "rat": "10116", "fruitfly": "7227", "zebrafish": "7955"}.get(
                    n, "9823"
                )
                for n in others
            ]
            others = [o for o in dict.fromkeys(others) if o != own]
        own = ",".join([own, *others])
    return own


def extras(r: random.Random, gene: Gene, p: float = 0.5) -> Params:
    """What people add to a query: species, fields, size and the rest, each with its own likelihood."""
    out: Params = []
    if r.random() < p:
        out.append(("species", species_value(r, gene.taxid)))
    if r.random() < p:
        out.append(("fields", field_list(r)))
    if r.random() < p * 0.5:
        out.append(("size", str(r.choice([1, 1, 2, 3, 5, 10, 20, 25, 50, 100, 200, 500, 1000]))))
        if r.random() < 0.2:
            out.append(("from", str(r.choice([5, 10, 20, 50, 100]))))
    if r.random() < p * 0.12:
        out.append(
            (
                "sort",
                r.choice(
                    [
                        "symbol",
                        "-symbol",
                        "entrezgene",
                        "-entrezgene",
                        "taxid",
                        "taxid,-symbol",
                        "name",
                        "genomic_pos.start",
                        "-genomic_pos.start",
                        "-_score",
                    ]
                ),
            )
        )
    if r.random() < p * 0.08:
        out.append((r.choice(["entrezonly", "ensemblonly"]), r.choice(["true", "1", "True"])))
    if r.random() < p * 0.08:
        out.append(("dotfield", r.choice(["true", "1", "false", "True"])))
    if r.random() < 0.02:
        out.append(
            (
                "email",
                f"{r.choice(['lab', 'jane.doe', 'pipeline', 'r.roe'])}@example.{r.choice(['org', 'edu', 'com'])}",
            )
        )
    return out


def without(params: Params, *names: str) -> Params:
    return [p for p in params if p[0] not in names]
