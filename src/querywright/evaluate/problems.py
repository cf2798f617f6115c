"""The kinds of error that reports name: what each means, and what a person can do about it."""

from __future__ import annotations

_TEACH = "write training pairs that say this in more ways (`querywright pairs make`, lexicon), and train on"
_VALUES = "decode `grounded`: a value can then only be a span of the sentence; else more pairs with such values"

PROBLEMS: dict[str, tuple[str, str]] = {
    "invalid": ("no call, or ran out of tokens", "decode under the grammar; raise `max_tokens` where they ran out"),
    "false_refusal": ("refused, though there is a call", "fewer refusals in training, or more sentences of this kind"),
    "not_refused": ("a call, though nothing answers the sentence", "more refusals of this kind in training"),
    "endpoint": ("another endpoint", _TEACH),
    "id": ("another record's id", _VALUES),
    "wrong field": (
        "the value is searched in another field",
        "see the fields confused: better synonyms or descriptions for both in the schema, and pairs that contrast them",
    ),
    "leaf for parent": (
        "a field below the one meant, or above it",
        "say in the schema's descriptions which of the two people mean; pairs for both",
    ),
    "value cut": ("a part of the value is missing", _VALUES + " of several words"),
    "value lengthened": ("more than the value was taken", _VALUES),
    "value damaged": ("the value's letters differ", _VALUES),
    "another span": ("another part of the sentence stands as the value", _TEACH),
    "value invented": ("the value given is nowhere in the sentence", _VALUES),
    "wrong value": ("another value in the right field", _VALUES),
    "letter case": ("upper and lower case matter in this field, and differ", "copy values as they are said"),
    "range bounds": (
        "another end of a range, or a bound included that should not be",
        "pairs with `more than`, `at least`, `below`, `up to`, `between` for this field",
    ),
    "interval bounds": ("another stretch of a chromosome", "pairs with positions in all spellings"),
    "match kind": (
        "phrase, word, wildcard, range or existence mixed up",
        "see the details for which; pairs that ask for the kind that was lost",
    ),
    "phrase split": ("a phrase became several conditions", "pairs whose values have several words"),
    "words joined": ("several conditions became one phrase", "pairs with several words in one field"),
    "clause lost": (
        "a condition is missing",
        "more pairs with two and three conditions, and with this field as second",
    ),
    "clause added": (
        "a condition that nobody asked for",
        "pairs in which the extra words of the sentence mean nothing",
    ),
    "NOT lost": (
        "a condition that should be excluded is required",
        "more wordings of NOT: except, without, other than",
    ),
    "NOT added": ("a condition that is required is excluded", "fewer NOT in training, or clearer wordings"),
    "AND for OR": ("all conditions required, where one of them is enough", "more pairs with OR: either, any of, lists"),
    "OR for AND": ("one condition is enough, where all are required", "more pairs with AND"),
    "brackets": ("the right conditions and operators, grouped wrongly", "more pairs with brackets"),
    "other": ("something else differs", "compare the two calls"),
}
"""Name: what is wrong, what to do."""


def told(problem: str) -> tuple[str, str]:
    """What a problem means and what to do about it, those of parameters included."""
    if problem in PROBLEMS:
        return PROBLEMS[problem]
    name, _, how = problem.rpartition(" ")
    means = {"size": "the limit, ", "limit": "the limit, ", "from": "the offset, ", "sort": "the order, "}.get(name, "")
    if how == "lost":
        what = f"{means}`{name}`{means and ','} is missing, or a part of it"
        return what, f"more pairs that ask for `{name}`, in other words"
    if how == "added":
        return f"`{name}` was not asked for", f"more pairs without `{name}`, and with words that look like it"
    return f"another `{name}`", f"pairs that contrast the values of `{name}`; synonyms for them in the definition"
