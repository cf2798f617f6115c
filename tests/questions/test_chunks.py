"""Documents as chunks: what is taken, and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from querywright.errors import QuerywrightError
from querywright.questions.chunks import Chunk, Kind, count_chunks, has_records, kind_of, read_chunks


def put(folder: Path, name: str, content: str | bytes | Any) -> Path:
    path = folder / name
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(folder: Path, name: str, content: Any) -> list[str]:
    found = read_chunks(put(folder, name, content))
    assert [chunk.number for chunk in found] == [*range(1, len(found) + 1)]
    return [chunk.text for chunk in found]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        ([{"text": "a", "page": 2}, "b"], ["a", "b"]),
        ({"documents": ["a"]}, ["a"]),
        ({"total": 2, "took": 4, "hits": [{"symbol": "CDK2"}, {"symbol": "INS"}]}, ["symbol: CDK2", "symbol: INS"]),
        (
            {"hits": {"total": {"value": 1}, "hits": [{"_id": "7", "_score": 1.0, "_source": {"a": 1}}]}},
            ["_id: 7\na: 1"],
        ),
        ({"symbol": "CDK2", "pos": {"chr": "12", "strand": -1}}, ["symbol: CDK2\npos.chr: 12\npos.strand: -1"]),
        ([{"a": ["x", "y"], "b": None, "c": True, "d": [{"e": 1}, {"e": 1}]}], ["a: x, y\nc: true\nd.e: 1, 1"]),
        ([{"text": 5}], ["text: 5"]),  # no text of its own
        (["a", "", {}, "b"], ["a", "", "", "b"]),  # numbers stay those of the file
    ],
)
def test_json(tmp_path: Path, content: Any, expected: list[str]) -> None:
    assert texts(tmp_path, "d.json", content) == expected


def test_json_lines_and_csv(tmp_path: Path) -> None:
    assert texts(tmp_path, "d.jsonl", b'\xef\xbb\xbf"a"\r\n\n{"text": "b"}\n') == ["a", "b"]
    assert texts(tmp_path, "d.csv", 'name,size\n"Mill, old",4\nWheel,\n') == ["name: Mill, old\nsize: 4", "name: Wheel"]
    assert texts(tmp_path, "e.csv", '\n\nid;text\n1;"two\nlines"\n') == ["two\nlines"]
    assert texts(tmp_path, "f.tsv", "a\tb\n1\t2\n") == ["a: 1\nb: 2"]
    assert texts(tmp_path, "g.csv", ",a\n0,x\n") == ["column 1: 0\na: x"]  # as data frames are saved
    assert texts(tmp_path, "i.csv", '"Mill, old";size\n1;2\n') == ["Mill, old: 1\nsize: 2"]
    assert texts(tmp_path, "j.csv", "Temperatur, Grad;Ort\n1,5;Oslo\n") == ["Temperatur, Grad: 1,5\nOrt: Oslo"]
    assert texts(tmp_path, "k.csv", "a,b; c,d\n1,2,3\n") == ["a: 1\nb; c: 2\nd: 3"]
    assert texts(tmp_path, "q.csv", "level (log2; TPM),gene\n1.5,A\n") == ["level (log2; TPM): 1.5\ngene: A"]
    assert texts(tmp_path, "l.tsv", "position, bp, of it\tvalue\n1,5\t2\n") == ["position, bp, of it: 1,5\nvalue: 2"]
    assert texts(tmp_path, "m.tsv", "text\nhello, you\n") == ["hello, you"]
    assert texts(tmp_path, "n.csv", "\nsep=;\r\na,b;c\r\n1;2\r\n") == ["a,b: 1\nc: 2"]
    assert texts(tmp_path, "o.csv", '"a, b\nc, d";e\n1;2\n') == ["a, b\nc, d: 1\ne: 2"]
    assert texts(tmp_path, "p.csv", "\ufeffsep=\t\na\tb\n1\t2\n") == ["a: 1\nb: 2"]
    assert texts(tmp_path, "h.csv", f"text\n{'x' * 300_000}\n") == ["x" * 300_000]


def test_a_wide_row_takes_no_time(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(60_000))
    assert len(texts(tmp_path, "d.csv", f"{names}\n{'1,' * 59_999}1\n")[0].splitlines()) == 60_000


def test_fields_go_with_the_text(tmp_path: Path) -> None:
    found = read_chunks(put(tmp_path, "d.json", [{"a": {"b": [1, 1, 2]}}, {"text": "t", "page": 3}, "plain"]))
    assert found[0] == Chunk(1, "a.b: 1, 1, 2", {"a.b": [1, 1, 2]}, written=True)
    assert found[1] == Chunk(2, "t", {"text": "t", "page": 3})
    assert found[2].fields is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d.json", "", "no JSON"),
        ("d.json", "[]", "holds no chunks"),
        ("d.json", '["a",\n "b"', "d.json:2: no JSON"),
        ("d.json", '["a", 5]', r"\[2\]: a number is no chunk"),
        ("d.json", '[["a"]]', r"\[1\]: a list is no chunk"),
        ("d.json", '"a"', "holds a text, no documents"),
        ("d.json", "null", "holds null"),
        ("d.json", '{"hits": [{"a": 1}], "rows": [{"a": 1}]}', "several lists: hits, rows"),
        ("d.json", '[{"a": 1, "a": 2}]', "key 'a' stands twice"),
        ("d.json", '[{"a": NaN}]', "NaN is no number"),
        ("d.json", '[{"a": 1e999}]', "1e999 is too large"),
        ("d.json", "[" * 100_000, "nested too deep"),
        ("d.json", '{"a":' * 70 + "1" + "}" * 70, "nested deeper than 64"),
        ("d.json", '[{"a": ' + "9" * 5000 + "}]", "digits"),
        ("d.json", '["a\\u0000b"]', "NUL"),
        ("d.json", '["\\ud800"]', "half a character"),
        ("d.json", '["a"]'.encode("utf-16"), "UTF-16"),
        ("d.json", '["a"]'.encode("utf-16-le"), "binary, or UTF-16"),
        ("d.json", b'["\xe4"]', "not UTF-8 text .byte 0xe4."),
        ("d.jsonl", '"a"\n{"b": }\n', "d.jsonl:2: no JSON"),
        ("d.jsonl", '"a"\n5\n', "d.jsonl:2: a number"),
        ("d.csv", "a,b\n1,2,3\n", "d.csv:2: 3 cells, and the first row has 2"),
        ("d.csv", "sep=;\na;b\n1;2;3\n", "d.csv:3: 3 cells, and the first row has 2"),
        ("d.csv", "a,a\n1,2\n", "two columns are called 'a'"),
        ("d.csv", 'a,b\n"1,2\n', "no CSV"),
        ("d.csv", "a,b\n", "holds no chunks"),
        ("d.txt", "a", "does not say what it is"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(QuerywrightError, match=said) as error:
        read_chunks(put(tmp_path, name, content))
    assert error.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="could not read"):
        read_chunks(tmp_path / "d.json")
    with pytest.raises(QuerywrightError, match="no kind 'jsn'; did you mean 'json'"):
        read_chunks(tmp_path / "d.json", "jsn")  # type: ignore[arg-type]
    assert kind_of("a/B.JSONL") == "jsonl"


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
BYTES = JSON.map(json.dumps).map(str.encode) | st.binary() | st.text(alphabet='",\n;{}[]a:1\\').map(str.encode)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(BYTES, st.sampled_from(["json", "jsonl", "csv"]))
@example(b'{"a":1}\x00', "jsonl")
@example(b"a\n\x00", "csv")
def test_any_bytes_are_chunks_or_a_clear_error(tmp_path: Path, content: bytes, kind: Kind) -> None:
    path = put(tmp_path, "fuzz", content)
    try:
        found = read_chunks(path, kind)
    except QuerywrightError as error:
        clear = str(path) in str(error) and bool(error.hint)
        assert clear, error  # noqa: PT017
        return
    for chunk in found:
        chunk.text.encode()
        assert "\0" not in chunk.text
    json.dumps([chunk.fields for chunk in found], allow_nan=False)


def test_what_takes_minutes_or_all_memory_is_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import querywright.questions.chunks as module

    def refused(content: str, name: str = "x.json") -> str:
        path = put(tmp_path, name, content)
        with pytest.raises(QuerywrightError) as told:
            read_chunks(path)
        return str(told.value).replace(str(path), name)

    values = ",".join(["0"] * (module.MOST_VALUES + 1))
    assert refused('{"a": [' + values + "]}") == "x.json: [1]: more than 100,000 values in one chunk"
    assert len(refused('{"' + "k" * 100_000 + '": 1, "' + "k" * 100_000 + '": 2}')) < 200
    assert len(refused("k" * 100_000 + "," + "k" * 100_000 + "\n1,2\n", "x.csv")) < 200
    monkeypatch.setattr(module, "MOST_NESTED", 10)
    assert refused("[" + ",".join(["{}"] * 10) + "]") == "x.json: more than 10 objects and lists"
    assert texts(tmp_path, "x.json", [{}] * 9) == [""] * 9
    monkeypatch.setattr(module, "MOST_CHUNKS", 3)
    monkeypatch.setattr(module, "chunk_of", None)  # none is looked at
    assert refused("[1, 2, 3, 4]") == "x.json holds more than 3 chunks"


def test_chunks_are_counted_as_they_are_read(tmp_path: Path) -> None:
    for name, content in (("x.json", ["a", {"b": 1}, ""]), ("x.jsonl", '"a"\n\n{"b": 1}\n'), ("x.csv", "a\n1\n2\n")):
        path = put(tmp_path, name, content)
        assert count_chunks(path) == len(read_chunks(path)) == count_chunks(path, most=len(read_chunks(path)))
        with pytest.raises(QuerywrightError, match="holds more than 1 chunks"):
            count_chunks(path, most=1)
        assert has_records(path)
    assert not has_records(put(tmp_path, "texts.json", ["a", {"text": "b"}]))
    with pytest.raises(QuerywrightError, match="no chunks"):
        count_chunks(put(tmp_path, "y.json", "[]"))
