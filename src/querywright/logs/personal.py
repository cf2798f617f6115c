"""What personal data and credentials look like in a request, and what only looks like them: the ids of biology.

Each rule asks for a shape that ids do not have: a known prefix, a separator, a check digit. Entropy is no rule: an
InChIKey, a checksum or a variant's name is as random as a key. Every expression is linear in the text, or bounded.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import unquote


class Rule(NamedTuple):
    """One kind of personal data: `shape` is tried where one of `hints` (lower case), or the sieve, is in the text."""

    kind: str
    shape: re.Pattern[str]
    hints: tuple[str, ...] = ()
    sieve: str = ""
    holds: Callable[[str], bool] | None = None


def luhn(text: str) -> bool:
    """Whether digits are a payment card's number: its check digit, and a prefix and length that issuers use."""
    digits = [int(c) for c in text if c.isdigit()]
    number = "".join(map(str, digits))
    if not _ISSUERS.fullmatch(number):
        return False
    return sum(sum(divmod(d * 2, 10)) if n % 2 else d for n, d in enumerate(reversed(digits))) % 10 == 0


_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|"
    r"3(?:0[0-5]|[68]\d)\d{11}|6(?:011|5\d\d|4[4-9]\d)\d{12}|35\d{14}"
)


def iban(text: str) -> bool:
    """Whether the check digits of a bank account's number are right."""
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def ipv4(text: str) -> bool:
    """Whether four numbers with dots are an address, and not an enzyme's (EC) or a fold's (CATH) class: from 1 to 7."""
    octets = [int(part) for part in text.split(".")]
    return all(n < 256 for n in octets) and (octets[0] > 7 or octets[1] > 180)


def ipv6(text: str) -> bool:
    """Whether a text with `::` is a short IPv6 address; without it a variant (`1:6951:A:C`) or an allele looks so."""
    try:
        return "::" in text and len(text) > 4 and bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def phone(text: str) -> bool:
    """Whether a number with a plus sign is as long as a telephone number; record ids are shorter."""
    return 10 <= sum(c.isdigit() for c in text) <= 15


def basic_auth(text: str) -> bool:
    """Whether what follows `Basic` is a name and a password (base64), and not the rest of a gene's name."""
    code = text.split()[-1]
    try:
        return b":" in base64.b64decode(code + "=" * (-len(code) % 4), altchars=b"-_" if "-" in code else None)
    except ValueError:
        return False


def random_text(text: str) -> bool:
    """Whether a long run of letters and digits is drawn, not written: many characters, case that changes at random.

    Names in camel case change rarely; SMILES repeat few characters; checksums and accessions have one case; variants
    of proteins are made of known syllables.
    """
    body = re.sub("[-_/+]", "", text)
    lower, upper, digits = (sum(map(test, body)) for test in (str.islower, str.isupper, str.isdigit))
    if lower < 4 or upper < 3 or digits < 2 or len(set(body)) < 14 or len(_SYLLABLES.findall(body)) > 1:
        return False
    kinds_of = [(c.isdigit(), c.isupper()) for c in body]
    return sum(a != b for a, b in pairwise(kinds_of)) >= 0.4 * (len(body) - 1)


def secret_key(text: str) -> bool:
    """Whether 40 characters of base64 are the secret half of an AWS key, and not a path or a formula.

    The key of AWS's own documentation has words in it and one digit, so this asks for less than `random_text`.
    """
    lower, upper = sum(map(str.islower, text)), sum(map(str.isupper, text))
    changes = sum(a.isupper() != b.isupper() for a, b in pairwise(text))
    return lower > 5 and upper > 5 and any(map(str.isdigit, text)) and len(set(text)) > 15 and changes >= 10


_SYLLABLES = re.compile(
    "Ala|Arg|Asn|Asp|Cys|Gln|Glu|Gly|His|Ile|Leu|Lys|Met|Phe|Pro|Ser|Thr|Trp|Tyr|Val|Ter|del|ins|dup"
)

