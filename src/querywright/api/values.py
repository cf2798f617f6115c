"""One typed value of a parameter: read from text into one spelling, printed, and written down as a regular expression.

Kinds: integer, number, boolean, date (ISO 8601; UTC where it has an offset), enum, text, and lists of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from querywright.api.definition import Param
from querywright.api.patterns import compiled
from querywright.api.query_text import escape
from querywright.errors import did_you_mean

Value = str | int | float | bool | tuple[str, ...]
"""A parameter's value. Numbers are int where they are whole; dates and enums are text in one spelling."""


class ValueProblem(ValueError):
    """A text that is no value of its parameter; the message is a reason for people."""


# --- reading -------------------------------------------------------------------------------------------------------
def read_value(name: str, param: Param, texts: list[str]) -> Value:
    """Read a parameter's value from the texts that a call gives for its name, in their order.

    Raises:
        ValueProblem: the reason why there is no such value.
    """
    if param.kind != "list":
        return _one(name, param, param.kind, texts[-1].strip())
    whole = param.explode and param.items == "text"
    parts = [p.strip() for t in texts for p in ([t] if whole else t.strip("[] ").split(","))]
    items = (printed(_one(name, param, param.items, p.strip("\"'"))) for p in parts if p)
    return tuple(dict.fromkeys(items))


def _one(name: str, param: Param, kind: str, text: str) -> Value:
    if kind == "integer":
        if not re.fullmatch(r"[+-]?\d{1,15}", text, re.ASCII) or (text[0] == "-" and (param.min or 0) >= 0):
            raise ValueProblem(f"{name} takes a whole number, not {text[:40]!r}")
        return _bounded(name, param, int(text))
    if kind == "number":
        try:
            number = Decimal(text)
            if not (number.is_finite() and text.isascii()) or "_" in text:
                raise InvalidOperation
        except InvalidOperation:
            raise ValueProblem(f"{name} takes a number, not {text[:40]!r}") from None
        if abs(number.adjusted()) > 15 or len(number.normalize().as_tuple().digits) > 15:
            raise ValueProblem(f"{name} takes at most 15 digits, not {text[:40]!r}")  # a double would change it
        return _bounded(name, param, int(number) if number == number.to_integral_value() else float(number))
    if kind == "boolean":
        if text.lower() in ("true", "1", "yes", "y", "t", "on"):
            return True
        if text.lower() in ("false", "0", "no", "n", "f", "off", "none"):
            return False
        raise ValueProblem(f"{name} takes true or false, not {text[:40]!r}")
    if kind == "date":
        return _date(name, text, param.moment)
    if kind == "enum":
        known = text if text in param.values else param.spelling.get(text.lower())
        if known is None:
            shown = ", ".join(param.values[:12]) + (", …" if len(param.values) > 12 else "")
            raise ValueProblem(f"{name} takes one of {shown}, not {text[:40]!r}{did_you_mean(text, [*param.values])}")
        return known
    text = " ".join(text.split())
    if param.pattern and not compiled(param.pattern)(text):
        raise ValueProblem(f"{name} does not have the form {param.pattern}: {text[:40]!r}")
    return text


def _bounded(name: str, param: Param, number: int | float) -> int | float:
    if param.min is not None and number < param.min:
        raise ValueProblem(f"{name} {number} is below the minimum {param.min}")
    if param.max is not None and number > param.max:
        raise ValueProblem(f"{name} {number} is above the maximum {param.max}")
    return number


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+ -]\d{2}:?\d{2})?)?", re.ASCII)


def _date(name: str, text: str, moment: bool) -> str:
    """One spelling: `2024-05-01`, or with a time, in UTC and without `Z`; midnight goes where a date means it."""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        found = datetime.fromisoformat(re.sub(r" (\d{2}:?\d{2})$", r"+\1", text) if len(text) > 19 else text)
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise ValueProblem(f"{name} takes a date such as 2024-05-31, not {text[:40]!r}") from None
    midnight = found.time() == found.min.time()
    return found.date().isoformat() if midnight and (moment or len(text) == 10) else found.isoformat()


