"""What a sentence says that can be a value of a call: numbers and dates, in the spellings that people use.

Read by grounding (a value has to come from the sentence) and by `pairs verify` (a pair's values have to be said).
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, timedelta

NUMBER_WORDS = {
    "zero": 0, "no": 0, "none": 0, "one": 1, "single": 1, "first": 1, "once": 1, "two": 2, "second": 2, "couple": 2,
    "pair": 2, "three": 3, "third": 3, "four": 4, "fourth": 4, "five": 5, "fifth": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "dozen": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40,
    "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100, "thousand": 1000,
}  # fmt: skip
UNITS = {
    "dozen": 12, "hundred": 100, "k": 10**3, "kb": 10**3, "kbp": 10**3, "thousand": 10**3, "kilobase": 10**3,
    "kilobases": 10**3, "m": 10**6, "mb": 10**6, "mbp": 10**6, "million": 10**6, "megabase": 10**6, "megabases": 10**6,
    "billion": 10**9,
}  # fmt: skip
MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
]  # fmt: skip
EDGE = " \t\n.,;:!?\"'`()[]{}<>“”‘’«»…"
MOST_WORDS = 80  # of a sentence; what follows offers no values


# --- numbers -------------------------------------------------------------------------------------------------------
_NUMBER = r"\d+(?:,\d+)*(?:\.\d+)?"
_LONGEST_NUMBER = 16  # characters; longer ones are no value of a call
_SOUTH = re.compile(rf"(?<!\d)(?<!\d,)({_NUMBER})\s?(?:°|degrees?)?\s?(?:[WS]\b|west\b|south\b)")


def numbers(sentence: str) -> list[str]:
    """Numbers without a sign, as digits: `1,500`, `2.5 kb`, `a dozen`, `twenty-one`."""
    raw = sentence.split()[:MOST_WORDS]
    sentence = " ".join(raw)
    found = [m.replace(",", "") for m in re.findall(r"\d[\d,]*(?:\.\d+)?", sentence)]
    found += [part for m in re.findall(r"\d[\d,]*", sentence) for part in m.split(",") if part]
    lower = [_spelt(w.strip(EDGE + "+").lower()) for w in raw]
    for i, word in enumerate(lower):
        values = [float(NUMBER_WORDS[p]) for p in word.split("-") if p in NUMBER_WORDS]
        if values:
            found += [plain(v) for v in (*values, sum(values))]
        match = re.fullmatch(rf"({_NUMBER}|\.\d+)([a-z]*)", word)
        if match and len(match[1]) < _LONGEST_NUMBER:
            values = [float(match[1].replace(",", ""))]
            found += [plain(values[0] * UNITS[match[2]])] if match[2] in UNITS else []
        unit = UNITS.get(lower[i + 1]) if i + 1 < len(lower) else None
        if values and unit:
            found += [plain(v * unit) for v in values]
    for match in re.finditer(r"(?<![\d.])([\d.]+) ?(?:-|–|to|and) ?([\d.]+) ?([A-Za-z]+)", sentence):  # 1-2 Mb
        unit = UNITS.get(match[3].lower())
        ends = [n for n in (match[1], match[2]) if len(n) < _LONGEST_NUMBER and re.fullmatch(r"\d+\.?\d*", n)]
        found += [plain(float(n) * unit) for n in ends if unit]
    return [n for n in dict.fromkeys(found) if n]


def signed(sentence: str) -> list[str]:
    """The same with signs, each in the spelling of a call: `-1.5`, `minus 3`, `120.5 W`; no needless zeros."""
    sentence = " ".join(sentence.split()[:MOST_WORDS])
    found = [plain(float(n)) for n in numbers(sentence) if len(n) < 16]
    minus = re.findall(r"(?:(?<![\w.)])[-−–]|\b(?:minus|negative)\s+)(\d[\d,]*(?:\.\d+)?)", sentence, re.I)
    minus += _SOUTH.findall(sentence)
    found += ["-" + plain(float(n.replace(",", ""))) for n in minus if len(n) < 16]
    return list(dict.fromkeys(found))


def _spelt(word: str) -> str:
    """A number's word whose letters were swapped ("twnety")."""
    if len(word) > 4 and word.isalpha() and word not in NUMBER_WORDS:
        near = [n for n in NUMBER_WORDS if n[0] == word[0] and sorted(n) == sorted(word)]
        return near[0] if near else word
    return word


