"""What a judge is asked about the two answers of a turn, and what it says.

Each text stands between markers with a code that none of the texts holds, so that an answer can neither end its place
nor pose as the other one. Which answer is A and which B is the caller's: judges like places, so both orders are asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from querywright.artefacts import data_dir
from querywright.conversations.document import Conversation, history
from querywright.engines.base import Grammar, Message
from querywright.engines.fence import code_for, fence, inert_lines, json_object, json_objects

CRITERIA = (
    "The better one does what was asked, is right, says where it is not sure, and can be used as it is. Where both do, "
    "the shorter one is better."
)
TIE = "tie"
_SAID: dict[str, int | str] = {"a": 0, "b": 1, "tie": TIE, "c": TIE}
_FORM = 'Answer with one JSON object and nothing else: {"better": "A"}, {"better": "B"} or {"better": "tie"}.'
_FORM_REASONS = (
    'Answer with one JSON object and nothing else: {"reason": "one or two sentences", "better": "A"}, or "B", or "tie".'
)
_WORDS = (  # how judges that were not held to the form say it
    re.compile(r"[\"']?better[\"']?\s*[:=]\s*[\"'*]*(A|B|tie)\b", re.I),
    re.compile(r"\[\[\s*(A|B|C|tie)\s*\]\]", re.I),
    re.compile(r"\b(?:answer|response|assistant)\s+[\"'*]*([AB])[\"'*]*\s+is\s+(?:the\s+)?better\b", re.I),
    re.compile(r"^\W*(?:answer\s+)?(A|B|tie)\W*$", re.I),
)


def messages(
    one: Conversation, place: int, swapped: bool, *, criteria: str = "", reasons: bool = False, most_chars: int = 6000
) -> list[Message]:
    """The chat that asks a judge about a turn.

    Args:
        swapped: whether the second response is shown as A.
        criteria: what better means, in place of CRITERIA.
        reasons: whether the judge is to say why, before its verdict.
        most_chars: of each text; of a longer one its beginning is shown, and that it is cut.
    """
    turn = one["turns"][place]
    answers = [response["text"] for response in turn["responses"]]
    said = history(one, place)
    texts = [(f"EARLIER {n // 2 + 1} ({t['role']})", t["content"]) for n, t in enumerate(said)]
    texts += [("LAST MESSAGE OF THE USER", turn["user"])]
    texts += [("ANSWER A", answers[swapped]), ("ANSWER B", answers[not swapped])]
    shown = [(name, inert_lines(text)) for name, text in texts]
    code = code_for(one["id"], [text for _, text in shown])
    parts = [_part(name, text, code, most_chars) for name, text in shown]
    return [
        {"role": "system", "content": template(criteria, reasons)},
        {"role": "user", "content": "\n\n".join([*parts, "Which answer is better, A or B?"])},
    ]


def template(criteria: str = "", reasons: bool = False) -> str:
    """The system message."""
    text = _template().replace("{form}", _FORM_REASONS if reasons else _FORM)
    return text.replace("{criteria}", criteria.strip() or CRITERIA)


@lru_cache(maxsize=1)
def _template() -> str:
    return (data_dir() / "conversations" / "judge.txt").read_text(encoding="utf-8").strip()


def _part(name: str, text: str, code: str, most: int) -> str:
    note = f"\n(Only the first {most:,} of {len(text):,} characters are shown.)" if len(text) > most else ""
    return fence(text[:most] or "(empty)", name, code) + note


def grammar(reasons: bool = False) -> Grammar:
    """The form of the answer, for engines and servers that keep to one."""
    fields: dict[str, Any] = {"better": {"enum": ["A", "B", TIE]}}
    if reasons:
        fields = {"reason": {"type": "string", "maxLength": 400}, **fields}
    schema = {"type": "object", "properties": fields, "required": [*fields], "additionalProperties": False}
    return Grammar(json.dumps(schema), "json")


def read(text: str, swapped: bool) -> int | str | None:
    """Which response a judge prefers: 0, 1 or `tie`; None where that can't be told from what it wrote."""
    text = text.rpartition("</think>")[2].partition("<think>")[0]
    found = {str(one["better"]).strip().lower() for one in json_objects(text)[0] if "better" in one}
    if len(found) > 1:  # it repeats what an answer says, perhaps; a text that says both says nothing
        return None
    said = found.pop() if found else ""
    if said not in _SAID:
        said = _word(text)
    verdict = _SAID.get(said)
    return 1 - verdict if swapped and isinstance(verdict, int) else verdict


def _word(text: str) -> str:
    for pattern in _WORDS:
        found = {match.lower() for match in pattern.findall(text)}
        if found:  # a text that says both says nothing
            return found.pop() if len(found) == 1 else ""
    return ""


def reason(text: str) -> str:
    """Why a judge says so, where it says it in its form."""
    found = json_object(text) or {}
    return str(found["reason"])[:1000] if isinstance(found.get("reason"), str) else ""


def agreed(verdicts: Sequence[int | str | None]) -> int | str | None:
    """What both orders say, None where they do not say the same."""
    first, second = verdicts
    return first if first == second else None


def bias(counts: Mapping[str, int]) -> dict[str, Any]:
    """How a judge likes places, from the turns that it judged differently in both orders: `always_first` and
    `always_second` count those where one place won both times; `first_share` with its 95 % interval (Wilson) is 0.5
    without a bias."""
    from querywright.statistics import wilson

    first, second = counts.get("always_first", 0), counts.get("always_second", 0)
    if not first + second:
        return {"first_share": None, "interval": None}
    low, high = wilson(first, first + second)
    return {"first_share": round(first / (first + second), 4), "interval": [round(low, 4), round(high, 4)]}
