"""A working definition of a service that is searched with Lucene queries, from the facts about its fields."""

from __future__ import annotations

import re
from typing import Any

from querywright.schema.facts import Facts
from querywright.schema.nouns import GENERIC, of_path

_PARAMS = ["q", "fields", "size", "from", "sort", "facets", "facet_size", "dotfield", "fetch_all", "scroll_id"]
_PARAMS += ["scopes", "exists", "missing", "userfilter", "userquery"]
_IGNORED = "email callback jsonp format msgpack raw rawquery sorted _sorted always_list allow_null dev debug explain"
_IGNORED += " version with_total"


def lucene_definition(
    facts: Facts, name: str, base_url: str, item_path: str = "", query_path: str = "/v1/query"
) -> dict[str, Any]:
    """`api.yaml` as a value: endpoints for queries, for one record and for metadata, in BioThings' manner.

    Args:
        item_path: the path of one record, with `{id}` in it; by default /v1/NOUN/{id}.
        query_path: the path of queries; what stands before its last part is the version prefix.
    """
    noun = facts.noun or of_path(item_path) or GENERIC
    prefix = query_path.rpartition("/")[0]
    item_path = item_path or f"{prefix}/{noun}/{{id}}"
    item = re.sub(r"\W", "_", item_path.split("{")[0].strip("/").rpartition("/")[2]) or "item"
    endpoints: dict[str, Any] = {
        "query": {"path": query_path, "params": _PARAMS, "required": ["q|scroll_id"]},
        item if item != "query" else "item": {"path": item_path, "params": ["fields", "dotfield"]},
        "metadata_fields": {"path": f"{prefix}/metadata/fields", "params": ["search", "prefix"]},
        "metadata": {"path": f"{prefix}/metadata", "params": []},
    }
    definition: dict[str, Any] = {
        "name": name,
        "title": name,
        "about": "",
        "base_url": base_url,
        "query_language": "lucene",
        "noun": noun,
        "default_operator": "AND",
        "meta_fields": ["_id", "_score", "_version", "_seq_no"],
        "field_aliases": facts.aliases,
        "version_prefixes": [prefix],
        "endpoints": endpoints,
        "params": {
            "q": {"kind": "query"},
            "fields": {"kind": "fields", "aliases": ["filter"], "default": ["all"], "all": "all"},
            "size": {"kind": "integer", "aliases": ["limit"], "default": 10, "min": 0, "max": 1000},
            "from": {"kind": "integer", "aliases": ["skip"], "default": 0, "min": 0, "max": facts.window or 10000},
            "sort": {"kind": "sort", "default": ["-_score"]},
            "facets": {"kind": "fields", "aliases": ["aggs"], "indexed": True},
            "facet_size": {"kind": "integer", "default": 10, "min": 1, "max": 1000},
            "dotfield": {"kind": "boolean", "default": False},
            "fetch_all": {"kind": "boolean", "default": False},
            "scroll_id": {"kind": "text"},
            "scopes": {"kind": "fields", "indexed": True},
            "exists": {"kind": "fields", "indexed": True},
            "missing": {"kind": "fields", "indexed": True},
            "userfilter": {"kind": "text"},
            "userquery": {"kind": "text"},
            "search": {"kind": "text"},
            "prefix": {"kind": "text"},
        },
        "ignored_params": _IGNORED.split(),
    }
    return {key: value for key, value in definition.items() if value or key == "about"}