def plain(value: float) -> str:
    """A number in digits, without an exponent or a needless point."""
    return str(int(value)) if value == int(value) else format(value, ".6f").rstrip("0").rstrip(".")


# --- dates ---------------------------------------------------------------------------------------------------------
_MONTH = "|".join(rf"{m[:3]}(?:{m[3:]})?\.?" for m in MONTHS) + r"|sept\.?"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?:1[6-9]|2[0-9])\d\d"
_TO = r"\s*(?:-|–|to|and|until|till|through|thru|or|,)\s*"
_FULL = [
    re.compile(rf"\b(?P<y>{_YEAR})(?P<s>[-/.])(?P<m>\d{{1,2}})(?P=s)(?P<d>\d{{1,2}})(?!\d)"),
    re.compile(rf"\b(?P<d>{_DAY})(?:\s+of)?[\s-]+(?P<m>{_MONTH})[,\s-]+(?P<y>{_YEAR})\b"),
    re.compile(rf"\b(?P<m>{_MONTH})\s+(?:the\s+)?(?P<d>{_DAY}),?\s+(?P<y>{_YEAR})\b"),
    re.compile(rf"\b(?P<y>{_YEAR})[,\s]+(?P<m>{_MONTH})\s+(?P<d>{_DAY})\b"),
    re.compile(rf"\b(?P<d>\d{{1,2}})[/.](?P<m>\d{{1,2}})[/.](?P<y>{_YEAR})\b"),
    re.compile(rf"\b(?P<m>\d{{1,2}})[/.](?P<d>\d{{1,2}})[/.](?P<y>{_YEAR})\b"),
    re.compile(r"\b(?P<y>20\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d)\b"),
]
# a day that shares its month or its year with what follows: "1 to 5 March 2021", "March 1 to 5, 2021", "3 May to ..."
_DAYS = [
    re.compile(rf"\b(?P<d>{_DAY}){_TO}(?:{_DAY}\s+(?:of\s+)?)(?P<m>{_MONTH})\b"),
    re.compile(rf"\b(?P<m>{_MONTH})\s+{_DAY}{_TO}(?P<d>{_DAY})\b"),
    re.compile(rf"\b(?P<d>{_DAY})\s+(?:of\s+)?(?P<m>{_MONTH})\b"),
    re.compile(rf"\b(?P<m>{_MONTH})\s+(?:the\s+)?(?P<d>{_DAY})\b(?!\d)"),
]
_MAY = re.compile(rf"\bmay,?\s+(?:of\s+)?{_YEAR}|\bmay{_TO}(?:{_MONTH})|(?:{_MONTH}){_TO}may\b")
# not the offset of "08:15+02:00", and in "t08:15:30" or "8:15 pm" not the end of a time alone
_TIME = re.compile(r"(?:(?<=\dt)|(?<![\w:+])t?)(\d{1,2}):(\d{2})(?::(\d{2}))?(?!:?\d)\s*(?:([ap])\.?m\b)?")
_HOUR = re.compile(r"(?<![\w:.])(\d{1,2})\s?([ap])\.?m\b")
_AGO = re.compile(r"\b(?:(?:last|past|previous)\s+)?(\d+|[a-z]+)\s+(day|week|month|year)s?(?:\s+ago)?\b")


def dates(sentence: str, today: date | None = None) -> list[str]:
    """Dates and moments that a sentence may mean, in ISO 8601 as calls spell them.

    A month offers its first and last day and the day after it, and so does a year; "since yesterday" and "the past
    week" are reckoned from `today`.
    """
    text = " ".join(sentence.lower().split()[:MOST_WORDS])
    days: dict[date, None] = {}
    for pattern in _FULL:
        for match in pattern.finditer(text):
            days.update(dict.fromkeys(_day(match["y"], match["m"], match["d"])))
    for pattern in _DAYS:
        for match in pattern.finditer(text):
            for year in _years(text):
                days.update(dict.fromkeys(_day(year, match["m"], match["d"])))
    for low, high in periods(text):
        days.update(dict.fromkeys((low, high, high + timedelta(days=1))))
    days.update(dict.fromkeys(_relative(text, today or datetime.now(UTC).date())))
    moments = [d.isoformat() for d in days]
    return moments + [f"{d.isoformat()}T{t}" for d in days for t in _times(text) if t != "00:00:00"]


