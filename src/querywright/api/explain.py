"""A call in words, clause by clause, so that a person can check what will be asked."""

from __future__ import annotations

import re

from querywright.api.call import Call, Value
from querywright.api.definition import API
from querywright.api.query import Bool, Everything, Exists, Interval, Node, Range, Term
from querywright.api.values import printed


def explain(call: Call) -> list[str]:
    """Say a call: first what is looked for, then each further clause and parameter on a line of its own."""
    if call.api.query_language == "none":
        return _typed_subject(call) + [_typed(call, name, value) for name, value in call.params]
    return _subject(call) + [line for name, value in call.params for line in [_parameter(call, name, value)] if line]


# --- plain typed parameters ----------------------------------------------------------------------------------------
_COMPARED = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "contains": "containing"}
_COMPARED_DATES = {"ge": "at or after", "gt": "after", "le": "at or before", "lt": "before"}


def _typed_subject(call: Call) -> list[str]:
    spec = call.api.endpoints[call.endpoint]
    if call.id is not None:
        return [f"the {call.api.noun} with the id {call.id}"]
    return [spec.description[:1].lower() + spec.description[1:].rstrip(".") if spec.description else spec.path]


def _typed(call: Call, name: str, value: Value) -> str:
    param = call.api.params[name]
    label = f"{param.synonyms[0]} ({name})" if param.synonyms and param.synonyms[0] != name else name
    if isinstance(value, bool):
        return f"{label}: {'yes' if value else 'no'}"
    if isinstance(value, tuple):
        return f"{label}: {_list([*value], 'or')}"
    words = _COMPARED_DATES if param.kind == "date" else _COMPARED
    if param.compare in words and param.field and not _says(label, param.compare):
        return f"{label}: {words[param.compare]} {printed(value)}"
    return f"{label}: {printed(value)}"


def _says(label: str, compare: str) -> bool:
    """Whether the name itself tells the direction, as `minimum magnitude` and `end time` do."""
    low, high = r"\b(min|minimum|start|since|after|from|at least)", r"\b(max|maximum|end|until|before|to|at most)"
    return re.search(low if compare in ("ge", "gt") else high, label.lower()) is not None


# --- what is looked for ---------------------------------------------------------------------------------------------
def _subject(call: Call) -> list[str]:
    api, endpoint = call.api, call.api.endpoints[call.endpoint]
    if call.id is not None:
        noun = call.endpoint if call.endpoint in api.vocabularies else api.noun
        scope, colon, rest = call.id.partition(":")
        if colon and (scope in api.fields or scope in api.meta_fields):
            return [f"the {noun} whose {_label(api, scope)} is {rest}"]
        return [f"the {noun} with the id {call.id}"]
    if call.query is None:
        if call.get("scroll_id"):
            return ["the next page of an earlier search"]
        return ["the list of fields"] if endpoint.path.endswith("/fields") else ["facts about the service"]
    return _lines(api, call.query)


def _lines(api: API, node: Node) -> list[str]:
    many = _plural(api.noun)
    if isinstance(node, Everything):
        return [f"all {many}"]
    if not isinstance(node, Bool):
        return [f"{many} {_clause(api, node)}"]
    must = [_clause(api, child) for child in node.must]
    should = [_clause(api, child) for child in node.should]
    if not must:
        must, should = [" or ".join(should) if should else ""], []
    lines = [f"{many} {must[0]}" if must[0] else f"all {many}"]
    lines += [f"and {clause}" for clause in must[1:]]
    lines += [f"but not those {_clause(api, child)}" for child in node.must_not]
    if should:
        lines.append(f"higher in the list where {many} are {' or '.join(should)}")
    return lines


def _clause(api: API, node: Node) -> str:
    """A relative clause: `whose symbol is CDK2`, `that have a summary`."""
    if isinstance(node, Everything):
        return "of any kind"
    if isinstance(node, Exists):
        return f"that have a value for {_label(api, node.field)}"
    if isinstance(node, Interval):
        where = f"on chromosome {node.chromosome} between {node.start:,} and {node.end:,}"
        return where + (f" (assembly {node.assembly})" if node.assembly else "")
    if isinstance(node, Range):
        return f"whose {_label(api, node.field)} is {_range(node)}"
    if isinstance(node, Term):
        return _term(api, node)
    parts = [" or ".join(_clause(api, c) for c in node.should)] if node.should and not node.must else []
    parts += [_clause(api, c) for c in node.must]
    parts += [f"not {_clause(api, c)}" for c in node.must_not]
    return f"({' and '.join(p if len(parts) == 1 or ' or ' not in p else f'({p})' for p in parts)})"


