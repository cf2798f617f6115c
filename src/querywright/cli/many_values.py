"""Options that take several values at once: `-x a b`, `-x a -x b` and `-x a,b` are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from typer.core import TyperCommand


class ManyValues(TyperCommand):
    """A command without arguments of its own: what stands bare behind an option that may be repeated is another value
    of it. Name it as `cls` of `app.command`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        repeated = {name for p in self.params if getattr(p, "multiple", False) for name in p.opts}
        flags = {name for p in self.params if getattr(p, "is_flag", False) for name in (*p.opts, *p.secondary_opts)}
        return super().parse_args(ctx, repeat(args, repeated, flags | {*ctx.help_option_names}))


def repeat(args: Sequence[str], repeated: Iterable[str], flags: Iterable[str] = ()) -> list[str]:
    """Arguments with the option's name before each of its values.

    Args:
        repeated: names of the options that may be repeated; `flags`: of those that take no value.
    """
    many, bare = {*repeated}, {*flags}
    done: list[str] = []
    last, owed = "", False  # the repeated option that bare words belong to; whether an option still waits for its value
    for place, arg in enumerate(args):
        if arg == "--":
            return [*done, *args[place:]]
        if owed:
            done, owed = [*done, arg], False
        elif arg.startswith("-") and len(arg) > 1:
            name = arg.partition("=")[0] if arg.startswith("--") else arg[:2]
            last = name if name in many else ""
            owed = arg == name and arg not in bare
            done.append(arg)
        else:
            done += [last, arg] if last else [arg]
    return done


def values(given: Sequence[str] | None) -> list[str]:
    """The values of an option, those with commas between them taken apart, each once."""
    parts = (part.strip() for one in given or () for part in one.split(","))
    return [*dict.fromkeys(part for part in parts if part)]
