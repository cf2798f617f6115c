"""Records for the embedded service: JSON lines, or gene tables of NCBI that come inside a Python package.

A record is a document shaped like the API's own answers, with a string `_id`; an `id` does where there is none.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.artefacts import sha256
from querywright.errors import QuerywrightError, need

Record = dict[str, Any]
SURROGATES = re.compile("[\ud800-\udfff]")

# Tables of goatools (NCBI Gene, early 2016), the fuller one of a species last: it replaces rows of the other.
_TABLES = {
    "genes_NCBI_9606_ProteinCoding": 9606,
    "genes_NCBI_9606_All": 9606,
    "genes_NCBI_10090_ProteinCoding": 10090,
    "genes_NCBI_10090_All": 10090,
    "genes_NCBI_7227_ProteinCoding": 7227,
}
# Outside of the protein-coding tables the kind of a gene is only in its description.
_KINDS = (
    (r"\bpseudogene\b", "pseudo"),
    (r"\bsmall nucleolar RNA\b", "snoRNA"),
    (r"\bsmall nuclear RNA\b", "snRNA"),
    (r"\btransfer RNA\b", "tRNA"),
    (r"\bribosomal RNA\b", "rRNA"),
    (r"\bmicroRNA\b|\blong non-coding RNA\b|\bnon-protein coding RNA\b|\bantisense RNA\b", "ncRNA"),
)


def source_of(api: API, records: str | Path | None) -> str:
    """The source to read: what was asked for, else the definition's own.

    Raises:
        QuerywrightError: neither is there.
    """
    chosen = str(records or api.records)
    if not chosen:
        raise QuerywrightError(
            f"the definition of {api.name} names no records",
            hint=f"querywright api serve --api {api.name} --records FILE.jsonl",
        )
    if chosen != "goatools" and not Path(chosen).is_file():
        raise QuerywrightError(f"no records file {chosen}", hint="--records takes a .jsonl(.gz) file or goatools")
    return chosen


def digest(source: str) -> str:
    """What identifies the records: a file's hash, or the version of the package that holds them."""
    if source != "goatools":
        return sha256(source)
    try:
        return f"goatools {version('goatools')}"
    except PackageNotFoundError:
        need("goatools", extra="api")
        raise


def read(source: str) -> Iterator[Record]:
    """Yield the records of a source, in its order; the file is streamed.

    Raises:
        QuerywrightError: a line is no JSON object or has no `_id` (its number is named).
    """
    yield from goatools() if source == "goatools" else read_file(Path(source))


def read_file(path: Path) -> Iterator[Record]:
    """Yield the documents of a JSONL file, packed with gzip or not."""
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")  # noqa: SIM115
    try:
        with opened as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                    if b"\\ud" in line.lower():  # a lone surrogate is no text that an index takes
                        record = json.loads(SURROGATES.sub("\ufffd", json.dumps(record, ensure_ascii=False)))
                except (ValueError, RecursionError) as error:
                    raise QuerywrightError(f"{path}:{number}: not JSON ({error})", hint="one record a line") from error
                own = (record.get("_id", record.get("id"))) if isinstance(record, dict) else None
                if not isinstance(own, str | int):
                    raise QuerywrightError(f"{path}:{number}: a record needs an _id", hint='such as {"_id": "1017"}')
                yield {"_id": str(own), **{k: v for k, v in record.items() if k != "_id"}}
    except (OSError, EOFError) as error:
        raise QuerywrightError(f"could not read {path}: {error}", hint="gzip -t FILE tests a packed file") from error


def goatools() -> Iterator[Record]:
    """Yield human, mouse and fly genes from the NCBI tables inside goatools (104,000 genes, GRCh38 and GRCm38)."""
    import importlib
    import sys

    need("goatools", extra="api")
    rows: dict[int, Any] = {}
    coding: set[int] = set()
    for table in _TABLES:
        module = importlib.import_module(f"goatools.test_data.{table}")
        rows.update(module.GENEID2NT)
        if table.endswith("ProteinCoding"):
            coding.update(module.GENEID2NT)
        del sys.modules[module.__name__]  # hundreds of megabytes that nobody reads again
    order = {taxid: n for n, taxid in enumerate(dict.fromkeys(_TABLES.values()))}
    for row in sorted(rows.values(), key=lambda r: (order.get(r.tax_id, 99), r.GeneID)):
        yield _gene(row, row.GeneID in coding)


def _few(values: list[str]) -> str | list[str]:
    """One value stands alone, several are a list: as the service writes them."""
    unique = list(dict.fromkeys(v for v in values if v))
    return unique[0] if len(unique) == 1 else unique


def _kind(row: Any, coding: bool) -> str:
    if coding:
        return "protein-coding"
    text = f"{row.description} {row.other_designations}"
    return next((kind for pattern, kind in _KINDS if re.search(pattern, text, re.I)), "")


def _gene(row: Any, coding: bool) -> Record:
    """One row of NCBI's table as a document of the service. Empty cells are left out."""
    tags = re.findall(r"Dmel[_\\]+(CG\d+|CR\d+)", row.Aliases)
    aliases = [a.strip() for a in row.Aliases.split(",") if not re.match(r"\s*Dmel[_\\]", a)]
    gene: Record = {
        "_id": str(row.GeneID),
        "entrezgene": str(row.GeneID),
        "taxid": row.tax_id,
        "symbol": row.Symbol,
        "name": row.description,
        "type_of_gene": _kind(row, coding),
        "map_location": row.map_location,
        "alias": _few([a for a in aliases if a]),
        "other_names": _few(row.other_designations.split("|")),
        "locus_tag": _few([f"Dmel_{t}" for t in tags]),
        "MIM": _few(str(row.OMIM or "").split(",")),
    }
    chromosome = row.chromosome.split(",")[0].strip()
    if chromosome and row.start_position_on_the_genomic_accession:
        gene["genomic_pos"] = {
            "chr": chromosome,
            "start": int(row.start_position_on_the_genomic_accession),
            "end": int(row.end_position_on_the_genomic_accession),
            "strand": -1 if row.orientation == "minus" else 1,
        }
    if row.genomic_nucleotide_accession_version:
        gene["refseq"] = {"genomic": row.genomic_nucleotide_accession_version}
    return {key: value for key, value in gene.items() if value not in ("", [], None)}
