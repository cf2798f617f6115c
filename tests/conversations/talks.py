"""Conversations made for tests: of three kinds of models, with odd words in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from querywright.conversations.document import VERSION, conversation_id

ODD = "Robert'); DROP TABLE chat_turn;-- %s :x \t\\N \U0001f9ec é"
MODELS = {
    "one": {"provider": "local", "name": "/models/one.gguf"},
    "two": {"provider": "openai-compatible", "name": "two", "url": "http://127.0.0.1:1/v1"},
}
HEAD = {
    "config": {"seed": 0},
    "models": MODELS,
    "user": {"provider": "local", "name": "base"},
    "weights": {"base": "ab"},
}


def talk(number: int = 0, turns: int = 2, persona: Any = None, **more: Any) -> dict[str, Any]:
    """A conversation; judged where `judgements` (of each turn) is given."""
    judged = more.pop("judgements", None)
    said = [
        {
            "user": f"{ODD} question {number}.{place}",
            "responses": [
                {"model": name, "text": f"{name} says {number}.{place}\nand more", "tokens_in": 7, "tokens_out": 5,
                 "ms": 1.25, "finish": "stop"}
                for name in ("one", "two")
            ],
            "picked": (number + place) % 2,
            **({"judgements": judged} if judged else {}),
        }
        for place in range(turns)
    ]  # fmt: skip
    found = {"number": number, "persona": persona, "user": "user", "ended": "done", "turns": said, **more}
    return {"id": conversation_id(found), **found}


def judgement(preferred: int | str | None, judge: str = "j", **more: Any) -> dict[str, Any]:
    """What a judge says of a turn."""
    return {"judge": judge, "settings": "s", "preferred": preferred, "agreed": preferred is not None, **more}


def write(path: Path, talks: list[dict[str, Any]], **more: Any) -> Path:
    """A document of them."""
    whole = {"version": VERSION, **HEAD, "conversations": talks, **more}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path
