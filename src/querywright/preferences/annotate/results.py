"""Lines of a batch's output: how they are read, and how a local judge writes them.

The form is that of OpenAI's Batch API (and of `vllm run-batch`): `custom_id`, `response` with `status_code` and `body`
(a chat completion), `error`. A line of the error file has the same form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id, read_jsonl
from querywright.engines.fence import clean

RESULTS = "results"
_LONGEST = 300  # characters of a server's words


@dataclass(frozen=True)
class Answer:
    """What a judge said to one request.

    Attributes:
        text: its words; empty where there is no answer.
        finish: `stop`, or `length` where the text was cut at the most tokens.
        status: of HTTP; 0 where there was none.
        why: why there is no answer; empty where there is one.
    """

    custom_id: str
    text: str = ""
    finish: str = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    status: int = 0
    why: str = ""


def read_line(row: dict[str, Any]) -> Answer | None:
    """A line of an output or error file; None where it names no request. Whatever it holds, this does not raise."""
    name = row.get("custom_id")
    if not isinstance(name, str) or not name:
        return None
    response = _dict(row.get("response"))
    body, status = _dict(response.get("body")), response.get("status_code")
    code = status if isinstance(status, int) and not isinstance(status, bool) else 0
    error = row.get("error") or body.get("error")
    if error or not 200 <= code < 300:
        return Answer(name, status=code, why=_reason(error, code))
    choices = body.get("choices")
    choice = _dict(choices[0]) if isinstance(choices, list) and choices else {}
    message, usage = _dict(choice.get("message")), _dict(body.get("usage"))
    text = _text(message.get("content"))
    finish = "length" if choice.get("finish_reason") == "length" else "stop"
    spent = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if not text.strip():
        refusal = _text(message.get("refusal"))
        why = f"refused: {clean(refusal)}" if refusal else "an empty answer" + (", cut" if finish == "length" else "")
        return Answer(name, "", finish, *spent, code, why[:_LONGEST])
    return Answer(name, text, finish, *spent, code)


def answers_in(path: Path) -> dict[str, Answer]:
    """The answers of one results file, by `custom_id`; of a request that stands there twice, the one with a text.

    Raises:
        QuerywrightError: the file can't be read, or a line is no JSON object.
    """
    found: dict[str, Answer] = {}
    _take(found, (read_line(row) for row in read_jsonl(path)))
    return found


def answers(folder: Path | str) -> dict[str, Answer]:
    """All answers in a folder's `results/`, by `custom_id`: a text beats a failure, what was asked later wins.

    Args:
        folder: what `annotate convert` wrote into, or a folder of results files.

    Raises:
        QuerywrightError: a line is no JSON object.
    """
    folder = Path(folder)
    inside = folder / RESULTS if (folder / RESULTS).is_dir() else folder
    found: dict[str, Answer] = {}
    for path in sorted(inside.glob("*.jsonl"), key=lambda p: (p.name.startswith("again-"), p.name)):
        _take(found, answers_in(path).values())
    return found


def answered(custom_id: str, text: str, *, model: str, finish: str, tokens_in: int, tokens_out: int) -> dict[str, Any]:
    """A line for an answer that a local judge gave."""
    body = {
        "id": "local-" + content_id(custom_id + "\n" + text, 16),
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out,
        },
    }  # fmt: skip
    response = {"status_code": 200, "request_id": body["id"], "body": body}
    return {"id": body["id"], "custom_id": custom_id, "response": response, "error": None}


def missing(custom_id: str, code: str, message: str) -> dict[str, Any]:
    """A line for a request that has no answer."""
    error = {"code": code, "message": message[:_LONGEST]}
    return {"id": "none-" + custom_id, "custom_id": custom_id, "response": None, "error": error}


def _take(found: dict[str, Answer], new: Iterable[Answer | None]) -> None:
    for answer in new:
        if answer is None:
            continue
        old = found.get(answer.custom_id)
        if old is None or not answer.why or old.why:
            found[answer.custom_id] = answer


def _reason(error: Any, status: int) -> str:
    words = [str(w) for w in _leaves(error) if w not in (None, "")]
    text = ": ".join(([f"HTTP {status}"] if status else []) + words)
    return clean(text)[:_LONGEST] or "no answer"


def _leaves(error: Any) -> Iterator[Any]:
    if isinstance(error, dict):
        yield from (error.get("code"), error.get("message"))
    else:
        yield error


def _text(content: Any) -> str:
    """A message's text; some servers give it in parts."""
    if isinstance(content, list):
        return "".join(str(_dict(part).get("text") or "") for part in content)
    return content if isinstance(content, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
