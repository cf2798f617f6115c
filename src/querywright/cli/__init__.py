"""The `querywright` command. Each sub-command is a module of its own, imported only when it is asked for."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Any

import click

from querywright.errors import QuerywrightError, did_you_mean

# name: (module in this package, one line of help shown without importing it)
COMMANDS = {
    "logs": "access logs to kept calls, with a report of what was dropped and why",
    "schema": "an API's schema: import, annotate, diff",
    "call": "read calls: parse, same",
    "api": "serve an API over local records",
    "grammar": "compile an API's grammar",
    "pairs": "instruction/query pairs: make, verify, refine, split, export, import, report",
    "events": "conversations to examples of who answers next; validate a model of it",
    "finetune": "plan memory and time, check a config, train, go on; or a job at a server",
    "export": "merge, GGUF, Modelfile, model card",
    "eval": "a sweep: responses, scores, report",
    "ask": "one sentence, or a file of them, to calls",
    "serve": "the query assistant in the browser, with REST",
    "users": "who may log in to the query assistant: add, remove, list",
    "mcp": "the query assistant's tools for an agent, over MCP",
    "feedback": "corrections that people made",
    "preferences": "several models answer, answers are judged: rows for DPO",
    "evaluation": "the evaluation service: serve, worker, status, mlflow, teams",
    "questions": "documents to questions with answers and evidence: windows, make, eval",
    "conversations": "synthetic users talk with several models; judged, and into a database",
}


class _Lazy(click.Group):
    """A group that knows its commands' names and imports a command's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if _exists(name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS or not _exists(cmd_name):
            return None
        import typer

        module = importlib.import_module(f"querywright.cli.{cmd_name}")
        command: Any = typer.main.get_command(module.app)
        command.name = cmd_name
        _unwrap(command)
        return command  # type: ignore[no-any-return]

    def resolve_command(self, ctx: click.Context, args: list[str]):  # type: ignore[no-untyped-def]
        if args and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no command {args[0]!r}{did_you_mean(args[0], self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


def _unwrap(command: Any) -> None:
    """Take the line ends of docstrings out of the help of a command and those below it: typer keeps them in all
    paragraphs but the first, so that a screen of 80 columns shows long and short lines in turn."""
    if command.help:
        paragraphs = command.help.partition("\f")[0].split("\n\n")
        command.help = "\n\n".join(" ".join(p.split()) for p in paragraphs)
    for one in getattr(command, "commands", {}).values():
        _unwrap(one)


def _exists(name: str) -> bool:
    return os.path.exists(os.path.join(os.path.dirname(__file__), f"{name}.py"))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="querywright")
def cli() -> None:
    """From an API's request logs and schema to a local assistant that writes valid calls."""


def main() -> None:
    """Entry point. A user's mistake ends with a message and exit code 2, never with a traceback; Ctrl-C with 130."""
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except QuerywrightError as error:
        _fail(str(error), error.hint)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        disk = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)
        if error.filename is None and error.errno not in disk:
            raise  # not about a path that somebody gave
        _fail(f"{error.strerror}: {error.filename or ''}".rstrip(": "), "check the path, its rights and the free space")
    except BaseException as error:  # typer carries click under a name of its own: known by what they are called
        kind = type(error).__name__
        if kind in ("KeyboardInterrupt", "Abort"):
            print("interrupted; run the same command again to go on", file=sys.stderr)
            sys.exit(130)
        if kind == "Exit":
            sys.exit(getattr(error, "exit_code", 0))
        if not hasattr(error, "format_message"):
            raise
        error.show()  # type: ignore[attr-defined]
        sys.exit(2)


def _fail(message: str, hint: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"  try: {hint}", file=sys.stderr)
    sys.exit(2)
