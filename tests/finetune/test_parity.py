"""What does not answer as it was trained is not handed out; and what is there already is not made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from querywright.errors import QuerywrightError
from querywright.finetune import export as exporting
from querywright.finetune import parity
from querywright.finetune.export import export
from querywright.finetune.lora import Deltas
from tests.finetune.tiny_llama import TEXTS, tiny_llama, tiny_run

pytest.importorskip("llama_cpp", reason="llama.cpp is an extra: pip install 'querywright[llama]'")
SYSTEM = {"role": "system", "content": "Write the herbarium call."}
ADAPTER = "adapter/adapter_model.safetensors"


# --- the judgement ---------------------------------------------------------------------------------------------------
def answers(*tops: list[list[tuple[int, float]]]) -> parity.Answers:
    chats = [[SYSTEM, {"role": "user", "content": f"request {i}"}] for i in range(len(tops))]
    return parity.Answers(chats, [[1]] * len(tops), [[top[0][0] for top in one] for one in tops], list(tops))


def judged(
    ours: list[tuple[int, float]], theirs: list[tuple[int, float]], precision: str = "float32"
) -> dict[str, Any]:
    return parity.judge(answers([ours]), [[theirs]], ["other"], str, precision)


def test_the_same_token_is_the_same_answer_however_the_logits_moved() -> None:
    found = judged([(7, 9.0), (8, 8.0)], [(7, 5.0), (8, 4.9)])
    assert (found["ok"], found["same"], found["different"]) == (True, 1, 0)
    assert found["moved"] == {"p99": 0.9, "max": 0.9}


def test_a_near_tie_is_judged_by_the_reference() -> None:
    """Two tokens 0.01 nats apart there; how sure the other path is of its own does not matter."""
    found = judged([(7, 9.0), (8, 8.99)], [(8, 9.0), (7, 1.0)])
    assert (found["ok"], found["near_ties"], found["different"]) == (True, 1, 0)
    found = judged([(7, 9.0), (8, 8.9)], [(8, 9.0), (7, 8.99)])
    assert (found["ok"], found["near_ties"], found["different"]) == (False, 0, 1)
    assert judged([(7, 9.0), (8, 8.9)], [(8, 9.0), (7, 8.99)], "bfloat16")["ok"]


def test_a_token_that_the_reference_hardly_knows_is_far_away() -> None:
    found = judged([(7, 9.0), (8, 8.99), (9, 4.0)], [(99, 9.0), (7, 8.99)])
    assert found["differences"][0]["gap"] == 5.0  # at least
    assert found["differences"][0] | {"gap": 0, "gap_there": 0} == {
        "request": "request 0", "adapter": "[7]", "answer": "other", "place": 0, "tokens": ["[7]", "[99]"], "gap": 0,
        "gap_there": 0,
    }  # fmt: skip


def test_eight_bit_may_differ_on_a_tenth() -> None:
    sure, other = [(7, 9.0), (8, 1.0)], [(8, 9.0), (7, 1.0)]
    for wrong, ok in ((0, True), (1, True), (2, False)):
        found = [[other]] * wrong + [[sure]] * (10 - wrong)
        reference = answers(*[[sure]] * 10)
        assert parity.judge(reference, found, ["x"] * 10, str, "q8_0")["ok"] is ok
        assert parity.judge(reference, found, ["x"] * 10, str, "float16")["ok"] is (wrong == 0)
        assert parity.judge(reference, found, ["x"] * 10, str, "q4_k_m")["ok"]  # measured, not judged


# --- requests --------------------------------------------------------------------------------------------------------
def test_requests_are_held_out_ones_where_there_are_some(workspace: Path) -> None:
    rows = workspace / "pairs" / "train.chat.jsonl"
    chats, source = parity.requests(rows, "herbarium", 5)
    assert (len(chats), source) == (5, "train.chat.jsonl")
    assert [m["role"] for m in chats[0]] == ["system", "user"]
    assert len({chat[-1]["content"] for chat in chats}) == 5  # spread over the file
    row = {"api": "herbarium", "instruction": "which?", "path": "/x", "fields": ["part: where it grows"]}
    (rows.parent / "test.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    chats, source = parity.requests(rows, "herbarium", 5)
    assert source == "test.jsonl"
    system = {"role": "system", "content": "Write the herbarium call.\npart: where it grows"}
    assert chats == [[system, {"role": "user", "content": "which?"}]]


def test_requests_of_a_run_on_preferences(tmp_path: Path) -> None:
    """What DPO rows ask; rows of a format of their own are left alone."""
    rows = tmp_path / "prefs.jsonl"
    rows.write_text(json.dumps({"prompt": "which?", "chosen": "/x", "rejected": "/y"}) + "\n", encoding="utf-8")
    assert parity.requests(rows, "herbarium", 3) == ([[{"role": "user", "content": "which?"}]], "prefs.jsonl")
    for text in ("question,answer\n", '{"input": 1}\n', "7\n", ""):
        rows.write_text(text, encoding="utf-8")
        assert "no API" in parity.requests(rows, "herbarium", 3)[1]


def test_requests_without_any_rows(tmp_path: Path) -> None:
    chats, source = parity.requests(tmp_path / "moved.jsonl", "herbarium", 3)
    assert (len(chats), chats[0][0]) == (3, SYSTEM)
    assert "no API" in source


def test_prompts_are_held_against_the_training_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    from querywright.engines.base import chatml
    from tests.finetune.tiny import tiny_checkpoint

    path = tiny_checkpoint(tmp_path) / "tokenizer.json"
    component = {"_component_": "querywright.finetune.tokenizer.ChatMLTokenizer", "path": str(path), "max_seq_len": 9}
    chats = [[SYSTEM, {"role": "user", "content": text}] for text in TEXTS]
    found = parity._trained_prompts(component, chats)
    assert found == [Tokenizer.from_file(str(path)).encode(chatml(chat)).ids for chat in chats]
    assert parity._tokenizers(found, found)["ok"]
    cut = parity._tokenizers([found[0][:-1], *found[1:]], found)
    assert (cut["ok"], cut["different"]) == (False, 1)
    assert f"prompt 0, token {len(found[0]) - 1}" in cut["differences"][0]["request"]


# --- the whole way, on a model that is some thousand weights small ---------------------------------------------------
@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("base"), dtype="float32")


@pytest.fixture
def run(tmp_path: Path, base: Path) -> Path:
    rows = tmp_path / "pairs" / "train.chat.jsonl"
    rows.parent.mkdir()
    chats = [[SYSTEM, {"role": "user", "content": text}, {"role": "assistant", "content": "/x"}] for text in TEXTS[:3]]
    rows.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats), encoding="utf-8")
    return tiny_run(tmp_path / "model" / "quick", base, rows)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights never end an answer."""
    monkeypatch.setattr(parity, "MOST", 12)


