"""The limits: from the environment, all mistakes at once."""

from __future__ import annotations

from dataclasses import fields

import pytest

from querywright.errors import QuerywrightError
from server.settings import KNOWN, Limits, limits_of, unread


def test_the_environment_sets_them() -> None:
    assert limits_of({"HOME": "/"}) == Limits()
    given = limits_of({"QUERYWRIGHT_LIMIT_WAITING": "0", "QUERYWRIGHT_LIMIT_ANSWER_S": "2.5"})
    assert (given.waiting, given.answer_s) == (0, 2.5)
    assert given.rows == Limits().rows


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "nan", "inf", "1e300", "1.5"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(QuerywrightError, match="QUERYWRIGHT_LIMIT_ROWS"):
        limits_of({"QUERYWRIGHT_LIMIT_ROWS": text})


def test_all_mistakes_are_said_at_once() -> None:
    wrong = {"QUERYWRIGHT_LIMIT_ROW": "3", "QUERYWRIGHT_LIMIT_TOKENS": "x", "QUERYWRIGHT_LIMIT_BATCH": "0"}
    with pytest.raises(QuerywrightError) as error:
        limits_of(wrong)
    assert all(name in str(error.value) for name in wrong)
    assert "did you mean" in str(error.value)


def test_each_limit_is_described() -> None:
    for field in fields(Limits):
        assert f"        {field.name}: " in (Limits.__doc__ or ""), field.name


def test_a_misspelt_variable_is_said() -> None:
    """A server that was to ask for a token, and does not, because of one letter."""
    for wrong in ("QUERYWRIGHT_TOKN", "QUERYWIRGHT_TOKEN", "querywright_token", "QUERYWRIGHT-TOKEN"):
        (told,) = unread({wrong: "x", "QUERYWRIGHT_LIMIT_WAITING": "3", "HOME": "/", "TOKEN": "x"})
        assert told.startswith(wrong)
        assert "did you mean QUERYWRIGHT_TOKEN?" in told
    assert "known are" in unread({"QUERYWRIGHT_X": "1"})[0]
    assert unread(dict.fromkeys(KNOWN, "x") | {"PATH": "", "OPENAI_API_KEY": "x", "QUERYTOKEN": "y"}) == []
