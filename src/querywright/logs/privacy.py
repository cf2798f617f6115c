"""Personal data ends here: what a request says about who sent it is taken out, or the request is dropped.

A parameter that carries a credential, or that is none of the API's and holds personal data, is taken out: the call
means the same without it. Where personal data stands in the call itself (an e-mail address as a search term) the call
is dropped: what is left of it would mean nothing. The rules are our own (`personal.RULES`): scanners of source code
(detect-secrets and others) judge quoted assignments and entropy, and take InChIKeys and checksums for keys.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from querywright.logs.personal import kinds, places, readings, suspects

SHOWN = 2000
"""Characters of a text that are shown in messages and rejects."""


class Scrubbed(NamedTuple):
    """A path without personal data, or None where the call must be dropped; the kinds of what was found, sorted."""

    path: str | None
    found: tuple[str, ...] = ()


ALWAYS = frozenset(
    """
    apikey xapikey apitoken token accesstoken refreshtoken idtoken authtoken xauthtoken bearer bearertoken auth
    jwt authorization oauthtoken oauthverifier oauthsignature oauthconsumerkey oauthnonce password passwd
    passphrase pwd secret clientsecret appsecret secretkey accesskey accesskeyid awsaccesskeyid privatekey
    subscriptionkey sessionid sessiontoken jsessionid phpsessid aspnetsessionid cookie cookies setcookie csrf
    csrftoken xsrf xsrftoken otp hmac credential credentials email mail emailaddress useremail contactemail
    phone phonenumber telephone ssn creditcard cardnumber username userid clientip ipaddress remoteaddr
    """.split()  # noqa: SIM905 - a list of words reads better than one of strings
)
"""Names, without `-`, `_`, `.` and case, of parameters that say who sent the request or let it in."""

UNLESS_KNOWN = frozenset(
    """
    pw tel tk samlresponse samlrequest relaystate key session sid sess user usr uid uname ip code state nonce
    contact referer referrer ref fbclid gclid msclkid ga gid clientid deviceid trackingid visitorid firstname
    lastname surname fullname author subscriber account address signature sig pass login pin mobile
    """.split()  # noqa: SIM905
)
"""Names that are credentials or persons in some APIs and plain parameters in others: an API's own ones stay."""

_ENDS = (
    "token", "key", "secret", "password", "passwd", "passphrase", "signature", "sessionid", "session", "cookie", "auth",
    "ticket", "email", "credential", "credentials", "assertion",
)  # fmt: skip
_STARTS = ("xamz", "xgoog", "utm", "oauth", "cf", "xms")
_MARKED = re.compile(r"_*(?:x-(?:amz|goog|ms)|utm_|oauth_|cf_)", re.I)
_PAGES = ("pagetoken", "nexttoken", "cursortoken", "pagesignature")
_MATRIX = re.compile(r";[^;/?=]{0,80}sess?i?o?n?id=[^;/?]*", re.I)
_SENSITIVE = re.compile(
    r"([?&;\s](?:[\w.-]|%[0-9A-Fa-f]{2}){1,60}=)([^&#\s]+)",
)


@lru_cache(maxsize=8192)
def is_private_name(name: str, params: frozenset[str] = frozenset()) -> bool:
    """Whether a parameter's name says that its value is a credential or a person; `params` are the API's own names."""
    folded = re.sub(r"[-_.\[\]\s$]", "", unquote(unquote(name))).lower()
    if folded in ALWAYS:
        return True
    if name in params or folded.endswith(_PAGES):
        return False
    if folded in UNLESS_KNOWN or folded.endswith(_ENDS):
        return True
    return folded.startswith(_STARTS) and bool(_MARKED.match(unquote(name)))