def files(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_an_export_whose_paths_agree(run: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run.parent
    assert export(run, out, "herbarium", base=base, kinds=["f16"]) == out / "model-f16.gguf"
    report = json.loads((out / "parity.json").read_text(encoding="utf-8"))
    assert report["ok"]
    assert {name: path["different"] for name, path in report["paths"].items()} == {"merged": 0, "model-f16.gguf": 0}
    assert report["tokens"] == 3 * 12
    assert "parity on 3 requests: merged 3/3" in capsys.readouterr().err
    assert "| merged | 3 | 0 | 0 |" in (out / "README.md").read_text(encoding="utf-8")
    made = files(out)
    assert "merged/chat_template.jinja" in made
    assert "adapter/chat_template.jinja" in made
    generation = json.loads((out / "merged" / "generation_config.json").read_text(encoding="utf-8"))
    assert len(generation["eos_token_id"]) == 3
    assert json.loads((out / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)

    export(run, out, "herbarium", base=base, kinds=["f16"])  # nothing to do
    assert files(out) == made
    monkey = {"model-q4_k_m.gguf", "Modelfile", "SERVING.md", "README.md", "adapter/README.md", "manifest.json"}
    export(run, out, "herbarium", base=base, kinds=["f16", "q4_k_m"])  # only what is missing
    again = files(out)
    assert {name for name in again if again[name] != made.get(name)} - monkey <= {
        "parts.json", "parity.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json",
        "adapter/chat_template.jinja",
    }  # fmt: skip
    assert again["model-f16.gguf"] == made["model-f16.gguf"]
    assert again["merged/config.json"] == made["merged/config.json"]


def corrupt_a_weight(out: Path) -> None:
    from safetensors.torch import load_file, save_file

    [path] = [
        p for p in (out / "merged").glob("*.safetensors") if "model.layers.1.mlp.down_proj.weight" in load_file(p)
    ]
    weights = load_file(path)
    weights["model.layers.1.mlp.down_proj.weight"] *= -1
    save_file(weights, path, metadata={"format": "pt"})


def add_the_adapter_twice(out: Path) -> None:
    from querywright.finetune.family import family
    from querywright.finetune.lora import deltas, read_adapter
    from querywright.finetune.merge import merge

    merge(out / "merged", deltas(*read_adapter(out / "adapter")), out / "merged", family(out / "merged"))


@pytest.mark.parametrize("spoil", [corrupt_a_weight, add_the_adapter_twice])
def test_a_merge_that_went_wrong_is_not_handed_out(
    run: Path,
    base: Path,
    spoil: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, right = run.parent, exporting.merge

    def wrong(*args: Any) -> None:
        right(*args)
        spoil(out)

    monkeypatch.setattr(exporting, "merge", wrong)
    with pytest.raises(QuerywrightError, match=r"does not answer as the adapter does: merged: \d of 3") as caught:
        export(run, out, "herbarium", base=base, kinds=[])
    assert "--parity 0" in caught.value.hint
    shown = capsys.readouterr().err
    assert f"request  {TEXTS[0]}" in shown
    assert "nats in the adapter" in shown
    assert not (out / "manifest.json").exists()
    assert not json.loads((out / "parity.json").read_text(encoding="utf-8"))["ok"]
    with pytest.raises(QuerywrightError, match="does not answer"):  # nor the second time
        export(run, out, "herbarium", base=base, kinds=[])


def test_a_gguf_that_went_wrong_is_not_handed_out(run: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Query and key rows in the order of transformers: the commonest mistake of converters."""
    from querywright.finetune import hf_to_gguf

    monkeypatch.setattr(hf_to_gguf, "interleave", lambda weight, heads: weight)
    with pytest.raises(QuerywrightError, match=r"model-f16\.gguf: \d of 3 answers differ"):
        export(run, run.parent, "herbarium", base=base, merged=False, kinds=["f16"])


def test_another_prompt_is_told_by_its_tokens(run: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer that writes other tokens for the same text."""
    right = exporting.merge

    def wrong(base: Path, added: Deltas, out: Path, kind: Any) -> None:
        right(base, added, out, kind)
        path = out / "tokenizer.json"
        told = json.loads(path.read_text(encoding="utf-8"))
        told["model"] |= {"merges": [], "ignore_merges": False}
        path.write_text(json.dumps(told), encoding="utf-8")

    monkeypatch.setattr(exporting, "merge", wrong)
    with pytest.raises(QuerywrightError, match="merged: "):
        export(run, run.parent, "herbarium", base=base, kinds=[])
    report = json.loads((run.parent / "parity.json").read_text(encoding="utf-8"))
    assert "prompt 0, token" in report["paths"]["merged"]["differences"][0]["request"]


def test_without_the_check_it_is_said_aloud(run: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run.parent
    export(run, out, "herbarium", base=base, merged=False, kinds=["q8_0"], parity=0)
    assert "not checked" in capsys.readouterr().err
    assert "Not checked" in (out / "README.md").read_text(encoding="utf-8")
    assert not list(out.glob("*f16*"))  # it was only the way to 8 bit
    assert not list(out.glob(".*"))
    assert (out / "model-q8_0.gguf").stat().st_size > 0
    assert not (out / "parity.json").exists()


# --- bad input -------------------------------------------------------------------------------------------------------
def test_the_base_is_not_written_over(run: Path, base: Path, tmp_path: Path) -> None:
    """DPO starts from an export's merged checkpoint: its own export may not go to the same folder."""
    with pytest.raises(QuerywrightError, match="would write over it") as caught:
        export(run, tmp_path, "herbarium", base=tmp_path / "x" / ".." / "merged")
    assert "--out" in caught.value.hint


def test_another_base_than_was_trained_on(run: Path, base: Path, tmp_path: Path) -> None:
    told = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    told["base"] = {"name": "meta-llama/Llama-3.1-8B-Instruct", "sha256": "0" * 64}
    (run / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(QuerywrightError, match="is not the base that this run was trained on") as caught:
        export(run, tmp_path / "out", "herbarium", base=base)
    assert "checkpointer.checkpoint_dir" in caught.value.hint
    with pytest.raises(QuerywrightError, match="the base of this run is not in") as caught:
        export(run, tmp_path / "out", "herbarium", base=tmp_path / "none")
    assert "tune download" in caught.value.hint


def test_too_little_space_is_told_before(run: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(exporting.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(QuerywrightError, match="too little space") as caught:
        export(run, run.parent, "herbarium", base=base)
    assert "--no-merged" in caught.value.hint
    assert not list(run.parent.glob("model-*"))
    assert not (run.parent / "merged").exists()


def test_an_unknown_kind_names_the_known(run: Path, base: Path) -> None:
    with pytest.raises(QuerywrightError, match=r"'q4_k'; did you mean 'q4_k_m'") as caught:
        export(run, run.parent, "herbarium", base=base, kinds=["q4_k"])
    assert "q8_0" in caught.value.hint


def test_the_command_ends_with_2(run: Path, base: Path, querywright: Callable[..., tuple[int, str]]) -> None:
    given = [f"output_dir={run}", f"checkpointer.checkpoint_dir={base}", "--api", "herbarium", "--kinds", "q3"]
    code, said = querywright("export", "smollm2_135m_lora_cpu", *given)
    assert code == 2
    assert "unknown GGUF kind 'q3'" in said
    assert "Traceback" not in said


# --- the real one ----------------------------------------------------------------------------------------------------
REQUESTS = (
    ("find the human gene with symbol CDK2 and show its name and summary", ["symbol", "name", "summary", "taxid"]),
    ("genes on chromosome 17 of the mouse, the first 5", ["genomic_pos.chr", "taxid", "symbol"]),
    ("which genes take part in GO:0006915?", ["go.BP.id", "go.MF.id", "symbol"]),
    ("kinases whose name begins with cyclin, 20 of them", ["name", "symbol", "summary"]),
)


@pytest.mark.slow
def test_the_real_model_answers_alike_on_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SmolLM2 with the shipped adapter, on four requests."""
    from querywright.artefacts import data_dir, write_manifest
    from querywright.finetune.base import ensure_base

    monkeypatch.setattr(parity, "MOST", 16)
    base = ensure_base(Path(__file__).parents[2] / "work" / "base" / "smollm2-135m")
    rows = tmp_path / "pairs" / "train.chat.jsonl"
    rows.parent.mkdir()
    pairs = [{"api": "mygene", "instruction": text, "path": "/x", "fields": fields} for text, fields in REQUESTS]
    (rows.parent / "test.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    run = tiny_run(tmp_path / "model" / "quick", base, rows)
    for path in (data_dir() / "adapters" / "general").glob("adapter_*"):
        (run / "adapter" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(QuerywrightError, match="not the one that this run made"):
        export(run, run.parent, "mygene", base=base)
    made = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    write_manifest(run, made["config"], [ADAPTER], steps=7, rows=1, seconds=1.0, packages={})
    export(run, run.parent, "mygene", base=base, parity=4, kinds=["f16"])
    report = json.loads((run.parent / "parity.json").read_text(encoding="utf-8"))
    assert (report["requests"], report["from"]) == (4, "test.jsonl")
    assert {name: path["different"] for name, path in report["paths"].items()} == {"merged": 0, "model-f16.gguf": 0}
    assert report["paths"]["merged"]["moved"]["max"] < 0.01  # nats: in 32 bit a merge changes nothing
    assert report["paths"]["model-f16.gguf"]["moved"]["max"] < parity.TOLERANCE["float16"]