_PREFIXES = {  # lower-case start → shape of the token; the starts are public: they exist so that leaks are found
    ("akia", "asia", "abia", "acca", "aroa", "aida", "agpa", "anpa", "anva", "apka"):
        r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA|ANPA|ANVA|APKA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    ("gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_"): r"gh[opsur]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255}",
    ("glpat-", "glptt-", "gldt-", "glrt-", "glcbt-"): r"gl(?:pat|ptt|dt|rt|cbt)-[\w-]{16,255}",
    ("xox", "xapp-"): r"xox[a-z]-[\w-]{8,255}|xapp-[\w-]{8,255}",
    ("aiza", "ya29.", "gocspx-", "1//0"): r"AIza[\w-]{30,60}|ya29\.[\w-]{15,255}|GOCSPX-[\w-]{15,60}|1//0[\w-]{30,255}",
    ("_live_", "_test_", "_prod_"): r"[a-z]{2,6}_(?:live|test|prod)_[A-Za-z0-9]{10,255}",
    ("sk-", "whsec_"): r"whsec_[\w+/=]{16,255}|sk-(?:(?=[\w-]{0,60}\d)|(?:proj|ant|or|svcacct)-)[\w-]{16,255}",
    ("hf_", "npm_", "pypi-"): r"hf_[A-Za-z0-9]{20,60}|npm_[A-Za-z0-9]{30,60}|pypi-[\w-]{30,255}",
    ("_v1_", "shpat_", "shpca_", "shppa_", "shpss_"): r"do[opr]_v1_[0-9a-f]{30,80}|shp(?:at|ca|pa|ss)_\w{24,60}",
    ("sg.", "key-", "dapi"): r"SG\.[\w-]{16,60}\.[\w-]{16,60}|key-[0-9a-f]{32}|dapi[0-9a-f]{32}",
    ("lin_api_", "glsa_", "age-secret", ":aa"):
        r"lin_api_\w{20,60}|glsa_\w{32,60}|AGE-SECRET-KEY-1\w{20,80}|\d{8,10}:AA[\w-]{33}(?![\w-])",
    ("eyj",): r"eyJ[\w-]{15,}(?:\.[\w-]*){0,4}",
}  # fmt: skip
_SECRET_WORD = (
    r"pass(?:word|wd|phrase|code)|pwd|(?:client[_-]?|app[_-]?|api[_-]?)?secret(?:[_-]?key)?|(?:access|auth|refresh|id|api|csrf|"
    r"session|bearer)?[_-]?token|(?:api|access|account|private|subscription|license)[_-]?key|"
    r"(?:set-)?cookie|authori[sz]ation|x-amz-[\w-]{1,60}|[a-z]{0,12}sess(?:ion)?[_-]?id|asp\.net_sessionid|connect\.sid|"
    r"laravel_session|cf_clearance"
)
_SAID = "api[ _-]?key|token|password|passwd|secret"

