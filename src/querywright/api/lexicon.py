"""An API's own words: `lexicon.yaml` beside its definition, what people call its things. All of it is optional.

Read by the template teacher (to say calls) and by grounding (to find what a sentence says).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from querywright.api.definition import API
from querywright.errors import QuerywrightError, did_you_mean

KEYS = (
    "nouns", "item_nouns", "item", "bare", "vocabularies", "vocabulary_phrases", "other_values", "values", "draw",
    "id_values", "facet_words", "clauses", "nouns_for", "endpoints", "params", "ranges", "place",
    "refusals",
    "synonyms", "questions", "lists",
)  # fmt: skip


@lru_cache(maxsize=16)
def lexicon(api: API) -> dict[str, Any]:
    """The words of an API, or an empty dict where its definition has no `lexicon.yaml` beside it.

    Raises:
        QuerywrightError: the file is no YAML mapping, or has a key that nothing reads.
    """
    path = Path(api.folder) / "lexicon.yaml"
    if not api.folder or not path.is_file():
        return {}
    try:
        words = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise QuerywrightError(f"{path} is no YAML: {error}", hint="see data/apis/mygene/lexicon.yaml") from error
    if not isinstance(words, dict):
        raise QuerywrightError(f"{path} holds no keys", hint=f"its keys are {', '.join(KEYS)}")
    unknown = [f"{key!r}{did_you_mean(str(key), [*KEYS])}" for key in words if key not in KEYS]
    if unknown:
        raise QuerywrightError(f"{path}: unknown key {', '.join(unknown)}", hint=f"its keys are {', '.join(KEYS)}")
    return words
