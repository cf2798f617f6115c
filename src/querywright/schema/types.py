"""Types of Elasticsearch and OpenSearch, to the types of a definition."""

from __future__ import annotations

# Elasticsearch 8 and OpenSearch 2, "Field data types". What is not here can't be searched with a query string.
_TYPES = {
    "keyword": "keyword constant_keyword wildcard version ip flattened flat_object string_keyword join",
    "text": "text match_only_text search_as_you_type annotated_text string semantic_text",
    "integer": "integer short token_count integer_range",
    "long": "long unsigned_long long_range",
    "float": "float half_float scaled_float float_range",
    "double": "double double_range",
    "byte": "byte",
    "boolean": "boolean",
    "date": "date date_nanos date_range",
    "object": "object nested",
}
_BY_NAME = {name: ours for ours, names in _TYPES.items() for name in names.split()}
# Stored and returned, but no word or range finds them in a query string.
_STORED = (
    "binary dense_vector sparse_vector knn_vector rank_feature rank_features geo_point geo_shape point shape percolator"
    " histogram aggregate_metric_double completion murmur3 xy_point xy_shape"
)
NOT_SEARCHABLE = frozenset(_STORED.split())


def leaf_type(name: object) -> str | None:
    """A definition's type for a type of an index, or None where there is none for it."""
    return _BY_NAME.get(name) if isinstance(name, str) else None