RULES = (
    Rule("email", re.compile(r"[^\s@,;:<>()\[\]=&/?|]{1,64}(?<=[\w.+\"'-])@(?:[\w-]{1,63}\.){1,8}[\w-]{1,63}"), ("@",)),
    Rule("email", re.compile(r"[\w.+-]{3,64}@[^\W\d_]{4,63}"), ("@",)),  # a domain that was cut
    Rule("email", re.compile(r"[\w.+-]{2,64} ?[(\[{]at[)\]}] ?[\w-]{2,63}", re.I), ("(at)", "[at]", "{at}")),
    Rule("password", re.compile(r"://[^\s/?#@:]{1,128}:[^\s/?#@]{1,128}@"), ("://",)),
    *(Rule("key", re.compile(rf"(?<![A-Za-z0-9])(?:{shape})"), hints) for hints, shape in _PREFIXES.items()),
    Rule("key", re.compile(r"(?<![A-Za-z0-9])(?:AC|SK)[0-9a-f]{32}(?![0-9A-Za-z])"), sieve="long"),
    Rule("key", re.compile(r"(?<![A-Za-z0-9])[MNO][\w-]{23,26}\.[\w-]{6}\.[\w-]{27,40}"), sieve="long"),
    Rule("key", re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{36}(?![0-9A-Za-z])"), sieve="long"),  # NCBI's keys
    Rule("key", re.compile(r"(?<![\w.-])[A-Za-z0-9_]{24,255}(?![\w-])"), sieve="long", holds=random_text),
    Rule("key", re.compile(r"\bbearer[ :]+[\w.~+/=-]{12,}", re.I), ("bearer",)),
    Rule("key", re.compile(r"\bbasic +[\w+/=-]{8,}", re.I), ("basic ",), holds=basic_auth),
    Rule("key", re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY"), ("private key",)),
    Rule("secret", re.compile(rf"(?<![A-Za-z0-9])(?:{_SECRET_WORD})[\"']? ?(?:=|:)[ \"']{{0,9}}[^\s\"'&]{{3,}}", re.I),
         ("pass", "pwd", "secret", "token", "key", "sess", "cookie", "auth", "amz", ".sid", "cf_")),
    Rule("secret", re.compile(rf"\b(?:{_SAID})(?: is)? (?=\w{{0,60}}\d)(?=\w{{0,60}}[a-z])\w{{6,}}", re.I),
         ("api", "token", "passw", "secret")),
    Rule("secret", re.compile(r"\b(?:session|sid)=[\w.-]{8,}", re.I), ("session=", "sid=")),
    Rule("key", re.compile(r"(?<![\w/+])(?=[A-Za-z0-9]{0,39}[/+])[A-Za-z0-9/+]{40}(?![\w/+])"), ("/", "+"),
         holds=secret_key),
    Rule("key", re.compile(r"(?<![\w.-])(?=\w*-)[\w-]{40,255}(?![\w-])"), sieve="long", holds=random_text),  # base64url
    Rule("card", re.compile(r"(?<![\w.])\d{13,19}(?![\w.])"), sieve="numbers", holds=luhn),
    Rule("card", re.compile(r"(?<![\w.])(?<!\d[ -])\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}(?![\w.]|[ -]\d)"),
         sieve="numbers", holds=luhn),
    Rule("card", re.compile(r"(?<![\w.])(?<!\d[ -])3[47]\d\d([ -])\d{6}\1\d{5}(?![\w.]|[ -]\d)"),
         sieve="numbers", holds=luhn),
    Rule("account", re.compile(r"(?<![\w.])[A-Z]{2}\d\d(?: ?[A-Z0-9]){11,30}(?![\w.])"), sieve="account", holds=iban),
    Rule("phone", re.compile(r"(?<![\w.+])\+\d[\d ().-]{8,20}\d(?!\w)"), sieve="numbers", holds=phone),
    Rule("phone", re.compile(r"(?<!\w)\(\d{3}\) ?\d{3}[ .-]\d{4}(?!\w)"), sieve="numbers"),
    Rule("phone", re.compile(r"(?<![\w.:-])(?:1[.-])?\d{3}([.-])\d{3}\1\d{4}(?![\w-])"), sieve="numbers"),
    Rule("number", re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])"), sieve="numbers"),
    Rule("address", re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"), sieve="dots", holds=ipv4),
    Rule("address", re.compile(r"(?<![0-9a-z])(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(?![\w:])", re.I), sieve="colons"),
    Rule("address", re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.I), sieve="colons",
         holds=ipv6),
    Rule("address", re.compile(r"(?<![\w:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:-])", re.I),
         sieve="colons"),
)  # fmt: skip

_LONG = re.compile(r"\b[\w-]{24}")
_DIGITS = re.compile(r"\d{13}")
_NUMBERS = re.compile(r"\d{4}[ -]\d{4,6}[ -]\d|\+\d|\(\d{3}\)|\d{3}[.-]\d{2,3}[.-]\d{4}")
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d\d ?[A-Z0-9]{4}")


def _numbers(text: str) -> object:
    parted = "-" in text or " " in text or "+" in text or "(" in text or text.count(".") > 1
    return (parted and _NUMBERS.search(text)) or _DIGITS.search(text)


_SIEVES: dict[str, Callable[[str], object]] = {
    "long": _LONG.search,
    "numbers": _numbers,
    "account": _ACCOUNT.search,
    "dots": lambda text: text.count(".") > 2,
    "colons": lambda text: text.count(":") > 4 or text.count("-") > 4 or "::" in text,
}
_BY_SIEVE = [(sieve, [r for r in RULES if r.sieve == name]) for name, sieve in _SIEVES.items()]
_BY_HINT: dict[str, list[tuple[str, Rule]]] = {}
for _rule in RULES:
    for _hint in _rule.hints:  # under a rare character of the hint, so that most hints are never looked for
        _rare = next((c for c in "@_-.:([{" if c in _hint), "")
        _BY_HINT.setdefault(_rare, []).append((_hint, _rule))

_ENTITY = re.compile(r"&#(?:x([0-9a-f]{1,6})|(\d{1,7}));?|(?:\\u00|\\x|%u00)([0-9a-f]{2})", re.I)


def readings(value: str) -> str:
    """All that a value can mean, one reading a line: a `+` is a space, or itself as many clients send it."""
    text = plain(value)
    if "+" not in value and "%2" not in value:
        return text
    kept = _undone(value)  # encoded twice, a `+` that came last is a space too
    return text if "+" not in kept else "\n".join(dict.fromkeys((text, kept, kept.replace("+", " "))))


def plain(value: str) -> str:
    """A value as a person reads it: percent-encodings (repeated ones too), `+` for a space and entities undone."""
    return _undone(value.replace("+", " "))


def _undone(text: str) -> str:
    for _ in range(5):
        if "%" not in text:
            break
        decoded = unquote(text)
        if decoded == text:
            break
        text = decoded
    if "&#" in text or "\\" in text or "%u" in text:
        text = _ENTITY.sub(_entity, text)
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _entity(found: re.Match[str]) -> str:
    code = int(found[1], 16) if found[1] else int(found[2]) if found[2] else int(found[3], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else " "


def suspects(text: str) -> list[Rule]:
    """The rules that are worth trying on a plain text, or on any part of it. None for almost every request."""
    lower = text.lower()
    found = [rule for rare, hints in _BY_HINT.items() if rare in lower for hint, rule in hints if hint in lower]
    for sieve, rules in _BY_SIEVE:
        if sieve(text):
            found += rules
    return found


def kinds(text: str, rules: Iterable[Rule] | None = None) -> set[str]:
    """The kinds of personal data in a plain text."""
    return {rule.kind for rule, _ in places(text, rules)}


def places(text: str, rules: Iterable[Rule] | None = None) -> list[tuple[Rule, tuple[int, int]]]:
    """Each rule that finds something, with where that starts and ends."""
    found = []
    for rule in suspects(text) if rules is None else rules:
        for match in rule.shape.finditer(text):
            if rule.holds is None or rule.holds(match[0]):
                found.append((rule, match.span()))
    return found
