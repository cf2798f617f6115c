"""What is said about an upload or rows beside their body: `file-name`, `window-size`, `run-id` and so on, each as a
header or as a parameter of the query, with hyphens or underscores; and the check that all that is said is read.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from querywright.errors import QuerywrightError, did_you_mean
from server.evaluation.quotas import Quotas
from server.problems import Refused

NAME_MOST = 200
KEY = "idempotency-key"
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_EXTENDED = re.compile(r"utf-8'[\w-]*'(.*)", re.IGNORECASE)


def given(request: Request, name: str) -> str | None:
    """What a request says under a name, also with underscores, in its headers or its query; None where it says nothing.

    Raises:
        Refused: it says two different things (422).
    """
    values = [_decoded(value) for one in _spelt(name) for value in request.headers.getlist(one)]
    values += [value for one in _spelt(name) for value in request.query_params.getlist(one)]
    if len(set(values)) > 1:
        raise Refused(422, "contradiction", f"{name} is given twice, and differs", "say it once", param=name)
    return values[0] if values else None


def file_name(request: Request) -> str:
    """The document's name as its team calls it; empty where it has none. It is text to show, never a path; what would
    be invisible in it is replaced.

    Raises:
        Refused: it is too long, or given twice (422).
    """
    name = unicodedata.normalize("NFC", _INVISIBLE.sub("\ufffd", given(request, "file-name") or "").strip())
    if len(name) > NAME_MOST:
        message = f"a file-name of {len(name)} characters; {NAME_MOST} are the most"
        raise Refused(422, "file_name", message, param="file-name")
    return name


def run_id(request: Request) -> str | None:
    """The run that rows are to be added to; None: a new one.

    Raises:
        Refused: it is no run's id, or given twice (422).
    """
    text = given(request, "run-id")
    if text is not None and not re.fullmatch("[0-9a-f]{32}", text):
        raise Refused(422, "run_id", f"run-id is {_shown(text)}, no run's id", "its 32 hex digits", param="run-id")
    return text


def _spelt(name: str) -> set[str]:
    return {name, name.replace("-", "_")}


def _shown(text: str) -> str:
    return repr(text[:40].encode("utf-8", "replace").decode())


def _decoded(value: str) -> str:
    """A header's text: UTF-8 as it is, percent-encoded, or as RFC 8187 has it (`UTF-8''caf%C3%A9.json`)."""
    if extended := _EXTENDED.fullmatch(value):
        value = extended[1]
    elif not value.isascii():
        try:
            return value.encode("latin-1").decode()  # HTTP's headers are bytes; most clients send UTF-8
        except UnicodeError:
            return value
    if re.search(r"%(?![0-9A-Fa-f]{2})", value):
        return value  # 100%.json
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return value


def number(request: Request, name: str) -> int | None:
    """A whole number that a request says under a name; None where it says nothing.

    Raises:
        Refused: it is none (422).
    """
    text = given(request, name)
    if text is None:
        return None
    if not re.fullmatch(r"[+-]?[0-9]{1,40}", text.strip()):
        raise Refused(422, "windows", f"{name} is {text[:40]!r}, no whole number", "for example 4", param=name)
    return int(text)


@dataclass(frozen=True)
class Wanted:
    """What was asked for with an upload: None and empty where nothing was said.

    Attributes:
        name: of the document.
        size, step: of windows, in chunks.
        model: who writes questions.
        questions: of a window.
        key: the Idempotency-Key.
    """

    name: str
    size: int | None
    step: int | None
    model: str | None
    questions: int | None
    key: str


def wanted(request: Request, quotas: Quotas) -> Wanted:
    """Read it, all of it before the body.

    Raises:
        Refused: something can't be (422).
    """
    size, step, questions = (number(request, name) for name in ("window-size", "window-step", "questions"))
    model = given(request, "model")
    if questions is not None:
        if not 1 <= questions <= quotas.questions:
            message = f"questions is {questions}; 1 to {quotas.questions} may be asked for"
            raise Refused(422, "questions", message, param="questions")
        if model is None:
            raise Refused(422, "questions", "questions needs a model that writes them", "model=rules", param="model")
    return Wanted(file_name(request), size, step, model, questions, key_of(request))


