"""A Llama checkpoint as llama.cpp sees it is the checkpoint that transformers sees: logits beyond the context before
rope scaling, and text cut the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from querywright.errors import QuerywrightError
from querywright.finetune.family import family
from querywright.finetune.hf_to_gguf import rope_factors, write_hf_gguf
from querywright.finetune.lora import deltas, read_adapter
from querywright.finetune.merge import merge
from tests.finetune.tiny_llama import ORIGINAL, SPECIAL, TEXTS, tiny_llama, tiny_run

pytest.importorskip("gguf", reason="GGUF files are an extra: pip install 'querywright[llama]'")
LENGTH = 8 * ORIGINAL
TRICKY = (
    *TEXTS,
    "  lead,  trail  \n\n",
    "1234567890 12 3,141.59",
    "it's WE'LL don't I'M",
    "\t\ttabs\r\nand\r\n\n\nmore   ",
    "<|eot_id|> by a person <|im_start|>",
    "ﬁ\u00a0nbsp\u200bzw \u0301combining 東京 😀👩‍👩‍👧 العربية",
    "a" * 50 + " " * 17 + "b",
    "\x01 \u2028 \ufeff",
)


@pytest.fixture(scope="module", params=[(8.0, "bfloat16", False), (32.0, "float32", True)], ids=["3.1", "3.2"])
def made(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Checkpoint, its adapter, and the GGUF of both."""
    folder = tmp_path_factory.mktemp("llama")
    base = tiny_llama(folder / "base", *request.param)
    run = tiny_run(folder / "run", base)
    added = deltas(*read_adapter(run / "adapter"))
    write_hf_gguf(base, added, folder / "model.gguf", "Llama-3.1 herbarium", family(base))
    return base, run / "adapter", folder / "model.gguf"


def opened(path: Path) -> Any:
    llama_cpp = pytest.importorskip("llama_cpp")
    return llama_cpp.Llama(str(path), n_ctx=512, n_threads=1, logits_all=True, verbose=False)


def test_logits_beyond_the_first_context(made: tuple[Path, Path, Path]) -> None:
    """With rope scaling: without it, or with the other family's, they are far off at the end."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base, adapter, gguf = made
    ids = np.random.default_rng(3).integers(0, 400, LENGTH).tolist()
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter)
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].numpy()
    llama = opened(gguf)
    llama.eval(ids)
    found = np.array(llama.scores[:LENGTH])
    assert np.abs(found - expected).max() < 0.02 * expected.std()
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.98
    model.get_base_model().model.rotary_emb.inv_freq /= torch.from_numpy(rope_factors(config(base)))  # twice
    with torch.no_grad():
        other = model(torch.tensor([ids])).logits[0].numpy()
    assert np.abs(other - expected)[-20:].max() > 0.2 * expected.std(), "a test that any rope passes"


def config(base: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((base / "config.json").read_text(encoding="utf-8"))
    return found


def test_rope_factors_are_those_of_transformers(made: tuple[Path, Path, Path]) -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    read = LlamaConfig.from_pretrained(made[0])
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](read, "cpu")
    plain = 1 / 500000.0 ** (np.arange(0, 16, 2) / 16)
    factors = rope_factors(config(made[0]))
    assert factors is not None
    np.testing.assert_allclose(plain / factors, scaled.numpy(), rtol=1e-5)
    assert rope_factors({"rope_theta": 1e4, "hidden_size": 64, "num_attention_heads": 4}) is None


def test_text_is_cut_the_same_way(made: tuple[Path, Path, Path]) -> None:
    from transformers import AutoTokenizer

    llama_cpp = pytest.importorskip("llama_cpp")
    base, _, gguf = made
    theirs, llama = AutoTokenizer.from_pretrained(base), opened(gguf)
    for text in TRICKY:
        plain = theirs(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert llama.tokenize(text.encode(), add_bos=False, special=False) == plain, text
        special = theirs(text, add_special_tokens=False)["input_ids"]
        assert llama.tokenize(text.encode(), add_bos=False, special=True) == special, text
    ids = theirs.convert_tokens_to_ids(list(SPECIAL))
    assert (llama.token_bos(), llama.token_eos()) == (ids[0], ids[5])
    vocabulary = llama._model.vocab
    ends = [ids[SPECIAL.index(stop)] for stop in family(base).stops]
    assert all(llama_cpp.llama_vocab_is_eog(vocabulary, token) for token in ends)
    assert llama.metadata["tokenizer.chat_template"] == family(base).template


def test_the_engine_renders_the_trained_prompt(made: tuple[Path, Path, Path]) -> None:
    """And what people write is no control token in it."""
    from querywright.engines.llama import LlamaEngine
    from querywright.finetune.parity import prompts

    base, _, gguf = made
    chats = [[{"role": "system", "content": "Write it. "}, {"role": "user", "content": "\n" + text}] for text in TEXTS]
    engine = LlamaEngine(gguf, threads=1, context=512)
    try:
        assert [engine.steps(chat, [1])[0] for chat in chats] == prompts(base, family(base), chats)
        chats[0][1]["content"] = "one<|eot_id|>two"
        assert engine.steps(chats[0], [1])[0].count(engine._llama.token_eos()) == 2
    finally:
        engine.close()


def test_an_adapter_of_another_base_is_refused(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base = made[0]
    for name, shape in (("model.layers.9.self_attn.q_proj.weight", (64, 64)), ("lm_head.weight", (3, 4))):
        for write in (
            lambda delta: write_hf_gguf(base, delta, tmp_path / "x.gguf", "x", family(base)),
            lambda delta: merge(base, delta, tmp_path / "merged", family(base)),
        ):
            with pytest.raises(QuerywrightError, match="the adapter does not fit") as caught:
                write({name: np.zeros(shape, "float32")})
            assert "checkpoint_dir" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_base_that_is_not_whole(tmp_path: Path) -> None:
    """A shard that is missing or cut short, no tokenizer, another's: each is told before anything is written."""
    base = tiny_llama(tmp_path / "base")
    shard = sorted(base.glob("model-*.safetensors"))[-1]
    whole = shard.read_bytes()

    def told() -> str:
        with pytest.raises(QuerywrightError) as caught:
            merge(base, {}, tmp_path / "merged", family(base))
        assert "tune download" in caught.value.hint
        assert not (tmp_path / "merged").exists()
        return str(caught.value)

    shard.write_bytes(whole[:-40])
    assert "damaged or cut short" in told()
    shard.unlink()
    assert f"{shard.name} missing (1 of 3 files)" in told()
    shard.write_bytes(whole)
    tokenizer = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    (base / "tokenizer.json").unlink()
    assert "has no tokenizer" in told()
    tokenizer["added_tokens"] = []
    (base / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    assert "has no <|eot_id|>" in told()
    tokenizer["model"] = {"type": "WordPiece", "vocab": {}}
    (base / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    assert "no byte-level BPE" in told()
