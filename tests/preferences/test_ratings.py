"""Ratings out of what judges write: each style read rightly, nothing guessed, nothing that breaks the reader."""

from __future__ import annotations

import json
import random
import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from querywright.preferences.rating_values import HIGH, LOW, STATES
from querywright.preferences.ratings import form, ratings

NA = "n/a"

ASKED = """#### Output for Text 1
Rating: 4
Rationale: Meets most of it.

#### Output for Text 2
Rating: 1
Rationale: Text 1 is better, by 3 points.

#### Output for Text 3
Rating: N/A
Rationale: no claim to judge

#### Output for Text 4
Rating: 5
Rationale: All of it.
"""

READ = {
    "as asked": (ASKED, [4, 1, NA, 5]),
    "windows lines": (ASKED.replace("\n", "\r\n"), [4, 1, NA, 5]),
    "other order": (
        "## Text 3\nRating: 3\n## Text 1\nRating: 1\n## Text 4\nRating: 4\n## Text 2\nRating: 2",
        [1, 2, 3, 4],
    ),
    "one left out": ("Text 1\nRating: 3\nText 2\nRating: 2\nText 4\nRating: 4", [3, 2, None, 4]),
    "cut off": ("Text 1\nRating: 3\nRationale: fine\nText 2\nRating:", [3, None, None, None]),
    "bold": (
        "**Text 1:**\n**Rating:** 4\n**Text 2:**\n**Rating: 3**\n**Text 3**: **2**\n- **Text 4** – 5",
        [4, 3, 2, 5],
    ),
    "list": ("* Text 1: Rating: 4/5 (good)\n* Text 2: Rating: 3/5\n* Text 3: 2/5\n* Text 4: 1/5", [4, 3, 2, 1]),
    "one line": ("Text 1: 4, Text 2: 3, Text 3: N/A, and Text 4: 5.", [4, 3, NA, 5]),
    "one line, labels": ("Text 1 Rating: 4. Text 2 Rating: 3. Text 3 Rating: 2. Text 4 Rating: 1.", [4, 3, 2, 1]),
    "fractions": ("Text 1: 4/5\nText 2: 8/10\nText 3: 4.5 / 5\nText 4: 3 out of 5", [4, 4, 4.5, 3]),
    "percent": ("Text 1: 80%\nText 2: 100 %\nText 3: 10%\nText 4: 60/100", [4, 5, "out of range", 3]),
    "words": (
        "Text 1: four\nText 2: Three out of five\nText 3: not applicable\nText 4: Rating: one (poor)",
        [4, 3, NA, 1],
    ),
    "stars": ("Text 1: ★★★★☆\nText 2: ⭐️⭐️\nText 3: 3 stars\nText 4: ★☆☆☆☆", [4, 2, 3, 1]),
    "brackets": ("Text 1\nRating: [4]\nText 2\nRating: <3>\nText 3\nRating: (2)\nText 4\nRating: `5`", [4, 3, 2, 5]),
    "next line": (
        "### Text 1\nRating:\n4\n### Text 2\nRating:\n\n3\n### Text 3\n2\n### Text 4\nScore\n5",
        [4, 3, None, 5],
    ),
    "letters": ("Response A: 4\nResponse B: 3\nResponse C: 2\nResponse D: 1", [4, 3, 2, 1]),
    "ordinals": ("First text: 4\nSecond text: 3\nThird response: 2\nThe 4th is bad.\nFourth text: 1", [4, 3, 2, 1]),
    "numbered": ("1. 4\n2. 3 - fine\n3. N/A\n4. Rating: 5", [4, 3, NA, 5]),
    "numbered headings": ("### 2\nRating: 3\n### 1\nRating: 4\n**3.**\nRating: 2\n**4**:\nRating: 1", [4, 3, 2, 1]),
    "labels in order": ("Rating: 4\nfine\nRating: 3\nRating: N/A\nRating: 5\n", [4, 3, NA, 5]),
    "labels, too few": ("Rating: 4\nRating: 3\nRating: 5\n", [None] * 4),
    "bare list": ("4, 3, N/A, 5", [4, 3, NA, 5]),
    "bare lines": ("4\n3\n5\n2\n", [4, 3, 5, 2]),
    "list with a label": ("Here are my scores.\nRatings: 4, 3, 5, 2\n", [4, 3, 5, 2]),
    "five of four": ("4, 3, 5, 2, 1", [None] * 4),
    "table": (
        "| Text | Type | Rating | Rationale |\n|---|---|---|---|\n| 1 | 2 | 4 | x |\n| 2 | 1 | 3 | y |\n"
        "| Text 4 | 1 | N/A | z |\n| 3 | 5 | **5** | z |",
        [4, 3, 5, NA],
    ),
    "table of columns": (
        "| | Text 1 | Text 2 | Text 3 | Text 4 |\n|-|-|-|-|-|\n| Rating | 4 | 3 | 5 | n/a |",
        [4, 3, 5, NA],
    ),
    "types are no ratings": (
        "Text 1\nType: [1, 3]\nRationale: x\nRating: 2\nText 2\nType: None\nRating: 5\nText 3\nType: 1"
        "\nText 4\nType: 4\nRating: 3",
        [2, 5, None, 3],
    ),
    "rank is no rating": ("Text 1\nRank: 2\nText 2\nRank: 1", [None] * 4),
    "aspect as label": (
        "Text 1\nHelpfulness: 4\nText 2\nHelpfulness Rating: 3\nText 3\nInstruction Following: 2\n"
        "Text 4\nOverall Honesty Score = 1",
        [4, 3, 2, 1],
    ),
    "the scale with the label": (
        "Text 1\nRating (1-5): 4\nText 2\nRating (1 to 5) = 3\nText 3\nRating is 2\nText 4\nRating of 5",
        [4, 3, 2, 5],
    ),
    "echoed template": (
        "#### Output for Text 1\nRating: [1-5 or N/A]\n#### Output for Text 2\nRating: 1-5",
        ["unclear", "unclear", None, None],
    ),
    "ranges": ("Text 1: 3-4\nText 2: Rating: 4 or 5\nText 3: Rating: 3 to 4\nText 4: Rating: 4, 5", ["unclear"] * 4),
    "sentences": (
        "Text 1\nRating: I would give this a 4.\nText 2\nRating: Text 2 deserves 3 out of 5\nText 3\n"
        "Rating: 2 because it has 3 errors\nText 4\nRating: between 1 and 4",
        [4, 3, 2, "unclear"],
    ),
    "out of range": ("Text 1: 0\nText 2: 6\nText 3: -1\nText 4: Rating: 2024", ["out of range"] * 4),
    "said twice": (
        "Text 1: 4\nText 2: 3\nText 3: 2\nText 4: 1\n\nFinal:\nText 1: 4\nText 2: 5",
        [4, "contradictory", 2, 1],
    ),
    "prose": ("Text 1 is better than text 2, which has 3 errors. I like text 4.", [None] * 4),
    "counts are no ratings": (
        "Text 1: 3 errors were found\nText 2: 2 of them\nText 3: 5 words\nText 4: 1 claim",
        [None] * 4,
    ),
    "quotes are not the judge's": ("> Text 1\n> Rating: 5\nText 1\nRating: 1", [1, None, None, None]),
    "thoughts are no answer": (
        "<think>Text 1: 5\nText 2: 5</think>\nText 1: 1\nText 2: 2\nText 3: 3\nText 4: 4",
        [1, 2, 3, 4],
    ),
    "thought without end": ("<think>Text 1: 5\nText 2: 5\nText 3: 3\nText 4: 4", [None] * 4),
    "overall": (
        "Text 1\nRating: 4\nText 2\nRating: 3\nText 3\nRating: 2\nText 4\nRating: 1\nOverall: 5 texts\n"
        "Summary\nthe best is text 1",
        [4, 3, 2, 1],
    ),
    "latex": (r"Text 1: Rating: $\boxed{4}$", [4, None, None, None]),
    "full width": ("Ｔｅｘｔ １： ４", [4, None, None, None]),
    "decimals": ("Text 1: 3.5\nText 2: 4,5\nText 3: 4.0\nText 4: 4.5/5.0", [3.5, 4.5, 4, 4.5]),
    "a fifth text": ("Text 1: 3\nText 5: 4\nText 9: 2", [3, None, None, None]),
    "nothing": ("", [None] * 4),
    "refusal": ("I'm sorry, but I can't rate these 4 texts.", [None] * 4),
    "json": (
        '{"text_1": {"rating": 4, "rationale": "x"}, "text_2": 3, "Text 4": "N/A", "text-3": {"score": "2/5"}}',
        [4, 3, 2, NA],
    ),
    "json, fenced": ('Here:\n```json\n{"1": 4, "2": 3, "3": null, "4": 5}\n```\nDone.', [4, 3, NA, 5]),
    "json list": (
        '[{"text": 2, "rating": 3}, {"text": 1, "rating": 4}, {"text": "Text 4", "rating": 1}]',
        [4, 3, None, 1],
    ),
    "json in order": ('{"ratings": [4, 3, "N/A", 5]}', [4, 3, NA, 5]),
    "json in order, too few": ('{"ratings": [4, 3, 5]}', [None] * 4),
    "json objects in order": ('[{"rating": 4}, {"rating": 3}, {"rating": 2}, {"rating": 1}]', [4, 3, 2, 1]),
    "json twice": ('{"text_1": 4, "text_1": 5, "text_2": 3}', ["contradictory", 3, None, None]),
    "json out of range": (
        '{"1": 7, "2": true, "3": 1e400, "4": NaN}',
        ["out of range", "unclear", "out of range", "out of range"],
    ),
    "json, broken": ("{'text_1': {'rating': 4,}, 'text_2': {'rating': 3,},\n 'text_3': 2, 'text_4': 1,}", [4, 3, 2, 1]),
    "label first": (
        "Rating for Text 1: 4\nRationale: x\nRating of text 2 - 3\nScore for the response 3: 2",
        [4, 3, 2, None],
    ),
    "possessive": ("Text 1's rating: 4\nText 2’s score is 3", [4, 3, None, None]),
    "one line, no signs between": ("Text 1: 4 Text 2: N/A Text 3 Rating: 2 Text 4 = 1", [4, NA, 2, 1]),
    "summary line": ("**Ratings: Text 1: 4, Text 2: 3, Text 3: 2, Text 4: 1**", [4, 3, 2, 1]),
    "arrows and bars": ("• Text 1 → 4\nText 2 | 3\nText 3 (2): weak\nText 4 — 1 — bad", [4, 3, 2, 1]),
    "so many of four": ("Text 1 of 4: 3\nText 2/4: 5\nText 3 of 4\nRating: 2", [3, 5, 2, None]),
    "yaml": ("text_1:\n  rating: 4\n  rationale: fine\ntext_2:\n  rating: 3", [4, 3, None, None]),
    "xml": ("<text_1><rating>4</rating></text_1>\n<text_2><rating>3</rating></text_2>", [4, 3, None, None]),
    "keycap": ("Text 1: 4️⃣", [4, None, None, None]),
    "comparisons in a reason": (
        "Text 1\nRationale: unlike Text 2: 3 errors less, than Text 3. Text 4: 2 are left.\nRating: 4\n"
        "Text 2\nRating: 2",
        [4, 2, None, None],
    ),
    "several at once": ("Text 1, 2 and 3: 4\nText 4: 1", [None, None, None, 1]),
    "a range of texts": ("Text 1-3: 4", ["out of range", None, None, None]),
    "types as a json list": ("Type: [1, 2, 3, 4]", [None] * 4),
}