def key_of(request: Request) -> str:
    """The request's Idempotency-Key; empty where it has none.

    Raises:
        Refused: it is none, or there are several (422).
    """
    keys = [key for one in _spelt(KEY) for key in request.headers.getlist(one)]
    if not keys:
        return ""
    if len(keys) > 1 or not re.fullmatch(r"[!-~]{1,128}", keys[0]):
        message = "an Idempotency-Key is 1 to 128 letters, digits and marks, once"
        raise Refused(422, "idempotency_key", message, param="idempotency-key")
    return keys[0]


class Rolling(NamedTuple):
    """The windows of a document: their size and step as they were given or derived, and the first and last chunk of
    each."""

    size: int
    step: int
    all: list[list[int]]


def windows(n: int, size: int | None, step: int | None, quotas: Quotas) -> Rolling:
    """The windows over `n` chunks. What is not said is derived, see `fitting`.

    Raises:
        Refused: size and step do not fit each other or the document, with the values (422).
    """
    from querywright.questions.windows import check, fitting
    from querywright.questions.windows import windows as rolling

    said = "".join(f", {name} {value}" for name, value in (("size", size), ("step", step)) if value is not None)
    size, step = fitting(n, size, step)
    try:
        check(size, step)  # what can never be is said first
        many = -(-(n - size) // step) + 1 if size <= n else 0
        if many > quotas.windows:
            message = f"{n:,} chunks in steps of {step} are more than {quotas.windows:,} windows"
            raise Refused(422, "windows", message, "a greater window-step", param="window-step")
        if (held := many * size) > quotas.window_chunks:
            message = f"{many:,} windows of {size:,} chunks hold {held:,}, and {quotas.window_chunks:,} are the most"
            hint = "a smaller window-size, or a greater window-step"
            raise Refused(422, "windows", message, hint, param="window-size")
        return Rolling(size, step, [[window.first, window.last] for window in rolling(n, size, step)])
    except Refused:
        raise
    except QuerywrightError as error:
        raise Refused(422, "windows", f"{error} ({n} chunks{said})", error.hint) from error


async def known(request: Request) -> None:
    """Refuse parameters of the query, and headers called like ours, that nobody reads: a misspelt one would silently do
    nothing.

    Raises:
        Refused: there is one (422).
    """
    route: Any = request.scope.get("route")
    described = (route.openapi_extra or {}).get("parameters", ())
    names = {field.alias for field in route.dependant.query_params}
    names |= {one["name"] for one in described if one["in"] == "query"}
    for name in request.query_params:
        if name.replace("_", "-") not in names:
            near = did_you_mean(name, sorted(names)) or ("; known: " + ", ".join(sorted(names)) if names else "")
            raise Refused(422, "unknown_parameter", f"there is no parameter {_shown(name)}{near}", "see /docs")
    headers = {one["name"].lower() for one in described if one["in"] == "header"} | {KEY}  # which may do nothing
    for name in request.headers:
        meant = _OURS.get(_bare(name))
        if meant is None or (meant in headers and name in _spelt(meant)):
            continue
        if meant in headers:
            near = f"; did you mean {meant!r}?"
        else:
            near = "; it stands in the body" if route.dependant.body_params else ""
        raise Refused(422, "unknown_header", f"{_shown(name)} is no header of this request{near}", "see /docs")


def _bare(name: str) -> str:
    """A header's name as people remember it: `X-Window_Step` is windowstep."""
    return re.sub("[-_]", "", name.removeprefix("x-"))


_OURS = {_bare(name): name for name in ("file-name", "window-size", "window-step", "run-id", "model", "questions", KEY)}
