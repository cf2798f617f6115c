"""Who asks: personas with a role, interests and a style. They colour the wording; what is asked for stays true.

A persona is a line of `data/personas.jsonl` (or of a file of one's own), or is put together at random from roles,
interests of the API and styles. A call is asked for by a persona whose interests it touches, where there is one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.artefacts import data_dir, read_jsonl
from querywright.errors import QuerywrightError, did_you_mean
from querywright.pairs.style import Style, style_of

KEYS = ("name", "role", "interests", "style")
ROLES = (
    "graduate student", "lab technician", "bioinformatician", "physician", "professor", "data engineer", "journalist",
    "curator of a database", "statistician", "high school teacher", "software developer", "science librarian",
)  # fmt: skip
STYLES: dict[str, dict[str, float]] = {
    "terse": {"terse": 0.75, "lower": 0.5, "polite": 0.0, "names": 0.4, "context": 0.0},
    "polite": {"polite": 0.5, "wish": 0.4, "terse": 0.0, "formal": 0.15},
    "formal": {"formal": 0.6, "terse": 0.0, "lower": 0.0, "typos": 0.0, "bare": 0.0},
    "hasty": {"typos": 0.5, "lower": 0.8, "bare": 0.4, "terse": 0.3},
    "wordy": {"steps": 0.5, "context": 0.4, "wish": 0.4, "terse": 0.0},
    "asking": {"which": 0.6, "terse": 0.0, "wish": 0.05},
    "technical": {"names": 0.7, "terse": 0.3, "digits": 1.0, "typos": 0.01},
    "plain": {},
}
_MOST = 0.8  # of the calls that touch an interest are asked for by somebody who has it


@dataclass(frozen=True)
class Persona:
    """Somebody who asks. `interests`: topics, fields, organisms, in words or by their names in the API."""

    name: str
    role: str
    interests: tuple[str, ...]
    style: Style

    def cares(self, text: str) -> int:
        """How many interests a call's text touches."""
        return sum(bool(re.search(rf"(?<![a-z]){re.escape(i.lower())}", text)) for i in self.interests)


def read(path: Path) -> list[Persona]:
    """Read personas from JSON lines.

    Raises:
        QuerywrightError: a line lacks a key, has an unknown one, or a share that is none; the line is named.
    """
    found = []
    for i, r in enumerate(read_jsonl(path), 1):
        where = f"{path}:{i}"
        unknown = [f"{k!r}{did_you_mean(k, [*KEYS])}" for k in r if k not in KEYS]
        if unknown or not r.get("name"):
            problem = f"unknown key {', '.join(unknown)}" if unknown else "a persona needs a name"
            raise QuerywrightError(f"{where}: {problem}", hint=f"keys are {', '.join(KEYS)}; see data/personas.jsonl")
        interests, style = r.get("interests", []), r.get("style", {})
        if isinstance(style, str):
            style = named(style, where)
        if not isinstance(interests, list) or not isinstance(style, dict):
            raise QuerywrightError(f"{where}: interests is a list, style a table", hint="see data/personas.jsonl")
        known = style_of(style, where)
        found.append(Persona(str(r["name"]), str(r.get("role", "")), tuple(map(str, interests)), known))
    if not found:
        raise QuerywrightError(f"{path} holds no personas", hint="see data/personas.jsonl")
    return found


def named(style: str, where: str) -> dict[str, Any]:
    """The shares of a style by its name."""
    if style not in STYLES:
        raise QuerywrightError(f"{where}: no style {style!r}{did_you_mean(style, [*STYLES])}", hint=", ".join(STYLES))
    return dict(STYLES[style])


def draw(api: API, n: int, rng: random.Random) -> list[Persona]:
    """`n` personas from roles, styles, and interests of the API. Same random state, same personas."""
    words = lexicon(api)
    fields = [f.name for f in api.fields.values() if f.weight >= 2] or list(api.fields) or list(api.params)
    kinds = [v for known in api.vocabularies.values() for v in known]
    topics = [str(t) for t in words.get("values", {}).get("topics", ())]
    kinds += [v for p in api.params.values() for v in p.values]
    found = []
    for i in range(n):
        pools = [pool for pool in (topics, fields, fields, kinds) if pool]
        interests = tuple(dict.fromkeys(str(rng.choice(rng.choice(pools))) for _ in range(rng.randint(3, 6))))
        role, style = rng.choice(ROLES), rng.choice(list(STYLES))
        found.append(Persona(f"{role} {i + 1} ({style})", role, interests, style_of(STYLES[style], style)))
    return found


def given(api: API, asked: str, seed: int) -> list[Persona]:
    """What `--personas` says: a number draws as many, `own` reads the shipped ones, else a file is read."""
    if asked.isdigit():
        return draw(api, int(asked), random.Random(seed))
    path = data_dir() / "personas.jsonl" if asked == "own" else Path(asked)
    if not path.is_file():
        raise QuerywrightError(f"no personas file {asked}", hint="--personas takes a file, a number, or own")
    return read(path)


def who(personas: Sequence[Persona], call: Call, rng: random.Random) -> Persona:
    """Who asks for a call: mostly somebody whose interests it touches, else anybody."""
    text = call.text.lower()
    caring = [p.cares(text) for p in personas]
    if any(caring) and rng.random() < _MOST:
        return rng.choices(personas, caring)[0]
    return rng.choice(personas)
