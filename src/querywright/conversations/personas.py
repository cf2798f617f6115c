"""Personas that a model writes: asked for one at a time, each starting from other words, none twice."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from querywright.artefacts import content_id, data_dir
from querywright.conversations.cast import Cast
from querywright.conversations.config import Config, Persona
from querywright.conversations.llm import LLM
from querywright.engines.base import Grammar
from querywright.engines.fence import clean, json_object
from querywright.engines.sender import Prompt
from querywright.progress import say, track

ROUNDS = 4  # tries for each persona
MAX_TOKENS = 200
_ALIKE = 90.0  # of 100 in rapidfuzz's token_sort_ratio: the same person in other words
_WALKS = (
    "health care", "a school", "a farm", "software", "a laboratory", "a newspaper", "a court", "a kitchen", "music",
    "a factory", "an office", "retirement", "university", "sports", "a shop", "the sea", "a museum", "politics",
    "a bank", "a family at home", "a start-up", "a library", "the theatre", "a building site",
)  # fmt: skip
_AGES = ("young", "in the middle of life", "old", "a student", "new to the field", "an expert")
_TONES = ("terse", "polite", "chatty", "formal", "impatient", "curious", "technical", "unsure", "plain", "wordy")
_LONGEST = {"persona": 300, "interests": 200, "style": 100}


def generate(config: Config, llm: LLM, cast: Cast) -> list[Persona]:
    """`generate_num_personas` personas, or as many as the model comes up with.

    Raises:
        QuerywrightError: the model is gone, or the budget reached.
    """
    found: dict[int, Persona] = {}
    known = [persona.persona for persona in config.personas]
    n = config.generate_num_personas
    for tried in range(ROUNDS):
        left = [slot for slot in range(n) if slot not in found]
        if not left:
            break
        what = "personas" if not tried else f"personas, try {tried + 1}"
        prompts = [prompt(config, llm, slot, tried) for slot in left]
        for slot, text in track(zip(left, _asked(llm, cast, prompts), strict=True), what, len(left)):
            persona = read(text)
            if persona is not None and not _alike(persona.persona, known):
                found[slot] = persona
                known.append(persona.persona)
    if len(found) < n:
        say(f"personas: {llm.known_as} wrote {len(found)} of {n} that can be used and differ")
    return [found[slot] for slot in sorted(found)]


def prompt(config: Config, llm: LLM, slot: int, tried: int) -> Prompt:
    """What one persona is asked for with; others for each slot and try."""
    rng = random.Random(f"{config.seed}/persona/{slot}/{tried}")
    lines = [
        "Invent a person.",
        f"Their life has to do with: {rng.choice(_WALKS)}",
        f"They are: {rng.choice(_AGES)}",
        f"They write: {rng.choice(_TONES)}",
    ]
    if config.topics:
        lines.append(f"They have a reason to ask about: {clean(config.topics[slot % len(config.topics)])}")
    chat = [{"role": "system", "content": _template()}, {"role": "user", "content": "\n".join(lines)}]
    seed = int(content_id(f"{config.seed}/persona/{slot}/{tried}", 7), 16)
    return Prompt(chat, _grammar(), min(llm.max_tokens, MAX_TOKENS), llm.temperature, seed)


def read(text: str) -> Persona | None:
    """A persona out of an answer; None where there is none."""
    said = json_object(text) or {}
    interests = said.get("interests")
    if isinstance(interests, list):
        said["interests"] = ", ".join(map(str, interests))
    words = {
        key: clean(said[key])[:longest] if isinstance(said.get(key), str) else "" for key, longest in _LONGEST.items()
    }
    return Persona(**words) if len(words["persona"].split()) > 1 else None


def _asked(llm: LLM, cast: Cast, prompts: Sequence[Prompt]) -> Iterator[str]:
    """The answers in their order; empty where there is none."""
    with ThreadPoolExecutor(len(cast.sender(llm).engines)) as pool:
        futures = [pool.submit(cast.ask, llm, one) for one in prompts]
        try:
            for future in futures:
                done = future.result()
                yield done[0].text if done else ""
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _alike(text: str, known: Sequence[str]) -> bool:
    from rapidfuzz import fuzz, process

    return process.extractOne(text, known, scorer=fuzz.token_sort_ratio, score_cutoff=_ALIKE) is not None


@lru_cache(maxsize=1)
def _grammar() -> Grammar:
    texts = {key: {"type": "string", "maxLength": longest} for key, longest in _LONGEST.items()}
    shape = {"type": "object", "properties": texts, "required": [*texts], "additionalProperties": False}
    return Grammar(json.dumps(shape), "json")


@lru_cache(maxsize=1)
def _template() -> str:
    return (data_dir() / "conversations" / "persona.txt").read_text(encoding="utf-8").strip()
