"""Who may judge a conversation, and who does: the config of `conversations judge`.

Only models that took no part: neither as one of those that answered nor as the user, where it wrote anything (not where
all of its messages were given). A model is known by its label, by its name (whatever server it is behind), and on this
machine by its weights.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from querywright import jsonc
from querywright.artefacts import content_id, weights_sha256
from querywright.conversations import verdict
from querywright.conversations.cast import price
from querywright.conversations.document import Conversation
from querywright.conversations.llm import LLM, Strict, checked, clash, entry_name

EXAMPLE = "data/conversations/judge.json is an example"


class Config(Strict):
    """Who judges.

    Attributes:
        judge_llms: models that may judge, as in `eval_llms`; they are asked at temperature 0 where none is given.
        choice_strategy: which of those that may: the one that costs least (`min_cost`), or one drawn by `sample_weight`
            (`random`).
        timeout: seconds that one answer may take; then another judge is asked.
        criteria: what better means, in words; there is a general text.
        reasons: whether judges say why before they decide.
        most_chars: of a text that they are shown.
        concurrency: turns that are judged at the same time.
        seed: for what is drawn.
    """

    judge_llms: tuple[LLM, ...] = Field(min_length=1)
    choice_strategy: Literal["min_cost", "random"] = "min_cost"
    timeout: float = Field(default=120.0, gt=0, le=86_400)
    criteria: str = Field(default="", max_length=4000)
    reasons: bool = False
    most_chars: int = Field(default=6000, ge=100, le=1_000_000)
    concurrency: int = Field(default=4, ge=1, le=256)
    seed: int = 0

    @field_validator("judge_llms")
    @classmethod
    def _judges(cls, value: tuple[LLM, ...]) -> tuple[LLM, ...]:
        labels = [llm.known_as for llm in value]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"{', '.join(map(repr, twice))} stands twice: give each a `label` of its own")
        if any(llm.provider == "querywright" for llm in value):
            raise ValueError("the query assistant writes calls; it can't judge")
        if differs := clash(value):
            raise ValueError(differs)
        # the same question is to have the same verdict
        return tuple(
            llm if "temperature" in llm.model_fields_set else llm.model_copy(update={"temperature": 0.0})
            for llm in value
        )

    @model_validator(mode="after")
    def _somebody(self) -> Config:
        if self.choice_strategy == "random" and not any(llm.sample_weight for llm in self.judge_llms):
            raise ValueError("choice_strategy random needs a judge with a sample_weight above 0")
        return self

    def settings(self, llm: LLM) -> str:
        """What a verdict depends on besides the turn, as an id: who judges, what it is asked, how."""
        about = [llm.place, llm.temperature, llm.max_tokens, llm.system, self.most_chars, self.seed]
        return content_id(repr([about, verdict.template(self.criteria, self.reasons)]), 12)

    def public(self) -> dict[str, Any]:
        """As plain values, without keys."""
        data = self.model_dump(exclude={"concurrency", "judge_llms"}, exclude_defaults=True, mode="json")
        return {"judge_llms": [llm.public() for llm in self.judge_llms], **data}


def load(path: Path | str) -> Config:
    """Read a config file.

    Raises:
        QuerywrightError: no such file, no JSON, or mistakes in it: all of them are named, with the nearest known key.
    """
    spare = {"judge_llms": [{"provider": "local", "name": "base"}]}
    return checked(Config, jsonc.read(path, EXAMPLE), str(path), {"judge_llms": LLM}, spare)


class Bench:
    """The judges that there are, beside the models of a document."""

    def __init__(self, config: Config, document: Mapping[str, Any], path: Callable[[str], str] = str) -> None:
        """Look up what each judge is, and what it costs.

        Args:
            document: its `models`, `user` and `weights` say what the labels in conversations mean.
            path: a local model's name to its path.
        """
        self.config = config
        models = document.get("models")
        self._models: dict[str, Any] = models if isinstance(models, dict) else {}
        self._user = document.get("user")
        weights = document.get("weights")
        self._weights: dict[str, Any] = weights if isinstance(weights, dict) else {}
        self._own = {
            llm.known_as: _marks(llm.public(), llm.known_as, self._hash(llm, path)) for llm in config.judge_llms
        }

        self.prices = {llm.known_as: price(llm) for llm in config.judge_llms}

    def _hash(self, llm: LLM, path: Callable[[str], str]) -> str:
        if llm.provider != "local" or not self._weights or not Path(path(llm.name)).exists():
            return ""
        return str(weights_sha256(path(llm.name)))[:16]

    def may(self, one: Conversation) -> list[LLM]:
        """The judges that took no part in a conversation, in the config's order."""
        took = self._took(one)
        return [llm for llm in self.config.judge_llms if not self._own[llm.known_as] & took]

    def _took(self, one: Conversation) -> set[str]:
        """What the models of a conversation are known by."""
        labels = {response["model"] for turn in one["turns"] for response in turn["responses"]}
        found: set[str] = set()
        for label in labels:
            found |= self._known(label, self._models.get(label))
        user = one.get("user")
        spoke = any(turn.get("tries") != 0 for turn in one["turns"])  # 0: its message was given, an opening
        if isinstance(user, str) and user and spoke:
            found |= self._known(user, self._user or self._models.get(user))
        return found

    def _known(self, label: str, entry: Any) -> set[str]:
        also = entry.get("also", []) if isinstance(entry, dict) else []
        entries = [e for e in (entry, *(also if isinstance(also, list) else [])) if isinstance(e, dict)] or [{}]
        marks: set[str] = set()
        for e in entries:
            marks |= _marks(e, label, str(self._weights.get(entry_name(e), "")))
        return marks

    def order(self, one: Conversation, tokens_in: float) -> list[LLM]:
        """The judges that may, the one that is asked first in front; the others stand in for it, where it fails."""
        may = self.may(one)
        if self.config.choice_strategy == "min_cost":
            return sorted(may, key=lambda llm: self.cost(llm, tokens_in))
        chance = random.Random(f"{self.config.seed}:{one['id']}")
        return _drawn([llm for llm in may if llm.sample_weight > 0], chance)

    def cost(self, llm: LLM, tokens_in: float) -> float:
        """What a question costs at most, in the money of the prices; infinite where nobody says."""
        known = self.prices[llm.known_as]
        return math.inf if known is None else (tokens_in * known[0] + llm.max_tokens * known[1]) / 1e6


def _marks(entry: Mapping[str, Any], label: str, weights: str) -> set[str]:
    """What a model is known by: if two have one of these in common, they are the same."""
    name = str(entry.get("name") or "")
    adapter = str(entry.get("adapter") or "")
    told = {f"name:{n.lower()}" for n in (label, entry_name(entry)) if n}
    if "#" in (served := str(entry.get("model") or "")):  # what the query assistant asks at a server
        told.add(f"name:{served.rpartition('#')[2].rpartition('/')[2].lower()}")
    if entry.get("provider") in ("openai", "openai-compatible") and name:
        told.add(f"name:{name.rpartition('/')[2].lower()}")  # org/model here, model there
    return told | ({f"weights:{weights}+{adapter}"} if weights else set())


def _drawn(llms: Sequence[LLM], chance: random.Random) -> list[LLM]:
    left, found = list(llms), []
    while left:
        (one,) = chance.choices(left, [llm.sample_weight for llm in left])
        left.remove(one)
        found.append(one)
    return found
