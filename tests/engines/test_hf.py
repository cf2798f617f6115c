"""transformers and outlines under the mask, with random weights: whatever is valid is the mask's doing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import API
from querywright.engines.base import EngineError, Grammar, MaskError
from querywright.engines.hf import TransformersEngine
from querywright.engines.open import open_engine
from querywright.generate.answer import sample

pytest.importorskip("transformers")
pytest.importorskip("llguidance")
pytestmark = pytest.mark.slow
# short calls only, so that noise comes to an end
SHORT = Grammar('start: "/v3/gene/" /[0-9]{1,4}/ | "/v3/query?q=symbol:" /[A-Z]{2,3}/ "&size=1"')


@pytest.fixture(scope="module")
def engine(tiny: Path) -> TransformersEngine:
    return TransformersEngine(tiny, threads=1)


def test_noise_under_the_mask_is_a_call(mygene: API, engine: TransformersEngine) -> None:
    from querywright.api.call import parse

    ask = [{"role": "user", "content": "x"}]
    for done in engine.generate(ask, grammar=SHORT, max_tokens=40, temperature=1.0, n=8, seed=1):
        assert done.finish == "stop"
        parse(mygene, done.text)
    free = engine.generate(ask, max_tokens=8)[0]
    assert free.finish == "length"


def test_the_whole_grammar(mygene: API, engine: TransformersEngine) -> None:
    settings: dict[str, Any] = {"temperature": 1.0, "n": 4, "max_tokens": 48, "seed": 3}
    for got in sample(mygene, "human CDK2 genes", engine, **settings):
        assert got.ok or got.refused or got.finish == "length", got
    for got in sample(mygene, "human CDK2 genes", engine, refuse=False, **settings):
        assert got.ok or got.finish == "length", got


def test_failures_raise(engine: TransformersEngine, tmp_path: Path) -> None:
    ask = [{"role": "user", "content": "x"}]
    with pytest.raises(MaskError):
        engine.generate(ask, grammar=Grammar("start: nope"))
    with pytest.raises(MaskError, match="gbnf"):
        engine.generate(ask, grammar=Grammar('root ::= "a"', "gbnf"))
    with pytest.raises(EngineError, match="context holds"):
        engine.generate([{"role": "user", "content": "word " * 3000}])
    with pytest.raises(EngineError, match=r"holds no config\.json"):
        TransformersEngine(tmp_path)
    with pytest.raises(EngineError, match="holds no model"):
        open_engine(tmp_path)


def test_pickled_weights_are_not_read(tiny: Path, tmp_path: Path) -> None:
    import shutil

    import torch

    folder = tmp_path / "pickled"
    shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(EngineError, match="could not load"):
        TransformersEngine(folder)


def test_an_adapter_counts(tiny: Path, engine: TransformersEngine, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny)
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    torch.manual_seed(1)
    adapted = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.mul_(20)
    adapted.save_pretrained(tmp_path / "adapter")
    ask = [{"role": "user", "content": "x"}]
    other = open_engine(tiny, adapter=tmp_path / "adapter", threads=1)
    assert other.generate(ask, max_tokens=8)[0].text != engine.generate(ask, max_tokens=8)[0].text


def test_outlines_is_checked_after_the_fact(tiny: Path, mygene: API, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("outlines")
    engine = open_engine(f"outlines:{tiny}", threads=1)
    ask = [{"role": "user", "content": "x"}]
    done = engine.generate(ask, grammar=SHORT, max_tokens=40)[0]
    assert done.finish == "stop"
    assert done.text.startswith("/v3/")
    assert engine.generate(ask, grammar=SHORT, max_tokens=3)[0].finish == "length"
    with pytest.raises(MaskError):
        engine.generate(ask, grammar=Grammar("start: nope"), max_tokens=8)
    # outlines that lost its matcher and went on: the text is thrown away
    monkeypatch.setattr(engine, "_run", lambda *args, **settings: "/v3/elsewhere")
    with pytest.raises(MaskError):
        engine.generate(ask, grammar=SHORT, max_tokens=40)
