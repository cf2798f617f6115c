"""The executor as the judge of an answer that should be a call: exact, and without a model's opinion.

Each answer to a prompt gets a level, the higher the better:

    invalid   no call to the API, one that the service refuses, or an answer that was cut off
    other     a valid call that finds other records than the expected one; or a refusal where a call is expected, or the
              other way round
    valid     a valid call where nothing is expected, so that nothing can be compared
    hits      another call that finds the same records: the same total and the same ids on its page
    meaning   a call that means the same as the expected one (equal canonical forms); or refuses, as expected

`RATINGS` are the levels on the scale of the other judges (see `rated`). Between answers of one level the shorter is the
better, where that is wanted: see `SHORTER`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.hits import Run, read
from querywright.api.paging import role_of
from querywright.api.refusal import refusal, refused
from querywright.errors import QuerywrightError, did_you_mean

INVALID, OTHER, VALID, HITS, MEANING = "invalid", "other", "valid", "hits", "meaning"
RATINGS = {INVALID: 1.0, OTHER: 2.0, VALID: 3.0, HITS: 4.0, MEANING: 5.0}
SHORTER = {
    "right": "among answers that find what was meant",
    "any": "among all valid calls",
    "off": "nowhere",
}
"""Where the shorter of two answers of one level is the better; by default not among wrong ones: of two calls that find
something else the shorter is no better, and a model would learn to leave conditions out."""

_PREFERRED = {"right": {HITS, MEANING}, "any": {OTHER, VALID, HITS, MEANING}, "off": set[str]()}


@dataclass(frozen=True)
class Expected:
    """What a prompt should be answered with.

    Attributes:
        text: the call as it is written, or the refusal (`nil CODE`); empty where nothing is expected.
        call: the same read; None of a refusal, or where nothing is expected.
    """

    text: str = ""
    call: Call | None = None


@dataclass(frozen=True)
class Judgement:
    """The level of an answer, and why in a few words. `level` is empty where it can't be told (the engine failed)."""

    level: str
    why: str = ""

    @property
    def rating(self) -> float | None:
        """The level on the scale of all judges."""
        return RATINGS.get(self.level)


def expected_of(api: API, row: dict[str, Any]) -> Expected:
    """What a prompt row expects: its `path`, which may be a refusal, or its `refusal` (a reason's code).

    Raises:
        QuerywrightError: its path is no call to the API, or its refusal no reason.
    """
    text = str(row.get("path") or "").strip()
    if not text and row.get("refusal"):
        text = str(row["refusal"]).strip()
        if refused(text) is None:
            try:
                text = refusal(text)
            except ValueError as error:
                raise QuerywrightError(
                    str(error), hint="the codes of refusals are in querywright.api.refusal"
                ) from None
    if not text:
        return Expected()
    if refused(text):
        return Expected(text)
    call, reason = read(api, text)
    if call is None:
        raise QuerywrightError(
            f"its path is no call to {api.name}: {reason}", hint=f"querywright call parse --api {api.name} < PATHS"
        )
    return Expected(text, call)


def judge(api: API, expected: Expected, response: dict[str, Any], run: Run | None = None) -> Judgement:
    """The level of a response.

    Args:
        response: `response` (the text) and, where it is known, `finish` (`stop`, `length`, `error`).
        run: runs a call (see `api.hits.run_cached`); None compares meanings only.
    """
    if response.get("finish") == "error":
        return Judgement("", "the engine failed")
    if response.get("finish") == "length":  # even if its beginning reads as a call
        return Judgement(INVALID, "ran out of tokens")
    text = str(response["response"]).strip()
    refusal_expected = bool(expected.text) and expected.call is None
    if code := refused(text):
        if refusal_expected:
            return Judgement(MEANING, "refuses, as expected")
        if not expected.text:
            return Judgement(VALID, f"refuses ({code}); nothing is expected")
        return Judgement(OTHER, f"refuses ({code}) where a call is expected")
    call, reason = read(api, text)
    if call is None:
        return Judgement(INVALID, reason)
    if refusal_expected:
        return Judgement(OTHER, "a call where a refusal is expected")
    if expected.call is None:
        refuses = run is not None and run(call) is None
        return Judgement(INVALID, "the service refuses it") if refuses else Judgement(VALID, "nothing is expected")
    if call.canonical == expected.call.canonical:
        return Judgement(MEANING, "means the same")
    return _by_hits(call, expected.call, run)


def _by_hits(call: Call, expected: Call, run: Run | None) -> Judgement:
    if run is None:
        return Judgement(OTHER, "means something else; not run")
    found = run(call)
    if found is None:
        return Judgement(INVALID, "the service refuses it")
    if not _searches(expected) or not _searches(call):
        return Judgement(OTHER, "asks for something else")
    wanted = run(expected)
    if wanted is None or wanted[0] == 0:  # that both find nothing has too many reasons
        return Judgement(OTHER, "means something else; the expected call finds nothing to compare with")
    if found == wanted and not wanted[1]:  # as many, none of them shown: many calls find one record, or two
        found, wanted = (run(_from_the_start(one)) or (0, frozenset()) for one in (call, expected))
        if not wanted[1]:
            return Judgement(OTHER, f"finds {found[0]} records as well, and nothing tells which")
    if found == wanted:
        return Judgement(HITS, f"finds the same {wanted[0]} records")
    if found[0] == wanted[0]:
        return Judgement(OTHER, f"finds {found[0]} records as well, but others")
    return Judgement(OTHER, f"finds {found[0]} records in place of {wanted[0]}")


def _from_the_start(call: Call) -> Call:
    """A call without what says which of the records are shown: with `size=0`, or far down, there are none."""
    cut = {"limit", "offset", "page"}
    kept = [(name, value) for name, value in call.params if role_of(name, call.api.params[name]) not in cut]
    return replace(call, params=tuple(kept))


def _searches(call: Call) -> bool:
    """Whether a call asks for records, not for what there is to know of the API."""
    if call.api.query_language == "none":
        return bool(call.params) or call.id is not None
    return call.query is not None or call.id is not None


def tie(judgement: Judgement, text: str, shorter: str = "right") -> float | None:
    """What orders answers of one level, the larger the better: minus the length; None where that says nothing.

    Raises:
        QuerywrightError: `shorter` is none of `SHORTER`.
    """
    if shorter not in SHORTER:
        raise QuerywrightError(
            f"--shorter {shorter!r}{did_you_mean(shorter, [*SHORTER])}", hint=f"one of {', '.join(SHORTER)}"
        )
    return -float(len(text.strip())) if judgement.level in _PREFERRED[shorter] else None