# --- printing ------------------------------------------------------------------------------------------------------
def printed(value: Value) -> str:
    """One value as it stands in a call, before `escape`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)


def print_param(name: str, param: Param, value: Value) -> str:
    """`name=value` in the readable form; a list that explodes has its name before each item."""
    if not isinstance(value, tuple):
        return f"{name}={escape(printed(value))}"
    items = [escape(v) for v in value]
    return "&".join(f"{name}={v}" for v in items) if param.explode else f"{name}={','.join(items)}"


# --- writing: regular expressions ------------------------------------------------------------------------------------
SPECIAL = {ord(char): "\\" + char for char in ".+*?()[]{}|^$/\\-"}


def alternatives(words: Iterable[str]) -> str:
    """A regular expression of exactly these words; longest first, so that a lexer takes the whole word.

    Words with dots share their beginnings, `cadd(\\.(gene|phred))?`: of a flat list of 1,600 names a lexer tries every
    one, and llama.cpp keeps every one in mind.
    """
    tree: _Tree = {}
    known = {word: word.split(".") for word in words}
    flat = not all(all(parts) for parts in known.values())
    for word, parts in known.items():
        node = tree
        for part in [word] if flat else parts:
            node = node.setdefault(part, {})
        node[""] = {}  # a word ends here
    return _nested(tree)


_Tree = dict[str, "_Tree"]


def _nested(tree: _Tree) -> str:
    options = []
    for part, below in sorted(tree.items(), key=lambda item: (-len(item[0]), item[0])):
        if part:
            further = {k: v for k, v in below.items() if k}
            tail = f"\\.{_nested(further)}" if further else ""
            options.append(part.translate(SPECIAL) + (f"({tail})?" if further and "" in below else tail))
    return f"({'|'.join(options)})"


_MONTHS = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_LEAP = "((1[6-9]|2[0-9])(0[48]|[2468][048]|[13579][26])|(16|20|24|28)00)-02-29"
DATE = f"((1[6-9]|2[0-9])[0-9]{{2}}-{_MONTHS}|{_LEAP})(T([01][0-9]|2[0-3])(:[0-5][0-9]){{2}})?"
# What a free text may hold: no control character, nothing that a URL takes for itself; single spaces between words.
_TEXT = r"([^\s&#%+\x00-\x20\x7f\uFFFD]|%2[356B])"
_IN_PATH = r"([^\s\/?{}&#%+\x00-\x20\x7f\uFFFD]|%2[356B])"
_FIRST_IN_PATH = r"([^\s.\/?{}&#%+\x00-\x20\x7f\uFFFD]|%2[356B])"  # no `..`, which leads elsewhere
_IN_LIST = r"([^\s,\"'\[\]&#%+\x00-\x20\x7f\uFFFD]|%2[356B])"


def value_regex(param: Param, kind: str, in_path: bool = False) -> str:
    """A regular expression of the spellings of one value that are worth writing; each is a value that can be read."""
    if kind == "integer":
        return whole_numbers(int(param.min or 0), None if param.max is None else int(param.max))
    if kind == "number":
        return numbers(param.min, param.max)
    if kind == "date":
        return DATE
    if kind == "enum":
        return alternatives(escape(v) for v in param.values)
    if kind == "boolean":
        return "(true|false)"
    if param.pattern and (own := _plain_pattern(param.pattern)):
        return own
    if in_path:
        return f"{_FIRST_IN_PATH}{_IN_PATH}*( {_IN_PATH}+)*"
    char = _IN_LIST if param.kind == "list" else _TEXT
    return f"{char}+( {char}+)*"


def writable(param: Param) -> bool:
    """Whether a terminal can hold the parameter's values: a pattern has to be one of classes and repeats."""
    return not param.pattern or bool(_plain_pattern(param.pattern))


def whole_numbers(low: int, high: int | None) -> str:
    """Whole numbers from `low` to `high` without leading zeros (nine digits where there is no `high`)."""
    if high is None:
        high = 10**9 - 1 if low >= 0 else 10**9
    parts = []
    if low < 0:
        parts.append("-" + _positive(max(1, -high if high < 0 else 1), -low))
    if high >= 0:
        parts.append(_positive(max(low, 0), high))
    return parts[0] if len(parts) == 1 else f"({'|'.join(parts)})"


