"""What OpenAPI says of requests that are read by hand: uploads, whose body is the file and whose parameters may be
headers or stand in the query.
"""

from __future__ import annotations

from typing import Any

from server.evaluation.parameters import NAME_MOST
from server.evaluation.quotas import Quotas

Parameter = dict[str, Any]
_WHOLE = {"type": "integer", "minimum": 1}
_NAME = "What the document is called; shown, never a path. In a header: UTF-8, or percent-encoded UTF-8."
_SIZE = "Chunks of a window; 4 by default, or all where there are fewer."
_STEP = "Chunks from the start of a window to the next one's; 2 by default."
_RUN = "The run to add to; a new one by default."


def _parameter(name: str, place: str, schema: dict[str, Any], text: str) -> Parameter:
    return {"name": name, "in": place, "required": False, "schema": schema, "description": text}


def _both(name: str, schema: dict[str, Any], text: str) -> list[Parameter]:
    return [_parameter(name, "query", schema, text), _parameter(name, "header", schema, text)]


FILE_NAME = _both("file-name", {"type": "string", "maxLength": NAME_MOST}, _NAME)
RUN_ID = _both("run-id", {"type": "string", "pattern": "^[0-9a-f]{32}$"}, _RUN)
WINDOWS = [*_both("window-size", _WHOLE, _SIZE), *_both("window-step", _WHOLE, _STEP)]
KEY = _parameter(
    "Idempotency-Key", "header", {"type": "string", "pattern": "^[!-~]{1,128}$"},
    "The same key is the same request, whatever became of its answer; by default the content says what is the same.",
)  # fmt: skip


def upload_parameters(quotas: Quotas) -> list[Parameter]:
    """Of POST /uploads."""
    questions = _WHOLE | {"maximum": quotas.questions}
    return [
        *FILE_NAME, *WINDOWS, KEY,
        *_both("model", {"type": "string"}, "Who is to write questions: see GET /v1/evaluation/models."),
        *_both("questions", questions, "At most so many for each window; with `model`."),
    ]  # fmt: skip


_TEXT = {"type": "string"}
_FIELDS = {"type": "object", "minProperties": 1}
DOCUMENT = {
    "anyOf": [{"type": "array", "minItems": 1, "items": {"anyOf": [_TEXT, _FIELDS]}}, _FIELDS],
    "examples": [
        ["the first chunk", "the second"],
        {"hits": [{"symbol": "CDK2", "name": "cyclin dependent kinase 2"}]},
    ],
}
_QUESTION = {
    "type": "object", "required": ["question", "answer"],
    "properties": {"question": _TEXT, "answer": _TEXT, "evidence": _TEXT},
}  # fmt: skip
_CALL = {
    "type": "object", "required": ["instruction", "path"], "properties": {"instruction": _TEXT, "path": _TEXT}
}  # fmt: skip
ROWS = {
    "anyOf": [{"type": "array", "minItems": 1, "items": one} for one in (_QUESTION, _CALL)],
    "examples": [[{"question": "Which gene?", "answer": "CDK2", "evidence": "the gene CDK2"}]],
}


def body(schema: dict[str, Any], csv: str) -> dict[str, Any]:
    """A body that is a file.

    Args:
        csv: an example of it as CSV.
    """
    lines = {"schema": {"type": "string", "format": "binary"}}
    return {
        "required": True, "description": "The file itself.",
        "content": {"application/json": {"schema": schema}, "application/x-ndjson": lines,
                    "text/csv": {"schema": {"type": "string", "examples": [csv]}}},
    }  # fmt: skip
