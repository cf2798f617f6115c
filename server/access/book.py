"""A file of names with a hash each, `name:HASH` a line: who may log in to the assistant, which teams there are.

It is read whole, written whole under a temporary name, and its owner's alone to read; two commands at once wait for
each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from querywright.artefacts import alone, replacing
from querywright.errors import QuerywrightError, did_you_mean

V = TypeVar("V")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}")  # a letter first: never mistaken for an address


@dataclass(frozen=True)
class Book(Generic[V]):
    """One kind of such files.

    Attributes:
        noun: what a name is one of, in messages.
        command: what adds, removes and lists them.
        parsed: a hash out of its text, None where it is none; `str` of a hash is its text.
        reserved: a name that nobody can have.
    """

    noun: str
    command: str
    parsed: Callable[[str], V | None]
    reserved: str = ""

    def allowed(self, name: str) -> None:
        """Refuse what can't be a name.

        Raises:
            QuerywrightError: it is none.
        """
        if not NAME.fullmatch(name) or name == self.reserved:
            no = f"; not {self.reserved!r}" if self.reserved else ""
            raise QuerywrightError(
                f"{name[:40]!r} can't be a {self.noun}'s name",
                hint=f"a letter, then letters, digits, dots, dashes and underscores, 32 at most{no}",
            )

    def read(self, path: Path | str) -> dict[str, V]:
        """All of a file, by name; blank lines and comments (`#`) are passed over.

        Raises:
            QuerywrightError: the file can't be read, or a line is none of these; all wrong lines are named.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            hint = f"{self.command} add NAME --file {path}"
            raise QuerywrightError(f"could not read the {self.noun}s in {path}: {reason}", hint=hint) from error
        known: dict[str, V] = {}
        wrong = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, _, text = line.strip().partition(":")
            found = self.parsed(text)
            if found is None or not NAME.fullmatch(name) or name == self.reserved or name in known:
                wrong.append(str(number))
            else:
                known[name] = found
        if wrong:
            raise QuerywrightError(
                f"{path}: no {self.noun} in line {', '.join(wrong[:20])}",
                hint=f"a line is NAME:HASH; {self.command} add NAME",
            )
        return known

    def add(self, path: Path | str, name: str, value: V) -> bool:
        """Add a name, or give one a new hash. Returns whether it is new.

        Raises:
            QuerywrightError: the name is not allowed, or the file can't be read or written.
        """
        path = Path(path)
        self.allowed(name)
        with alone(path.parent, patience_s=2.0):
            known = self.read(path) if path.is_file() else {}
            _write(path, {**known, name: value})
        return name not in known

    def remove(self, path: Path | str, name: str) -> None:
        """Take a name out.

        Raises:
            QuerywrightError: there is no such name, or the file can't be read or written.
        """
        path = Path(path)
        self.read(path)  # a folder that is not there is not made for this
        with alone(path.parent, patience_s=2.0):
            known = self.read(path)
            if name not in known:
                near = did_you_mean(name, list(known))
                raise QuerywrightError(
                    f"no {self.noun} {name[:40]!r} in {path}{near}", hint=f"{self.command} list --file {path}"
                )
            _write(path, {other: value for other, value in known.items() if other != name})


def _write(path: Path, known: Mapping[str, object]) -> None:
    with replacing(path, rights=0o600) as out:
        out.writelines(f"{name}:{value}\n" for name, value in sorted(known.items()))