def scrub(path: str, params: frozenset[str] = frozenset()) -> Scrubbed:
    """A request's path without personal data.

    Args:
        path: path and query, as a log holds them.
        params: the names of the API's own parameters. With them, any other parameter that holds personal data is taken
            out; without them it may be part of what was asked, so the call is dropped.
    """
    head, mark, query = path.partition("?")
    found: set[str] = set()
    if ";" in head and (clean := _MATRIX.sub("", head)) != head:
        found.add("session")
        head = clean
    rules = suspects(readings(path))
    if rules and (in_head := kinds(readings(head), rules)):
        return Scrubbed(None, tuple(sorted(found | in_head)))
    kept: list[str] = []
    for piece in query.split("&") if mark else ():
        name, equals, value = piece.partition("=")
        if equals and is_private_name(name, params):
            found.add("parameter")
            continue
        known = name in params or name.lower().replace("_", "").endswith(_PAGES)
        if rules and (here := kinds(readings(value if known else piece), rules)):
            found |= here
            if not params or name in params or not equals:
                return Scrubbed(None, tuple(sorted(found)))
            continue
        kept.append(piece)
    if not found:
        return Scrubbed(path)
    return Scrubbed(f"{head}?{'&'.join(kept)}" if kept else head, tuple(sorted(found)))


_NAME = re.compile(r"[A-Za-z_]{1,24}[0-9]?")


def outline(path: str, params: frozenset[str], endpoint: bool) -> str:
    """What a rejected request was, without what it says of persons: only what the API knows is shown as it stands.

    Args:
        params: the names of the API's own parameters; the value of any other is `<text>`.
        endpoint: whether the path is one of the API's; of another path only its shape is shown.
    """
    head, mark, query = path[: 2 * SHOWN].partition("?")
    head = _MATRIX.sub("", head)
    shown = [_outlined(piece, params) for piece in query.split("&")] if mark else []
    return f"{redact(head) if endpoint else shape(head)}{mark}{'&'.join(shown)}"[:SHOWN]


def _outlined(piece: str, params: frozenset[str]) -> str:
    name, equals, value = piece.partition("=")
    if name in params and not is_private_name(name, params):
        return f"{name}{equals}{redact(value)}"
    return f"{name if equals and _NAME.fullmatch(name) else '<text>'}{equals and '=<text>'}" if piece else ""


def reason(text: str) -> str:
    """A parser's message that may be shown: a parameter that is not the API's is named only where it is a name."""
    return redact(_UNKNOWN.sub(lambda m: m[0] if _NAME.fullmatch(m[2] or "") else f"{m[1]}<text>", text))


_UNKNOWN = re.compile(r"(unknown parameter )(?:'([^']*)'|\"[^\"]*\")")


def shape(text: str) -> str:
    """What a text looks like, without what it says: letters are `a` and `A`, digits `9`; at most 200 characters."""
    return "".join(
        "9" if c.isdecimal() else ("A" if c.isupper() else "a") if c.isalpha() else c if c.isprintable() else "?"
        for c in text[:200]
    )


def redact(text: str) -> str:
    """Any text with personal data masked as `<kind>`, at most 2,000 characters long. Never raises."""
    text = text[: 2 * SHOWN]
    text = _MATRIX.sub(";<session>", text)
    text = _SENSITIVE.sub(lambda m: f"{m[1]}<masked>" if is_private_name(m[1][1:-1]) else m[0], text)
    text = _mask(text)
    if kinds(readings(text)):  # encoded: mask the whole words that hold it
        text = "".join(
            f"<{'-'.join(sorted(here))}>" if (here := kinds(readings(word))) else word
            for word in re.split(r"([\s&?=/]+)", text)
        )
    return text[:SHOWN] if not kinds(readings(text)) else "<masked>"


def _mask(text: str) -> str:
    for _ in range(4):
        found = places(text)
        if not found:
            return text
        end = len(text) + 1
        for rule, (start, stop) in sorted(found, key=lambda f: (-f[1][1], f[1][0])):
            if stop <= end:
                text, end = f"{text[:start]}<{rule.kind}>{text[stop:]}", start
    return text
