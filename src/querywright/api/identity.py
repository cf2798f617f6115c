"""What a definition is, as one short id: whatever is made from a definition can say which one it was."""

from __future__ import annotations

import json

from querywright.api.definition import API
from querywright.artefacts import content_id

# What people read, and where the service is, change neither the language nor the meaning of a call.
_WORDS = ("description", "synonyms", "examples", "weight", "shape")
_LEFT_OUT = ("title", "about", "base_url", "noun", "records", "ranking", "folder")


def definition_id(api: API) -> str:
    """The id of an API's language: equal where two definitions read and write the same calls with the same meaning."""
    facts = api.model_dump(mode="json", exclude=set(_LEFT_OUT))
    for part in ("fields", "params", "endpoints"):
        facts[part] = {name: {k: v for k, v in value.items() if k not in _WORDS} for name, value in facts[part].items()}
    facts["fields"] = dict(sorted(facts["fields"].items()))
    return content_id(json.dumps(facts, sort_keys=True))
