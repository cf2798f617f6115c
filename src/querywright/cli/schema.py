"""`querywright schema`: import, annotate, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    help="An API's schema: import it, describe its fields, compare two of them.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """An API's schema: import it, describe its fields, compare two of them."""


@app.command("import")
def import_(
    source: Annotated[
        list[str],
        typer.Argument(
            help="files or addresses: BioThings /metadata/fields, an Elasticsearch or OpenSearch mapping or index, "
            "OpenAPI 3.0 or 3.1 (JSON or YAML). Several are merged: where two disagree, the later one is right"
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="the API's name in commands and files")],
    out: Annotated[Path, typer.Option("--out", help="the definition's folder")],
    base_url: Annotated[str, typer.Option("--base-url", help="scheme and host of the service")] = "",
    item_path: Annotated[str, typer.Option("--item-path", help="one record's path, as /v1/gene/{id}")] = "",
    query_path: Annotated[str, typer.Option("--query-path", help="the path of queries")] = "/v1/query",
    query_param: Annotated[
        str, typer.Option("--query-param", help="OpenAPI: the parameter that holds a Lucene query")
    ] = "",
    default_field: Annotated[
        str, typer.Option("--default-field", help="mapping: the field that searches without a field look in")
    ] = "",
    only_listed: Annotated[
        bool, typer.Option("--only-listed", help="leave out fields of a mapping that no list of fields names")
    ] = False,
    keep: Annotated[list[str], typer.Option("--keep", help="with --only-listed: fields that stay, as clingen")] = [],  # noqa: B006
    update: Annotated[
        bool, typer.Option("--update", help="take new facts into an existing folder; what a person wrote stays")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="with --update: take out what the source no longer has")
    ] = False,
) -> None:
    """Write api.yaml, fields.csv (and params.csv) from an API's own schema; says what was found and left out."""
    from querywright.schema.import_schema import Options, import_schema

    import_schema(
        source,
        out,
        Options(
            name=name,
            base_url=base_url,
            item_path=item_path,
            query_path=query_path,
            query_param=query_param,
            default_field=default_field,
            only_listed=only_listed,
            keep=tuple(keep),
            update=update,
            remove=remove,
        ),
    )


@app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="a shipped API's name, a definition's folder or its api.yaml")],
    new: Annotated[str, typer.Argument(help="the same, or a new source (as for import) for the old definition")],
    pairs: Annotated[Path | None, typer.Option("--pairs", help="JSONL of pairs: which rows no longer hold")] = None,
    broken: Annotated[Path | None, typer.Option("--broken", help="where those rows go, with reasons")] = None,
    model: Annotated[
        list[Path],
        typer.Option("--model", help="a model's folder or GGUF: whether it has to be trained again"),
    ] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Compare two definitions, and say what the new one breaks; exits with 1 where it breaks something, else 0."""
    import json

    from querywright.schema.compare import compare, lines

    told = compare(old, new, pairs, broken, tuple(model))
    typer.echo(json.dumps(told, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(told)))
    if told["breaks"]:
        raise typer.Exit(1)


@app.command("annotate")
def annotate_(
    api: Annotated[str, typer.Option("--api", help="a shipped API's name, or a definition file or folder")],
    model: Annotated[
        str, typer.Option("--model", help="who writes: a GGUF file, a checkpoint folder, or with --url a model's name")
    ] = "",
    url: Annotated[str, typer.Option("--url", help="an OpenAI-compatible server, as http://127.0.0.1:8080/v1")] = "",
    engine: Annotated[
        str, typer.Option("--engine", help="words (no model), llama, hf or server; follows from --model and --url")
    ] = "",
    docs: Annotated[list[Path], typer.Option("--docs", help="documentation: text, Markdown, RST or HTML files")] = [],  # noqa: B006
    calls: Annotated[
        Path | None, typer.Option("--calls", help="kept calls of a log, as work/API/calls/calls.jsonl")
    ] = None,
    records: Annotated[Path | None, typer.Option("--records", help="sample records, .jsonl or .jsonl.gz")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="folder of the tables; the definition's own else")] = None,
    work: Annotated[
        Path | None, typer.Option("--work", help="where answers are kept; work/API/annotate by default")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, max=50, help="names in one prompt")] = 8,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="half of the cores by default")] = None,
) -> None:
    """Describe every field and parameter: descriptions, synonyms, examples, shapes, weights.

    What a person wrote in fields.csv and params.csv stays. Without a model the words come from names, types, examples,
    documentation and the log. A run that was stopped goes on when it is started again.
    """
    from querywright.schema.annotate import Sources, annotate
    from querywright.schema.annotator import open_annotator

    writer = open_annotator(engine, model, url, threads)
    try:
        report = annotate(
            api, engine=writer, sources=Sources(calls, records, tuple(docs)), out=out, work=work, batch=batch
        )
    finally:
        if writer is not None:
            writer.close()
    for name in report.files:
        print(name)
