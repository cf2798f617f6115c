"""`querywright call`: read calls and compare them by meaning."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, help="Read calls to an API and compare them by meaning.", no_args_is_help=True)
Api = Annotated[str, typer.Option("--api", help="a shipped API's name or a definition file")]


@app.command("parse")
def parse(
    api: Api,
    counts: Annotated[
        bool, typer.Option("--counts", help="Say at the end how many are calls, and why others are none.")
    ] = False,
) -> None:
    """Read paths, one a line, from standard input; write one JSON object a line: path, ok, canonical, reason."""
    from collections import Counter

    from querywright.api.definition import load
    from querywright.api.read import judge
    from querywright.progress import say

    definition = load(api)
    found = Counter[str]()
    for line in sys.stdin.buffer:
        verdict, code = judge(definition, line.rstrip(b"\r\n"))
        found[code] += 1
        print(json.dumps(verdict), flush=sys.stdout.isatty())
    if counts:
        say(f"{found.total()} paths: " + ", ".join(f"{n} {code}" for code, n in found.most_common()))


@app.command("same")
def same(
    api: Api,
    x: Annotated[str, typer.Argument(help="a path or URL")],
    y: Annotated[str, typer.Argument(help="another")],
) -> None:
    """Exit with 0 where two calls mean the same, 1 where they do not, 2 where one is no call."""
    from querywright.api.call import Call, CallError
    from querywright.api.call import parse as read
    from querywright.api.call import same as equal
    from querywright.api.definition import load

    definition = load(api)

    def call(path: str) -> Call:
        try:
            return read(definition, path)
        except CallError as error:
            raise CallError(error.code, f"{path[:80]!r} is no call: {error}") from None

    first, second = call(x), call(y)
    if equal(first, second):
        print(f"same: {first.canonical}")
        return
    print(f"not the same:\n  {first.canonical}\n  {second.canonical}")
    sys.exit(1)
