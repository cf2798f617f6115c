"""Before and after fine-tuning, measured by lm-evaluation-harness on local tasks: with two tiny random models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from querywright.engines.base import Completion
from querywright.errors import QuerywrightError
from querywright.evaluate import forgetting, harness

TASK = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
PROSE = """
task: prose
dataset_kwargs: {data_files: {test: prose.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}]
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [{"question": f"colour {i}", "choices": ["red", "green"], "answer": i % 2} for i in range(5)]
    (folder / "colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "colours.yaml").write_text(TASK)
    (folder / "prose.jsonl").write_text('{"text": "red and green"}\n{"text": "green"}\n')
    (folder / "prose.yaml").write_text(PROSE)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two checkpoints with a byte tokenizer and random weights."""
    torch: Any = pytest.importorskip("torch")
    transformers: Any = pytest.importorskip("transformers")
    tokenizers: Any = pytest.importorskip("tokenizers")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(["<|im_start|>", "<|im_end|>", *letters])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=256, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    folders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        folder = tmp_path_factory.mktemp(f"model{seed}")
        transformers.LlamaForCausalLM(config).save_pretrained(folder, safe_serialization=True)
        fast.save_pretrained(folder)
        folders.append(folder)
    return folders


def test_the_same_questions_before_and_after(models: list[Path], tasks: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs the lm-eval extra")
    before, after = models
    found = forgetting.run(before, after, tmp_path / "out", [tasks])
    assert {name: t["n"] for name, t in found["tasks"].items()} == {"colours": 5, "prose": 2}
    colours, prose = found["tasks"]["colours"], found["tasks"]["prose"]
    assert 0 <= colours["before"] <= 1
    assert prose["before"] != prose["after"]
    assert 5 < prose["before"] < 12, "258 letters, drawn at random: about log2(258) = 8 bits each"
    assert prose["low"] <= prose["difference"] <= prose["high"]
    assert json.loads((tmp_path / "out" / "forgetting.json").read_text()) == found
    again = forgetting.run(before, before, tmp_path / "out", [tasks])
    assert [t["difference"] for t in again["tasks"].values()] == [0, 0]


def test_what_was_measured_is_not_measured_again(
    models: list[Path], tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measure(path: Path, specs: Any, limit: Any) -> dict[str, list[float]]:
        asked.append(path)
        return {"colours": [1.0, 0.0, float(path == models[1])], "prose": [2.0, 3.0]}

    monkeypatch.setattr(forgetting, "measure", measure)
    found = forgetting.run(*models, tmp_path / "out", [tasks])
    assert found["tasks"]["colours"]["difference"] == pytest.approx(1 / 3)
    assert forgetting.run(*models, tmp_path / "out", [tasks]) == found
    assert asked == models
    forgetting.run(*models, tmp_path / "out", [tasks], limit=1)
    assert len(asked) == 4, "another limit is another measurement"


@pytest.mark.parametrize(
    "text",
    [
        *("- a", "task: x", "task: x\ndataset_path: squad\ntest_split: test\nmetric_list: [{metric: acc}]", ": ["),
        "task: x\nmetric_list: [{metric: acc}]\ndataset_kwargs: {data_files: {test: [a, b]}}\ntest_split: test",
        "task: x\nmetric_list: [{metric: acc}]\ndataset_kwargs: {data_files: {}}",
    ],
)
def test_a_task_from_elsewhere_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(QuerywrightError, match="no task whose data is local"):
        forgetting.load_tasks([tmp_path / "t.yaml"])


def test_what_can_not_be_compared_is_refused(tmp_path: Path, tasks: Path) -> None:
    with pytest.raises(QuerywrightError, match="no model at"):
        forgetting.run(tmp_path / "a", tmp_path / "b", tmp_path / "out", [tasks])
    (tmp_path / "none").mkdir()
    with pytest.raises(QuerywrightError, match="no tasks"):
        forgetting.load_tasks([tmp_path / "none"])
    with pytest.raises(QuerywrightError, match="no model at"):
        forgetting.run(tmp_path / "none", tmp_path / "absent.gguf", tmp_path / "out", [tasks])
    (tmp_path / "m.gguf").write_bytes(b"")
    with pytest.raises(QuerywrightError, match="asked in two ways"):
        forgetting.run(tmp_path / "none", tmp_path / "m.gguf", tmp_path / "out", [tasks])


class Speaks:
    """An engine that finds a text the likelier the shorter it is, and says the question backwards."""

    def generate(self, messages: Any, **settings: Any) -> list[Completion]:
        return [Completion(messages[-1]["content"][::-1], 1, 1, 0.0, "stop")]

    def score(self, messages: Any, texts: Any, *, grammar: Any = None) -> list[Completion]:
        asked = sum(len(m["content"]) for m in messages)
        return [Completion(t, asked, len(t), 0.0, "stop", None if t == "?" else -float(len(t) + asked)) for t in texts]

    def describe(self) -> dict[str, Any]:
        return {"engine": "speaks"}

    def close(self) -> None:
        pass


@dataclass
class Request:
    args: tuple[Any, ...]


def test_an_engine_that_weighs_texts_is_a_model_of_the_harness() -> None:
    pytest.importorskip("lm_eval", reason="needs the lm-eval extra")
    model = harness.harness_model(Speaks())
    assert model.loglikelihood([Request(("abc", " de")), Request(("", "de"))]) == [(-5.0, False), (-2.0, False)]
    assert model.loglikelihood_rolling([Request(("four",))]) == [-4.0]
    until = {"until": ["b"], "max_gen_toks": 8}
    assert model.generate_until([Request(("abc", until)), Request(("xyz", {"until": "x"}))]) == ["c", "zy"]
    with pytest.raises(QuerywrightError, match="can't be told"):
        model.loglikelihood([Request(("abc", "?"))])

    class Silent:
        def describe(self) -> dict[str, Any]:
            return {"engine": "silent"}

    with pytest.raises(QuerywrightError, match="engine silent does not tell"):
        harness.harness_model(Silent())


def test_the_shipped_tasks_are_whole() -> None:
    specs = forgetting.load_tasks()
    assert {name: len(spec["rows"]["test"]) for name, spec in specs.items()} == {"facts": 30, "prose": 12, "sense": 30}
    for name in ("facts", "sense"):
        for row in specs[name]["rows"]["test"]:
            assert len(set(row["choices"])) == 4
            assert 0 <= row["answer"] < 4
        places = [row["answer"] for row in specs[name]["rows"]["test"]]
        assert max(map(places.count, range(4))) <= 14, "no place is right most of the time"
