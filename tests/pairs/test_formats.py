"""Every form, out and in again: the same sentences, turns and answers; and the trainers' own readers read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.artefacts import read_jsonl, write_jsonl
from querywright.errors import QuerywrightError
from querywright.pairs.folded import fold, unfold
from querywright.pairs.formats import FORMS, SEPARATOR, export
from querywright.pairs.imports import imports, take_in
from querywright.pairs.prompted import with_fields
from querywright.rows import Row, answer, refusal_row, row, system, system_line

FILES = {"rows": "r.jsonl", "chat": "c.jsonl", "completion": "p.jsonl", "alpaca": "a.json", "sharegpt": "s.json",
         "csv": "t.csv", "hf": "folder", "prompts": "q.jsonl"}  # fmt: skip

HARD = ['say "CDK2", twice', "a,b;c\td", "line one\nline two\n\n\nUser: x", "Assistant: no",
        "größer als 3 µm — 日本語 🧬", "\\n is no line end", "ends in a line\n", "\r\nwindows\r\n", "'single'",
        "  spaces  ", "\u2028odd\u0085lines",
        "### prompt\n\n###\n\n", "a -> b ->", "NA", "null", "{\"a\": 1}"]  # fmt: skip
CALLS = [
    "/v3/query?q=symbol:CDK2&species=human",
    "/v3/gene/1017?fields=symbol,name",
    '/v3/query?q=name:"a b" AND taxid:9606',
]

texts = st.one_of(
    st.sampled_from(HARD),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=40),
).filter(str.strip)


def keys(r: Row) -> tuple[Any, ...]:
    return r["instruction"], r.get("turns", []), answer(r)


def one(r: Row) -> str:
    return json.dumps(keys(r))


@st.composite
def pairs(draw: st.DrawFn, api: API) -> Row:
    sentence = draw(texts)
    turns = [
        {"role": role, "content": content}
        for _ in range(draw(st.integers(0, 2)))
        for role, content in (("user", draw(texts)), ("assistant", draw(st.sampled_from(CALLS))))
    ]
    if draw(st.booleans()):
        extra = {"turns": turns} if turns else {}
        return refusal_row(api.name, sentence, draw(st.sampled_from(["chat", "topic", "missing"])), **extra)
    call = parse(api, draw(st.sampled_from(CALLS)))
    return row(call, sentence, draw(st.sampled_from(["log", "drawn"])), draw(st.sampled_from([1.0, 2.5])),
               turns=turns, persona=draw(st.sampled_from(["", "a curator"])), teacher="templates")  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_out_and_in_again(form: str, mygene: API, tmp_path: Path) -> None:
    if form == "hf":
        pytest.importorskip("datasets", reason="data set folders are an extra: pip install 'querywright[datasets]'")

    @settings(
        max_examples=3 if form == "hf" else 20,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.generate],  # what fails is short as it is
    )
    @given(st.lists(pairs(mygene), min_size=1, max_size=5, unique_by=one))
    def check(rows: list[Row]) -> None:
        path = tmp_path / FILES[form]
        assert export(rows, path, form, "code") == len(rows)
        found, bad = imports(path, mygene, form if len(rows) == 1 else "auto")
        assert not bad
        assert [keys(r) for r in found] == [keys(r) for r in rows]
        if form not in ("chat", "completion"):
            for mine, theirs in zip(rows, found, strict=True):
                assert [mine.get(k) for k in ("source", "weight", "persona", "teacher")] == [
                    theirs.get(k) for k in ("source", "weight", "persona", "teacher")
                ]

    check()


@given(st.lists(texts, min_size=1, max_size=5))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_folded_conversation_unfolds(words: list[str]) -> None:
    turns = [{"role": ("user", "assistant")[i % 2], "content": w} for i, w in enumerate(words[:-1])]
    text = fold(turns, words[-1])
    assert unfold(text) == (turns, words[-1])
    assert "\n\n" not in text


def test_refusals_as_code_as_nil_and_left_out(mygene: API, tmp_path: Path) -> None:
    call = parse(mygene, CALLS[0])
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "nil chat"}]
    rows = [
        row(call, "cdk2", "x"),
        refusal_row("mygene", "what gene?", "missing"),
        row(call, "cdk2 please", "x", turns=turns),
    ]
    written = {}
    for mode in ("code", "nil", "drop", ""):
        export(rows, tmp_path / "x.csv", "csv", mode)
        written[mode] = imports(tmp_path / "x.csv", mygene)[0]
    assert [answer(r) for r in written["code"]] == [rows[0]["path"], "nil missing", rows[0]["path"]]
    assert [answer(r) for r in written["nil"]] == [rows[0]["path"], "nil topic", rows[0]["path"]]
    assert [r["instruction"] for r in written["drop"]] == ["cdk2"]
    assert written[""] == written["nil"]  # the convention outside
    assert written["nil"][2]["turns"][1]["content"] == "nil"
    export(rows, tmp_path / "x.jsonl", "chat")
    assert [r["messages"][-1]["content"] for r in read_jsonl(tmp_path / "x.jsonl")][1] == "nil missing"
    assert rows[2]["turns"][1]["content"] == "nil chat"  # what was given is as it was


def test_the_classic_form(mygene: API, tmp_path: Path) -> None:
    rows = [row(parse(mygene, path), f"ask {path}\n{SEPARATOR}", "x") for path in CALLS]
    export(rows, tmp_path / "p.jsonl", "completion")
    for record in read_jsonl(tmp_path / "p.jsonl"):
        assert set(record) == {"prompt", "completion"}
        assert record["prompt"].endswith(SEPARATOR)
        assert record["prompt"].count(SEPARATOR) == 1
        assert record["completion"].startswith(" /")
        assert record["completion"].endswith("\n")


def test_foreign_files(mygene: API, tmp_path: Path) -> None:
    """Other separators, stops, role names, a task's name as instruction, and a history."""
    call = CALLS[0]
    asked = [f"gene {i}" for i in range(3)]
    helps = {"from": "system", "value": "You help."}
    end = {"from": "gpt", "value": call}
    told = {"role": "assistant", "content": call}
    foreign: dict[str, list[dict[str, Any]]] = {
        "p.jsonl": [{"prompt": f"{s} ->", "completion": f" {call} END"} for s in asked],
        "a.jsonl": [{"instruction": "Write the query.", "input": s, "output": call} for s in asked],
        "s.jsonl": [{"id": "1", "conversations": [helps, {"from": "human", "value": s}, end]} for s in asked],
        "c.jsonl": [{"messages": [{"role": "user", "content": s}, told]} for s in asked],
    }
    for name, records in foreign.items():
        write_jsonl(tmp_path / name, records)
        found, bad = imports(tmp_path / name, mygene)
        assert not bad, name
        assert [keys(r) for r in found] == [(f"gene {i}", [], call) for i in range(3)], name
    record = {"instruction": "in mouse", "input": "", "output": call, "history": [["cdk2", CALLS[1]]]}
    (tmp_path / "h.json").write_text(json.dumps([record]), encoding="utf-8")
    turns = [{"role": "user", "content": "cdk2"}, {"role": "assistant", "content": CALLS[1]}]
    assert keys(imports(tmp_path / "h.json", mygene)[0][0]) == ("in mouse", turns, call)


