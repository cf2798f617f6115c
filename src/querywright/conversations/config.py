"""The config of `conversations synthesize`: JSON with comments, every mistake reported at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from querywright import jsonc
from querywright.artefacts import read_jsonl
from querywright.conversations.document import SIDES
from querywright.conversations.llm import LLM, Strict, checked, clash
from querywright.errors import QuerywrightError, did_you_mean

EXAMPLE = "data/conversations/ holds examples"
_ROLES = ("persona_llm", "user_llm")
_FLAT = [name for name in LLM.model_fields if name not in ("sample_weight", "system")]


class Persona(Strict):
    """Somebody who talks: who it is, what they care for, how they write. In words."""

    persona: str = Field(min_length=1, max_length=2000)
    interests: str = Field(default="", max_length=2000)
    style: str = Field(default="", max_length=1000)

    @field_validator("interests", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value


class Config(Strict):
    """Who talks with whom. `user_llm_provider`, `user_llm_name` and so on stand in the file for `user_llm: {provider,
    name, ...}`; the same for `persona_llm`.

    Attributes:
        use_personas: whether users are somebody; else they are nobody in particular.
        personas: a list of {persona, interests, style}, or a file of such JSON lines (name and role make a persona,
            too, as in data/personas.jsonl).
        generate_num_personas: so many more are written by `persona_llm`.
        persona_llm, user_llm: who writes personas, and who plays the users.
        eval_llms: who answers, at least two; each turn two of them, drawn by their `sample_weight`.
        responders_per: whether the two are drawn for each `turn` or for a whole `conversation`.
        num_turns_min, num_turns_max: turns of a conversation, drawn evenly.
        topics: what users are told to talk about, one for each conversation; none leaves it to them.
        openings: JSON lines with the first sentence of conversations under `text` or `instruction`, one for each.
        concurrency: conversations that go on at the same time.
        seed: the same config and seed give the same plan.
    """

    use_personas: bool = False
    personas: tuple[Persona, ...] = ()
    generate_num_personas: int = Field(default=0, ge=0, le=100_000)
    persona_llm: LLM | None = None
    user_llm: LLM
    eval_llms: tuple[LLM, ...]
    responders_per: Literal["turn", "conversation"] = "turn"
    num_turns_min: int = Field(default=1, ge=1, le=100)
    num_turns_max: int = Field(default=3, ge=1, le=100)
    topics: tuple[str, ...] = ()
    openings: str = ""
    concurrency: int = Field(default=4, ge=1, le=256)
    seed: int = 0

    @field_validator("topics", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("persona_llm", "user_llm")
    @classmethod
    def _talks(cls, value: LLM | None) -> LLM | None:
        if value is not None and value.provider == "querywright":
            raise ValueError("the query assistant writes calls; it can only be one of eval_llms")
        return value

    @field_validator("eval_llms")
    @classmethod
    def _sides(cls, value: tuple[LLM, ...]) -> tuple[LLM, ...]:
        labels = [llm.known_as for llm in value]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"{', '.join(map(repr, twice))} stands twice: give each a `label` of its own")
        if sum(llm.sample_weight > 0 for llm in value) < SIDES:
            raise ValueError(f"two models answer side by side: at least {SIDES} with a sample_weight above 0")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Config:
        wrong = []
        if self.num_turns_max < self.num_turns_min:
            wrong += [f"num_turns_max ({self.num_turns_max}) is below num_turns_min ({self.num_turns_min})"]
        if self.use_personas and not self.personas and not self.generate_num_personas:
            wrong += ["use_personas needs personas, or generate_num_personas above 0"]
        if self.use_personas and self.generate_num_personas and self.persona_llm is None:
            wrong += ["generate_num_personas needs persona_llm_provider and persona_llm_name"]
        if differs := clash([*self.eval_llms, self.user_llm, *([self.persona_llm] if self.persona_llm else [])]):
            wrong += [differs]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def models(self) -> dict[str, LLM]:
        """Who answers, by label."""
        return {llm.known_as: llm for llm in self.eval_llms}

    def public(self) -> dict[str, Any]:
        """As plain values, without keys; what the conversations depend on: `concurrency` does not count."""
        data = self.model_dump(exclude={"concurrency", "persona_llm", "user_llm", "eval_llms"}, mode="json")
        data |= {role: llm.public() for role in _ROLES if (llm := getattr(self, role)) is not None}
        return {**data, "eval_llms": [llm.public() for llm in self.eval_llms]}


def load(path: Path | str) -> Config:
    """Read a config file.

    Raises:
        QuerywrightError: no such file, no JSON, or mistakes in it: all of them are named, with the nearest known key.
    """
    return check(jsonc.read(path, EXAMPLE), str(path))


def check(raw: dict[str, Any], where: str) -> Config:
    """Validate a config that was read; `where` begins every message."""
    data: dict[str, Any] = {}
    wrong: list[str] = []
    known = [name for name in Config.model_fields if name not in _ROLES]
    known += [f"{role}_{name}" for role in _ROLES for name in _FLAT]
    for key, value in raw.items():
        role = next((role for role in _ROLES if key.startswith(f"{role}_")), "")
        if key not in known:
            wrong.append(f"{key}: unknown key{did_you_mean(key, known) or '; see docs/conversations.md'}")
        elif role:
            data.setdefault(role, {})[key.removeprefix(f"{role}_")] = value
        else:
            data[key] = value
    if "user_llm" not in data:
        wrong.append("user_llm_provider and user_llm_name: are missing")
    if isinstance(data.get("personas"), str):
        try:
            data["personas"] = _personas(Path(data["personas"]))
        except QuerywrightError as error:
            wrong.append(str(error))
            data["personas"] = _SPARE["personas"]
    try:
        parts: dict[str, type[BaseModel]] = {"eval_llms": LLM, "personas": Persona, "user_llm": LLM, "persona_llm": LLM}
        found = checked(Config, {**data, "user_llm": data.get("user_llm", _NOBODY)}, where, parts, _SPARE)
    except QuerywrightError as error:
        if not wrong:
            raise
        lines = [*wrong, *str(error).split("\n  ")[1:]]
        raise QuerywrightError(_told(where, lines), hint=error.hint) from None
    if wrong:
        raise QuerywrightError(_told(where, wrong), hint=f"correct them; {EXAMPLE}")
    return found


# stand in where there is a mistake already
_NOBODY = {"provider": "local", "name": "base"}
_SPARE = {
    "user_llm": _NOBODY, "persona_llm": _NOBODY, "eval_llms": [{**_NOBODY, "label": label} for label in "ab"],
    "personas": [{"persona": "x"}], "num_turns_min": 1, "num_turns_max": 100, "generate_num_personas": 1,
}  # fmt: skip


def _told(where: str, lines: list[str]) -> str:
    return "\n  ".join([f"{where}: {len(lines)} mistake{'s' * (len(lines) > 1)}", *lines])


def _personas(path: Path) -> list[dict[str, Any]]:
    """Personas out of JSON lines."""
    found = []
    try:
        rows = read_jsonl(path)
    except (QuerywrightError, ValueError) as error:  # a path with half a character in it, or with a NUL
        raise QuerywrightError(f"personas: {error}", hint="a list, or a file of JSON lines") from error
    for row in rows:
        if "persona" not in row and row.get("name"):  # as `pairs make --personas` reads them
            role = row.pop("role", "")
            row = {"persona": ", ".join(filter(None, [str(row.pop("name")), str(role)])), **row}
        found.append(row)
    if not found:
        raise QuerywrightError(f"{path} holds no personas", hint="JSON lines of persona, interests, style")
    return found