def _range(node: Range) -> str:
    low = ("at least " if node.include_low else "more than ") + node.low
    high = ("at most " if node.include_high else "less than ") + node.high
    if node.low == "*":
        return high
    if node.high == "*":
        return low
    return f"{node.low} to {node.high}" if node.include_low and node.include_high else f"{low} and {high}"


def _term(api: API, node: Term) -> str:
    value = f'"{node.value}"' if node.kind == "phrase" else node.value
    if node.field is None:
        what = {"phrase": "with the phrase", "wildcard": "with a word of the form", "fuzzy": "with a word close to"}
        text = f"{what.get(node.kind, 'with the word')} {value} in any main field"
    else:
        words = api.analysis(node.field) == "text"
        verb = {"wildcard": "has the form", "fuzzy": "is close to"}.get(node.kind, "contains" if words else "is")
        named = next((n for n, v in _vocabulary_of(api, node.field).items() if str(v) == node.value), None)
        text = f"whose {_label(api, node.field)} {verb} {value}" + (f" ({named})" if named else "")
    boost = re.search(r"\^([\d.]+)", node.tail)
    near = re.search(r"~(\d+)", node.tail) if node.kind == "phrase" else None
    return text + (f", up to {near[1]} words apart" if near else "") + (f", weighted {boost[1]} times" if boost else "")


# --- parameters -----------------------------------------------------------------------------------------------------
def _parameter(call: Call, name: str, value: Value) -> str:
    api, param = call.api, call.api.params[name]
    values = value if isinstance(value, tuple) else ()
    if param.kind == "vocabulary":
        if param.all in values:
            return f"of any {param.vocabulary}"
        names = _list([_entry(api, param.vocabulary, v) for v in values], "or")
        return f"only {names}" if param.in_query else f"hits only of {names}, counts of all"
    if param.kind == "fields":
        if param.all and param.all in values:
            return "return all fields"
        if name == "fields":
            return f"return only {_list([_label(api, v) for v in values], 'and')}"
        return f"count the hits by {_list([_label(api, v) for v in values], 'and by')}"
    if param.kind == "sort":
        keys = [_label(api, v.lstrip("-")) + (", highest first" if v.startswith("-") else "") for v in values]
        return f"sorted by {', then by '.join(keys)}"
    if param.kind == "boolean":
        if param.field:
            return f"only {_plural(api.noun)} with {_label(api, param.field)}" if value else ""
        said = {"fetch_all": "all hits, page after page", "dotfield": "nested fields as dotted names"}
        return said.get(name, f"{name} {'on' if value else 'off'}") if value else f"without {name}"
    if param.kind == "integer":
        return _amount(name, int(str(value)))
    return "" if name == "scroll_id" else f"{name}: {value}"


def _amount(name: str, n: int) -> str:
    if name == "size":
        return "no hits, only how many there are" if n == 0 else f"at most {n:,} hit{'s' * (n != 1)}"
    if name == "from":
        return f"without the first {n:,} hit{'s' * (n != 1)}"
    if name == "facet_size":
        return f"at most {n:,} values in each count"
    return f"{name} {n:,}"


# --- words ----------------------------------------------------------------------------------------------------------
def _label(api: API, name: str) -> str:
    """What people call a field, with its own name where that differs."""
    field = api.fields.get(name)
    if field is None or not field.synonyms or name.lower() in field.synonyms[0].lower().split():
        return name
    return f"{field.synonyms[0]} ({name})"


def _entry(api: API, vocabulary: str, word: str) -> str:
    return word if word in api.vocabularies[vocabulary] else f"{vocabulary} {word}"


def _vocabulary_of(api: API, name: str) -> dict[str, int | str]:
    found = (p.vocabulary for p in api.params.values() if p.field == name and p.vocabulary)
    return api.vocabularies.get(next(found, ""), {})


def _plural(noun: str) -> str:
    return re.sub(r"([^aeiou])y$", r"\1ie", noun) + ("es" if re.search(r"(s|x|ch|sh)$", noun) else "s")


def _list(items: list[str], word: str) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"