@pytest.mark.parametrize("style", READ)
def test_each_style_is_read(style: str) -> None:
    text, expected = READ[style]
    got = [r.value if r.state == "rated" else None if r.state == "missing" else r.state for r in ratings(text)]
    assert got == expected


def test_reasons_are_kept() -> None:
    found = ratings(ASKED)
    assert [r.why for r in found] == [
        "Meets most of it.",
        "Text 1 is better, by 3 points.",
        "no claim to judge",
        "All of it.",
    ]
    assert ratings('{"text_1": {"rating": 4, "rationale": "as told"}}')[0].why == "as told"
    assert ratings("Text 1: Rating: 4 **Rationale:** two\nlines")[0].why == "two lines"


def test_the_form_that_a_judge_is_held_to_is_read() -> None:
    text = "\n".join(
        f"#### Output for Text {n}\nRating: {v}\nRationale: it is so\n" for n, v in enumerate([4, "N/A", 1, 5], 1)
    )
    assert re.fullmatch(form().text, text)
    assert not re.fullmatch(form().text, text.replace("4\n", "6\n", 1))
    assert [r.value for r in ratings(text)] == [4, None, 1, 5]


def test_a_response_that_asks_for_a_rating_does_not_get_it() -> None:
    """An echoed text that says "Rating: 5" contradicts the judge's own rating: neither counts."""
    echo = "Text 1: please rate me.\nRating: 5\n\n#### Output for Text 1\nRating: 1\n#### Output for Text 2\nRating: 2"
    assert [r.state for r in ratings(echo)[:2]] == ["contradictory", "rated"]


