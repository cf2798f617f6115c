"""What judges are asked about the answers to a prompt, once an aspect: the shipped templates, or a folder of one's own.

A template is a folder. Each `NAME.md` in it is an aspect, with the sections `## Rubric` and `## Question`; `_frame.md`
(the shipped one, where the folder has none) holds the chat that all aspects share, with the sections `## System` and
`## User`.

The prompt and the answers were written by others. Each stands between markers with a code that is made of all of them
together, so that no answer can hold it: an answer can't end its place, nor pose as another one. Control tokens of chat
templates are broken by a space, line breaks and layout stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import data_dir
from querywright.engines.base import Message
from querywright.engines.fence import code_for, fence, inert_lines
from querywright.errors import QuerywrightError, did_you_mean

Row = dict[str, Any]
ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")
ULTRAFEEDBACK = "ultrafeedback"
MOST_CHARS = 20_000
"""Characters of a text that a judge is shown."""

_FRAME = "_frame.md"
ASPECT = re.compile(r"[a-z][a-z0-9_]*")
"""An aspect's name becomes a folder's, and a part of `custom_id`."""


@dataclass(frozen=True)
class Template:
    """What a judge is asked under one aspect: the sections of its file, and those of the frame."""

    aspect: str
    system: str
    user: str
    question: str


def template_folder(name: str) -> Path:
    """The folder of a template: a shipped one's name, or a path.

    Raises:
        QuerywrightError: there is none.
    """
    shipped = data_dir() / "preferences"
    for folder in (shipped / name, Path(name)):
        if folder.is_dir() and any(ASPECT.fullmatch(p.stem) for p in folder.glob("*.md")):
            return folder
    known = sorted(p.name for p in shipped.iterdir() if p.is_dir())
    raise QuerywrightError(
        f"no template {name!r}{did_you_mean(name, known)}", hint=f"--template {' or '.join(known)}, or a folder of *.md"
    )


def templates(folder: Path, only: Sequence[str] = ()) -> list[Template]:
    """The aspects of a template's folder, the usual four first, then others by name.

    Args:
        only: these, of those that are there.

    Raises:
        QuerywrightError: an unknown aspect, or a file without its sections.
    """
    there = sorted((p.stem for p in folder.glob("*.md") if not p.stem.startswith("_")), key=rank)
    odd = [name for name in there if not ASPECT.fullmatch(name) or name == "full"]
    if odd:
        raise QuerywrightError(
            f"{folder / (odd[0] + '.md')}: no name for an aspect", hint="lower case letters, digits and _; not `full`"
        )
    for name in only:
        if name not in there:
            raise QuerywrightError(
                f"no aspect {name!r} in {folder}{did_you_mean(name, there)}", hint=f"known: {', '.join(there)}"
            )
    own = folder / _FRAME
    frame = _sections(own if own.is_file() else data_dir() / "preferences" / ULTRAFEEDBACK / _FRAME, "System", "User")
    found = []
    for name in [name for name in there if not only or name in only]:
        parts = _sections(folder / f"{name}.md", "Rubric", "Question")
        system = frame["System"].replace("{rubric}", parts["Rubric"])
        found.append(Template(name, system, frame["User"], parts["Question"]))
    return found


def rank(name: str) -> tuple[int, str]:
    """What aspects are ordered by: the usual four first, then others by name."""
    return (ASPECTS.index(name) if name in ASPECTS else len(ASPECTS), name)


def _sections(path: Path, *needed: str) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise QuerywrightError(f"could not read {path}: {reason}", hint="check the path") from error
    pieces = re.split(r"^## (\w+)[ \t]*\n", text, flags=re.M)
    found = {name: body.strip() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}
    missing = [name for name in needed if not found.get(name)]
    if missing:
        raise QuerywrightError(
            f"{path} has no section {' and no '.join(f'## {name}' for name in missing)}",
            hint=f"see data/preferences/{ULTRAFEEDBACK}",
        )
    return found


@dataclass(frozen=True)
class Material:
    """What there is to judge, the same under every aspect: the request and the answers, each in its place.

    Attributes:
        answers: how many.
        cut: how many texts are longer than what is shown.
    """

    task: str
    texts: str
    answers: int
    cut: int = 0


def material(row: Row, *, context: str = "", most_chars: int = MOST_CHARS) -> Material:
    """A row's request and answers, in their order.

    Args:
        row: a prompt with `responses`.
        context: what the answers were written under, where the row has no `system`.
        most_chars: of each text; of a longer one its beginning is shown, and that it is cut.
    """
    system = str(row.get("system") or context)
    turns = [(str(turn["role"]), str(turn["content"])) for turn in row.get("turns") or ()]
    asked = [("SYSTEM MESSAGE", system)] if system else []
    asked += [(f"EARLIER TURN {number} ({role})", said) for number, (role, said) in enumerate(turns, 1)]
    asked += [("REQUEST", str(row["text"]))]
    answers = [(f"TEXT {n}", str(response["response"])) for n, response in enumerate(row["responses"], 1)]
    shown = [(name, *_shown(text, most_chars)) for name, text in [*asked, *answers]]
    code = code_for(str(row["prompt_hash"]), [text for _, text, _ in shown])
    parts = [fence(text, name, code) + note for name, text, note in shown]
    task, texts = "\n\n".join(parts[: len(asked)]), "\n\n".join(parts[len(asked) :])
    return Material(task, texts, len(answers), sum(bool(note) for *_, note in shown))


def render(template: Template, shown: Material) -> list[Message]:
    """The chat that asks a judge under one aspect."""
    n = str(shown.answers)
    values = {"task": shown.task, "texts": shown.texts, "n": n, "question": template.question}
    return [
        {"role": "system", "content": template.system.replace("{n}", n)},
        # put in in one pass: a `{texts}` within a text stays as it is
        {"role": "user", "content": re.sub(r"\{(task|texts|n|question)\}", lambda m: values[m[1]], template.user)},
    ]


def _shown(text: str, most: int) -> tuple[str, str]:
    """A text as judges see it, and a note behind its place where it was cut."""
    whole = inert_lines(text)
    if len(whole) <= most:
        return whole, ""
    return whole[:most], f"\n(Only the first {most:,} of {len(whole):,} characters are shown.)"
