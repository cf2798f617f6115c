"""What a pair is: one row of a JSONL file, from the teacher to the trainer.

    id           hash of the call's canonical form and the sentence(s)
    api          name of the API
    instruction  the sentence; in a conversation the last one
    turns        what was said before it, as chat messages (conversations only)
    path         the call as a model writes it; empty in a refusal
    canonical    its canonical form, by which pairs are split; of a refusal `nil CODE: sentence`
    signature    its shape; of a refusal `nil CODE`
    fields       what the tuned prompt shows: names of the fields nearest to the sentence (see `api.nearest`)
    refusal      the reason's code (refusals only; see `api.refusal`)
    source       `log`, `drawn`, `refusal`, ... : where it comes from
    teacher      who worded it: `templates`, `narrow`, or a model's name
    persona      whose voice (where there is one)
    weight       how much traffic asks for it; 1 where that is not known
    at           when somebody said so (corrections only)

Keys that a row does not need are left out. Rows of other machinery (`events`) have `answer` and `system` instead of a
call: see `answer` and `system`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from querywright.api.call import Call
from querywright.api.refusal import refusal as refusal_text
from querywright.artefacts import content_id, data_dir
from querywright.errors import QuerywrightError

Row = dict[str, Any]
Message = dict[str, str]


def row(
    call: Call,
    instruction: str,
    source: str,
    weight: float = 1.0,
    *,
    turns: Sequence[Message] = (),
    persona: str = "",
    teacher: str = "",
) -> Row:
    """A pair of a sentence (after some turns) and a call."""
    extra = {"turns": list(turns), "persona": persona, "teacher": teacher}
    return {
        "id": content_id(call.canonical + "\n" + said({"turns": turns, "instruction": instruction})),
        "api": call.api.name,
        "instruction": instruction,
        "path": call.text,
        "canonical": call.canonical,
        "signature": call.signature,
        "source": source,
        "weight": weight,
        **{k: v for k, v in extra.items() if v},
    }


def refusal_row(api: str, instruction: str, code: str, source: str = "refusal", **extra: Any) -> Row:
    """A sentence that no call answers, with the reason's code. Its canonical form holds the sentence, so that a split
    by canonical form deals refusals out one by one."""
    text = refusal_text(code)
    return {
        "id": content_id(text + "\n" + instruction),
        "api": api,
        "instruction": instruction,
        "path": "",
        "canonical": f"{text}: {' '.join(instruction.lower().split())}",
        "signature": text,
        "source": source,
        "weight": 1.0,
        "refusal": code,
        **{k: v for k, v in extra.items() if v},
    }


def said(r: Row) -> str:
    """All that was said before the answer: the turns and the sentence, a line each."""
    return "\n".join([*(t["content"] for t in r.get("turns", ())), r["instruction"]])


def reworded(r: Row, instruction: str, turns: Sequence[Message] | None = None) -> Row:
    """The row with other words and the same answer; its id follows where it comes from the words."""
    new = {**r, "instruction": instruction, **({"turns": list(turns)} if turns is not None else {})}
    if r.get("refusal"):
        text = refusal_text(r["refusal"])
        canonical = f"{text}: {' '.join(instruction.lower().split())}"
        return {**new, "id": content_id(text + "\n" + instruction), "canonical": canonical}
    return {**new, "id": content_id(r["canonical"] + "\n" + said(new))} if r.get("path") else new


def answer(r: Row) -> str:
    """What a model should write for a row: the call, `nil CODE`, or whatever else the row says."""
    if r.get("refusal"):
        return refusal_text(r["refusal"])
    return str(r.get("answer") or r["path"])


def observed(r: Row) -> bool:
    """Whether a row's answer is what somebody did, not what its words mean: the same words may well have other answers,
    and how often each follows is what there is to learn."""
    return not (r.get("path") or r.get("refusal"))


def turns_of(r: Row, where: str) -> list[Message]:
    """What was said before a row's sentence, none where it has no `turns`.

    Raises:
        QuerywrightError: its turns are no chat messages; `where` (a file and a row) begins the message.
    """
    turns = r.get("turns") or []
    whole = isinstance(turns, list) and all(
        isinstance(t, dict) and t.get("role") in ("user", "assistant") and isinstance(t.get("content"), str)
        for t in turns
    )
    if not whole:
        raise QuerywrightError(
            f"{where}: `turns` are no chat messages", hint='[{"role": "user", "content": "..."}, ...]; or assistant'
        )
    return [{"role": t["role"], "content": t["content"]} for t in turns]


def system(r: Row) -> str:
    """The system message that a row is trained and asked with."""
    return str(r.get("system") or system_line(r["api"], r.get("fields") or ()))


def system_line(api_name: str, fields: Sequence[str] = ()) -> str:
    """The system message of the tuned prompt: what to write, then the nearest fields, a line each."""
    return "\n".join([_tuned().format(api=api_name), *fields])


@lru_cache(maxsize=1)
def _tuned() -> str:
    return (data_dir() / "prompts" / "tuned.txt").read_text(encoding="utf-8").strip()


def chat(r: Row) -> dict[str, list[Message]]:
    """A pair as chat messages, the form that is trained on and asked in: system, turns, sentence, answer."""
    return {
        "messages": [
            {"role": "system", "content": system(r)},
            *r.get("turns", ()),
            {"role": "user", "content": r["instruction"]},
            {"role": "assistant", "content": answer(r)},
        ]
    }