def _positive(low: int, high: int) -> str:
    """Numbers 0 <= low..high: for each number of digits, the runs that share a beginning; long ones first."""
    options: list[str] = []
    for digits in range(len(str(high)), len(str(low)) - 1, -1):
        first = max(low, 10 ** (digits - 1) if digits > 1 else 0)
        last = min(high, 10**digits - 1)
        if first <= last:
            options += _same_length(str(first), str(last))
    return f"({'|'.join(options)})" if len(options) > 1 else options[0]


def _same_length(low: str, high: str) -> list[str]:
    if not low:
        return [""]
    if low == "0" * len(low) and high == "9" * len(high):
        return [_digits(len(low))]
    if low[0] == high[0]:
        return [low[0] + rest for rest in _same_length(low[1:], high[1:])]
    n = len(low) - 1
    start, stop, out = int(low[0]), int(high[0]), []
    if low[1:] != "0" * n:
        out += [low[0] + rest for rest in _same_length(low[1:], "9" * n)]
        start += 1
    if high[1:] != "9" * n:
        out += [high[0] + rest for rest in _same_length("0" * n, high[1:])]
        stop -= 1
    if start <= stop:
        out.append((str(start) if start == stop else f"[{start}-{stop}]") + _digits(n))
    return out


def _digits(n: int) -> str:
    return "" if n == 0 else "[0-9]" if n == 1 else f"[0-9]{{{n}}}"


def numbers(low: int | float | None, high: int | float | None) -> str:
    """Decimal numbers within bounds, up to six places; bounds that are not whole are taken as they are or inside."""
    lowest = -(10**6) if low is None else low
    highest = 10**9 - 1 if high is None else high
    options = []
    if lowest < 0:
        options += [f"-{part}" for part in _decimals(max(0.0, -highest), -lowest)]
    if highest >= 0:
        options += _decimals(max(0.0, lowest), highest)
    return f"({'|'.join(options)})"


def _decimals(low: float, high: float) -> list[str]:
    """Numbers 0 <= low..high: whole parts whose every fraction lies inside, and the two ends themselves."""
    first = int(low) if low == int(low) else int(low) + 1
    last = int(high) - 1
    options = [_positive(first, last) + r"(\.[0-9]{1,6})?"] if first <= last else []
    if int(high) >= first:
        options.append(str(int(high)))
    ends = [printed(float(end)).translate(SPECIAL) for end in (high, low) if end != int(end)]
    return ends + options[::-1]


def _plain_pattern(pattern: str) -> str:
    """A JSON Schema pattern as a terminal, where it is anchored and made of characters, classes and repeats; or ''."""
    import re._constants as op
    import re._parser as parser

    if not (pattern.startswith("^") and pattern.endswith("$")) or re.search(r"\\[^dw.\-/+*?()\[\]{}|]", pattern):
        return ""
    body = pattern[1:-1].replace(r"\d", "[0-9]")
    if r"\w" in body or re.search(r"\(\?|[&#%+]\]|[^\\\])}0-9A-Za-z]\+", body):
        return ""
    allowed = {op.LITERAL, op.IN, op.RANGE, op.MAX_REPEAT, op.SUBPATTERN, op.BRANCH}

    def plain_set(items: object) -> bool:
        for code, value in items:  # type: ignore[attr-defined]
            if code is op.RANGE and all(chr(end).isalnum() for end in value):
                continue
            if code is not op.LITERAL or chr(value) in "&#%+ /?":
                return False
        return True

    def plain(tree: object) -> bool:
        for code, value in tree:  # type: ignore[attr-defined]
            if code not in allowed or (code is op.LITERAL and chr(value) in "&#%+ \t\n/?"):
                return False
            if code is op.IN and not plain_set(value):
                return False
            inner = [value[2]] if code is op.MAX_REPEAT else [value[-1]] if code is op.SUBPATTERN else []
            if not all(map(plain, [*inner, *(value[1] if code is op.BRANCH else [])])):
                return False
        return True

    try:
        tree = parser.parse(body)
    except re.error:
        return ""
    return f"({body})" if plain(tree) and tree.getwidth()[0] > 0 else ""
