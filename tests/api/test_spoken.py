"""Numbers and dates in the spellings that people use."""

from __future__ import annotations

from datetime import date

import pytest

from querywright.api.spoken import dates, month_of, numbers, periods, signed

TODAY = date(2024, 3, 15)


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("between 2020-01-05 and 2020-06-30", {"2020-01-05", "2020-06-30"}),
        ("in March 2021", {"2021-03-01", "2021-03-31", "2021-04-01"}),
        ("1 to 5 March 2021", {"2021-03-01", "2021-03-05"}),
        ("from March 1 to 5, 2021", {"2021-03-01", "2021-03-05"}),
        ("since the 3rd of January 2019", {"2019-01-03"}),
        ("Dec 31, 1999", {"1999-12-31"}),
        ("31/12/1999 or 1999.12.31", {"1999-12-31"}),
        ("during 2014", {"2014-01-01", "2014-12-31", "2015-01-01"}),
        ("in the 1990s", {"1990-01-01", "1999-12-31", "2000-01-01"}),
        ("on 3 May 2020 at 12:30", {"2020-05-03", "2020-05-03T12:30:00"}),
        ("after 2020-05-03T06:00:00", {"2020-05-03", "2020-05-03T06:00:00"}),
        ("after 2020-05-03T08:15:00", {"2020-05-03", "2020-05-03T08:15:00"}),
        ("after 2020-05-03T08:15:30Z", {"2020-05-03", "2020-05-03T08:15:30"}),
        ("after 2020-05-03T08:15:30.500+02:00", {"2020-05-03", "2020-05-03T08:15:30"}),
        ("after 2020-05-03 08:15:30z", {"2020-05-03", "2020-05-03T08:15:30"}),
        ("8:15:30pm on 3 May 2020", {"2020-05-03", "2020-05-03T20:15:30"}),
        ("8:15 p.m. on 3 May 2020", {"2020-05-03", "2020-05-03T20:15:00"}),
        ("10:00-12:30 on 3 May 2020", {"2020-05-03", "2020-05-03T10:00:00", "2020-05-03T12:30:00"}),
        ("6 a.m. to 5pm on 3 May 2020", {"2020-05-03", "2020-05-03T06:00:00", "2020-05-03T17:00:00"}),
        ("since yesterday", {"2024-03-14"}),
        ("in the past 7 days", {"2024-03-08", "2024-03-15"}),
        ("two months ago", {"2024-01-15", "2024-03-15"}),
        ("that may be 5 km deep", set()),
        ("February 30, 2021", set()),
    ],
)
def test_dates(sentence: str, found: set[str]) -> None:
    assert set(dates(sentence, TODAY)) == found


def test_a_month_and_its_ends() -> None:
    assert periods("in february 2024") == [(date(2024, 2, 1), date(2024, 2, 29))]
    assert month_of("2024-02-01", "2024-02-29") == (2024, 2)
    assert month_of("2024-02-01", "2024-03-31") is None
    assert month_of("2024-02-01T10:00:00", "2024-02-29") is None


def test_numbers_and_signs() -> None:
    assert {"1500", "2500", "12", "21", "3"} <= set(numbers("between 1,500 and 2.5 kb, a dozen, twenty-one, the third"))
    assert {"-33.5", "-70.2"} <= set(signed("latitude -33.5 and 70.2 W"))
    assert "-5" not in signed("5-10 km")
    assert "-10" not in signed("5-10 km")
    assert "6" in signed("six+")
    assert "2.5" in signed("2.50")


def test_long_sentences_of_numbers_cost_little() -> None:
    """What is quadratic in its input would take minutes here; numbers that no call takes are no values."""
    for text in ("1,", "1", "1.", "1-", "1,,", "1 to ", "a1", "9 W ", "1" * 50 + "k "):
        signed(text * 50_000 + "!")
    assert signed("1" * 400 + "k and 1" + "0" * 400 + " to 2 mb") is not None
    found = signed("between 1,500 and 2,500.5, not 1,2,3 or 120.5 W")
    assert {"1500", "2500.5", "1", "2", "3", "120.5", "-120.5"} <= set(found)
    assert "12" not in signed("word " * 80 + "12")
