"""A config says all of its mistakes at once, and what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from querywright.errors import QuerywrightError
from querywright.evaluate.config import Config, load, select
from querywright.evaluate.sweep import cells

GOOD = """
api: mygene
models:
  base: base
  tuned: {path: model.gguf, strategies: [tuned], limit: 40}
strategies: [zero_shot, rag]
limit: 12
limits: {rag: 5}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "quick.yaml"
    path.write_text(text)
    return path


def test_a_model_may_have_its_own_strategies_and_limit(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    assert (config.name, config.pairs) == ("quick", "work/mygene/pairs/test.jsonl")
    assert config.out == "work/mygene/eval/quick"
    assert [(c.name, c.limit) for c in cells(config)] == [
        ("base.zero_shot.free", 12), ("base.zero_shot.grammar", 12), ("base.rag.free", 5), ("base.rag.grammar", 5),
        ("tuned.tuned.free", 40), ("tuned.tuned.grammar", 40),
    ]  # fmt: skip


def test_key_value_pairs_lie_over_the_file(tmp_path: Path) -> None:
    given = ["limit=3", "models.tuned=other.gguf", "models.base.limit=2", "decodings=grammar", "seed=7"]
    config = load(write(tmp_path, GOOD), given)
    assert (config.limit, config.seed, config.decodings) == (3, 7, ("grammar",))
    assert config.models["tuned"].path == "other.gguf"
    assert config.models["tuned"].limit == 40, "the model's other settings stay"
    assert config.models["base"].limit == 2


def test_every_mistake_is_named_with_the_nearest_word(tmp_path: Path) -> None:
    text = "api: mygene\nmodels: {a: {path: x, limt: 3}}\nstrategys: [rag]\ndecodings: [gramar]\nlimit: 0\n"
    text += "limits: {rga: 2}\n"
    with pytest.raises(QuerywrightError) as caught:
        load(write(tmp_path, text))
    message = str(caught.value)
    assert "5 mistakes" in message
    for expected in (
        "models.a.limt: unknown key; did you mean 'limit'",
        "strategys: unknown key; did you mean 'strategies'",
        "'gramar' is none of free, grammar, grounded, gbnf; did you mean 'grammar'",
        "limit:",
        "did you mean 'rag'",
    ):
        assert expected in message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["- a\n", "a: [", "\tx: 1"])
def test_what_is_no_config_is_an_error_of_ours(tmp_path: Path, text: str) -> None:
    with pytest.raises(QuerywrightError):
        load(write(tmp_path, text))


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(QuerywrightError, match=r"did you mean 'quick\.yaml'"):
        load(tmp_path / "quik.yaml")


@pytest.mark.parametrize("text", ["limit", "=3", "limit=[1", "api.x=3"])
def test_an_override_that_is_none_is_an_error_of_ours(tmp_path: Path, text: str) -> None:
    with pytest.raises(QuerywrightError):
        load(write(tmp_path, GOOD), [text])


def test_flags_narrow_the_sweep(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    narrowed = select(config, model="tuned", decoding="free")
    assert [c.name for c in cells(narrowed)] == ["tuned.tuned.free"]
    assert narrowed.out == config.out + "-tuned-free", "it leaves the whole sweep's files alone"
    assert select(config) == config
    assert [c.name for c in cells(select(config, model="base", strategy="icl", decoding="free"))] == ["base.icl.free"]
    other = tmp_path / "mine.gguf"
    other.write_bytes(b"")
    assert select(config, model=str(other)).models["mine"].path == str(other)
    with pytest.raises(QuerywrightError, match="did you mean 'tuned'"):
        select(config, model="tunde")


SHIPPED = sorted((Path(__file__).parents[2] / "eval_configs").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=[p.stem for p in SHIPPED])
def test_the_shipped_configs_are_right(path: Path) -> None:
    assert isinstance(load(path), Config)
    first = path.read_text().splitlines()[0]
    assert first.startswith("# querywright eval "), "the header is the command that runs it"