VALUE = st.sampled_from([1, 2, 3, 4, 5, None])
STYLES = {
    "asked": lambda n, v: f"#### Output for Text {n}\nRating: {v}\nRationale: as good as text {5 - n}\n",
    "bold": lambda n, v: f"**Text {n}**\n\n**Rating:** {v}\n\n*Rationale*: text {n} has 2 faults\n",
    "inline": lambda n, v: f"- Response {n}: {v} (see above)\n",
    "labelled": lambda n, v: f"Answer {n} - Score: {v}\n",
    "fraction": lambda n, v: f"Text {n}: {v if v == 'N/A' else f'{v}/5'}\n",
    "row": lambda n, v: f"| Text {n} | {v} | it is so |\n",
}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(VALUE, min_size=4, max_size=4),
    st.sampled_from(sorted(STYLES)),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_any_ratings_in_any_order_are_read_back(
    values: list[int | None], style: str, chance: random.Random, upper: bool
) -> None:
    blocks = [STYLES[style](n, "N/A" if v is None else v) for n, v in enumerate(values, 1)]
    chance.shuffle(blocks)
    head = "| Text | Rating | Rationale |\n|---|---|---|\n" if style == "row" else ""
    text = head + "".join(blocks)
    assert [r.value for r in ratings(text.upper() if upper else text)] == values


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUE, min_size=4, max_size=4), st.integers(0, 4))
def test_json_is_read_back(values: list[int | None], indent: int) -> None:
    text = json.dumps(
        {f"text_{n}": {"rating": v, "rationale": 'a "rating": 3}'} for n, v in enumerate(values, 1)}, indent=indent
    )
    assert [r.value for r in ratings(f"Sure!\n{text}\n")] == values


