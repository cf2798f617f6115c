"""Fields found by questions: recall@8 with names alone, words from `schema annotate`, and hand-written words.

python benchmarks/annotate.py [--api mygene] [--model GGUF | --url http://...]; the questions are our own.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
from pathlib import Path

from querywright.api.definition import API, SchemaField, load
from querywright.engines.nearest import FaissRetriever
from querywright.generate.retrieve import describe
from querywright.schema.annotate import Sources, annotate
from querywright.schema.annotator import open_annotator
from querywright.schema.write import FIELD_COLUMNS, csv_text, read_rows

QUESTIONS = Path(__file__).with_name("annotate_questions.csv")
K = 8


def bare(api: API, folder: Path) -> str:
    """A copy of a definition without any words; returns its `api.yaml`."""
    home = Path(api.folder)
    shutil.copyfile(home / "api.yaml", folder / "api.yaml")
    empty = {"description": "", "synonyms": "", "examples": "", "shape": "", "weight": "1"}
    rows = [{**row, **empty} for row in read_rows(home / "fields.csv")]
    (folder / "fields.csv").write_text(csv_text(FIELD_COLUMNS, rows), encoding="utf-8")
    return str(folder / "api.yaml")


def recall(fields: list[SchemaField], questions: list[tuple[str, str]], k: int = K) -> tuple[float, list[str]]:
    """The share of questions whose field is among the `k` nearest, and the questions where it is not."""
    found = FaissRetriever(fields, [describe(f) for f in fields])
    missed = [q for q, name in questions if name not in {h.item.name for h in found.nearest(q, k)}]
    return 1 - len(missed) / len(questions), missed


def questions_of(api: str) -> list[tuple[str, str]]:
    """The questions about one API, each with its field."""
    with open(QUESTIONS, encoding="utf-8", newline="") as file:
        return [(r["question"], r["field"]) for r in csv.DictReader(file) if r["api"] == api]


def main() -> None:
    """Print one line for each API and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", action="append")
    parser.add_argument("--model", default="")
    parser.add_argument("--url", default="")
    parser.add_argument("--calls", type=Path, help="kept calls of a log: usage")
    parser.add_argument("--docs", type=Path, nargs="*", default=[])
    parser.add_argument("--missed", action="store_true", help="name the questions that were not answered")
    args = parser.parse_args()
    for name in args.api or ["mygene", "myvariant"]:
        api, questions = load(name), questions_of(name)
        ways = {"by hand": list(api.fields.values())}
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            path = bare(api, folder)
            ways["names alone"] = list(load(path).fields.values())
            sources = Sources(args.calls, None, tuple(args.docs))
            annotate(path, sources=sources, work=folder / "work")
            ways["words"] = list(load(path).fields.values())
            if args.model or args.url:
                engine = open_annotator("", args.model, args.url)
                annotate(path, engine=engine, sources=sources, work=Path("work") / name / "annotate")
                ways["model"] = list(load(path).fields.values())
        for way, fields in ways.items():
            share, missed = recall(fields, questions)
            print(f"{name}: {way}: recall@{K} {share:.0%} of {len(questions)}", flush=True)
            for question in missed if args.missed else ():
                print(f"    {question}")


if __name__ == "__main__":
    main()
