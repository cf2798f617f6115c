"""Simple queries are read without the parser, and just as the parser reads them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from querywright.api.query import INTERVALS, Node, QueryError, _parser, _simple, escape, parse_query
from querywright.api.query_text import tidy


def resolve(name: str) -> str:
    if name.lower() == "nofield":
        raise QueryError("unknown field")
    return name.lower()


def by_the_parser(text: str) -> Node | str:
    try:
        return _parser(resolve, INTERVALS).parse(escape(tidy(text)))  # type: ignore[return-value]
    except Exception as error:
        return str(error)


VALUE = r'(?:[A-Za-z0-9_][A-Za-z0-9_.*?-]{0,6}|"[a-zA-Z:.*&+ ()-]{1,8}")'
CLAUSE = rf"(?:[A-Za-z][A-Za-z0-9_.]{{0,6}}:)?{VALUE}"


@given(st.from_regex(rf"{CLAUSE}(?:(?: AND | ){CLAUSE}){{0,3}}", fullmatch=True))
@example("a AND b c")
@example('a:"b c" AND "d" e')
@example('"a  b"')
@example('a "AND" b')
@example('"a"b')
@example("a AND ")
@example('a:"b" OR c')
@example("a b AND c")
@example("a AND a")
@example("a:b* AND c?d -e")
@example("a-")
@example("a:b.c-1 d..e")
@example("symbol:CDK2")
@example("chr1:1000")
@example("hg19.chrX:7")
@example("AND")
@example("NOT:x")
@example("a:OR")
@example("_1")
@example("a.:b")
@example("TO")
@example("__all__")
@example("a:__all__")
def test_the_short_way_and_the_parser_agree(text: str) -> None:
    short = _simple(text, resolve)
    assert short is None or short == by_the_parser(text)


def test_an_unknown_field_is_said() -> None:
    with pytest.raises(QueryError, match="unknown field"):
        parse_query("nofield:a", resolve)


OTHERS = ["_exists_:pdb", "_missing_:pdb", "a OR b", "*a", "a~1", "a^2", "é", "-a", "(a)", "", "a  b"]


@pytest.mark.parametrize("text", OTHERS)
def test_all_else_goes_to_the_parser(text: str) -> None:
    assert _simple(text, resolve) is None
