"""The tables beside a definition, as people's programs save them."""

from __future__ import annotations

from pathlib import Path

import pytest

from querywright.api.definition import API, load
from querywright.errors import QuerywrightError

DEFINITION = Path(__file__).with_name("ferries.yaml").read_text(encoding="utf-8")


def _load(folder: Path, table: bytes) -> API:
    (folder / "api.yaml").write_text(DEFINITION)
    (folder / "params.csv").write_bytes(table)
    return load(str(folder / "api.yaml"))


def test_a_byte_order_mark_and_windows_line_ends_are_nothing(tmp_path: Path) -> None:
    api = _load(tmp_path, b"\xef\xbb\xbfname,description,synonyms\r\nsize,How many.,number of crossings|how many\r\n")
    assert api.params["size"].synonyms == ("number of crossings", "how many")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (b"name;description\nsize;How many.\n", "params.csv:1: no column name"),
        (b"name,description\nsize,\xff\n", "params.csv can't be read"),
        (b"name,description\nsize,a,b\n", "params.csv:2: more cells than columns"),
        (b"name,weight\nsize,abc\n", "params.csv:2: weight"),
        (b"name,weight\nsiez,1\n", "params.csv:2: no parameter 'siez'; did you mean 'size'"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(tmp_path: Path, table: bytes, reason: str) -> None:
    with pytest.raises(QuerywrightError) as error:
        _load(tmp_path, table)
    assert reason in str(error.value)