def test_what_is_no_pair_is_rejected_with_its_reason(mygene: API, tmp_path: Path) -> None:
    good = {"messages": [{"role": "user", "content": "cdk2"}, {"role": "assistant", "content": CALLS[0]}]}
    records: list[dict[str, Any]] = [
        good,
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "/v3/query?q=nofield:1"}]},
        {"messages": [{"role": "user", "content": "y"}, {"role": "assistant", "content": ""}]},
        {"messages": [{"role": "assistant", "content": CALLS[0]}]},
        {"messages": [{"role": "tool", "content": "x"}, {"role": "assistant", "content": CALLS[0]}]},
        {"messages": "none"},
        {"messages": [{"role": "user", "content": None}, {"role": "assistant", "content": CALLS[0]}]},
        good,
        {**good, "api": "mychem"},
    ]
    write_jsonl(tmp_path / "c.jsonl", records)
    n = take_in(tmp_path / "c.jsonl", mygene, tmp_path / "out.jsonl", rejects=tmp_path / "bad.jsonl")
    bad = read_jsonl(tmp_path / "bad.jsonl")
    assert n == 1
    assert [(r["line"], r["reason"]) for r in bad] == [
        (2, "unknown_field"), (3, "no_answer"), (4, "no_answer_at_the_end"), (5, "role_unknown"), (6, "no_messages"),
        (7, "role_unknown"), (8, "repeated"), (9, "other_api"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no form known"), ("[1, 2]", "no JSON object"), ('{"a": 1}', "no form known"),
     ('{"messages": [}', ":1: not JSON"), ('{"messages": []}', "holds no pair for mygene: no_answer_at_the_end 1")],
)  # fmt: skip
def test_files_that_hold_no_pairs(text: str, message: str, mygene: API, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(QuerywrightError, match=message):
        imports(tmp_path / "x.jsonl", mygene)


def test_bytes_that_are_no_text_and_folders_that_are_no_data(mygene: API, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00")
    for source in (tmp_path / "x.jsonl", tmp_path, tmp_path / "gone.csv"):
        with pytest.raises(QuerywrightError):
            imports(source, mygene)
    pytest.importorskip("datasets")
    rows = [row(parse(mygene, CALLS[0]), "x", "x")]
    with pytest.raises(QuerywrightError, match="is there and is no data set"):
        export(rows, tmp_path, "hf")


def _torchtune_rows(mygene: API) -> list[Row]:
    turns = [{"role": "user", "content": 'say "a",\nb'}, {"role": "assistant", "content": CALLS[1]}]
    call = parse(mygene, CALLS[0])
    sentences = [s for s in HARD if "\r" not in s and s not in ("NA", "null")]
    return [
        *(row(call, s, "x") for s in sentences),
        row(call, "in mouse", "x", turns=turns),
        refusal_row("mygene", "hi", "chat"),
    ]


@pytest.mark.slow
def test_torchtune_reads_the_table_and_the_conversations(
    mygene: API, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchtune", reason="training is an extra: pip install 'querywright[train]'")
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from torchtune.datasets import chat_dataset, instruct_dataset

    from querywright.finetune.base import ensure_base
    from querywright.finetune.tokenizer import ChatMLTokenizer

    base = ensure_base(Path(__file__).parents[2] / "work" / "base" / "smollm2-135m")
    tokenizer = ChatMLTokenizer(str(base / "tokenizer.json"))
    rows = _torchtune_rows(mygene)
    line = system_line("mygene")

    def shown(r: Row, messages: list[tuple[str, str]], line: str = line) -> str:
        said = [("system", line), *messages, ("assistant", "nil" if r.get("refusal") else r["path"])]
        return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in said)

    export(rows, tmp_path / "t.csv", "csv")
    cache = {"cache_dir": str(tmp_path / "cache")}
    table = instruct_dataset(
        tokenizer, source="csv", data_files=str(tmp_path / "t.csv"), new_system_prompt=line, split="train", **cache
    )
    told = [tokenizer.decode(table[i]["tokens"]) for i in range(len(table))]
    assert told == [shown(r, [("user", fold(r.get("turns", ()), r["instruction"]))]) for r in rows]

    said = [[*((m["role"], m["content"]) for m in r.get("turns", ())), ("user", r["instruction"])] for r in rows]
    for form, name, column, style in (
        ("sharegpt", "s.json", "conversations", "sharegpt"),
        ("chat", "c.jsonl", "messages", "openai"),
    ):
        export(rows, tmp_path / name, form, "nil")
        data = chat_dataset(
            tokenizer, source="json", data_files=str(tmp_path / name), conversation_column=column,
            conversation_style=style, split="train", **cache,
        )  # fmt: skip
        told = [tokenizer.decode(data[i]["tokens"]) for i in range(len(data))]
        lines = [system(r) for r in with_fields(rows)]
        assert told == [shown(r, m, x) for r, m, x in zip(rows, said, lines, strict=True)]
        labels = data[0]["labels"]
        assert tokenizer.decode([t for t in labels if t != -100]) == f"{rows[0]['path']}<|im_end|>"


@pytest.mark.parametrize("weight", ["many", -1, float("nan"), float("inf"), [1]])
def test_an_imported_weight_is_an_amount(tmp_path: Path, mygene: API, weight: object) -> None:
    source = tmp_path / "in.jsonl"
    write_jsonl(source, [{"instruction": "a", "path": "/v3/query?q=symbol:CDK2", "weight": weight},
                         {"instruction": "b", "path": "/v3/query?q=symbol:CDK2", "weight": 2}])  # fmt: skip
    rows, bad = imports(source, mygene)
    assert [r["instruction"] for r in rows] == ["b"]
    assert [r["reason"] for r in bad] == ["weight_no_number"]


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"instruction": ' + "9" * 5000 + "}]"])
def test_json_that_no_parser_takes_is_said(tmp_path: Path, mygene: API, text: str) -> None:
    source = tmp_path / "in.json"
    source.write_text(text, encoding="utf-8")
    with pytest.raises(QuerywrightError, match="not JSON"):
        imports(source, mygene)