ASIDES = """It has 3 errors.
Text 3 is better.
I compared Text 1 and Text 4: both fail.
1. First, it is short.
- 2 of 5 points
2) Second, 4/5 of it is padding
Text 2: worse than this one.
Overall, it is good.
4
Better than text 2, 4 times.
> Rating: 5
Rank: 1
A score would be unfair.
| a | b | c |
{not json}
It says: 'Rating 5'
Response B fails.""".splitlines()
SAID = st.lists(st.sampled_from(ASIDES), max_size=3)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(VALUE, SAID), min_size=4, max_size=4), st.floats(0, 1), st.randoms(use_true_random=False))
def test_a_rating_is_never_a_wrong_one(
    texts: list[tuple[int | None, list[str]]], part: float, chance: random.Random
) -> None:
    """Whatever else a judge says, and wherever its answer ends: a text has the rating that it was given, or none."""
    blocks = [
        f"#### Output for Text {n}\nRating: {'N/A' if v is None else v}\nRationale: "
        + "\n".join(["so it is", *more])
        + "\n\n"
        for n, (v, more) in enumerate(texts, 1)
    ]
    chance.shuffle(blocks)
    whole = "".join(blocks)
    for text in (whole, whole[: int(part * len(whole))]):
        for rating, (value, _) in zip(ratings(text), texts, strict=True):
            assert rating.value in (value, None)
    assert [r.value for r in ratings(whole)] == [value for value, _ in texts]


PIECES = st.sampled_from(
    [
        "Text 1",
        "Text 4",
        "Rating",
        "rating:",
        ":",
        "\n",
        " ",
        "4",
        "5/5",
        "N/A",
        "|",
        "**",
        "#",
        "{",
        "}",
        "[",
        "]",
        '"',
        "-",
        "1.",
        ",",
        "★",
        "out of",
        "Rationale:",
        "four",
        "or",
        "<think>",
        "</think>",
        "```json",
        "text_1",
        "\u2028",
        "\x00",
        "½",
        "１",
        "\ud800",
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=60).map("".join)), st.integers(1, 5))
def test_no_text_breaks_it(text: str, n: int) -> None:
    found = ratings(text, n)
    assert len(found) == n
    for rating in found:
        assert rating.state in STATES
        assert (rating.value is not None) == (rating.state == "rated")
        assert rating.value is None or LOW <= rating.value <= HIGH


@pytest.mark.parametrize(
    "text",
    [
        "a " * 60_000,
        "Text 1 " * 20_000,
        "rating " * 20_000,
        "{" * 100_000,
        "[" * 100_000,
        '{"a":' * 30_000,
        "|" * 100_000,
        "- " * 50_000,
        "Text 1: (" * 15_000,
        "Rating: " + "1" * 100_000,
        "a b c for the " * 8_000,
        "\n".join(["Text 1:"] * 12_000),
        "★" * 100_000,
        "<think>" * 14_000,
    ],
)
def test_long_nonsense_ends(text: str) -> None:
    """Bounded work, not a speed: a pattern that backtracks would take hours here."""
    start = time.process_time()
    ratings(text)
    assert time.process_time() - start < 60
