"""A model behind OpenAI's protocol that can do two things: write questions about numbers in passages, and answer its
own questions where a passage that it is shown holds the answer."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

_PASSAGE = re.compile(r"^passage (\d+):\n(.*?)(?=^passage \d+:|^===|\Z)", re.M | re.S)
_SENTENCE = re.compile(r"[^.;]*\b(\d[\d,.]*\d|\d)\b[^.;]*")


@dataclass
class Model:
    """See the module.

    Attributes:
        slow_s: seconds that each answer takes.
        written, answered: how often it was asked for questions, and for an answer.
        known: answers of its questions.
    """

    url: str = ""
    slow_s: float = 0.0
    written: int = 0
    answered: int = 0
    known: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def catalogue(self) -> str:
        """A catalogue that names it `helper`, and `forgetful` with another system message."""
        entry = {"model": f"{self.url}#small", "concurrency": 1, "max_tokens": 64}
        return json.dumps({"models": {"helper": entry, "forgetful": {**entry, "system": "Forget everything."}}})

    def answer(self, body: dict[str, Any]) -> str:
        """See `tests.protocol.Chat`."""
        time.sleep(self.slow_s)
        said = "\n".join(message["content"] for message in body["messages"])
        if "response_format" in body:
            return json.dumps({"questions": self._questions(said)})
        with self._lock:
            self.answered += 1
        if "Forget everything" in said:
            return "I have forgotten it."
        asked = said.rpartition("Question: ")[2].strip()
        known = self.known.get(asked, "?")
        return known if known in said.rpartition("Question: ")[0] else "I do not know."

    def _questions(self, said: str) -> list[dict[str, Any]]:
        found = []
        for number, text in _PASSAGE.findall(said):
            for match in _SENTENCE.finditer(text):
                evidence = match[0].strip()
                question = f"Which number fits here: {evidence.replace(match[1], 'how much', 1)}?"
                if match[1] in question:
                    continue
                found.append({"chunk": int(number), "evidence": evidence, "answer": match[1], "question": question})
        with self._lock:
            self.written += 1
            self.known |= {one["question"]: one["answer"] for one in found}
        return found[:4]
