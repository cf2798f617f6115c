"""docs/definition.md names every key that a definition, its parts and a lexicon can have."""

from __future__ import annotations

import re

from querywright.api.definition import API
from querywright.api.lexicon import KEYS
from querywright.api.parts import Endpoint, IdShape, Intervals, Param, SchemaField
from querywright.artefacts import repo_dir

NOT_WRITTEN = {"fields", "folder"}  # of API: from fields.csv, and where it lies


def test_every_key_is_documented() -> None:
    text = (repo_dir() / "docs" / "definition.md").read_text(encoding="utf-8")
    told = {word for span in re.findall(r"`([^`]+)`", text) for word in re.findall(r"[a-z_]+", span)}
    models = (API, Endpoint, IdShape, Intervals, Param, SchemaField)
    keys = {key for model in models for key in model.model_fields} - NOT_WRITTEN | set(KEYS)
    assert keys - told == set()