def periods(sentence: str) -> list[tuple[date, date]]:
    """First and last day of each month and year that a sentence names without a day."""
    text = sentence.lower()
    years = _years(text)
    for pattern in _FULL:
        text = pattern.sub(" ~ ", text)
    for pattern in _DAYS:
        text = re.sub(rf"{pattern.pattern}(?:,?\s+{_YEAR})?", " ~ ", text)
    found = []
    for name in re.findall(rf"\b({_MONTH})(?![a-z])", text):
        if name != "may" or _MAY.search(text):  # otherwise it is the verb
            found += [_month(int(year), _month_number(name)) for year in years]
    found += [_month(int(y), int(m)) for y, m in re.findall(rf"\b({_YEAR})-(0[1-9]|1[0-2])(?![-\d])", text)]
    if not found:
        found += [(date(int(y), 1, 1), date(int(y), 12, 31)) for y in _years(text)]
    decades = re.findall(r"\b((?:1[6-9]|2[0-9])\d0)'?s\b", text)
    found += [(date(int(y), 1, 1), date(int(y) + 9, 12, 31)) for y in decades]
    return list(dict.fromkeys(found))


def _years(text: str) -> list[str]:
    return re.findall(rf"(?<![\d.,]){_YEAR}(?![\ds]|[.,]\d)", text)


def without_dates(sentence: str) -> str:
    """The sentence with dates, times of day and named years taken out: their numbers are no other values."""
    text = sentence
    for pattern in (*_FULL, *_DAYS):
        text = re.sub(rf"{pattern.pattern}(?:,?\s+{_YEAR})?", " ; ", text, flags=re.I)
    text = re.sub(rf"\b(?:{_MONTH})(?:\s+of)?,?\s+{_YEAR}\b|\b{_YEAR}-[01]\d\b", " ; ", text, flags=re.I)
    text = re.sub(rf"\b(in|since|during|until|before|after)\s+{_YEAR}\b(?!\s*\.\d)", r"\1 ; ", text, flags=re.I)
    return re.sub(r"\bT?\d{1,2}:\d{2}(:\d{2})?\b|\b\d{1,2}\s?[ap]m\b", " ; ", text, flags=re.I)


def month_of(low: str, high: str) -> tuple[int, int] | None:
    """Year and month of two ISO dates that are a month's first and last day, else None."""
    try:
        first, last = date.fromisoformat(low), date.fromisoformat(high)
    except ValueError:
        return None
    whole = first.day == 1 and (first, last) == _month(first.year, first.month)
    return (first.year, first.month) if whole else None


def _month(year: int, month: int) -> tuple[date, date]:
    return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])


def _month_number(text: str) -> int:
    return next((i for i, m in enumerate(MONTHS, 1) if m[:3] == text[:3]), 0)


def _day(year: str, month: str, day: str) -> list[date]:
    number = int(month) if month.isdigit() else _month_number(month)
    try:
        return [date(int(year), number, int(re.sub(r"\D", "", day)))]
    except ValueError:
        return []


def _times(text: str) -> list[str]:
    """Times of day as `12:30:00`."""
    found = []
    for hour, minute, second, half in _TIME.findall(text):
        h = int(hour) % 12 + 12 * (half == "p") if half else int(hour)
        found.append((h, int(minute), int(second or 0)))
    found += [(int(h) % 12 + 12 * (half == "p"), 0, 0) for h, half in _HOUR.findall(text)]
    found += [(12, 0, 0)] * bool(re.search(r"\bnoon\b", text))
    return [f"{h:02}:{m:02}:{s:02}" for h, m, s in dict.fromkeys(found) if h < 24 and m < 60 and s < 60]


def _relative(text: str, today: date) -> list[date]:
    """Days said from today's point of view."""
    found = []
    for word, back in (("today", 0), ("yesterday", 1), ("tomorrow", -1)):
        if re.search(rf"\b{word}\b", text):
            found.append(today - timedelta(days=back))
    for count, unit in _AGO.findall(text):
        several = int(count) if count.isdigit() else NUMBER_WORDS.get(count, 0)
        n = 1 if count in ("last", "past", "previous") else several
        if 0 < n < 1000 and re.search(rf"\b(last|past|previous)\b.*\b{unit}|\b{unit}s?\s+ago", text):
            found += [_before(today, n, unit), today]
    if re.search(r"\bthis (month|year)\b", text):
        found += [today.replace(day=1) if "this month" in text else today.replace(month=1, day=1), today]
    return found


def _before(today: date, n: int, unit: str) -> date:
    if unit in ("day", "week"):
        return today - timedelta(days=n * (7 if unit == "week" else 1))
    months = today.year * 12 + today.month - 1 - n * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))
